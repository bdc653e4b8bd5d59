#include "common/config/command.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

static void usage(const struct config_table *table, FILE *to)
{
    fprintf(to,
        "usage: %s --config FILE [--set section.key=value]...\n"
        "       %s --help | --version | --help-config\n"
        "  --config FILE   read the configuration from FILE\n"
        "  --set K=V       set one key, over what the file says; may be repeated\n"
        "  --help-config   print an example configuration with every key and its meaning\n",
        table->daemon, table->daemon);
}

static void help_config(const struct config_table *table)
{
    struct buffer text = {0};
    config_help(table, &text);
    fwrite(text.data, 1, text.size, stdout);
    buffer_free(&text);
}

static enum command_verdict settings_read(
    const struct config_table *table, const struct config_input *input, void *settings)
{
    struct config_errors errors = {0};
    enum command_verdict verdict = COMMAND_RUN;
    if (config_load(table, input, settings, &errors) != STATUS_OK) {
        fputs(config_errors_text(&errors), stderr);
        fprintf(stderr, "%s: not started: %zu error%s in the configuration\n", table->daemon, errors.count,
            errors.count == 1 ? "" : "s");
        verdict = COMMAND_USAGE;
    }
    config_errors_free(&errors);
    return verdict;
}

/* The value of option at argv[*i], written "--option VALUE" or "--option=VALUE"; NULL when argv[*i] is not it. */
static const char *option_value(const char *option, int argc, char **argv, int *i)
{
    size_t length = strlen(option);
    if (strncmp(argv[*i], option, length) != 0) return NULL;
    if (argv[*i][length] == '=') return argv[*i] + length + 1;
    if (argv[*i][length] != 0 || *i + 1 >= argc) return NULL;
    return argv[++*i];
}

/* Answers the help flags; false when argument is none of them. */
static bool help_flag(const struct config_table *table, const char *argument)
{
    if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0)
        usage(table, stdout);
    else if (strcmp(argument, "--version") == 0)
        printf("%s %s\n", table->daemon, TRILLIUM_VERSION);
    else if (strcmp(argument, "--help-config") == 0)
        help_config(table);
    else
        return false;
    return true;
}

enum command_verdict command_read(const struct config_table *table, int argc, char **argv, void *settings)
{
    const char **overrides = mem_zalloc(((size_t)argc + 1) * sizeof *overrides);
    struct config_input input = {.overrides = overrides};
    enum command_verdict verdict = COMMAND_RUN;
    for (int i = 1; i < argc && verdict == COMMAND_RUN; i++) {
        const char *value;
        if (help_flag(table, argv[i])) {
            verdict = COMMAND_DONE;
        } else if ((value = option_value("--config", argc, argv, &i)) != NULL) {
            input.file = value;
        } else if ((value = option_value("--set", argc, argv, &i)) != NULL) {
            overrides[input.overrides_count++] = value;
        } else {
            fprintf(stderr, "%s: '%s' is not an option, or lacks its value\n", table->daemon, argv[i]);
            verdict = COMMAND_USAGE;
        }
    }
    if (verdict == COMMAND_RUN && input.file == NULL) {
        fprintf(stderr, "%s: --config FILE is missing\n", table->daemon);
        verdict = COMMAND_USAGE;
    }
    if (verdict == COMMAND_USAGE) usage(table, stderr);
    if (verdict == COMMAND_RUN) verdict = settings_read(table, &input, settings);
    mem_free(overrides);
    return verdict;
}
