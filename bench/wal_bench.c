/*
 * wal_bench: how many records a log makes durable, and how long each waits. Closed loop: so many writers, each with one
 * 200-byte record in flight. One line of JSON for each pair of writers and commits in flight.
 *
 *   wal_bench DIRECTORY [uring|uv] [MILLISECONDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/env_real.h"
#include "common/obs/histogram.h"
#include "common/runtime/fiber.h"
#include "common/runtime/reactor.h"
#include "common/wal/wal.h"

enum { RECORD_BYTES = 200, WRITERS_MAX = 4096, SEGMENT_BYTES = 32 << 20 };

struct bench;

struct writer_state {
    struct wal_waiter waiter;
    struct bench *bench;
    uint64_t started_ns;
};

struct bench {
    struct reactor *reactor;
    struct env *env;
    struct wal *wal;
    uint64_t run_ms;
    unsigned writers, live;
    uint64_t end_ns, records;
    struct histogram latency_us;
    struct gate gate;
    struct writer_state states[WRITERS_MAX];
    uint8_t payload[RECORD_BYTES];
};

static void append(struct writer_state *state)
{
    struct bytes part = bytes_of(state->bench->payload, RECORD_BYTES);
    state->started_ns = env_mono_ns(state->bench->env);
    CHECK(wal_append(state->bench->wal, 1, &part, 1, &state->waiter) == STATUS_OK);
}

static void on_done(struct wal_waiter *waiter)
{
    struct writer_state *state = CONTAINER_OF(waiter, struct writer_state, waiter);
    struct bench *bench = state->bench;
    uint64_t now = env_mono_ns(bench->env);
    histogram_record(&bench->latency_us, (now - state->started_ns) / 1000);
    bench->records++;
    if (now < bench->end_ns) {
        append(state);
    } else {
        bench->live--;
        gate_open(&bench->gate);
    }
}

static void measure(struct bench *bench, unsigned writers, unsigned in_flight)
{
    struct wal_config config = {
        .dir = "log", .cluster = {{1}}, .segment_bytes = SEGMENT_BYTES, .commits_in_flight = in_flight, .spares = 4};
    struct wal_recovery recovery;
    enum status status = wal_open(bench->reactor, &config, &recovery, &bench->wal);
    if (status != STATUS_OK) {
        fprintf(stderr, "wal_bench: %s\n", recovery.why);
        exit(1);
    }
    memset(&bench->latency_us, 0, sizeof bench->latency_us);
    bench->records = 0;
    bench->live = writers;
    uint64_t start = env_mono_ns(bench->env), groups = wal_counters(bench->wal)->groups;
    bench->end_ns = start + bench->run_ms * 1000000;
    for (unsigned i = 0; i < writers; i++) {
        bench->states[i] = (struct writer_state){.waiter = {.done = on_done}, .bench = bench};
        append(&bench->states[i]);
    }
    while (bench->live) {
        gate_wait(bench->reactor, &bench->gate, reactor_now_ns(bench->reactor) + 10000000);
        wal_release(bench->wal, wal_synced_sequence(bench->wal));
    }
    double took = (double)(env_mono_ns(bench->env) - start) / 1e9;
    const struct wal_counters *counters = wal_counters(bench->wal);
    printf("{\"bench\": \"wal\", \"backend\": \"%s\", \"writers\": %u, \"in_flight\": %u, \"records_per_s\": %.0f, "
           "\"groups_per_s\": %.0f, \"p50_us\": %llu, \"p99_us\": %llu, \"segments_made\": %llu, \"reused\": %llu}\n",
        reactor_backend_name(bench->reactor), writers, in_flight, (double)bench->records / took,
        (double)(counters->groups - groups) / took, (unsigned long long)histogram_quantile(&bench->latency_us, 0.5),
        (unsigned long long)histogram_quantile(&bench->latency_us, 0.99), (unsigned long long)counters->segments_made,
        (unsigned long long)counters->segments_reused);
    fflush(stdout);
    wal_close(bench->wal);
}

static void run(void *argument)
{
    struct bench *bench = argument;
    static const unsigned writers[] = {1, 20, 320, 3200};
    gate_init(&bench->gate);
    for (unsigned i = 0; i < sizeof writers / sizeof *writers; i++)
        for (unsigned in_flight = 1; in_flight <= WAL_COMMITS_IN_FLIGHT_MAX; in_flight++)
            measure(bench, writers[i], in_flight);
    reactor_stop(bench->reactor);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: wal_bench DIRECTORY [uring|uv] [MILLISECONDS]\n");
        return 2;
    }
    struct env_real_options options = {.name = "bench", .directory = argv[1], .backend = ENV_BACKEND_AUTO};
    if (argc > 2) options.backend = strcmp(argv[2], "uv") == 0 ? ENV_BACKEND_UV : ENV_BACKEND_URING;
    struct env_real *real;
    char why[ENV_WHY_BYTES];
    if (env_real_open(&options, &real, why) != STATUS_OK) {
        fprintf(stderr, "wal_bench: %s\n", why);
        return 1;
    }
    struct bench *bench = mem_zalloc(sizeof *bench);
    bench->env = env_real_env(real);
    bench->run_ms = argc > 3 ? strtoull(argv[3], NULL, 10) : 2000;
    bench->reactor = reactor_create(bench->env, "bench", 0);
    memset(bench->payload, 'x', sizeof bench->payload);
    fiber_start(bench->reactor, "bench", run, bench);
    reactor_run(bench->reactor);
    reactor_destroy(bench->reactor);
    mem_free(bench);
    env_real_close(real);
    return 0;
}
