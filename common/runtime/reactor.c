#include "common/runtime/reactor.h"

#include <stdatomic.h>
#include <stddef.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/prng.h"
#include "common/runtime/backend.h"
#include "common/runtime/disk.h"
#include "common/runtime/fibers.h"
#include "common/runtime/timers.h"
#include "common/runtime/watch.h"

/* What one turn does at most of each kind, so that mail, disk and timers are never kept waiting for long. */
enum { TURN_RUNS_MAX = 1024, TURN_TIMERS_MAX = 1024 };

struct reactor {
    struct env *env;
    struct backend *backend;
    const char *name;
    unsigned index;
    uint64_t now_ns;
    int64_t wall_us;
    struct list ready; /* tasks and woken fibers, in the order in which they became ready */
    struct list last;  /* tasks for the end of the turn */
    struct list sends; /* tasks for the very end */
    struct timers timers;
    struct fibers *fibers;
    struct prng prng;
    uint32_t disk_inflight;
    bool in_turn;
    /* Shared with other threads. */
    _Atomic(struct mail *) posted; /* newest first */
    _Atomic bool asleep;           /* whoever brings work must call the backend's wake */
    _Atomic bool woken;            /* a turn was asked for */
    _Atomic bool stopping;
};

struct reactor *reactor_create(struct env *env, const char *name, unsigned index)
{
    struct reactor *reactor = mem_zalloc(sizeof *reactor);
    uint64_t seed;
    reactor->env = env;
    reactor->name = name;
    reactor->index = index;
    reactor->now_ns = env_mono_ns(env);
    reactor->wall_us = env_wall_us(env);
    list_init(&reactor->ready);
    list_init(&reactor->last);
    list_init(&reactor->sends);
    timers_init(&reactor->timers);
    reactor->fibers = fibers_create(reactor, env->guarded_stacks);
    env_entropy(env, &seed, sizeof seed);
    reactor->prng = prng_seeded(seed);
    reactor->backend = env->ops->backend_create(env, reactor);
    CHECK(reactor->backend != NULL);
    /* Asleep until the first turn: work that is brought before it wakes the backend. */
    atomic_store(&reactor->asleep, true);
    return reactor;
}

void reactor_destroy(struct reactor *reactor)
{
    CHECK(!reactor->in_turn && reactor->disk_inflight == 0);
    CHECK(atomic_load(&reactor->posted) == NULL);
    reactor->backend->ops->destroy(reactor->backend);
    fibers_destroy(reactor->fibers);
    timers_fini(&reactor->timers);
    mem_free(reactor);
}

/* After work was put where a turn finds it. Inside a turn nobody sleeps, so this costs a load; outside (another thread,
   a start-up before the first turn, an event of the simulated network) it ends the wait. */
static void nudge(struct reactor *reactor)
{
    if (atomic_load(&reactor->asleep) && atomic_exchange(&reactor->asleep, false))
        reactor->backend->ops->wake(reactor->backend);
}

/* All that was posted, oldest first. */
static struct mail *take_mail(struct reactor *reactor)
{
    struct mail *newest = atomic_exchange(&reactor->posted, NULL), *oldest = NULL;
    while (newest) {
        struct mail *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void deliver_mail(struct reactor *reactor)
{
    struct mail *mail = take_mail(reactor);
    while (mail) {
        struct mail *next = mail->next;
        mail->next = NULL;
        mail->deliver(mail);
        mail = next;
    }
}

static void fire_timers(struct reactor *reactor)
{
    for (unsigned fired = 0; fired < TURN_TIMERS_MAX; fired++) {
        struct timer *timer = timers_first(&reactor->timers);
        if (timer == NULL || timer->at_ns > reactor->now_ns) return;
        timers_remove(&reactor->timers, timer);
        timer->fire(timer);
    }
}

static void run_ready(struct reactor *reactor)
{
    for (unsigned runs = 0; runs < TURN_RUNS_MAX; runs++) {
        struct list *node = list_pop_front(&reactor->ready);
        if (node == NULL) return;
        struct task *task = CONTAINER_OF(node, struct task, link);
        task->run(task);
    }
}

static void run_all(struct list *queue)
{
    struct list due, *node;
    list_init(&due);
    list_splice_back(&due, queue);
    while ((node = list_pop_front(&due)) != NULL) {
        struct task *task = CONTAINER_OF(node, struct task, link);
        task->run(task);
    }
}

static uint64_t next_wake(struct reactor *reactor)
{
    if (!list_is_empty(&reactor->ready) || !list_is_empty(&reactor->last) || !list_is_empty(&reactor->sends))
        return reactor->now_ns;
    struct timer *timer = timers_first(&reactor->timers);
    if (timer && timer->at_ns <= reactor->now_ns) return reactor->now_ns;
    /* First asleep, then look: a sender first posts, then looks whether we are asleep. */
    atomic_store(&reactor->asleep, true);
    if (atomic_load(&reactor->posted) != NULL || atomic_load(&reactor->woken)) {
        atomic_store(&reactor->asleep, false);
        return reactor->now_ns;
    }
    return timer ? timer->at_ns : REACTOR_NEVER;
}

uint64_t reactor_turn(struct reactor *reactor)
{
    CHECK(!reactor->in_turn);
    reactor->in_turn = true;
    atomic_store(&reactor->asleep, false);
    atomic_store(&reactor->woken, false);
    uint64_t now = env_mono_ns(reactor->env);
    if (now > reactor->now_ns) reactor->now_ns = now;
    reactor->wall_us = env_wall_us(reactor->env);
    deliver_mail(reactor);
    reactor->backend->ops->poll(reactor->backend);
    fire_timers(reactor);
    run_ready(reactor);
    run_all(&reactor->last);
    run_all(&reactor->sends);
    reactor->in_turn = false;
    return next_wake(reactor);
}

void reactor_step(struct reactor *reactor)
{
    uint64_t until = reactor_turn(reactor);
    if (until > reactor->now_ns) reactor->backend->ops->wait(reactor->backend, until);
}

int reactor_fd(const struct reactor *reactor)
{
    return reactor->backend->ops->fd ? reactor->backend->ops->fd(reactor->backend) : -1;
}

void reactor_run(struct reactor *reactor)
{
    while (!atomic_load(&reactor->stopping))
        reactor_step(reactor);
}

void reactor_stop(struct reactor *reactor)
{
    atomic_store(&reactor->stopping, true);
    reactor_wake(reactor);
}

void reactor_wake(struct reactor *reactor)
{
    atomic_store(&reactor->woken, true);
    nudge(reactor);
}

uint64_t reactor_now_ns(const struct reactor *reactor)
{
    return reactor->now_ns;
}

int64_t reactor_wall_us(const struct reactor *reactor)
{
    return reactor->wall_us;
}

struct env *reactor_env(const struct reactor *reactor)
{
    return reactor->env;
}

struct log *reactor_log(const struct reactor *reactor)
{
    return reactor->env->log;
}

unsigned reactor_index(const struct reactor *reactor)
{
    return reactor->index;
}

const char *reactor_name(const struct reactor *reactor)
{
    return reactor->name;
}

const char *reactor_backend_name(const struct reactor *reactor)
{
    return reactor->backend->ops->name;
}

struct prng *reactor_prng(struct reactor *reactor)
{
    return &reactor->prng;
}

struct fibers *reactor_fibers(const struct reactor *reactor)
{
    return reactor->fibers;
}

void timer_init(struct timer *timer, struct reactor *reactor, void (*fire)(struct timer *timer))
{
    timer->at_ns = REACTOR_NEVER;
    timer->order = 0;
    timer->heap_index = 0;
    timer->reactor = reactor;
    timer->fire = fire;
}

void timer_start_at(struct timer *timer, uint64_t at_ns)
{
    if (at_ns == REACTOR_NEVER) {
        timer_stop(timer);
        return;
    }
    timers_set(&timer->reactor->timers, timer, at_ns);
    nudge(timer->reactor);
}

void timer_start_in(struct timer *timer, uint64_t delay_ns)
{
    uint64_t now = timer->reactor->now_ns;
    timer_start_at(timer, delay_ns < REACTOR_NEVER - now ? now + delay_ns : REACTOR_NEVER);
}

void timer_stop(struct timer *timer)
{
    if (timer->heap_index) timers_remove(&timer->reactor->timers, timer);
}

static void defer(struct reactor *reactor, struct list *queue, struct task *task)
{
    if (!list_is_empty(&task->link)) return;
    list_push_back(queue, &task->link);
    nudge(reactor);
}

void reactor_defer(struct reactor *reactor, struct task *task)
{
    defer(reactor, &reactor->ready, task);
}

void reactor_defer_last(struct reactor *reactor, struct task *task)
{
    defer(reactor, &reactor->last, task);
}

void reactor_defer_send(struct reactor *reactor, struct task *task)
{
    defer(reactor, &reactor->sends, task);
}

void reactor_post(struct reactor *to, struct mail *mail)
{
    mail->next = atomic_load_explicit(&to->posted, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&to->posted, &mail->next, mail)) {
    }
    nudge(to);
}

void reactor_disk_submit(struct reactor *reactor, struct disk_request *request)
{
    CHECK(request->done != NULL);
    list_init(&request->link);
    reactor->disk_inflight++;
    reactor->backend->ops->submit(reactor->backend, request);
    nudge(reactor);
}

void reactor_disk_done(struct reactor *reactor, struct disk_request *request)
{
    CHECK(reactor->in_turn && reactor->disk_inflight > 0);
    reactor->disk_inflight--;
    request->done(request);
}

void reactor_watch(struct reactor *reactor, struct watch *watch, unsigned wanted)
{
    CHECK(reactor->backend->ops->watch && (wanted & ~(unsigned)(WATCH_READ | WATCH_WRITE)) == 0);
    watch->wanted = wanted;
    reactor->backend->ops->watch(reactor->backend, watch);
    nudge(reactor);
}

void reactor_unwatch(struct reactor *reactor, struct watch *watch)
{
    watch->wanted = 0;
    if (watch->slot) reactor->backend->ops->unwatch(reactor->backend, watch);
    CHECK(watch->slot == NULL);
}

uint32_t reactor_disk_inflight(const struct reactor *reactor)
{
    return reactor->disk_inflight;
}

uint32_t reactor_timers(const struct reactor *reactor)
{
    return reactor->timers.count;
}
