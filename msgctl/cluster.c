#include "msgctl/cluster.h"

#include <stdio.h>
#include <string.h>

#include "common/rpc/methods.h"

static const Trillium__V1__NodeStatusCall node_status_call = TRILLIUM__V1__NODE_STATUS_CALL__INIT;
static const Trillium__V1__RouterStatusCall router_status_call = TRILLIUM__V1__ROUTER_STATUS_CALL__INIT;
static const Trillium__V1__ClusterInfoCall info_call = TRILLIUM__V1__CLUSTER_INFO_CALL__INIT;

enum { STATUS_BUDGET_MS = 1500 };

/* The routers of the settings stand for those that nobody names. */
static void name_routers(struct admin *admin, const struct config_list *routers, struct cluster *out)
{
    Trillium__V1__DaemonInfo *infos = arena_zalloc(admin_arena(admin), (routers->count + 1) * sizeof *infos);
    for (size_t i = 0; i < routers->count; i++) {
        trillium__v1__daemon_info__init(&infos[i]);
        infos[i].role = TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_ROUTER;
        infos[i].address = routers->items[i];
        out->daemons[out->count++] = &infos[i];
    }
}

static void ask_daemons(struct admin *admin, struct cluster *out)
{
    out->asks = arena_zalloc(admin_arena(admin), (out->count + 1) * sizeof *out->asks);
    for (size_t i = 0; i < out->count; i++) {
        bool is_node = out->daemons[i]->role == TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_NODE;
        out->asks[i] = (struct admin_ask){.target = is_node ? ADMIN_NODE : ADMIN_ROUTER,
            .address = out->daemons[i]->address,
            .method = is_node ? METHOD_ADMIN_NODE_STATUS : METHOD_ADMIN_ROUTER_STATUS,
            .call = is_node ? &node_status_call.base : &router_status_call.base,
            .answer_type = is_node ? &trillium__v1__node_status_answer__descriptor
                                   : &trillium__v1__router_status_answer__descriptor,
            .budget_ms = STATUS_BUDGET_MS};
    }
    admin_ask(admin, out->asks, (unsigned)out->count);
}

/* A newer controller may name daemons of other kinds. */
static bool is_known(const Trillium__V1__DaemonInfo *daemon)
{
    return daemon->role == TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_NODE ||
           daemon->role == TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_ROUTER;
}

void cluster_gather(struct admin *admin, bool with_daemons, struct cluster *out)
{
    struct admin_ask ask = {.target = ADMIN_CONTROLLERS,
        .method = METHOD_CONTROL_INFO,
        .call = &info_call.base,
        .answer_type = &trillium__v1__cluster_info_answer__descriptor,
        .budget_ms = STATUS_BUDGET_MS};
    admin_ask(admin, &ask, 1);
    *out = (struct cluster){.info = ask.answer, .info_status = ask.status};
    const struct config_list *routers = admin_routers(admin);
    size_t max = (out->info ? out->info->n_daemons : 0) + routers->count;
    out->daemons = arena_zalloc(admin_arena(admin), (max + 1) * sizeof *out->daemons);
    for (size_t i = 0; out->info && i < out->info->n_daemons && out->count < CLUSTER_DAEMONS_MAX; i++)
        if (is_known(out->info->daemons[i])) out->daemons[out->count++] = out->info->daemons[i];
    if (!out->info) name_routers(admin, routers, out);
    if (with_daemons) ask_daemons(admin, out);
}

bool cluster_is_named(const Trillium__V1__DaemonInfo *daemon, const char *text)
{
    bool is_node = daemon->role == TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_NODE;
    const char *word = is_node ? "node" : "router";
    char id[16];
    snprintf(id, sizeof id, "%u", daemon->id);
    size_t size = strlen(text), skip = strncmp(text, word, strlen(word)) == 0 ? strlen(word) : 0;
    if (strcmp(text + skip, id) == 0 || strcmp(text, daemon->address) == 0) return true;
    return strncmp(daemon->address, text, size) == 0 && daemon->address[size] == ':';
}

struct cluster_lapses cluster_lapses(const Trillium__V1__NodeStatusAnswer *node)
{
    struct cluster_lapses lapses = {0};
    for (size_t i = 0; i < node->n_shards; i++)
        for (size_t k = 0; k < node->shards[i]->n_lapsed; k++) {
            const Trillium__V1__LapsedReplica *lapsed = node->shards[i]->lapsed[k];
            lapses.count++;
            lapses.waiting += !lapsed->rebuilding;
            lapses.percent += lapsed->rebuilt_percent;
        }
    if (lapses.count) lapses.percent /= lapses.count;
    return lapses;
}
