#include "tests/sim/cluster/loads.h"

#include <inttypes.h>

#include "common/base/check.h"
#include "controld/api/sight.h"
#include "noded/api/sight.h"
#include "routerd/api/sight.h"
#include "tests/sim/sim_mem.h"

enum {
    LOADS_DAEMONS_MAX = 16,
    PARKED_CALLS = 1,  /* the membership's call for the next view */
    STEADY_TIMERS = 6, /* of a reactor: ticks, idle waits */
};

/* A call ends with its deadline. A request ends when its caller says so or falls silent (RPC_SILENCE_MS), and its work
   is done; a node's may wait for a slow disk. */
static const uint64_t CALL_SLACK_NS = 100 * WORLD_MS, REQUEST_SLACK_NS = 15 * WORLD_S, CALM_SLACK_NS = 2 * WORLD_S;

/* What is under way in one daemon. */
struct load {
    const char *kinds[6];
    uint32_t counts[6], kinds_count;
    uint32_t timers, timers_max;
    struct rpc_sight rpc;
};

struct loads {
    struct world *world;
    struct daemon *daemons;
    uint32_t count;
    bool resting;
    struct load least[LOADS_DAEMONS_MAX]; /* since loads_rest; kinds_count 0: not looked at yet */
};

static void add(struct load *load, const char *kind, uint32_t count, uint32_t steady)
{
    CHECK(load->kinds_count < sizeof load->kinds / sizeof *load->kinds);
    load->kinds[load->kinds_count] = kind;
    load->counts[load->kinds_count++] = count > steady ? count - steady : 0;
}

static void look_at_controller(struct load *load, const struct controld *controld)
{
    struct controld_load sight;
    if (!controld_load(controld, &sight)) return;
    load->rpc = sight.rpc;
    add(load, "requests", sight.rpc.requests, sight.parked);
    add(load, "proposals", sight.proposals, 0);
    add(load, "calls", sight.rpc.calls, 0);
    load->timers_max += sight.parked;
}

static void look_at_node(struct load *load, const struct noded *noded)
{
    struct noded_sight sight;
    if (!noded_sight(noded, &sight)) return;
    load->rpc = sight.rpc;
    add(load, "requests", sight.rpc.requests, sight.parked);
    add(load, "calls", sight.rpc.calls, PARKED_CALLS);
    add(load, "changes", sight.changes, 0);
    add(load, "fibers", sight.fibers, 0);
    add(load, "cursors", sight.cursors, 0);
}

static void look_at_router(struct load *load, const struct routerd *router)
{
    struct routerd_sight sight;
    routerd_sight(router, &sight);
    load->rpc = sight.rpc;
    add(load, "requests", sight.rpc.requests, sight.parked);
    add(load, "calls", sight.rpc.calls, PARKED_CALLS + sight.space_calls);
    add(load, "operations", sight.operations, 0);
    add(load, "flights", sight.flights, 0);
}

/* False: it does not run, or only starts or stops. */
static bool look(const struct daemon *daemon, struct load *load)
{
    *load = (struct load){0};
    const void *instance = daemon_instance(daemon);
    if (!instance || daemon->stopping || !process_is_awake(daemon->process)) return false;
    if (daemon->kind == &KIND_CONTROLD) look_at_controller(load, instance);
    if (daemon->kind == &KIND_NODED) look_at_node(load, instance);
    if (daemon->kind == &KIND_ROUTERD) look_at_router(load, instance);
    load->timers = daemon_timers(daemon);
    /* Every pipe has a timer, and every call. */
    load->timers_max += load->rpc.talks + load->rpc.calls + daemon->reactors_count * STEADY_TIMERS;
    return load->kinds_count > 0;
}

static void keep_least(struct load *least, const struct load *load)
{
    if (least->kinds_count == 0) {
        *least = *load;
        return;
    }
    for (uint32_t i = 0; i < load->kinds_count; i++)
        if (load->counts[i] < least->counts[i]) least->counts[i] = load->counts[i];
    if (load->timers + least->timers_max < least->timers + load->timers_max) {
        least->timers = load->timers;
        least->timers_max = load->timers_max;
    }
}

void loads_judge(struct loads *loads, bool calm)
{
    for (uint32_t i = 0; i < loads->count; i++) {
        struct load load;
        const struct daemon *daemon = &loads->daemons[i];
        if (!look(daemon, &load)) continue;
        uint64_t call = load.rpc.call_late_ns, request = load.rpc.request_late_ns;
        if (call > CALL_SLACK_NS || request > (calm ? CALM_SLACK_NS : REQUEST_SLACK_NS))
            world_fail(loads->world, "I22", "%s: a call is %.1f s, a request %.1f s beyond its deadline", daemon->name,
                (double)call / 1e9, (double)request / 1e9);
        if (loads->resting) keep_least(&loads->least[i], &load);
    }
}

void loads_rest(struct loads *loads)
{
    loads->resting = true;
}

/* NULL: at rest. */
static const char *what_is_left(const struct load *load, uint32_t *count, uint32_t *allowed)
{
    *allowed = 0;
    for (uint32_t i = 0; i < load->kinds_count; i++) {
        *count = load->counts[i];
        if (*count) return load->kinds[i];
    }
    *count = load->timers;
    *allowed = load->timers_max;
    return *count > *allowed ? "timers" : NULL;
}

bool loads_are_gone(const struct loads *loads)
{
    uint32_t count, allowed;
    for (uint32_t i = 0; i < loads->count; i++)
        if (loads->least[i].kinds_count == 0 || what_is_left(&loads->least[i], &count, &allowed)) return false;
    return true;
}

void loads_judge_rest(struct loads *loads)
{
    uint32_t count, allowed;
    for (uint32_t i = 0; i < loads->count; i++) {
        const char *left = what_is_left(&loads->least[i], &count, &allowed);
        if (left)
            world_fail(loads->world, "I22", "%s: %u %s are left (%u belong there) although nobody uses the cluster",
                loads->daemons[i].name, count, left, allowed);
    }
}

struct loads *loads_create(struct world *world, struct daemon *daemons, uint32_t count)
{
    CHECK(count <= LOADS_DAEMONS_MAX);
    struct loads *loads = sim_alloc(sizeof *loads);
    loads->world = world;
    loads->daemons = daemons;
    loads->count = count;
    return loads;
}

void loads_destroy(struct loads *loads)
{
    mem_free(loads);
}
