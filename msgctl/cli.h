/*
 * cli: msgctl's command line: nouns then verbs, options anywhere, help texts and errors that name what was probably
 * meant. Commands are tables (commands.h); this file finds one, checks its arguments and runs it.
 *
 * Messages to people go to standard error, results to standard output. One thread.
 */
#ifndef TRILLIUM_MSGCTL_CLI_H
#define TRILLIUM_MSGCTL_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "client/trillium.h"
#include "common/base/status.h"
#include "msgctl/settings.h"

/* What msgctl ends with; numbers are a promise to scripts. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_REFUSED = 3, /* by a safety check */
    EXIT_APPROVAL = 4,
    EXIT_UNREACHABLE = 5,
};

enum { CLI_ARGUMENTS_MAX = 64, CLI_OPTIONS_MAX = 32, CLI_DEADLINE_MS = 10000 };

struct cli_option {
    const char *name;  /* "--limit" */
    const char *value; /* "N"; NULL: a switch */
    const char *help;
};

struct cli;

struct command {
    const char *name;      /* "message list" */
    const char *arguments; /* "CHANNEL [ID...]" */
    const char *summary;   /* one line, no full stop */
    const char *help;      /* whole sentences; may be NULL */
    unsigned arguments_min, arguments_max;
    const struct cli_option *options; /* ends with a name of NULL; may be NULL */
    enum exit_code (*run)(struct cli *cli);
    bool is_hidden;  /* not in lists: for tests and demonstrations */
    bool is_offline; /* needs no cluster, so no settings are read */
};

struct cli {
    const struct command *command;
    unsigned arguments_count;
    const char *arguments[CLI_ARGUMENTS_MAX];
    unsigned options_count;
    const struct cli_option *options[CLI_OPTIONS_MAX]; /* given ones */
    const char *values[CLI_OPTIONS_MAX];
    bool is_json;
    unsigned deadline_ms;
    struct settings_msgctl settings;
};

/* Runs argv; returns the exit status. */
int cli_main(int argc, char **argv);

/* The option's value ("" for a switch); NULL when it was not given. */
const char *cli_option(const struct cli *cli, const char *name);
static inline bool cli_has(const struct cli *cli, const char *name)
{
    return cli_option(cli, name) != NULL;
}

/* Readers of arguments and options; on nonsense they say so and return false (the caller returns EXIT_USAGE). Options
   that were not given leave out untouched. */
bool cli_u64(const struct cli *cli, const char *what, const char *text, uint64_t *out) MUST_CHECK;
bool cli_option_u64(const struct cli *cli, const char *name, uint64_t max, uint64_t *out) MUST_CHECK;
bool cli_option_i64(const struct cli *cli, const char *name, int64_t *out) MUST_CHECK;
bool cli_option_duration(const struct cli *cli, const char *name, uint64_t *ms) MUST_CHECK;
bool cli_level(const struct cli *cli, enum trillium_level *out) MUST_CHECK;
#define CLI_LEVEL_OPTION                                                                                               \
    {                                                                                                                  \
        "--level", "LEVEL", "one, quorum (default) or all"                                                             \
    }
#define CLI_OPTIONS_END                                                                                                \
    {                                                                                                                  \
        NULL, NULL, NULL                                                                                               \
    }

/* "msgctl message get: <text>" on standard error. */
void cli_say(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same; returns EXIT_USAGE. */
enum exit_code cli_usage(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A connection to the routers; NULL when the settings name none (said). is_long: for many calls. */
struct trillium *cli_connect(const struct cli *cli, bool is_long);
/* Says what became of a call unless it is DONE, and gives the exit status that follows from its class. */
enum exit_code cli_outcome(const struct cli *cli, int status, const char *what);
/* The same of a call that changes nothing: there is no doubt about what it did. */
enum exit_code cli_outcome_read(const struct cli *cli, int status, const char *what);
enum exit_code cli_exit_of(int status);

#endif
