/*
 * wal_recover: see wal_recover.h.
 *
 * Two facts carry the reasoning. Every group names the last sequence that was durable when it was written, so the
 * largest such mark found anywhere (*synced*) is a lower bound of what was ever told to a waiter: an unreadable record
 * at or below it is damage, one above it is the torn tail of a crash. And recovery never appends to a segment that a
 * crash ended: it starts a new one, whose first group names the sequence where the log goes on, so whatever an older
 * segment holds from there on was dropped once and stays dropped.
 */
#include "common/wal/wal_recover.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/runtime/reactor.h"

enum { WINDOW_BYTES = 256 << 10 };

struct segment {
    uint32_t number;
    uint64_t bytes;
    uint32_t seed;
    bool foreign;   /* the header names another segment: its file was about to be reused */
    bool readable;  /* the header is */
    bool started;   /* a group begins at block 1 */
    uint64_t first; /* of that group */
    bool replayed;  /* records were found in it */
    uint64_t last;  /* no record of it is above */
};

/* What a group says of releases counts as durable once the group is known to be. */
struct mark {
    uint64_t proven_by; /* a synced sequence from here on proves the group */
    uint64_t released;
};

struct scan {
    struct reactor *reactor;
    const struct wal_config *config;
    const struct uuid *cluster; /* NULL: any */
    struct wal_recovery *recovery;
    struct segment *segments;
    uint32_t count;
    uint32_t next_number;
    uint64_t synced, released; /* the largest marks found */
    struct buffer marks;       /* struct mark, of every group looked at */
    uint64_t newest;           /* the largest sequence that a group's header claims, in the last segments */
    uint64_t next;             /* the sequence that is expected next */
    uint64_t lost_with_it;     /* after damage was met: the newest record that was behind it; it counts as synced */
    uint32_t start;            /* segments before it are released, */
    uint32_t start_by_marks;   /* and those before this one are so whatever the caller says */
    struct buffer tail;        /* records above synced, and where they begin */
    uint64_t tail_first;
    struct segment *open;
    struct disk_file file;
    uint8_t *window; /* of the open segment */
    uint64_t window_offset;
    uint32_t window_bytes, window_capacity;
};

void wal_path(const char *dir, uint8_t log, uint32_t segment, char out[WAL_PATH_BYTES])
{
    char name[WAL_NAME_BYTES];
    wal_name(log, segment, name);
    int size = snprintf(out, WAL_PATH_BYTES, "%s/%s", dir, name);
    CHECK(size > 0 && size < WAL_PATH_BYTES);
}

static void say(struct scan *scan, const struct segment *segment, uint64_t offset, const char *what)
{
    char path[WAL_PATH_BYTES];
    wal_path(scan->config->dir, scan->config->log, segment->number, path);
    snprintf(scan->recovery->why, sizeof scan->recovery->why, "%s: %.110s (at byte %llu)", path, what,
        (unsigned long long)offset);
}

/* Reading. */

static void close_segment(struct scan *scan)
{
    if (!scan->open) return;
    disk_close(scan->reactor, &scan->file);
    scan->open = NULL;
    scan->window_bytes = 0;
}

static enum status open_segment(struct scan *scan, struct segment *segment)
{
    if (scan->open == segment) return STATUS_OK;
    close_segment(scan);
    char path[WAL_PATH_BYTES];
    wal_path(scan->config->dir, scan->config->log, segment->number, path);
    enum status status = disk_open(scan->reactor, path, DISK_DIRECT | DISK_READ_ONLY, &scan->file);
    if (status != STATUS_OK) {
        say(scan, segment, 0, "cannot be opened");
        return STATUS_IO;
    }
    scan->open = segment;
    return STATUS_OK;
}

/* Blocks that the disk refuses to read are zeros in the window, which no group is. */
static void read_window(struct scan *scan, uint64_t offset, uint32_t size)
{
    if (size > scan->window_capacity) {
        mem_free(scan->window);
        scan->window = mem_alloc_aligned(WAL_BLOCK_BYTES, size);
        scan->window_capacity = size;
    }
    scan->window_offset = offset;
    scan->window_bytes = size;
    if (disk_read(scan->reactor, scan->file, scan->window, size, offset) == STATUS_OK) return;
    for (uint32_t at = 0; at < size; at += WAL_BLOCK_BYTES) {
        if (disk_read(scan->reactor, scan->file, scan->window + at, WAL_BLOCK_BYTES, offset + at) == STATUS_OK)
            continue;
        memset(scan->window + at, 0, WAL_BLOCK_BYTES);
    }
}

/* The bytes of the open segment at a block, NULL beyond its end. Valid until the next call. */
static const uint8_t *bytes_at(struct scan *scan, uint64_t offset, uint64_t size)
{
    uint64_t end = scan->open->bytes;
    size = (size + WAL_BLOCK_BYTES - 1) / WAL_BLOCK_BYTES * WAL_BLOCK_BYTES;
    if (offset > end || size > end - offset) return NULL;
    bool inside = offset >= scan->window_offset && offset + size <= scan->window_offset + scan->window_bytes;
    if (!inside) {
        uint64_t wanted = size < WINDOW_BYTES ? WINDOW_BYTES : size;
        if (wanted > end - offset) wanted = end - offset;
        read_window(scan, offset, (uint32_t)wanted);
    }
    return scan->window + (offset - scan->window_offset);
}

static bool group_header_at(struct scan *scan, uint64_t offset, struct wal_group *out)
{
    const uint8_t *header = bytes_at(scan, offset, WAL_BLOCK_BYTES);
    if (!header || !scan->open->readable) return false;
    struct wal_group place = {
        .log = scan->config->log, .segment = scan->open->number, .block = (uint32_t)(offset / WAL_BLOCK_BYTES)};
    return wal_group_decode(scan->open->seed, header, &place, out);
}

static bool whole_group_at(struct scan *scan, uint64_t offset, struct wal_group *out, struct bytes *records)
{
    struct wal_group group;
    if (!group_header_at(scan, offset, &group)) return false;
    const uint8_t *data = bytes_at(scan, offset, wal_group_bytes(&group));
    if (!data) return false;
    if (!wal_group_is_whole(scan->open->seed, &group, bytes_of(data, WAL_GROUP_HEADER_BYTES + group.length)))
        return false;
    *out = group;
    *records = bytes_of(data + WAL_GROUP_HEADER_BYTES, group.length);
    return true;
}

/* First look: which segments there are, where each starts, and the largest marks. */

static enum status list_segments(struct scan *scan)
{
    struct disk_names names;
    enum status status = disk_list(scan->reactor, scan->config->dir, &names);
    if (status == STATUS_NOT_FOUND) return STATUS_OK;
    if (status != STATUS_OK) return STATUS_IO;
    scan->segments = mem_zalloc(sizeof *scan->segments * (names.count + 1));
    for (uint32_t i = 0; i < names.count; i++) {
        uint8_t log;
        uint32_t number;
        bool unfinished;
        if (!wal_name_parse(names.names[i], &log, &number, &unfinished) || log != scan->config->log) continue;
        if (number >= scan->next_number) scan->next_number = number + 1;
        if (!unfinished) scan->segments[scan->count++].number = number;
    }
    disk_names_free(&names);
    for (uint32_t i = 1; i < scan->count; i++)
        CHECK(scan->segments[i - 1].number < scan->segments[i].number);
    return STATUS_OK;
}

static void take_marks(struct scan *scan, const struct wal_group *group)
{
    if (group->synced > scan->synced) scan->synced = group->synced;
    if (group->released > scan->released) scan->released = group->released;
    struct mark mark = {group->first + (group->count ? group->count - 1 : 0), group->released};
    buffer_append(&scan->marks, &mark, sizeof mark);
}

static uint64_t proven_release(const struct scan *scan)
{
    const struct mark *marks = (const struct mark *)(const void *)scan->marks.data;
    uint64_t released = 0;
    for (size_t i = 0; i < scan->marks.size / sizeof *marks; i++)
        if (marks[i].proven_by <= scan->synced && marks[i].released > released) released = marks[i].released;
    return released;
}

static enum status peek_segment(struct scan *scan, struct segment *segment)
{
    enum status status = open_segment(scan, segment);
    if (status != STATUS_OK) return status;
    status = disk_size(scan->reactor, scan->file, &segment->bytes);
    if (status != STATUS_OK) {
        say(scan, segment, 0, "its size cannot be read");
        return STATUS_IO;
    }
    segment->bytes = segment->bytes / WAL_BLOCK_BYTES * WAL_BLOCK_BYTES;
    if (segment->bytes < 2 * WAL_BLOCK_BYTES) return STATUS_OK;
    read_window(scan, 0, 2 * WAL_BLOCK_BYTES);
    struct wal_segment_header header;
    char why[120];
    status = wal_segment_decode(bytes_of(scan->window, WAL_BLOCK_BYTES), scan->cluster, &header, why, sizeof why);
    if (status == STATUS_CONFLICT) {
        say(scan, segment, 0, why);
        return status;
    }
    segment->readable = status == STATUS_OK;
    if (!segment->readable) return STATUS_OK;
    segment->seed = header.seed;
    segment->foreign = header.log != scan->config->log || header.segment != segment->number;
    if (segment->foreign && header.segment >= scan->next_number) scan->next_number = header.segment + 1;
    struct wal_group group;
    struct bytes records;
    if (segment->foreign || !whole_group_at(scan, WAL_BLOCK_BYTES, &group, &records)) return STATUS_OK;
    segment->started = true;
    segment->first = group.first;
    take_marks(scan, &group);
    return STATUS_OK;
}

/* The last segment that was started, and what lies behind it, is searched block by block: the newest marks are there,
   whatever is damaged. */
static enum status search_marks(struct scan *scan)
{
    uint32_t from = 0;
    for (uint32_t i = 0; i < scan->count; i++)
        if (scan->segments[i].started) from = i;
    for (uint32_t i = from; i < scan->count; i++) {
        struct segment *segment = &scan->segments[i];
        if (!segment->readable || segment->foreign) continue;
        enum status status = open_segment(scan, segment);
        if (status != STATUS_OK) return status;
        for (uint64_t offset = WAL_BLOCK_BYTES; offset < segment->bytes; offset += WAL_BLOCK_BYTES) {
            struct wal_group group;
            if (!group_header_at(scan, offset, &group)) continue;
            take_marks(scan, &group);
            if (group.count > 0 && group.first + group.count - 1 > scan->newest)
                scan->newest = group.first + group.count - 1;
        }
    }
    return STATUS_OK;
}

/* Replay. */

/* Where the log goes on after segment i: records from there on in segment i were dropped by an earlier recovery. */
static uint64_t next_first(const struct scan *scan, uint32_t i)
{
    uint64_t first = UINT64_MAX;
    for (uint32_t later = i + 1; later < scan->count; later++)
        if (scan->segments[later].started && scan->segments[later].first < first) first = scan->segments[later].first;
    return first;
}

static void keep_tail(struct scan *scan, const struct wal_record *record)
{
    if (record->sequence <= scan->synced) return;
    if (scan->tail.size == 0) scan->tail_first = record->sequence;
    buffer_append_varint(&scan->tail, record->payload.size);
    buffer_append(&scan->tail, &record->kind, 1);
    buffer_append(&scan->tail, record->payload.data, record->payload.size);
}

static enum status replay_group(struct scan *scan, const struct wal_group *group, struct bytes records, uint64_t limit)
{
    const struct wal_replay *replay = &scan->config->replay;
    struct reader reader = reader_of(records);
    struct wal_record record = {.log = scan->config->log, .sequence = group->first};
    while (record.sequence < limit && wal_record_decode(&reader, &record.kind, &record.payload)) {
        keep_tail(scan, &record);
        if (record.sequence > replay->after && replay->record) {
            enum status status = replay->record(replay->context, &record);
            if (status != STATUS_OK) return status;
            scan->recovery->records++;
        }
        record.sequence++;
    }
    scan->next = record.sequence;
    return STATUS_OK;
}

/* The last record of the groups that stand right behind the one that was named as synced last. Behind damage they may
   be out of reach, as when their segment's first group is gone; and whether they were synced nobody can tell. */
static uint64_t newest_whole(struct scan *scan)
{
    struct segment *open = scan->open;
    uint64_t newest = scan->synced;
    for (uint32_t i = 0; i < scan->count; i++) {
        struct segment *segment = &scan->segments[i];
        if (!segment->readable || segment->foreign || open_segment(scan, segment) != STATUS_OK) continue;
        const uint64_t limit = next_first(scan, i);
        uint64_t behind = 0; /* where the next one must stand */
        for (uint64_t offset = WAL_BLOCK_BYTES; offset < segment->bytes; offset += WAL_BLOCK_BYTES) {
            struct wal_group group;
            struct bytes records;
            if (!whole_group_at(scan, offset, &group, &records) || group.first >= limit) continue;
            uint64_t last = group.first + group.count - 1;
            bool follows = offset == behind && group.first == newest + 1;
            if (follows && group.count > 0) newest = last;
            if (group.count > 0 && last == newest) behind = offset + wal_group_bytes(&group);
        }
    }
    if (open && open_segment(scan, open) != STATUS_OK) return newest; /* whoever reads on meets it again */
    return newest;
}

static void note_damage(struct scan *scan, const struct segment *segment, uint64_t offset)
{
    struct wal_recovery *recovery = scan->recovery;
    if (recovery->damaged) return;
    recovery->damaged = true;
    recovery->lost_first = scan->next;
    scan->lost_with_it = newest_whole(scan);
    recovery->lost_last = scan->lost_with_it > scan->next ? scan->lost_with_it : scan->next;
    recovery->damaged_segment = segment->number;
    recovery->damaged_offset = offset;
    say(scan, segment, offset, "damaged below what was synced");
    LOG(reactor_log(scan->reactor), ERROR, "wal.damaged", "log=%u segment=%u offset=%llu lost_from=%llu synced=%llu",
        scan->config->log, segment->number, (unsigned long long)offset, (unsigned long long)scan->next,
        (unsigned long long)scan->synced);
}

/* The disk itself refuses what lies at the position where reading stopped, so nobody can tell whether it was synced. */
static bool is_refused(struct scan *scan, uint64_t offset)
{
    if (offset + WAL_BLOCK_BYTES > scan->open->bytes) return false;
    uint64_t size = WAL_BLOCK_BYTES;
    struct wal_group group;
    if (group_header_at(scan, offset, &group)) size = wal_group_bytes(&group);
    if (size > scan->open->bytes - offset) return false;
    uint8_t *block = mem_alloc_aligned(WAL_BLOCK_BYTES, WAL_BLOCK_BYTES);
    enum status status = STATUS_OK;
    for (uint64_t at = 0; at < size && status == STATUS_OK; at += WAL_BLOCK_BYTES)
        status = disk_read(scan->reactor, scan->file, block, WAL_BLOCK_BYTES, offset + at);
    mem_free(block);
    return status != STATUS_OK;
}

/* Moves on to the next group of the open segment that can be read; false when there is none below limit. */
static bool skip_damage(struct scan *scan, uint64_t *offset, uint64_t limit)
{
    for (uint64_t at = *offset + WAL_BLOCK_BYTES; at < scan->open->bytes; at += WAL_BLOCK_BYTES) {
        struct wal_group group;
        struct bytes records;
        if (!whole_group_at(scan, at, &group, &records) || group.first < scan->next || group.first >= limit) continue;
        scan->next = group.first;
        *offset = at;
        return true;
    }
    uint64_t proven = scan->synced + 1 < limit ? scan->synced + 1 : limit;
    if (proven > scan->next) scan->next = proven;
    return false;
}

static enum status replay_segment(struct scan *scan, uint32_t i)
{
    struct segment *segment = &scan->segments[i];
    enum status status = open_segment(scan, segment);
    if (status != STATUS_OK) return status;
    const uint64_t limit = next_first(scan, i);
    uint64_t offset = WAL_BLOCK_BYTES;
    bool unproven = false;
    while (scan->next < limit) {
        struct wal_group group;
        struct bytes records;
        if (PLANT(wal_forgets_the_unmarked) && scan->next > scan->synced && scan->synced > 0) break;
        if (whole_group_at(scan, offset, &group, &records) && group.first == scan->next) {
            status = replay_group(scan, &group, records, limit);
            if (status != STATUS_OK) return status;
            segment->replayed |= group.count > 0;
            unproven |= scan->next > scan->synced + 1;
            offset += wal_group_bytes(&group);
            continue;
        }
        if (PLANT(wal_hole_in_torn_tail) && skip_damage(scan, &offset, limit)) continue;
        if (scan->synced < scan->next && segment->readable && !is_refused(scan, offset)) break;
        note_damage(scan, segment, offset);
        if (!scan->config->replay.accept_damage) return STATUS_CORRUPT;
        bool found = skip_damage(scan, &offset, limit);
        if (scan->next > scan->recovery->lost_last + 1) scan->recovery->lost_last = scan->next - 1;
        if (!found) break;
    }
    segment->last = scan->next - 1;
    if (!unproven) return STATUS_OK;
    /* The process may have died between the write and its sync. */
    status = disk_sync(scan->reactor, scan->file);
    if (status == STATUS_OK) return STATUS_OK;
    say(scan, segment, offset, "cannot be synced");
    return STATUS_IO;
}

/* The segment that the first needed record is in; those before it are released. */
static uint32_t find_start(const struct scan *scan, uint64_t released)
{
    uint32_t start = 0;
    for (uint32_t i = 0; i < scan->count; i++)
        if (scan->segments[i].started && scan->segments[i].first <= released + 1) start = i;
    return start;
}

/* The log ends below a sequence that the caller knows to have been durable, or below its own marks. */
static enum status judge_end(struct scan *scan)
{
    struct wal_recovery *recovery = scan->recovery;
    uint64_t known = scan->synced > scan->config->replay.after ? scan->synced : scan->config->replay.after;
    recovery->last_sequence = scan->next - 1;
    recovery->torn = scan->newest >= scan->next;
    if (scan->lost_with_it > known) known = scan->lost_with_it;
    if (known < scan->next) return STATUS_OK;
    if (!recovery->damaged) {
        recovery->damaged = true;
        recovery->lost_first = scan->next;
        snprintf(recovery->why, sizeof recovery->why, "log %s/%02x ends at %llu, below %llu, which was synced",
            scan->config->dir, scan->config->log, (unsigned long long)scan->next - 1, (unsigned long long)known);
        LOG(reactor_log(scan->reactor), ERROR, "wal.ends_early", "log=%u last=%llu synced=%llu", scan->config->log,
            (unsigned long long)scan->next - 1, (unsigned long long)known);
    }
    recovery->lost_last = known;
    scan->next = known + 1;
    return scan->config->replay.accept_damage ? STATUS_OK : STATUS_CORRUPT;
}

static enum status replay_all(struct scan *scan)
{
    scan->start_by_marks = find_start(scan, proven_release(scan));
    if (scan->config->replay.after > scan->released) scan->released = scan->config->replay.after;
    scan->start = find_start(scan, scan->released);
    scan->next = scan->released + 1;
    if (scan->count && scan->segments[scan->start].started && scan->segments[scan->start].first < scan->next)
        scan->next = scan->segments[scan->start].first;
    for (uint32_t i = scan->start; i < scan->count; i++) {
        if (scan->segments[i].foreign) continue;
        enum status status = replay_segment(scan, i);
        if (status != STATUS_OK) return status;
    }
    return judge_end(scan);
}

static void report(struct scan *scan, struct wal_scan *out)
{
    struct wal_recovery *recovery = scan->recovery;
    uint32_t last_started = 0;
    for (uint32_t i = 0; i < scan->count; i++)
        if (scan->segments[i].started) last_started = i;
    *out = (struct wal_scan){.count = scan->count, .next_number = scan->next_number, .released = scan->released};
    out->next_sequence = out->tail_first = scan->next;
    if (scan->tail.size > 0 && !recovery->damaged) {
        out->tail = scan->tail;
        out->tail_first = scan->tail_first;
        scan->tail = (struct buffer){0};
    }
    out->segments = mem_zalloc(sizeof *out->segments * (scan->count + 1));
    for (uint32_t i = 0; i < scan->count; i++) {
        struct segment *segment = &scan->segments[i];
        bool needed = i >= scan->start && !segment->foreign && (recovery->damaged || segment->replayed);
        bool replaced = i >= scan->start_by_marks && i <= last_started && !segment->foreign;
        out->segments[i] = (struct wal_scan_segment){
            .number = segment->number, .bytes = segment->bytes, .last = needed ? segment->last : 0};
        out->segments[i].hold = !needed && replaced;
    }
    LOG(reactor_log(scan->reactor), INFO, "wal.recovered",
        "log=%u segments=%u records=%llu last=%llu released=%llu torn=%d damaged=%d", scan->config->log, scan->count,
        (unsigned long long)recovery->records, (unsigned long long)recovery->last_sequence,
        (unsigned long long)scan->released, recovery->torn, recovery->damaged);
}

enum status wal_scan(
    struct reactor *reactor, const struct wal_config *config, struct wal_recovery *recovery, struct wal_scan *out)
{
    CHECK(strlen(config->dir) <= WAL_DIR_BYTES_MAX);
    *recovery = (struct wal_recovery){0};
    struct scan scan = {.reactor = reactor,
        .config = config,
        .cluster = uuid_is_zero(&config->cluster) ? NULL : &config->cluster,
        .recovery = recovery,
        .next_number = 1};
    enum status status = list_segments(&scan);
    if (status != STATUS_OK) snprintf(recovery->why, sizeof recovery->why, "%s: cannot be listed", config->dir);
    for (uint32_t i = 0; i < scan.count && status == STATUS_OK; i++)
        status = peek_segment(&scan, &scan.segments[i]);
    if (status == STATUS_OK) status = search_marks(&scan);
    if (status == STATUS_OK) status = replay_all(&scan);
    if (status == STATUS_OK) report(&scan, out);
    close_segment(&scan);
    buffer_free(&scan.tail);
    buffer_free(&scan.marks);
    mem_free(scan.window);
    mem_free(scan.segments);
    return status;
}

void wal_scan_free(struct wal_scan *scan)
{
    buffer_free(&scan->tail);
    mem_free(scan->segments);
    scan->segments = NULL;
}
