#include "tests/checker/checker.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "tests/checker/messages.h"

/* What one strong read says of one message. */
struct observation {
    size_t message;
    uint64_t invoke, ret;
    int64_t rank_low, rank_high; /* RANK_GONE: absent after it was known to exist */
    size_t op;
};

struct checker {
    const struct history *history;
    struct check_result *result;
    struct messages messages;
    struct observation *observations;
    size_t count, capacity;
};

/* Which operation breaks a rule, although another one was done, on which message (or NULL). */
struct blame {
    size_t op;
    ptrdiff_t because;
    const struct message *message;
};

static void violate(struct checker *checker, uint32_t rule, struct blame blame, const char *text)
{
    struct check_result *result = checker->result;
    result->by_rule[rule]++;
    if (result->violations_count++ >= CHECK_VIOLATIONS_MAX) return;
    struct check_violation *violation = &result->violations[result->violations_count - 1];
    *violation =
        (struct check_violation){.rule = rule, .op = (ptrdiff_t)blame.op, .because = blame.because, .text = text};
    if (blame.message) {
        violation->channel = blame.message->channel;
        violation->id = blame.message->id;
    }
}

static void observe(struct checker *checker, const struct message *message, size_t op, int64_t low, int64_t high)
{
    if (checker->count == checker->capacity) {
        checker->capacity = checker->capacity ? checker->capacity * 2 : 1024;
        checker->observations = mem_realloc(checker->observations, checker->capacity * sizeof *checker->observations);
    }
    const struct history_op *read = &checker->history->ops[op];
    checker->observations[checker->count++] =
        (struct observation){(size_t)(message - checker->messages.all), read->invoke, read->ret, low, high, op};
}

/* R8, and the part of R2 and R3 that speaks of writes. */
static void check_writes(struct checker *checker)
{
    const struct history *history = checker->history;
    for (size_t m = 0; m < checker->messages.count; m++) {
        const struct message *message = &checker->messages.all[m];
        ptrdiff_t create = -1;
        for (size_t i = 0; i < message->writes_count; i++) {
            size_t index = checker->messages.writes[message->writes_first + i];
            const struct history_op *op = &history->ops[index];
            if (op->kind == HISTORY_CREATE) {
                if (create >= 0 && history->ops[create].body != op->body)
                    violate(checker, 8, (struct blame){index, create, message}, "an id is used for two messages");
                create = (ptrdiff_t)index;
            }
            if (op->outcome == HISTORY_OK && op_is_strong(op) && message->delete_ack <= op->invoke)
                violate(checker, 2, (struct blame){index, message->delete_op, message},
                    "a write is acked under an acked delete");
            if (op->outcome == HISTORY_DELETED && message->delete_invoke >= op->ret)
                violate(checker, 3, (struct blame){index, CHECK_NONE, message}, "DELETED, but nobody deleted it");
        }
    }
}

/* The write whose body a row shows: the earliest that was not refused. */
static ptrdiff_t find_version(
    const struct checker *checker, const struct message *message, uint64_t body, bool *refused)
{
    ptrdiff_t found = -1;
    *refused = false;
    for (size_t i = 0; i < message->writes_count; i++) {
        size_t index = checker->messages.writes[message->writes_first + i];
        const struct history_op *op = &checker->history->ops[index];
        if (op->body != body) continue;
        if (op->outcome == HISTORY_REFUSED)
            *refused = true;
        else if (found < 0 || op->invoke < checker->history->ops[found].invoke)
            found = (ptrdiff_t)index;
    }
    return found;
}

/* R3, R2 and the version part of R1 for a message that a read shows. */
static void check_seen(struct checker *checker, size_t index, const struct history_row *row)
{
    const struct history_op *read = &checker->history->ops[index];
    struct message *message = messages_find(&checker->messages, read->channel, row->id);
    bool refused;
    ptrdiff_t version = find_version(checker, message, row->body, &refused);
    if (version < 0) {
        violate(checker, 3, (struct blame){index, CHECK_NONE, message},
            refused ? "shows what was refused" : "shows a body that nobody wrote");
        return;
    }
    const struct history_op *write = &checker->history->ops[version];
    if (write->invoke >= read->ret)
        violate(checker, 3, (struct blame){index, version, message}, "shows a version from the future");
    else if (message->create_invoke >= read->ret)
        violate(checker, 3, (struct blame){index, version, message}, "shows a message without a create");
    if (!op_is_strong(read)) return;
    if (message->delete_ack <= read->invoke)
        violate(checker, 2, (struct blame){index, message->delete_op, message},
            "shows a message after its delete was acked");
    /* The newest of the edits acked before the read began. */
    size_t low = message->acked_first, high = low + message->acked_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (checker->messages.acked[middle].ret <= read->invoke)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > message->acked_first) {
        const struct acked *acked = &checker->messages.acked[low - 1];
        if (op_rank_high(write) < acked->rank) {
            bool own = checker->history->ops[acked->op].session == read->session;
            violate(checker, own ? 4 : 1, (struct blame){index, acked->op, message},
                "shows a version older than an acked edit");
        }
    }
    observe(checker, message, index, op_rank_low(write), op_rank_high(write));
    if (read->ret < message->seen) {
        message->seen = read->ret;
        message->seen_op = (ptrdiff_t)index;
    }
}

/* A strong read does not show a message that it covers. */
static void check_absent(struct checker *checker, size_t index, struct message *message)
{
    const struct history_op *read = &checker->history->ops[index];
    bool acked = message->create_ack <= read->invoke, seen = message->seen <= read->invoke;
    if (!acked && !seen) return;
    if (message->delete_invoke < read->ret) {
        observe(checker, message, index, RANK_GONE, RANK_GONE);
        return;
    }
    ptrdiff_t because = acked ? message->create_op : message->seen_op;
    if (!acked)
        violate(checker, 5, (struct blame){index, because, message}, "does not show what an earlier read showed");
    else if (checker->history->ops[because].session == read->session)
        violate(checker, 4, (struct blame){index, because, message}, "does not show its own session's acked message");
    else
        violate(checker, 1, (struct blame){index, because, message}, "does not show an acked message");
}

/* R7: what a page says of itself. */
static void check_page(struct checker *checker, size_t index)
{
    const struct history_op *read = &checker->history->ops[index];
    const struct history_row *rows = history_rows(checker->history, read);
    bool ascending = read->kind == HISTORY_VIEW ? read->rows_count > 1 && rows[0].id < rows[1].id : read->oldest_first;
    for (uint32_t i = 1; i < read->rows_count; i++)
        if (ascending ? rows[i - 1].id >= rows[i].id : rows[i - 1].id <= rows[i].id)
            violate(checker, 7, (struct blame){index, CHECK_NONE, NULL}, "rows are not in strict order");
    if (read->kind == HISTORY_VIEW) return;
    if (read->limit && read->rows_count > read->limit)
        violate(checker, 7, (struct blame){index, CHECK_NONE, NULL}, "above its limit");
    if (read->rows_count == 0 && read->more)
        violate(checker, 7, (struct blame){index, CHECK_NONE, NULL}, "an empty page with more");
    for (uint32_t i = 0; i < read->rows_count; i++)
        if ((read->bound == HISTORY_BEFORE && rows[i].id >= read->id) ||
            (read->bound == HISTORY_AFTER && rows[i].id <= read->id))
            violate(checker, 7, (struct blame){index, CHECK_NONE, NULL}, "a row beyond its bound");
}

/* The ids that a page speaks of, inclusive: what is not in it there does not exist. False when none. */
static bool page_interval(const struct history *history, const struct history_op *read, uint64_t *low, uint64_t *high)
{
    const struct history_row *rows = history_rows(history, read);
    uint64_t least = UINT64_MAX, most = 0;
    uint32_t newer = 0;
    for (uint32_t i = 0; i < read->rows_count; i++) {
        if (rows[i].id < least) least = rows[i].id;
        if (rows[i].id > most) most = rows[i].id;
        newer += rows[i].id > read->id;
    }
    *low = 0;
    *high = UINT64_MAX;
    if (read->kind == HISTORY_VIEW) return true;
    switch (read->bound) {
    case HISTORY_BEFORE:
        if (read->id == 0) return false;
        *high = read->id - 1;
        if (read->more) *low = least;
        break;
    case HISTORY_NEWEST:
        if (read->more) *low = least;
        break;
    case HISTORY_AFTER:
        if (read->id == UINT64_MAX) return false;
        *low = read->id + 1;
        if (read->more) *high = most;
        break;
    case HISTORY_OLDEST:
        if (read->more) *high = most;
        break;
    default: /* around: a side that is not filled has no more, unless the page was cut by its bytes */
        if (read->more) {
            if (read->rows_count == 0) return false;
            *low = least;
            *high = most;
            break;
        }
        if (newer >= (read->limit - 1) / 2) *high = most > read->id ? most : read->id;
        if (read->rows_count - newer >= read->limit - (read->limit - 1) / 2) *low = least < read->id ? least : read->id;
        break;
    }
    return *low <= *high;
}

static int compare_rows(const void *left, const void *right)
{
    const struct history_row *a = left, *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

struct covering {
    struct checker *checker;
    size_t index;
    struct history_row *rows; /* sorted */
    uint32_t count;
};

static void covered(void *context, size_t at)
{
    struct covering *covering = context;
    struct message *message = &covering->checker->messages.all[at];
    struct history_row key = {message->id, 0};
    if (covering->count && bsearch(&key, covering->rows, covering->count, sizeof key, compare_rows)) return;
    check_absent(covering->checker, covering->index, message);
}

struct moment {
    uint64_t at;
    size_t index;
};

static int compare_moments(const void *left, const void *right)
{
    const struct moment *a = left, *b = right;
    if (a->at != b->at) return a->at < b->at ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static void check_cover(struct checker *checker, size_t index, const struct min_tree *known)
{
    const struct history_op *read = &checker->history->ops[index];
    uint64_t low, high;
    if (!page_interval(checker->history, read, &low, &high)) return;
    size_t first = messages_lower(&checker->messages, read->channel, low);
    size_t last = high == UINT64_MAX ? messages_lower(&checker->messages, read->channel + 1, 0)
                                     : messages_lower(&checker->messages, read->channel, high + 1);
    if (read->channel == UINT64_MAX) last = checker->messages.count;
    struct covering covering = {checker, index, NULL, read->rows_count};
    covering.rows = mem_alloc((read->rows_count + 1) * sizeof *covering.rows);
    if (read->rows_count)
        memcpy(covering.rows, history_rows(checker->history, read), read->rows_count * sizeof *covering.rows);
    if (covering.count > 0) qsort(covering.rows, covering.count, sizeof *covering.rows, compare_rows);
    min_tree_visit(known, &(struct min_query){first, last, read->invoke, covered, &covering});
    mem_free(covering.rows);
}

/* R1 over the intervals of pages: by time, so that messages surely deleted before are no longer walked. */
static void check_covers(struct checker *checker)
{
    const struct history *history = checker->history;
    size_t reads_count = 0, deletes_count = 0, next = 0;
    struct moment *reads = mem_alloc((history->ops_count + 1) * sizeof *reads);
    struct moment *deletes = mem_alloc((checker->messages.count + 1) * sizeof *deletes);
    struct min_tree known;
    min_tree_init(&known, checker->messages.count);
    for (size_t m = 0; m < checker->messages.count; m++) {
        const struct message *message = &checker->messages.all[m];
        uint64_t from = message->create_ack < message->seen ? message->create_ack : message->seen;
        if (from != MESSAGES_NEVER) min_tree_set(&known, m, from);
        if (message->delete_ack != MESSAGES_NEVER) deletes[deletes_count++] = (struct moment){message->delete_ack, m};
    }
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        bool page = op->kind == HISTORY_LIST || op->kind == HISTORY_VIEW;
        if (page && op->outcome == HISTORY_OK && op_is_strong(op))
            reads[reads_count++] = (struct moment){op->invoke, i};
    }
    qsort(reads, reads_count, sizeof *reads, compare_moments);
    qsort(deletes, deletes_count, sizeof *deletes, compare_moments);
    for (size_t i = 0; i < reads_count; i++) {
        for (; next < deletes_count && deletes[next].at <= reads[i].at; next++)
            min_tree_set(&known, deletes[next].index, MESSAGES_NEVER);
        check_cover(checker, reads[i].index, &known);
    }
    min_tree_free(&known);
    mem_free(reads);
    mem_free(deletes);
}

static int compare_observations(const void *left, const void *right)
{
    const struct observation *a = left, *b = right;
    if (a->message != b->message) return a->message < b->message ? -1 : 1;
    if (a->invoke != b->invoke) return a->invoke < b->invoke ? -1 : 1;
    return a->op < b->op ? -1 : a->op > b->op;
}

static int compare_returns(const void *left, const void *right)
{
    const struct observation *a = *(struct observation *const *)left, *b = *(struct observation *const *)right;
    if (a->message != b->message) return a->message < b->message ? -1 : 1;
    if (a->ret != b->ret) return a->ret < b->ret ? -1 : 1;
    return a->op < b->op ? -1 : a->op > b->op;
}

/* R5: no read sees less than one that had returned before it began. */
static void check_monotonic(struct checker *checker)
{
    size_t count = checker->count, done = 0;
    if (count > 0) qsort(checker->observations, count, sizeof *checker->observations, compare_observations);
    struct observation **returns = mem_alloc((count + 1) * sizeof *returns), *highest = NULL;
    for (size_t i = 0; i < count; i++)
        returns[i] = &checker->observations[i];
    qsort(returns, count, sizeof *returns, compare_returns);
    for (size_t i = 0; i < count; i++) {
        const struct observation *read = &checker->observations[i];
        if (i == 0 || checker->observations[i - 1].message != read->message) {
            highest = NULL;
            while (done < count && returns[done]->message < read->message)
                done++;
        }
        for (; done < count && returns[done]->message == read->message && returns[done]->ret <= read->invoke; done++)
            if (highest == NULL || returns[done]->rank_low > highest->rank_low) highest = returns[done];
        if (highest && read->rank_high < highest->rank_low)
            violate(checker, 5, (struct blame){read->op, (ptrdiff_t)highest->op, &checker->messages.all[read->message]},
                highest->rank_low == RANK_GONE ? "shows what an earlier read found deleted"
                                               : "shows a version older than an earlier read showed");
    }
    mem_free(returns);
}

static int compare_scans(const void *left, const void *right)
{
    const struct history_op *a = *(struct history_op *const *)left, *b = *(struct history_op *const *)right;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    if (a->channel != b->channel) return a->channel < b->channel ? -1 : 1;
    if (a->scan != b->scan) return a->scan < b->scan ? -1 : 1;
    if (a->invoke != b->invoke) return a->invoke < b->invoke ? -1 : 1;
    return a < b ? -1 : a > b;
}

static bool same_rows(const struct history *history, const struct history_op *a, const struct history_op *b)
{
    const struct history_row *left = history_rows(history, a), *right = history_rows(history, b);
    if (a->rows_count != b->rows_count) return false;
    for (uint32_t i = 0; i < a->rows_count; i++)
        if (left[i].id != right[i].id || left[i].body != right[i].body) return false;
    return true;
}

/* R7 across the pages of a scan, and R6 between the views of a channel. */
static void check_sequences(struct checker *checker)
{
    const struct history *history = checker->history;
    const struct history_op **ops = mem_alloc((history->ops_count + 1) * sizeof *ops);
    size_t count = 0;
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (op->outcome == HISTORY_OK && ((op->kind == HISTORY_LIST && op->scan) || op->kind == HISTORY_VIEW))
            ops[count++] = op;
    }
    qsort(ops, count, sizeof *ops, compare_scans);
    for (size_t i = 1; i < count; i++) {
        const struct history_op *last = ops[i - 1], *op = ops[i];
        if (last->kind != op->kind || last->channel != op->channel || last->scan != op->scan) continue;
        size_t index = (size_t)(op - history->ops);
        ptrdiff_t because = last - history->ops;
        if (op->kind == HISTORY_VIEW) {
            if (!same_rows(history, last, op))
                violate(checker, 6, (struct blame){index, because, NULL}, "replicas differ");
        } else if (last->rows_count == 0 || op->id != history_rows(history, last)[last->rows_count - 1].id) {
            violate(checker, 7, (struct blame){index, because, NULL}, "does not go on where the last page ended");
        }
    }
    mem_free(ops);
}

static void check_reads(struct checker *checker)
{
    const struct history *history = checker->history;
    /* First everything that is seen, since it says since when absences matter. */
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (op->kind < HISTORY_GET || op->outcome != HISTORY_OK) continue;
        checker->result->reads++;
        checker->result->rows += op->rows_count;
        for (uint32_t row = 0; row < op->rows_count; row++)
            check_seen(checker, i, &history_rows(history, op)[row]);
        if (op->kind == HISTORY_LIST || op->kind == HISTORY_VIEW) check_page(checker, i);
        if (op->kind == HISTORY_STATUS && op->state == HISTORY_PRESENT) {
            struct message *message = messages_find(&checker->messages, op->channel, op->id);
            if (message->create_invoke >= op->ret)
                violate(checker, 3, (struct blame){i, CHECK_NONE, message}, "present, but never created");
            if (op_is_strong(op) && message->delete_ack <= op->invoke)
                violate(
                    checker, 2, (struct blame){i, message->delete_op, message}, "present after its delete was acked");
            if (op_is_strong(op)) observe(checker, message, i, RANK_CREATE, RANK_EDIT_HIGH);
        }
    }
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        bool nothing = (op->kind == HISTORY_GET && op->rows_count == 0) ||
                       (op->kind == HISTORY_STATUS && op->state == HISTORY_ABSENT);
        if (nothing && op->outcome == HISTORY_OK && op_is_strong(op))
            check_absent(checker, i, messages_find(&checker->messages, op->channel, op->id));
    }
}

void check_history(const struct history *history, struct check_result *result)
{
    *result = (struct check_result){0};
    struct checker checker = {.history = history, .result = result};
    messages_build(&checker.messages, history);
    check_writes(&checker);
    check_reads(&checker);
    check_covers(&checker);
    check_monotonic(&checker);
    check_sequences(&checker);
    result->messages = checker.messages.count;
    result->observations = checker.count;
    messages_free(&checker.messages);
    mem_free(checker.observations);
}

static void print_op(const struct history *history, ptrdiff_t index, const char *label, FILE *file)
{
    if (index < 0) return;
    char line[2000];
    history_print_op(history, &history->ops[index], line, sizeof line);
    line[strcspn(line, "\n")] = 0;
    fprintf(file, "  %s line %u: %s\n", label, history->ops[index].line, line);
}

void check_print(const struct history *history, const struct check_result *result, FILE *file)
{
    for (uint64_t i = 0; i < result->violations_count && i < CHECK_VIOLATIONS_MAX; i++) {
        const struct check_violation *violation = &result->violations[i];
        fprintf(file, "R%u %s: channel %" PRIu64 " message %" PRIu64 "\n", violation->rule, violation->text,
            violation->channel, violation->id);
        print_op(history, violation->op, "at", file);
        print_op(history, violation->because, "although", file);
    }
    fprintf(file, "%zu operations, %" PRIu64 " messages, %" PRIu64 " reads, %" PRIu64 " rows: %" PRIu64 " violations\n",
        history->ops_count, result->messages, result->reads, result->rows, result->violations_count);
}
