#include "common/runtime/fiber.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/runtime/context.h"
#include "common/runtime/fibers.h"
#include "common/runtime/reactor.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

enum {
#ifdef WITH_ASAN
    STACK_BYTES = 256 << 10,
#else
    STACK_BYTES = 64 << 10,
#endif
    GUARD_BYTES = 4096,
    CANARY_BYTES = 64,
    POOL_MAX = 256,       /* idle stacks that are kept */
    FIBERS_MAX = 1 << 16, /* of one reactor; callers' own limits are far below */
};

static const unsigned char CANARY = 0xc5;

/* A fiber outlives its main: its context waits in the pool inside fiber_loop and is given another main. */
struct fiber {
    struct fibers *owner;
    const char *name;
    void (*main)(void *argument);
    void *argument;
    bool suspended; /* in fiber_suspend, not in the reactor's queue */
    bool woken;     /* a wake that no suspend has used yet */
    bool ended;
    struct task task; /* resumes it */
    struct list link; /* in the pool */
    unsigned char *memory;
    struct context context;
};

struct fibers {
    struct reactor *reactor;
    bool guarded;
    uint32_t live, pooled;
    struct list pool;
    struct fiber *running;
    struct context thread; /* where the reactor's turn stands while a fiber runs */
};

struct fibers *fibers_create(struct reactor *reactor, bool guarded)
{
    struct fibers *fibers = mem_zalloc(sizeof *fibers);
    fibers->reactor = reactor;
    fibers->guarded = guarded;
    list_init(&fibers->pool);
    context_init(&fibers->thread);
    return fibers;
}

/* The lowest page of the stack's memory: unmapped from use, or filled with a pattern at its upper end. */
static void guard(struct fiber *fiber)
{
    if (fiber->owner->guarded)
        CHECK(mprotect(fiber->memory, GUARD_BYTES, PROT_NONE) == 0);
    else
        memset(fiber->memory + GUARD_BYTES - CANARY_BYTES, CANARY, CANARY_BYTES);
}

static void unguard(struct fiber *fiber)
{
    if (fiber->owner->guarded) CHECK(mprotect(fiber->memory, GUARD_BYTES, PROT_READ | PROT_WRITE) == 0);
}

static void check_guard(const struct fiber *fiber)
{
    if (fiber->owner->guarded) return;
    uint64_t expected, found;
    memset(&expected, CANARY, sizeof expected);
    for (unsigned i = 0; i < CANARY_BYTES; i += sizeof found) {
        memcpy(&found, fiber->memory + GUARD_BYTES - CANARY_BYTES + i, sizeof found);
        CHECK(found == expected); /* the fiber used more stack than it has */
    }
}

static void fiber_free(struct fiber *fiber)
{
    unguard(fiber);
    mem_free(fiber->memory);
    mem_free(fiber);
}

void fibers_destroy(struct fibers *fibers)
{
    CHECK(fibers->live == 0 && fibers->running == NULL);
    struct list *node;
    while ((node = list_pop_front(&fibers->pool)) != NULL)
        fiber_free(CONTAINER_OF(node, struct fiber, link));
    mem_free(fibers);
}

/* Runs on the fiber's own stack, for as long as that lives. */
static void fiber_loop(void *argument)
{
    struct fiber *fiber = argument;
    for (;;) {
        fiber->main(fiber->argument);
        fiber->ended = true;
        context_switch(&fiber->context, &fiber->owner->thread);
    }
}

static void retire(struct fiber *fiber)
{
    struct fibers *fibers = fiber->owner;
    CHECK(list_is_empty(&fiber->task.link));
    fibers->live--;
    if (fibers->pooled >= POOL_MAX) {
        fiber_free(fiber);
        return;
    }
    fibers->pooled++;
    list_push_front(&fibers->pool, &fiber->link); /* the warmest first */
}

static void resume(struct task *task)
{
    struct fiber *fiber = CONTAINER_OF(task, struct fiber, task);
    struct fibers *fibers = fiber->owner;
    CHECK(fibers->running == NULL);
    fibers->running = fiber;
    fiber->suspended = false;
    context_switch(&fibers->thread, &fiber->context);
    fibers->running = NULL;
    check_guard(fiber);
    if (fiber->ended) retire(fiber);
}

static struct fiber *fiber_make(struct fibers *fibers)
{
    struct fiber *fiber = mem_zalloc(sizeof *fiber);
    fiber->owner = fibers;
    list_init(&fiber->link);
    task_init(&fiber->task, resume);
    fiber->memory = mem_alloc_aligned(GUARD_BYTES, GUARD_BYTES + STACK_BYTES);
    guard(fiber);
    context_make(&fiber->context, fiber->memory + GUARD_BYTES, STACK_BYTES, fiber_loop, fiber);
    return fiber;
}

void fiber_start(struct reactor *reactor, const char *name, void (*main)(void *argument), void *argument)
{
    struct fibers *fibers = reactor_fibers(reactor);
    CHECK(fibers->live < FIBERS_MAX);
    struct list *node = list_pop_front(&fibers->pool);
    struct fiber *fiber;
    if (node) {
        fibers->pooled--;
        fiber = CONTAINER_OF(node, struct fiber, link);
    } else {
        fiber = fiber_make(fibers);
    }
    fiber->name = name;
    fiber->main = main;
    fiber->argument = argument;
    fiber->ended = fiber->woken = fiber->suspended = false;
    fibers->live++;
    reactor_defer(reactor, &fiber->task);
}

struct fiber *fiber_current(const struct reactor *reactor)
{
    return reactor_fibers(reactor)->running;
}

const char *fiber_name(const struct fiber *fiber)
{
    return fiber->name;
}

uint32_t fiber_count(const struct reactor *reactor)
{
    return reactor_fibers(reactor)->live;
}

/* Leaves the running fiber's stack; returns when it is resumed. */
static void switch_out(struct fiber *fiber)
{
    context_switch(&fiber->context, &fiber->owner->thread);
}

void fiber_suspend(struct reactor *reactor)
{
    struct fiber *fiber = fiber_current(reactor);
    CHECK(fiber != NULL);
    if (!fiber->woken) {
        fiber->suspended = true;
        switch_out(fiber);
    }
    fiber->woken = false;
}

void fiber_wake(struct fiber *fiber)
{
    CHECK(!fiber->ended);
    fiber->woken = true;
    if (fiber->suspended) reactor_defer(fiber->owner->reactor, &fiber->task);
}

void fiber_yield(struct reactor *reactor)
{
    struct fiber *fiber = fiber_current(reactor);
    CHECK(fiber != NULL);
    reactor_defer(reactor, &fiber->task);
    switch_out(fiber);
}

struct sleeper {
    struct timer timer;
    struct fiber *fiber;
    bool due;
};

static void sleeper_fire(struct timer *timer)
{
    struct sleeper *sleeper = CONTAINER_OF(timer, struct sleeper, timer);
    sleeper->due = true;
    fiber_wake(sleeper->fiber);
}

static void sleeper_init(struct sleeper *sleeper, struct reactor *reactor, uint64_t at_ns)
{
    timer_init(&sleeper->timer, reactor, sleeper_fire);
    sleeper->fiber = fiber_current(reactor);
    sleeper->due = false;
    CHECK(sleeper->fiber != NULL);
    timer_start_at(&sleeper->timer, at_ns);
}

void fiber_sleep_until(struct reactor *reactor, uint64_t at_ns)
{
    struct sleeper sleeper;
    sleeper_init(&sleeper, reactor, at_ns);
    while (!sleeper.due)
        fiber_suspend(reactor);
}

struct gate_waiter {
    struct list link;
    struct fiber *fiber;
    bool opened;
};

void gate_init(struct gate *gate)
{
    list_init(&gate->waiters);
}

bool gate_wait(struct reactor *reactor, struct gate *gate, uint64_t until_ns)
{
    if (until_ns <= reactor_now_ns(reactor)) return false;
    struct gate_waiter waiter = {.fiber = fiber_current(reactor)};
    struct sleeper sleeper;
    sleeper_init(&sleeper, reactor, until_ns);
    list_push_back(&gate->waiters, &waiter.link);
    while (!waiter.opened && !sleeper.due)
        fiber_suspend(reactor);
    timer_stop(&sleeper.timer);
    if (!waiter.opened) list_remove(&waiter.link);
    return waiter.opened;
}

void gate_open(struct gate *gate)
{
    struct list *node;
    while ((node = list_pop_front(&gate->waiters)) != NULL) {
        struct gate_waiter *waiter = CONTAINER_OF(node, struct gate_waiter, link);
        waiter->opened = true;
        fiber_wake(waiter->fiber);
    }
}
