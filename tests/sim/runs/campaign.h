/*
 * campaign: fresh seeds, one after the other, until they have filled so many simulated hours, and one line about them
 * in a ledger (docs/campaigns.md), so that no seed is run twice by accident and what was run is known.
 */
#ifndef TRILLIUM_TESTS_SIM_RUNS_CAMPAIGN_H
#define TRILLIUM_TESTS_SIM_RUNS_CAMPAIGN_H

#include "tests/sim/plan.h"

/* Lower seeds are those of the default run. */
enum { CAMPAIGN_SEED_MIN = 100000, CAMPAIGN_JOBS_MAX = 16 };

struct campaign {
    double hours; /* of simulated clusters */
    uint32_t jobs;
    struct plan_bounds bounds;
    const char *ledger; /* file; NULL: none is kept, and seeds begin at first */
    const char *label;  /* of the line: a date and a commit, as `DATE | COMMIT` */
    const char *keep;   /* directory for the scenarios of seeds that fail */
    uint64_t first;
};

/* Prints findings as they come and now and then how far it is. The number of seeds that failed. */
uint64_t campaign_run(const struct campaign *campaign);

#endif
