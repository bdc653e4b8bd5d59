/* The commands on channels: list, inspect, purge. */
#include <stdio.h>
#include <string.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/model/snowflake.h"
#include "common/rpc/methods.h"
#include "msgctl/admin.h"
#include "msgctl/commands.h"
#include "msgctl/iso_time.h"
#include "msgctl/output.h"
#include "proto/client.pb-c.h"

/* ---- list ---- */

static const struct cli_option list_options[] = {
    {"--limit", "N", "how many (default: all)"},
    CLI_LEVEL_OPTION,
    CLI_OPTIONS_END,
};

struct listing {
    const struct cli *cli;
    json_t *json;
    struct output_table table;
    uint64_t left;
};

static void take_channel(struct listing *listing, const struct trillium_channel *channel)
{
    char time[ISO_TIME_BYTES];
    if (!iso_time_print(snowflake_unix_ms(channel->newest_id), time)) snprintf(time, sizeof time, "?");
    if (listing->cli->is_json) {
        json_array_append_new(listing->json, json_pack("{s:o, s:o, s:s}", "channel_id", output_id(channel->channel_id),
                                                 "newest_id", output_id(channel->newest_id), "newest_time", time));
        return;
    }
    output_cell(&listing->table, "%llu", (unsigned long long)channel->channel_id);
    output_cell(&listing->table, "%llu", (unsigned long long)channel->newest_id);
    output_cell(&listing->table, "%s", time);
}

static enum exit_code run_list(struct cli *cli)
{
    struct listing listing = {.cli = cli, .table.columns = 3, .left = UINT64_MAX};
    enum trillium_level level;
    if (!cli_option_u64(cli, "--limit", UINT64_MAX, &listing.left) || !cli_level(cli, &level)) return EXIT_USAGE;
    struct trillium *trillium = cli_connect(cli, false);
    if (!trillium) return EXIT_USAGE;
    struct trillium_channels_page *page = mem_zalloc(sizeof *page);
    struct trillium_cursor cursor = {0};
    if (cli->is_json) listing.json = json_array();
    output_cells(&listing.table, "CHANNEL", "NEWEST", "TIME", NULL);
    int status = TRILLIUM_OK;
    bool more = listing.left > 0;
    while (more && status == TRILLIUM_OK) {
        status = trillium_channels(trillium, &cursor, level, page);
        for (size_t i = 0; status == TRILLIUM_OK && i < page->count && listing.left > 0; i++, listing.left--)
            take_channel(&listing, &page->channels[i]);
        more = page->more && listing.left > 0;
    }
    enum exit_code code = cli_outcome_read(cli, status, "not read");
    if (cli->is_json)
        output_json(json_pack("{s:o}", "channels", listing.json));
    else if (code == EXIT_DONE)
        output_table(&listing.table, stdout);
    buffer_free(&listing.table.text);
    mem_free(page);
    trillium_close(trillium);
    return code;
}

/* ---- inspect ---- */

enum { INSPECT_AT_ONCE = 16 };

static const struct cli_option inspect_options[] = {
    {"--replicas", NULL, "ask each replica how many messages it shows, and their digest"},
    CLI_OPTIONS_END,
};

static void hex_of(ProtobufCBinaryData bytes, char out[33])
{
    size_t size = bytes.len < 16 ? bytes.len : 16;
    for (size_t i = 0; i < size; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes.data[i]);
    out[2 * size] = 0;
}

static json_t *inspect_json(uint64_t channel, const Trillium__V1__ChannelInspectAnswer *answer, bool replicas)
{
    json_t *list = json_array();
    char digest[33], range[24];
    for (size_t i = 0; i < answer->n_replicas; i++) {
        const Trillium__V1__ReplicaState *replica = answer->replicas[i];
        json_t *one = json_pack("{s:i, s:s}", "node", (int)replica->node, "address", replica->address);
        if (replicas) {
            hex_of(replica->digest, digest);
            json_object_set_new(one, "status", json_string(status_name((enum status)replica->status)));
            json_object_set_new(one, "lapsed", json_boolean(replica->lapsed));
            if (replica->lapsed) json_object_set_new(one, "rebuilt_percent", json_integer(replica->rebuilt_percent));
            json_object_set_new(one, "rows", json_integer((json_int_t)replica->rows));
            json_object_set_new(one, "digest", json_string(digest));
            json_object_set_new(one, "newest_id", output_id(replica->newest_id));
        }
        json_array_append_new(list, one);
    }
    char token[24];
    snprintf(token, sizeof token, "%lld", (long long)answer->token);
    snprintf(range, sizeof range, "%016llx", (unsigned long long)answer->range);
    return json_pack("{s:o, s:s, s:s, s:I, s:i, s:s, s:o}", "channel_id", output_id(channel), "token", token, "range",
        range, "epoch", (json_int_t)answer->epoch, "router", (int)answer->router, "router_address",
        answer->router_address, "replicas", list);
}

/* True when all replicas that answered show the same. */
static bool replicas_agree(const Trillium__V1__ChannelInspectAnswer *answer, size_t *answered)
{
    const Trillium__V1__ReplicaState *first = NULL;
    bool same = true;
    *answered = 0;
    for (size_t i = 0; i < answer->n_replicas; i++) {
        const Trillium__V1__ReplicaState *replica = answer->replicas[i];
        if (replica->status != STATUS_OK) continue;
        (*answered)++;
        if (!first) first = replica;
        same = same && replica->rows == first->rows && replica->digest.len == first->digest.len &&
               memcmp(replica->digest.data, first->digest.data, first->digest.len) == 0;
    }
    return same;
}

static void inspect_table(uint64_t channel, const Trillium__V1__ChannelInspectAnswer *answer, bool replicas)
{
    printf("channel %llu: token %lld, range %016llx, epoch %llu\n", (unsigned long long)channel,
        (long long)answer->token, (unsigned long long)answer->range, (unsigned long long)answer->epoch);
    if (answer->router) printf("router %u (%s) serves it best\n", answer->router, answer->router_address);
    struct output_table table = {.columns = replicas ? 6 : 2};
    output_cells(&table, "NODE", "ADDRESS", NULL);
    if (replicas) output_cells(&table, "STATUS", "ROWS", "NEWEST", "DIGEST", NULL);
    for (size_t i = 0; i < answer->n_replicas; i++) {
        const Trillium__V1__ReplicaState *replica = answer->replicas[i];
        output_cell(&table, "%u", replica->node);
        output_cell_bytes(&table, bytes_text(replica->address));
        if (!replicas) continue;
        char digest[33];
        hex_of(replica->digest, digest);
        if (replica->lapsed)
            output_cell(&table, "lapsed, rebuilding %u %%", replica->rebuilt_percent);
        else
            output_cell(&table, "%s", status_name((enum status)replica->status));
        output_cell(&table, "%llu", (unsigned long long)replica->rows);
        output_cell(&table, "%llu", (unsigned long long)replica->newest_id);
        output_cell(&table, "%s", digest);
    }
    output_table(&table, stdout);
    size_t answered;
    bool same = replicas_agree(answer, &answered);
    if (!replicas) return;
    if (answered < answer->n_replicas)
        printf("%zu of %zu replicas answered; these show %s\n", answered, answer->n_replicas,
            same ? "the same" : "different messages");
    else
        puts(same ? "all replicas show the same" : "the replicas differ; reading the channel at ALL heals them");
}

/* Asks for INSPECT_AT_ONCE channels at a time; one that could not be inspected is told of and fails the command. */
static enum exit_code inspect_some(
    struct cli *cli, struct admin *admin, const Trillium__V1__ChannelInspectCall *calls, unsigned count, json_t *list)
{
    struct admin_ask asks[INSPECT_AT_ONCE];
    enum exit_code worst = EXIT_DONE;
    for (unsigned i = 0; i < count; i++)
        asks[i] = (struct admin_ask){.target = ADMIN_ANY_ROUTER,
            .method = METHOD_CHANNEL_INSPECT,
            .call = &calls[i].base,
            .answer_type = &trillium__v1__channel_inspect_answer__descriptor,
            .budget_ms = CALL_BUDGET_MS_MAX};
    admin_ask(admin, asks, count);
    for (unsigned i = 0; i < count; i++) {
        enum exit_code code = cli_outcome_read(cli, (int)asks[i].status, "not inspected");
        if (code != EXIT_DONE)
            worst = code;
        else if (cli->is_json)
            json_array_append_new(list, inspect_json(calls[i].channel_id, asks[i].answer, calls[i].replicas));
        else
            inspect_table(calls[i].channel_id, asks[i].answer, calls[i].replicas);
    }
    return worst;
}

static enum exit_code run_inspect(struct cli *cli)
{
    Trillium__V1__ChannelInspectCall calls[CLI_ARGUMENTS_MAX];
    for (unsigned i = 0; i < cli->arguments_count; i++) {
        trillium__v1__channel_inspect_call__init(&calls[i]);
        if (!cli_u64(cli, "CHANNEL", cli->arguments[i], &calls[i].channel_id)) return EXIT_USAGE;
        calls[i].replicas = cli_has(cli, "--replicas");
    }
    struct admin *admin = admin_open(cli);
    if (!admin) return EXIT_USAGE;
    json_t *list = json_array();
    enum exit_code worst = EXIT_DONE;
    for (unsigned at = 0; at < cli->arguments_count; at += INSPECT_AT_ONCE) {
        unsigned left = cli->arguments_count - at;
        enum exit_code code =
            inspect_some(cli, admin, calls + at, left < INSPECT_AT_ONCE ? left : INSPECT_AT_ONCE, list);
        if (code != EXIT_DONE) worst = code;
    }
    if (cli->is_json && cli->arguments_count > 1)
        output_json(json_pack("{s:O}", "channels", list));
    else if (cli->is_json && json_array_size(list) == 1)
        output_json(json_incref(json_array_get(list, 0)));
    json_decref(list);
    admin_close(admin);
    return worst;
}

/* ---- purge ---- */

static const struct cli_option purge_options[] = {
    {"--from", "ID", "delete from this id on (default: the first)"},
    {"--to", "ID", "delete up to this id (default: all there are now)"},
    {"--plan", NULL, "say what would be done, and do nothing"},
    CLI_LEVEL_OPTION,
    CLI_OPTIONS_END,
};

static enum exit_code run_purge(struct cli *cli)
{
    struct trillium_interval interval = {0};
    uint64_t through = 0;
    if (!cli_u64(cli, "CHANNEL", cli->arguments[0], &interval.channel_id) || !cli_level(cli, &interval.level) ||
        !cli_option_u64(cli, "--from", UINT64_MAX, &interval.lo) ||
        !cli_option_u64(cli, "--to", UINT64_MAX, &interval.hi))
        return EXIT_USAGE;
    if (interval.hi && interval.hi < interval.lo) return cli_usage(cli, "--to lies before --from");
    if (cli_has(cli, "--plan")) {
        printf("would delete for ever all messages of channel %s%s%s%s%s\n", cli->arguments[0],
            interval.lo ? " from " : "", interval.lo ? cli_option(cli, "--from") : "", interval.hi ? " up to " : "",
            interval.hi ? cli_option(cli, "--to") : "");
        return EXIT_DONE;
    }
    struct trillium *trillium = cli_connect(cli, false);
    if (!trillium) return EXIT_USAGE;
    int status = trillium_purge(trillium, &interval, &through);
    if (cli->is_json)
        output_json(json_pack("{s:o, s:s, s:o}", "channel_id", output_id(interval.channel_id), "status",
            trillium_status_name(status), "through_id", output_id(through)));
    else if (trillium_class_of(status) == TRILLIUM_DONE)
        printf("purged %s through id %llu\n", cli->arguments[0], (unsigned long long)through);
    enum exit_code code = cli_outcome(cli, status, "not purged");
    trillium_close(trillium);
    return code;
}

const struct command channel_commands[] = {
    {.name = "channel list",
        .arguments = "",
        .summary = "Lists the channels that hold messages, in token order",
        .options = list_options,
        .run = run_list},
    {.name = "channel inspect",
        .arguments = "CHANNEL...",
        .summary = "Says where channels live and what each replica holds of them",
        .arguments_min = 1,
        .arguments_max = CLI_ARGUMENTS_MAX,
        .options = inspect_options,
        .run = run_inspect},
    {.name = "channel purge",
        .arguments = "CHANNEL",
        .summary = "Deletes all messages of a channel for ever",
        .help = "Messages sent later are not touched. --from and --to bound what is deleted.",
        .arguments_min = 1,
        .arguments_max = 1,
        .options = purge_options,
        .run = run_purge},
    COMMANDS_END,
};
