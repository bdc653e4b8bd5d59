/*
 * change: one record on its way through a shard: judged, appended to the log, durable, applied, answered.
 *
 * Judging (epoch, horizon) and appending are one step. Changes are applied in log order, but one whose id must be
 * looked up on disk waits, and with it only what follows in the log and speaks of the same ids; so every write of a row
 * sees exactly what came before it in the log.
 */
#ifndef TRILLIUM_NODED_SHARD_CHANGE_H
#define TRILLIUM_NODED_SHARD_CHANGE_H

#include "noded/shard/shard.h"

/* Embedded in its owner, who fills the first part and leaves it alone until done. */
struct change {
    struct record record; /* views live until done; its range names the replica */
    uint64_t epoch;
    bool is_create; /* record is a ROW with a create: the horizon binds */
    uint64_t import_session;
    struct arena *arena; /* for what done finds in met */
    /* Once, when the change is durable and applied. It may free the change. */
    void (*done)(struct change *change);
    void *context;

    /* Results. */
    struct replica *replica; /* set by change_start whenever there is one, on STALE_EPOCH too */
    enum status status;      /* of a ROW: OK, DEAD, ID_TAKEN, DOMINATED, PENDING, or UNDECIDED: stored, but what is held
                                could not be read; of others OK */
    struct lsm_row met;      /* DEAD: the delete */
    uint64_t sequence;

    /* change.c's own */
    struct shard *shard;
    struct wal_waiter waiter;
    struct lsm_hold hold;
    struct list link;  /* in replica->pending */
    struct list ready; /* in shard->ready */
    bool waits;        /* behind an earlier one of pending */
};

/* The body was checked (replica_check_row, replica_check_page). OK: done will be called, in a later turn. All else is a
   refusal without effect: NOT_OWNER, UNAVAILABLE, STALE_EPOCH, TOO_OLD, BUSY, FULL, TOO_BIG, BAD_REQUEST (the partition
   is not of the range). */
enum status change_start(struct shard *shard, struct change *change) MUST_CHECK;

#endif
