/* apart: a run in a process of its own, so that a CHECK that fires or a run that never ends is a finding like others.
 */
#ifndef TRILLIUM_TESTS_SIM_RUNS_APART_H
#define TRILLIUM_TESTS_SIM_RUNS_APART_H

#include <sys/types.h>

#include "tests/sim/cluster/cluster.h"

struct apart {
    pid_t pid;
    int pipe;
};

/* Starts it, in silence. Ends the program when the machine has no room for a process. */
void apart_start(struct apart *apart, const struct scenario *scenario);
/* Waits for its end. A run without a result has failed: `crash` or `endless`. */
void apart_wait(struct apart *apart, struct cluster_result *result);

/* Drops what is not needed for the scenario to fail by the same rule, as far as that goes by dropping events, half of
   them at first. False: it does not fail at all. */
bool apart_minimise(struct scenario *scenario, struct cluster_result *result);

#endif
