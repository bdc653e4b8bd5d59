/*
 * router_ring: which worker of which router owns a token: the one with the highest weight (rendezvous hashing), so that
 * a router that comes or goes moves only its own share. The owner serves a channel best, any other serves it right.
 * Pure functions.
 */
#ifndef TRILLIUM_COMMON_CLUSTER_ROUTER_RING_H
#define TRILLIUM_COMMON_CLUSTER_ROUTER_RING_H

#include <stdint.h>

#include "common/base/hash.h"
#include "common/model/view.h"

static inline uint64_t router_ring_weight(uint32_t router, uint16_t worker, int64_t token)
{
    return hash_u64((uint64_t)token ^ hash_u64((uint64_t)router << 16 | worker));
}

/* The owner among the routers of a view; NULL when it has none. worker may be NULL. */
const struct view_router *router_ring_owner(const struct view *view, int64_t token, uint16_t *worker);

#endif
