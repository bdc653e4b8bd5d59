/* wal_segments: see wal_segments.h. */
#include "common/wal/wal_segments.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/runtime/reactor.h"

enum { FILL_BYTES = 256 << 10 };
#define RETRY_NS (500 * 1000000ull)

static const struct disk_file NO_FILE = {-1};

void wal_segments_init(struct wal_segments *segments, struct reactor *reactor, const struct wal_config *config)
{
    *segments = (struct wal_segments){.reactor = reactor, .config = config, .next_number = 1};
    list_init(&segments->old);
    list_init(&segments->spares);
    gate_init(&segments->work);
}

static struct wal_segment *segment_create(uint32_t number, uint64_t bytes)
{
    struct wal_segment *segment = mem_zalloc(sizeof *segment);
    list_init(&segment->link);
    segment->number = number;
    segment->bytes = bytes;
    segment->file = NO_FILE;
    return segment;
}

void wal_segments_adopt(struct wal_segments *segments, const struct wal_scan *scan, bool held)
{
    if (scan->next_number > segments->next_number) segments->next_number = scan->next_number;
    for (uint32_t i = 0; i < scan->count; i++) {
        const struct wal_scan_segment *found = &scan->segments[i];
        if (found->hold != held) continue;
        struct wal_segment *segment = segment_create(found->number, found->bytes);
        segment->last = found->last;
        bool reusable = found->last == 0 && found->bytes == segments->config->segment_bytes;
        if (reusable && segments->spares_count < segments->config->spares) {
            list_push_back(&segments->spares, &segment->link);
            segments->spares_count++;
        } else {
            list_push_back(&segments->old, &segment->link);
        }
    }
    gate_open(&segments->work);
}

__attribute__((noreturn)) static void die(
    struct wal_segments *segments, const char *path, const char *what, enum status status)
{
    char why[WAL_PATH_BYTES + 120];
    snprintf(why, sizeof why, "%s: %s failed (%s); stopping, so that nothing is acknowledged that is not stored", path,
        what, status_name(status));
    env_die(reactor_env(segments->reactor), status, why);
}

/* Making a segment ready. */

/* Syncs of a file whose blocks were written before cost a third of those of a growing one. */
static enum status fill(struct wal_segments *segments, struct disk_file file, uint64_t bytes)
{
    enum status status = disk_preallocate(segments->reactor, file, bytes);
    if (status != STATUS_OK) return status;
    uint8_t *zeros = mem_alloc_aligned(WAL_BLOCK_BYTES, FILL_BYTES);
    memset(zeros, 0, FILL_BYTES);
    for (uint64_t at = 0; at < bytes && status == STATUS_OK; at += FILL_BYTES) {
        uint32_t size = bytes - at < FILL_BYTES ? (uint32_t)(bytes - at) : FILL_BYTES;
        status = disk_write(segments->reactor, file, zeros, size, at);
    }
    mem_free(zeros);
    return status;
}

static enum status write_header(struct wal_segments *segments, struct wal_segment *segment)
{
    struct wal_segment_header header = {
        .cluster = segments->config->cluster, .log = segments->config->log, .segment = segment->number};
    env_entropy(reactor_env(segments->reactor), &header.salt, sizeof header.salt);
    uint8_t *block = mem_alloc_aligned(WAL_BLOCK_BYTES, WAL_BLOCK_BYTES);
    wal_segment_encode(&header, block);
    segment->seed = header.seed;
    enum status status = disk_write(segments->reactor, segment->file, block, WAL_BLOCK_BYTES, 0);
    mem_free(block);
    return status;
}

/* Gives the file its name once its header is durable. */
static void give_name(struct wal_segments *segments, struct wal_segment *segment, const char *from)
{
    char path[WAL_PATH_BYTES];
    wal_path(segments->config->dir, segments->config->log, segment->number, path);
    enum status status = disk_sync(segments->reactor, segment->file);
    if (status != STATUS_OK) die(segments, from, "sync", status);
    status = disk_rename(segments->reactor, from, path);
    if (status != STATUS_OK) die(segments, from, "rename", status);
    if (PLANT(wal_skipped_dir_sync)) return;
    status = disk_sync_dir(segments->reactor, segments->config->dir);
    if (status != STATUS_OK) die(segments, segments->config->dir, "sync of the directory", status);
}

static void unfinished_path(
    const struct wal_segments *segments, const struct wal_segment *segment, char out[WAL_PATH_BYTES + 4])
{
    wal_path(segments->config->dir, segments->config->log, segment->number, out);
    memcpy(out + strlen(out), ".new", sizeof ".new");
}

static void drop_unfinished(struct wal_segments *segments, struct wal_segment *segment, const char *path)
{
    disk_close(segments->reactor, &segment->file);
    (void)!disk_unlink(segments->reactor, path);
    mem_free(segment);
}

/* From nothing. NO_SPACE leaves nothing behind. */
static enum status make_new(struct wal_segments *segments, uint64_t bytes, struct wal_segment **out)
{
    struct wal_segment *segment = segment_create(segments->next_number++, bytes);
    char path[WAL_PATH_BYTES + 4];
    unfinished_path(segments, segment, path);
    enum status status = disk_open(segments->reactor, path, DISK_CREATE | DISK_EXCLUSIVE | DISK_DIRECT, &segment->file);
    if (status == STATUS_OK) status = fill(segments, segment->file, bytes);
    if (status == STATUS_OK) status = write_header(segments, segment);
    if (status == STATUS_NO_SPACE) {
        drop_unfinished(segments, segment, path);
        return status;
    }
    if (status != STATUS_OK) die(segments, path, "making a segment", status);
    give_name(segments, segment, path);
    segments->counters->segments_made++;
    *out = segment;
    return STATUS_OK;
}

/* The file loses its segment's name durably before its header changes, so that a crash in between leaves no segment
   with a broken header. */
static enum status make_from_spare(struct wal_segments *segments, struct wal_segment **out)
{
    struct list *spare = list_pop_front(&segments->spares);
    CHECK(spare != NULL);
    struct wal_segment *segment = CONTAINER_OF(spare, struct wal_segment, link);
    segments->spares_count--;
    char old_path[WAL_PATH_BYTES], path[WAL_PATH_BYTES + 4];
    wal_path(segments->config->dir, segments->config->log, segment->number, old_path);
    segment->number = segments->next_number++;
    segment->last = 0;
    unfinished_path(segments, segment, path);
    enum status status = disk_rename(segments->reactor, old_path, path);
    if (status == STATUS_OK) status = disk_sync_dir(segments->reactor, segments->config->dir);
    if (status == STATUS_OK) status = disk_open(segments->reactor, path, DISK_DIRECT, &segment->file);
    if (status == STATUS_OK) status = write_header(segments, segment);
    if (status == STATUS_NO_SPACE) {
        drop_unfinished(segments, segment, path);
        return status;
    }
    if (status != STATUS_OK) die(segments, path, "reusing a segment", status);
    give_name(segments, segment, path);
    segments->counters->segments_reused++;
    *out = segment;
    return STATUS_OK;
}

static enum status make(struct wal_segments *segments, uint64_t bytes, struct wal_segment **out)
{
    bool reuse = !list_is_empty(&segments->spares) && bytes == segments->config->segment_bytes;
    return reuse ? make_from_spare(segments, out) : make_new(segments, bytes, out);
}

/* The fiber. Each step does one thing and says whether it did. */

static void make_next(struct wal_segments *segments)
{
    enum status status = make(segments, segments->config->segment_bytes, &segments->next);
    bool was_full = segments->disk_full;
    segments->disk_full = status == STATUS_NO_SPACE;
    if (segments->disk_full) segments->retry_at_ns = reactor_now_ns(segments->reactor) + RETRY_NS;
    if (segments->disk_full && !was_full)
        LOG(reactor_log(segments->reactor), WARN, "wal.disk_full", "log=%u", segments->config->log);
    gate_open(segments->room);
}

static bool is_free(const struct wal_segment *segment, uint64_t released)
{
    return segment->flying == 0 && segment->last <= released;
}

static bool tidy_old(struct wal_segments *segments)
{
    LIST_FOR_EACH (item, &segments->old) {
        struct wal_segment *segment = CONTAINER_OF(item, struct wal_segment, link);
        bool open = segment->file.handle >= 0;
        if (open && segment->flying == 0) {
            disk_close(segments->reactor, &segment->file);
            return true;
        }
        if (open || !is_free(segment, segments->released)) continue;
        list_remove(item);
        bool reusable = segment->bytes == segments->config->segment_bytes;
        if (reusable && segments->spares_count < segments->config->spares) {
            list_push_back(&segments->spares, item);
            segments->spares_count++;
            segments->retry_at_ns = 0;
            return true;
        }
        char path[WAL_PATH_BYTES];
        wal_path(segments->config->dir, segments->config->log, segment->number, path);
        enum status status = disk_unlink(segments->reactor, path);
        if (status != STATUS_OK) die(segments, path, "unlink", status);
        segments->counters->segments_deleted++;
        segments->retry_at_ns = 0;
        mem_free(segment);
        return true;
    }
    return false;
}

static void keep_house(void *argument)
{
    struct wal_segments *segments = argument;
    while (!segments->stopping) {
        if (tidy_old(segments)) continue;
        if (segments->next) {
            gate_wait(segments->reactor, &segments->work, REACTOR_NEVER);
        } else if (reactor_now_ns(segments->reactor) >= segments->retry_at_ns) {
            make_next(segments);
        } else {
            gate_wait(segments->reactor, &segments->work, segments->retry_at_ns);
        }
    }
    segments->running = false;
    gate_open(segments->room);
}

/* What a crash left unfinished has no name of a segment. */
static enum status remove_unfinished(struct wal_segments *segments)
{
    struct disk_names names;
    enum status status = disk_list(segments->reactor, segments->config->dir, &names);
    if (status != STATUS_OK) return status;
    for (uint32_t i = 0; i < names.count && status == STATUS_OK; i++) {
        uint8_t log;
        uint32_t number;
        bool unfinished;
        if (!wal_name_parse(names.names[i], &log, &number, &unfinished)) continue;
        if (log != segments->config->log || !unfinished) continue;
        char path[WAL_PATH_BYTES];
        snprintf(path, sizeof path, "%.100s/%.20s", segments->config->dir, names.names[i]);
        status = disk_unlink(segments->reactor, path);
    }
    disk_names_free(&names);
    return status;
}

enum status wal_segments_begin(struct wal_segments *segments, uint64_t first_group_bytes)
{
    enum status status = remove_unfinished(segments);
    if (status != STATUS_OK) return status;
    uint64_t needed = WAL_BLOCK_BYTES + first_group_bytes + segments->config->group_bytes;
    uint64_t usual = segments->config->segment_bytes;
    segments->offset = WAL_BLOCK_BYTES;
    return make(segments, needed > usual ? needed : usual, &segments->current);
}

void wal_segments_start(struct wal_segments *segments)
{
    segments->running = true;
    fiber_start(segments->reactor, "wal-segments", keep_house, segments);
}

static void free_list(struct wal_segments *segments, struct list *list)
{
    struct list *item;
    while ((item = list_pop_front(list))) {
        struct wal_segment *segment = CONTAINER_OF(item, struct wal_segment, link);
        CHECK(segment->flying == 0);
        disk_close(segments->reactor, &segment->file);
        mem_free(segment);
    }
}

void wal_segments_fini(struct wal_segments *segments)
{
    segments->stopping = true;
    gate_open(&segments->work);
    while (segments->running)
        gate_wait(segments->reactor, segments->room, REACTOR_NEVER);
    if (segments->next) list_push_back(&segments->old, &segments->next->link);
    if (segments->current) list_push_back(&segments->old, &segments->current->link);
    segments->next = segments->current = NULL;
    free_list(segments, &segments->old);
    free_list(segments, &segments->spares);
}

/* Placing groups. */

bool wal_segments_fit(const struct wal_segments *segments, uint64_t bytes)
{
    return segments->next || bytes <= segments->current->bytes - segments->offset;
}

struct wal_segment *wal_segments_place(
    struct wal_segments *segments, uint64_t bytes, uint64_t first_sequence, uint64_t *offset)
{
    CHECK(wal_segments_fit(segments, bytes));
    if (bytes > segments->current->bytes - segments->offset) {
        segments->current->last = first_sequence - 1;
        list_push_back(&segments->old, &segments->current->link);
        segments->current = segments->next;
        segments->next = NULL;
        segments->offset = WAL_BLOCK_BYTES;
        gate_open(&segments->work);
    }
    CHECK(segments->offset + bytes <= segments->current->bytes);
    *offset = segments->offset;
    segments->offset += bytes;
    segments->current->flying++;
    return segments->current;
}

void wal_segments_written(struct wal_segments *segments, struct wal_segment *segment)
{
    CHECK(segment->flying > 0);
    segment->flying--;
    if (segment->flying == 0 && segment != segments->current) gate_open(&segments->work);
}

void wal_segments_release(struct wal_segments *segments, uint64_t sequence)
{
    if (sequence <= segments->released) return;
    segments->released = sequence;
    if (wal_segments_would_free(segments, sequence)) gate_open(&segments->work);
}

bool wal_segments_would_free(const struct wal_segments *segments, uint64_t sequence)
{
    LIST_FOR_EACH (item, &segments->old) {
        if (is_free(CONTAINER_OF(item, struct wal_segment, link), sequence)) return true;
    }
    return false;
}

uint64_t wal_segments_bytes(const struct wal_segments *segments)
{
    uint64_t bytes = segments->current ? segments->current->bytes : 0;
    LIST_FOR_EACH (item, &segments->old) {
        bytes += CONTAINER_OF(item, struct wal_segment, link)->bytes;
    }
    return bytes;
}
