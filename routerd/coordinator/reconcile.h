/*
 * reconcile: raw state of one interval from several replicas, merged: the visible page to answer, what each replica
 * lacks, and which deletes may be closed.
 *
 * Pure. The pages were asked for the same interval and direction; the result reaches to the nearest id up to which all
 * of them are complete, or to where the limit is met. Rows under a merged span are neither answered nor written back:
 * the span is. A write-back carries deletes as open; whether they may close is decided when a quorum has acked it.
 */
#ifndef TRILLIUM_ROUTERD_COORDINATOR_RECONCILE_H
#define TRILLIUM_ROUTERD_COORDINATOR_RECONCILE_H

#include "common/base/arena.h"
#include "common/base/limits.h"
#include "common/model/page.h"

enum { RECONCILE_CLOSE_MAX = 1024 };

struct reconcile {
    struct page_builder visible;             /* finished: visible_page */
    struct bytes visible_page;               /* rows alone */
    struct page_builder lacks[REPLICAS_MAX]; /* raw pages */
    struct bytes lacks_page[REPLICAS_MAX];   /* size 0: that replica has everything */
    uint64_t close_ids[RECONCILE_CLOSE_MAX]; /* deletes that some replica holds as open, or is about to */
    uint32_t close_ids_count;
    struct span_set close_spans;
    uint64_t through; /* the last id that the result covers */
    bool more;        /* the interval goes on beyond through */
    uint32_t rows;
};

struct reconcile_limits {
    uint64_t lo, hi;   /* the interval, both included */
    uint32_t rows_max; /* visible rows */
    uint32_t bytes_max;
    enum page_direction direction;
};

/* Zero-initialised before; reconcile_free after, also after a failure. BAD_REQUEST: a page is malformed (its replica is
   at fault; which one is in *bad). 0 < count <= REPLICAS_MAX. */
enum status reconcile_run(struct reconcile *reconcile, const struct bytes *pages, unsigned count,
    const struct reconcile_limits *limits, unsigned *bad) MUST_CHECK;
void reconcile_free(struct reconcile *reconcile);

#endif
