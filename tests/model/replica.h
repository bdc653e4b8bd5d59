/*
 * replica: what one replica of the model holds, and what it makes of a write, a write-back and a notice.
 */
#ifndef TRILLIUM_TESTS_MODEL_REPLICA_H
#define TRILLIUM_TESTS_MODEL_REPLICA_H

#include "tests/model/rules.h"

/* A span, as a replica has it. A row's delete is open or closed in the same way (bit of `closed`). */
enum { SPAN_NONE, SPAN_OPEN, SPAN_CLOSED };

/* What one replica holds; also what one answered, and what a read merged. Rows under a span are dropped. */
struct held {
    uint8_t row[MESSAGES];
    uint8_t closed; /* bit i: the delete of message i is closed */
    uint8_t span;
};

_Static_assert(sizeof(struct held) == 4, "no padding: states are compared and hashed as bytes");

/* A message between a coordinator and a replica. Above IN_FLIGHT: what was answered. */
enum { NOT_SENT, IN_FLIGHT, ANSWER_OK, ANSWER_DEAD_ROW, ANSWER_DEAD_SPAN, ANSWER_DOMINATED, ANSWER_OTHER };

bool under_span(const struct rules_run *run, const struct held *held, unsigned message);
/* A write or a span delete arrives; returns the answer. */
uint8_t replica_apply(struct rules_run *run, const struct op *op, struct held *held);
/* It learns all that `news` holds; deletes arrive as open. Also how a read merges. */
void replica_take(struct rules_run *run, struct held *held, const struct held *news);
/* A coordinator makes a delete known that it met as DEAD: the message's own, or the span. */
void replica_take_delete(struct rules_run *run, uint8_t dead_by, unsigned message, struct held *held);
/* A notice: false when there is nothing open to close. */
bool replica_close_row(const struct rules_run *run, struct held *held, unsigned message);
bool replica_close_span(struct held *held);

/* What a digest tells apart: visible rows and open deletes. */
struct held held_digest(const struct rules_run *run, const struct held *held);
/* The same content without the flags that say who knows of it. */
struct held held_bare(const struct held *held);
bool held_equal(const struct held *a, const struct held *b);

#endif
