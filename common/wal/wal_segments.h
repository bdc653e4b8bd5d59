/*
 * wal_segments: the files of an open log: the one being written, the next one made ready ahead of need, those that wait
 * for release, and spares. A fiber of its own makes, reuses and deletes them; it never touches what groups say.
 *
 * Invariants: a file bears a segment's name only when its header is durable. A file is reused or deleted only after a
 * durable group said that nothing in it is needed. Used by wal.c on the wal's reactor.
 */
#ifndef TRILLIUM_COMMON_WAL_WAL_SEGMENTS_H
#define TRILLIUM_COMMON_WAL_WAL_SEGMENTS_H

#include "common/runtime/disk.h"
#include "common/runtime/fiber.h"
#include "common/wal/wal.h"
#include "common/wal/wal_recover.h"

struct wal_segment {
    struct list link;
    uint32_t number;
    uint32_t seed;
    uint64_t bytes;
    struct disk_file file;
    uint64_t last;   /* no record of it is above; known once it is not the current one any more */
    unsigned flying; /* groups being written to it */
};

struct wal_segments {
    struct reactor *reactor;
    const struct wal_config *config; /* the owner's, with defaults filled in */
    struct wal_counters *counters;
    struct wal_segment *current;
    uint64_t offset;          /* where the next group goes in current */
    struct wal_segment *next; /* ready, or NULL */
    bool disk_full;           /* the last attempt to make the next one ended with NO_SPACE */
    uint64_t retry_at_ns;
    struct list old, spares;
    uint32_t spares_count;
    uint32_t next_number;
    uint64_t released; /* said by a durable group */
    struct gate work;  /* of the fiber */
    struct gate *room; /* the owner's: opened when next changes */
    bool stopping, running;
};

void wal_segments_init(struct wal_segments *segments, struct reactor *reactor, const struct wal_config *config);
/* Takes over what recovery found: those that are held (needed until the log's first new group is durable) or the
 * others. */
void wal_segments_adopt(struct wal_segments *segments, const struct wal_scan *scan, bool held);
/* (fiber) Makes the first segment, with room for a first group of so many bytes. NO_SPACE. */
enum status wal_segments_begin(struct wal_segments *segments, uint64_t first_group_bytes) MUST_CHECK;
/* Starts the fiber. */
void wal_segments_start(struct wal_segments *segments);
/* (fiber) Stops the fiber, closes the files, frees everything. Nothing is flying. */
void wal_segments_fini(struct wal_segments *segments);

/* Whether a group of so many bytes can be placed now. */
bool wal_segments_fit(const struct wal_segments *segments, uint64_t bytes);
/* The place of the next group, whose first sequence is given; it fits. Counts as flying. */
struct wal_segment *wal_segments_place(
    struct wal_segments *segments, uint64_t bytes, uint64_t first_sequence, uint64_t *offset);
void wal_segments_written(struct wal_segments *segments, struct wal_segment *segment);
/* A durable group says that nothing up to sequence is needed. */
void wal_segments_release(struct wal_segments *segments, uint64_t sequence);
/* Whether some file could go if a durable group named this sequence. */
bool wal_segments_would_free(const struct wal_segments *segments, uint64_t sequence);
uint64_t wal_segments_bytes(const struct wal_segments *segments);

#endif
