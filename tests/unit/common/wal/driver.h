/*
 * driver: uses a log at random on a simulated disk and remembers what was appended and what was acknowledged, so that
 * every later recovery can be judged: all acknowledged records, then a prefix of the others, in order, nothing else.
 */
#ifndef TRILLIUM_TESTS_UNIT_COMMON_WAL_DRIVER_H
#define TRILLIUM_TESTS_UNIT_COMMON_WAL_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/prng.h"
#include "common/wal/wal.h"
#include "tests/sim/crash_sweep.h"

enum { DRIVER_RECORDS_MAX = 20000 };

struct driver {
    struct prng prng;
    struct wal_config config;
    unsigned steps;   /* what driver_main does after opening */
    bool rest_at_end; /* stays idle until the marker is written, and does not close */
    bool judge_only;  /* opens, judges, and stops there */
    /* The model. */
    uint64_t hashes[DRIVER_RECORDS_MAX + 1]; /* of record i */
    uint64_t last, acked, released;
    /* The run. */
    struct wal *wal;
    struct wal_recovery recovery;
    enum status opened;
    struct wal_counters counters;
    uint64_t replayed, first_replayed; /* newest and oldest record handed out */
    bool done;
    char failure[200]; /* "" while all is well */
};

struct driver *driver_create(uint64_t seed);
void driver_destroy(struct driver *driver);
/* The model alone, for judging several images of one crash. */
struct driver *driver_copy(const struct driver *driver);

extern const struct crash_subject driver_crashes;

/* For solo_run: opens the log, judges what was recovered, goes on from it at random, closes. */
void driver_main(struct reactor *reactor, void *driver);

#endif
