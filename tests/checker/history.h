/*
 * history: what clients did and saw, operation by operation, as the checker reads it: from the simulator or from real
 * processes. The text form is one line per operation of `key=value` words (docs/formats/history.md). One thread.
 *
 * Times are of one clock for all clients, in any unit. Bodies are hashes of everything visible in a message; each
 * version of each message has a body of its own, so a body says which version was seen.
 */
#ifndef TRILLIUM_TESTS_CHECKER_HISTORY_H
#define TRILLIUM_TESTS_CHECKER_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/status.h"

enum history_kind {
    HISTORY_CREATE, /* id, body */
    HISTORY_EDIT,   /* id, version, body, stamp */
    HISTORY_DELETE, /* id */
    HISTORY_SPAN,   /* deletes ids id..id2 */
    HISTORY_GET,    /* id -> one row or none */
    HISTORY_LIST,   /* bound, id, limit, oldest_first -> rows, more */
    HISTORY_STATUS, /* id -> state */
    HISTORY_VIEW,   /* what one replica (client) shows of a whole channel after convergence -> rows */
    HISTORY_KINDS,
};

enum history_level { HISTORY_ONE = 1, HISTORY_QUORUM = 2, HISTORY_ALL = 3 };

enum history_outcome {
    HISTORY_OK,
    HISTORY_SUPERSEDED, /* done, but a newer edit stays visible */
    HISTORY_REFUSED,    /* had no effect */
    HISTORY_UNKNOWN,
    HISTORY_DELETED, /* the message is gone for ever */
};

enum history_bound { HISTORY_NEWEST, HISTORY_OLDEST, HISTORY_BEFORE, HISTORY_AFTER, HISTORY_AROUND };
enum history_state { HISTORY_PRESENT, HISTORY_ABSENT, HISTORY_NEVER };

struct history_row {
    uint64_t id, body;
};

struct history_op {
    uint8_t kind, level, outcome, bound, state;
    bool oldest_first, more;
    uint32_t client, session, version, limit;
    uint32_t scan; /* pages of one scan share a number above 0 */
    uint64_t channel, id, id2, body;
    int64_t stamp; /* of an edit; 0: not known */
    uint64_t invoke, ret;
    uint32_t rows_first, rows_count; /* in history.rows */
    uint32_t line;                   /* where it was read from, or its number from 1 */
};

/* Zero-initialised is empty. */
struct history {
    struct history_op *ops;
    struct history_row *rows;
    size_t ops_count, ops_capacity, rows_count, rows_capacity;
};

void history_free(struct history *history);
struct history history_copy(const struct history *history);
/* Adds an operation with its rows (rows_first and rows_count are set here). Returns its index. */
size_t history_add(
    struct history *history, const struct history_op *op, const struct history_row *rows, uint32_t count);
static inline const struct history_row *history_rows(const struct history *history, const struct history_op *op)
{
    return history->rows + op->rows_first;
}

/* One line with its newline into out; returns the length, cut at size. */
size_t history_print_op(const struct history *history, const struct history_op *op, char *out, size_t size);
void history_write(const struct history *history, FILE *file);
/* BAD_REQUEST: *line is the malformed line. Empty lines and those that begin with # are skipped. */
enum status history_read(struct history *history, FILE *file, uint32_t *line) MUST_CHECK;

const char *history_kind_name(enum history_kind kind);

#endif
