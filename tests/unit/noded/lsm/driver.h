/*
 * driver: random changes, reads, flushes, compactions and reopens of one tree on a simulated disk, judged by a plain
 * model: an array of rows per partition, and the list of all changes as a log that never loses one. A struct driver is
 * plain memory, so it outlives the simulated process and can be copied.
 */
#ifndef TRILLIUM_TESTS_UNIT_NODED_LSM_DRIVER_H
#define TRILLIUM_TESTS_UNIT_NODED_LSM_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/prng.h"
#include "noded/lsm/lsm.h"
#include "tests/sim/crash_sweep.h"

enum {
    DRIVER_PARTITIONS = 5,
    DRIVER_IDS = 200,
    DRIVER_RECORDS_MAX = 4000,
    DRIVER_ROW_BYTES = 320,
    DRIVER_MERGED_BYTES = 512,
};

struct driver_record {
    uint8_t kind, partition;
    bool open;
    uint16_t lo, hi; /* slots; lo alone for rows */
    uint16_t size;
    int64_t stamp;
    uint8_t row[DRIVER_ROW_BYTES];
};

struct driver_row {
    uint16_t size;
    bool closed, covered, span_open;
    bool span_closes; /* it was told that a quorum holds deletes here: true for ever, also of spans that come later, but
                         only a replay after a crash applies it to those */
    int64_t span_stamp;
    uint8_t bytes[DRIVER_MERGED_BYTES];
};

struct driver {
    struct prng prng;
    /* Plan of a run. */
    uint32_t steps;
    bool judge_only; /* open, replay, compare, stop */
    bool background; /* the store's own fibers run */
    uint32_t flush_bytes, cache_bytes;
    bool faults; /* IO and NO_SPACE may come back from flush and compaction */
    /* The log: record i has sequence i + 1; those below released are gone. */
    uint64_t records_count, released;
    struct driver_record records[DRIVER_RECORDS_MAX];
    struct driver_row rows[DRIVER_PARTITIONS][DRIVER_IDS];
    uint64_t state;        /* sequence of the newest state, 0: none */
    uint64_t next_file_id; /* survives restarts, as the node's does */
    /* Results. */
    enum status opened;
    uint64_t compared, compactions, flushes;
    char failure[300];
};

struct driver *driver_create(uint64_t seed);
struct driver *driver_copy(const struct driver *driver);
void driver_destroy(struct driver *driver);
extern const struct crash_subject driver_crashes;
/* For solo_run; argument is the driver. */
void driver_main(struct reactor *reactor, void *argument);

#endif
