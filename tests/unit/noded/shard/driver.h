/*
 * driver: random changes and reads against the shards of one simulated node, judged by a plain model: per partition an
 * array of merged rows and of what spans cover. It restarts with other numbers of shards, kills and power cuts. A
 * struct driver is plain memory, so it outlives the simulated process.
 */
#ifndef TRILLIUM_TESTS_UNIT_NODED_SHARD_DRIVER_H
#define TRILLIUM_TESTS_UNIT_NODED_SHARD_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/prng.h"
#include "common/model/view.h"
#include "noded/replica/reading.h"
#include "tests/sim/solo.h"

enum {
    DRIVER_CHANNELS = 6,
    DRIVER_RANGES = 4,
    DRIVER_IDS = 120,
    DRIVER_ROW_BYTES = 512,
    DRIVER_OPEN_MAX = 32,
};

struct driver_row {
    uint16_t size;
    bool closed, covered, span_open;
    bool gap_covered, gap_open; /* the ids between this slot and the next */
    int64_t span_stamp;
    uint8_t bytes[DRIVER_ROW_BYTES];
};

struct driver_state {
    struct driver_row rows[DRIVER_CHANNELS][DRIVER_IDS];
};

struct driver {
    struct prng prng;
    /* Plan of a run. */
    uint16_t shards;
    uint32_t steps;
    uint64_t memory_bytes;
    bool judge_only; /* start, compare, stop */
    bool orderly;    /* stop the shards at the end */
    /* What a node keeps on disk outside its shards. */
    uint16_t shards_before;
    uint64_t next_file_id;
    uint64_t epoch;
    int64_t horizon_ms;
    /* The model: all that was taken into the log, and all that was acknowledged. */
    struct driver_state taken, acked;
    bool exact; /* taken is what must be found; otherwise anything between acked and taken */
    /* Results. */
    uint64_t changes, compared, lookups_waited, orders_waited, busy;
    char failure[300];
};

struct driver *driver_create(uint64_t seed);
void driver_destroy(struct driver *driver);
/* For solo_run; argument is the driver. */
void driver_main(struct reactor *reactor, void *argument);

/* For tests of their own, inside a run. */
struct driver_run;
struct driver_run *driver_start(struct driver *driver, struct reactor *reactor);
void driver_stop(struct driver_run *run);
struct shard *driver_shard(struct driver_run *run, unsigned channel);
struct range_id driver_range(struct driver_run *run, unsigned channel);
struct bytes driver_partition(struct driver_run *run, unsigned channel);
/* The view with the driver's epoch and horizon; the import session 77 is live in it. */
void driver_publish(struct driver_run *run);
uint64_t driver_id(unsigned slot);

#endif
