/*
 * sim: whole clusters from seeds.
 *
 *   sim --seeds 1..200 [--twice]      runs them all; with --twice each runs again and must leave the same trace
 *   sim --seed N [--trace] [--until SECONDS] [--history FILE]
 *   sim --scenario NAME [...]         what a file in tests/sim/scenarios describes (or any file); all: each of them
 *   sim --plant NAME [--seeds 1..50]  switches a planted bug on and stops at the first seed that finds it: that is
 *                                     success
 *   sim --hours N [--jobs J] [--ledger FILE] [--label TEXT] [--keep DIRECTORY]   a campaign of fresh seeds
 *   --only KIND,KIND  --without KIND,KIND   faults that may exist
 *   --length N        faults last N times as long as usual
 *   --write-plan FILE the scenario of the seed is written; nothing runs, unless
 *   --minimise        drops faults while it still fails, and prints the smallest
 * The last line is "N passed, N failed". A failing seed prints the line that replays it.
 */
#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/check.h"
#include "tests/sim/runs/apart.h"
#include "tests/sim/runs/arguments.h"

#define SCENARIOS "tests/sim/scenarios"
#define SUFFIX ".scenario"

struct totals {
    uint64_t passed, failed, operations, ok, unknown, power_cuts, kills, deaths;
    double simulated_s, active_s;
};

/* For a CHECK that fires in a daemon: what is to be said then. It ends the run; the seeds before it count. */
static char last_words[300];
static size_t last_words_size;
static int last_status;

static void on_abort(int signal)
{
    (void)signal;
    if (write(STDOUT_FILENO, last_words, last_words_size) < 0) _exit(1);
    _exit(last_status);
}

/* What is run: a seed, or a scenario from a file. */
struct subject {
    struct scenario scenario;
    char name[128];   /* "seed 17", "scenario stop-each" */
    char replay[256]; /* arguments that run it again */
};

static void draw_subject(struct subject *subject, const struct arguments *arguments, uint64_t seed)
{
    scenario_draw(&subject->scenario, seed, &arguments->bounds);
    snprintf(subject->name, sizeof subject->name, "seed %" PRIu64, seed);
    int used = snprintf(subject->replay, sizeof subject->replay, "--seed %" PRIu64, seed);
    if (arguments->bounds.length > 1)
        snprintf(
            subject->replay + used, sizeof subject->replay - (size_t)used, " --length %u", arguments->bounds.length);
}

/* A name is that of a file in SCENARIOS, unless it is a path. */
static void load_subject(struct subject *subject, const char *name)
{
    char path[512], why[SCENARIO_WHY_BYTES];
    bool is_path = strchr(name, '/') != NULL;
    snprintf(path, sizeof path, is_path ? "%s" : SCENARIOS "/%s" SUFFIX, name);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    if (scenario_read(&subject->scenario, file, why) != STATUS_OK) {
        fprintf(stderr, "%s: %s\n", path, why);
        exit(2);
    }
    fclose(file);
    snprintf(subject->name, sizeof subject->name, "scenario %.100s", name);
    snprintf(subject->replay, sizeof subject->replay, "--scenario %.200s", name);
}

static void prepare_last_words(
    const struct arguments *arguments, const struct subject *subject, const struct totals *totals)
{
    int size = arguments->plant
                   ? snprintf(last_words, sizeof last_words,
                         "the planted bug %s is found with %" PRIu64 " seeds (a CHECK fired)\n1 passed, 0 failed\n",
                         arguments->plant, totals->passed + 1)
                   : snprintf(last_words, sizeof last_words,
                         "%s FAILED: a CHECK fired\nreplay: sim %s --trace\n%" PRIu64 " passed, 1 failed\n",
                         subject->name, subject->replay, totals->passed);
    last_words_size = (size_t)size;
    last_status = arguments->plant ? 0 : 1;
}

static void count_result(struct totals *totals, const struct cluster_result *result, bool twice)
{
    totals->operations += result->operations;
    totals->ok += result->ok;
    totals->unknown += result->unknown;
    totals->power_cuts += result->power_cuts;
    totals->kills += result->kills;
    totals->deaths += result->deaths;
    totals->simulated_s += (double)result->simulated_ns / 1e9 * (twice ? 2 : 1);
    totals->active_s += (double)result->active_ns / 1e9 * (twice ? 2 : 1);
    result->failed ? totals->failed++ : totals->passed++;
}

/* False when it failed. */
static bool run_subject(const struct arguments *arguments, const struct subject *subject, struct totals *totals)
{
    struct cluster_run_options options = {.scenario = &subject->scenario,
        .trace = arguments->trace,
        .until_ns = (uint64_t)(arguments->until_s * 1e9),
        .history = arguments->history,
        .quiet = arguments->quiet || arguments->plant};
    struct cluster_result result, again;
    prepare_last_words(arguments, subject, totals);
    cluster_run(&options, &result);
    if (arguments->twice && !result.failed) {
        options.history = NULL;
        cluster_run(&options, &again);
        if (again.trace_hash != result.trace_hash) {
            result.failed = true;
            snprintf(result.why, sizeof result.why, "two runs leave different traces: %016" PRIx64 " and %016" PRIx64,
                result.trace_hash, again.trace_hash);
        }
    }
    count_result(totals, &result, arguments->twice);
    bool alone = arguments->scenario ? strcmp(arguments->scenario, "all") != 0 : arguments->first == arguments->last;
    if (alone || result.failed)
        printf("%s: %.0f s, %" PRIu64 " events, %" PRIu64 " operations (%" PRIu64 " ok, %" PRIu64 " unknown, %" PRIu64
               " refused, %" PRIu64 " deleted), trace %016" PRIx64 "\n",
            subject->name, (double)result.simulated_ns / 1e9, result.events, result.operations, result.ok,
            result.unknown, result.refused, result.deleted, result.trace_hash);
    if (result.failed)
        printf("%s FAILED: %s\nreplay: sim %s --trace%s%s\n", subject->name, result.why, subject->replay,
            arguments->plant ? " --plant " : "", arguments->plant ? arguments->plant : "");
    fflush(stdout);
    return !result.failed;
}

/* True unless a planted bug was found: then nothing more needs to run. */
static bool goes_on(const struct arguments *arguments, bool passed, const struct totals *totals)
{
    if (passed || !arguments->plant) return true;
    printf("the planted bug %s is found with %" PRIu64 " seeds\n1 passed, 0 failed\n", arguments->plant,
        totals->passed + totals->failed);
    return false;
}

static bool run_seeds(const struct arguments *arguments, struct totals *totals)
{
    static struct subject subject;
    for (uint64_t seed = arguments->first; seed <= arguments->last; seed++) {
        draw_subject(&subject, arguments, seed);
        if (!goes_on(arguments, run_subject(arguments, &subject, totals), totals)) return false;
    }
    return true;
}

static int is_scenario(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name), suffix = strlen(SUFFIX);
    return size > suffix && strcmp(entry->d_name + size - suffix, SUFFIX) == 0;
}

/* One, or all that there are. */
static bool run_scenarios(const struct arguments *arguments, struct totals *totals)
{
    static struct subject subject;
    if (strcmp(arguments->scenario, "all") != 0) {
        load_subject(&subject, arguments->scenario);
        return goes_on(arguments, run_subject(arguments, &subject, totals), totals);
    }
    struct dirent **found;
    int count = scandir(SCENARIOS, &found, is_scenario, alphasort);
    if (count < 0) {
        perror(SCENARIOS);
        exit(2);
    }
    for (int i = 0; i < count; i++) {
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)(strlen(found[i]->d_name) - strlen(SUFFIX)), found[i]->d_name);
        load_subject(&subject, name);
        if (!goes_on(arguments, run_subject(arguments, &subject, totals), totals)) return false;
    }
    return true;
}

/* The scenario itself is the result: cut down, if asked for, written or printed. */
static int write_plan(const struct arguments *arguments)
{
    static struct subject subject;
    struct cluster_result result = {0};
    if (arguments->scenario)
        load_subject(&subject, arguments->scenario);
    else
        draw_subject(&subject, arguments, arguments->first);
    if (arguments->minimise && !apart_minimise(&subject.scenario, &result)) {
        printf("%s does not fail\n0 passed, 1 failed\n", subject.name);
        return 1;
    }
    FILE *file = arguments->write_plan ? fopen(arguments->write_plan, "w") : stdout;
    if (file == NULL) {
        perror(arguments->write_plan);
        return 1;
    }
    fprintf(file, "# %s%s%s\n", subject.name, result.failed ? ": " : "", result.failed ? result.why : "");
    scenario_write(&subject.scenario, file);
    if (file != stdout) fclose(file);
    return 0;
}

static int finish(const struct arguments *arguments, const struct totals *totals, double cpu)
{
    printf("%.2f simulated hours, %.0f %% under a fault; %" PRIu64 " operations, %" PRIu64 " ok, %" PRIu64
           " unknown; %" PRIu64 " kills, %" PRIu64 " power cuts, %" PRIu64 " deaths; %.0f x real time\n",
        totals->simulated_s / 3600, totals->simulated_s > 0 ? 100 * totals->active_s / totals->simulated_s : 0,
        totals->operations, totals->ok, totals->unknown, totals->kills, totals->power_cuts, totals->deaths,
        cpu > 0 ? totals->simulated_s / cpu : 0);
    if (arguments->plant) {
        printf("the planted bug %s is not found\n0 passed, 1 failed\n", arguments->plant);
        return 1;
    }
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", totals->passed, totals->failed);
    return totals->failed ? 1 : 0;
}

int main(int count, char **words)
{
    struct arguments arguments;
    struct totals totals = {0};
    arguments_parse(&arguments, count, words);
    signal(SIGABRT, on_abort);
    if (arguments.plant) plant_set(arguments.plant);
    if (arguments.minimise || arguments.write_plan) return write_plan(&arguments);
    if (arguments.campaign.hours > 0) {
        uint64_t failed = campaign_run(&arguments.campaign);
        printf("%d passed, %" PRIu64 " failed\n", failed == 0, failed);
        return failed ? 1 : 0;
    }
    struct timespec start, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    if (!(arguments.scenario ? run_scenarios : run_seeds)(&arguments, &totals)) return 0;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    return finish(
        &arguments, &totals, (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9);
}
