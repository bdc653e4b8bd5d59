/*
 * sight: what is under way in a router, for the simulator and tests. Changes nothing. Called between turns of all the
 * router's reactors. Defined in routerd.c, which alone knows the router's inside.
 */
#ifndef TRILLIUM_ROUTERD_API_SIGHT_H
#define TRILLIUM_ROUTERD_API_SIGHT_H

#include "common/rpc/rpc.h"
#include "routerd/routerd.h"

struct routerd_sight {
    struct rpc_sight rpc;         /* of all workers */
    uint32_t operations, flights; /* reads and writes under way; keys that somebody flies or boards for */
    uint32_t parked;              /* of the requests: those that wait for a newer ring */
    uint32_t space_calls;         /* of the calls: those that wait for another level of a disk */
};

void routerd_sight(const struct routerd *routerd, struct routerd_sight *out);

#endif
