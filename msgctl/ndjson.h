/*
 * ndjson: one line of JSON and one message (docs/formats/ndjson.md). A pure codec; thread-safe.
 *
 * What a line says comes back when the message is printed, as the same JSON values: fields that no column has, a
 * timestamp that is not the id's time, an edited_at in other words than ours and nulls are kept in the message's
 * `extra`. Two exceptions: numbers given as JSON numbers for ids come back as decimal strings, and a line without
 * timestamp gets one.
 */
#ifndef TRILLIUM_MSGCTL_NDJSON_H
#define TRILLIUM_MSGCTL_NDJSON_H

#include "client/trillium.h"
#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/status.h"

enum { NDJSON_LINE_BYTES_MAX = 1 << 20, NDJSON_FIELDS_MAX = 256, NDJSON_PROBLEM_BYTES = 160 };

struct ndjson_error {
    char field[48]; /* "" when the line as a whole is meant; control characters escaped */
    char problem[NDJSON_PROBLEM_BYTES];
};

/* The message's bytes point into line or live in arena. BAD_REQUEST: error says which field and what is wrong; TOO_BIG:
   a content above 65,536 bytes. */
enum status ndjson_decode(
    struct bytes line, struct arena *arena, struct trillium_message *out, struct ndjson_error *error) MUST_CHECK;

/* Appends the message as one line, its newline included. */
void ndjson_encode(const struct trillium_message *message, struct buffer *out);

#endif
