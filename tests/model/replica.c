#include "tests/model/replica.h"

static uint8_t merge(struct rules_run *run, uint8_t a, uint8_t b)
{
    return rows_merge(run->rows, a, b);
}

bool under_span(const struct rules_run *run, const struct held *held, unsigned message)
{
    return held->span != SPAN_NONE && (run->span_covers >> message & 1);
}

static void drop_what_is_dead(const struct rules_run *run, struct held *held)
{
    for (unsigned i = 0; i < MESSAGES; i++)
        if (under_span(run, held, i) && !rows_deleted(run->rows, held->row[i])) held->row[i] = ROW_NONE;
}

/* The create that a row holds, without edits. */
static uint8_t create_of(const struct rows *rows, uint8_t row)
{
    for (unsigned write = ROW_CREATE_A; write <= ROW_CREATE_B; write++)
        if (rows->row[write].create_digest == rows->row[row].create_digest) return (uint8_t)write;
    return ROW_NONE;
}

/* What a replica makes of a row that it merges in, by the rules that are on. */
static uint8_t take_row(struct rules_run *run, uint8_t held, uint8_t row)
{
    const struct row *old = &run->rows->row[held], *new = &run->rows->row[row];
    if (run->off[RULE_DELETE_FINAL] && old->is_deleted && new->has_create) return row;
    if (run->off[RULE_LARGER_CREATE] && old->has_create && new->has_create && old->create_digest != new->create_digest)
        return held;
    if (run->off[RULE_EDIT_BEATS_CREATE] && !old->is_deleted && new->has_create) return row;
    if (run->off[RULE_EDITS_BY_STAMP] && row == ROW_EDIT_1 && !old->is_deleted)
        return merge(run, create_of(run->rows, held), row);
    if (run->off[RULE_EDIT_NEVER_CREATES] && !new->has_create && !new->is_deleted && !old->has_create)
        return merge(run, merge(run, held, row), ROW_HOLLOW);
    if (run->off[RULE_PENDING_KEPT] && !new->has_create && !new->is_deleted && !old->has_create) return held;
    return merge(run, held, row);
}

/* The state of one replica, or of a read's merge, after it learned all that `news` holds; deletes arrive as open. */
void replica_take(struct rules_run *run, struct held *held, const struct held *news)
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        bool was_deleted = rows_deleted(run->rows, held->row[i]);
        held->row[i] = run->off[RULE_LARGER_CREATE] || run->off[RULE_DELETE_FINAL]
                           ? take_row(run, held->row[i], news->row[i])
                           : merge(run, held->row[i], news->row[i]);
        bool arrives_closed = run->off[RULE_WRITE_BACK_OPEN] && rows_deleted(run->rows, news->row[i]);
        if (arrives_closed || (!was_deleted && (news->closed >> i & 1))) held->closed |= 1 << i;
        if (!rows_deleted(run->rows, held->row[i])) held->closed &= ~(1 << i);
    }
    if (news->span > held->span) held->span = news->span;
    if (news->span && run->off[RULE_WRITE_BACK_OPEN]) held->span = SPAN_CLOSED;
    drop_what_is_dead(run, held);
}

/* The same content without the flags that say who knows of it. */
struct held held_bare(const struct held *held)
{
    struct held content = *held;
    content.closed = 0;
    content.span = held->span != SPAN_NONE;
    return content;
}

bool held_equal(const struct held *a, const struct held *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* What a digest tells apart: visible rows and open deletes. */
struct held held_digest(const struct rules_run *run, const struct held *held)
{
    struct held digest = {0};
    for (unsigned i = 0; i < MESSAGES; i++) {
        bool open = rows_deleted(run->rows, held->row[i]) && !(held->closed >> i & 1);
        if (rows_visible(run->rows, held->row[i]) || (open && !run->off[RULE_DIGEST_OPEN]))
            digest.row[i] = held->row[i];
    }
    if (held->span == SPAN_OPEN && !run->off[RULE_DIGEST_OPEN]) digest.span = SPAN_OPEN;
    return digest;
}

/* A write or a span delete arrives at a replica. Returns its answer. */
uint8_t replica_apply(struct rules_run *run, const struct op *op, struct held *held)
{
    if (op->kind == OP_SPAN) {
        if (held->span == SPAN_NONE) held->span = SPAN_OPEN;
        drop_what_is_dead(run, held);
        return ANSWER_OK;
    }
    uint8_t *row = &held->row[op->message];
    bool ignored = run->off[RULE_DEAD_ANSWER];
    if (under_span(run, held, op->message) && !run->off[RULE_SPAN_FINAL]) return ignored ? ANSWER_OK : ANSWER_DEAD_SPAN;
    enum status status = rows_apply_status(run->rows, *row, op->row);
    if (status == STATUS_DEAD && !run->off[RULE_DELETE_FINAL]) return ignored ? ANSWER_OK : ANSWER_DEAD_ROW;
    *row = take_row(run, *row, op->row);
    if (!rows_deleted(run->rows, *row)) held->closed &= ~(1 << op->message);
    if (status == STATUS_DOMINATED) return run->off[RULE_DOMINATED_NOT_OK] ? ANSWER_OK : ANSWER_DOMINATED;
    return status == STATUS_ID_TAKEN ? ANSWER_OTHER : ANSWER_OK;
}

/* A coordinator makes a delete known that it met as DEAD. */
void replica_take_delete(struct rules_run *run, uint8_t dead_by, unsigned message, struct held *held)
{
    if (dead_by == ANSWER_DEAD_ROW)
        held->row[message] = merge(run, held->row[message], ROW_DELETE);
    else if (held->span == SPAN_NONE)
        held->span = SPAN_OPEN;
    drop_what_is_dead(run, held);
}

bool replica_close_row(const struct rules_run *run, struct held *held, unsigned message)
{
    if (!rows_deleted(run->rows, held->row[message]) || (held->closed >> message & 1)) return false;
    held->closed |= 1 << message;
    return true;
}

bool replica_close_span(struct held *held)
{
    if (held->span != SPAN_OPEN) return false;
    held->span = SPAN_CLOSED;
    return true;
}
