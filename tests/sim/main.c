/*
 * sim: whole clusters from seeds.
 *
 *   sim --seeds 1..200 [--twice]      runs them all; with --twice each runs again and must leave the same trace
 *   sim --seed N [--trace] [--until SECONDS] [--history FILE]
 *   sim --plant NAME [--seeds 1..50]  switches a planted bug on and stops at the first seed that finds it: that is
 * success
 *   --only KIND,KIND  --without KIND,KIND   faults that may exist
 * The last line is "N passed, N failed". A failing seed prints the line that replays it.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/check.h"
#include "tests/sim/cluster/cluster.h"

struct arguments {
    uint64_t first, last;
    bool twice, trace, quiet;
    double until_s;
    uint64_t kinds;
    const char *plant, *history;
};

struct totals {
    uint64_t passed, failed, operations, ok, unknown, power_cuts, kills, deaths, kinds;
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

static uint64_t parse_kinds(const char *text)
{
    uint64_t kinds = 0;
    char copy[512];
    snprintf(copy, sizeof copy, "%s", text);
    char *rest = copy;
    for (char *name; (name = strsep(&rest, ","));) {
        if (*name == 0 || strcmp(name, "none") == 0) continue;
        enum fault_kind kind = fault_named(name);
        if (kind == FAULT_KINDS) {
            fprintf(stderr, "sim: there is no fault %s; there are:", name);
            for (int i = 0; i < FAULT_KINDS; i++)
                fprintf(stderr, " %s", fault_name((enum fault_kind)i));
            fprintf(stderr, "\n");
            exit(2);
        }
        kinds |= 1ull << kind;
    }
    return kinds;
}

__attribute__((noreturn)) static void usage(void)
{
    fprintf(stderr, "usage: sim --seeds A..B [--twice] | --seed N [--trace] [--until S] [--history FILE]\n"
                    "           [--plant NAME] [--only KINDS] [--without KINDS] [--quiet]\n");
    exit(2);
}

static void parse(int count, char **words, struct arguments *out)
{
    *out = (struct arguments){.first = 1, .last = 20, .kinds = UINT64_MAX};
    for (int i = 1; i < count; i++) {
        const char *word = words[i], *value = i + 1 < count ? words[i + 1] : NULL;
        if (strcmp(word, "--twice") == 0) {
            out->twice = true;
            continue;
        }
        if (strcmp(word, "--trace") == 0) {
            out->trace = true;
            continue;
        }
        if (strcmp(word, "--quiet") == 0) {
            out->quiet = true;
            continue;
        }
        if (value == NULL) usage();
        i++;
        if (strcmp(word, "--seed") == 0)
            out->first = out->last = strtoull(value, NULL, 10);
        else if (strcmp(word, "--seeds") == 0 && sscanf(value, "%" SCNu64 "..%" SCNu64, &out->first, &out->last) == 2)
            continue;
        else if (strcmp(word, "--until") == 0)
            out->until_s = strtod(value, NULL);
        else if (strcmp(word, "--plant") == 0)
            out->plant = value;
        else if (strcmp(word, "--history") == 0)
            out->history = value;
        else if (strcmp(word, "--only") == 0)
            out->kinds = parse_kinds(value);
        else if (strcmp(word, "--without") == 0)
            out->kinds &= ~parse_kinds(value);
        else
            usage();
    }
}

static void prepare_last_words(const struct arguments *arguments, uint64_t seed, const struct totals *totals)
{
    int size =
        arguments->plant
            ? snprintf(last_words, sizeof last_words,
                  "the planted bug %s is found with %" PRIu64 " seeds (a CHECK fired)\n1 passed, 0 failed\n",
                  arguments->plant, seed - arguments->first + 1)
            : snprintf(last_words, sizeof last_words,
                  "replay: sim --seed %" PRIu64 " --trace\n%" PRIu64 " passed, 1 failed\n", seed, totals->passed);
    last_words_size = (size_t)size;
    last_status = arguments->plant ? 0 : 1;
}

/* False when the seed failed. */
static bool run_seed(const struct arguments *arguments, uint64_t seed, struct totals *totals)
{
    struct cluster_run_options options = {.seed = seed,
        .trace = arguments->trace,
        .until_ns = (uint64_t)(arguments->until_s * 1e9),
        .kinds_allowed = arguments->kinds,
        .history = arguments->history,
        .quiet = arguments->quiet || arguments->plant};
    struct cluster_result result, again;
    prepare_last_words(arguments, seed, totals);
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
    totals->operations += result.operations;
    totals->ok += result.ok;
    totals->unknown += result.unknown;
    totals->power_cuts += result.power_cuts;
    totals->kills += result.kills;
    totals->deaths += result.deaths;
    totals->kinds |= result.kinds;
    totals->simulated_s += (double)result.simulated_ns / 1e9 * (arguments->twice ? 2 : 1);
    totals->active_s += (double)result.active_ns / 1e9 * (arguments->twice ? 2 : 1);
    if (arguments->first == arguments->last || result.failed)
        printf("seed %" PRIu64 ": %.0f s, %" PRIu64 " events, %" PRIu64 " operations (%" PRIu64 " ok, %" PRIu64
               " unknown, %" PRIu64 " refused, %" PRIu64 " deleted), trace %016" PRIx64 "\n",
            seed, (double)result.simulated_ns / 1e9, result.events, result.operations, result.ok, result.unknown,
            result.refused, result.deleted, result.trace_hash);
    if (result.failed) printf("seed %" PRIu64 " FAILED: %s\n", seed, result.why);
    fflush(stdout);
    return !result.failed;
}

static void print_replay(const struct arguments *arguments, uint64_t seed)
{
    printf("replay: sim --seed %" PRIu64 " --trace%s%s\n", seed, arguments->plant ? " --plant " : "",
        arguments->plant ? arguments->plant : "");
}

int main(int count, char **words)
{
    struct arguments arguments;
    struct totals totals = {0};
    parse(count, words, &arguments);
    signal(SIGABRT, on_abort);
    if (arguments.plant) plant_set(arguments.plant);
    struct timespec start, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    for (uint64_t seed = arguments.first; seed <= arguments.last; seed++) {
        bool ok = run_seed(&arguments, seed, &totals);
        ok ? totals.passed++ : totals.failed++;
        if (!ok) print_replay(&arguments, seed);
        if (!ok && arguments.plant) {
            printf("the planted bug %s is found with %" PRIu64 " seeds\n", arguments.plant, seed - arguments.first + 1);
            printf("1 passed, 0 failed\n");
            return 0;
        }
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    double cpu = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    printf("%.2f simulated hours, %.0f %% under a fault; %" PRIu64 " operations, %" PRIu64 " ok, %" PRIu64
           " unknown; %" PRIu64 " kills, %" PRIu64 " power cuts, %" PRIu64 " deaths; %.0f x real time\n",
        totals.simulated_s / 3600, totals.simulated_s > 0 ? 100 * totals.active_s / totals.simulated_s : 0,
        totals.operations, totals.ok, totals.unknown, totals.kills, totals.power_cuts, totals.deaths,
        cpu > 0 ? totals.simulated_s / cpu : 0);
    if (arguments.plant) {
        printf("the planted bug %s is not found\n0 passed, 1 failed\n", arguments.plant);
        return 1;
    }
    printf("%" PRIu64 " passed, %" PRIu64 " failed\n", totals.passed, totals.failed);
    return totals.failed ? 1 : 0;
}
