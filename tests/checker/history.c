#include "tests/checker/history.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/mem.h"

static const char *const kind_names[HISTORY_KINDS] = {
    "create", "edit", "delete", "span", "get", "list", "status", "view"};
static const char *const level_names[] = {"none", "one", "quorum", "all", NULL};
static const char *const outcome_names[] = {"ok", "superseded", "refused", "unknown", "deleted", NULL};
static const char *const bound_names[] = {"newest", "oldest", "before", "after", "around", NULL};
static const char *const state_names[] = {"present", "absent", "never", NULL};

const char *history_kind_name(enum history_kind kind)
{
    return kind_names[kind];
}

void history_free(struct history *history)
{
    mem_free(history->ops);
    mem_free(history->rows);
    *history = (struct history){0};
}

struct history history_copy(const struct history *history)
{
    struct history copy = {0};
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        history_add(&copy, op, history_rows(history, op), op->rows_count);
    }
    return copy;
}

/* Room for one more run of items; doubles. */
static void *grown(void *items, size_t size, size_t needed, size_t *capacity)
{
    if (needed <= *capacity) return items;
    while (*capacity < needed)
        *capacity = *capacity ? *capacity * 2 : 64;
    return mem_realloc(items, *capacity * size);
}

size_t history_add(struct history *history, const struct history_op *op, const struct history_row *rows, uint32_t count)
{
    history->ops = grown(history->ops, sizeof *history->ops, history->ops_count + 1, &history->ops_capacity);
    history->rows = grown(history->rows, sizeof *history->rows, history->rows_count + count, &history->rows_capacity);
    struct history_op *added = &history->ops[history->ops_count];
    *added = *op;
    added->rows_first = (uint32_t)history->rows_count;
    added->rows_count = count;
    if (added->line == 0) added->line = (uint32_t)history->ops_count + 1;
    if (count) memcpy(history->rows + history->rows_count, rows, count * sizeof *rows);
    history->rows_count += count;
    return history->ops_count++;
}

/* Printing. */

struct out {
    char *at, *end;
};

__attribute__((format(printf, 2, 3))) static void print(struct out *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = (size_t)(out->end - out->at);
    int size = vsnprintf(out->at, room, format, arguments);
    va_end(arguments);
    out->at += (size_t)size < room ? (size_t)size : room ? room - 1 : 0;
}

size_t history_print_op(const struct history *history, const struct history_op *op, char *text, size_t size)
{
    struct out out = {text, text + size};
    print(&out, "%s client=%u session=%u level=%s channel=%" PRIu64, kind_names[op->kind], op->client, op->session,
        level_names[op->level], op->channel);
    if (op->kind != HISTORY_VIEW) print(&out, " id=%" PRIu64, op->id);
    if (op->kind == HISTORY_SPAN) print(&out, " id2=%" PRIu64, op->id2);
    if (op->kind == HISTORY_EDIT) print(&out, " version=%u stamp=%" PRId64, op->version, op->stamp);
    if (op->kind <= HISTORY_EDIT) print(&out, " body=%016" PRIx64, op->body);
    if (op->kind == HISTORY_STATUS) print(&out, " state=%s", state_names[op->state]);
    if (op->kind == HISTORY_LIST)
        print(&out, " bound=%s limit=%u oldest_first=%d more=%d scan=%u", bound_names[op->bound], op->limit,
            op->oldest_first, op->more, op->scan);
    print(&out, " invoke=%" PRIu64 " return=%" PRIu64 " outcome=%s", op->invoke, op->ret, outcome_names[op->outcome]);
    const struct history_row *rows = history_rows(history, op);
    for (uint32_t i = 0; i < op->rows_count; i++)
        print(&out, "%s%" PRIu64 ":%016" PRIx64, i ? "," : " rows=", rows[i].id, rows[i].body);
    print(&out, "\n");
    return (size_t)(out.at - text);
}

void history_write(const struct history *history, FILE *file)
{
    for (size_t i = 0; i < history->ops_count; i++) {
        size_t size = 512 + history->ops[i].rows_count * 48ul;
        char *line = mem_alloc(size);
        fwrite(line, 1, history_print_op(history, &history->ops[i], line, size), file);
        mem_free(line);
    }
}

/* Reading. */

static bool parse_name(const char *text, const char *const *names, uint8_t *out)
{
    for (uint8_t i = 0; names[i]; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = i;
            return true;
        }
    return false;
}

static bool parse_number(const char *text, int base, uint64_t *out)
{
    char *end;
    if (*text == 0 || *text == '-' || *text == '+') return false;
    *out = strtoull(text, &end, base);
    return *end == 0;
}

static bool parse_u32(const char *text, uint32_t *out)
{
    uint64_t value;
    if (!parse_number(text, 10, &value) || value > UINT32_MAX) return false;
    *out = (uint32_t)value;
    return true;
}

static bool parse_flag(const char *text, bool *out)
{
    *out = text[0] == '1';
    return (text[0] == '0' || text[0] == '1') && text[1] == 0;
}

struct parsed {
    struct history_op op;
    struct buffer rows;
};

static bool parse_rows(struct parsed *parsed, char *text)
{
    for (char *item; (item = strsep(&text, ","));) {
        struct history_row row;
        char *body = strchr(item, ':');
        if (body == NULL) return false;
        *body++ = 0;
        if (!parse_number(item, 10, &row.id) || !parse_number(body, 16, &row.body)) return false;
        buffer_append(&parsed->rows, &row, sizeof row);
    }
    return true;
}

static bool parse_word(struct parsed *parsed, const char *key, char *value)
{
    struct history_op *op = &parsed->op;
    if (strcmp(key, "client") == 0) return parse_u32(value, &op->client);
    if (strcmp(key, "session") == 0) return parse_u32(value, &op->session);
    if (strcmp(key, "level") == 0) return parse_name(value, level_names, &op->level);
    if (strcmp(key, "channel") == 0) return parse_number(value, 10, &op->channel);
    if (strcmp(key, "id") == 0) return parse_number(value, 10, &op->id);
    if (strcmp(key, "id2") == 0) return parse_number(value, 10, &op->id2);
    if (strcmp(key, "version") == 0) return parse_u32(value, &op->version);
    if (strcmp(key, "body") == 0) return parse_number(value, 16, &op->body);
    if (strcmp(key, "state") == 0) return parse_name(value, state_names, &op->state);
    if (strcmp(key, "bound") == 0) return parse_name(value, bound_names, &op->bound);
    if (strcmp(key, "limit") == 0) return parse_u32(value, &op->limit);
    if (strcmp(key, "oldest_first") == 0) return parse_flag(value, &op->oldest_first);
    if (strcmp(key, "more") == 0) return parse_flag(value, &op->more);
    if (strcmp(key, "scan") == 0) return parse_u32(value, &op->scan);
    if (strcmp(key, "invoke") == 0) return parse_number(value, 10, &op->invoke);
    if (strcmp(key, "return") == 0) return parse_number(value, 10, &op->ret);
    if (strcmp(key, "outcome") == 0) return parse_name(value, outcome_names, &op->outcome);
    if (strcmp(key, "rows") == 0) return parse_rows(parsed, value);
    if (strcmp(key, "stamp") == 0) {
        char *end;
        op->stamp = strtoll(value, &end, 10);
        return *value && *end == 0;
    }
    return false;
}

static bool parse_line(struct parsed *parsed, char *line)
{
    char *word = strsep(&line, " ");
    parsed->op = (struct history_op){.level = HISTORY_QUORUM};
    buffer_clear(&parsed->rows);
    while (parsed->op.kind < HISTORY_KINDS && strcmp(word, kind_names[parsed->op.kind]) != 0)
        parsed->op.kind++;
    if (parsed->op.kind == HISTORY_KINDS) return false;
    while ((word = strsep(&line, " "))) {
        if (*word == 0) continue;
        char *value = strchr(word, '=');
        if (value == NULL) return false;
        *value++ = 0;
        if (!parse_word(parsed, word, value)) return false;
    }
    return parsed->op.level >= HISTORY_ONE && parsed->op.invoke <= parsed->op.ret;
}

enum status history_read(struct history *history, FILE *file, uint32_t *line)
{
    struct parsed parsed = {0};
    char *text = NULL;
    size_t capacity = 0;
    enum status status = STATUS_OK;
    *line = 0;
    for (ssize_t size; (size = getline(&text, &capacity, file)) >= 0;) {
        ++*line;
        if (size && text[size - 1] == '\n') text[--size] = 0;
        if (size == 0 || text[0] == '#') continue;
        if (!parse_line(&parsed, text)) {
            status = STATUS_BAD_REQUEST;
            break;
        }
        parsed.op.line = *line;
        uint32_t rows = (uint32_t)(parsed.rows.size / sizeof(struct history_row));
        history_add(history, &parsed.op, (const struct history_row *)(void *)parsed.rows.data, rows);
    }
    free(text);
    buffer_free(&parsed.rows);
    return status;
}
