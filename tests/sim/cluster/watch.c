#include "tests/sim/cluster/watch.h"

#include <inttypes.h>

#include "common/base/list.h"
#include "common/base/map.h"
#include "controld/controld.h"
#include "tests/sim/cluster/files.h"
#include "tests/sim/cluster/loads.h"
#include "tests/sim/cluster/promises.h"
#include "tests/sim/sim_mem.h"

enum { WATCH_DAEMONS_MAX = 16, MEMORY_BYTES_MAX = 256 << 20, LOOK_TERMS = 64, LOOKS_PER_FILES = 5 };

static const uint64_t WATCH_EVERY_NS = 50 * WORLD_MS;

/* What was last seen of a controller. */
struct seen {
    uint32_t incarnation;
    struct controld_sight sight;
};

/* A daemon's disk, looked on. */
struct watched_disk {
    struct sim_disk_watch hooks;
    struct watch *watch;
    uint32_t daemon;
};

/* What is known to be committed at an index. */
struct committed {
    uint64_t term;  /* of the entry */
    uint64_t under; /* no leader of a later term may lack it */
};

struct watch {
    struct world_event event;
    struct world *world;
    struct daemon *daemons;
    uint32_t count;
    struct map leaders; /* by term; the value is the leader's number */
    struct seen seen[WATCH_DAEMONS_MAX];
    struct buffer committed; /* struct committed by index, from 1 on */
    struct promises *promises;
    struct loads *loads;
    struct files *files[WATCH_DAEMONS_MAX]; /* NULL: no node */
    uint64_t looks;
    bool calm;
    struct watched_disk disks[WATCH_DAEMONS_MAX];
};

struct look {
    struct daemon *daemon;
    bool found;
    struct controld_sight sight;
    uint64_t index; /* whose digest is asked for */
    struct digest digest;
    uint64_t terms[LOOK_TERMS]; /* of the entries from index on */
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

static void take_terms(struct env *env, void *argument)
{
    (void)env;
    struct look *look = argument;
    for (uint64_t i = 0; i < LOOK_TERMS; i++)
        look->terms[i] = controld_term_at(daemon_instance(look->daemon), look->index + i);
}

static struct committed *committed_at(struct watch *watch, uint64_t index)
{
    while (watch->committed.size / sizeof(struct committed) < index) {
        struct mem_scope *entered = mem_scope_enter(NULL);
        buffer_append(&watch->committed, &(struct committed){0}, sizeof(struct committed));
        mem_scope_enter(entered);
    }
    return (struct committed *)(void *)watch->committed.data + (index - 1);
}

/* The newest entries that are known to be committed, in this controller's log. */
static void check_committed(struct watch *watch, const struct daemon *daemon, struct look *look)
{
    const struct controld_sight *sight = &look->sight;
    uint64_t known = watch->committed.size / sizeof(struct committed);
    uint64_t newest = sight->commit > known ? sight->commit : known;
    if (newest == 0) return;
    look->index = newest > LOOK_TERMS ? newest - LOOK_TERMS + 1 : 1;
    if (!process_call(daemon->process, take_terms, look)) return;
    for (uint64_t index = look->index; index <= newest; index++) {
        struct committed *committed = committed_at(watch, index);
        uint64_t term = look->terms[index - look->index];
        if (index <= sight->commit && term && committed->term && term != committed->term)
            world_fail(watch->world, "I2",
                "%s has committed an entry of term %" PRIu64 " at %" PRIu64 ", another one of term %" PRIu64,
                daemon->name, term, index, committed->term);
        if (index <= sight->commit && term && committed->term == 0) *committed = (struct committed){term, sight->term};
        bool must_hold = sight->is_leader && committed->term && sight->term >= committed->under;
        bool holds = term == committed->term || index <= sight->snapshot;
        if (must_hold && !holds)
            world_fail(watch->world, "I3",
                "%s leads term %" PRIu64 " without entry %" PRIu64 " of term %" PRIu64 ", which is committed",
                daemon->name, sight->term, index, committed->term);
    }
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

static void look_at_nodes(struct watch *watch)
{
    for (uint32_t i = 0; i < watch->count; i++)
        if (watch->files[i]) files_judge_live(watch->files[i]);
    loads_judge(watch->loads, watch->calm);
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
        check_committed(watch, daemon, &look);
        found[i] = true;
    }
    check_equal(watch, found);
    if (++watch->looks % LOOKS_PER_FILES == 0) look_at_nodes(watch);
    world_event_in(event, WATCH_EVERY_NS);
}

/* Disks. */

static void disk_synced(void *context, bool names)
{
    const struct watched_disk *disk = context;
    promises_synced(disk->watch->promises, disk->daemon, names);
}

static void disk_unlinking(void *context, const char *path)
{
    const struct watched_disk *disk = context;
    struct files *files = disk->watch->files[disk->daemon];
    if (files) files_unlinking(files, path);
}

void watch_file_rots(struct watch *watch, uint32_t daemon, const char *path)
{
    if (watch->files[daemon]) files_rot(watch->files[daemon], path);
}

void watch_daemon_starts(struct watch *watch, uint32_t daemon)
{
    if (watch->files[daemon]) files_reboot(watch->files[daemon]);
    promises_reboot(watch->promises, daemon);
}

/* Life. */

void watch_calm(struct watch *watch)
{
    watch->calm = true;
}

void watch_rest(struct watch *watch)
{
    loads_rest(watch->loads);
}

bool watch_is_at_rest(const struct watch *watch)
{
    return loads_are_gone(watch->loads);
}

void watch_judge_end(struct watch *watch)
{
    loads_judge_rest(watch->loads);
    promises_judge_refusals(watch->promises);
    for (uint32_t i = 0; i < watch->count; i++)
        if (watch->files[i]) files_judge(watch->files[i]);
}

struct watch *watch_create(struct world *world, struct sim_net *net, struct daemon *daemons, uint32_t count)
{
    struct watch *watch = sim_alloc(sizeof *watch);
    watch->world = world;
    watch->daemons = daemons;
    watch->count = count;
    watch->promises = promises_create(world, net, daemons, count);
    watch->loads = loads_create(world, daemons, count);
    for (uint32_t i = 0; i < count; i++) {
        struct watched_disk *disk = &watch->disks[i];
        *disk = (struct watched_disk){{disk_synced, disk_unlinking, disk}, watch, i};
        if (daemons[i].kind == &KIND_NODED) watch->files[i] = files_create(world, &daemons[i]);
        sim_disk_watch(daemons[i].disk, &disk->hooks);
    }
    world_event_init(&watch->event, world, watch_event);
    world_event_in(&watch->event, WATCH_EVERY_NS);
    return watch;
}

void watch_destroy(struct watch *watch)
{
    world_event_cancel(&watch->event);
    for (uint32_t i = 0; i < watch->count; i++) {
        sim_disk_watch(watch->daemons[i].disk, NULL);
        if (watch->files[i]) files_destroy(watch->files[i]);
    }
    loads_destroy(watch->loads);
    promises_destroy(watch->promises);
    map_free(&watch->leaders);
    buffer_free(&watch->committed);
    mem_free(watch);
}
