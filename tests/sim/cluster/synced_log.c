#include "tests/sim/cluster/synced_log.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/wal/wal_format.h"
#include "tests/sim/sim_mem.h"

enum { PATH_BYTES = 64, AHEAD_MAX = 16 };

/* Where the next group is expected. */
struct place {
    uint32_t segment; /* 0: before the first */
    uint32_t seed;
    uint64_t offset, next;
};

struct synced_log {
    const struct sim_disk *disk;
    const char *dir;
    uint8_t number;
    struct synced_log_sink sink;
    struct place place;
    struct place ahead[AHEAD_MAX]; /* first groups of segments behind the current one, in their order */
    uint32_t ahead_count;
    uint32_t boundary;     /* newest segment when the daemon started: what it writes lies behind */
    uint64_t synced;       /* last record that was synced then, */
    uint64_t written;      /* and the last that reads showed */
    uint64_t failed_reads; /* of the disk, until then */
    struct buffer hashes;  /* of all records from the first on; 0: unknown */
    struct buffer scratch; /* a group */
};

struct synced_log *synced_log_create(
    const struct sim_disk *disk, const char *dir, uint8_t number, const struct synced_log_sink *sink)
{
    struct synced_log *log = sim_alloc(sizeof *log);
    *log = (struct synced_log){.disk = disk, .dir = dir, .number = number, .sink = *sink};
    log->place.next = 1;
    return log;
}

void synced_log_destroy(struct synced_log *log)
{
    buffer_free(&log->hashes);
    buffer_free(&log->scratch);
    mem_free(log);
}

uint64_t synced_log_last(const struct synced_log *log)
{
    return log->place.next - 1;
}

/* Segments. */

static struct sim_disk_image image_of(const struct synced_log *log, bool durable)
{
    return (struct sim_disk_image){log->disk, durable};
}

static void path_of(const struct synced_log *log, uint32_t segment, char out[PATH_BYTES])
{
    char name[WAL_NAME_BYTES];
    wal_name(log->number, segment, name);
    snprintf(out, PATH_BYTES, "%s/%s", log->dir, name);
}

struct search {
    uint8_t log;
    uint32_t above;   /* the lowest segment above this one */
    uint32_t found;   /* 0: none */
    uint32_t highest; /* of all, unfinished ones too */
};

static void look_at_name(void *context, const char *name, uint64_t size)
{
    (void)size;
    struct search *search = context;
    uint8_t log;
    uint32_t segment;
    bool unfinished;
    if (!wal_name_parse(name, &log, &segment, &unfinished) || log != search->log) return;
    if (segment > search->highest) search->highest = segment;
    if (!unfinished && segment > search->above && (search->found == 0 || segment < search->found))
        search->found = segment;
}

static uint32_t next_segment(const struct synced_log *log, bool durable, uint32_t above)
{
    struct search search = {.log = log->number, .above = above};
    sim_disk_peek_names(image_of(log, durable), log->dir, look_at_name, &search);
    return search.found;
}

/* Its seed; false: no segment of this log has begun there. */
static bool read_seed(const struct synced_log *log, bool durable, uint32_t segment, uint32_t *seed)
{
    char path[PATH_BYTES];
    uint8_t block[WAL_BLOCK_BYTES];
    struct wal_segment_header header;
    path_of(log, segment, path);
    if (sim_disk_peek(image_of(log, durable), path, block, sizeof block, 0) != sizeof block) return false;
    if (wal_segment_decode(bytes_of(block, sizeof block), NULL, &header, NULL, 0) != STATUS_OK) return false;
    *seed = header.seed;
    return header.log == log->number && header.segment == segment;
}

/* Groups. */

/* The whole group at a place, in log->scratch. */
static bool read_group(
    struct synced_log *log, bool durable, const struct place *place, struct wal_group *out, struct bytes *records)
{
    char path[PATH_BYTES];
    uint8_t header[WAL_GROUP_HEADER_BYTES];
    path_of(log, place->segment, path);
    if (sim_disk_peek(image_of(log, durable), path, header, sizeof header, place->offset) != sizeof header)
        return false;
    struct wal_group where = {
        .log = log->number, .segment = place->segment, .block = (uint32_t)(place->offset / WAL_BLOCK_BYTES)};
    if (!wal_group_decode(place->seed, header, &where, out)) return false;
    uint32_t size = WAL_GROUP_HEADER_BYTES + out->length;
    buffer_clear(&log->scratch);
    uint8_t *data = buffer_reserve(&log->scratch, size);
    if (sim_disk_peek(image_of(log, durable), path, data, size, place->offset) != size) return false;
    if (!wal_group_is_whole(place->seed, out, bytes_of(data, size))) return false;
    *records = bytes_of(data + WAL_GROUP_HEADER_BYTES, out->length);
    return true;
}

static uint64_t record_hash(uint8_t kind, struct bytes payload)
{
    return hash64(payload.data, payload.size, kind);
}

static void remember(struct synced_log *log, uint64_t sequence, uint64_t hash)
{
    log->hashes.size =
        log->hashes.size / sizeof hash > sequence - 1 ? (size_t)(sequence - 1) * sizeof hash : log->hashes.size;
    for (uint64_t none = 0; log->hashes.size / sizeof hash < sequence - 1;)
        buffer_append(&log->hashes, &none, sizeof none);
    buffer_append(&log->hashes, &hash, sizeof hash);
}

/* 0: unknown. */
static uint64_t remembered(const struct synced_log *log, uint64_t sequence)
{
    uint64_t hash = 0;
    if (sequence <= log->hashes.size / sizeof hash)
        memcpy(&hash, log->hashes.data + (sequence - 1) * sizeof hash, sizeof hash);
    return hash;
}

static void take_group(struct synced_log *log, const struct wal_group *group, struct bytes records)
{
    struct reader reader = reader_of(records);
    uint8_t kind;
    struct bytes payload;
    for (uint64_t sequence = group->first; wal_record_decode(&reader, &kind, &payload); sequence++) {
        remember(log, sequence, record_hash(kind, payload));
        log->sink.record(log->sink.context, sequence, kind, payload);
    }
    log->place.next = group->first + group->count;
    log->place.offset += wal_group_bytes(group);
}

/* Groups that follow each other in one segment. */
static void follow_segment(struct synced_log *log)
{
    struct wal_group group;
    struct bytes records;
    while (log->place.segment && read_group(log, true, &log->place, &group, &records)) {
        if (group.first != log->place.next) break;
        take_group(log, &group, records);
    }
}

static uint64_t failed_reads(const struct synced_log *log)
{
    const struct sim_disk_counts *counts = sim_disk_counts(log->disk);
    return counts->read_errors + counts->flips;
}

/* The first group of a start: what it holds again, and where the log goes on. */
static void judge_recovery(struct synced_log *log, const struct wal_group *group, struct bytes records)
{
    struct synced_recovery recovery = {.first = group->first,
        .last = group->first + group->count - 1,
        .synced = log->synced,
        .written = log->written,
        .reads_failed = failed_reads(log) != log->failed_reads};
    struct reader reader = reader_of(records);
    uint8_t kind;
    struct bytes payload;
    for (uint64_t sequence = group->first; wal_record_decode(&reader, &kind, &payload); sequence++) {
        uint64_t hash = remembered(log, sequence);
        if (hash && hash != record_hash(kind, payload)) recovery.differs = true;
    }
    log->sink.recovered(log->sink.context, &recovery);
}

/* Segments behind the current one, in their order; those whose header cannot be read yet are left out. */
static void look_for_segments(struct synced_log *log)
{
    log->ahead_count = 0;
    uint32_t above = log->place.segment;
    for (uint32_t segment; log->ahead_count < AHEAD_MAX && (segment = next_segment(log, true, above));
         above = segment) {
        struct place place = {.segment = segment, .offset = WAL_BLOCK_BYTES};
        if (!read_seed(log, true, segment, &place.seed)) continue;
        log->ahead[log->ahead_count++] = place;
    }
}

/* Goes on in the next segment that has begun: one that follows, or the first one of a new start. */
static bool follow_to_next(struct synced_log *log)
{
    bool fresh = log->place.segment <= log->boundary;
    for (uint32_t i = 0; i < log->ahead_count; i++) {
        struct place place = log->ahead[i];
        struct wal_group group;
        struct bytes records;
        if (!read_group(log, true, &place, &group, &records)) continue;
        bool starts = fresh && place.segment > log->boundary;
        if (!starts && group.first != log->place.next) continue;
        if (starts) judge_recovery(log, &group, records);
        log->place = place;
        take_group(log, &group, records);
        memmove(log->ahead, log->ahead + i + 1, (log->ahead_count - i - 1) * sizeof *log->ahead);
        log->ahead_count -= i + 1;
        return true;
    }
    return false;
}

void synced_log_follow(struct synced_log *log, bool names)
{
    follow_segment(log);
    if (names) look_for_segments(log);
    while (follow_to_next(log))
        follow_segment(log);
}

/* Restarts. */

static void know_group(struct synced_log *log, const struct wal_group *group, struct bytes records)
{
    struct reader reader = reader_of(records);
    uint8_t kind;
    struct bytes payload;
    for (uint64_t sequence = group->first; wal_record_decode(&reader, &kind, &payload); sequence++)
        remember(log, sequence, record_hash(kind, payload));
}

/* What reads show behind the synced image: groups that follow each other. */
static void know_written(struct synced_log *log, struct place place)
{
    struct wal_group group;
    struct bytes records;
    for (;;) {
        while (place.segment && read_group(log, false, &place, &group, &records) && group.first == place.next) {
            know_group(log, &group, records);
            place.next += group.count;
            place.offset += wal_group_bytes(&group);
        }
        log->written = place.next - 1;
        uint32_t above = place.segment, segment;
        struct place next = {0};
        while ((segment = next_segment(log, false, above))) {
            next = (struct place){.segment = segment, .offset = WAL_BLOCK_BYTES, .next = place.next};
            if (read_seed(log, false, segment, &next.seed) && read_group(log, false, &next, &group, &records) &&
                group.first == place.next)
                break;
            above = segment;
        }
        if (!segment) return;
        place = next;
    }
}

void synced_log_reboot(struct synced_log *log)
{
    log->synced = synced_log_last(log);
    know_written(log, log->place);
    struct search search = {.log = log->number, .above = UINT32_MAX};
    sim_disk_peek_names(image_of(log, false), log->dir, look_at_name, &search);
    log->boundary = search.highest;
    log->failed_reads = failed_reads(log);
}
