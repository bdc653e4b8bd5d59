#include "tests/sim/cluster/watch.h"

#include <inttypes.h>

#include "common/base/list.h"
#include "common/base/map.h"
#include "controld/controld.h"
#include "tests/sim/sim_mem.h"

enum { WATCH_DAEMONS_MAX = 16, MEMORY_BYTES_MAX = 256 << 20 };

static const uint64_t WATCH_EVERY_NS = 50 * WORLD_MS;

/* What was last seen of a controller. */
struct seen {
    uint32_t incarnation;
    struct controld_sight sight;
};

struct watch {
    struct world_event event;
    struct world *world;
    struct daemon *daemons;
    uint32_t count;
    struct map leaders; /* by term; the value is the leader's number */
    struct seen seen[WATCH_DAEMONS_MAX];
};

struct look {
    struct daemon *daemon;
    bool found;
    struct controld_sight sight;
    uint64_t index; /* whose digest is asked for */
    struct digest digest;
};

static void take_sight(struct env *env, void *argument)
{
    (void)env;
    struct look *look = argument;
    look->found = controld_sight(daemon_instance(look->daemon), &look->sight);
}

static void take_digest(struct env *env, void *argument)
{
    (void)env;
    struct look *look = argument;
    look->found = controld_digest_at(daemon_instance(look->daemon), look->index, &look->digest);
}

static void check_leader(struct watch *watch, const struct controld_sight *sight)
{
    if (!sight->is_leader) return;
    struct mem_scope *entered = mem_scope_enter(NULL);
    void *old = map_put(&watch->leaders, sight->term, (void *)(uintptr_t)sight->id);
    mem_scope_enter(entered);
    if (old && (uintptr_t)old != sight->id)
        world_fail(watch->world, "I1", "term %" PRIu64 " has two leaders, %" PRIu64 " and %" PRIu64, sight->term,
            (uint64_t)(uintptr_t)old, sight->id);
}

static void check_progress(struct watch *watch, const struct daemon *daemon, struct seen *seen, const struct look *look)
{
    const struct controld_sight *now = &look->sight, *last = &seen->sight;
    bool same = seen->incarnation == process_incarnation(daemon->process);
    if (now->term < last->term)
        world_fail(watch->world, "I4", "%s: the term goes back from %" PRIu64 " to %" PRIu64, daemon->name, last->term,
            now->term);
    if (same && (now->commit < last->commit || now->applied < last->applied))
        world_fail(watch->world, "I4", "%s: commit or applied goes back", daemon->name);
    if (now->applied > now->commit)
        world_fail(watch->world, "I4", "%s: applied %" PRIu64 " above commit %" PRIu64, daemon->name, now->applied,
            now->commit);
    seen->incarnation = process_incarnation(daemon->process);
    seen->sight = *now;
}

/* Equal states at the lowest index that all have applied. */
static void check_equal(struct watch *watch, const bool *found)
{
    uint64_t index = UINT64_MAX;
    for (uint32_t i = 0; i < watch->count; i++)
        if (found[i] && watch->seen[i].sight.applied < index) index = watch->seen[i].sight.applied;
    if (index == UINT64_MAX || index == 0) return;
    struct look first = {0};
    for (uint32_t i = 0; i < watch->count; i++) {
        struct look look = {.daemon = &watch->daemons[i], .index = index};
        if (!found[i] || !process_call(look.daemon->process, take_digest, &look) || !look.found) continue;
        if (first.found && (first.digest.low != look.digest.low || first.digest.high != look.digest.high))
            world_fail(watch->world, "I7", "%s and %s differ in what they applied up to %" PRIu64, first.daemon->name,
                look.daemon->name, index);
        if (!first.found) first = look;
    }
}

static void watch_event(struct world_event *event)
{
    struct watch *watch = CONTAINER_OF(event, struct watch, event);
    bool found[WATCH_DAEMONS_MAX] = {false};
    for (uint32_t i = 0; i < watch->count; i++) {
        struct daemon *daemon = &watch->daemons[i];
        if (!process_is_running(daemon->process)) continue;
        uint64_t bytes = mem_scope_bytes(process_scope(daemon->process));
        if (bytes > MEMORY_BYTES_MAX)
            world_fail(watch->world, "I21", "%s holds %" PRIu64 " bytes", daemon->name, bytes);
        if (daemon->kind != &KIND_CONTROLD || daemon_instance(daemon) == NULL) continue;
        struct look look = {.daemon = daemon};
        if (!process_call(daemon->process, take_sight, &look) || !look.found) continue;
        check_leader(watch, &look.sight);
        check_progress(watch, daemon, &watch->seen[i], &look);
        found[i] = true;
    }
    check_equal(watch, found);
    world_event_in(event, WATCH_EVERY_NS);
}

struct watch *watch_create(struct world *world, struct daemon *daemons, uint32_t count)
{
    struct watch *watch = sim_alloc(sizeof *watch);
    watch->world = world;
    watch->daemons = daemons;
    watch->count = count;
    world_event_init(&watch->event, world, watch_event);
    world_event_in(&watch->event, WATCH_EVERY_NS);
    return watch;
}

void watch_destroy(struct watch *watch)
{
    world_event_cancel(&watch->event);
    map_free(&watch->leaders);
    mem_free(watch);
}
