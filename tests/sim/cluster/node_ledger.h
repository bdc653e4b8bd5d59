/*
 * node_ledger: what a node holds durably, told from the synced image of its disk alone: the records of its commit logs,
 * what each of them stores, and which ownership epochs are in force where in the log.
 *
 * A record counts for ever: later it lies in files, and the history's rules watch over those. Fails the world by I9
 * when ownership goes back or two records of one epoch differ, by I14 when a recovery is not one. One thread.
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_NODE_LEDGER_H
#define TRILLIUM_TESTS_SIM_CLUSTER_NODE_LEDGER_H

#include "common/base/map.h"
#include "tests/sim/cluster/synced_log.h"
#include "tests/sim/world.h"

struct node_ledger;

/* What a record of the log stands for. */
struct ledger_entry {
    uint64_t range;
    uint64_t epoch; /* of the ownership record in force when it was appended; 0: unknown */
};

/* One kind of content: a message's row as it travels, a delete of an id, a delete of a span. */
enum ledger_content { LEDGER_ROW = 'r', LEDGER_DELETE = 'd', LEDGER_SPAN = 's' };
/* ROW: id and the row's bytes; DELETE: id; SPAN: id and id2. */
uint64_t ledger_content_hash(
    enum ledger_content kind, struct bytes partition, uint64_t id, uint64_t id2, struct bytes row);

/* owners: (range, epoch) to a hash of the ownership record, shared by all nodes. */
struct node_ledger *node_ledger_create(
    struct world *world, const char *name, const struct sim_disk *disk, struct map *owners);
void node_ledger_destroy(struct node_ledger *ledger);
/* Contents or names were synced. */
void node_ledger_follow(struct node_ledger *ledger, bool names);
/* The node is about to start on its disk as it is. */
void node_ledger_reboot(struct node_ledger *ledger);

/* Everything up to it is in the synced image of the log. */
uint64_t node_ledger_last(const struct node_ledger *ledger, uint32_t log);
/* NULL: no such record is synced. */
const struct ledger_entry *node_ledger_entry(const struct node_ledger *ledger, uint32_t log, uint64_t sequence);
bool node_ledger_holds(const struct node_ledger *ledger, uint64_t content);
/* By a delete of its own or by a span. */
bool node_ledger_deletes(const struct node_ledger *ledger, struct bytes partition, uint64_t id);
/* The newest durable epoch of a range; 0: none. */
uint64_t node_ledger_epoch(const struct node_ledger *ledger, uint64_t range);

/* Fails the world by I14 when it is none. */
void ledger_judge_recovery(
    struct world *world, const char *name, const char *dir, uint32_t log, const struct synced_recovery *recovery);

#endif
