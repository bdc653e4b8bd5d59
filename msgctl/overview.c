/* The commands that show a cluster: status, cluster info, node list, node info, ring owners. */
#include <stdio.h>
#include <string.h>

#include "common/cluster/space_level.h"
#include "common/base/mem.h"
#include "common/cluster/router_ring.h"
#include "common/model/key.h"
#include "common/rpc/methods.h"
#include "msgctl/cluster.h"
#include "msgctl/commands.h"
#include "msgctl/health.h"
#include "msgctl/operate.h"
#include "msgctl/output.h"

static const char *uuid_of(ProtobufCBinaryData bytes, char out[UUID_TEXT_BYTES])
{
    struct uuid uuid = {{0}};
    if (bytes.len == sizeof uuid.bytes) memcpy(uuid.bytes, bytes.data, sizeof uuid.bytes);
    uuid_text(&uuid, out);
    return out;
}

static bool is_node(const Trillium__V1__DaemonInfo *daemon)
{
    return daemon->role == TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_NODE;
}

/* ---- status ---- */

static const struct cli_option status_options[] = {
    {"--check", NULL, "exit with 1 when something is wrong"},
    CLI_OPTIONS_END,
};

static void count_up(const struct cluster *cluster, bool nodes, unsigned *up, unsigned *all)
{
    *up = *all = 0;
    for (size_t i = 0; i < cluster->count; i++) {
        if (is_node(cluster->daemons[i]) != nodes) continue;
        (*all)++;
        *up += cluster->asks[i].answer != NULL;
    }
}

static void controllers_up_count(const struct cluster *cluster, unsigned *up, unsigned *all)
{
    *up = *all = 0;
    for (size_t i = 0; cluster->info && i < cluster->info->n_controllers; i++) {
        (*all)++;
        *up += cluster->info->controllers[i]->up;
    }
}

static void status_json(const struct cluster *cluster, const struct health_report *report)
{
    unsigned up, all;
    json_t *findings = json_array();
    for (unsigned i = 0; i < report->count; i++)
        json_array_append_new(
            findings, json_pack("{s:s, s:s}", "severity", health_severity_name(report->findings[i].severity), "text",
                          report->findings[i].text));
    json_t *json = json_pack("{s:b, s:o}", "ok", report->count == 0, "findings", findings);
    controllers_up_count(cluster, &up, &all);
    json_object_set_new(json, "controllers", json_pack("{s:i, s:i}", "up", (int)up, "all", (int)all));
    count_up(cluster, true, &up, &all);
    json_object_set_new(json, "nodes", json_pack("{s:i, s:i}", "up", (int)up, "all", (int)all));
    count_up(cluster, false, &up, &all);
    json_object_set_new(json, "routers", json_pack("{s:i, s:i}", "up", (int)up, "all", (int)all));
    if (cluster->info) {
        json_object_set_new(json, "ranges", json_integer(cluster->info->ranges));
        json_object_set_new(json, "ranges_below_quorum", json_integer(cluster->info->ranges_below_quorum));
        json_object_set_new(json, "imports", json_integer(cluster->info->imports));
        json_object_set_new(json, "leader", json_integer(cluster->info->leader));
    }
    output_json(json);
}

static void status_text_out(const struct cluster *cluster, const struct health_report *report)
{
    unsigned up, all;
    struct buffer line = {0};
    for (unsigned i = 0; i < report->count; i++) {
        buffer_clear(&line);
        output_escape(&line, bytes_text(report->findings[i].text));
        printf(
            "%-9s %.*s\n", health_severity_name(report->findings[i].severity), (int)line.size, (const char *)line.data);
    }
    buffer_free(&line);
    if (report->dropped) printf("%u further findings\n", report->dropped);
    if (report->count == 0) puts("all is well");
    controllers_up_count(cluster, &up, &all);
    if (cluster->info) {
        printf("controllers %u of %u up", up, all);
        if (cluster->info->leader) printf(", %u leads", cluster->info->leader);
        fputs("; ", stdout);
    }
    count_up(cluster, true, &up, &all);
    if (cluster->info) printf("nodes %u of %u up; ", up, all);
    count_up(cluster, false, &up, &all);
    printf("routers %u of %u up\n", up, all);
    if (cluster->info)
        printf("%u ranges, replication %u; %u imports under way\n", cluster->info->ranges, cluster->info->replication,
            cluster->info->imports);
}

static enum exit_code run_status(struct cli *cli)
{
    struct admin *admin = admin_open(cli);
    if (!admin) return EXIT_USAGE;
    struct cluster cluster;
    struct health_report *report = mem_alloc(sizeof *report);
    cluster_gather(admin, true, &cluster);
    health_judge(&cluster, report);
    unsigned up = cluster.info != NULL;
    for (size_t i = 0; i < cluster.count; i++)
        up += cluster.asks[i].answer != NULL;
    if (cli->is_json)
        status_json(&cluster, report);
    else
        status_text_out(&cluster, report);
    enum exit_code code = up == 0                                        ? EXIT_UNREACHABLE
                          : report->count > 0 && cli_has(cli, "--check") ? EXIT_FAILED
                                                                         : EXIT_DONE;
    mem_free(report);
    admin_close(admin);
    return code;
}

/* ---- cluster info ---- */

static void info_json(const Trillium__V1__ClusterInfoAnswer *info)
{
    char uuid[UUID_TEXT_BYTES];
    json_t *controllers = json_array(), *daemons = json_array();
    for (size_t i = 0; i < info->n_controllers; i++) {
        const Trillium__V1__ControllerInfo *one = info->controllers[i];
        json_array_append_new(
            controllers, json_pack("{s:i, s:s, s:b, s:b, s:I}", "id", (int)one->id, "address", one->address, "leader",
                             one->leader, "up", one->up, "match", (json_int_t)one->match));
    }
    for (size_t i = 0; i < info->n_daemons; i++) {
        const Trillium__V1__DaemonInfo *one = info->daemons[i];
        json_array_append_new(daemons,
            json_pack("{s:s, s:i, s:s, s:s, s:s, s:i, s:I, s:b, s:s, s:i}", "role", is_node(one) ? "node" : "router",
                "id", (int)one->id, "uuid", uuid_of(one->uuid, uuid), "address", one->address, "zone", one->zone,
                is_node(one) ? "shards" : "workers", (int)one->shards, "boot", (json_int_t)one->boot, "up", one->up,
                "version", one->version, "ranges", (int)one->ranges));
    }
    json_t *json = json_pack("{s:s, s:s, s:I, s:I, s:I, s:i, s:i, s:i, s:i, s:i}", "uuid",
        uuid_of(info->cluster_uuid, uuid), "name", info->cluster_name, "view_version", (json_int_t)info->view_version,
        "term", (json_int_t)info->term, "applied", (json_int_t)info->applied, "leader", (int)info->leader, "ranges",
        (int)info->ranges, "ranges_below_quorum", (int)info->ranges_below_quorum, "replication", (int)info->replication,
        "imports", (int)info->imports);
    json_object_set_new(json, "controllers", controllers);
    json_object_set_new(json, "daemons", daemons);
    output_json(json);
}

static void daemons_table(const Trillium__V1__ClusterInfoAnswer *info)
{
    struct output_table table = {.columns = 8};
    output_cells(&table, "DAEMON", "STATE", "ADDRESS", "ZONE", "SHARDS", "RANGES", "STARTS", "VERSION", NULL);
    for (size_t i = 0; i < info->n_controllers; i++) {
        const Trillium__V1__ControllerInfo *one = info->controllers[i];
        output_cell(&table, "controller %u", one->id);
        output_cells(&table, one->leader ? "leads" : one->up ? "up" : "down", one->address, "", "", "", "", "", NULL);
    }
    for (size_t i = 0; i < info->n_daemons; i++) {
        const Trillium__V1__DaemonInfo *one = info->daemons[i];
        output_cell(&table, "%s %u", is_node(one) ? "node" : "router", one->id);
        output_cells(&table, one->up ? "up" : "down", one->address, one->zone, NULL);
        output_cell(&table, "%u", one->shards);
        if (is_node(one))
            output_cell(&table, "%u", one->ranges);
        else
            output_cells(&table, "", NULL);
        output_cell(&table, "%llu", (unsigned long long)one->boot);
        output_cell(&table, "%s", one->version);
    }
    output_table(&table, stdout);
}

static enum exit_code run_info(struct cli *cli)
{
    static const Trillium__V1__ClusterInfoCall call = TRILLIUM__V1__CLUSTER_INFO_CALL__INIT;
    struct admin *admin = admin_open(cli);
    if (!admin) return EXIT_USAGE;
    struct admin_ask ask = {.target = ADMIN_CONTROLLERS,
        .method = METHOD_CONTROL_INFO,
        .call = &call.base,
        .answer_type = &trillium__v1__cluster_info_answer__descriptor};
    enum exit_code code = admin_control(admin, &ask);
    const Trillium__V1__ClusterInfoAnswer *info = ask.answer;
    if (code == EXIT_DONE && cli->is_json) {
        info_json(info);
    } else if (code == EXIT_DONE) {
        char uuid[UUID_TEXT_BYTES];
        struct buffer name = {0};
        output_escape(&name, bytes_text(info->cluster_name));
        printf("cluster %.*s (%s)\nview %llu, term %llu, applied %llu\n%u ranges, replication %u, %u below quorum, "
               "%u imports\n\n",
            (int)name.size, (const char *)name.data, uuid_of(info->cluster_uuid, uuid),
            (unsigned long long)info->view_version, (unsigned long long)info->term, (unsigned long long)info->applied,
            info->ranges, info->replication, info->ranges_below_quorum, info->imports);
        buffer_free(&name);
        daemons_table(info);
    }
    admin_close(admin);
    return code;
}

/* ---- nodes ---- */

struct totals {
    uint64_t ranges, memtable, files, file_bytes, writes, reads;
};

static struct totals totals_of(const Trillium__V1__NodeStatusAnswer *node)
{
    struct totals totals = {0};
    for (size_t i = 0; i < node->n_shards; i++) {
        const Trillium__V1__ShardStatus *shard = node->shards[i];
        totals.ranges += shard->ranges;
        totals.memtable += shard->memtable_bytes;
        totals.files += shard->files;
        totals.file_bytes += shard->file_bytes;
        totals.writes += shard->writes;
        totals.reads += shard->reads;
    }
    return totals;
}

static json_t *node_json(const Trillium__V1__DaemonInfo *daemon, const Trillium__V1__NodeStatusAnswer *node)
{
    char uuid[UUID_TEXT_BYTES];
    json_t *json = json_pack("{s:i, s:s, s:s, s:s, s:b, s:b, s:i}", "id", (int)daemon->id, "uuid",
        uuid_of(daemon->uuid, uuid), "address", daemon->address, "zone", daemon->zone, "up", daemon->up, "answers",
        node != NULL, "ranges", (int)daemon->ranges);
    if (!node) return json;
    json_t *shards = json_array();
    for (size_t i = 0; i < node->n_shards; i++) {
        const Trillium__V1__ShardStatus *shard = node->shards[i];
        json_array_append_new(shards,
            json_pack("{s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I}", "shard", (int)shard->shard, "ranges",
                (int)shard->ranges, "memtable_bytes", (json_int_t)shard->memtable_bytes, "cache_bytes",
                (json_int_t)shard->cache_bytes, "files", (json_int_t)shard->files, "file_bytes",
                (json_int_t)shard->file_bytes, "log_segments", (json_int_t)shard->log_segments, "log_synced",
                output_id(shard->log_synced), "writes", (json_int_t)shard->writes, "reads", (json_int_t)shard->reads));
    }
    json_object_set_new(json, "version", json_string(node->version));
    json_object_set_new(json, "backend", json_string(node->backend));
    json_object_set_new(json, "boot", json_integer((json_int_t)node->boot));
    json_object_set_new(json, "uptime_ms", json_integer((json_int_t)node->uptime_ms));
    json_object_set_new(json, "view_version", json_integer((json_int_t)node->view_version));
    json_object_set_new(json, "disk_free_bytes", json_integer((json_int_t)node->disk_free_bytes));
    json_object_set_new(json, "disk_total_bytes", json_integer((json_int_t)node->disk_total_bytes));
    struct cluster_lapses lapses = cluster_lapses(node);
    json_object_set_new(json, "ranges_lapsed", json_integer(lapses.count));
    json_object_set_new(json, "rebuilt_percent", json_integer(lapses.percent));
    json_object_set_new(json, "disk_used_percent", json_integer((json_int_t)node->space_used_percent));
    json_object_set_new(json, "disk_reserve_bytes", json_integer((json_int_t)node->disk_reserve_bytes));
    json_object_set_new(json, "disk_level", json_string(space_level_name(space_level_of(node->space_level))));
    json_object_set_new(json, "shards", shards);
    return json;
}

/* A full disk comes first. */
static const char *node_state(const Trillium__V1__NodeStatusAnswer *node)
{
    static const char *const states[SPACE_LEVELS] = {
        "up", "up: takes no new ranges", "up: takes no imports", "FULL: no writes", "FULL: only deletes"};
    return states[space_level_of(node->space_level)];
}

static void node_row(
    struct output_table *table, const Trillium__V1__DaemonInfo *daemon, const Trillium__V1__NodeStatusAnswer *node)
{
    char text[32];
    struct cluster_lapses lapses = node ? cluster_lapses(node) : (struct cluster_lapses){0};
    output_cell(table, "%u", daemon->id);
    bool is_full = node && !space_level_allows(space_level_of(node->space_level), SPACE_USE_WRITE);
    if (lapses.count == 0 || is_full)
        output_cells(table, node ? node_state(node) : daemon->up ? "silent" : "down", NULL);
    else if (lapses.count == lapses.waiting)
        output_cell(table, "lapsed (%u)", lapses.count);
    else
        output_cell(table, "lapsed (%u), rebuilding %u %%", lapses.count, lapses.percent);
    output_cells(table, daemon->address, daemon->zone, NULL);
    output_cell(table, "%u", daemon->shards);
    output_cell(table, "%u", daemon->ranges);
    if (!node) {
        output_cells(table, "", "", "", "", NULL);
        return;
    }
    struct totals totals = totals_of(node);
    output_cells(table, output_bytes(totals.file_bytes, text), NULL);
    output_cells(table, output_bytes(totals.memtable, text), NULL);
    output_cells(table, output_bytes(node->disk_free_bytes, text), NULL);
    output_cells(table, output_time(node->uptime_ms, text), NULL);
}

static enum exit_code need_info(const struct cli *cli, const struct cluster *cluster)
{
    if (cluster->info) return EXIT_DONE;
    cli_say(cli, "no controller answers: %s", status_name(cluster->info_status));
    return EXIT_UNREACHABLE;
}

static enum exit_code run_node_list(struct cli *cli)
{
    struct admin *admin = admin_open(cli);
    if (!admin) return EXIT_USAGE;
    struct cluster cluster;
    cluster_gather(admin, true, &cluster);
    enum exit_code code = need_info(cli, &cluster);
    struct output_table table = {.columns = 10};
    json_t *list = json_array();
    output_cells(&table, "NODE", "STATE", "ADDRESS", "ZONE", "SHARDS", "RANGES", "FILES", "MEMTABLES", "DISK FREE",
        "UP SINCE", NULL);
    for (size_t i = 0; code == EXIT_DONE && i < cluster.count; i++) {
        if (!is_node(cluster.daemons[i])) continue;
        node_row(&table, cluster.daemons[i], cluster_node(&cluster, i));
        json_array_append_new(list, node_json(cluster.daemons[i], cluster_node(&cluster, i)));
    }
    if (code == EXIT_DONE && cli->is_json)
        output_json(json_pack("{s:O}", "nodes", list));
    else if (code == EXIT_DONE)
        output_table(&table, stdout);
    buffer_free(&table.text);
    json_decref(list);
    admin_close(admin);
    return code;
}

static void print_node(const Trillium__V1__DaemonInfo *daemon, const Trillium__V1__NodeStatusAnswer *node)
{
    char text[32], other[32], uuid[UUID_TEXT_BYTES];
    printf("node %u at %s, zone %s\nuuid %s, started %llu times\n", daemon->id, daemon->address, daemon->zone,
        uuid_of(daemon->uuid, uuid), (unsigned long long)daemon->boot);
    if (!node) return;
    printf("version %s on %s, up for %s, view %llu\n", node->version, node->backend, output_time(node->uptime_ms, text),
        (unsigned long long)node->view_version);
    printf("disk: %s free of %s, ", output_bytes(node->disk_free_bytes, text),
        output_bytes(node->disk_total_bytes, other));
    printf("%u %% used beyond its reserve of %s; it %s\n\n", node->space_used_percent,
        output_bytes(node->disk_reserve_bytes, text), space_level_text(space_level_of(node->space_level)));
    struct output_table table = {.columns = 9};
    output_cells(
        &table, "SHARD", "RANGES", "FILES", "IN FILES", "MEMTABLES", "CACHE", "LOG SEGMENTS", "WRITES", "READS", NULL);
    for (size_t i = 0; i < node->n_shards; i++) {
        const Trillium__V1__ShardStatus *shard = node->shards[i];
        output_cell(&table, "%u", shard->shard);
        output_cell(&table, "%u", shard->ranges);
        output_cell(&table, "%llu", (unsigned long long)shard->files);
        output_cells(&table, output_bytes(shard->file_bytes, text), NULL);
        output_cells(&table, output_bytes(shard->memtable_bytes, text), NULL);
        output_cells(&table, output_bytes(shard->cache_bytes, text), NULL);
        output_cell(&table, "%llu", (unsigned long long)shard->log_segments);
        output_cells(&table, output_count(shard->writes, text), NULL);
        output_cells(&table, output_count(shard->reads, text), NULL);
    }
    output_table(&table, stdout);
}

static enum exit_code run_node_info(struct cli *cli)
{
    const char *text = cli->arguments[0];
    struct admin *admin = admin_open(cli);
    if (!admin) return EXIT_USAGE;
    struct cluster cluster;
    cluster_gather(admin, true, &cluster);
    enum exit_code code = need_info(cli, &cluster);
    size_t i = 0;
    while (i < cluster.count && !(is_node(cluster.daemons[i]) && cluster_is_named(cluster.daemons[i], text)))
        i++;
    if (code == EXIT_DONE && i == cluster.count) {
        cli_say(cli, "there is no node %s; msgctl node list names them", text);
        code = EXIT_FAILED;
    }
    if (code == EXIT_DONE && cli->is_json) output_json(node_json(cluster.daemons[i], cluster_node(&cluster, i)));
    if (code == EXIT_DONE && !cli->is_json) print_node(cluster.daemons[i], cluster_node(&cluster, i));
    if (code == EXIT_DONE && !cluster.asks[i].answer) {
        cli_say(cli, "it does not answer: %s", status_name(cluster.asks[i].status));
        code = EXIT_UNREACHABLE;
    }
    admin_close(admin);
    return code;
}

/* ---- ring owners ---- */

static void owners_json(uint64_t channel, const struct view *view, const struct view_range *range)
{
    int64_t token = key_channel_token(channel);
    uint16_t worker = 0;
    const struct view_router *router = router_ring_owner(view, token, &worker);
    json_t *replicas = json_array();
    for (unsigned i = 0; i < range->replicas_count; i++) {
        const struct view_node *node = view_node_by_id(view, range->replicas[i]);
        json_array_append_new(replicas, json_pack("{s:i, s:s, s:s, s:i}", "node", (int)range->replicas[i].value,
                                            "address", node ? node->address : "", "zone", node ? node->zone : "",
                                            "shard", node ? (int)view_shard_of(range->id, node->shards) : 0));
    }
    char range_text[24], token_text[24];
    snprintf(range_text, sizeof range_text, "%016llx", (unsigned long long)range->id.value);
    snprintf(token_text, sizeof token_text, "%lld", (long long)token);
    output_json(
        json_pack("{s:o, s:s, s:s, s:I, s:i, s:s, s:i, s:o}", "channel_id", output_id(channel), "token", token_text,
            "range", range_text, "epoch", (json_int_t)range->epoch, "router", router ? (int)router->id.value : 0,
            "router_address", router ? router->address : "", "worker", (int)worker, "replicas", replicas));
}

static void owners_table(uint64_t channel, const struct view *view, const struct view_range *range)
{
    int64_t token = key_channel_token(channel);
    uint16_t worker = 0;
    const struct view_router *router = router_ring_owner(view, token, &worker);
    printf("channel %llu: token %lld, range %016llx (epoch %llu)\n", (unsigned long long)channel, (long long)token,
        (unsigned long long)range->id.value, (unsigned long long)range->epoch);
    if (router) printf("router %u, worker %u (%s)\n", router->id.value, worker, router->address);
    struct output_table table = {.columns = 4};
    output_cells(&table, "NODE", "SHARD", "ADDRESS", "ZONE", NULL);
    for (unsigned i = 0; i < range->replicas_count; i++) {
        const struct view_node *node = view_node_by_id(view, range->replicas[i]);
        output_cell(&table, "%u", range->replicas[i].value);
        output_cell(&table, node ? "%u" : "?", node ? view_shard_of(range->id, node->shards) : 0u);
        output_cells(&table, node ? node->address : "?", node ? node->zone : "?", NULL);
    }
    output_table(&table, stdout);
}

static enum exit_code run_owners(struct cli *cli)
{
    uint64_t channel;
    if (!cli_u64(cli, "CHANNEL", cli->arguments[0], &channel)) return EXIT_USAGE;
    struct admin *admin = admin_open(cli);
    if (!admin) return EXIT_USAGE;
    struct view view;
    enum status status = admin_view(admin, &view);
    enum exit_code code = cli_exit_of((int)status);
    const struct view_range *range = NULL;
    if (code != EXIT_DONE)
        cli_say(cli, "the controllers' view cannot be had: %s: %s", status_name(status), status_text(status));
    else
        range = view_range_of(&view, (struct table_id){CHAT_MESSAGES_ID}, key_channel_token(channel));
    if (code == EXIT_DONE && !range) {
        cli_say(cli, "no ranges are placed yet: the cluster waits for its nodes");
        code = EXIT_FAILED;
    }
    if (range && cli->is_json) owners_json(channel, &view, range);
    if (range && !cli->is_json) owners_table(channel, &view, range);
    admin_close(admin);
    return code;
}

const struct command cluster_commands[] = {
    {.name = "status",
        .arguments = "",
        .summary = "Says what is wrong first, then who is up",
        .help = "Asks controllers, nodes and routers. Without controllers it tells what the routers say.",
        .options = status_options,
        .run = run_status},
    {.name = "cluster info",
        .arguments = "",
        .summary = "Shows the cluster as its controllers see it",
        .run = run_info},
    {.name = "node list", .arguments = "", .summary = "Lists the nodes and what they hold", .run = run_node_list},
    {.name = "node info",
        .arguments = "NODE",
        .summary = "Shows one node, shard by shard",
        .help = "NODE is its number, which controllers gave it, or its address.",
        .arguments_min = 1,
        .arguments_max = 1,
        .run = run_node_info},
    {.name = "ring owners",
        .arguments = "CHANNEL",
        .summary = "Says which range, router and nodes own a channel",
        .arguments_min = 1,
        .arguments_max = 1,
        .run = run_owners},
    {.name = "flush",
        .arguments = "[NODE...]",
        .summary = "Has nodes write their memtables to files",
        .arguments_max = CLI_ARGUMENTS_MAX,
        .options = operate_options,
        .run = operate_flush},
    {.name = "compact run",
        .arguments = "[NODE...]",
        .summary = "Has nodes merge the files of every range into one run",
        .help = "Waits until it is done; --deadline bounds the waiting, not the work.",
        .arguments_max = CLI_ARGUMENTS_MAX,
        .options = operate_options,
        .run = operate_compact},
    {.name = "compact status",
        .arguments = "",
        .summary = "Shows files and bytes by node and shard",
        .run = operate_compact_status},
    COMMANDS_END,
};
