#include "noded/lsm/tree.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/runtime/reactor.h"
#include "noded/lsm/manifest.h"

static void range_directory(char out[LSM_DIRECTORY_BYTES], uint64_t range)
{
    snprintf(out, LSM_DIRECTORY_BYTES, "ranges/%016" PRIx64, range);
}

static struct lsm *tree_create(struct lsm_store *store, uint64_t range)
{
    struct lsm *lsm = mem_zalloc(sizeof *lsm);
    lsm->store = store;
    lsm->range = range;
    lsm->table = CHAT_MESSAGES;
    lsm->active = memtable_create(&store->memtable_bytes);
    list_init(&lsm->link);
    list_init(&lsm->holds);
    gate_init(&lsm->changed);
    range_directory(lsm->directory, range);
    return lsm;
}

/* Frees everything; files are closed, not removed. */
static void tree_destroy(struct lsm *lsm)
{
    list_remove(&lsm->link);
    for (uint32_t i = 0; i < lsm->files_count; i++)
        sstable_destroy(lsm->files[i], false);
    memtable_release(lsm->active);
    if (lsm->frozen) memtable_release(lsm->frozen);
    span_index_fini(&lsm->spans);
    buffer_free(&lsm->state);
    mem_free(lsm->files);
    mem_free(lsm);
}

/* ---- Installing ---- */

static void files_swap(struct lsm *lsm, struct sstable **files, uint32_t count)
{
    mem_free(lsm->files);
    lsm->files = files;
    lsm->files_count = count;
}

static bool is_removed(const struct tree_edit *edit, const struct sstable *table)
{
    for (uint32_t i = 0; i < edit->remove_count; i++)
        if (edit->remove[i] == table) return true;
    return false;
}

/* The file list after the edit, in the order of file ids. */
static struct sstable **files_after(const struct lsm *lsm, const struct tree_edit *edit, uint32_t *count)
{
    struct sstable **files = mem_alloc((lsm->files_count + 1) * sizeof(struct sstable *));
    struct sstable *add = edit->add;
    *count = 0;
    for (uint32_t i = 0; i < lsm->files_count; i++) {
        if (is_removed(edit, lsm->files[i])) continue;
        if (add && sstable_info(add)->file_id < sstable_info(lsm->files[i])->file_id) {
            files[(*count)++] = add;
            add = NULL;
        }
        files[(*count)++] = lsm->files[i];
    }
    if (add) files[(*count)++] = add;
    return files;
}

static void raise_flushed(struct log_spans *flushed, const struct log_spans *by)
{
    for (uint32_t i = 0; by && i < by->count; i++)
        if (by->spans[i].last > 0) log_spans_add(flushed, (struct lsm_position){by->spans[i].log, by->spans[i].last});
}

static void set_flushed(struct log_spans *flushed, struct lsm_position position)
{
    log_spans_add(flushed, position);
    for (uint32_t i = 0; i < flushed->count; i++)
        if (flushed->spans[i].log == position.log) flushed->spans[i].last = position.sequence;
}

/* Writes the manifest of these files and positions. */
static enum status write_manifest(
    struct lsm *lsm, struct sstable *const *files, uint32_t count, const struct log_spans *flushed)
{
    struct arena arena = {0};
    struct manifest manifest = {.range = lsm->range,
        .number = lsm->manifest_number + 1,
        .flushed_count = flushed->count,
        .files_count = count,
        .state = buffer_bytes(&lsm->state)};
    manifest.flushed = arena_alloc(&arena, (flushed->count + 1) * sizeof *manifest.flushed);
    for (uint32_t i = 0; i < flushed->count; i++)
        manifest.flushed[i] = (struct lsm_position){flushed->spans[i].log, flushed->spans[i].last};
    manifest.files = arena_alloc(&arena, (count + 1) * sizeof *manifest.files);
    for (uint32_t i = 0; i < count; i++) {
        const struct sstable_map *map = &files[i]->map;
        manifest.files[i] = *sstable_info(files[i]);
        if (map->properties.info.partitions == 0) continue;
        manifest.files[i].key_min = sstable_map_key(map, 0);
        manifest.files[i].key_max = sstable_map_key(map, (uint32_t)map->properties.info.partitions - 1);
    }
    enum status status = manifest_install(lsm->store->reactor, lsm->directory, &lsm->store->options.cluster, &manifest);
    if (status == STATUS_OK) lsm->manifest_number++;
    arena_free(&arena);
    return status;
}

enum status tree_install(struct lsm *lsm, const struct tree_edit *edit)
{
    while (lsm->installing)
        (void)gate_wait(lsm->store->reactor, &lsm->changed, REACTOR_NEVER);
    lsm->installing = true;
    uint32_t count;
    struct sstable **files = files_after(lsm, edit, &count);
    struct log_spans *flushed = mem_alloc(sizeof *flushed);
    *flushed = lsm->flushed;
    raise_flushed(flushed, edit->flushed);
    if (edit->only) set_flushed(flushed, *edit->only);
    for (uint32_t i = 0; i < edit->remove_count && PLANT(removed_while_named); i++)
        (void)!disk_unlink(lsm->store->reactor, edit->remove[i]->path);
    enum status status = write_manifest(lsm, files, count, flushed);
    lsm->installing = false;
    gate_open(&lsm->changed);
    if (status != STATUS_OK) {
        mem_free(files);
        mem_free(flushed);
        return status;
    }
    files_swap(lsm, files, count);
    lsm->flushed = *flushed;
    mem_free(flushed);
    for (uint32_t i = 0; i < edit->remove_count; i++) {
        edit->remove[i]->dropped = true;
        sstable_release(edit->remove[i]);
    }
    return STATUS_OK;
}

/* ---- Opening ---- */

/* The directory of a range that was never here, and its first manifest. */
static enum status make_empty(struct lsm *lsm)
{
    struct reactor *reactor = lsm->store->reactor;
    enum status status = disk_mkdir(reactor, "ranges");
    if (status == STATUS_OK) status = disk_mkdir(reactor, lsm->directory);
    if (status != STATUS_OK) return status;
    const char *parents[] = {"", "ranges"};
    for (unsigned i = 0; i < 2 && !PLANT(skipped_dir_sync); i++) {
        status = disk_sync_dir(reactor, parents[i]);
        if (status != STATUS_OK) env_die(reactor_env(reactor), status, "sync of the data directory failed");
    }
    return write_manifest(lsm, NULL, 0, &lsm->flushed);
}

/* Merges the spans of a file into the tree's. CORRUPT. */
static enum status read_spans(struct lsm *lsm, const struct sstable *table)
{
    const struct sstable_info *info = sstable_info(table);
    struct reader reader = reader_of(table->map.spans);
    uint64_t partition = 0;
    for (uint64_t i = 0; i < info->span_partitions; i++) {
        partition += read_varint(&reader);
        if (!reader_ok(&reader) || partition >= info->partitions) return STATUS_CORRUPT;
        struct span_set *set = span_index_touch(&lsm->spans, sstable_map_key(&table->map, (uint32_t)partition));
        if (span_set_decode(&reader, set) != STATUS_OK) return STATUS_CORRUPT;
    }
    return reader_done(&reader) ? STATUS_OK : STATUS_CORRUPT;
}

static enum status open_files(struct lsm *lsm, const struct manifest *manifest)
{
    lsm->files = mem_alloc((manifest->files_count + 1) * sizeof(struct sstable *));
    for (uint32_t i = 0; i < manifest->files_count; i++) {
        struct sstable *table;
        enum status status =
            sstable_open(lsm->store, lsm->directory, manifest->files[i].file_id, &manifest->files[i], &table);
        if (status == STATUS_NOT_FOUND) status = STATUS_CORRUPT; /* named, so it must be there */
        if (status != STATUS_OK) return status;
        lsm->files[lsm->files_count++] = table;
        status = read_spans(lsm, table);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static bool is_named(const struct lsm *lsm, const char *name)
{
    char path[LSM_PATH_BYTES];
    snprintf(path, sizeof path, "MANIFEST-%" PRIu64, lsm->manifest_number);
    if (strcmp(path, name) == 0) return true;
    size_t prefix = strlen(lsm->directory) + 1;
    for (uint32_t i = 0; i < lsm->files_count; i++)
        if (strcmp(lsm->files[i]->path + prefix, name) == 0) return true;
    return false;
}

/* Removes what the manifest does not name: leftovers of flushes and compactions that did not end. The manifest's own
   name is made durable first, since what it replaced goes now. */
static enum status remove_unnamed(struct lsm *lsm)
{
    struct reactor *reactor = lsm->store->reactor;
    enum status status = disk_sync_dir(reactor, lsm->directory);
    if (status != STATUS_OK) env_die(reactor_env(reactor), status, "sync of a range's directory failed");
    struct disk_names names;
    status = disk_list(reactor, lsm->directory, &names);
    if (status != STATUS_OK) return status;
    for (uint32_t i = 0; i < names.count && status == STATUS_OK; i++) {
        char path[LSM_PATH_BYTES + 256];
        if (is_named(lsm, names.names[i])) continue;
        snprintf(path, sizeof path, "%s/%.200s", lsm->directory, names.names[i]);
        LOG(reactor_log(reactor), INFO, "file.removed", "path=%s reason=\"no manifest names it\"", path);
        status = disk_unlink(reactor, path);
    }
    disk_names_free(&names);
    return status;
}

enum status lsm_open(struct lsm_store *store, uint64_t range, struct lsm **out)
{
    struct lsm *lsm = tree_create(store, range);
    struct arena arena = {0};
    struct manifest manifest;
    enum status status = manifest_load(store->reactor, lsm->directory, &store->options.cluster, &arena, &manifest);
    if (status == STATUS_NOT_FOUND) {
        status = make_empty(lsm);
    } else if (status == STATUS_OK) {
        if (manifest.range != range) status = STATUS_CORRUPT;
        lsm->manifest_number = manifest.number;
        for (uint32_t i = 0; i < manifest.flushed_count; i++)
            log_spans_add(&lsm->flushed, manifest.flushed[i]);
        buffer_append(&lsm->state, manifest.state.data, manifest.state.size);
        if (status == STATUS_OK) status = open_files(lsm, &manifest);
        if (status == STATUS_OK) status = remove_unnamed(lsm);
    }
    arena_free(&arena);
    if (status != STATUS_OK) {
        LOG(reactor_log(store->reactor), ERROR, "range.unreadable", "range=%016" PRIx64 " status=%s", range,
            status_name(status));
        tree_destroy(lsm);
        return status;
    }
    list_push_back(&store->trees, &lsm->link);
    *out = lsm;
    return STATUS_OK;
}

/* Nothing works on the tree's files. */
static void wait_until_quiet(struct lsm *lsm)
{
    while (lsm->flushing || lsm->compacting || lsm->installing)
        (void)gate_wait(lsm->store->reactor, &lsm->changed, REACTOR_NEVER);
}

void lsm_close(struct lsm *lsm)
{
    lsm->clearing = true; /* nothing new begins */
    wait_until_quiet(lsm);
    CHECK(lsm->cursors == 0 && list_is_empty(&lsm->holds));
    struct lsm_store *store = lsm->store;
    tree_destroy(lsm);
    store_sweep(store);
}

bool lsm_is_idle(const struct lsm *lsm)
{
    return lsm->cursors == 0 && list_is_empty(&lsm->holds);
}

enum status lsm_clear(struct lsm *lsm, struct bytes state, struct lsm_position position)
{
    CHECK(state.size <= LSM_STATE_BYTES_MAX && lsm_is_idle(lsm));
    lsm->clearing = true;
    wait_until_quiet(lsm);
    struct buffer old_state = lsm->state;
    lsm->state = (struct buffer){0};
    buffer_append(&lsm->state, state.data, state.size);
    struct log_spans *flushed = mem_zalloc(sizeof *flushed);
    raise_flushed(flushed, &lsm->frozen_logs);
    raise_flushed(flushed, &lsm->active_logs);
    uint32_t count = lsm->files_count;
    struct sstable **files = mem_alloc((count + 1) * sizeof(struct sstable *));
    if (count > 0) memcpy(files, lsm->files, count * sizeof(struct sstable *));
    struct tree_edit edit = {.remove = files, .remove_count = count, .flushed = flushed, .only = &position};
    enum status status = tree_install(lsm, &edit);
    mem_free(files);
    mem_free(flushed);
    lsm->clearing = false;
    gate_open(&lsm->changed);
    if (status != STATUS_OK) {
        buffer_free(&lsm->state);
        lsm->state = old_state;
        return status;
    }
    buffer_free(&old_state);
    if (lsm->frozen) memtable_release(lsm->frozen);
    memtable_release(lsm->active);
    lsm->frozen = NULL;
    lsm->active = memtable_create(&lsm->store->memtable_bytes);
    lsm->active_logs.count = lsm->frozen_logs.count = 0;
    span_index_clear(&lsm->spans);
    store_sweep(lsm->store);
    if (lsm->store->options.released) lsm->store->options.released(lsm->store->options.context, lsm);
    return STATUS_OK;
}

enum status lsm_quarantine(struct lsm_store *store, uint64_t range)
{
    struct reactor *reactor = store->reactor;
    char from[LSM_DIRECTORY_BYTES], to[LSM_PATH_BYTES];
    range_directory(from, range);
    snprintf(to, sizeof to, "quarantine/%016" PRIx64 "-%" PRIx64, range,
        store->options.next_file_id(store->options.context));
    enum status status = disk_mkdir(reactor, "quarantine");
    if (status == STATUS_OK) status = disk_rename(reactor, from, to);
    if (status != STATUS_OK) return status;
    const char *parents[] = {"", "quarantine", "ranges"};
    for (unsigned i = 0; i < 3; i++) {
        status = disk_sync_dir(reactor, parents[i]);
        if (status != STATUS_OK) env_die(reactor_env(reactor), status, "sync of the data directory failed");
    }
    LOG(reactor_log(reactor), WARN, "range.quarantined", "range=%016" PRIx64 " path=%s", range, to);
    return STATUS_OK;
}
