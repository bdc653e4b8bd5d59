/* operator: a process beside the cluster, spared by all faults, that asks controld for what tests ask: new epochs. */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_OPERATOR_H
#define TRILLIUM_TESTS_SIM_CLUSTER_OPERATOR_H

#include <stdint.h>

struct operator;
struct sim_net;
struct world;

struct operator* operator_create(struct world *world, struct sim_net *net, uint32_t controllers);
void operator_destroy(struct operator* operator);
/* Asks for it once, for up to 10 s; whether it worked is not told. */
void operator_bump_epoch(struct operator* operator, uint64_t range);

#endif
