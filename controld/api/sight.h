/*
 * sight: what is under way in a controller, for the simulator and tests (controld.h shows what it holds). Changes
 * nothing. On the reactor's thread.
 */
#ifndef TRILLIUM_CONTROLD_API_SIGHT_H
#define TRILLIUM_CONTROLD_API_SIGHT_H

#include "common/rpc/rpc.h"
#include "controld/controld.h"

struct controld_load {
    struct rpc_sight rpc;
    uint32_t proposals, parked; /* proposals without a fate; of the requests: those that wait for a newer view */
};

/* False while it starts or stops. */
bool controld_load(const struct controld *controld, struct controld_load *out);

#endif
