/*
 * world: virtual time, the queue of events, the seeded streams of chance, and the trace of one simulated run.
 *
 * Everything random in a run comes from its seed, through one stream per purpose, so that a further draw for one
 * purpose never shifts another. Two runs of a seed have equal trace hashes; a difference is a bug by itself. One
 * thread.
 */
#ifndef TRILLIUM_TESTS_SIM_WORLD_H
#define TRILLIUM_TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/prng.h"

enum world_stream {
    WORLD_WORKLOAD,
    WORLD_NET,
    WORLD_DISK,
    WORLD_CRASH,
    WORLD_SCHEDULE, /* order of what is due at the same time, delays of threads */
    WORLD_COMEBACK, /* with how many shards a node comes back */
    WORLD_STREAMS,
};

enum { WORLD_PROBES_MAX = 512, WORLD_FAILURE_BYTES = 512 };

#define WORLD_US 1000ull
#define WORLD_MS 1000000ull
#define WORLD_S 1000000000ull
/* Wall clock at the start: 2026-01-01T00:00Z. */
#define WORLD_EPOCH_US 1767225600000000ll

struct world;

struct world *world_create(uint64_t seed);
/* Nothing simulated is left. */
void world_destroy(struct world *world);
uint64_t world_seed(const struct world *world);
/* Nanoseconds since the start of the run, starting above 0. */
uint64_t world_now(const struct world *world);
struct prng *world_prng(struct world *world, enum world_stream stream);
/* A seed of its own for an object: two objects of different names never share a stream. */
uint64_t world_seed_for(const struct world *world, const char *object);

/* Embedded in its owner, which lives in the simulator's own memory. */
struct world_event {
    uint64_t at_ns;
    uint64_t tie; /* orders what is due at the same time; drawn */
    uint32_t heap_index;
    struct world *world;
    void (*fire)(struct world_event *event);
};
void world_event_init(struct world_event *event, struct world *world, void (*fire)(struct world_event *event));
/* Starts or moves it. A time in the past is now. */
void world_event_at(struct world_event *event, uint64_t at_ns);
void world_event_in(struct world_event *event, uint64_t delay_ns);
void world_event_cancel(struct world_event *event);
static inline bool world_event_is_set(const struct world_event *event)
{
    return event->heap_index != 0;
}

/* Fires the next event. False when there is none. */
bool world_step(struct world *world);
/* Fires all events up to the time, or until world_fail or world_stop; time is at_ns afterwards unless stopped. */
void world_run_until(struct world *world, uint64_t at_ns);
/* Makes a running world_run_until return after the current event. */
void world_stop(struct world *world);
uint64_t world_events(const struct world *world);

/* Into the hash, the ring of the last events and, when on, the printed trace. who and what outlive the world. */
void world_trace(struct world *world, const char *who, const char *what, uint64_t a, uint64_t b);
/* Into the hash only: for what happens all the time. */
void world_note(struct world *world, const char *what, uint64_t a, uint64_t b);
/* As world_trace with a text, which is copied (a log line of a daemon, for instance). */
void world_trace_text(struct world *world, const char *who, const char *text, size_t size);
uint64_t world_trace_hash(const struct world *world);
/* Prints the trace as it happens. */
void world_trace_print(struct world *world, bool on);
/* Prints the last events. */
void world_trace_dump(const struct world *world, uint32_t count);

/* A rule is broken: the first message is kept, and the run stops. */
void world_fail(struct world *world, const char *rule, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* NULL while nothing failed, else "RULE: message". */
const char *world_failure(const struct world *world);

/* Counts that a rare place was reached. */
void world_probe(struct world *world, const char *name, size_t size);
uint64_t world_probe_hits(const struct world *world, const char *name);
/* Calls visit for each probe in order of its first hit. */
void world_probes(
    const struct world *world, void (*visit)(void *context, const char *name, uint64_t hits), void *context);

#endif
