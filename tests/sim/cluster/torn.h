/*
 * torn: elections among three controllers, torn apart at the worst moment. Two controllers are cut from each other, so
 * that both need the third; the third's disk is very slow, and it loses power as soon as one of the two leads with its
 * vote. What it had promised and not yet written, it promises again to the other.
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_TORN_H
#define TRILLIUM_TESTS_SIM_CLUSTER_TORN_H

#include "tests/sim/cluster/daemons.h"
#include "tests/sim/sim_net.h"

struct torn;

/* cut: the caller's way of cutting a daemon's power for a while. */
struct torn *torn_create(struct world *world, struct sim_net *net, struct daemon *controllers,
    void (*cut)(void *context, uint32_t controller, uint64_t length_ns), void *context);
void torn_destroy(struct torn *torn);
/* voter: 0, 1 or 2. */
void torn_begin(struct torn *torn, uint32_t voter);
void torn_end(struct torn *torn);

#endif
