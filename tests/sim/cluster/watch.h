/*
 * watch: the invariants that hold while a cluster runs, looked at from inside (docs/TESTING.md lists them all). Every
 * 50 ms it looks at the controllers:
 *   I1   at most one leader per term
 *   I2   what two of them committed at an index is of one term; I7: and what they applied up to an index is equal
 *   I3   a leader's log holds what was committed before its term
 *   I4   term, commit and applied never go back within an incarnation, the term never at all; applied <= commit
 *   I21  no daemon's memory grows beyond a bound
 * What passes between daemons is watched by promises.h, files of nodes by files.h, what is under way by loads.h.
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_WATCH_H
#define TRILLIUM_TESTS_SIM_CLUSTER_WATCH_H

#include "tests/sim/cluster/daemons.h"
#include "tests/sim/sim_net.h"

struct watch;

/* Before any daemon starts. */
struct watch *watch_create(struct world *world, struct sim_net *net, struct daemon *daemons, uint32_t count);
/* After the network and before the disks. */
void watch_destroy(struct watch *watch);
/* The daemon is about to start. */
void watch_daemon_starts(struct watch *watch, uint32_t daemon);
/* A file of the daemon was damaged at rest. */
void watch_file_rots(struct watch *watch, uint32_t daemon, const char *path);
/* All faults are long over. */
void watch_calm(struct watch *watch);
/* Users have stopped: what was under way ends now. */
void watch_rest(struct watch *watch);
/* Everything has. */
bool watch_is_at_rest(const struct watch *watch);
/* What must be true at the end of a run. */
void watch_judge_end(struct watch *watch);

#endif
