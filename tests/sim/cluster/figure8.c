#include "tests/sim/cluster/figure8.h"

#include "controld/controld.h"
#include "tests/sim/sim_mem.h"

/* One way between two controllers takes this long, so that a look every millisecond sees what is on its way. */
static const uint64_t WAY_NS = 20 * WORLD_MS, LOOK_NS = WORLD_MS, PART_NS = 8 * WORLD_S, PENDING_NS = 900 * WORLD_MS,
                      SEEN_NS = 300 * WORLD_MS;

enum part {
    PART_LEADER,  /* wait for a leader that all follow */
    PART_PENDING, /* it is cut off, with an entry of its own */
    PART_RIVAL,   /* the other two elect one, whose entry stays with it */
    PART_RETURN,  /* the first leads the third, and brings the old entry */
    PART_RISE,    /* it is cut off again: rival and third elect one */
    PART_SEEN,    /* the watch looks at what came of it */
};

struct figure8 {
    struct world_event event;
    struct world *world;
    struct sim_net *net;
    struct daemon *controllers;
    struct admin *admin;
    bool on;
    enum part part;
    uint64_t until_ns;                /* of the part */
    uint32_t first, candidate, rival; /* candidate: 3: none yet */
    uint64_t base, term;              /* last entry that all have; the newest leader's term */
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

static bool see(struct figure8 *figure8, uint32_t controller, struct controld_sight *sight)
{
    struct look look = {.daemon = &figure8->controllers[controller]};
    if (daemon_instance(look.daemon) == NULL) return false;
    bool found = process_call(look.daemon->process, take_sight, &look) && look.found;
    if (found) *sight = look.sight;
    return found;
}

static void cut(struct figure8 *figure8, uint32_t from, uint32_t to, bool on)
{
    sim_net_cut(figure8->net, figure8->controllers[from].host, figure8->controllers[to].host, on);
}

static void cut_off(struct figure8 *figure8, uint32_t controller, bool on)
{
    for (uint32_t i = 1; i < 3; i++) {
        cut(figure8, controller, (controller + i) % 3, on);
        cut(figure8, (controller + i) % 3, controller, on);
    }
}

static void slow_all(struct figure8 *figure8, bool on)
{
    uint64_t delay = sim_net_faults(figure8->net)->delay_ns;
    uint32_t factor = (uint32_t)(WAY_NS / (delay ? delay : 50 * WORLD_US));
    for (uint32_t i = 0; i < 6; i++)
        sim_net_slow(figure8->net, figure8->controllers[i % 3].host, figure8->controllers[(i + 1 + i / 3) % 3].host,
            on && factor > 1 ? factor : 1);
}

static void heal(struct figure8 *figure8)
{
    for (uint32_t i = 0; i < 3; i++)
        cut_off(figure8, i, false);
}

static void enter(struct figure8 *figure8, enum part part, uint64_t within_ns)
{
    figure8->part = part;
    figure8->until_ns = world_now(figure8->world) + within_ns;
}

static void begin_anew(struct figure8 *figure8)
{
    heal(figure8);
    enter(figure8, PART_LEADER, PART_NS);
}

static uint32_t third(const struct figure8 *figure8)
{
    return 3 - figure8->first - figure8->rival;
}

/* Parts. */

static void look_for_leader(struct figure8 *figure8)
{
    struct controld_sight sights[3];
    for (uint32_t i = 0; i < 3; i++)
        if (!see(figure8, i, &sights[i]) || !sights[i].is_ready) return;
    for (uint32_t i = 0; i < 3; i++) {
        const struct controld_sight *sight = &sights[i], *next = &sights[(i + 1) % 3], *other = &sights[(i + 2) % 3];
        if (!sight->is_leader || next->term != sight->term || other->term != sight->term) continue;
        if (sight->last != sight->commit || next->last != sight->last || other->last != sight->last) return;
        figure8->first = i;
        figure8->base = sight->last;
        figure8->term = sight->term;
        cut_off(figure8, i, true);
        admin_bump_epoch(figure8->admin, 1);
        enter(figure8, PART_PENDING, PENDING_NS);
        return;
    }
}

static void wait_for_entry(struct figure8 *figure8)
{
    struct controld_sight sight;
    if (!see(figure8, figure8->first, &sight) || sight.last == figure8->base) return;
    figure8->candidate = 3;
    enter(figure8, PART_RIVAL, PART_NS);
}

/* As soon as the third has voted, nothing of the candidate reaches it any more. */
static void hold_the_rival(struct figure8 *figure8)
{
    uint32_t others[2] = {(figure8->first + 1) % 3, (figure8->first + 2) % 3};
    struct controld_sight sights[2];
    for (int i = 0; i < 2; i++)
        if (!see(figure8, others[i], &sights[i])) return;
    for (int i = 0; i < 2; i++) {
        if (figure8->candidate == 3 && sights[i].term > figure8->term && sights[1 - i].term <= figure8->term)
            figure8->candidate = others[i];
        if (figure8->candidate == others[i] && sights[1 - i].term == sights[i].term)
            cut(figure8, others[i], others[1 - i], true);
        if (!sights[i].is_leader || sights[i].term <= figure8->term) continue;
        figure8->rival = others[i];
        figure8->term = sights[i].term;
        if (sights[1 - i].last > figure8->base) {
            begin_anew(figure8);
            return;
        }
        heal(figure8);
        cut_off(figure8, figure8->rival, true);
        enter(figure8, PART_RETURN, PART_NS);
        return;
    }
}

static void wait_for_return(struct figure8 *figure8)
{
    struct controld_sight sight;
    if (!see(figure8, figure8->first, &sight) || !sight.is_leader || sight.term <= figure8->term) return;
    if (sight.commit <= figure8->base) return;
    figure8->term = sight.term;
    heal(figure8);
    cut_off(figure8, figure8->first, true);
    enter(figure8, PART_RISE, PART_NS);
}

static void wait_for_rise(struct figure8 *figure8)
{
    uint32_t others[2] = {figure8->rival, third(figure8)};
    struct controld_sight sight;
    for (int i = 0; i < 2; i++)
        if (see(figure8, others[i], &sight) && sight.is_leader && sight.term > figure8->term)
            enter(figure8, PART_SEEN, SEEN_NS);
}

static void figure8_event(struct world_event *event)
{
    struct figure8 *figure8 = CONTAINER_OF(event, struct figure8, event);
    static void (*const parts[])(struct figure8 *) = {
        look_for_leader, wait_for_entry, hold_the_rival, wait_for_return, wait_for_rise};
    if (figure8->part < PART_SEEN) parts[figure8->part](figure8);
    if (world_now(figure8->world) > figure8->until_ns) begin_anew(figure8);
    world_event_in(event, LOOK_NS);
}

void figure8_begin(struct figure8 *figure8)
{
    if (figure8->on) return;
    figure8->on = true;
    slow_all(figure8, true);
    begin_anew(figure8);
    world_event_in(&figure8->event, LOOK_NS);
}

void figure8_end(struct figure8 *figure8)
{
    if (!figure8->on) return;
    figure8->on = false;
    heal(figure8);
    slow_all(figure8, false);
    world_event_cancel(&figure8->event);
}

struct figure8 *figure8_create(
    struct world *world, struct sim_net *net, struct daemon *controllers, struct admin *admin)
{
    struct figure8 *figure8 = sim_alloc(sizeof *figure8);
    figure8->world = world;
    figure8->net = net;
    figure8->controllers = controllers;
    figure8->admin = admin;
    world_event_init(&figure8->event, world, figure8_event);
    return figure8;
}

void figure8_destroy(struct figure8 *figure8)
{
    world_event_cancel(&figure8->event);
    mem_free(figure8);
}
