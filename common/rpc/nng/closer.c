#include "common/rpc/nng/closer.h"

#include <pthread.h>
#include <time.h>

#include "common/base/check.h"
#include "common/base/mem.h"

enum { LOOK_EVERY_MS = 20, PATIENCE_MS = 2000, DESTROY_MS = 5000 };

struct closer {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct list pending;
    bool started, stopping, ended;
    bool released; /* nobody waits for the thread: it frees the closer */
    void (*on_ended)(void *context);
    void *context;
    pthread_t thread;
};

static void free_closer(struct closer *closer)
{
    pthread_mutex_destroy(&closer->mutex);
    pthread_cond_destroy(&closer->changed);
    mem_free(closer);
}

uint64_t closer_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct timespec at_ns(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

struct closer *closer_create(void)
{
    struct closer *closer = mem_zalloc(sizeof *closer);
    pthread_condattr_t monotonic;
    CHECK(pthread_mutex_init(&closer->mutex, NULL) == 0);
    CHECK(pthread_condattr_init(&monotonic) == 0);
    CHECK(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
    CHECK(pthread_cond_init(&closer->changed, &monotonic) == 0);
    pthread_condattr_destroy(&monotonic);
    list_init(&closer->pending);
    return closer;
}

/* The first that may be closed now, removed; NULL when none. */
static struct closing *take_ripe(struct closer *closer)
{
    uint64_t now = closer_now_ns();
    LIST_FOR_EACH (node, &closer->pending) {
        struct closing *closing = CONTAINER_OF(node, struct closing, link);
        bool late = now - closing->asked_ns > (uint64_t)PATIENCE_MS * 1000000;
        if (!late && !closing->is_quiet(closing, now)) continue;
        list_remove(node);
        return closing;
    }
    return NULL;
}

static void end_released(struct closer *closer)
{
    void (*ended)(void *context) = closer->on_ended;
    void *context = closer->context;
    free_closer(closer);
    ended(context);
}

static void *run(void *argument)
{
    struct closer *closer = argument;
    pthread_mutex_lock(&closer->mutex);
    while (!closer->stopping || !list_is_empty(&closer->pending)) {
        struct closing *closing = take_ripe(closer);
        if (closing) {
            pthread_mutex_unlock(&closer->mutex);
            closing->close(closing);
            pthread_mutex_lock(&closer->mutex);
        } else if (list_is_empty(&closer->pending)) {
            pthread_cond_wait(&closer->changed, &closer->mutex);
        } else {
            struct timespec until = at_ns(closer_now_ns() + (uint64_t)LOOK_EVERY_MS * 1000000);
            pthread_cond_timedwait(&closer->changed, &closer->mutex, &until);
        }
    }
    closer->ended = true;
    bool released = closer->released;
    pthread_cond_broadcast(&closer->changed);
    pthread_mutex_unlock(&closer->mutex);
    if (released) end_released(closer);
    return NULL;
}

void closer_add(struct closer *closer, struct closing *closing)
{
    pthread_mutex_lock(&closer->mutex);
    closing->asked_ns = closer_now_ns();
    list_push_back(&closer->pending, &closing->link);
    if (!closer->started) {
        closer->started = true;
        CHECK(pthread_create(&closer->thread, NULL, run, closer) == 0);
    }
    pthread_cond_broadcast(&closer->changed);
    pthread_mutex_unlock(&closer->mutex);
}

bool closer_destroy(struct closer *closer)
{
    pthread_mutex_lock(&closer->mutex);
    closer->stopping = true;
    pthread_cond_broadcast(&closer->changed);
    struct timespec until = at_ns(closer_now_ns() + (uint64_t)DESTROY_MS * 1000000);
    int late = 0;
    while (closer->started && !closer->ended && late == 0)
        late = pthread_cond_timedwait(&closer->changed, &closer->mutex, &until);
    bool ended = !closer->started || closer->ended;
    pthread_mutex_unlock(&closer->mutex);
    if (!ended) {
        pthread_detach(closer->thread);
        return false;
    }
    if (closer->started) pthread_join(closer->thread, NULL);
    free_closer(closer);
    return true;
}

void closer_release(struct closer *closer, void (*ended)(void *context), void *context)
{
    pthread_mutex_lock(&closer->mutex);
    closer->on_ended = ended;
    closer->context = context;
    closer->stopping = closer->released = true;
    bool started = closer->started;
    if (started) pthread_detach(closer->thread);
    pthread_cond_broadcast(&closer->changed);
    pthread_mutex_unlock(&closer->mutex);
    if (!started) end_released(closer);
}
