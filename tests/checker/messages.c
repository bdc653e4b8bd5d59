#include "tests/checker/messages.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"

/* Minimum trees: leaves from `leaves` on, node i has children 2i and 2i + 1. */

void min_tree_init(struct min_tree *tree, size_t count)
{
    tree->leaves = 1;
    while (tree->leaves < count)
        tree->leaves *= 2;
    tree->nodes = mem_alloc(2 * tree->leaves * sizeof *tree->nodes);
    memset(tree->nodes, 0xff, 2 * tree->leaves * sizeof *tree->nodes);
}

void min_tree_free(struct min_tree *tree)
{
    mem_free(tree->nodes);
}

void min_tree_set(struct min_tree *tree, size_t at, uint64_t value)
{
    size_t node = at + tree->leaves;
    tree->nodes[node] = value;
    while (node /= 2) {
        uint64_t left = tree->nodes[2 * node], right = tree->nodes[2 * node + 1];
        tree->nodes[node] = left < right ? left : right;
    }
}

static void visit_node(const struct min_tree *tree, const struct min_query *query, size_t node, size_t low, size_t high)
{
    if (high <= query->first || low >= query->last || tree->nodes[node] > query->limit) return;
    if (high - low == 1) {
        query->visit(query->context, low);
        return;
    }
    size_t middle = (low + high) / 2;
    visit_node(tree, query, 2 * node, low, middle);
    visit_node(tree, query, 2 * node + 1, middle, high);
}

void min_tree_visit(const struct min_tree *tree, const struct min_query *query)
{
    visit_node(tree, query, 1, 0, tree->leaves);
}

/* Lowers every value in [first, last) to at most value, in a tree that is only asked point by point. */
static void range_lower(struct min_tree *tree, size_t first, size_t last, uint64_t value)
{
    for (size_t low = first + tree->leaves, high = last + tree->leaves; low < high; low /= 2, high /= 2) {
        if (low & 1) {
            if (value < tree->nodes[low]) tree->nodes[low] = value;
            low++;
        }
        if (high & 1) {
            high--;
            if (value < tree->nodes[high]) tree->nodes[high] = value;
        }
    }
}

static uint64_t range_value(const struct min_tree *tree, size_t at)
{
    uint64_t value = MESSAGES_NEVER;
    for (size_t node = at + tree->leaves; node; node /= 2)
        if (tree->nodes[node] < value) value = tree->nodes[node];
    return value;
}

/* Keys. */

struct key {
    uint64_t channel, id;
};

static int compare_keys(const void *left, const void *right)
{
    const struct key *a = left, *b = right;
    if (a->channel != b->channel) return a->channel < b->channel ? -1 : 1;
    return a->id == b->id ? 0 : a->id < b->id ? -1 : 1;
}

size_t messages_lower(const struct messages *messages, uint64_t channel, uint64_t id)
{
    struct key key = {channel, id};
    size_t low = 0, high = messages->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        struct key at = {messages->all[middle].channel, messages->all[middle].id};
        if (compare_keys(&at, &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct message *messages_find(const struct messages *messages, uint64_t channel, uint64_t id)
{
    size_t at = messages_lower(messages, channel, id);
    if (at == messages->count || messages->all[at].channel != channel || messages->all[at].id != id) return NULL;
    return &messages->all[at];
}

static bool has_id(const struct history_op *op)
{
    return op->kind <= HISTORY_DELETE || op->kind == HISTORY_GET || op->kind == HISTORY_STATUS;
}

static void collect_messages(struct messages *messages)
{
    const struct history *history = messages->history;
    struct key *keys = mem_alloc((history->ops_count + history->rows_count + 1) * sizeof *keys);
    size_t count = 0;
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (has_id(op)) keys[count++] = (struct key){op->channel, op->id};
        for (uint32_t row = 0; row < op->rows_count; row++)
            keys[count++] = (struct key){op->channel, history_rows(history, op)[row].id};
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    messages->all = mem_zalloc((count + 1) * sizeof *messages->all);
    for (size_t i = 0; i < count; i++) {
        if (i && compare_keys(&keys[i], &keys[i - 1]) == 0) continue;
        messages->all[messages->count++] = (struct message){.channel = keys[i].channel,
            .id = keys[i].id,
            .create_invoke = MESSAGES_NEVER,
            .create_ack = MESSAGES_NEVER,
            .delete_invoke = MESSAGES_NEVER,
            .delete_ack = MESSAGES_NEVER,
            .seen = MESSAGES_NEVER,
            .create_op = -1,
            .delete_op = -1,
            .seen_op = -1};
    }
    mem_free(keys);
}

/* Writes. */

int64_t op_rank_low(const struct history_op *op)
{
    if (op->kind == HISTORY_CREATE) return RANK_CREATE;
    return op->stamp ? op->stamp : RANK_EDIT_LOW;
}

int64_t op_rank_high(const struct history_op *op)
{
    if (op->kind == HISTORY_CREATE) return RANK_CREATE;
    return op->stamp ? op->stamp : RANK_EDIT_HIGH;
}

static void note_delete(struct message *message, const struct history_op *op, ptrdiff_t index)
{
    if (op->invoke < message->delete_invoke) message->delete_invoke = op->invoke;
    if (op->outcome == HISTORY_UNKNOWN || !op_is_strong(op) || op->ret >= message->delete_ack) return;
    message->delete_ack = op->ret;
    message->delete_op = index;
}

static void note_write(struct message *message, const struct history_op *op, ptrdiff_t index)
{
    message->writes_count++;
    if (op->outcome == HISTORY_DELETED) {
        /* Whoever says so has made a delete known to a quorum; that somebody deleted it, R3 checks. */
        if (op_is_strong(op) && op->ret < message->delete_ack) {
            message->delete_ack = op->ret;
            message->delete_op = index;
        }
        return;
    }
    if (op->kind != HISTORY_CREATE) return;
    if (op->outcome != HISTORY_REFUSED && op->invoke < message->create_invoke) message->create_invoke = op->invoke;
    if (op->outcome == HISTORY_OK && op_is_strong(op) && op->ret < message->create_ack) {
        message->create_ack = op->ret;
        message->create_op = index;
    }
}

static void note_ops(struct messages *messages)
{
    const struct history *history = messages->history;
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        struct message *message = has_id(op) ? messages_find(messages, op->channel, op->id) : NULL;
        if (message == NULL) continue;
        if (op->kind <= HISTORY_EDIT) {
            note_write(message, op, (ptrdiff_t)i);
            /* A create whose answer is DELETED may have been stored and seen. */
            if (op->kind == HISTORY_CREATE && op->outcome == HISTORY_DELETED && op->invoke < message->create_invoke)
                message->create_invoke = op->invoke;
        } else if (op->outcome != HISTORY_REFUSED &&
                   (op->kind == HISTORY_DELETE || (op->kind == HISTORY_STATUS && op->state == HISTORY_NEVER))) {
            note_delete(message, op, (ptrdiff_t)i);
        }
    }
}

static void note_spans(struct messages *messages)
{
    const struct history *history = messages->history;
    struct min_tree invokes, acks;
    min_tree_init(&invokes, messages->count + 1);
    min_tree_init(&acks, messages->count + 1);
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (op->kind != HISTORY_SPAN || op->outcome == HISTORY_REFUSED || op->id > op->id2) continue;
        size_t first = messages_lower(messages, op->channel, op->id),
               last = messages_lower(messages, op->channel, op->id2);
        if (last < messages->count && messages->all[last].channel == op->channel && messages->all[last].id == op->id2)
            last++;
        range_lower(&invokes, first, last, op->invoke);
        if (op->outcome != HISTORY_UNKNOWN && op_is_strong(op)) range_lower(&acks, first, last, op->ret);
    }
    for (size_t i = 0; i < messages->count; i++) {
        struct message *message = &messages->all[i];
        uint64_t invoke = range_value(&invokes, i), ack = range_value(&acks, i);
        if (invoke < message->delete_invoke) message->delete_invoke = invoke;
        if (ack >= message->delete_ack) continue;
        message->delete_ack = ack;
        message->delete_op = -1;
    }
    min_tree_free(&invokes);
    min_tree_free(&acks);
}

static int compare_acked(const void *left, const void *right)
{
    const struct acked *a = left, *b = right;
    if (a->message != b->message) return a->message < b->message ? -1 : 1;
    if (a->ret != b->ret) return a->ret < b->ret ? -1 : 1;
    return a->op < b->op ? -1 : a->op > b->op;
}

/* Groups writes by message, and acked edits with the highest rank so far. */
static void group_writes(struct messages *messages)
{
    const struct history *history = messages->history;
    size_t next = 0, acked_count = 0;
    for (size_t i = 0; i < messages->count; i++) {
        messages->all[i].writes_first = next;
        next += messages->all[i].writes_count;
        messages->all[i].writes_count = 0;
    }
    messages->writes = mem_alloc((next + 1) * sizeof *messages->writes);
    messages->acked = mem_alloc((next + 1) * sizeof *messages->acked);
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (op->kind > HISTORY_EDIT) continue;
        struct message *message = messages_find(messages, op->channel, op->id);
        messages->writes[message->writes_first + message->writes_count++] = i;
        if (op->kind == HISTORY_EDIT && op->outcome == HISTORY_OK && op_is_strong(op))
            messages->acked[acked_count++] =
                (struct acked){(size_t)(message - messages->all), op->ret, op_rank_low(op), (ptrdiff_t)i};
    }
    if (acked_count > 0) qsort(messages->acked, acked_count, sizeof *messages->acked, compare_acked);
    for (size_t i = 0; i < acked_count; i++) {
        struct acked *acked = &messages->acked[i];
        struct message *message = &messages->all[acked->message];
        if (message->acked_count++ == 0)
            message->acked_first = i;
        else if (acked[-1].rank > acked->rank) {
            acked->rank = acked[-1].rank;
            acked->op = acked[-1].op;
        }
    }
}

void messages_build(struct messages *messages, const struct history *history)
{
    *messages = (struct messages){.history = history};
    collect_messages(messages);
    note_ops(messages);
    note_spans(messages);
    group_writes(messages);
}

void messages_free(struct messages *messages)
{
    mem_free(messages->all);
    mem_free(messages->writes);
    mem_free(messages->acked);
}
