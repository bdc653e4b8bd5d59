#include "msgctl/cli.h"

#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/config/suggest.h"
#include "common/config/value.h"
#include "msgctl/commands.h"

static const struct command *const tables[] = {
    message_commands, channel_commands, transfer_commands, cluster_commands, file_commands, demo_commands};
enum { TABLES_COUNT = sizeof tables / sizeof *tables, NAMES_MAX = 96 };

#define FOR_EACH_COMMAND(command)                                                                                      \
    for (unsigned table_ = 0; table_ < TABLES_COUNT; table_++)                                                         \
        for (const struct command *command = tables[table_]; (command)->name; (command)++)

static const struct cli_option global_options[] = {
    {"--output", "FORMAT", "table (default) or json; also -o"},
    {"--config", "FILE",
        "which cluster: a file as ./dev up writes it (default: TRILLIUM_CONFIG, else run/msgctl.yaml)"},
    {"--routers", "LIST", "host or host:port, with commas (default: TRILLIUM_ROUTERS, else the file)"},
    {"--controllers", "LIST", "the same for controllers (default: TRILLIUM_CONTROLLERS, else the file)"},
    {"--deadline", "TIME", "how long one call may take (default 10s)"},
    {"--help", NULL, "help on a command; also -h"},
    CLI_OPTIONS_END,
};

/* ---- help ---- */

static void print_options(const struct cli_option *options)
{
    for (; options && options->name; options++) {
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", options->name, options->value ? " " : "",
            options->value ? options->value : "");
        printf("  %-24s %s\n", left, options->help);
    }
}

static void print_list(const char *noun)
{
    FOR_EACH_COMMAND(command)
    {
        size_t size = noun ? strlen(noun) : 0;
        if (command->is_hidden || (noun && (strncmp(command->name, noun, size) != 0 || command->name[size] != ' ')))
            continue;
        char left[128];
        snprintf(left, sizeof left, "%s%s%s", command->name, command->arguments[0] ? " " : "", command->arguments);
        printf("  %-44s %s\n", left, command->summary);
    }
}

static void print_overview(void)
{
    puts("msgctl: administers a Trillium cluster and its messages\n\nusage: msgctl COMMAND [ARGUMENTS] [OPTIONS]\n");
    print_list(NULL);
    puts("\noptions of every command");
    print_options(global_options);
    puts("  --version                msgctl's version\n\n"
         "exit status: 0 done, 1 failed, 2 wrong usage, 3 refused by a safety check, 4 needs approval, 5 unreachable\n"
         "msgctl COMMAND --help tells more about one command.");
}

static void print_help(const struct command *command)
{
    printf("usage: msgctl %s%s%s%s\n\n%s.\n", command->name, command->arguments[0] ? " " : "", command->arguments,
        command->options ? " [OPTIONS]" : "", command->summary);
    if (command->help) printf("\n%s\n", command->help);
    if (command->options) puts("\noptions");
    print_options(command->options);
    puts("\noptions of every command");
    print_options(global_options);
}

/* ---- finding the command ---- */

static bool is_noun(const char *word)
{
    size_t size = strlen(word);
    FOR_EACH_COMMAND(command)
    if (strncmp(command->name, word, size) == 0 && command->name[size] == ' ') return true;
    return false;
}

/* The command whose words begin the arguments; *words of them. */
static const struct command *find_command(char **words, int count, int *used)
{
    FOR_EACH_COMMAND(command)
    {
        const char *space = strchr(command->name, ' ');
        size_t first = space ? (size_t)(space - command->name) : strlen(command->name);
        if (count < 1 || strlen(words[0]) != first || strncmp(words[0], command->name, first) != 0) continue;
        if (space && (count < 2 || strcmp(words[1], space + 1) != 0)) continue;
        *used = space ? 2 : 1;
        return command;
    }
    return NULL;
}

static const char *nearest(const char *wrong, const char *const *names, size_t count)
{
    struct config_field fields[NAMES_MAX];
    CHECK(count <= NAMES_MAX);
    for (size_t i = 0; i < count; i++)
        fields[i] = (struct config_field){.path = names[i]};
    return suggest_path(&(struct config_table){"msgctl", fields, count}, wrong);
}

static enum exit_code say_unknown(char **words, int count)
{
    char wrong[256];
    if (is_noun(words[0]) && count < 2) {
        fprintf(stderr, "msgctl: what about %s? one of:\n", words[0]);
        fflush(stderr);
        print_list(words[0]);
        return EXIT_USAGE;
    }
    bool two = is_noun(words[0]) || (count > 1 && words[1][0] != '-');
    snprintf(wrong, sizeof wrong, "%s%s%s", words[0], two ? " " : "", two ? words[1] : "");
    const char *names[NAMES_MAX];
    size_t names_count = 0;
    FOR_EACH_COMMAND(command) names[names_count++] = command->name;
    const char *near = nearest(wrong, names, names_count);
    if (!near && two && !is_noun(words[0])) near = nearest(words[0], names, names_count);
    if (near)
        fprintf(stderr, "msgctl: there is no command '%s'; did you mean '%s'?\n", wrong, near);
    else
        fprintf(stderr, "msgctl: there is no command '%s'; msgctl --help lists them\n", wrong);
    return EXIT_USAGE;
}

/* ---- options ---- */

static const struct cli_option *find_option(const struct command *command, const char *name, size_t size)
{
    const struct cli_option *lists[] = {command->options, global_options};
    for (unsigned i = 0; i < 2; i++)
        for (const struct cli_option *option = lists[i]; option && option->name; option++)
            if (strlen(option->name) == size && strncmp(option->name, name, size) == 0) return option;
    return NULL;
}

static bool say_unknown_option(const struct cli *cli, const char *name, size_t size)
{
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (const struct cli_option *option = cli->command->options; option && option->name; option++)
        names[count++] = option->name;
    for (const struct cli_option *option = global_options; option->name; option++)
        names[count++] = option->name;
    char wrong[64];
    snprintf(wrong, sizeof wrong, "%.*s", (int)(size < 60 ? size : 60), name);
    const char *near = nearest(wrong, names, count);
    if (near)
        cli_say(cli, "there is no option %s; did you mean %s?", wrong, near);
    else
        cli_say(cli, "there is no option %s (for a text that begins with a dash, put -- before it)", wrong);
    return false;
}

/* Takes argv[*at], an option, and its value. */
static bool take_option(struct cli *cli, char **argv, int argc, int *at)
{
    const char *text = argv[*at], *value = NULL;
    size_t size = strcspn(text, "=");
    if (strncmp(text, "-o", 2) == 0 && text[1] == 'o') {
        value = text[2] ? text + 2 : NULL;
        text = "--output";
        size = strlen(text);
    } else if (strcmp(text, "-h") == 0) {
        text = "--help";
        size = strlen(text);
    } else if (text[size] == '=') {
        value = text + size + 1;
    }
    const struct cli_option *option = find_option(cli->command, text, size);
    if (!option) return say_unknown_option(cli, text, size);
    if (!option->value && value) {
        cli_say(cli, "%s takes no value", option->name);
        return false;
    }
    if (option->value && !value) {
        if (*at + 1 == argc) {
            cli_say(cli, "%s needs a value: %s", option->name, option->value);
            return false;
        }
        value = argv[++*at];
    }
    if (cli->options_count == CLI_OPTIONS_MAX) {
        cli_say(cli, "too many options");
        return false;
    }
    cli->options[cli->options_count] = option;
    cli->values[cli->options_count++] = value ? value : "";
    return true;
}

static bool is_option(const char *text)
{
    return text[0] == '-' && text[1] != 0 && !(text[1] >= '0' && text[1] <= '9');
}

static bool take_arguments(struct cli *cli, char **argv, int argc)
{
    bool only_arguments = false;
    for (int at = 0; at < argc; at++) {
        if (!only_arguments && strcmp(argv[at], "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments && is_option(argv[at])) {
            if (!take_option(cli, argv, argc, &at)) return false;
        } else if (cli->arguments_count == CLI_ARGUMENTS_MAX) {
            cli_say(cli, "too many arguments");
            return false;
        } else {
            cli->arguments[cli->arguments_count++] = argv[at];
        }
    }
    return true;
}

static bool check_arguments(struct cli *cli)
{
    const struct command *command = cli->command;
    const char *output = cli_option(cli, "--output");
    if (output && strcmp(output, "json") != 0 && strcmp(output, "table") != 0) {
        cli_say(cli, "--output is table or json, not '%s'", output);
        return false;
    }
    cli->is_json = output && strcmp(output, "json") == 0;
    if (cli->arguments_count < command->arguments_min || cli->arguments_count > command->arguments_max) {
        cli_say(cli, "%s; usage: msgctl %s%s%s",
            cli->arguments_count < command->arguments_min ? "something is missing" : "too many arguments",
            command->name, command->arguments[0] ? " " : "", command->arguments);
        return false;
    }
    uint64_t deadline = CLI_DEADLINE_MS;
    if (!cli_option_duration(cli, "--deadline", &deadline)) return false;
    if (deadline < 1 || deadline > 600000) {
        cli_say(cli, "--deadline is from 1ms to 10m");
        return false;
    }
    cli->deadline_ms = (unsigned)deadline;
    return true;
}

static enum exit_code run_command(struct cli *cli)
{
    if (cli_has(cli, "--help")) {
        print_help(cli->command);
        return EXIT_DONE;
    }
    if (!check_arguments(cli)) return EXIT_USAGE;
    if (cli->command->is_offline) return cli->command->run(cli);
    struct settings_flags flags = {
        cli_option(cli, "--config"), cli_option(cli, "--routers"), cli_option(cli, "--controllers")};
    if (!settings_msgctl_load(&flags, &cli->settings)) return EXIT_USAGE;
    enum exit_code code = cli->command->run(cli);
    settings_msgctl_free(&cli->settings);
    return code;
}

int cli_main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        (strcmp(argv[1], "help") == 0 && argc == 2)) {
        print_overview();
        return argc < 2 ? EXIT_USAGE : EXIT_DONE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
        printf("msgctl %s\n", TRILLIUM_VERSION);
        return EXIT_DONE;
    }
    bool help = strcmp(argv[1], "help") == 0;
    char **words = argv + 1 + help;
    int count = argc - 1 - help, used = 0;
    const struct command *command = find_command(words, count, &used);
    if (!command) return (int)say_unknown(words, count);
    if (help) {
        print_help(command);
        return EXIT_DONE;
    }
    struct cli cli = {.command = command, .deadline_ms = CLI_DEADLINE_MS};
    enum exit_code code = EXIT_USAGE;
    if (take_arguments(&cli, words + used, count - used)) code = run_command(&cli);
    if (fflush(stdout) != 0 && code == EXIT_DONE) {
        fprintf(stderr, "msgctl: standard output cannot be written\n");
        code = EXIT_FAILED;
    }
    return (int)code;
}

/* ---- for commands ---- */

const char *cli_option(const struct cli *cli, const char *name)
{
    for (unsigned i = cli->options_count; i-- > 0;)
        if (strcmp(cli->options[i]->name, name) == 0) return cli->values[i];
    return NULL;
}

void cli_say(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fprintf(stderr, "msgctl %s: ", cli->command->name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

enum exit_code cli_usage(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "msgctl %s: ", cli->command->name);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "; msgctl %s --help tells more\n", cli->command->name);
    va_end(arguments);
    return EXIT_USAGE;
}

static bool parse_u64(const char *text, uint64_t *out)
{
    uint64_t number = 0;
    if (!*text) return false;
    for (; *text; text++) {
        unsigned digit = (unsigned)(*text - '0');
        if (digit > 9 || number > (UINT64_MAX - digit) / 10) return false;
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

bool cli_u64(const struct cli *cli, const char *what, const char *text, uint64_t *out)
{
    if (parse_u64(text, out)) return true;
    cli_say(cli, "%s is a number in decimal digits, not '%s'", what, text);
    return false;
}

bool cli_option_u64(const struct cli *cli, const char *name, uint64_t max, uint64_t *out)
{
    const char *text = cli_option(cli, name);
    uint64_t number;
    if (!text) return true;
    if (parse_u64(text, &number) && number <= max) {
        *out = number;
        return true;
    }
    cli_say(cli, "%s is a number up to %llu, not '%s'", name, (unsigned long long)max, text);
    return false;
}

bool cli_option_i64(const struct cli *cli, const char *name, int64_t *out)
{
    const char *text = cli_option(cli, name);
    uint64_t number;
    if (!text) return true;
    bool minus = text[0] == '-';
    if (parse_u64(text + minus, &number) && number <= (uint64_t)INT64_MAX + minus) {
        *out = (int64_t)(minus ? -number : number);
        return true;
    }
    cli_say(cli, "%s is a whole number, not '%s'", name, text);
    return false;
}

bool cli_option_duration(const struct cli *cli, const char *name, uint64_t *ms)
{
    const char *text = cli_option(cli, name);
    if (!text) return true;
    int64_t value = 0;
    struct config_field field = {.path = name, .type = CONFIG_DURATION, .min = 0, .max = INT64_C(365) * 86400000};
    struct value_source source = {.text = bytes_text(text)};
    char why[VALUE_WHY_BYTES];
    if (value_set(&field, &source, &value, why) != STATUS_OK) {
        cli_say(cli, "%s is a time such as 250ms, 10s, 5m or 2h, not '%s'", name, text);
        return false;
    }
    *ms = (uint64_t)value;
    return true;
}

bool cli_level(const struct cli *cli, enum trillium_level *out)
{
    static const char *const names[] = {"one", "quorum", "all"};
    const char *text = cli_option(cli, "--level");
    *out = TRILLIUM_QUORUM;
    if (!text) return true;
    for (unsigned i = 0; i < 3; i++) {
        if (strcasecmp(text, names[i]) != 0) continue;
        *out = (enum trillium_level)(TRILLIUM_ONE + i);
        return true;
    }
    cli_say(cli, "--level is one, quorum or all, not '%s'", text);
    return false;
}

struct trillium *cli_connect(const struct cli *cli, bool is_long)
{
    if (cli->settings.routers.count == 0) {
        cli_say(cli, "no router is named: start a cluster (./dev up), or set TRILLIUM_ROUTERS or --routers HOST,HOST");
        return NULL;
    }
    char *routers = settings_join(&cli->settings.routers);
    char cluster[UUID_TEXT_BYTES], error[256];
    uuid_text(&cli->settings.cluster, cluster);
    struct trillium_options options = {.routers = routers,
        .cluster_uuid = uuid_is_zero(&cli->settings.cluster) ? NULL : cluster,
        .deadline_ms = cli->deadline_ms,
        .is_short_lived = !is_long};
    struct trillium *trillium = trillium_open(&options, error, sizeof error);
    if (!trillium) cli_say(cli, "%s", error);
    mem_free(routers);
    return trillium;
}

enum exit_code cli_exit_of(int status)
{
    switch (trillium_class_of(status)) {
    case TRILLIUM_DONE:
        return EXIT_DONE;
    case TRILLIUM_RETRY:
        return EXIT_UNREACHABLE;
    default:
        return EXIT_FAILED;
    }
}

static enum exit_code outcome(const struct cli *cli, int status, const char *what, bool is_change)
{
    enum exit_code code = cli_exit_of(status);
    if (code == EXIT_DONE) return code;
    const char *advice = "";
    if (status == TRILLIUM_UNAVAILABLE) {
        char *routers = settings_join(&cli->settings.routers);
        cli_say(cli, "%s: UNAVAILABLE: no router (%s), or too few nodes behind it, could be reached within %g s", what,
            routers, cli->deadline_ms / 1000.0);
        mem_free(routers);
        return code;
    }
    if (is_change && trillium_class_of(status) == TRILLIUM_UNKNOWN) advice = " (it may or may not have happened)";
    cli_say(cli, "%s: %s: %s%s", what, trillium_status_name(status), trillium_status_text(status), advice);
    return code;
}

enum exit_code cli_outcome(const struct cli *cli, int status, const char *what)
{
    return outcome(cli, status, what, true);
}

enum exit_code cli_outcome_read(const struct cli *cli, int status, const char *what)
{
    return outcome(cli, status, what, false);
}
