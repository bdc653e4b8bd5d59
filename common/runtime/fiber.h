/*
 * fiber: straight-line code that waits without blocking its thread. A fiber belongs to one reactor for life and runs on
 * a small pooled stack (64 KiB; 256 KiB under sanitizers), so no large arrays on it and no deep recursion.
 *
 * Only what waits for disk, calls or time is a fiber; whoever merely wants to be told is a record in a list.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_FIBER_H
#define TRILLIUM_COMMON_RUNTIME_FIBER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/base/status.h"

struct fiber;
struct reactor;

/* Starts a fiber; it first runs later in this turn. It ends when main returns. name is a literal, for traces. */
void fiber_start(struct reactor *reactor, const char *name, void (*main)(void *argument), void *argument);
/* The running fiber, or NULL outside fibers. */
struct fiber *fiber_current(const struct reactor *reactor);
const char *fiber_name(const struct fiber *fiber);
/* Suspends the running fiber until fiber_wake; a wake that came before makes it return at once. Wakes do not count up;
   callers re-check their condition in a loop. */
void fiber_suspend(struct reactor *reactor);
/* On the reactor's thread. The fiber runs later in this turn. */
void fiber_wake(struct fiber *fiber);
/* Fibers that have not ended. */
uint32_t fiber_count(const struct reactor *reactor);

/* Suspends until the monotonic time. */
void fiber_sleep_until(struct reactor *reactor, uint64_t at_ns);
/* Gives others a turn; for long loops. */
void fiber_yield(struct reactor *reactor);

/* A gate: fibers wait until somebody opens it. Zero-init with gate_init. */
struct gate {
    struct list waiters;
};
void gate_init(struct gate *gate);
/* Suspends the running fiber until the next gate_open. Returns false when until_ns passed first. */
bool gate_wait(struct reactor *reactor, struct gate *gate, uint64_t until_ns);
/* Wakes all that wait now. */
void gate_open(struct gate *gate);

#endif
