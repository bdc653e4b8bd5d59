/*
 * duties: what the leader does by itself: the first table, the first ranges once enough nodes have registered, the end
 * of import sessions whose deadline has passed. Each is a proposal like any other, one at a time; whatever was decided
 * on an outdated state is refused when it is applied.
 * Threads: the reactor's.
 */
#ifndef TRILLIUM_CONTROLD_API_DUTIES_H
#define TRILLIUM_CONTROLD_API_DUTIES_H

#include "controld/api/proposals.h"

struct duties {
    struct reactor *reactor;
    const struct catalog *catalog;
    struct proposals *proposals;
    unsigned bootstrap_nodes;
    bool leading; /* and caught up */
    bool underway;
    struct proposal proposal;
    struct timer timer;
};

void duties_init(struct duties *duties, struct reactor *reactor, const struct catalog *catalog,
    struct proposals *proposals, unsigned bootstrap_nodes);
/* This controller leads and its state is up to date, or it does not. */
void duties_lead(struct duties *duties, bool leading);
/* The state changed. */
void duties_look(struct duties *duties);

/* The next thing to do; false when there is none. Pure. */
bool duties_next(const struct catalog *catalog, unsigned bootstrap_nodes, int64_t now_us, struct command *out);

#endif
