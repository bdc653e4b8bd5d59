#include "tests/sim/runs/campaign.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/sim/runs/apart.h"

enum { LINE_BYTES = 1024, FINDINGS_BYTES = 512, SAY_EVERY = 50 };

struct job {
    bool runs;
    uint64_t seed;
    struct apart apart;
};

struct state {
    const struct campaign *campaign;
    struct job jobs[CAMPAIGN_JOBS_MAX];
    uint64_t first, next, runs, failed;
    double simulated_s, active_s;
    char findings[FINDINGS_BYTES];
};

/* Behind the highest seed that a line of the ledger names. */
static uint64_t first_fresh(const struct campaign *campaign)
{
    uint64_t fresh = campaign->first;
    FILE *file = campaign->ledger ? fopen(campaign->ledger, "r") : NULL;
    char line[LINE_BYTES];
    while (file && fgets(line, sizeof line, file)) {
        uint64_t first, last;
        if (sscanf(line, "| %*[^|]| %*[^|]| %" SCNu64 "..%" SCNu64, &first, &last) == 2 && last >= fresh)
            fresh = last + 1;
    }
    if (file) fclose(file);
    return fresh;
}

static void keep_scenario(const struct campaign *campaign, uint64_t seed)
{
    struct scenario scenario;
    char path[512];
    if (campaign->keep == NULL) return;
    snprintf(path, sizeof path, "%s/seed-%" PRIu64 ".scenario", campaign->keep, seed);
    FILE *file = fopen(path, "w");
    if (file == NULL) return;
    scenario_draw(&scenario, seed, &campaign->bounds);
    scenario_write(&scenario, file);
    fclose(file);
    printf("its scenario: %s\n", path);
}

static void start(struct state *state, struct job *job)
{
    struct scenario scenario;
    job->seed = state->next++;
    scenario_draw(&scenario, job->seed, &state->campaign->bounds);
    apart_start(&job->apart, &scenario);
    job->runs = true;
}

static void say(const struct state *state)
{
    printf("%" PRIu64 " seeds, %.2f simulated hours, %.0f %% under a fault, %" PRIu64 " failed\n", state->runs,
        state->simulated_s / 3600, state->simulated_s > 0 ? 100 * state->active_s / state->simulated_s : 0,
        state->failed);
    fflush(stdout);
}

static void finish(struct state *state, struct job *job)
{
    struct cluster_result result;
    apart_wait(&job->apart, &result);
    job->runs = false;
    state->runs++;
    state->simulated_s += (double)result.simulated_ns / 1e9;
    state->active_s += (double)result.active_ns / 1e9;
    if (state->runs % SAY_EVERY == 0) say(state);
    if (!result.failed) return;
    state->failed++;
    size_t used = strlen(state->findings), size = sizeof state->findings - used;
    snprintf(state->findings + used, size, "%s%" PRIu64 " (%.*s)", used ? ", " : "", job->seed,
        (int)strcspn(result.why, ":"), result.why);
    printf("seed %" PRIu64 " FAILED: %s\nreplay: sim --seed %" PRIu64 " --length %u --trace\n", job->seed, result.why,
        job->seed, state->campaign->bounds.length);
    keep_scenario(state->campaign, job->seed);
    fflush(stdout);
}

/* Waits until one job of those that run has its result. */
static void finish_one(struct state *state)
{
    struct pollfd polls[CAMPAIGN_JOBS_MAX];
    uint32_t jobs = state->campaign->jobs;
    for (uint32_t i = 0; i < jobs; i++)
        polls[i] = (struct pollfd){.fd = state->jobs[i].runs ? state->jobs[i].apart.pipe : -1, .events = POLLIN};
    int ready = poll(polls, jobs, -1);
    CHECK(ready > 0 || errno == EINTR);
    for (uint32_t i = 0; i < jobs && ready > 0; i++)
        if (polls[i].revents) finish(state, &state->jobs[i]);
}

static bool any_runs(const struct state *state)
{
    for (uint32_t i = 0; i < state->campaign->jobs; i++)
        if (state->jobs[i].runs) return true;
    return false;
}

static void write_line(const struct state *state)
{
    const struct campaign *campaign = state->campaign;
    FILE *file = campaign->ledger ? fopen(campaign->ledger, "a") : NULL;
    if (file == NULL) return;
    fprintf(file, "| %s | %" PRIu64 "..%" PRIu64 " | %u | %.2f | %.0f %% | %s |\n",
        campaign->label ? campaign->label : "? | ?", state->first, state->next - 1, campaign->bounds.length,
        state->simulated_s / 3600, state->simulated_s > 0 ? 100 * state->active_s / state->simulated_s : 0,
        state->findings[0] ? state->findings : "none");
    fclose(file);
}

uint64_t campaign_run(const struct campaign *campaign)
{
    CHECK(campaign->jobs >= 1 && campaign->jobs <= CAMPAIGN_JOBS_MAX);
    struct state state = {.campaign = campaign, .first = first_fresh(campaign)};
    state.next = state.first;
    do {
        for (uint32_t i = 0; i < campaign->jobs; i++)
            if (!state.jobs[i].runs && state.simulated_s < campaign->hours * 3600) start(&state, &state.jobs[i]);
        if (any_runs(&state)) finish_one(&state);
    } while (any_runs(&state) || state.simulated_s < campaign->hours * 3600);
    say(&state);
    write_line(&state);
    return state.failed;
}
