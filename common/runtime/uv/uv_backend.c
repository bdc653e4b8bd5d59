#include "common/runtime/uv/uv_backend.h"

#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/runtime/backend.h"
#include "common/runtime/disk.h"
#include "common/runtime/posix/posix_disk.h"
#include "common/runtime/reactor.h"
#include "common/runtime/watch.h"

enum { NS_PER_MS = 1000000 };

struct uv_backend {
    struct backend backend;
    struct reactor *reactor;
    int root_fd;
    uv_loop_t loop;
    /* Not a uv_async_t: woken before its sender is done, it spins for tens of microseconds until that one runs again.
     */
    int wake_fd;
    uv_poll_t wake;
    uv_timer_t timer;
    bool looked;      /* the loop ran since the last poll */
    struct list done; /* requests that the pool has finished */
    struct list idle; /* struct work */
    struct list told; /* struct watch_slot whose descriptors are ready */
};

/* One request in the thread pool. Reused, so a warm backend allocates nothing. */
struct work {
    struct list link;
    uv_work_t work;
    struct uv_backend *backend;
    struct disk_request *request;
};

/* One watched descriptor; outlives its watch until libuv has let go of it. */
struct watch_slot {
    struct list link; /* told */
    uv_poll_t poll;
    struct uv_backend *backend;
    struct watch *watch; /* NULL: forgotten */
    unsigned asked;      /* of libuv */
    unsigned events;     /* ready and not yet delivered */
};

static struct uv_backend *of(struct backend *backend)
{
    return CONTAINER_OF(backend, struct uv_backend, backend);
}

static void on_wake(uv_poll_t *wake, int status, int events)
{
    (void)status;
    (void)events;
    struct uv_backend *backend = CONTAINER_OF(wake, struct uv_backend, wake);
    uint64_t count;
    /* Nothing to read: somebody's wake was read with an earlier one. */
    if (read(backend->wake_fd, &count, sizeof count) != (ssize_t)sizeof count) return;
}

static void on_timer(uv_timer_t *timer)
{
    (void)timer;
}

static void in_pool(uv_work_t *uv_work)
{
    struct work *work = CONTAINER_OF(uv_work, struct work, work);
    posix_disk_perform(work->backend->root_fd, work->request);
}

static void after_pool(uv_work_t *uv_work, int cancelled)
{
    struct work *work = CONTAINER_OF(uv_work, struct work, work);
    CHECK(cancelled == 0);
    list_push_back(&work->backend->done, &work->request->link);
    list_push_front(&work->backend->idle, &work->link);
}

static void uv_submit(struct backend *base, struct disk_request *request)
{
    struct uv_backend *backend = of(base);
    struct list *node = list_pop_front(&backend->idle);
    struct work *work = node ? CONTAINER_OF(node, struct work, link) : mem_zalloc(sizeof *work);
    list_init(&work->link);
    work->backend = backend;
    work->request = request;
    CHECK(uv_queue_work(&backend->loop, &work->work, in_pool, after_pool) == 0);
}

/* Inside the loop, which also runs between turns: only noted. */
static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct watch_slot *slot = CONTAINER_OF(poll, struct watch_slot, poll);
    if (slot->watch == NULL) return;
    if (status < 0) slot->asked = 0; /* libuv stopped it */
    if (status < 0 || (events & UV_READABLE)) slot->events |= WATCH_READ;
    if (status < 0 || (events & UV_WRITABLE)) slot->events |= WATCH_WRITE;
    if (list_is_empty(&slot->link)) list_push_back(&slot->backend->told, &slot->link);
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(CONTAINER_OF((uv_poll_t *)(void *)handle, struct watch_slot, poll));
}

static void ask(struct watch_slot *slot)
{
    unsigned wanted = slot->watch->wanted;
    int events = (wanted & WATCH_READ ? UV_READABLE : 0) | (wanted & WATCH_WRITE ? UV_WRITABLE : 0);
    if (wanted == slot->asked) return;
    slot->asked = wanted;
    if (wanted == 0)
        CHECK(uv_poll_stop(&slot->poll) == 0);
    else
        CHECK(uv_poll_start(&slot->poll, events, on_ready) == 0);
}

static void uv_watch(struct backend *base, struct watch *watch)
{
    struct uv_backend *backend = of(base);
    if (watch->slot == NULL) {
        struct watch_slot *slot = mem_zalloc(sizeof *slot);
        slot->backend = backend;
        slot->watch = watch;
        list_init(&slot->link);
        CHECK(uv_poll_init(&backend->loop, &slot->poll, watch->fd) == 0);
        watch->slot = slot;
    }
    ask(watch->slot);
}

static void uv_unwatch(struct backend *base, struct watch *watch)
{
    (void)base;
    struct watch_slot *slot = watch->slot;
    list_remove(&slot->link);
    slot->watch = NULL;
    watch->slot = NULL;
    uv_close((uv_handle_t *)&slot->poll, on_closed);
}

static void tell_watches(struct uv_backend *backend)
{
    struct list due, *node;
    list_init(&due);
    list_splice_back(&due, &backend->told);
    while ((node = list_pop_front(&due)) != NULL) {
        struct watch_slot *slot = CONTAINER_OF(node, struct watch_slot, link);
        struct watch *watch = slot->watch;
        unsigned events = slot->events & watch->wanted;
        slot->events = 0;
        if (events) watch->ready(watch, events);
        /* Once more, if libuv stopped it at an error that its owner lives with. */
        if (slot->watch) ask(slot);
    }
}

static void uv_poll(struct backend *base)
{
    struct uv_backend *backend = of(base);
    if (!backend->looked) uv_run(&backend->loop, UV_RUN_NOWAIT);
    backend->looked = false;
    struct list *node;
    while ((node = list_pop_front(&backend->done)) != NULL)
        reactor_disk_done(backend->reactor, CONTAINER_OF(node, struct disk_request, link));
    tell_watches(backend);
}

static void uv_wait(struct backend *base, uint64_t until_ns)
{
    struct uv_backend *backend = of(base);
    if (!list_is_empty(&backend->done) || !list_is_empty(&backend->told)) return;
    backend->looked = true;
    if (until_ns == REACTOR_NEVER) {
        uv_timer_stop(&backend->timer);
    } else {
        uint64_t now = uv_hrtime();
        if (until_ns <= now) return;
        /* Milliseconds, rounded up: waking early would only mean to wait again. */
        uv_update_time(&backend->loop);
        uv_timer_start(&backend->timer, on_timer, (until_ns - now + NS_PER_MS - 1) / NS_PER_MS, 0);
    }
    uv_run(&backend->loop, UV_RUN_ONCE);
}

static void uv_wake(struct backend *base)
{
    uint64_t one = 1;
    /* It cannot fail before 2^64 - 1 wakes were not read. */
    CHECK(write(of(base)->wake_fd, &one, sizeof one) == (ssize_t)sizeof one);
}

static void uv_destroy(struct backend *base)
{
    struct uv_backend *backend = of(base);
    CHECK(list_is_empty(&backend->done));
    uv_close((uv_handle_t *)&backend->wake, NULL);
    uv_close((uv_handle_t *)&backend->timer, NULL);
    uv_run(&backend->loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&backend->loop) == 0);
    close(backend->wake_fd);
    struct list *node;
    while ((node = list_pop_front(&backend->idle)) != NULL)
        mem_free(CONTAINER_OF(node, struct work, link));
    mem_free(backend);
}

static int uv_fd(struct backend *base)
{
    return uv_backend_fd(&of(base)->loop);
}

static const struct backend_ops uv_ops = {
    "uv", uv_submit, uv_poll, uv_wait, uv_wake, uv_destroy, uv_fd, uv_watch, uv_unwatch};

struct backend *uv_backend_create(struct reactor *reactor, int root_fd)
{
    struct uv_backend *backend = mem_zalloc(sizeof *backend);
    backend->backend.ops = &uv_ops;
    backend->reactor = reactor;
    backend->root_fd = root_fd;
    list_init(&backend->done);
    list_init(&backend->idle);
    list_init(&backend->told);
    CHECK(uv_loop_init(&backend->loop) == 0);
    backend->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CHECK(backend->wake_fd >= 0);
    CHECK(uv_poll_init(&backend->loop, &backend->wake, backend->wake_fd) == 0);
    CHECK(uv_poll_start(&backend->wake, UV_READABLE, on_wake) == 0);
    CHECK(uv_timer_init(&backend->loop, &backend->timer) == 0);
    return &backend->backend;
}
