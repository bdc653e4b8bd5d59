/*
 * backend: what a reactor stands on. One per reactor; three kinds: io_uring (noded), libuv (controld, routerd, clients,
 * noded where io_uring is forbidden) and the simulator's. Used by common/runtime/reactor.c only.
 *
 * All functions but wake are called on the reactor's thread. A completion is delivered by calling
 * reactor_disk_done(reactor, request), from inside poll only.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_BACKEND_H
#define TRILLIUM_COMMON_RUNTIME_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

struct backend;
struct disk_request;
struct reactor;
struct watch;

struct backend_ops {
    const char *name; /* "uring", "uv", "sim" */
    /* Takes the request; it completes in a later poll, in any order. Never blocks, never fails. */
    void (*submit)(struct backend *backend, struct disk_request *request);
    /* Hands submitted requests to the kernel and delivers what has completed. Called at least once a turn. */
    void (*poll)(struct backend *backend);
    /* Sleeps until a completion, a wake or until_ns (monotonic; UINT64_MAX: for ever). Never called by the simulator.
     */
    void (*wait)(struct backend *backend, uint64_t until_ns);
    /* Ends the current or next wait. From any thread. */
    void (*wake)(struct backend *backend);
    /* Nothing is in flight any more. */
    void (*destroy)(struct backend *backend);
    /* Polls readable when a turn is due, for callers with a loop of their own. NULL: there is none. */
    int (*fd)(struct backend *backend);
    /* Takes note of watch->wanted; calls watch->ready from inside poll only. NULL, both: it watches no descriptors. */
    void (*watch)(struct backend *backend, struct watch *watch);
    /* Forgets the watch, which has a slot. */
    void (*unwatch)(struct backend *backend, struct watch *watch);
};

struct backend {
    const struct backend_ops *ops;
};

#endif
