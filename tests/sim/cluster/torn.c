#include "tests/sim/cluster/torn.h"

#include "controld/controld.h"
#include "tests/sim/sim_mem.h"

enum { SLOW_FACTOR = 400, BACK_MS_MAX = 200 };

static const uint64_t ISOLATED_NS = 4 * WORLD_S;

struct torn {
    struct world_event event;
    struct world *world;
    struct sim_net *net;
    struct daemon *controllers;
    uint32_t voter;
    uint64_t term;   /* the newest in which the voter was cut down */
    uint32_t leader; /* cut from the voter until the time */
    uint64_t leader_until;
    bool on;
    void (*cut)(void *context, uint32_t controller, uint64_t length_ns);
    void *context;
};

struct look {
    struct daemon *daemon;
    struct controld_sight sight;
    bool found;
};

static void take_sight(struct env *env, void *argument)
{
    (void)env;
    struct look *look = argument;
    look->found = controld_sight(daemon_instance(look->daemon), &look->sight);
}

static void cut_voter(struct torn *torn)
{
    struct prng *prng = world_prng(torn->world, WORLD_CRASH);
    torn->cut(torn->context, torn->voter, prng_between(prng, 2, BACK_MS_MAX) * WORLD_MS);
}

static void cut_pair(struct torn *torn, uint32_t a, uint32_t b, bool cut)
{
    sim_net_cut(torn->net, torn->controllers[a].host, torn->controllers[b].host, cut);
    sim_net_cut(torn->net, torn->controllers[b].host, torn->controllers[a].host, cut);
}

static bool see(struct torn *torn, uint32_t controller, struct look *look)
{
    *look = (struct look){.daemon = &torn->controllers[controller]};
    if (daemon_instance(look->daemon) == NULL) return false;
    return process_call(look->daemon->process, take_sight, look) && look->found;
}

/* The new leader is cut from its voter as well, so that the voter hears the other candidate first. */
static void leader_rises(struct torn *torn, uint32_t leader, uint64_t term)
{
    torn->term = term;
    torn->leader = leader;
    torn->leader_until = world_now(torn->world) + ISOLATED_NS;
    cut_pair(torn, leader, torn->voter, true);
    cut_voter(torn);
}

static void torn_event(struct world_event *event)
{
    struct torn *torn = CONTAINER_OF(event, struct torn, event);
    struct look look;
    for (uint32_t i = 0; i < 3; i++)
        if (i != torn->voter && see(torn, i, &look) && look.sight.is_leader && look.sight.term > torn->term)
            leader_rises(torn, i, look.sight.term);
    if (torn->leader_until && world_now(torn->world) > torn->leader_until) {
        cut_pair(torn, torn->leader, torn->voter, false);
        torn->leader_until = 0;
    }
    /* Quick to start, slow to write its votes. */
    struct sim_disk_faults *disk = sim_disk_faults(torn->controllers[torn->voter].disk);
    disk->slow_factor = see(torn, torn->voter, &look) ? SLOW_FACTOR : 0;
    world_event_in(event, WORLD_MS);
}

void torn_begin(struct torn *torn, uint32_t voter)
{
    if (torn->on) return;
    torn->on = true;
    torn->voter = voter;
    torn->leader_until = 0;
    cut_pair(torn, (voter + 1) % 3, (voter + 2) % 3, true);
    cut_voter(torn); /* in case it leads */
    world_event_in(&torn->event, WORLD_MS);
}

void torn_end(struct torn *torn)
{
    if (!torn->on) return;
    torn->on = false;
    for (uint32_t i = 0; i < 3; i++)
        cut_pair(torn, i, (i + 1) % 3, false);
    sim_disk_faults(torn->controllers[torn->voter].disk)->slow_factor = 0;
    world_event_cancel(&torn->event);
}

struct torn *torn_create(struct world *world, struct sim_net *net, struct daemon *controllers,
    void (*cut)(void *context, uint32_t controller, uint64_t length_ns), void *context)
{
    struct torn *torn = sim_alloc(sizeof *torn);
    torn->world = world;
    torn->net = net;
    torn->controllers = controllers;
    torn->cut = cut;
    torn->context = context;
    world_event_init(&torn->event, world, torn_event);
    return torn;
}

void torn_destroy(struct torn *torn)
{
    world_event_cancel(&torn->event);
    mem_free(torn);
}
