/* faults: what goes wrong in a simulated cluster, as its plan says, and how daemons and users come back from it. */
#include "noded/api/space_keeper.h"
#include "tests/sim/cluster/cluster_internal.h"

#include <stdio.h>
#include <string.h>

#include "noded/api/sight.h"
#include "tests/sim/cluster/rot.h"

static const uint64_t STOP_NS = CLUSTER_STOP_MS * WORLD_MS;

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
    struct prng *prng = world_prng(comeback->cluster->world, WORLD_COMEBACK);
    if (daemon->kind == &KIND_NODED && prng_below(prng, 5) == 0)
        daemon->reactors_count = (unsigned)prng_between(prng, 1, 3);
    watch_daemon_starts(comeback->cluster->watch, comeback->index);
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

void cluster_stop_daemon(struct cluster *cluster, uint32_t index)
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
            cluster_stop_daemon(cluster, index);
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

static void add_reserve(void *context, const char *path, uint64_t size)
{
    uint64_t *reserve = context;
    if (strcmp(path, SPACE_RESERVE_PATH) == 0) *reserve = size;
}

/* So many percent are used, as nodes count: what they reserve is none of it. 0: there is plenty. */
static void fill_disk(struct sim_disk *disk, uint64_t percent)
{
    uint64_t used = sim_disk_used(disk), reserve = 0;
    sim_disk_walk(disk, add_reserve, &reserve);
    uint64_t own = used > reserve ? used - reserve : 1;
    uint64_t free = percent && percent < 100 ? own * (100 - percent) / percent : 0;
    sim_disk_faults(disk)->capacity_bytes = percent ? used + free + 1 : 0;
}

static void fault_of_daemon(struct cluster *cluster, const struct plan_event *plan, bool on)
{
    struct daemon *daemon = &cluster->daemons[plan->target];
    uint32_t *rate = disk_rate(daemon->disk, plan->kind);
    if (rate) *rate = on ? (uint32_t)plan->argument : 0;
    if (plan->kind == FAULT_DISK_FULL) fill_disk(daemon->disk, on ? (uint64_t)plan->argument : 0);
    if (plan->kind == FAULT_CLOCK_RATE) process_clock_rate(daemon->process, on ? (int32_t)plan->argument : 0);
    if (!on) return;
    if (plan->kind == FAULT_PAUSE) process_pause_until(daemon->process, world_now(cluster->world) + plan->length_ns);
    if (plan->kind == FAULT_CLOCK_STEP) process_clock_offset(daemon->process, plan->argument);
    if (plan->kind == FAULT_KILL || plan->kind == FAULT_POWER || plan->kind == FAULT_STOP)
        end_process(cluster, plan->target, plan->kind, plan->length_ns);
    if (plan->kind == FAULT_DISK_ROT) {
        end_process(cluster, plan->target, FAULT_KILL, plan->length_ns);
        rot_files(cluster->watch, daemon, plan->target, (uint64_t)plan->argument);
    }
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
    if (plan->kind == FAULT_HORIZON) {
        admin_raise_horizon(cluster->admin, workload_horizon(cluster->workload, (uint64_t)plan->argument));
        return;
    }
    const struct daemon *daemon = &cluster->daemons[plan->target];
    char address[32];
    snprintf(
        address, sizeof address, "%s:%u", daemon->address, 7300 + (unsigned)plan->argument % daemon->reactors_count);
    (plan->kind == FAULT_FLUSH ? admin_flush : admin_compact)(cluster->admin, address);
}

static void end_elections(struct cluster *cluster)
{
    torn_end(cluster->torn);
    figure8_end(cluster->figure8);
    cluster->elections = false;
}

/* Elections at the worst moments: torn ones, or those of figure 8 where it can come about. */
static void elections(struct cluster *cluster, const struct plan_event *plan, bool on)
{
    if (!on) {
        end_elections(cluster);
    } else if (!cluster->elections) {
        cluster->elections = true;
        if (cluster->single_entries && cluster->plays++ % 3 != 2)
            figure8_begin(cluster->figure8);
        else
            torn_begin(cluster->torn, (uint32_t)plan->argument);
    }
}

struct health_look {
    const struct daemon *daemon;
    bool whole;
};

static void look_at_health(struct env *env, void *argument)
{
    (void)env;
    struct health_look *look = argument;
    struct noded_sight sight;
    look->whole = noded_sight(daemon_instance(look->daemon), &sight) && sight.lapsed == 0;
}

/* It serves, and no replica of it has lapsed. */
static bool node_is_whole(const struct daemon *daemon)
{
    struct health_look look = {.daemon = daemon};
    return daemon_instance(daemon) && process_call(daemon->process, look_at_health, &look) && look.whole;
}

static bool may_lose_replicas(const struct daemon *daemon)
{
    const struct sim_disk_faults *disk = sim_disk_faults(daemon->disk);
    return disk->read_error_ppm || disk->read_flip_ppm;
}

/* What costs a node replicas may hit any node, but only while all others are whole and stay so: a range whose replicas
   lapse on two nodes at a time may have lost what was acknowledged. */
static bool others_are_whole(struct cluster *cluster, uint32_t target)
{
    for (uint32_t i = 0; i < cluster->daemons_count; i++) {
        const struct daemon *daemon = &cluster->daemons[i];
        if (daemon->kind != &KIND_NODED || i == target) continue;
        if (may_lose_replicas(daemon) || !node_is_whole(daemon)) return false;
    }
    return true;
}

static void fault_happens(struct cluster *cluster, const struct plan_event *plan, bool on)
{
    world_trace(
        cluster->world, on ? "fault" : "fault ends", fault_name(plan->kind), plan->target, (uint64_t)plan->argument);
    if (on) world_probe(cluster->world, fault_name(plan->kind), strlen(fault_name(plan->kind)));
    if (PLAN_NO_FAULTS >> plan->kind & 1) {
        if (on) errand(cluster, plan);
    } else if (plan->kind == FAULT_POWER_ALL || plan->kind == FAULT_POWER_CONTROLLERS) {
        uint32_t count = plan->kind == FAULT_POWER_ALL ? cluster->daemons_count : cluster->scenario->hosts.controllers;
        for (uint32_t i = 0; i < count && on; i++)
            end_process(cluster, i, FAULT_POWER, plan->length_ns + i * 50 * WORLD_MS);
    } else if (plan->kind == FAULT_TORN) {
        elections(cluster, plan, on);
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
    bool costs = fault->plan->kind >= FAULT_DISK_READ && fault->plan->kind <= FAULT_DISK_ROT;
    if (costs && !others_are_whole(fault->cluster, fault->plan->target)) return;
    fault->begun = true;
    fault_happens(fault->cluster, fault->plan, true);
    world_event_in(event, fault->plan->length_ns);
}

void cluster_heal(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->scenario->plan.events_count; i++)
        world_event_cancel(&cluster->faults[i].event);
    end_elections(cluster);
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
        process_clock_offset(daemon->process, cluster->scenario->clock_offset_us[i]);
        process_pause_until(daemon->process, world_now(cluster->world));
        if (!process_is_running(daemon->process)) world_event_in(&cluster->comebacks[i].event, 0);
    }
    for (uint32_t i = 0; i < cluster->scenario->hosts.clients; i++)
        if (!process_is_running(cluster->clients[i])) world_event_in(&cluster->client_comebacks[i].event, 0);
}

/* Life. */

void cluster_faults_init(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->daemons_count; i++) {
        process_on_death(cluster->daemons[i].process, daemon_died, cluster);
        cluster->comebacks[i] = (struct comeback){.cluster = cluster, .index = i};
        world_event_init(&cluster->comebacks[i].event, cluster->world, come_back);
    }
    for (uint32_t i = 0; i < cluster->scenario->hosts.clients; i++) {
        cluster->client_comebacks[i] = (struct comeback){.cluster = cluster, .index = i};
        world_event_init(&cluster->client_comebacks[i].event, cluster->world, client_comes_back);
    }
    cluster->figure8 = figure8_create(cluster->world, cluster->net, cluster->daemons, cluster->admin);
    cluster->torn = torn_create(cluster->world, cluster->net, cluster->daemons, cut_controller, cluster);
    world_event_init(&cluster->stops, cluster->world, stops_event);
    world_event_in(&cluster->stops, 10 * WORLD_MS);
}

void cluster_faults_begin(struct cluster *cluster)
{
    uint64_t disks = 1ull << FAULT_DISK_READ | 1ull << FAULT_DISK_FLIP | 1ull << FAULT_DISK_ROT |
                     1ull << FAULT_DISK_SYNC | 1ull << FAULT_DISK_WRITE | 1ull << FAULT_DISK_FULL;
    cluster->deaths_allowed = cluster->scenario->plan.kinds & disks;
    for (uint32_t i = 0; i < cluster->scenario->plan.events_count; i++) {
        struct fault *fault = &cluster->faults[i];
        *fault = (struct fault){.cluster = cluster, .plan = &cluster->scenario->plan.events[i]};
        world_event_init(&fault->event, cluster->world, fault_event);
        world_event_in(&fault->event, fault->plan->at_ns);
    }
}
