/*
 * host: what a daemon library gets from whoever hosts it, its main (common/daemon) or the simulator.
 *
 *   X_create(host, settings, &x, why)   main thread; reactors exist and do not turn yet; starts the first fibers
 *   X_stop(x)                           on reactor 0's thread, once: goodbye, drain, sync, then host->stopped
 *   X_destroy(x)                        no reactor turns any more
 * A daemon that cannot go on ends by env_die with one sentence.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_HOST_H
#define TRILLIUM_COMMON_RUNTIME_HOST_H

struct env;
struct health;
struct metrics;
struct reactor;

enum { HOST_WHY_BYTES = 512 };

struct host {
    struct env *env;
    struct reactor **reactors; /* live until X_destroy has returned */
    unsigned reactors_count;
    struct metrics *metrics;
    struct health *health;
    /* What X_stop began is finished. Any thread. */
    void (*stopped)(void *context);
    void *context;
};

#endif
