/*
 * config: one YAML file per daemon, read against one table.
 *
 * A daemon lists its settings once, as an array of struct config_field; from it come parsing, defaults, range checks,
 * `--help-config` and the documentation page. All errors of a file are collected and shown at once, each with file,
 * line, key, what is wrong and what to do. Not here: re-reading a file while the daemon runs, and writing one.
 *
 * Values are written as people write them: durations "250ms", "10s", "5m", "2h"; sizes "64KiB", "600MiB", "4GiB" or a
 * plain number of bytes; booleans true/false/yes/no/on/off; lists as YAML sequences, or "a,b,c" in --set.
 * Threads: used once at start-up, by one thread.
 */
#ifndef TRILLIUM_COMMON_CONFIG_CONFIG_H
#define TRILLIUM_COMMON_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/base/uuid.h"

enum {
    CONFIG_FILE_BYTES_MAX = 1 << 20,
    CONFIG_LIST_ITEMS_MAX = 1024,
    CONFIG_TEXT_BYTES_MAX = 4096,
    CONFIG_ERRORS_MAX = 100,
};

enum config_type {
    CONFIG_STRING,   /* char *, never NULL */
    CONFIG_CHOICE,   /* char *, one of the field's choices */
    CONFIG_BOOL,     /* bool */
    CONFIG_INT,      /* int64_t */
    CONFIG_DURATION, /* int64_t, milliseconds */
    CONFIG_SIZE,     /* int64_t, bytes */
    CONFIG_LIST,     /* struct config_list */
    CONFIG_UUID,     /* struct uuid; all zero when its default is empty and nothing is given */
};

struct config_list {
    char **items;
    size_t count;
};

struct config_field {
    const char *path; /* "listen.address": section, dot, key */
    enum config_type type;
    size_t offset;       /* into the caller's struct; the member's type follows from type */
    const char *value;   /* the default as it would be written; NULL: the setting must be given */
    int64_t min, max;    /* of the number; of the length of a string or list; both 0: any */
    const char *choices; /* CONFIG_CHOICE: "auto|uring|uv" */
    const char *help;    /* one sentence, no full stop at the end */
};

struct config_table {
    const char *daemon; /* "noded", for the help texts */
    const struct config_field *fields;
    size_t count;
};

/* Where the values come from. Later ones win: default, file, overrides in their order. */
struct config_input {
    const char *file;             /* path, for messages also when text is given; NULL: no file */
    struct bytes text;            /* when data is not NULL, this instead of the file's contents */
    const char *const *overrides; /* "section.key=value", from --set */
    size_t overrides_count;
};

/* Lines of text, one per error, each with its newline. Zero-initialised is empty; config_errors_free releases. */
struct config_errors {
    struct buffer text;
    size_t count; /* also those beyond CONFIG_ERRORS_MAX, which have no line */
};

/*
 * Fills out (the caller's struct; its old contents are ignored) and returns OK; or BAD_REQUEST with errors filled and
 * out zeroed; or IO when the file cannot be read (one error says why). After OK the caller owns the strings and lists:
 * config_free.
 */
MUST_CHECK enum status config_load(
    const struct config_table *table, const struct config_input *input, void *out, struct config_errors *errors);

/* Releases what config_load put into settings. Harmless on zeroed memory. */
void config_free(const struct config_table *table, void *settings);

/* The text of errors, 0-terminated; "" when there is none. Valid until the next change. */
const char *config_errors_text(struct config_errors *errors);
void config_errors_free(struct config_errors *errors);

/* What --help-config prints: an example file with every key, its default and meaning. Appends to out. */
void config_help(const struct config_table *table, struct buffer *out);

/* The same as one Markdown table, for the documentation. Appends to out. */
void config_page(const struct config_table *table, struct buffer *out);

#endif
