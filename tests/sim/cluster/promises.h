/*
 * promises: everything that daemons tell each other and their clients, held against what is true when it leaves. Looks
 * at the frames of the simulated network and at the synced images of the disks; it asks no daemon.
 *
 *   I5   no vote, acknowledgement or answer of a write leaves before its record is synced
 *   I9   no replica takes a write, or answers a read, of an older epoch than the one in force in its log
 *   I12  what is acknowledged to a client at a level is in the synced image of as many nodes
 *   I20  a read is answered only with what enough replicas were asked for after it came: so it departed after every
 *        write that its caller had been told of
 *   I23  what was refused to a client, every time it was sent, is stored nowhere
 *   I9, I14 of the ledgers below it
 * One thread.
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_PROMISES_H
#define TRILLIUM_TESTS_SIM_CLUSTER_PROMISES_H

#include "tests/sim/cluster/daemons.h"
#include "tests/sim/sim_net.h"

struct promises;

/* Before any daemon starts. Looks on until it is destroyed. */
struct promises *promises_create(
    struct world *world, struct sim_net *net, struct daemon *daemons, uint32_t daemons_count);
/* After the network. */
void promises_destroy(struct promises *promises);
/* The daemon is about to start on its disk as it is. */
void promises_reboot(struct promises *promises, uint32_t daemon);
/* Contents or names of the daemon's disk were synced. */
void promises_synced(struct promises *promises, uint32_t daemon, bool names);
/* At the end, when nothing is under way any more. */
void promises_judge_refusals(struct promises *promises);

#endif
