/* rot: damage at rest: a few bits of a stopped node's files are others than it wrote and synced. */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_ROT_H
#define TRILLIUM_TESTS_SIM_CLUSTER_ROT_H

#include "tests/sim/cluster/watch.h"

/* Of its logs, and of what says which files a replica consists of: that is looked at in full at every start. index: as
   the watch counts daemons. */
void rot_files(struct watch *watch, const struct daemon *node, uint32_t index, uint64_t seed);

#endif
