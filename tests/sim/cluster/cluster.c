#include "tests/sim/cluster/cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/sim/cluster/cluster_internal.h"
#include "tests/sim/sim_mem.h"

static const uint64_t BOOT_NS = 30 * WORLD_S, WARM_UP_NS = 3 * WORLD_S, SETTLE_NS = 14 * WORLD_S,
                      STRICT_NS = 5 * WORLD_S, DRAIN_NS = 60 * WORLD_S, READ_NS = 120 * WORLD_S, REST_NS = 15 * WORLD_S,
                      STOP_NS = CLUSTER_STOP_MS * WORLD_MS;

/* Phases. */

static bool running(const struct cluster *cluster)
{
    if (world_failure(cluster->world)) return false;
    return cluster->options->until_ns == 0 || world_now(cluster->world) < WORLD_S + cluster->options->until_ns;
}

static void pass(struct cluster *cluster, uint64_t ns)
{
    uint64_t until = world_now(cluster->world) + ns;
    if (cluster->options->until_ns && until > WORLD_S + cluster->options->until_ns)
        until = WORLD_S + cluster->options->until_ns;
    world_run_until(cluster->world, until);
}

/* Waits for a condition, looking every 20 ms. */
static bool pass_until(struct cluster *cluster, uint64_t limit_ns, bool (*holds)(struct cluster *cluster))
{
    uint64_t end = world_now(cluster->world) + limit_ns;
    while (running(cluster) && world_now(cluster->world) < end) {
        if (holds(cluster)) return true;
        pass(cluster, 20 * WORLD_MS);
    }
    return running(cluster) && holds(cluster);
}

static bool all_ready(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->daemons_count; i++)
        if (!daemon_is_ready(&cluster->daemons[i])) return false;
    return true;
}

static bool nothing_under_way(struct cluster *cluster)
{
    return workload_under_way(cluster->workload) == 0;
}

static bool everything_is_read(struct cluster *cluster)
{
    return workload_is_read(cluster->workload);
}

static bool everything_rests(struct cluster *cluster)
{
    return watch_is_at_rest(cluster->watch);
}

static bool all_stopped(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->daemons_count; i++)
        if (cluster->daemons[i].stopping) return false;
    return true;
}

static const char *not_ready(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->daemons_count; i++)
        if (!daemon_is_ready(&cluster->daemons[i])) return cluster->daemons[i].name;
    return "nobody";
}

static void bring_up(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->daemons_count; i++)
        world_event_in(
            &cluster->comebacks[i].event, prng_below(world_prng(cluster->world, WORLD_CRASH), 500 * WORLD_MS));
    if (!pass_until(cluster, BOOT_NS, all_ready) && running(cluster))
        world_fail(cluster->world, "liveness", "30 s after the first start %s is not ready", not_ready(cluster));
    workload_run(cluster->workload, true);
    pass(cluster, WARM_UP_NS);
}

static uint64_t failures(const struct cluster *cluster)
{
    const struct workload_counts *counts = workload_counts(cluster->workload);
    return counts->by_outcome[HISTORY_REFUSED] + counts->by_outcome[HISTORY_UNKNOWN];
}

static void safety(struct cluster *cluster)
{
    cluster->failures_before = failures(cluster);
    cluster_faults_begin(cluster);
    pass(cluster, cluster->scenario->plan.safety_ns);
    cluster_heal(cluster);
}

static void liveness(struct cluster *cluster)
{
    pass(cluster, SETTLE_NS);
    cluster->deaths_allowed = false;
    cluster->ending = true;
    watch_calm(cluster->watch);
    if (!all_ready(cluster) && running(cluster))
        world_fail(cluster->world, "liveness", "14 s after all faults ended %s is not ready", not_ready(cluster));
    workload_horizon_settled(cluster->workload, admin_horizon_ms(cluster->admin));
    uint64_t before = failures(cluster);
    pass(cluster, STRICT_NS);
    uint64_t disks = 1ull << FAULT_DISK_READ | 1ull << FAULT_DISK_FLIP | 1ull << FAULT_DISK_ROT |
                     1ull << FAULT_DISK_SYNC | 1ull << FAULT_DISK_WRITE;
    if (world_probe_hits(cluster->world, "range.lapsed") && !(cluster->scenario->plan.kinds & disks) &&
        running(cluster))
        world_fail(cluster->world, "I14", "a recovery believes that something is lost although no disk failed");
    if (world_probe_hits(cluster->world, "range.lapsed") && cluster->scenario->none_lapsed && running(cluster))
        world_fail(cluster->world, "lapse", "a replica has lapsed, and none may");
    if (failures(cluster) != before && running(cluster))
        world_fail(cluster->world, "liveness", "%" PRIu64 " operations failed later than 14 s after all faults ended",
            failures(cluster) - before);
    workload_run(cluster->workload, false);
    if (!pass_until(cluster, DRAIN_NS, nothing_under_way) && running(cluster))
        world_fail(cluster->world, "I22", "an operation is still under way a minute later");
    if (cluster->scenario->all_served && failures(cluster) != cluster->failures_before && running(cluster))
        world_fail(cluster->world, "served", "%" PRIu64 " operations failed, and none may",
            failures(cluster) - cluster->failures_before);
    workload_read_all(cluster->workload, HISTORY_ALL);
    if (!pass_until(cluster, READ_NS, everything_is_read) && running(cluster))
        world_fail(cluster->world, "liveness", "not everything can be read at ALL");
    watch_rest(cluster->watch);
    pass_until(cluster, REST_NS, everything_rests);
    if (running(cluster)) watch_judge_end(cluster->watch);
}

/* Routers first, controllers last; each must leave nothing behind. */
static void wind_down(struct cluster *cluster)
{
    for (uint32_t i = cluster->daemons_count; i > 0 && running(cluster); i--) {
        cluster_stop_daemon(cluster, i - 1);
        pass_until(cluster, STOP_NS + WORLD_S, all_stopped);
    }
}

/* A run. */
static struct cluster *cluster_create(const struct cluster_run_options *options, struct cluster_result *result)
{
    struct cluster *cluster = sim_alloc(sizeof *cluster);
    cluster->options = options;
    cluster->scenario = options->scenario;
    cluster->result = result;
    cluster->world = world_create(options->scenario->seed);
    world_trace_print(cluster->world, options->trace);
    cluster->net = sim_net_create(cluster->world);
    cluster_make_daemons(cluster);
    cluster_make_clients(cluster);
    cluster_set_weather(cluster);
    cluster->admin = admin_create(cluster->world, cluster->net, cluster->scenario->hosts.controllers);
    cluster->watch = watch_create(cluster->world, cluster->net, cluster->daemons, cluster->daemons_count);
    cluster_faults_init(cluster);
    return cluster;
}

static void cluster_destroy(struct cluster *cluster)
{
    torn_destroy(cluster->torn);
    figure8_destroy(cluster->figure8);
    for (uint32_t i = 0; i < cluster->daemons_count; i++)
        process_destroy(cluster->daemons[i].process);
    for (uint32_t i = 0; i < cluster->scenario->hosts.clients; i++)
        process_destroy(cluster->clients[i]);
    admin_destroy(cluster->admin);
    workload_destroy(cluster->workload);
    sim_net_destroy(cluster->net);
    watch_destroy(cluster->watch);
    for (uint32_t i = 0; i < cluster->daemons_count; i++)
        sim_disk_destroy(cluster->daemons[i].disk);
    world_destroy(cluster->world);
    mem_free(cluster);
}

static void write_history(const struct cluster *cluster, const char *path)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fprintf(file, "# simulated, seed %" PRIu64 "\n", world_seed(cluster->world));
    history_write(workload_history(cluster->workload), file);
    fclose(file);
}

static void judge(struct cluster *cluster)
{
    const struct history *history = workload_history(cluster->workload);
    struct check_result checked;
    check_history(history, &checked);
    if (cluster->options->history) write_history(cluster, cluster->options->history);
    if (checked.violations_count == 0) return;
    const struct check_violation *first = &checked.violations[0];
    world_fail(cluster->world, "history", "R%u %s: channel %" PRIu64 " message %" PRIu64 " (%" PRIu64 " violations)",
        first->rule, first->text, first->channel, first->id, checked.violations_count);
    if (!cluster->options->quiet) check_print(history, &checked, stdout);
}

static void take_result(struct cluster *cluster)
{
    struct cluster_result *result = cluster->result;
    const struct workload_counts *counts = workload_counts(cluster->workload);
    const char *failure = world_failure(cluster->world);
    result->failed = failure != NULL;
    if (failure) snprintf(result->why, sizeof result->why, "%s", failure);
    result->trace_hash = world_trace_hash(cluster->world);
    result->events = world_events(cluster->world);
    result->simulated_ns = world_now(cluster->world) - WORLD_S;
    result->active_ns = plan_active_ns(&cluster->scenario->plan);
    result->kinds = cluster->scenario->plan.kinds;
    for (int kind = 0; kind < HISTORY_KINDS; kind++)
        result->operations += counts->by_kind[kind];
    result->ok = counts->by_outcome[HISTORY_OK] + counts->by_outcome[HISTORY_SUPERSEDED];
    result->unknown = counts->by_outcome[HISTORY_UNKNOWN];
    result->refused = counts->by_outcome[HISTORY_REFUSED];
    result->deleted = counts->by_outcome[HISTORY_DELETED];
}

void cluster_run(const struct cluster_run_options *options, struct cluster_result *result)
{
    *result = (struct cluster_result){0};
    struct cluster *cluster = cluster_create(options, result);
    if (options->trace) scenario_write(cluster->scenario, stdout);
    bring_up(cluster);
    if (running(cluster)) safety(cluster);
    if (running(cluster)) liveness(cluster);
    if (running(cluster)) wind_down(cluster);
    judge(cluster);
    if (world_failure(cluster->world) && !options->quiet && !options->trace) {
        scenario_write(cluster->scenario, stdout);
        world_trace_dump(cluster->world, 100);
    }
    take_result(cluster);
    cluster_destroy(cluster);
}
