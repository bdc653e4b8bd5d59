/*
 * raft_ledger: what a controller's Raft log says in the synced image of its disk, and whether the messages that leave
 * it promise no more than that (I5). Recoveries are judged too (I14). One thread.
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_RAFT_LEDGER_H
#define TRILLIUM_TESTS_SIM_CLUSTER_RAFT_LEDGER_H

#include "controld/raft/raft_types.h"
#include "tests/sim/cluster/synced_log.h"
#include "tests/sim/world.h"

struct raft_ledger;

struct raft_ledger *raft_ledger_create(struct world *world, const char *name, const struct sim_disk *disk);
void raft_ledger_destroy(struct raft_ledger *ledger);
/* Contents or names were synced. */
void raft_ledger_follow(struct raft_ledger *ledger, bool names);
/* The controller is about to start on its disk as it is. */
void raft_ledger_reboot(struct raft_ledger *ledger);
/* The message leaves the controller. Its entries are not looked at. */
void raft_ledger_judge(const struct raft_ledger *ledger, const struct raft_message *message);

#endif
