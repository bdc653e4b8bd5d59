#include "noded/lsm/lsm.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/model/merge.h"
#include "common/runtime/reactor.h"
#include "noded/lsm/tree.h"

/* ---- Log positions ---- */

const struct log_span *log_spans_find(const struct log_spans *spans, uint32_t log)
{
    for (uint32_t i = 0; i < spans->count; i++)
        if (spans->spans[i].log == log) return &spans->spans[i];
    return NULL;
}

void log_spans_add(struct log_spans *spans, struct lsm_position position)
{
    for (uint32_t i = 0; i < spans->count; i++) {
        struct log_span *span = &spans->spans[i];
        if (span->log != position.log) continue;
        if (position.sequence < span->first) span->first = position.sequence;
        if (position.sequence > span->last) span->last = position.sequence;
        return;
    }
    CHECK(spans->count < LSM_LOGS_MAX);
    spans->spans[spans->count++] = (struct log_span){position.log, position.sequence, position.sequence};
}

void lsm_hold_begin(struct lsm *lsm, struct lsm_hold *hold, struct lsm_position position)
{
    hold->position = position;
    list_init(&hold->link);
    list_push_back(&lsm->holds, &hold->link);
}

void lsm_hold_end(struct lsm_hold *hold)
{
    list_remove(&hold->link);
}

bool lsm_first_unflushed(const struct lsm *lsm, uint32_t log, uint64_t *sequence)
{
    const struct log_span *active = log_spans_find(&lsm->active_logs, log);
    const struct log_span *frozen = lsm->frozen ? log_spans_find(&lsm->frozen_logs, log) : NULL;
    uint64_t first = UINT64_MAX;
    if (active && active->first < first) first = active->first;
    if (frozen && frozen->first < first) first = frozen->first;
    LIST_FOR_EACH (link, &lsm->holds) {
        const struct lsm_hold *hold = CONTAINER_OF(link, struct lsm_hold, link);
        if (hold->position.log == log && hold->position.sequence < first) first = hold->position.sequence;
    }
    if (first == UINT64_MAX) return false;
    *sequence = first;
    return true;
}

bool lsm_is_flushed(const struct lsm *lsm, struct lsm_position position)
{
    const struct log_span *flushed = log_spans_find(&lsm->flushed, position.log);
    return flushed && position.sequence <= flushed->last;
}

bool tree_is_clean(const struct lsm *lsm)
{
    return !lsm->frozen && lsm->active_logs.count == 0;
}

void lsm_set_state(struct lsm *lsm, struct bytes state, struct lsm_position position)
{
    CHECK(state.size <= LSM_STATE_BYTES_MAX);
    buffer_clear(&lsm->state);
    buffer_append(&lsm->state, state.data, state.size);
    log_spans_add(&lsm->active_logs, position);
}

struct bytes lsm_state(const struct lsm *lsm)
{
    return buffer_bytes(&lsm->state);
}

void lsm_set_table(struct lsm *lsm, const struct table *table)
{
    lsm->table = *table;
}

uint64_t lsm_range(const struct lsm *lsm)
{
    return lsm->range;
}

/* ---- Changes ---- */

uint64_t tree_newest_below(const struct lsm *lsm, struct bytes key)
{
    uint64_t newest = span_set_newest(span_index_find(&lsm->spans, key));
    if (lsm->frozen) {
        const struct mem_partition *partition = memtable_find(lsm->frozen, key);
        if (partition && partition->newest > newest) newest = partition->newest;
    }
    uint64_t hash = lsm->files_count ? hash64(key.data, key.size, 0) : 0;
    for (uint32_t i = 0; i < lsm->files_count; i++) {
        uint32_t at;
        if (sstable_info(lsm->files[i])->id_max <= newest || !sstable_find(lsm->files[i], key, hash, &at)) continue;
        uint64_t top = lsm->files[i]->map.partitions[at].top;
        if (top > newest) newest = top;
    }
    return newest;
}

static struct mem_partition *touch(struct lsm *lsm, struct bytes key)
{
    CHECK(key.size > 0 && key.size <= KEY_BYTES_MAX);
    bool made;
    struct mem_partition *partition = memtable_touch(lsm->active, key, &made);
    if (made) partition->newest = tree_newest_below(lsm, key);
    return partition;
}

static void changed(struct lsm *lsm, struct lsm_position position)
{
    struct lsm_store *store = lsm->store;
    log_spans_add(&lsm->active_logs, position);
    if (store->flush_due) return;
    if (memtable_bytes(lsm->active) < store->options.flush_bytes &&
        store->memtable_bytes <= store->options.memtable_bytes / 2)
        return;
    store->flush_due = true;
    store_kick(store);
}

void lsm_apply(struct lsm *lsm, struct bytes partition, const struct lsm_change *change, struct lsm_position position)
{
    struct bytes row = change->row;
    CHECK(row.size > 0 && row.size <= LSM_ROW_BYTES_MAX);
    struct mem_partition *held = touch(lsm, partition);
    struct mem_entry entry = {.id = change->id,
        .row = row.data,
        .size = (uint32_t)row.size,
        .closed = !change->open && row_bytes_is_delete(row)};
    memtable_put(lsm->active, held, &entry, &lsm->store->scratch);
    if (change->id > held->newest) held->newest = change->id;
    changed(lsm, position);
}

void lsm_apply_span(struct lsm *lsm, struct bytes partition, struct span span, struct lsm_position position)
{
    CHECK(span.lo <= span.hi);
    struct mem_partition *held = touch(lsm, partition);
    span_set_add(span_index_touch(&lsm->spans, held->key), span);
    held->spans_dirty = true;
    if (span.hi > held->newest) held->newest = span.hi;
    changed(lsm, position);
}

void lsm_close_delete(struct lsm *lsm, struct bytes partition, uint64_t id, struct lsm_position position)
{
    struct mem_entry entry = {.id = id, .closed = true};
    memtable_put(lsm->active, touch(lsm, partition), &entry, &lsm->store->scratch);
    changed(lsm, position);
}

void lsm_close_span(struct lsm *lsm, struct bytes partition, uint64_t lo, uint64_t hi, struct lsm_position position)
{
    CHECK(lo <= hi);
    struct span_set *set = span_index_find(&lsm->spans, partition);
    if (set) {
        span_set_close(set, lo, hi);
        touch(lsm, partition)->spans_dirty = true;
    }
    changed(lsm, position);
}

/* ---- Reads of one id ---- */

uint64_t lsm_newest(struct lsm *lsm, struct bytes partition)
{
    const struct mem_partition *held = memtable_find(lsm->active, partition);
    return held ? held->newest : tree_newest_below(lsm, partition);
}

const struct span_set *lsm_spans(struct lsm *lsm, struct bytes partition)
{
    const struct span_set *set = span_index_find(&lsm->spans, partition);
    return set && set->count > 0 ? set : NULL;
}

/* What a lookup has gathered so far; the row lives in the arena. */
struct gathered {
    struct arena *arena;
    struct bytes row;
    bool closed;
};

static enum status gather(struct lsm_store *store, struct gathered *gathered, struct bytes row, bool closed)
{
    gathered->closed |= closed;
    if (row.size == 0 || bytes_equal(row, gathered->row)) return STATUS_OK;
    if (gathered->row.size > 0) {
        buffer_clear(&store->scratch);
        if (row_merge_bytes(gathered->row, row, &store->scratch) != STATUS_OK) return STATUS_CORRUPT;
        row = buffer_bytes(&store->scratch);
    }
    gathered->row = bytes_of(arena_copy(gathered->arena, row.data, row.size), row.size);
    return STATUS_OK;
}

static enum status gather_memtable(
    struct lsm *lsm, struct memtable *memtable, struct bytes key, uint64_t id, struct gathered *gathered)
{
    const struct mem_partition *partition = memtable ? memtable_find(memtable, key) : NULL;
    const struct mem_entry *entry = partition ? mem_partition_get(partition, id) : NULL;
    if (!entry) return STATUS_OK;
    return gather(lsm->store, gathered, bytes_of(entry->row, entry->size), entry->closed);
}

static enum status gather_file(
    struct sstable *table, struct bytes key, uint64_t hash, uint64_t id, struct gathered *gathered)
{
    uint32_t at;
    const struct sstable_info *info = sstable_info(table);
    if (id < info->id_min || id > info->id_max || !sstable_find(table, key, hash, &at)) return STATUS_OK;
    const struct sstable_partition *partition = &table->map.partitions[at];
    if (partition->rows == 0 || id < partition->bottom || id > partition->top) return STATUS_OK;
    struct block *block;
    enum status status = sstable_block(table, sstable_map_block(&table->map, at, id), 0, &block);
    if (status != STATUS_OK) return status;
    const struct block_segment *segment = block_find(block, at);
    uint32_t row = segment ? block_seek(block, segment, id) : 0;
    if (segment && row < segment[1].first_row && block->ids[row] == id)
        status = gather(table->store, gathered, block_row(block, row), block->closed[row]);
    cache_release(table->store->cache, block);
    return status;
}

enum status lsm_lookup(struct lsm *lsm, struct bytes partition, uint64_t id, struct arena *arena, struct lsm_row *out)
{
    struct gathered gathered = {.arena = arena};
    /* Files first chosen, then read: a flush may move rows meanwhile, and what was in memory is gathered before. */
    uint32_t files_count = lsm->files_count;
    struct sstable **files = arena_alloc(arena, (files_count + 1) * sizeof(struct sstable *));
    for (uint32_t i = 0; i < files_count; i++) {
        files[i] = lsm->files[i];
        sstable_ref(files[i]);
    }
    enum status status = gather_memtable(lsm, lsm->active, partition, id, &gathered);
    if (status == STATUS_OK) status = gather_memtable(lsm, lsm->frozen, partition, id, &gathered);
    uint64_t hash = files_count ? hash64(partition.data, partition.size, 0) : 0;
    for (uint32_t i = 0; i < files_count && status == STATUS_OK; i++)
        status = gather_file(files[i], partition, hash, id, &gathered);
    for (uint32_t i = 0; i < files_count; i++)
        sstable_release(files[i]);
    if (status != STATUS_OK) return status;

    const struct span_set *spans = lsm_spans(lsm, partition);
    const struct span *span = spans ? span_set_find(spans, id) : NULL;
    if (!span && gathered.row.size == 0) return STATUS_NOT_FOUND;
    *out = (struct lsm_row){.id = id, .row = gathered.row, .covered = span != NULL};
    out->open = row_bytes_is_delete(gathered.row) && !gathered.closed;
    if (span) out->span = *span;
    return STATUS_OK;
}

/* ---- Partitions ---- */

struct partition_source {
    struct mem_partition *const *sorted; /* of a memtable, or */
    const struct sstable *file;
    uint32_t at, count;
};

static struct bytes source_key(const struct partition_source *source)
{
    return source->file ? sstable_map_key(&source->file->map, source->at) : source->sorted[source->at]->key;
}

static struct partition_source source_of_memtable(struct memtable *memtable, struct bytes after)
{
    struct partition_source source = {0};
    source.sorted = memtable_sorted(memtable, &source.count);
    uint32_t low = 0, high = source.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bytes_compare(source.sorted[middle]->key, after) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    source.at = low;
    return source;
}

static struct partition_source source_of_file(const struct sstable *file, struct bytes after)
{
    struct partition_source source = {.file = file, .count = (uint32_t)sstable_info(file)->partitions};
    source.at = sstable_map_seek(&file->map, after);
    if (source.at < source.count && bytes_equal(source_key(&source), after)) source.at++;
    return source;
}

/* One span from the lowest id that there is up to the partition's newest: what a purge leaves. */
static bool is_covered(struct lsm *lsm, const struct lsm_partition *partition)
{
    const struct span_set *spans = lsm_spans(lsm, partition->key);
    const struct span *span = spans ? span_set_find(spans, partition->newest) : NULL;
    return span && span->lo <= 1;
}

uint32_t lsm_partitions(
    struct lsm *lsm, struct bytes after, uint32_t limit, struct arena *arena, struct lsm_partition *out)
{
    uint32_t sources_count = 0, filled = 0;
    struct partition_source *sources = arena_alloc(arena, (lsm->files_count + 2) * sizeof *sources);
    sources[sources_count++] = source_of_memtable(lsm->active, after);
    if (lsm->frozen) sources[sources_count++] = source_of_memtable(lsm->frozen, after);
    for (uint32_t i = 0; i < lsm->files_count; i++)
        sources[sources_count++] = source_of_file(lsm->files[i], after);
    while (filled < limit) {
        struct bytes lowest = {NULL, 0};
        for (uint32_t i = 0; i < sources_count; i++) {
            if (sources[i].at == sources[i].count) continue;
            struct bytes key = source_key(&sources[i]);
            if (!lowest.data || bytes_compare(key, lowest) < 0) lowest = key;
        }
        if (!lowest.data) break;
        struct lsm_partition *partition = &out[filled++];
        partition->key = bytes_of(arena_copy(arena, lowest.data, lowest.size), lowest.size);
        partition->newest = lsm_newest(lsm, partition->key);
        uint64_t rows = 0;
        for (uint32_t i = 0; i < sources_count; i++) {
            struct partition_source *source = &sources[i];
            if (source->at == source->count || !bytes_equal(source_key(source), partition->key)) continue;
            rows += source->file ? source->file->map.partitions[source->at].rows : source->sorted[source->at]->rows;
            source->at++;
        }
        partition->visible = rows > 0 && !is_covered(lsm, partition);
    }
    return filled;
}

bool tree_is_damaged(const struct lsm *lsm)
{
    for (uint32_t i = 0; i < lsm->files_count; i++)
        if (lsm->files[i]->damaged) return true;
    return false;
}

void lsm_stats(const struct lsm *lsm, struct lsm_stats *out)
{
    *out = (struct lsm_stats){.files = lsm->files_count, .damaged = tree_is_damaged(lsm)};
    for (uint32_t i = 0; i < lsm->files_count; i++)
        out->file_bytes += sstable_info(lsm->files[i])->file_bytes;
    out->memtable_bytes = memtable_bytes(lsm->active) + (lsm->frozen ? memtable_bytes(lsm->frozen) : 0);
    out->memtable_rows = memtable_rows(lsm->active) + (lsm->frozen ? memtable_rows(lsm->frozen) : 0);
}

uint32_t lsm_cursors(const struct lsm *lsm)
{
    return lsm->cursors;
}

bool lsm_file(const struct lsm *lsm, uint32_t n, uint64_t *file_id, bool *changing)
{
    if (n >= lsm->files_count) return false;
    *file_id = sstable_info(lsm->files[n])->file_id;
    *changing = lsm->installing;
    return true;
}
