/* admin: a process beside the cluster, spared by all faults, that asks for what operators and tests ask: new epochs,
   flushes, compactions. Whether it worked is not told. */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_ADMIN_H
#define TRILLIUM_TESTS_SIM_CLUSTER_ADMIN_H

#include <stdint.h>

struct admin;
struct sim_net;
struct world;

struct admin *admin_create(struct world *world, struct sim_net *net, uint32_t controllers);
void admin_destroy(struct admin *admin);
/* For up to 10 s. */
void admin_bump_epoch(struct admin *admin, uint64_t range);

/* address: host:port of the shard. */
void admin_flush(struct admin *admin, const char *address);
void admin_compact(struct admin *admin, const char *address);

#endif
