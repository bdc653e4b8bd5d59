/*
 * daemons: the shipped daemon libraries as things that a simulated process can boot: settings, reactors, metrics,
 * health, create, stop, destroy. What a daemon makes lies in its process's memory scope and is gone with a kill; an
 * orderly end destroys it all and must leave nothing.
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_DAEMONS_H
#define TRILLIUM_TESTS_SIM_CLUSTER_DAEMONS_H

#include "common/runtime/host.h"
#include "tests/sim/process.h"

enum { DAEMON_OVERRIDES_MAX = 16, DAEMON_OVERRIDE_BYTES = 256 };

struct config_table;

/* One of controld, noded, routerd. */
struct daemon_kind {
    const char *name;
    const struct config_table *table;
    size_t settings_bytes;
    /* Called inside the process. create fills *out or dies by env_die through its why. private_state is the kind's own
       pointer, kept for destroy (controld's store). */
    enum status (*create)(const struct host *host, const void *settings, void **private_state, void **out, char *why);
    void (*stop)(void *instance);
    void (*destroy)(void *instance, void *private_state);
};
extern const struct daemon_kind KIND_CONTROLD, KIND_NODED, KIND_ROUTERD;

/* A daemon of the cluster, across its incarnations. */
struct daemon {
    const struct daemon_kind *kind;
    struct process *process;
    struct sim_disk *disk;
    uint32_t host;
    char name[24], address[24];
    unsigned reactors_count;
    char overrides[DAEMON_OVERRIDES_MAX][DAEMON_OVERRIDE_BYTES]; /* "section.key=value" */
    uint32_t overrides_count;
    struct daemon_body *body; /* inside the process */
    bool stopping, stopped;   /* an orderly stop is under way; it said so */
};

void daemon_override(struct daemon *daemon, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A fresh incarnation. */
void daemon_start(struct daemon *daemon);
/* Begins an orderly stop; daemon->stopped tells its end, daemon_finish takes it apart and checks that nothing is left.
 */
void daemon_stop(struct daemon *daemon);
void daemon_finish(struct daemon *daemon);
bool daemon_is_ready(struct daemon *daemon);
/* Timers that run on its reactors. */
uint32_t daemon_timers(const struct daemon *daemon);
/* The running instance, or NULL. */
void *daemon_instance(const struct daemon *daemon);

#endif
