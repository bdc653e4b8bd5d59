#include "msgctl/operate.h"

#include <stdio.h>
#include <string.h>

#include "common/base/limits.h"
#include "common/rpc/methods.h"
#include "msgctl/cluster.h"
#include "msgctl/output.h"

const struct cli_option operate_options[] = {
    {"--plan", NULL, "say what would be done, and do nothing"},
    {"--wait", NULL, "wait until it is done (it always does)"},
    CLI_OPTIONS_END,
};

static bool is_node(const Trillium__V1__DaemonInfo *daemon)
{
    return daemon->role == TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_NODE;
}

/* True when the arguments name the node, or none at all. */
static bool is_chosen(const struct cli *cli, const Trillium__V1__DaemonInfo *daemon)
{
    for (unsigned i = 0; i < cli->arguments_count; i++)
        if (cluster_is_named(daemon, cli->arguments[i])) return true;
    return cli->arguments_count == 0;
}

struct work {
    const char *doing; /* "flush" */
    uint16_t method;
    const ProtobufCMessage *call;
    const ProtobufCMessageDescriptor *answer_type;
    void (*print)(const void *answer, char *out, size_t size);
};

/* One question to each shard of the chosen nodes. */
static unsigned make_asks(const struct cli *cli, struct admin *admin, const struct cluster *cluster,
    const struct work *work, struct admin_ask **out)
{
    unsigned count = 0;
    *out = arena_zalloc(admin_arena(admin), (cluster->count + 1) * SHARDS_MAX * sizeof **out);
    for (size_t i = 0; i < cluster->count; i++) {
        if (!is_node(cluster->daemons[i]) || !is_chosen(cli, cluster->daemons[i])) continue;
        for (unsigned shard = 0; shard < cluster->daemons[i]->shards && shard < SHARDS_MAX; shard++)
            (*out)[count++] = (struct admin_ask){.target = ADMIN_NODE,
                .address = cluster->daemons[i]->address,
                .shard = shard,
                .method = work->method,
                .call = work->call,
                .answer_type = work->answer_type,
                .budget_ms = CALL_BUDGET_MS_MAX};
    }
    return count;
}

static enum exit_code print_asks(
    const struct cli *cli, const struct work *work, const struct admin_ask *asks, unsigned count)
{
    enum exit_code code = EXIT_DONE;
    struct output_table table = {.columns = 3};
    json_t *list = json_array();
    output_cells(&table, "NODE AT", "SHARD", "RESULT", NULL);
    for (unsigned i = 0; i < count; i++) {
        char text[160];
        snprintf(text, sizeof text, "%s: %s", status_name(asks[i].status), status_text(asks[i].status));
        if (asks[i].answer)
            work->print(asks[i].answer, text, sizeof text);
        else if (code == EXIT_DONE)
            code = cli_exit_of((int)asks[i].status);
        output_cells(&table, asks[i].address, NULL);
        output_cell(&table, "%u", asks[i].shard);
        output_cells(&table, text, NULL);
        json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:s}", "address", asks[i].address, "shard",
                                        (int)asks[i].shard, "status", status_name(asks[i].status), "result", text));
    }
    if (cli->is_json)
        output_json(json_pack("{s:O}", work->doing, list));
    else
        output_table(&table, stdout);
    buffer_free(&table.text);
    json_decref(list);
    return code;
}

static enum exit_code run(struct cli *cli, const struct work *work)
{
    struct admin *admin = admin_open(cli);
    if (!admin) return EXIT_USAGE;
    struct cluster cluster;
    struct admin_ask *asks;
    enum exit_code code = EXIT_DONE;
    cluster_gather(admin, false, &cluster);
    unsigned count = make_asks(cli, admin, &cluster, work, &asks);
    if (!cluster.info) {
        cli_say(cli, "no controller answers: %s", status_name(cluster.info_status));
        code = EXIT_UNREACHABLE;
    } else if (count == 0) {
        cli_say(cli, "there is no such node; msgctl node list names them");
        code = EXIT_FAILED;
    } else if (cli_has(cli, "--plan")) {
        printf("would %s %u shards\n", work->doing, count);
    } else {
        admin_ask(admin, asks, count);
        code = print_asks(cli, work, asks, count);
    }
    admin_close(admin);
    return code;
}

static void print_flush(const void *answer, char *out, size_t size)
{
    snprintf(out, size, "done, %u files", ((const Trillium__V1__FlushAnswer *)answer)->files);
}

enum exit_code operate_flush(struct cli *cli)
{
    static const Trillium__V1__FlushCall call = TRILLIUM__V1__FLUSH_CALL__INIT;
    const struct work work = {
        "flush", METHOD_ADMIN_FLUSH, &call.base, &trillium__v1__flush_answer__descriptor, print_flush};
    return run(cli, &work);
}

static void print_compact(const void *answer, char *out, size_t size)
{
    const Trillium__V1__CompactAnswer *compact = answer;
    char before[32], after[32];
    snprintf(out, size, "done, %s before, %s after", output_bytes(compact->bytes_before, before),
        output_bytes(compact->bytes_after, after));
}

enum exit_code operate_compact(struct cli *cli)
{
    static const Trillium__V1__CompactCall call = TRILLIUM__V1__COMPACT_CALL__INIT;
    const struct work work = {
        "compact", METHOD_ADMIN_COMPACT, &call.base, &trillium__v1__compact_answer__descriptor, print_compact};
    return run(cli, &work);
}

enum exit_code operate_compact_status(struct cli *cli)
{
    struct admin *admin = admin_open(cli);
    if (!admin) return EXIT_USAGE;
    struct cluster cluster;
    cluster_gather(admin, true, &cluster);
    struct output_table table = {.columns = 6};
    json_t *list = json_array();
    output_cells(&table, "NODE", "SHARD", "RANGES", "FILES", "BYTES", "MEMTABLES", NULL);
    for (size_t i = 0; i < cluster.count; i++) {
        const Trillium__V1__NodeStatusAnswer *node = cluster_node(&cluster, i);
        for (size_t j = 0; node && j < node->n_shards; j++) {
            const Trillium__V1__ShardStatus *shard = node->shards[j];
            char text[32];
            output_cell(&table, "%u", cluster.daemons[i]->id);
            output_cell(&table, "%u", shard->shard);
            output_cell(&table, "%u", shard->ranges);
            output_cell(&table, "%llu", (unsigned long long)shard->files);
            output_cells(&table, output_bytes(shard->file_bytes, text), NULL);
            output_cells(&table, output_bytes(shard->memtable_bytes, text), NULL);
            json_array_append_new(list,
                json_pack("{s:i, s:i, s:i, s:I, s:I, s:I}", "node", (int)cluster.daemons[i]->id, "shard",
                    (int)shard->shard, "ranges", (int)shard->ranges, "files", (json_int_t)shard->files, "file_bytes",
                    (json_int_t)shard->file_bytes, "memtable_bytes", (json_int_t)shard->memtable_bytes));
        }
    }
    if (cli->is_json)
        output_json(json_pack("{s:O}", "shards", list));
    else
        output_table(&table, stdout);
    buffer_free(&table.text);
    json_decref(list);
    enum exit_code code = cluster.info ? EXIT_DONE : EXIT_UNREACHABLE;
    if (!cluster.info) cli_say(cli, "no controller answers: %s", status_name(cluster.info_status));
    admin_close(admin);
    return code;
}
