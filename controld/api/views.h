/*
 * views: what nodes and routers are told of the applied state. A new version is encoded at most ten times a second, the
 * last two are kept for those who fetch them in chunks, and calls that wait for a newer version are parked.
 *
 * A version is the index of the last entry that it shows, so versions of one number are equal on every controller. A
 * call parks until there is a version *above* the one it has: a controller that lags gives nobody an older view.
 * Threads: the reactor's.
 */
#ifndef TRILLIUM_CONTROLD_API_VIEWS_H
#define TRILLIUM_CONTROLD_API_VIEWS_H

#include "common/rpc/rpc.h"
#include "controld/catalog/catalog.h"

enum { VIEW_CHUNK_BYTES = 256 << 10, VIEW_PARK_MS = 20000, VIEW_PERIOD_MS = 100, VIEWS_PARKED_MAX = 8192 };

struct view_edition {
    uint64_t version; /* 0: none */
    struct buffer bytes;
};

struct views {
    struct reactor *reactor;
    const struct catalog *catalog;
    const struct view_controller *controllers;
    unsigned controllers_count;
    struct view_edition current, previous;
    struct timer timer;
    uint64_t published_ns;
    struct list parked; /* struct parked */
    unsigned parked_count;
    bool stale; /* no leader is known: what stands here may be old */
    bool closed;
};

void views_init(struct views *views, struct reactor *reactor, const struct catalog *catalog,
    const struct view_controller *controllers, unsigned controllers_count);
/* Answers everybody who waits, and parks nobody any more. */
void views_close(struct views *views);
void views_fini(struct views *views);

/* While stale nobody is parked, so that callers turn to a controller that is not cut off; newer versions than theirs
   are still answered. */
void views_set_stale(struct views *views, bool stale);
/* The catalog may show something new. */
void views_changed(struct views *views);
/* CONTROL_VIEW. */
void views_handle(void *views, struct rpc_request *request);

#endif
