/*
 * rules: the data rules of messages tables on three replicas, as a model to explore (docs/TESTING.md).
 *
 * A run has at most RULES_OPS_MAX operations: creates, edits, deletes, span deletes and quorum reads with write-back. A
 * message that is late for ever is lost, a coordinator that never takes its next step has crashed: both are just steps
 * that are not taken, so every prefix is covered. Rows are real rows (rows.h). Each rule can be switched off.
 */
#ifndef TRILLIUM_TESTS_MODEL_RULES_H
#define TRILLIUM_TESTS_MODEL_RULES_H

#include "tests/model/explore.h"
#include "tests/model/rows.h"

enum { REPLICAS = 3, QUORUM = 2, MESSAGES = 2, RULES_OPS_MAX = 5 };

enum op_kind { OP_WRITE, OP_SPAN, OP_READ };

struct op {
    enum op_kind kind;
    uint8_t message; /* 0 or 1 */
    uint8_t row;     /* of a write: ROW_CREATE_A .. ROW_DELETE */
};

#define RULES(RULE)                                                                                                    \
    RULE(WRITE_QUORUM, "a write is acked by a quorum before it is done")                                               \
    RULE(READ_QUORUM, "a read asks a quorum")                                                                          \
    RULE(WRITE_BACK, "what a read answers is held by a quorum first")                                                  \
    RULE(DIGEST_OPEN, "a digest covers the open deletes")                                                              \
    RULE(CLOSE_AFTER_QUORUM, "a delete is closed only when a quorum has acked it")                                     \
    RULE(WRITE_BACK_OPEN, "a write-back carries deletes as open")                                                      \
    RULE(DELETE_FINAL, "a delete is final")                                                                            \
    RULE(SPAN_FINAL, "a span delete is final for the ids that it covers")                                              \
    RULE(DEAD_ANSWER, "a write under a delete is answered DEAD, not OK")                                               \
    RULE(DEAD_MADE_KNOWN, "a delete behind a DEAD is made known to a quorum before DELETED is answered")               \
    RULE(EDIT_NEVER_CREATES, "an edit never creates")                                                                  \
    RULE(PENDING_KEPT, "an edit before its create is kept")                                                            \
    RULE(EDIT_BEATS_CREATE, "an edit beats the create, also a create that arrives later")                              \
    RULE(EDITS_BY_STAMP, "of two edits the newer stamp wins, not the later arrival")                                   \
    RULE(DOMINATED_NOT_OK, "a dominated ack does not make a plain OK")                                                 \
    RULE(LARGER_CREATE, "of two creates of one id the larger digest wins on every replica")

#define RULE_NUMBER(name, text) RULE_##name,
enum rule { RULES(RULE_NUMBER) RULES_COUNT };
#undef RULE_NUMBER

const char *rule_name(enum rule rule);
const char *rule_text(enum rule rule);

struct rules_run {
    struct rows *rows;
    bool off[RULES_COUNT];
    unsigned ops_count;
    struct op ops[RULES_OPS_MAX];
    bool reads_overlap;  /* else a read starts after the one before it has merged */
    uint8_t span_covers; /* bit i: the span delete covers message i */
    bool preloaded;      /* message 0 was created and acked before: held by all three replicas, or by two */
    bool preloaded_both; /* message 0 is held by replicas 0 and 1, message 1 by 1 and 2 */
};

struct explore_result rules_explore(struct rules_run *run, uint64_t states_max, bool trace);

#endif
