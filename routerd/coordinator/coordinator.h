/*
 * coordinator: what one worker needs to read and write ranges at a level: its view of the ranges, the replicas as it
 * sees them, and the stamps it gives.
 *
 * Belongs to one reactor. write.h and read.h are the two journeys on top of it.
 */
#ifndef TRILLIUM_ROUTERD_COORDINATOR_COORDINATOR_H
#define TRILLIUM_ROUTERD_COORDINATOR_COORDINATOR_H

#include "common/base/arena.h"
#include "common/base/list.h"
#include "common/base/map.h"
#include "common/model/view.h"
#include "common/rpc/rpc.h"
#include "routerd/coordinator/replicas.h"

enum {
    /* Writes whose caller was told while a replica has not answered yet: the oldest beyond these are abandoned. Until
       then the replica may be told of a newer epoch, and a delete be closed at it. */
    LATE_WRITES_MAX = 4096,
    LATE_BYTES_MAX = 8 << 20, /* of their packed calls */
    /* A suspected replica with so many calls open is sent no write more until it answers. */
    SUSPECTED_OPEN_MAX = 256,
};

struct coordinator_counters {
    uint64_t writes, reads, mismatches, write_backs, write_back_rows, hedges, stale_epochs, closed_notices, abandoned;
    uint64_t full; /* writes refused before they were sent, for want of disk space at nodes */
};

struct coordinator {
    struct reactor *reactor;
    struct rpc *rpc;
    const struct view *view; /* NULL until the first; replaced by coordinator_use_view */
    struct map learned;      /* range id -> struct view_range *, newer than the view's */
    struct replicas replicas;
    struct list free_writes; /* finished ones, for reuse */
    uint32_t free_writes_count;
    struct list late_writes; /* oldest first */
    uint32_t late_count;
    size_t late_bytes;
    struct arena scratch; /* of whoever decodes an answer; emptied before he returns */
    int64_t last_stamp;
    uint32_t open; /* reads and writes under way */
    struct coordinator_counters counters;
};

void coordinator_init(struct coordinator *coordinator, struct reactor *reactor, struct rpc *rpc);
/* No write or read is under way. */
void coordinator_fini(struct coordinator *coordinator);

/* The view lives until the next call. Learned records that it has overtaken are forgotten. */
void coordinator_use_view(struct coordinator *coordinator, const struct view *view);
/* The newest record known of the range that owns the token; NULL: none. Valid until the next learn or use_view. */
const struct view_range *coordinator_range(const struct coordinator *coordinator, struct table_id table, int64_t token);
const struct view_range *coordinator_range_by_id(const struct coordinator *coordinator, struct range_id range);
/* A replica told of a record. True when it is newer than what was known. False also for malformed bytes. */
bool coordinator_learn(struct coordinator *coordinator, struct bytes record);

/* The next stamp: the wall clock, and above every stamp given or seen before. */
int64_t coordinator_stamp(struct coordinator *coordinator);
void coordinator_saw_stamp(struct coordinator *coordinator, int64_t stamp);

/* The replicas of a range, as far as the view knows their nodes; returns how many. */
unsigned coordinator_replicas(
    struct coordinator *coordinator, const struct view_range *range, struct replica *out[REPLICAS_MAX]);

/* Of these, the ones that have not lapsed: whose rows count. */
unsigned coordinator_readable(
    struct coordinator *coordinator, const struct view_range *range, struct replica *out[REPLICAS_MAX]);

/* A replica answered STALE_EPOCH with its record: learns it when newer; when the replica is behind, sends it ours and
   returns that a repeat makes sense. */
bool coordinator_settle_epoch(
    struct coordinator *coordinator, struct replica *replica, struct range_id range, struct bytes record);

#endif
