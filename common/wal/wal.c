/*
 * wal: appending. A group is *open* while records gather in it, *closed* once it has its place in a segment, *flying*
 * while the disk has it. Groups are told in the order of their sequences, whatever the order of completions.
 */
#include "common/wal/wal.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/runtime/disk.h"
#include "common/runtime/fiber.h"
#include "common/runtime/reactor.h"
#include "common/wal/wal_format.h"
#include "common/wal/wal_recover.h"
#include "common/wal/wal_segments.h"

/* The idle marker follows the last group so soon that a flipped bit of that group is hardly ever taken for a torn tail,
   and so late that a log under load never writes one. */
#define MARKER_DELAY_NS (20 * 1000000ull)

struct group {
    struct wal *wal;
    struct disk_request request;
    struct list link; /* in free, closed or flying */
    uint8_t *data;
    uint32_t size; /* header and records */
    uint32_t count;
    uint64_t first;
    uint64_t synced, released; /* as its header says, once flying */
    struct wal_segment *segment;
    uint64_t offset;
    bool written;
    struct list waiters;
};

struct wal {
    struct reactor *reactor;
    struct wal_config config; /* defaults filled in */
    char dir[WAL_DIR_BYTES_MAX + 1];
    struct wal_segments segments;
    struct group *groups;
    struct list free, closed, flying;
    struct group *open;
    unsigned flying_count; /* not told yet, so that a crash leaves at most so many groups that no mark proves */
    uint64_t last;         /* given out */
    uint64_t synced;       /* told */
    uint64_t marked;       /* a durable group says that everything up to it is durable */
    uint64_t released, marked_released;
    struct task pump;
    struct timer idle;
    struct gate room; /* something was told, or a segment is ready, or cannot be made */
    struct wal_counters counters;
};

static uint64_t padded(uint64_t bytes)
{
    return (bytes + WAL_BLOCK_BYTES - 1) / WAL_BLOCK_BYTES * WAL_BLOCK_BYTES;
}

static bool is_idle(const struct wal *wal)
{
    return !wal->open && list_is_empty(&wal->closed) && list_is_empty(&wal->flying);
}

/* Groups. */

static void open_group(struct wal *wal)
{
    CHECK(!wal->open);
    struct list *item = list_pop_front(&wal->free);
    CHECK(item != NULL);
    struct group *group = CONTAINER_OF(item, struct group, link);
    group->size = WAL_GROUP_HEADER_BYTES;
    group->count = 0;
    group->first = wal->last + 1;
    group->written = false;
    wal->open = group;
}

/* Gives the open group its place. It fits: wal_append saw to that. */
static void close_group(struct wal *wal)
{
    struct group *group = wal->open;
    wal->open = NULL;
    group->segment = wal_segments_place(&wal->segments, padded(group->size), group->first, &group->offset);
    list_push_back(&wal->closed, &group->link);
}

static void tell(struct wal *wal, struct list *waiters)
{
    struct list *item;
    while ((item = list_pop_front(waiters))) {
        struct wal_waiter *waiter = CONTAINER_OF(item, struct wal_waiter, link);
        CHECK(waiter->sequence <= wal->synced || PLANT(wal_ack_before_sync));
        waiter->done(waiter);
    }
}

static bool needs_marker(const struct wal *wal)
{
    if (wal->marked < wal->synced) return true;
    return wal->marked_released < wal->released && wal_segments_would_free(&wal->segments, wal->released);
}

/* Takes the written groups from the front of those that fly. */
static void acknowledge(struct wal *wal)
{
    while (!list_is_empty(&wal->flying)) {
        struct group *group = CONTAINER_OF(wal->flying.next, struct group, link);
        if (!group->written) break;
        list_remove(&group->link);
        wal->flying_count--;
        CHECK(group->first == wal->synced + 1);
        wal->synced += group->count;
        wal->marked = group->synced;
        wal->marked_released = group->released;
        wal_segments_release(&wal->segments, group->released);
        struct list waiters;
        list_init(&waiters);
        list_splice_back(&waiters, &group->waiters);
        list_push_back(&wal->free, &group->link);
        tell(wal, &waiters);
        gate_open(&wal->room);
    }
    if (is_idle(wal) && needs_marker(wal)) timer_start_in(&wal->idle, MARKER_DELAY_NS);
}

__attribute__((noreturn)) static void die(
    struct wal *wal, const struct wal_segment *segment, uint64_t offset, enum status status)
{
    char path[WAL_PATH_BYTES], why[WAL_PATH_BYTES + 120];
    wal_path(wal->dir, wal->config.log, segment->number, path);
    snprintf(why, sizeof why, "%s: synced write at %llu failed (%s); stopping, nothing of it was acknowledged", path,
        (unsigned long long)offset, status_name(status));
    env_die(reactor_env(wal->reactor), status, why);
}

static void on_written(struct disk_request *request)
{
    struct group *group = CONTAINER_OF(request, struct group, request);
    struct wal *wal = group->wal;
    if (request->status != STATUS_OK) {
        char path[WAL_PATH_BYTES], why[WAL_PATH_BYTES + 120];
        wal_path(wal->dir, wal->config.log, group->segment->number, path);
        snprintf(why, sizeof why, "%s: synced write at %llu failed (%s); stopping, nothing of it was acknowledged",
            path, (unsigned long long)group->offset, status_name(request->status));
        env_die(reactor_env(wal->reactor), request->status, why);
    }
    group->written = true;
    wal_segments_written(&wal->segments, group->segment);
    acknowledge(wal);
    if (wal->open || !list_is_empty(&wal->closed)) reactor_defer_last(wal->reactor, &wal->pump);
}

static void submit(struct wal *wal, struct group *group)
{
    group->synced = wal->synced;
    group->released = wal->released;
    struct wal_group header = {.log = wal->config.log,
        .segment = group->segment->number,
        .block = (uint32_t)(group->offset / WAL_BLOCK_BYTES),
        .first = group->first,
        .count = group->count,
        .length = group->size - WAL_GROUP_HEADER_BYTES,
        .synced = group->synced,
        .released = group->released};
    wal_group_encode(group->segment->seed, &header, group->data);
    uint32_t bytes = (uint32_t)padded(group->size);
    memset(group->data + group->size, 0, bytes - group->size);
    group->request = (struct disk_request){.op = DISK_WRITE,
        .flags = DISK_DSYNC,
        .file = group->segment->file,
        .data = group->data,
        .size = bytes,
        .offset = group->offset,
        .done = on_written};
    list_push_back(&wal->flying, &group->link);
    wal->flying_count++;
    wal->counters.groups++;
    wal->counters.written_bytes += bytes;
    disk_submit(wal->reactor, &group->request);
    if (PLANT(wal_ack_before_sync)) tell(wal, &group->waiters);
}

/* Runs last in a turn, so that a group takes all that the turn appended. */
static void pump(struct wal *wal)
{
    while (wal->flying_count < wal->config.commits_in_flight) {
        if (list_is_empty(&wal->closed) && wal->open) close_group(wal);
        struct list *item = list_pop_front(&wal->closed);
        if (!item) break;
        submit(wal, CONTAINER_OF(item, struct group, link));
    }
}

static void pump_run(struct task *task)
{
    pump(CONTAINER_OF(task, struct wal, pump));
}

static void write_marker(struct wal *wal)
{
    CHECK(is_idle(wal));
    open_group(wal);
    close_group(wal);
    wal->counters.markers++;
    pump(wal);
}

static void on_idle(struct timer *timer)
{
    struct wal *wal = CONTAINER_OF(timer, struct wal, idle);
    if (!is_idle(wal) || !needs_marker(wal)) return;
    if (wal_segments_fit(&wal->segments, WAL_BLOCK_BYTES))
        write_marker(wal);
    else
        timer_start_in(&wal->idle, MARKER_DELAY_NS);
}

/* Appending. */

/* Makes sure that the open group can take so many bytes more and still be placed. */
static enum status make_room(struct wal *wal, size_t bytes)
{
    if (wal->open && wal->open->size + bytes > wal->config.group_bytes) close_group(wal);
    if (!wal->open && list_is_empty(&wal->free)) {
        wal->counters.busy++;
        return STATUS_BUSY;
    }
    uint64_t size = padded((wal->open ? wal->open->size : WAL_GROUP_HEADER_BYTES) + bytes);
    if (wal_segments_fit(&wal->segments, size)) return STATUS_OK;
    if (wal->segments.disk_full) {
        wal->counters.no_space++;
        return STATUS_NO_SPACE;
    }
    wal->counters.busy++;
    return STATUS_BUSY;
}

enum status wal_append(
    struct wal *wal, uint8_t kind, const struct bytes *parts, unsigned count, struct wal_waiter *waiter)
{
    size_t payload = 0;
    for (unsigned i = 0; i < count; i++)
        payload += parts[i].size;
    size_t bytes = wal_record_bytes(payload);
    if (payload > wal->config.group_bytes || WAL_GROUP_HEADER_BYTES + bytes > wal->config.group_bytes)
        return STATUS_TOO_BIG;
    enum status status = make_room(wal, bytes);
    if (status != STATUS_OK) return status;
    if (!wal->open) open_group(wal);
    struct group *group = wal->open;
    struct writer writer = writer_of(group->data + group->size, wal->config.group_bytes - group->size);
    wal_record_encode(&writer, kind, parts, count);
    CHECK(writer_ok(&writer) && writer_size(&writer) == bytes);
    group->size += (uint32_t)bytes;
    group->count++;
    wal->last++;
    CHECK(wal->last == group->first + group->count - 1);
    wal->counters.records++;
    wal->counters.record_bytes += payload;
    if (waiter) {
        waiter->sequence = wal->last;
        list_push_back(&group->waiters, &waiter->link);
    }
    reactor_defer_last(wal->reactor, &wal->pump);
    return STATUS_OK;
}

struct fiber_waiter {
    struct wal_waiter waiter;
    struct fiber *fiber;
    bool done;
};

static void wake_waiter(struct wal_waiter *waiter)
{
    struct fiber_waiter *record = CONTAINER_OF(waiter, struct fiber_waiter, waiter);
    record->done = true;
    fiber_wake(record->fiber);
}

enum status wal_append_wait(
    struct wal *wal, uint8_t kind, const struct bytes *parts, unsigned count, uint64_t *sequence)
{
    struct fiber_waiter record = {.waiter = {.done = wake_waiter}, .fiber = fiber_current(wal->reactor)};
    CHECK(record.fiber != NULL);
    enum status status;
    while ((status = wal_append(wal, kind, parts, count, &record.waiter)) == STATUS_BUSY)
        gate_wait(wal->reactor, &wal->room, REACTOR_NEVER);
    if (status != STATUS_OK) return status;
    while (!record.done)
        fiber_suspend(wal->reactor);
    if (sequence) *sequence = record.waiter.sequence;
    return STATUS_OK;
}

void wal_sync(struct wal *wal)
{
    uint64_t last = wal->last;
    while (wal->synced < last)
        gate_wait(wal->reactor, &wal->room, REACTOR_NEVER);
}

uint64_t wal_last_sequence(const struct wal *wal)
{
    return wal->last;
}

uint64_t wal_synced_sequence(const struct wal *wal)
{
    return wal->synced;
}

bool wal_lacks_space(const struct wal *wal)
{
    return wal->segments.disk_full;
}

uint64_t wal_bytes(const struct wal *wal)
{
    return wal_segments_bytes(&wal->segments);
}

void wal_release(struct wal *wal, uint64_t sequence)
{
    CHECK(sequence <= wal->synced);
    if (sequence <= wal->released) return;
    wal->released = sequence;
    if (is_idle(wal) && needs_marker(wal) && !timer_is_running(&wal->idle)) timer_start_in(&wal->idle, MARKER_DELAY_NS);
}

uint64_t wal_released_sequence(const struct wal *wal)
{
    return wal->released;
}

const struct wal_counters *wal_counters(const struct wal *wal)
{
    return &wal->counters;
}

/* Opening and closing. */

static void fill_defaults(struct wal_config *config)
{
    if (!config->segment_bytes) config->segment_bytes = WAL_SEGMENT_BYTES_DEFAULT;
    if (!config->group_bytes) config->group_bytes = WAL_GROUP_BYTES_DEFAULT;
    if (!config->buffers) config->buffers = WAL_BUFFERS_DEFAULT;
    if (!config->commits_in_flight) config->commits_in_flight = WAL_COMMITS_IN_FLIGHT_DEFAULT;
    if (!config->spares) config->spares = WAL_SPARES_DEFAULT;
    CHECK(config->group_bytes % WAL_BLOCK_BYTES == 0 && config->segment_bytes % WAL_BLOCK_BYTES == 0);
    CHECK(config->segment_bytes >= 2 * (uint64_t)config->group_bytes + WAL_BLOCK_BYTES);
    CHECK(config->commits_in_flight <= WAL_COMMITS_IN_FLIGHT_MAX && config->buffers > config->commits_in_flight);
}

static struct wal *wal_create(struct reactor *reactor, const struct wal_config *config)
{
    struct wal *wal = mem_zalloc(sizeof *wal);
    wal->reactor = reactor;
    wal->config = *config;
    CHECK(strlen(config->dir) <= WAL_DIR_BYTES_MAX);
    memcpy(wal->dir, config->dir, strlen(config->dir) + 1);
    CHECK(!uuid_is_zero(&config->cluster));
    wal->config.dir = wal->dir;
    fill_defaults(&wal->config);
    list_init(&wal->free);
    list_init(&wal->closed);
    list_init(&wal->flying);
    task_init(&wal->pump, pump_run);
    timer_init(&wal->idle, reactor, on_idle);
    gate_init(&wal->room);
    wal->groups = mem_zalloc(sizeof *wal->groups * wal->config.buffers);
    for (unsigned i = 0; i < wal->config.buffers; i++) {
        struct group *group = &wal->groups[i];
        group->wal = wal;
        group->data = mem_alloc_aligned(WAL_BLOCK_BYTES, wal->config.group_bytes);
        list_init(&group->waiters);
        list_push_back(&wal->free, &group->link);
    }
    wal_segments_init(&wal->segments, reactor, &wal->config);
    wal->segments.counters = &wal->counters;
    wal->segments.room = &wal->room;
    return wal;
}

static void wal_free(struct wal *wal)
{
    timer_stop(&wal->idle);
    task_cancel(&wal->pump);
    for (unsigned i = 0; i < wal->config.buffers; i++)
        mem_free(wal->groups[i].data);
    mem_free(wal->groups);
    mem_free(wal);
}

/* The log's directory and its name. */
static enum status make_directory(struct reactor *reactor, const char *dir)
{
    enum status status = disk_mkdir(reactor, dir);
    if (status != STATUS_OK) return status;
    char parent[WAL_DIR_BYTES_MAX + 1];
    snprintf(parent, sizeof parent, "%s", dir);
    char *slash = strrchr(parent, '/');
    *(slash ? slash : parent) = '\0';
    return disk_sync_dir(reactor, parent);
}

static void wait_until_idle(struct wal *wal)
{
    while (!is_idle(wal))
        gate_wait(wal->reactor, &wal->room, REACTOR_NEVER);
}

/* The first group of the new segment: says where the log goes on, and holds again the records of the tail. One group,
   so that a crash leaves either the old copy or this one. */
static enum status write_first_group(struct wal *wal, const struct wal_scan *scan)
{
    uint64_t bytes = padded(WAL_GROUP_HEADER_BYTES + scan->tail.size);
    enum status status = wal_segments_begin(&wal->segments, bytes);
    if (status != STATUS_OK) return status;
    struct wal_group header = {.log = wal->config.log,
        .count = (uint32_t)(scan->next_sequence - scan->tail_first),
        .first = scan->tail_first,
        .length = (uint32_t)scan->tail.size,
        .synced = scan->tail_first - 1,
        .released = scan->released};
    if (header.released > header.synced) header.released = header.synced;
    uint64_t offset;
    struct wal_segment *segment = wal_segments_place(&wal->segments, bytes, header.first, &offset);
    header.segment = segment->number;
    header.block = (uint32_t)(offset / WAL_BLOCK_BYTES);
    uint8_t *data = mem_alloc_aligned(WAL_BLOCK_BYTES, bytes);
    memset(data, 0, bytes);
    if (scan->tail.size) memcpy(data + WAL_GROUP_HEADER_BYTES, scan->tail.data, scan->tail.size);
    wal_group_encode(segment->seed, &header, data);
    status = disk_write(wal->reactor, segment->file, data, (uint32_t)bytes, offset);
    if (status == STATUS_OK) status = disk_sync(wal->reactor, segment->file);
    if (status != STATUS_OK) die(wal, segment, offset, status);
    mem_free(data);
    wal_segments_written(&wal->segments, segment);
    wal->marked = header.synced;
    wal->marked_released = header.released;
    wal_segments_release(&wal->segments, header.released);
    return STATUS_OK;
}

/* Goes on behind what was recovered, in a new segment. */
static enum status go_on(struct wal *wal, const struct wal_scan *scan)
{
    wal->last = wal->synced = scan->next_sequence - 1;
    wal->released = scan->released;
    wal_segments_adopt(&wal->segments, scan, false);
    enum status status = write_first_group(wal, scan);
    if (status != STATUS_OK) return status;
    wal_segments_adopt(&wal->segments, scan, true);
    wal_segments_start(&wal->segments);
    acknowledge(wal);
    return STATUS_OK;
}

enum status wal_open(
    struct reactor *reactor, const struct wal_config *config, struct wal_recovery *recovery, struct wal **out)
{
    *recovery = (struct wal_recovery){0};
    enum status status = make_directory(reactor, config->dir);
    if (status != STATUS_OK) {
        snprintf(recovery->why, sizeof recovery->why, "%.100s: cannot be made", config->dir);
        return status;
    }
    struct wal *wal = wal_create(reactor, config);
    struct wal_scan scan = {0};
    status = wal_scan(reactor, &wal->config, recovery, &scan);
    if (status == STATUS_OK) {
        status = go_on(wal, &scan);
        if (status != STATUS_OK)
            snprintf(recovery->why, sizeof recovery->why, "%.100s: no segment can be made (%s)", config->dir,
                status_text(status));
        if (status != STATUS_OK) wal_segments_fini(&wal->segments);
    }
    wal_scan_free(&scan);
    if (status != STATUS_OK) {
        wal_free(wal);
        return status;
    }
    *out = wal;
    return STATUS_OK;
}

void wal_close(struct wal *wal)
{
    wait_until_idle(wal);
    if (needs_marker(wal) && wal_segments_fit(&wal->segments, WAL_BLOCK_BYTES)) {
        write_marker(wal);
        wait_until_idle(wal);
    }
    wal_segments_fini(&wal->segments);
    wal_free(wal);
}
