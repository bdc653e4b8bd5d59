#include "tests/sim/plan.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"

struct shape {
    const char *name;
    uint32_t exists_ppm;             /* chance that a run has the kind */
    uint32_t per_minute;             /* events in a minute of safety, about */
    uint64_t length_min, length_max; /* ms */
    int64_t low, high;               /* of the argument, where it is a number */
};

static const struct shape shapes[FAULT_KINDS] = {
    [FAULT_KILL] = {"kill", 500000, 4, 50, 8000, 0, 0},
    [FAULT_POWER] = {"power", 400000, 3, 500, 10000, 0, 0},
    [FAULT_POWER_ALL] = {"power-all", 350000, 2, 500, 3000, 0, 0},
    [FAULT_POWER_CONTROLLERS] = {"power-controllers", 250000, 3, 100, 2000, 0, 0},
    [FAULT_TORN] = {"torn-elections", 450000, 3, 8000, 20000, 0, 2},
    [FAULT_SLOW_CUT] = {"slow-cut", 350000, 5, 200, 4000, 50, 400},
    [FAULT_STOP] = {"stop", 300000, 2, 500, 5000, 0, 0},
    [FAULT_PAUSE] = {"pause", 300000, 3, 100, 6000, 0, 0},
    [FAULT_CUT] = {"cut", 400000, 4, 200, 15000, 0, 0},
    [FAULT_PARTITION] = {"partition", 300000, 2, 500, 15000, 0, 0},
    [FAULT_SLOW_LINK] = {"slow-link", 300000, 4, 500, 10000, 10, 2000},
    [FAULT_RESET] = {"reset", 300000, 6, 0, 0, 0, 0},
    [FAULT_NET_LOSS] = {"net-loss", 200000, 2, 2000, 15000, 100, 10000},
    [FAULT_NET_DUPLICATE] = {"net-duplicate", 200000, 2, 2000, 15000, 100, 10000},
    [FAULT_NET_REORDER] = {"net-reorder", 200000, 2, 2000, 15000, 100, 10000},
    [FAULT_NET_SPIKE] = {"net-spike", 300000, 3, 2000, 15000, 1000, 100000},
    [FAULT_NET_RESET] = {"net-reset", 200000, 2, 2000, 15000, 100, 5000},
    [FAULT_NET_QUEUE] = {"net-queue", 200000, 2, 2000, 15000, 100, 10000},
    [FAULT_DISK_READ] = {"disk-read", 200000, 2, 500, 8000, 100, 10000},
    [FAULT_DISK_FLIP] = {"disk-flip", 200000, 2, 500, 8000, 100, 10000},
    [FAULT_DISK_ROT] = {"disk-rot", 450000, 6, 50, 3000, 0, INT32_MAX},
    [FAULT_DISK_SYNC] = {"disk-sync", 200000, 1, 500, 3000, 1000, 50000},
    [FAULT_DISK_WRITE] = {"disk-write", 200000, 1, 500, 3000, 1000, 50000},
    [FAULT_DISK_SLOW] = {"disk-slow", 300000, 3, 500, 10000, 5, 300},
    [FAULT_DISK_FULL] = {"disk-full", 250000, 2, 1000, 15000, 84, 100},
    [FAULT_CLOCK_STEP] = {"clock-step", 300000, 3, 0, 0, -3000000, 3000000},
    [FAULT_CLOCK_RATE] = {"clock-rate", 300000, 3, 1000, 20000, -2000, 2000},
    [FAULT_EPOCH] = {"epoch", 600000, 20, 0, 0, 0, 0},
    [FAULT_CLIENT_KILL] = {"client-kill", 200000, 2, 100, 3000, 0, 0},
    [FAULT_FLUSH] = {"flush", 800000, 20, 0, 0, 0, 2},
    [FAULT_COMPACT] = {"compact", 600000, 8, 0, 0, 0, 2},
    [FAULT_HORIZON] = {"horizon", 400000, 3, 0, 0, 60000, 3600000},
};

const char *fault_name(enum fault_kind kind)
{
    return shapes[kind].name;
}

enum fault_kind fault_named(const char *name)
{
    enum fault_kind kind = 0;
    while (kind < FAULT_KINDS && strcmp(shapes[kind].name, name) != 0)
        kind++;
    return kind;
}

static uint32_t draw_daemon(struct prng *prng, const struct plan_hosts *hosts)
{
    return (uint32_t)prng_below(prng, plan_daemons(hosts));
}

/* Who it happens to, and the argument where it is not a plain number. */
static void draw_target(struct plan_event *event, struct prng *prng, const struct plan_hosts *hosts)
{
    uint32_t all = plan_daemons(hosts) + hosts->clients;
    event->target = draw_daemon(prng, hosts);
    switch (event->kind) {
    case FAULT_POWER_ALL:
    case FAULT_POWER_CONTROLLERS:
    case FAULT_TORN:
    case FAULT_HORIZON:
    case FAULT_NET_LOSS:
    case FAULT_NET_DUPLICATE:
    case FAULT_NET_REORDER:
    case FAULT_NET_SPIKE:
    case FAULT_NET_RESET:
    case FAULT_NET_QUEUE:
        event->target = 0;
        break;
    case FAULT_CUT:
    case FAULT_RESET:
        event->target = (uint32_t)prng_below(prng, all);
        event->argument = (int64_t)prng_below(prng, all);
        break;
    case FAULT_SLOW_LINK:
        /* The other host in the upper half, the factor in the lower. */
        event->argument |= (int64_t)prng_below(prng, all) << 32;
        break;
    case FAULT_PARTITION:
        event->target = 0;
        event->argument = (int64_t)prng_between(prng, 1, (1ull << all) - 2);
        break;
    case FAULT_DISK_READ:
    case FAULT_DISK_FLIP:
    case FAULT_DISK_ROT:
    case FAULT_DISK_WRITE:
    case FAULT_DISK_FULL:
    case FAULT_FLUSH:
    case FAULT_COMPACT:
        event->target = hosts->controllers + (uint32_t)prng_below(prng, hosts->nodes);
        break;
    case FAULT_CLIENT_KILL:
        event->target = (uint32_t)prng_below(prng, hosts->clients);
        break;
    case FAULT_EPOCH:
        event->target = 0;
        event->argument = (int64_t)prng_below(prng, 16);
        break;
    default:
        break;
    }
}

static int compare_events(const void *left, const void *right)
{
    const struct plan_event *a = left, *b = right;
    if (a->at_ns != b->at_ns) return a->at_ns < b->at_ns ? -1 : 1;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->target != b->target) return a->target < b->target ? -1 : 1;
    return a->argument < b->argument ? -1 : a->argument > b->argument;
}

void plan_draw(struct plan *plan, struct prng *prng, const struct plan_hosts *hosts, const struct plan_bounds *bounds)
{
    *plan = (struct plan){.safety_ns = prng_between(prng, 40, 70) * bounds->length * WORLD_S};
    /* One run in ten has no faults, one in ten every kind twice as often. */
    uint64_t mood = prng_below(prng, 10);
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        const struct shape *shape = &shapes[kind];
        bool harmless = PLAN_NO_FAULTS >> kind & 1;
        bool exists = prng_chance(prng, shape->exists_ppm) && (mood != 0 || harmless);
        uint32_t times = (uint32_t)prng_between(prng, 1, 2 * shape->per_minute) * (mood == 1 ? 2 : 1) * bounds->length;
        bool possible = kind != FAULT_TORN || hosts->controllers == 3;
        if (!exists || !possible || !(bounds->kinds >> kind & 1)) continue;
        plan->kinds |= 1ull << kind;
        for (uint32_t i = 0; i < times && plan->events_count < PLAN_EVENTS_MAX; i++) {
            struct plan_event *event = &plan->events[plan->events_count++];
            event->kind = (enum fault_kind)kind;
            event->at_ns = prng_below(prng, plan->safety_ns) / WORLD_MS * WORLD_MS;
            event->length_ns = prng_between(prng, shape->length_min, shape->length_max) * WORLD_MS;
            uint64_t spread = (uint64_t)(shape->high - shape->low);
            event->argument = shape->low + (int64_t)prng_below(prng, spread + 1);
            draw_target(event, prng, hosts);
        }
    }
    plan_sort(plan);
}

void plan_sort(struct plan *plan)
{
    qsort(plan->events, plan->events_count, sizeof *plan->events, compare_events);
}

uint64_t plan_active_ns(const struct plan *plan)
{
    uint64_t active = 0, until = 0, end = plan->safety_ns;
    for (uint32_t i = 0; i < plan->events_count; i++) {
        const struct plan_event *event = &plan->events[i];
        if (PLAN_NO_FAULTS >> event->kind & 1) continue;
        uint64_t from = event->at_ns, to = from + (event->length_ns ? event->length_ns : WORLD_S / 2);
        if (to > end) to = end;
        if (from < until) from = until;
        if (to <= from) continue;
        active += to - from;
        until = to;
    }
    return active;
}
