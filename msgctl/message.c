/* The commands on messages: send, list, get, edit, delete, status. */
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/snowflake.h"
#include "msgctl/commands.h"
#include "msgctl/iso_time.h"
#include "msgctl/ndjson.h"
#include "msgctl/output.h"
#include "msgctl/pages.h"

/* CHANNEL and the IDs after it. */
static bool read_ref(const struct cli *cli, struct trillium_ref *ref)
{
    if (!cli_u64(cli, "CHANNEL", cli->arguments[0], &ref->channel_id) || !cli_level(cli, &ref->level)) return false;
    return cli->arguments_count < 2 || cli_u64(cli, "ID", cli->arguments[1], &ref->message_id);
}

static void print_time(char out[ISO_TIME_BYTES], uint64_t id)
{
    if (!iso_time_print(snowflake_unix_ms(id), out)) snprintf(out, ISO_TIME_BYTES, "?");
}

/* ---- send ---- */

static const struct cli_option send_options[] = {
    {"--author", "ID", "who says it (default 0)"},
    {"--id", "ID", "the message's id, for a repetition: the same id is the same message (default: a new one)"},
    {"--reference", "ID", "the message that this one answers"},
    {"--plan", NULL, "say what would be done, and do nothing"},
    CLI_LEVEL_OPTION,
    CLI_OPTIONS_END,
};

static enum exit_code print_sent(const struct cli *cli, const struct trillium_message *message, int status)
{
    if (cli->is_json)
        output_json(json_pack("{s:o, s:o, s:s}", "channel_id", output_id(message->channel_id), "message_id",
            output_id(message->message_id), "status", trillium_status_name(status)));
    else if (trillium_class_of(status) == TRILLIUM_DONE)
        printf("%llu\n", (unsigned long long)message->message_id);
    if (trillium_class_of(status) == TRILLIUM_UNKNOWN && message->message_id)
        cli_say(cli, "repeat it with --id %llu, which is safe: the same id is the same message",
            (unsigned long long)message->message_id);
    return cli_outcome(cli, status, "not sent");
}

static enum exit_code run_send(struct cli *cli)
{
    const char *text = cli->arguments[1];
    struct trillium_message message = {.content = {text, strlen(text)}};
    struct trillium_ref ref = {0};
    cli->arguments_count = 1;
    if (!read_ref(cli, &ref) || !cli_option_i64(cli, "--author", &message.author_id) ||
        !cli_option_u64(cli, "--id", UINT64_MAX, &message.message_id) ||
        !cli_option_i64(cli, "--reference", &message.reference_id))
        return EXIT_USAGE;
    message.channel_id = ref.channel_id;
    if (cli_has(cli, "--reference")) message.has |= TRILLIUM_HAS_REFERENCE;
    if (cli_has(cli, "--plan")) {
        printf("would send %zu bytes to channel %s\n", strlen(text), cli->arguments[0]);
        return EXIT_DONE;
    }
    struct trillium *trillium = cli_connect(cli, false);
    if (!trillium) return EXIT_USAGE;
    int status = trillium_send(trillium, &message, ref.level);
    enum exit_code code = print_sent(cli, &message, status);
    trillium_close(trillium);
    return code;
}

/* ---- list, get ---- */

static const struct cli_option list_options[] = {
    {"--limit", "N", "how many (default 50)"},
    {"--before", "ID", "those older than ID"},
    {"--after", "ID", "the nearest ones newer than ID"},
    {"--around", "ID", "ID if it is visible, (limit - 1) / 2 newer ones, the rest older"},
    {"--oldest-first", NULL, "print the oldest first; alone: begin with the oldest message"},
    CLI_LEVEL_OPTION,
    CLI_OPTIONS_END,
};

static void print_messages_json(uint64_t channel, const struct pages *pages)
{
    struct buffer line = {0};
    printf("{\n  \"channel_id\": \"%llu\",\n  \"messages\": [", (unsigned long long)channel);
    for (size_t i = 0; i < pages->count; i++) {
        buffer_clear(&line);
        ndjson_encode(pages->messages[i], &line);
        printf("%s\n    %.*s", i ? "," : "", (int)line.size - 1, (const char *)line.data);
    }
    printf("%s],\n  \"more\": %s\n}\n", pages->count ? "\n  " : "", pages->more ? "true" : "false");
    buffer_free(&line);
}

static void print_messages(const struct pages *pages)
{
    struct output_table table = {.columns = 4};
    output_cells(&table, "ID", "TIME", "AUTHOR", "CONTENT", NULL);
    for (size_t i = 0; i < pages->count; i++) {
        const struct trillium_message *message = pages->messages[i];
        char time[ISO_TIME_BYTES];
        print_time(time, message->message_id);
        output_cell(&table, "%llu", (unsigned long long)message->message_id);
        output_cell(&table, "%s", time);
        output_cell(&table, "%lld", (long long)message->author_id);
        struct buffer text = {0};
        buffer_append(&text, message->content.data, message->content.size);
        if (message->has & TRILLIUM_HAS_EDITED_AT) buffer_append(&text, " (edited)", 9);
        output_cell_bytes(&table, buffer_bytes(&text));
        buffer_free(&text);
    }
    output_table(&table, stdout);
}

static bool read_query(const struct cli *cli, struct trillium_query *query)
{
    static const char *const names[] = {"--before", "--after", "--around"};
    uint64_t limit = 50;
    struct trillium_ref ref = {0};
    if (!read_ref(cli, &ref) || !cli_option_u64(cli, "--limit", 10000000, &limit)) return false;
    *query = (struct trillium_query){.channel_id = ref.channel_id,
        .bound = TRILLIUM_NEWEST,
        .limit = (unsigned)limit,
        .oldest_first = cli_has(cli, "--oldest-first"),
        .level = ref.level};
    unsigned given = 0;
    for (unsigned i = 0; i < 3; i++) {
        if (!cli_has(cli, names[i])) continue;
        given++;
        query->bound = (enum trillium_bound)(TRILLIUM_BEFORE + i);
        if (!cli_option_u64(cli, names[i], UINT64_MAX, &query->message_id)) return false;
    }
    if (given > 1) cli_say(cli, "--before, --after and --around exclude each other");
    if (limit == 0) cli_say(cli, "--limit is at least 1");
    return given <= 1 && limit > 0;
}

static enum exit_code run_list(struct cli *cli)
{
    struct trillium_query query;
    if (!read_query(cli, &query)) return EXIT_USAGE;
    struct trillium *trillium = cli_connect(cli, false);
    if (!trillium) return EXIT_USAGE;
    struct pages pages;
    int status = pages_collect(trillium, &query, &pages);
    enum exit_code code = cli_outcome_read(cli, status, "not read");
    if (code == EXIT_DONE && cli->is_json) print_messages_json(query.channel_id, &pages);
    if (code == EXIT_DONE && !cli->is_json) print_messages(&pages);
    pages_free(&pages);
    trillium_close(trillium);
    return code;
}

static const struct cli_option get_options[] = {CLI_LEVEL_OPTION, CLI_OPTIONS_END};

static void print_blob(struct output_table *table, const char *name, struct trillium_bytes blob)
{
    if (!blob.data) return;
    output_cell(table, "%s", name);
    output_cell(table, "%zu bytes", blob.size);
}

static void print_message(const struct trillium_message *message)
{
    struct output_table table = {.columns = 2};
    char time[ISO_TIME_BYTES];
    print_time(time, message->message_id);
    output_cell(&table, "channel");
    output_cell(&table, "%llu", (unsigned long long)message->channel_id);
    output_cell(&table, "id");
    output_cell(&table, "%llu", (unsigned long long)message->message_id);
    output_cells(&table, "time", time, "author", NULL);
    output_cell(&table, "%lld", (long long)message->author_id);
    if ((message->has & TRILLIUM_HAS_EDITED_AT) && iso_time_print(message->edited_at_ms, time))
        output_cells(&table, "edited at", time, NULL);
    const struct {
        unsigned bit;
        const char *name;
        long long number;
    } numbers[] = {{TRILLIUM_HAS_TYPE, "type", message->type}, {TRILLIUM_HAS_FLAGS, "flags", message->flags},
        {TRILLIUM_HAS_REFERENCE, "reference", message->reference_id}};
    for (unsigned i = 0; i < 3; i++) {
        if (!(message->has & numbers[i].bit)) continue;
        output_cell(&table, "%s", numbers[i].name);
        output_cell(&table, "%lld", numbers[i].number);
    }
    print_blob(&table, "attachments", message->attachments);
    print_blob(&table, "embeds", message->embeds);
    if (message->extra.data) {
        output_cell(&table, "extra");
        output_cell_bytes(&table, bytes_of(message->extra.data, message->extra.size));
    }
    if (message->content.data) {
        output_cell(&table, "content");
        output_cell_bytes(&table, bytes_of(message->content.data, message->content.size));
    }
    output_table(&table, stdout);
}

static enum exit_code run_get(struct cli *cli)
{
    struct trillium_ref ref = {0};
    if (!read_ref(cli, &ref)) return EXIT_USAGE;
    struct trillium *trillium = cli_connect(cli, false);
    if (!trillium) return EXIT_USAGE;
    struct trillium_page page = {0};
    enum exit_code code = cli_outcome_read(cli, trillium_get(trillium, &ref, &page), "not read");
    if (code == EXIT_DONE && cli->is_json) {
        struct buffer line = {0};
        ndjson_encode(&page.messages[0], &line);
        fwrite(line.data, 1, line.size, stdout);
        buffer_free(&line);
    } else if (code == EXIT_DONE) {
        print_message(&page.messages[0]);
    }
    if (code == EXIT_DONE) trillium_page_free(&page);
    trillium_close(trillium);
    return code;
}

/* ---- edit, delete, status ---- */

static const struct cli_option change_options[] = {
    {"--plan", NULL, "say what would be done, and do nothing"},
    CLI_LEVEL_OPTION,
    CLI_OPTIONS_END,
};

/* The result of a change of one message; notes of DONE are said. */
static enum exit_code print_changed(const struct cli *cli, const struct trillium_ref *ref, int status, const char *what)
{
    if (cli->is_json)
        output_json(json_pack("{s:o, s:o, s:s}", "channel_id", output_id(ref->channel_id), "message_id",
            output_id(ref->message_id), "status", trillium_status_name(status)));
    else if (trillium_class_of(status) == TRILLIUM_DONE)
        printf("%s %llu%s%s\n", what, (unsigned long long)ref->message_id, status == TRILLIUM_OK ? "" : ": ",
            status == TRILLIUM_OK ? "" : trillium_status_text(status));
    char about[64];
    snprintf(about, sizeof about, "%llu not %s", (unsigned long long)ref->message_id, what);
    return cli_outcome(cli, status, about);
}

static enum exit_code run_edit(struct cli *cli)
{
    struct trillium_ref ref = {0};
    const char *text = cli->arguments[2];
    if (!read_ref(cli, &ref)) return EXIT_USAGE;
    if (cli_has(cli, "--plan")) {
        printf("would replace the content of %s in channel %s by %zu bytes\n", cli->arguments[1], cli->arguments[0],
            strlen(text));
        return EXIT_DONE;
    }
    struct trillium *trillium = cli_connect(cli, false);
    if (!trillium) return EXIT_USAGE;
    int status = trillium_edit(trillium, &ref, (struct trillium_bytes){text, strlen(text)});
    enum exit_code code = print_changed(cli, &ref, status, "edited");
    trillium_close(trillium);
    return code;
}

static enum exit_code run_delete(struct cli *cli)
{
    struct trillium_ref ref = {0};
    uint64_t id;
    if (!read_ref(cli, &ref)) return EXIT_USAGE;
    for (unsigned i = 1; i < cli->arguments_count; i++)
        if (!cli_u64(cli, "ID", cli->arguments[i], &id)) return EXIT_USAGE;
    if (cli_has(cli, "--plan")) {
        printf("would delete %u messages of channel %s for ever\n", cli->arguments_count - 1, cli->arguments[0]);
        return EXIT_DONE;
    }
    struct trillium *trillium = cli_connect(cli, false);
    if (!trillium) return EXIT_USAGE;
    enum exit_code code = EXIT_DONE;
    for (unsigned i = 1; i < cli->arguments_count; i++) {
        if (!cli_u64(cli, "ID", cli->arguments[i], &ref.message_id)) continue;
        enum exit_code one = print_changed(cli, &ref, trillium_delete(trillium, &ref), "deleted");
        if (one != EXIT_DONE) code = one;
    }
    trillium_close(trillium);
    return code;
}

static const struct cli_option status_options[] = {
    {"--resolve", NULL, "delete an id that is not present, so that it never will be"},
    CLI_OPTIONS_END,
};

static enum exit_code run_status(struct cli *cli)
{
    static const char *const names[] = {"unknown", "present", "never"};
    static const char *const texts[] = {"unknown: not visible now; a send that is under way may still store it",
        "present", "never: it does not exist and never will"};
    struct trillium_ref ref = {0};
    enum trillium_state state;
    if (!read_ref(cli, &ref)) return EXIT_USAGE;
    struct trillium *trillium = cli_connect(cli, false);
    if (!trillium) return EXIT_USAGE;
    bool resolves = cli_has(cli, "--resolve");
    int status = trillium_status(trillium, &ref, resolves, &state);
    enum exit_code code = resolves ? cli_outcome(cli, status, "not known") : cli_outcome_read(cli, status, "not known");
    if (code == EXIT_DONE && cli->is_json)
        output_json(json_pack("{s:o, s:o, s:s}", "channel_id", output_id(ref.channel_id), "message_id",
            output_id(ref.message_id), "state", names[state]));
    else if (code == EXIT_DONE)
        puts(texts[state]);
    trillium_close(trillium);
    return code;
}

const struct command message_commands[] = {
    {.name = "message send",
        .arguments = "CHANNEL TEXT",
        .summary = "Sends a message and prints its id",
        .help = "When the outcome is unknown (a timeout), the id is said; sending again with --id never doubles it.",
        .arguments_min = 2,
        .arguments_max = 2,
        .options = send_options,
        .run = run_send},
    {.name = "message list",
        .arguments = "CHANNEL",
        .summary = "Lists messages, newest first",
        .help = "JSON: {channel_id, messages: [as in an export], more}; more says whether there are further ones.",
        .arguments_min = 1,
        .arguments_max = 1,
        .options = list_options,
        .run = run_list},
    {.name = "message get",
        .arguments = "CHANNEL ID",
        .summary = "Shows one message",
        .arguments_min = 2,
        .arguments_max = 2,
        .options = get_options,
        .run = run_get},
    {.name = "message edit",
        .arguments = "CHANNEL ID TEXT",
        .summary = "Replaces a message's content",
        .help = "PENDING: no such message is known yet; the edit waits for it. SUPERSEDED: a newer edit stays.",
        .arguments_min = 3,
        .arguments_max = 3,
        .options = change_options,
        .run = run_edit},
    {.name = "message delete",
        .arguments = "CHANNEL ID...",
        .summary = "Deletes messages for ever",
        .arguments_min = 2,
        .arguments_max = CLI_ARGUMENTS_MAX,
        .options = change_options,
        .run = run_delete},
    {.name = "message status",
        .arguments = "CHANNEL ID",
        .summary = "Says what became of an id: present, or unknown",
        .arguments_min = 2,
        .arguments_max = 2,
        .options = status_options,
        .run = run_status},
    COMMANDS_END,
};
