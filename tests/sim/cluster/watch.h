/*
 * watch: invariants that are looked at from inside while a cluster runs, every 50 ms:
 *   I1   at most one leader per term
 *   I4   term, commit and applied never go back within an incarnation, the term never at all; applied <= commit
 *   I2/7 what two controllers applied up to an index is equal
 *   I21  no daemon's memory grows beyond a bound
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_WATCH_H
#define TRILLIUM_TESTS_SIM_CLUSTER_WATCH_H

#include "tests/sim/cluster/daemons.h"

struct watch;

struct watch *watch_create(struct world *world, struct daemon *daemons, uint32_t count);
void watch_destroy(struct watch *watch);

#endif
