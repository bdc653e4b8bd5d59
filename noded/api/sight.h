/*
 * sight: what is under way in a node and which files it reads from, for the simulator and tests. Changes nothing.
 * Called between turns of all the node's reactors.
 */
#ifndef TRILLIUM_NODED_API_SIGHT_H
#define TRILLIUM_NODED_API_SIGHT_H

#include "common/rpc/rpc.h"
#include "noded/noded.h"

struct noded_sight {
    struct rpc_sight rpc; /* of all shards */
    uint32_t changes;     /* appended and not applied */
    uint32_t fibers;      /* that serve calls or look up */
    uint32_t cursors;     /* open */
    uint32_t lapsed;      /* replicas that are not whole */
    uint32_t parked;      /* of the requests: those that wait for another level of the disk */
};

/* False while it starts or stops. */
bool noded_sight(const struct noded *noded, struct noded_sight *out);
/* Every file that a tree reads from. changing: the tree is writing a manifest of others. */
void noded_visit_files(const struct noded *noded,
    void (*visit)(void *context, uint64_t range, uint64_t file, bool changing), void *context);

#endif
