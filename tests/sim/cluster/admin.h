/* admin: a process beside the cluster, spared by all faults, that asks for what operators and tests ask: new epochs,
   flushes, compactions, horizons. Whether it worked is not told. */
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

/* Raises chat.messages' horizon, as bump_epoch. */
void admin_raise_horizon(struct admin *admin, int64_t unix_ms);
/* The highest that surely is in the catalog; INT64_MIN: none. */
int64_t admin_horizon_ms(const struct admin *admin);

/* address: host:port of the shard. */
void admin_flush(struct admin *admin, const char *address);
void admin_compact(struct admin *admin, const char *address);

#endif
