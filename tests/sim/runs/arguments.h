/* arguments: the command line of sim (main.c says what it means). */
#ifndef TRILLIUM_TESTS_SIM_RUNS_ARGUMENTS_H
#define TRILLIUM_TESTS_SIM_RUNS_ARGUMENTS_H

#include "tests/sim/runs/campaign.h"

struct arguments {
    uint64_t first, last; /* seeds */
    bool twice, trace, quiet, minimise;
    double until_s;
    struct plan_bounds bounds;
    const char *plant, *history, *scenario, *write_plan;
    struct campaign campaign; /* hours 0: none */
};

/* Ends the program when they are wrong. */
void arguments_parse(struct arguments *arguments, int count, char **words);

#endif
