/*
 * loads: what is under way in the daemons (I22): while a cluster runs, no call and no request is older than its
 * deadline and some slack; once users have stopped, nothing is left: no call, request, flight, change, cursor, fiber,
 * and no timer but those that a daemon at rest has. One thread.
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_LOADS_H
#define TRILLIUM_TESTS_SIM_CLUSTER_LOADS_H

#include "tests/sim/cluster/daemons.h"

struct loads;

struct loads *loads_create(struct world *world, struct daemon *daemons, uint32_t count);
void loads_destroy(struct loads *loads);
/* Looks at all running daemons. calm: all faults are long over. */
void loads_judge(struct loads *loads, bool calm);
/* Users have stopped: from now on each look keeps the least that it saw of each kind. */
void loads_rest(struct loads *loads);
/* True when every daemon was seen at rest since. */
bool loads_are_gone(const struct loads *loads);
/* Fails the world when something never went. */
void loads_judge_rest(struct loads *loads);

#endif
