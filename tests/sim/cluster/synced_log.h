/*
 * synced_log: what of one log (common/wal) is in the synced image of a simulated disk, read group by group as it gets
 * there, by the format's codec alone: nothing that the daemon believes goes in.
 *
 * It also judges recoveries (I14): what a daemon goes on with after a start must be all that was synced before its end,
 * then a prefix of what was written behind that, the same bytes, nothing else. One thread.
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_SYNCED_LOG_H
#define TRILLIUM_TESTS_SIM_CLUSTER_SYNCED_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "tests/sim/sim_disk.h"

struct synced_log;

/* What a recovery went on with. */
struct synced_recovery {
    uint64_t first, last;     /* records that were written again; last: where the log went on */
    uint64_t synced, written; /* the last record that was synced, and that could be read, when the daemon started */
    bool differs;             /* one of those written again is not what it was */
    bool reads_failed; /* the disk failed or falsified a read meanwhile: what was not proven may have been dropped */
};

struct synced_log_sink {
    /* Records from first on that were told of before are void: a recovery dropped them, or wrote them again. */
    void (*recovered)(void *context, const struct synced_recovery *recovery);
    /* In order of sequence. payload lives during the call. */
    void (*record)(void *context, uint64_t sequence, uint8_t kind, struct bytes payload);
    void *context;
};

/* dir: "log", "raft"; outlives the log, as the disk does. */
struct synced_log *synced_log_create(
    const struct sim_disk *disk, const char *dir, uint8_t number, const struct synced_log_sink *sink);
void synced_log_destroy(struct synced_log *log);
/* Takes in what is new in the synced image. names: of files too, not only in them. */
void synced_log_follow(struct synced_log *log, bool names);
/* The daemon is about to start on the disk as it is now. */
void synced_log_reboot(struct synced_log *log);
/* Everything up to it is in the synced image; 0: nothing ever. */
uint64_t synced_log_last(const struct synced_log *log);

#endif
