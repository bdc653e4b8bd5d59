/*
 * read_repair: what a read does when digests differ: raw state of common intervals, merged, written back, answered.
 * A fiber; the replicas are those that answered the read, as many as the level asks or more. One that is late now is
 * suspected, and the repair fails, if without it enough of the range's replicas are left for the read to begin again.
 */
#ifndef TRILLIUM_ROUTERD_COORDINATOR_READ_REPAIR_H
#define TRILLIUM_ROUTERD_COORDINATOR_READ_REPAIR_H

#include "routerd/coordinator/read.h"

struct read_repair_spec {
    const struct read_spec *read; /* lives until done */
    struct range_id range;
    uint64_t epoch, deadline_ns;
    uint64_t through; /* what the data covered: the first interval */
    bool more;
    struct replica *replicas[REPLICAS_MAX]; /* in use by the read until done */
    unsigned replicas_count;
    const struct replica *all[REPLICAS_MAX]; /* of the range; in use likewise */
    unsigned all_count;
    uint8_t needed; /* so many answer a read */
};

/* done is called once, from a fiber; any failure means: begin the read again. */
void read_repair_start(struct coordinator *coordinator, const struct read_repair_spec *spec,
    void (*done)(void *context, enum status status, struct bytes page, bool more), void *context);

#endif
