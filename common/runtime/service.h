/*
 * service: what every daemon library looks like to whoever hosts it, its main (common/daemon) or the simulator.
 *
 * X_create(env, config) makes the reactors and starts fibers in them; nothing runs until the host turns the reactors:
 * one thread each, or the simulator's one. A service that cannot go on ends by env_die with one sentence.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_SERVICE_H
#define TRILLIUM_COMMON_RUNTIME_SERVICE_H

#include <stdbool.h>

struct health;
struct metrics;
struct reactor;
struct service;

struct service_ops {
    unsigned (*reactors_count)(const struct service *service);
    struct reactor *(*reactor)(const struct service *service, unsigned index);
    /* Any thread; once. Goodbye to peers, drain, sync; the reactors go on turning until it has stopped. */
    void (*stop)(struct service *service);
    /* Any thread. True when nothing is under way any more: the reactors may stop turning. */
    bool (*has_stopped)(const struct service *service);
    /* No reactor turns any more. Frees everything. */
    void (*destroy)(struct service *service);
    /* Any thread. May be NULL, or give NULL. */
    struct health *(*health)(struct service *service);
    struct metrics *(*metrics)(struct service *service);
};

struct service {
    const struct service_ops *ops;
};

#endif
