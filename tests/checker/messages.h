/*
 * messages: a history turned around: for each message its writes, when it was surely created, deleted, seen. Used by
 * the checker's rules only.
 */
#ifndef TRILLIUM_TESTS_CHECKER_MESSAGES_H
#define TRILLIUM_TESTS_CHECKER_MESSAGES_H

#include "tests/checker/history.h"

#define MESSAGES_NEVER UINT64_MAX

/* Where a version stands among the versions of its message. Edits whose stamp is unknown may stand anywhere above the
   create. */
#define RANK_CREATE (INT64_MIN + 1)
#define RANK_EDIT_LOW (INT64_MIN + 2)
#define RANK_EDIT_HIGH (INT64_MAX - 1)
#define RANK_GONE INT64_MAX

struct message {
    uint64_t channel, id;
    uint64_t create_invoke;                  /* of any create that was not refused */
    uint64_t create_ack;                     /* at QUORUM or ALL */
    uint64_t delete_invoke, delete_ack;      /* of any delete or span over it; ack at QUORUM or ALL */
    uint64_t seen;                           /* when the first strong read that showed it returned */
    ptrdiff_t create_op, delete_op, seen_op; /* witnesses of the acks; -1: none */
    size_t writes_first, writes_count;       /* in messages.writes: creates and edits */
    size_t acked_first, acked_count;         /* in messages.acked */
};

/* Acked edits of one message in order of return; rank is the highest so far, op its edit. */
struct acked {
    size_t message;
    uint64_t ret;
    int64_t rank;
    ptrdiff_t op;
};

struct messages {
    const struct history *history;
    struct message *all; /* by channel, id */
    size_t count;
    size_t *writes; /* op indexes, grouped by message */
    struct acked *acked;
};

void messages_build(struct messages *messages, const struct history *history);
void messages_free(struct messages *messages);
/* NULL: nothing in the history speaks of it. */
struct message *messages_find(const struct messages *messages, uint64_t channel, uint64_t id);
/* First message at or above (channel, id). */
size_t messages_lower(const struct messages *messages, uint64_t channel, uint64_t id);
int64_t op_rank_low(const struct history_op *op);
int64_t op_rank_high(const struct history_op *op);
static inline bool op_is_strong(const struct history_op *op)
{
    return op->level >= HISTORY_QUORUM;
}

/* A tree of minimums over positions 0..count-1. */
struct min_tree {
    uint64_t *nodes;
    size_t leaves;
};
void min_tree_init(struct min_tree *tree, size_t count);
void min_tree_free(struct min_tree *tree);
void min_tree_set(struct min_tree *tree, size_t at, uint64_t value);
/* Calls visit for each position in [first, last) with a value at most limit, ascending. */
struct min_query {
    size_t first, last;
    uint64_t limit;
    void (*visit)(void *context, size_t at);
    void *context;
};
void min_tree_visit(const struct min_tree *tree, const struct min_query *query);

#endif
