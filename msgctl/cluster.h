/*
 * cluster: what the daemons say of themselves, gathered for the commands that show it. One thread.
 */
#ifndef TRILLIUM_MSGCTL_CLUSTER_H
#define TRILLIUM_MSGCTL_CLUSTER_H

#include "msgctl/admin.h"
#include "proto/admin.pb-c.h"
#include "proto/control.pb-c.h"

enum { CLUSTER_DAEMONS_MAX = 2048 };

struct cluster {
    const Trillium__V1__ClusterInfoAnswer *info; /* NULL: no controller answered */
    enum status info_status;
    size_t count; /* of daemons that were asked */
    const Trillium__V1__DaemonInfo **daemons;
    struct admin_ask *asks; /* their NodeStatus or RouterStatus */
};

/* Asks the controllers, then every daemon that they name (or, when none answers, the routers of the settings). */
void cluster_gather(struct admin *admin, bool with_daemons, struct cluster *out);

static inline const Trillium__V1__NodeStatusAnswer *cluster_node(const struct cluster *cluster, size_t i)
{
    return cluster->daemons[i]->role == TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_NODE ? cluster->asks[i].answer : NULL;
}

static inline const Trillium__V1__RouterStatusAnswer *cluster_router(const struct cluster *cluster, size_t i)
{
    return cluster->daemons[i]->role == TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_ROUTER ? cluster->asks[i].answer : NULL;
}

/* True when text names the daemon: its number, with or without the word before it, or its address ("127.0.2.1"). */
bool cluster_is_named(const Trillium__V1__DaemonInfo *daemon, const char *text);

/* A node's replicas that lost something. */
struct cluster_lapses {
    unsigned count, waiting; /* waiting: not being rebuilt yet */
    unsigned percent;        /* of all that are lapsed, how much is rebuilt */
};
struct cluster_lapses cluster_lapses(const Trillium__V1__NodeStatusAnswer *node);

#endif
