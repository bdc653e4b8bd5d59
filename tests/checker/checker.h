/*
 * checker: does a history keep the promises? Every id is written by one create and never used again, so each message is
 * judged alone and no search for an order is needed: O(n log n).
 *
 *   R1 durable       a create acked before a read began is in it (unless a delete began before the read ended), at a
 *                    version no older than the newest edit acked before the read began
 *   R2 no zombie     a delete acked before a read began keeps the message out of it; what is written under it is not OK
 *   R3 no invention  what a read shows was written, whole, before the read ended, and was not refused; no edit creates;
 *                    DELETED needs a delete
 *   R4 own writes    R1 for a writer's own session
 *   R5 monotonic     a read that begins after another ended sees nothing older; what was seen does not vanish undeleted
 *   R6 convergence   views of a channel by its replicas, after convergence, are equal
 *   R7 scans         pages are in strict order, within bounds and limits, never empty while more is true, and go on
 *                    where the last one ended (that they skip nothing is R1 over each page's interval)
 *   R8 once          an id has one body at its create
 *
 * R1, R2, R4 and R5 speak of reads and writes at QUORUM or ALL, R3 of all levels.
 */
#ifndef TRILLIUM_TESTS_CHECKER_CHECKER_H
#define TRILLIUM_TESTS_CHECKER_CHECKER_H

#include "tests/checker/history.h"

enum { CHECK_RULES = 9, CHECK_VIOLATIONS_MAX = 20, CHECK_NONE = -1 };

struct check_violation {
    uint32_t rule;
    ptrdiff_t op, because; /* indexes into the history; because may be CHECK_NONE */
    uint64_t channel, id;
    const char *text;
};

struct check_result {
    uint64_t violations_count; /* all; the first ones are kept */
    uint64_t by_rule[CHECK_RULES];
    struct check_violation violations[CHECK_VIOLATIONS_MAX];
    uint64_t messages, reads, rows, observations;
};

void check_history(const struct history *history, struct check_result *result);
/* Prints violations with the lines they speak of, then one line of counts. */
void check_print(const struct history *history, const struct check_result *result, FILE *file);

#endif
