#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "tests/sim/sim_mem.h"

enum { TRACE_ENTRIES = 4096, TRACE_TEXT_BYTES = 200, PROBE_NAME_BYTES = 48 };

struct trace_entry {
    uint64_t at_ns, a, b;
    const char *who, *what; /* what is NULL for a text */
    char text[TRACE_TEXT_BYTES];
};

struct probe {
    char name[PROBE_NAME_BYTES];
    uint64_t hits;
};

struct world {
    uint64_t seed, now_ns, events_fired;
    struct prng streams[WORLD_STREAMS];
    struct world_event **heap; /* from 1 */
    uint32_t heap_count, heap_capacity;
    bool stopped, printing;
    uint64_t trace_hash, trace_count;
    struct trace_entry *trace;
    char failure[WORLD_FAILURE_BYTES];
    struct probe probes[WORLD_PROBES_MAX];
    uint32_t probes_count;
};

static const char *const stream_names[WORLD_STREAMS] = {"workload", "net", "disk", "crash", "schedule", "comeback"};

struct world *world_create(uint64_t seed)
{
    struct world *world = sim_alloc(sizeof *world);
    world->seed = seed;
    world->now_ns = WORLD_S;
    for (int i = 0; i < WORLD_STREAMS; i++)
        world->streams[i] = prng_split(seed, stream_names[i]);
    world->trace = sim_alloc(TRACE_ENTRIES * sizeof *world->trace);
    world->trace_hash = seed;
    return world;
}

void world_destroy(struct world *world)
{
    mem_free(world->heap);
    mem_free(world->trace);
    mem_free(world);
}

uint64_t world_seed(const struct world *world)
{
    return world->seed;
}

uint64_t world_now(const struct world *world)
{
    return world->now_ns;
}

struct prng *world_prng(struct world *world, enum world_stream stream)
{
    return &world->streams[stream];
}

uint64_t world_seed_for(const struct world *world, const char *object)
{
    struct prng prng = prng_split(world->seed, object);
    return prng_next(&prng);
}

/* The heap of events. */

static bool before(const struct world_event *a, const struct world_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->tie < b->tie;
}

static void heap_place(struct world *world, struct world_event *event, uint32_t at)
{
    world->heap[at] = event;
    event->heap_index = at;
}

static void heap_settle(struct world *world, struct world_event *event, uint32_t at)
{
    while (at > 1 && before(event, world->heap[at / 2])) {
        heap_place(world, world->heap[at / 2], at);
        at /= 2;
    }
    for (uint32_t child; (child = at * 2) <= world->heap_count; at = child) {
        if (child < world->heap_count && before(world->heap[child + 1], world->heap[child])) child++;
        if (!before(world->heap[child], event)) break;
        heap_place(world, world->heap[child], at);
    }
    heap_place(world, event, at);
}

void world_event_init(struct world_event *event, struct world *world, void (*fire)(struct world_event *event))
{
    *event = (struct world_event){.world = world, .fire = fire};
}

void world_event_cancel(struct world_event *event)
{
    uint32_t at = event->heap_index;
    if (at == 0) return;
    struct world *world = event->world;
    CHECK(world->heap[at] == event);
    event->heap_index = 0;
    struct world_event *last = world->heap[world->heap_count--];
    if (last != event) heap_settle(world, last, at);
}

void world_event_at(struct world_event *event, uint64_t at_ns)
{
    struct world *world = event->world;
    world_event_cancel(event);
    event->at_ns = at_ns > world->now_ns ? at_ns : world->now_ns;
    event->tie = prng_next(&world->streams[WORLD_SCHEDULE]);
    if (world->heap_count + 2 > world->heap_capacity) {
        world->heap_capacity = world->heap_capacity ? world->heap_capacity * 2 : 256;
        world->heap = sim_realloc(world->heap, world->heap_capacity * sizeof *world->heap);
    }
    heap_settle(world, event, ++world->heap_count);
}

void world_event_in(struct world_event *event, uint64_t delay_ns)
{
    world_event_at(event, event->world->now_ns + delay_ns);
}

bool world_step(struct world *world)
{
    if (world->heap_count == 0) return false;
    struct world_event *event = world->heap[1];
    CHECK(event->at_ns >= world->now_ns);
    world->now_ns = event->at_ns;
    world_event_cancel(event);
    world->events_fired++;
    event->fire(event);
    return true;
}

void world_run_until(struct world *world, uint64_t at_ns)
{
    world->stopped = false;
    while (!world->stopped && !world->failure[0]) {
        if (world->heap_count == 0 || world->heap[1]->at_ns > at_ns) {
            if (at_ns > world->now_ns) world->now_ns = at_ns;
            return;
        }
        world_step(world);
    }
}

void world_stop(struct world *world)
{
    world->stopped = true;
}

uint64_t world_events(const struct world *world)
{
    return world->events_fired;
}

/* Trace. */

static void mix(struct world *world, uint64_t value)
{
    world->trace_hash = hash_u64(world->trace_hash ^ value) + 0x9e3779b97f4a7c15ull;
}

static void print_entry(const struct trace_entry *entry)
{
    printf("%12.6f ", (double)(entry->at_ns - WORLD_S) / 1e9);
    if (entry->what)
        printf("%-12s %-20s %" PRIu64 " %" PRIu64 "\n", entry->who, entry->what, entry->a, entry->b);
    else
        printf("%-12s %s\n", entry->who, entry->text);
}

static struct trace_entry *next_entry(struct world *world, const char *who)
{
    struct trace_entry *entry = &world->trace[world->trace_count++ % TRACE_ENTRIES];
    entry->at_ns = world->now_ns;
    entry->who = who;
    return entry;
}

void world_note(struct world *world, const char *what, uint64_t a, uint64_t b)
{
    mix(world, world->now_ns);
    mix(world, hash64(what, strlen(what), a) ^ hash_u64(b));
}

void world_trace(struct world *world, const char *who, const char *what, uint64_t a, uint64_t b)
{
    world_note(world, what, a, b);
    struct trace_entry *entry = next_entry(world, who);
    entry->what = what;
    entry->a = a;
    entry->b = b;
    if (world->printing) print_entry(entry);
}

void world_trace_text(struct world *world, const char *who, const char *text, size_t size)
{
    mix(world, world->now_ns);
    mix(world, hash64(text, size, 0));
    struct trace_entry *entry = next_entry(world, who);
    entry->what = NULL;
    if (size >= sizeof entry->text) size = sizeof entry->text - 1;
    memcpy(entry->text, text, size);
    entry->text[size] = 0;
    if (world->printing) print_entry(entry);
}

uint64_t world_trace_hash(const struct world *world)
{
    return world->trace_hash;
}

void world_trace_print(struct world *world, bool on)
{
    world->printing = on;
}

void world_trace_dump(const struct world *world, uint32_t count)
{
    uint64_t kept = world->trace_count < TRACE_ENTRIES ? world->trace_count : TRACE_ENTRIES;
    if (count > kept) count = (uint32_t)kept;
    for (uint64_t i = world->trace_count - count; i < world->trace_count; i++)
        print_entry(&world->trace[i % TRACE_ENTRIES]);
}

/* Failure and probes. */

void world_fail(struct world *world, const char *rule, const char *format, ...)
{
    if (world->failure[0]) return;
    int used = snprintf(world->failure, sizeof world->failure, "%s: ", rule);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world->failure + used, sizeof world->failure - (size_t)used, format, arguments);
    va_end(arguments);
    world_trace_text(world, "FAILED", world->failure, strlen(world->failure));
}

const char *world_failure(const struct world *world)
{
    return world->failure[0] ? world->failure : NULL;
}

void world_probe(struct world *world, const char *name, size_t size)
{
    if (size >= PROBE_NAME_BYTES) size = PROBE_NAME_BYTES - 1;
    for (uint32_t i = 0; i < world->probes_count; i++)
        if (memcmp(world->probes[i].name, name, size) == 0 && world->probes[i].name[size] == 0) {
            world->probes[i].hits++;
            return;
        }
    if (world->probes_count == WORLD_PROBES_MAX) return;
    struct probe *probe = &world->probes[world->probes_count++];
    memcpy(probe->name, name, size);
    probe->name[size] = 0;
    probe->hits = 1;
}

uint64_t world_probe_hits(const struct world *world, const char *name)
{
    for (uint32_t i = 0; i < world->probes_count; i++)
        if (strcmp(world->probes[i].name, name) == 0) return world->probes[i].hits;
    return 0;
}

void world_probes(
    const struct world *world, void (*visit)(void *context, const char *name, uint64_t hits), void *context)
{
    for (uint32_t i = 0; i < world->probes_count; i++)
        visit(context, world->probes[i].name, world->probes[i].hits);
}
