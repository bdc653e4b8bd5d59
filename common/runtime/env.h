/*
 * env: everything a daemon instance may know of the world outside: clocks, entropy, disk, network, log, and its death.
 *
 * One per daemon instance. The real one (common/daemon) stands on the operating system; the simulator makes one per
 * simulated daemon. Nothing in a daemon's libraries reaches the operating system in any other way; a link-time check
 * proves it. All functions may be called from any of the daemon's threads.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_ENV_H
#define TRILLIUM_COMMON_RUNTIME_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/log.h"
#include "common/base/status.h"

struct env;
struct reactor;
struct backend;
struct net;

struct env_ops {
    /* Monotonic nanoseconds; never goes back while the process lives. */
    uint64_t (*mono_ns)(struct env *env);
    /* Wall clock, microseconds since 1970; may step either way. */
    int64_t (*wall_us)(struct env *env);
    /* Random bytes for seeds, uuids and the like (not for hot paths: seed a prng). */
    void (*entropy)(struct env *env, void *out, size_t size);
    /* The death of the process: a failed sync, a full log disk at start, a broken invariant of the disk. One sentence.
     */
    __attribute__((noreturn)) void (*die)(struct env *env, enum status status, const char *why);
    /* The backend of one reactor: where its disk operations go and how it waits. The reactor destroys it. */
    struct backend *(*backend_create)(struct env *env, struct reactor *reactor);
};

struct env {
    const struct env_ops *ops;
    struct net *net;        /* the link door (net.h) */
    struct net *listen_net; /* the backend that opens listeners; NULL: net opens them too */
    struct log *log;        /* may be NULL */
    bool guarded_stacks;    /* fiber stacks get a guard page (real); the simulator checks a canary instead */
    const char *name;       /* "node1"; for logs and thread names */
};

static inline uint64_t env_mono_ns(struct env *env)
{
    return env->ops->mono_ns(env);
}

static inline int64_t env_wall_us(struct env *env)
{
    return env->ops->wall_us(env);
}

static inline void env_entropy(struct env *env, void *out, size_t size)
{
    env->ops->entropy(env, out, size);
}

__attribute__((noreturn)) static inline void env_die(struct env *env, enum status status, const char *why)
{
    env->ops->die(env, status, why);
}

#endif
