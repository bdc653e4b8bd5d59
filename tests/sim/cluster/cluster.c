#include "tests/sim/cluster/cluster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/sim/client_raw.h"
#include "tests/sim/client_session.h"
#include "tests/sim/cluster/daemons.h"
#include "tests/sim/cluster/admin.h"
#include "tests/sim/cluster/torn.h"
#include "tests/sim/cluster/watch.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/workload.h"

enum { DAEMONS_MAX = 16, CLIENTS_MAX = 8, LISTS_BYTES = 200 };

static const uint64_t BOOT_NS = 30 * WORLD_S, WARM_UP_NS = 3 * WORLD_S, SETTLE_NS = 14 * WORLD_S,
                      STRICT_NS = 5 * WORLD_S, DRAIN_NS = 60 * WORLD_S, READ_NS = 120 * WORLD_S, STOP_NS = 10 * WORLD_S;

/* A fault of the plan: fires at its start, and again at its end. */
struct fault {
    struct world_event event;
    struct cluster *cluster;
    const struct plan_event *plan;
    bool begun;
};

/* A daemon's or client's way back. */
struct comeback {
    struct world_event event;
    struct cluster *cluster;
    uint32_t index;
};

struct cluster {
    const struct cluster_run_options *options;
    struct world *world;
    struct sim_net *net;
    struct plan_hosts hosts;
    struct daemon daemons[DAEMONS_MAX];
    struct comeback comebacks[DAEMONS_MAX], client_comebacks[CLIENTS_MAX];
    uint32_t daemons_count;
    int64_t base_offset_us[DAEMONS_MAX];
    struct process *clients[CLIENTS_MAX];
    char client_names[CLIENTS_MAX][24];
    char router_addresses[CLIENTS_MAX][32];
    const char *routers[CLIENTS_MAX];
    struct admin *admin;
    struct watch *watch;
    struct torn *torn;
    struct workload *workload;
    struct plan plan;
    struct fault faults[PLAN_EVENTS_MAX];
    struct world_event stops; /* looks after orderly stops */
    uint64_t stop_begun_ns[DAEMONS_MAX];
    bool deaths_allowed, healed, ending;
    struct cluster_result *result;
};

/* Topology. */

static void make_daemon(
    struct cluster *cluster, const struct daemon_kind *kind, const char *name, uint32_t network, uint32_t number)
{
    struct daemon *daemon = &cluster->daemons[cluster->daemons_count];
    daemon->kind = kind;
    daemon->reactors_count = 1;
    snprintf(daemon->name, sizeof daemon->name, "%s%u", name, number);
    snprintf(daemon->address, sizeof daemon->address, "127.0.%u.%u", network, number);
    daemon->disk = sim_disk_create(world_seed_for(cluster->world, daemon->name));
    daemon->process = process_create(cluster->world, daemon->name, daemon->disk);
    daemon->host = sim_net_attach(cluster->net, daemon->process);
    CHECK(daemon->host == cluster->daemons_count);
    cluster->daemons_count++;
    daemon_override(
        daemon, "cluster.uuid=5eed0000-0000-4000-8000-%012" PRIx64, world_seed(cluster->world) & 0xffffffffffff);
    daemon_override(daemon, "listen.address=%s", daemon->address);
    daemon_override(daemon, "storage.directory=data");
}

static void make_daemons(struct cluster *cluster)
{
    struct prng *prng = world_prng(cluster->world, WORLD_TOPOLOGY);
    struct plan_hosts *hosts = &cluster->hosts;
    hosts->controllers = prng_chance(prng, 200000) ? 1 : 3;
    hosts->nodes = (uint32_t)prng_between(prng, 3, 5);
    hosts->routers = (uint32_t)prng_between(prng, 1, 3);
    hosts->bad_node = (uint32_t)prng_below(prng, hosts->nodes);
    char members[LISTS_BYTES] = "", controllers[LISTS_BYTES] = "";
    for (uint32_t i = 1; i <= hosts->controllers; i++) {
        size_t at = strlen(members), also = strlen(controllers);
        snprintf(members + at, sizeof members - at, "%s%u=127.0.1.%u", i > 1 ? "," : "", i, i);
        snprintf(controllers + also, sizeof controllers - also, "%s127.0.1.%u", i > 1 ? "," : "", i);
    }
    for (uint32_t i = 1; i <= hosts->controllers; i++) {
        make_daemon(cluster, &KIND_CONTROLD, "controller", 1, i);
        struct daemon *daemon = &cluster->daemons[cluster->daemons_count - 1];
        daemon_override(daemon, "raft.id=%u", i);
        daemon_override(daemon, "raft.members=%s", members);
        daemon_override(daemon, "bootstrap.nodes=%u", hosts->nodes);
        daemon_override(daemon, "raft.snapshot_entries=16");
    }
    for (uint32_t i = 1; i <= hosts->nodes; i++) {
        make_daemon(cluster, &KIND_NODED, "node", 2, i);
        struct daemon *daemon = &cluster->daemons[cluster->daemons_count - 1];
        daemon->reactors_count = (unsigned)prng_between(prng, 1, 3);
        daemon_override(daemon, "node.controllers=%s", controllers);
        daemon_override(daemon, "node.zone=zone%u", i);
        daemon_override(daemon, "node.shards=%u", daemon->reactors_count);
        daemon_override(daemon, "memory.max=16MiB");
    }
    for (uint32_t i = 1; i <= hosts->routers; i++) {
        make_daemon(cluster, &KIND_ROUTERD, "router", 3, i);
        struct daemon *daemon = &cluster->daemons[cluster->daemons_count - 1];
        daemon->reactors_count = (unsigned)prng_between(prng, 1, 2);
        daemon_override(daemon, "router.controllers=%s", controllers);
        daemon_override(daemon, "router.workers=%u", daemon->reactors_count);
        snprintf(cluster->router_addresses[i - 1], sizeof cluster->router_addresses[0], "127.0.3.%u", i);
        cluster->routers[i - 1] = cluster->router_addresses[i - 1];
    }
}

/* Death and comeback. */

static void daemon_died(void *context, struct process *process, enum status status, const char *why)
{
    struct cluster *cluster = context;
    cluster->result->deaths++;
    for (uint32_t i = 0; i < cluster->daemons_count; i++) {
        if (cluster->daemons[i].process != process) continue;
        cluster->daemons[i].body = NULL;
        cluster->daemons[i].stopping = false;
        struct prng *prng = world_prng(cluster->world, WORLD_CRASH);
        world_event_in(&cluster->comebacks[i].event, prng_between(prng, 300, 2000) * WORLD_MS);
    }
    if (!cluster->deaths_allowed)
        world_fail(cluster->world, "death", "%s died although no disk failed: %s (%s)", process_name(process), why,
            status_name(status));
}

static void come_back(struct world_event *event)
{
    struct comeback *comeback = CONTAINER_OF(event, struct comeback, event);
    struct daemon *daemon = &comeback->cluster->daemons[comeback->index];
    if (process_is_running(daemon->process)) return;
    /* Now and then a node comes back with another number of shards. */
    struct prng *prng = world_prng(comeback->cluster->world, WORLD_TOPOLOGY);
    if (daemon->kind == &KIND_NODED && prng_below(prng, 5) == 0)
        daemon->reactors_count = (unsigned)prng_between(prng, 1, 3);
    daemon_start(daemon);
}

static void client_comes_back(struct world_event *event)
{
    struct comeback *comeback = CONTAINER_OF(event, struct comeback, event);
    if (process_is_running(comeback->cluster->clients[comeback->index])) return;
    workload_user_start(comeback->cluster->workload, comeback->index);
}

static void finish_stops(struct cluster *cluster)
{
    uint64_t now = world_now(cluster->world);
    for (uint32_t i = 0; i < cluster->daemons_count; i++) {
        struct daemon *daemon = &cluster->daemons[i];
        if (!daemon->stopping || !process_is_running(daemon->process)) continue;
        if (daemon->stopped) {
            daemon_finish(daemon);
            if (cluster->healed && !cluster->ending) world_event_in(&cluster->comebacks[i].event, 0);
        } else if (now - cluster->stop_begun_ns[i] > STOP_NS) {
            /* systemd would kill it. Only when nothing disturbs it is that a failure. */
            if (cluster->ending) world_fail(cluster->world, "stop", "%s did not stop within 10 s", daemon->name);
            daemon->stopping = false;
            process_kill(daemon->process);
        }
    }
}

static void stops_event(struct world_event *event)
{
    struct cluster *cluster = CONTAINER_OF(event, struct cluster, stops);
    finish_stops(cluster);
    world_event_in(event, 10 * WORLD_MS);
}

static void stop_daemon(struct cluster *cluster, uint32_t index)
{
    if (cluster->daemons[index].stopping) return;
    cluster->stop_begun_ns[index] = world_now(cluster->world);
    daemon_stop(&cluster->daemons[index]);
}

/* Faults. */

static void end_process(struct cluster *cluster, uint32_t index, enum fault_kind kind, uint64_t length_ns)
{
    struct daemon *daemon = &cluster->daemons[index];
    if (process_is_running(daemon->process)) {
        if (kind == FAULT_STOP) {
            stop_daemon(cluster, index);
        } else if (kind == FAULT_KILL) {
            process_kill(daemon->process);
            cluster->result->kills++;
        } else {
            process_power_cut(daemon->process);
            cluster->result->power_cuts++;
        }
        if (kind != FAULT_STOP) daemon->stopping = false;
    }
    /* An orderly stop may take its 10 s. */
    world_event_in(&cluster->comebacks[index].event, length_ns + (kind == FAULT_STOP ? STOP_NS + WORLD_S : 0));
}

static uint32_t *net_rate(struct cluster *cluster, enum fault_kind kind)
{
    struct sim_net_faults *faults = sim_net_faults(cluster->net);
    switch (kind) {
    case FAULT_NET_LOSS:
        return &faults->loss_ppm;
    case FAULT_NET_DUPLICATE:
        return &faults->duplicate_ppm;
    case FAULT_NET_REORDER:
        return &faults->reorder_ppm;
    case FAULT_NET_SPIKE:
        return &faults->spike_ppm;
    case FAULT_NET_RESET:
        return &faults->reset_ppm;
    case FAULT_NET_QUEUE:
        return &faults->full_queue_ppm;
    default:
        return NULL;
    }
}

static uint32_t *disk_rate(struct sim_disk *disk, enum fault_kind kind)
{
    struct sim_disk_faults *faults = sim_disk_faults(disk);
    switch (kind) {
    case FAULT_DISK_READ:
        return &faults->read_error_ppm;
    case FAULT_DISK_FLIP:
        return &faults->read_flip_ppm;
    case FAULT_DISK_SYNC:
        return &faults->sync_error_ppm;
    case FAULT_DISK_WRITE:
        return &faults->write_error_ppm;
    case FAULT_DISK_SLOW:
        return &faults->slow_factor;
    default:
        return NULL;
    }
}

static void fault_of_network(struct cluster *cluster, const struct plan_event *plan, bool on)
{
    uint32_t *rate = net_rate(cluster, plan->kind);
    if (rate) *rate = on ? (uint32_t)plan->argument : 0;
    uint32_t other = (uint32_t)(plan->kind == FAULT_SLOW_LINK ? plan->argument >> 32 : plan->argument);
    if (plan->kind == FAULT_CUT) sim_net_cut(cluster->net, plan->target, other, on);
    if (plan->kind == FAULT_PARTITION) sim_net_partition(cluster->net, on ? (uint64_t)plan->argument : 0);
    if (plan->kind == FAULT_RESET && on) sim_net_reset(cluster->net, plan->target, other);
    if (plan->kind == FAULT_SLOW_LINK)
        sim_net_slow(cluster->net, plan->target, other, on ? (uint32_t)(plan->argument & 0xffff) : 1);
}

static void fault_of_daemon(struct cluster *cluster, const struct plan_event *plan, bool on)
{
    struct daemon *daemon = &cluster->daemons[plan->target];
    uint32_t *rate = disk_rate(daemon->disk, plan->kind);
    if (rate) *rate = on ? (uint32_t)plan->argument : 0;
    if (plan->kind == FAULT_DISK_FULL)
        sim_disk_faults(daemon->disk)->capacity_bytes = on ? sim_disk_used(daemon->disk) + 1 : 0;
    if (plan->kind == FAULT_CLOCK_RATE) process_clock_rate(daemon->process, on ? (int32_t)plan->argument : 0);
    if (!on) return;
    if (plan->kind == FAULT_PAUSE) process_pause_until(daemon->process, world_now(cluster->world) + plan->length_ns);
    if (plan->kind == FAULT_CLOCK_STEP) process_clock_offset(daemon->process, plan->argument);
    if (plan->kind == FAULT_KILL || plan->kind == FAULT_POWER || plan->kind == FAULT_STOP)
        end_process(cluster, plan->target, plan->kind, plan->length_ns);
}

/* A disk that is far behind when the power goes. */
static void slow_then_cut(struct cluster *cluster, const struct plan_event *plan, bool on)
{
    sim_disk_faults(cluster->daemons[plan->target].disk)->slow_factor = on ? (uint32_t)plan->argument : 0;
    uint64_t back_ns = prng_between(world_prng(cluster->world, WORLD_CRASH), 5, 1000) * WORLD_MS;
    if (!on) end_process(cluster, plan->target, FAULT_POWER, back_ns);
}

static void cut_controller(void *context, uint32_t controller, uint64_t length_ns)
{
    end_process(context, controller, FAULT_POWER, length_ns);
}

/* Not faults: what daemons are asked to do. */
static void errand(struct cluster *cluster, const struct plan_event *plan)
{
    if (plan->kind == FAULT_EPOCH) {
        admin_bump_epoch(cluster->admin, (uint64_t)plan->argument + 1);
        return;
    }
    const struct daemon *daemon = &cluster->daemons[plan->target];
    char address[32];
    snprintf(
        address, sizeof address, "%s:%u", daemon->address, 7300 + (unsigned)plan->argument % daemon->reactors_count);
    (plan->kind == FAULT_FLUSH ? admin_flush : admin_compact)(cluster->admin, address);
}

static void fault_happens(struct cluster *cluster, const struct plan_event *plan, bool on)
{
    world_trace(
        cluster->world, on ? "fault" : "fault ends", fault_name(plan->kind), plan->target, (uint64_t)plan->argument);
    if (on) world_probe(cluster->world, fault_name(plan->kind), strlen(fault_name(plan->kind)));
    if (PLAN_NO_FAULTS >> plan->kind & 1) {
        if (on) errand(cluster, plan);
    } else if (plan->kind == FAULT_POWER_ALL || plan->kind == FAULT_POWER_CONTROLLERS) {
        uint32_t count = plan->kind == FAULT_POWER_ALL ? cluster->daemons_count : cluster->hosts.controllers;
        for (uint32_t i = 0; i < count && on; i++)
            end_process(cluster, i, FAULT_POWER, plan->length_ns + i * 50 * WORLD_MS);
    } else if (plan->kind == FAULT_TORN) {
        if (on && cluster->hosts.controllers == 3) torn_begin(cluster->torn, (uint32_t)plan->argument);
        if (!on) torn_end(cluster->torn);
    } else if (plan->kind == FAULT_SLOW_CUT) {
        slow_then_cut(cluster, plan, on);
    } else if (plan->kind == FAULT_CLIENT_KILL) {
        if (!on || !process_is_running(cluster->clients[plan->target])) return;
        process_kill(cluster->clients[plan->target]);
        workload_user_killed(cluster->workload, plan->target);
        world_event_in(&cluster->client_comebacks[plan->target].event, plan->length_ns);
    } else if (plan->kind >= FAULT_CUT && plan->kind <= FAULT_NET_QUEUE) {
        fault_of_network(cluster, plan, on);
    } else {
        fault_of_daemon(cluster, plan, on);
    }
}

static void fault_event(struct world_event *event)
{
    struct fault *fault = CONTAINER_OF(event, struct fault, event);
    if (fault->begun) {
        fault_happens(fault->cluster, fault->plan, false);
        return;
    }
    fault->begun = true;
    fault_happens(fault->cluster, fault->plan, true);
    world_event_in(event, fault->plan->length_ns);
}

static void heal(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->plan.events_count; i++)
        world_event_cancel(&cluster->faults[i].event);
    torn_end(cluster->torn);
    struct sim_net_faults *net = sim_net_faults(cluster->net);
    *net = (struct sim_net_faults){.delay_ns = net->delay_ns, .jitter_ns = net->jitter_ns};
    sim_net_heal(cluster->net);
    world_trace(cluster->world, "heal", "all faults end", 0, 0);
    cluster->healed = true;
    for (uint32_t i = 0; i < cluster->daemons_count; i++) {
        struct daemon *daemon = &cluster->daemons[i];
        struct sim_disk_faults *disk = sim_disk_faults(daemon->disk);
        *disk = (struct sim_disk_faults){.crash_keep_ppm = disk->crash_keep_ppm,
            .crash_tear_ppm = disk->crash_tear_ppm,
            .crash_garble_ppm = disk->crash_garble_ppm,
            .crash_zero_ppm = disk->crash_zero_ppm};
        process_clock_rate(daemon->process, 0);
        process_clock_offset(daemon->process, cluster->base_offset_us[i]);
        process_pause_until(daemon->process, world_now(cluster->world));
        if (!process_is_running(daemon->process)) world_event_in(&cluster->comebacks[i].event, 0);
    }
    for (uint32_t i = 0; i < cluster->hosts.clients; i++)
        if (!process_is_running(cluster->clients[i])) world_event_in(&cluster->client_comebacks[i].event, 0);
}

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
    uint64_t disks = 1ull << FAULT_DISK_READ | 1ull << FAULT_DISK_FLIP | 1ull << FAULT_DISK_SYNC |
                     1ull << FAULT_DISK_WRITE | 1ull << FAULT_DISK_FULL;
    cluster->deaths_allowed = cluster->plan.kinds & disks;
    for (uint32_t i = 0; i < cluster->plan.events_count; i++) {
        struct fault *fault = &cluster->faults[i];
        *fault = (struct fault){.cluster = cluster, .plan = &cluster->plan.events[i]};
        world_event_init(&fault->event, cluster->world, fault_event);
        world_event_in(&fault->event, fault->plan->at_ns);
    }
    pass(cluster, cluster->plan.safety_ns);
    heal(cluster);
}

static void liveness(struct cluster *cluster)
{
    pass(cluster, SETTLE_NS);
    cluster->deaths_allowed = false;
    cluster->ending = true;
    if (!all_ready(cluster) && running(cluster))
        world_fail(cluster->world, "liveness", "14 s after all faults ended %s is not ready", not_ready(cluster));
    uint64_t before = failures(cluster);
    pass(cluster, STRICT_NS);
    /* A replica that lost something counts nowhere until it is rebuilt, which nothing does yet. */
    bool whole = world_probe_hits(cluster->world, "range.lapsed") == 0;
    if (whole && failures(cluster) != before && running(cluster))
        world_fail(cluster->world, "liveness", "%" PRIu64 " operations failed later than 14 s after all faults ended",
            failures(cluster) - before);
    workload_run(cluster->workload, false);
    if (!pass_until(cluster, DRAIN_NS, nothing_under_way) && running(cluster))
        world_fail(cluster->world, "I22", "an operation is still under way a minute later");
    workload_read_all(cluster->workload, whole ? HISTORY_ALL : HISTORY_QUORUM);
    if (!pass_until(cluster, READ_NS, everything_is_read) && running(cluster))
        world_fail(cluster->world, "liveness", "not everything can be read at %s", whole ? "ALL" : "QUORUM");
}

/* Routers first, controllers last; each must leave nothing behind. */
static void wind_down(struct cluster *cluster)
{
    for (uint32_t i = cluster->daemons_count; i > 0 && running(cluster); i--) {
        stop_daemon(cluster, i - 1);
        pass_until(cluster, STOP_NS + WORLD_S, all_stopped);
    }
}

/* A run. */

static void make_clients(struct cluster *cluster)
{
    struct workload_options options;
    workload_draw(cluster->world, &options);
    cluster->hosts.clients = options.users;
    cluster->workload = workload_create(cluster->world, &options);
    for (uint32_t i = 0; i < options.users; i++) {
        snprintf(cluster->client_names[i], sizeof cluster->client_names[i], "client%u", i);
        cluster->clients[i] = process_create(cluster->world, cluster->client_names[i], NULL);
        sim_net_attach(cluster->net, cluster->clients[i]);
        workload_add_user(
            cluster->workload, cluster->clients[i], &CLIENT_RAW, cluster->routers, cluster->hosts.routers);
        cluster->client_comebacks[i] = (struct comeback){.cluster = cluster, .index = i};
        world_event_init(&cluster->client_comebacks[i].event, cluster->world, client_comes_back);
    }
}

/* What the whole run is like: a network of one rack or of a continent, disks that lose all that was not synced or
   nearly nothing. */
static void draw_weather(struct cluster *cluster)
{
    struct prng *prng = world_prng(cluster->world, WORLD_TOPOLOGY);
    struct sim_net_faults *net = sim_net_faults(cluster->net);
    net->delay_ns = (50ull << prng_below(prng, 8)) * WORLD_US;
    net->jitter_ns = net->delay_ns * prng_between(prng, 1, 4) / 2;
    static const uint32_t keeps[3] = {0, 500000, 900000};
    uint32_t keep = keeps[prng_below(prng, 3)];
    for (uint32_t i = 0; i < cluster->daemons_count; i++) {
        struct sim_disk_faults *disk = sim_disk_faults(cluster->daemons[i].disk);
        disk->crash_keep_ppm = keep;
        disk->crash_tear_ppm = keep ? (1000000 - keep) / 3 : 0;
        disk->crash_garble_ppm = keep ? (1000000 - keep) / 10 : 0;
        disk->crash_zero_ppm = keep ? (1000000 - keep) / 10 : 0;
    }
}

static struct cluster *cluster_create(const struct cluster_run_options *options, struct cluster_result *result)
{
    struct cluster *cluster = sim_alloc(sizeof *cluster);
    cluster->options = options;
    cluster->result = result;
    cluster->world = world_create(options->seed);
    world_trace_print(cluster->world, options->trace);
    cluster->net = sim_net_create(cluster->world);
    make_daemons(cluster);
    make_clients(cluster);
    plan_draw(&cluster->plan, cluster->world, &cluster->hosts, options->kinds_allowed);
    draw_weather(cluster);
    bool clocks = cluster->plan.kinds & (1ull << FAULT_CLOCK_STEP | 1ull << FAULT_CLOCK_RATE);
    for (uint32_t i = 0; i < cluster->daemons_count; i++) {
        process_on_death(cluster->daemons[i].process, daemon_died, cluster);
        cluster->comebacks[i] = (struct comeback){.cluster = cluster, .index = i};
        world_event_init(&cluster->comebacks[i].event, cluster->world, come_back);
        uint64_t draw = prng_below(world_prng(cluster->world, WORLD_CLOCK), 200000);
        cluster->base_offset_us[i] = clocks ? (int64_t)draw - 100000 : 0;
        process_clock_offset(cluster->daemons[i].process, cluster->base_offset_us[i]);
    }
    cluster->admin = admin_create(cluster->world, cluster->net, cluster->hosts.controllers);
    cluster->torn = torn_create(cluster->world, cluster->net, cluster->daemons, cut_controller, cluster);
    cluster->watch = watch_create(cluster->world, cluster->daemons, cluster->daemons_count);
    world_event_init(&cluster->stops, cluster->world, stops_event);
    world_event_in(&cluster->stops, 10 * WORLD_MS);
    return cluster;
}

static void cluster_destroy(struct cluster *cluster)
{
    watch_destroy(cluster->watch);
    torn_destroy(cluster->torn);
    for (uint32_t i = 0; i < cluster->daemons_count; i++)
        process_destroy(cluster->daemons[i].process);
    for (uint32_t i = 0; i < cluster->hosts.clients; i++)
        process_destroy(cluster->clients[i]);
    admin_destroy(cluster->admin);
    workload_destroy(cluster->workload);
    sim_net_destroy(cluster->net);
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
    result->active_ns = plan_active_ns(&cluster->plan);
    result->kinds = cluster->plan.kinds;
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
    if (options->trace) plan_print(&cluster->plan, stdout);
    bring_up(cluster);
    if (running(cluster)) safety(cluster);
    if (running(cluster)) liveness(cluster);
    if (running(cluster)) wind_down(cluster);
    judge(cluster);
    if (world_failure(cluster->world) && !options->quiet && !options->trace) {
        plan_print(&cluster->plan, stdout);
        world_trace_dump(cluster->world, 100);
    }
    take_result(cluster);
    cluster_destroy(cluster);
}
