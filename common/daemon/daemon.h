/*
 * daemon: the shell that the three daemons' main.c share. It reads the command line and configuration, raises the limit
 * of descriptors, opens the log and the data directory, starts one thread per reactor and the http server, and ends
 * everything on SIGTERM or SIGINT within 10 s. What the daemon does is in its library; the simulator runs that library
 * without this shell.
 *
 *   int main(int argc, char **argv) { return daemon_main(&program, argc, argv); }
 *
 * Exit status: 0 stopped or a help text was printed; 1 could not start, or had to be cut off while stopping; 2 wrong
 * command line or configuration. A death (env_die) aborts, or exits with 3 when its status is of class REFUSED: a
 * restart would meet the same; with 1 when there is no disk space.
 */
#ifndef TRILLIUM_COMMON_DAEMON_DAEMON_H
#define TRILLIUM_COMMON_DAEMON_DAEMON_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/config/config.h"
#include "common/daemon/env_real.h"
#include "common/runtime/host.h"

struct daemon;
struct env;
struct health;
struct metrics;
struct net;
struct reactor;

enum { DAEMON_STOP_MS_MAX = 9000, DAEMON_REACTORS_MAX = 64 };

struct daemon_program {
    const struct config_table *table;
    size_t settings_bytes;     /* of the daemon's own struct, whose first member is struct settings */
    uint16_t http_port;        /* on listen.address */
    const char *reactor_label; /* "shard", "worker": thread names are shard-0, ... */
    /* A start with less free space in the data directory is refused: what the daemon needs and cannot refuse by itself.
     */
    uint64_t space_bytes_min;
    /* NULL: one reactor; libuv; threads float. */
    unsigned (*reactors_count)(const void *settings);
    enum env_backend (*backend)(const void *settings);
    bool (*is_pinned)(const void *settings);
    /* Judges whose data directory it is before anything touches it, beyond cluster and format: an error ends the
       process with the sentence in why. NULL: nothing more to judge. */
    enum status (*judge)(const void *settings, const struct identity *identity, char why[ENV_WHY_BYTES]);
    /* The link door; the env's net from then on, with listeners as listen.backend says. NULL: none. */
    struct net *(*net_create)(struct env *env);
    /* Main thread; reactors exist and do not run yet. Makes the instance and starts its first fibers. An error ends the
       process with the sentence in why. */
    enum status (*create)(struct daemon *daemon, void **instance, char why[ENV_WHY_BYTES]);
    /* On reactor 0's thread, once. Says goodbye, drains, syncs, then calls daemon_stopped. */
    void (*stop)(struct daemon *daemon, void *instance);
    /* Main thread; reactors have ended. For what must be closed (a RocksDB); memory is left to the end of the process.
       May be NULL. */
    void (*destroy)(void *instance);
};

int daemon_main(const struct daemon_program *program, int argc, char **argv);

/* Any thread: what stop began is finished; the process exits. */
void daemon_stopped(struct daemon *daemon);

/* For create and stop, the rest too. What they give lives until the process ends. */

/* What the daemon's library wants to know of its host; stopped is daemon_stopped. */
struct host daemon_host(struct daemon *daemon);
const void *daemon_settings(const struct daemon *daemon);
struct env *daemon_env(const struct daemon *daemon);
struct reactor **daemon_reactors(struct daemon *daemon);
unsigned daemon_reactors_count(const struct daemon *daemon);
struct metrics *daemon_metrics(const struct daemon *daemon);
struct health *daemon_health(struct daemon *daemon);
/* As env_real_backend_why: why libuv was taken although the configuration says auto; "" otherwise. */
const char *daemon_backend_why(const struct daemon *daemon);

#endif
