/*
 * reactor: the loop of one thread (a shard of noded, a worker of routerd, controld): timers, tasks, mail from other
 * threads, disk completions, fibers.
 *
 * reactor_turn() never blocks and is all that the simulator calls; reactor_run() adds the wait. Everything here is
 * called on the reactor's own thread, except reactor_post, reactor_wake and reactor_stop.
 *
 * Order inside a turn: clocks are read once; mail; disk completions; due timers; then tasks and woken fibers until none
 * is left (a bounded number, the rest in the next turn); then *last tasks*, where batches are closed; then *send
 * tasks*, where what they and all others left behind is handed to the kernel.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_REACTOR_H
#define TRILLIUM_COMMON_RUNTIME_REACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/runtime/env.h"

struct prng;
struct fiber;
struct reactor;

#define REACTOR_NEVER UINT64_MAX

/* index tells the reactors of one daemon apart (shard or worker number). Never NULL. */
struct reactor *reactor_create(struct env *env, const char *name, unsigned index);
/* No fiber lives, no request is in flight, no mail is on its way. */
void reactor_destroy(struct reactor *reactor);

/* Does all that can be done now. Returns when to call again (monotonic ns; REACTOR_NEVER: only when woken). */
uint64_t reactor_turn(struct reactor *reactor);
/* One turn and the wait after it. */
void reactor_step(struct reactor *reactor);
/* For callers with a loop of their own, instead of reactor_run: poll this descriptor for reading, until the time that
   reactor_turn returned, then turn. -1 when the backend has none (the simulator's). */
int reactor_fd(const struct reactor *reactor);
/* Steps until reactor_stop. */
void reactor_run(struct reactor *reactor);
/* Any thread: reactor_run returns after its current turn, now or whenever it is called. */
void reactor_stop(struct reactor *reactor);
/* Any thread: a turn is due. */
void reactor_wake(struct reactor *reactor);

/* Monotonic and wall time as read at the start of this turn. */
uint64_t reactor_now_ns(const struct reactor *reactor);
int64_t reactor_wall_us(const struct reactor *reactor);
struct env *reactor_env(const struct reactor *reactor);
struct log *reactor_log(const struct reactor *reactor);
unsigned reactor_index(const struct reactor *reactor);
const char *reactor_name(const struct reactor *reactor);
/* Name of the backend: "uring", "uv", "sim". */
const char *reactor_backend_name(const struct reactor *reactor);
/* This reactor's random stream, seeded from the env's entropy. */
struct prng *reactor_prng(struct reactor *reactor);

/* A timer is embedded in its owner; init once, start as often as wanted (a second start moves it). One shot. */
struct timer {
    uint64_t at_ns;
    uint64_t order;
    uint32_t heap_index; /* 0: not running */
    struct reactor *reactor;
    void (*fire)(struct timer *timer);
};
void timer_init(struct timer *timer, struct reactor *reactor, void (*fire)(struct timer *timer));
void timer_start_at(struct timer *timer, uint64_t at_ns);
void timer_start_in(struct timer *timer, uint64_t delay_ns);
void timer_stop(struct timer *timer);
static inline bool timer_is_running(const struct timer *timer)
{
    return timer->heap_index != 0;
}

/* A task runs once, later in this turn (or the next one, when called from a last task). Posting a posted task is a
   no-op. */
struct task {
    struct list link;
    void (*run)(struct task *task);
};
static inline void task_init(struct task *task, void (*run)(struct task *task))
{
    list_init(&task->link);
    task->run = run;
}
void reactor_defer(struct reactor *reactor, struct task *task);
/* As reactor_defer, but after everything else of this turn: for closing batches. */
void reactor_defer_last(struct reactor *reactor, struct task *task);
/* As reactor_defer, but after the last tasks of this turn, also when called from one of them: for system calls that
   take all that a turn has brought. */
void reactor_defer_send(struct reactor *reactor, struct task *task);
static inline void task_cancel(struct task *task)
{
    list_remove(&task->link);
}

/* Mail is handed to another reactor, in order per sender, and delivered on its thread. The sender owns the mail until
   posting, the receiver from delivery on. Bounds are the senders' duty (a fixed pool of mail per pair). */
struct mail {
    struct mail *next;
    void (*deliver)(struct mail *mail);
};
void reactor_post(struct reactor *to, struct mail *mail);

struct disk_request;
/* Used by disk.c and backends. */
void reactor_disk_submit(struct reactor *reactor, struct disk_request *request);
void reactor_disk_done(struct reactor *reactor, struct disk_request *request);
/* Disk requests in flight, and timers that run (for drains and tests). */
uint32_t reactor_disk_inflight(const struct reactor *reactor);
uint32_t reactor_timers(const struct reactor *reactor);

#endif
