/*
 * cluster: one simulated run: controllers, nodes, routers, clients and an admin, their disks and network, the plan
 * of faults, and the judgement. Everything follows from the scenario.
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_CLUSTER_H
#define TRILLIUM_TESTS_SIM_CLUSTER_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/checker/checker.h"
#include "tests/sim/scenario.h"
#include "tests/sim/world.h"

struct cluster_run_options {
    const struct scenario *scenario;
    bool trace;          /* print it as it happens */
    uint64_t until_ns;   /* stop then (0: run to the end); nothing is judged but what failed before */
    const char *history; /* write the history to this file; NULL: only when it is wrong, see below */
    bool quiet;          /* no dump of the trace's end on failure */
};

enum { CLUSTER_WHY_BYTES = WORLD_FAILURE_BYTES };

struct cluster_result {
    bool failed;
    char why[CLUSTER_WHY_BYTES];
    uint64_t trace_hash, events;
    uint64_t simulated_ns, active_ns; /* active: under at least one fault */
    uint64_t operations, ok, unknown, refused, deleted;
    uint64_t kinds; /* faults that existed */
    uint64_t power_cuts, kills, deaths;
};

void cluster_run(const struct cluster_run_options *options, struct cluster_result *result);

#endif
