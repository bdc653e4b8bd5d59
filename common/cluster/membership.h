/*
 * membership: how a node or router belongs to the cluster: it registers with controld after each start, and keeps a
 * view that follows the applied state. The last view is cached on disk (file "view"), so that the data path starts and
 * works while every controller is down.
 *
 * One fiber of one reactor. Callbacks come from that fiber and, but for outdated, must not wait.
 */
#ifndef TRILLIUM_COMMON_CLUSTER_MEMBERSHIP_H
#define TRILLIUM_COMMON_CLUSTER_MEMBERSHIP_H

#include "common/base/uuid.h"
#include "common/cluster/controllers.h"
#include "common/cluster/shared_view.h"

struct membership;

struct membership_options {
    struct controllers *controllers;
    struct reactor *reactor;
    struct uuid cluster;
    bool is_router;
    struct uuid uuid;
    uint64_t boot;
    const char *address; /* host:base port; copied */
    const char *zone;    /* copied; may be "" */
    uint16_t shards;     /* shards of a node, workers of a router */
    /* A newer view (also the cached one, first); the callee holds it if it keeps it. */
    void (*changed)(void *context, struct shared_view *view);
    /* This daemon's number is known: from the cached view or from controld. May come again with the same number. */
    void (*registered)(void *context, uint32_t id);
    /* A node's; NULL: it never takes a place. It is registered as another data directory, or as a later state of its
       own. The callee, which may wait here, marks all that it has as lapsed, durably, and returns the boot counter
       under which it takes that place; 0: it cannot now. */
    uint64_t (*outdated)(void *context, const struct uuid *uuid, uint64_t boot);
    void *context;
};

struct membership *membership_start(const struct membership_options *options);
/* (fiber) Hangs up the controllers, ends the fiber and frees. */
void membership_stop(struct membership *membership);
/* The newest view, or NULL; not held for the caller. */
struct shared_view *membership_view(const struct membership *membership);
bool membership_is_registered(const struct membership *membership);

#endif
