/*
 * read: visible messages of one partition at a level.
 *
 * Data from the best replica, digests from enough others; late ones are hedged, silent ones suspected. Equal digests:
 * the data is the answer. Different: raw state of one common interval from all that answered, merged (reconcile.h),
 * written back to each that differs, answered when they have it; one that takes it late is suspected, and the read
 * begins again with others. A read has no effect that its caller need know of, so any failure may be tried again.
 */
#ifndef TRILLIUM_ROUTERD_COORDINATOR_READ_H
#define TRILLIUM_ROUTERD_COORDINATOR_READ_H

#include "common/model/page.h"
#include "routerd/coordinator/coordinator.h"
#include "routerd/coordinator/tally.h"

struct read_spec {
    enum level level;
    struct table_id table;
    struct bytes partition; /* token | partition key */
    int64_t token;
    uint64_t lo, hi; /* ids, both included */
    enum page_direction direction;
    uint32_t limit, bytes_max;
    uint64_t trace;
    uint32_t budget_us;
};

/* Everything in spec is copied. done is called once, never from inside; the page (visible rows) lives during the call.
   RETRY class and TIMEOUT are the failures. */
void read_start(struct coordinator *coordinator, const struct read_spec *spec,
    void (*done)(void *context, enum status status, struct bytes page, bool more), void *context);

#endif
