#include "msgctl/health.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/cluster/space_level.h"
#include "msgctl/output.h"

enum { VIEW_BEHIND_MAX = 1 };

const char *health_severity_name(enum health_severity severity)
{
    static const char *const names[] = {"down", "degraded", "note"};
    return names[severity];
}

static void find(struct health_report *report, enum health_severity severity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void find(struct health_report *report, enum health_severity severity, const char *format, ...)
{
    if (report->count == HEALTH_FINDINGS_MAX) {
        report->dropped++;
        return;
    }
    /* Kept in order of severity; equal ones in the order in which they were found. */
    unsigned at = report->count++;
    for (; at > 0 && report->findings[at - 1].severity > severity; at--)
        report->findings[at] = report->findings[at - 1];
    report->findings[at].severity = severity;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(report->findings[at].text, HEALTH_TEXT_BYTES, format, arguments);
    va_end(arguments);
}

static void judge_controllers(const struct cluster *cluster, struct health_report *out)
{
    const Trillium__V1__ClusterInfoAnswer *info = cluster->info;
    if (!info) {
        find(out, HEALTH_DEGRADED,
            "no controller answers (%s): reads and writes go on, but nothing can be changed or learnt; start them",
            status_name(cluster->info_status));
        return;
    }
    unsigned up = 0;
    for (size_t i = 0; i < info->n_controllers; i++)
        up += info->controllers[i]->up;
    if (info->leader == 0)
        find(out, HEALTH_DEGRADED, "the controllers have no leader (%u of %zu are up): nothing can be changed", up,
            info->n_controllers);
    for (size_t i = 0; i < info->n_controllers; i++)
        if (!info->controllers[i]->up)
            find(out, HEALTH_DEGRADED, "controller %u (%s) is down", info->controllers[i]->id,
                info->controllers[i]->address);
    if (info->ranges_below_quorum > 0)
        find(out, HEALTH_DOWN, "%u of %u ranges have fewer replicas up than a quorum: their channels fail",
            info->ranges_below_quorum, info->ranges);
    if (info->ranges == 0) find(out, HEALTH_DOWN, "no ranges are placed yet: the cluster waits for its nodes");
}

static void judge_disk(const Trillium__V1__NodeStatusAnswer *node, struct health_report *out)
{
    enum space_level level = space_level_of(node->space_level);
    if (node->disk_total_bytes == 0 || level == SPACE_LEVEL_OPEN) return;
    char left[32];
    output_bytes(node->disk_free_bytes, left);
    if (space_level_allows(level, SPACE_USE_WRITE))
        find(out, HEALTH_DEGRADED,
            "node %u: its disk is %u %% full (%s free), so it %s; make room there before it refuses writes", node->node,
            node->space_used_percent, left, space_level_text(level));
    else
        find(out, HEALTH_DOWN,
            "node %u: its disk is %u %% full (%s free), so it %s; make room there, then it goes on by itself",
            node->node, node->space_used_percent, left, space_level_text(level));
}

static void judge_lapses(const Trillium__V1__NodeStatusAnswer *node, struct health_report *out)
{
    struct cluster_lapses lapses = cluster_lapses(node);
    if (lapses.count == 0) return;
    if (lapses.waiting == 0)
        find(out, HEALTH_DEGRADED, "node %u: %u of its replicas have lapsed and are being rebuilt (%u %%)", node->node,
            lapses.count, lapses.percent);
    else
        find(out, HEALTH_DEGRADED,
            "node %u: %u of its replicas have lapsed, and %u of these wait for controllers or for enough other "
            "replicas "
            "that are whole",
            node->node, lapses.count, lapses.waiting);
}

static void judge_clock(const Trillium__V1__RouterStatusAnswer *router, unsigned id, struct health_report *out)
{
    char behind[32];
    if (router->clock_behind_ms <= 0) return;
    output_time((uint64_t)router->clock_behind_ms, behind);
    if (router->gives_no_ids)
        find(out, HEALTH_DOWN,
            "router %u: its clock is %s behind the ids given before, so it gives none and sends fail; set its host's "
            "clock right, then it goes on by itself",
            id, behind);
    else
        find(out, HEALTH_DEGRADED,
            "router %u: its clock is %s behind the ids given before; they go on from there; check the time of its host",
            id, behind);
}

static void judge_daemon(const struct cluster *cluster, size_t i, struct health_report *out)
{
    const Trillium__V1__DaemonInfo *daemon = cluster->daemons[i];
    bool is_node = daemon->role == TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_NODE;
    const char *what = is_node ? "node" : "router";
    const struct admin_ask *ask = &cluster->asks[i];
    if (!ask->answer) {
        find(out, HEALTH_DEGRADED, "%s %u (%s) does not answer: %s%s", what, daemon->id, daemon->address,
            status_name(ask->status), cluster->info && daemon->up ? ", though controllers hear it" : "");
        return;
    }
    if (cluster->info && !daemon->up)
        find(out, HEALTH_DEGRADED, "%s %u (%s) answers, but the controllers do not hear it", what, daemon->id,
            daemon->address);
    const Trillium__V1__NodeStatusAnswer *node = cluster_node(cluster, i);
    const Trillium__V1__RouterStatusAnswer *router = cluster_router(cluster, i);
    const char *version = node ? node->version : router ? router->version : TRILLIUM_VERSION;
    if (strcmp(version, TRILLIUM_VERSION) != 0)
        find(out, HEALTH_NOTE, "%s %u runs version %s, msgctl is %s", what, daemon->id, version, TRILLIUM_VERSION);
    if (node) judge_disk(node, out);
    if (node) judge_lapses(node, out);
    if (router && router->nodes_suspected > 0)
        find(out, HEALTH_DEGRADED, "router %u suspects %u nodes", daemon->id, router->nodes_suspected);
    if (router) judge_clock(router, daemon->id, out);
    uint64_t view = node ? node->view_version : router->view_version;
    if (cluster->info && view + VIEW_BEHIND_MAX < cluster->info->view_version)
        find(out, HEALTH_NOTE, "%s %u knows view %llu, the newest is %llu", what, daemon->id, (unsigned long long)view,
            (unsigned long long)cluster->info->view_version);
}

void health_judge(const struct cluster *cluster, struct health_report *out)
{
    *out = (struct health_report){0};
    judge_controllers(cluster, out);
    unsigned routers = 0, routers_up = 0;
    for (size_t i = 0; i < cluster->count; i++) {
        judge_daemon(cluster, i, out);
        bool is_router = cluster->daemons[i]->role == TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_ROUTER;
        routers += is_router;
        routers_up += is_router && cluster->asks[i].answer;
    }
    if (routers > 0 && routers_up == 0) find(out, HEALTH_DOWN, "no router answers: clients cannot read or write");
    if (routers == 0) find(out, HEALTH_DOWN, "no router is known: clients cannot read or write");
}
