/*
 * json: reads and writes JSON text without building trees: the fields of one object as slices of the text.
 *
 * Slices keep what people wrote: a number of forty digits comes back digit by digit (docs/decisions/0055). The whole
 * value is checked: grammar of RFC 8259, UTF-8, no lone surrogate, at most JSON_DEPTH_MAX deep. Pure; thread-safe.
 */
#ifndef TRILLIUM_MSGCTL_JSON_H
#define TRILLIUM_MSGCTL_JSON_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"

enum { JSON_DEPTH_MAX = 128 };

enum json_type {
    JSON_TYPE_NULL,
    JSON_TYPE_FALSE,
    JSON_TYPE_TRUE,
    JSON_TYPE_NUMBER,
    JSON_TYPE_STRING,
    JSON_TYPE_OBJECT,
    JSON_TYPE_ARRAY
};

/* "null", "a number", "a string", ... for messages to people. */
const char *json_type_name(enum json_type type);

struct json_value {
    enum json_type type;
    bool escaped;     /* a string with backslashes in it */
    struct bytes raw; /* as written; of a string what lies between its quotes */
};

struct json_field {
    bool key_escaped;
    struct bytes key; /* between its quotes */
    struct json_value value;
};

struct json_scan {
    const uint8_t *start, *at, *end;
    const char *problem; /* after JSON_BROKEN */
    bool begun;
};

enum json_step { JSON_FIELD, JSON_END, JSON_BROKEN };

/* text is one object with nothing but blanks around it, and outlives the slices. */
static inline struct json_scan json_scan_of(struct bytes text)
{
    return (struct json_scan){text.data, text.data, text.data + text.size, NULL, false};
}
/* The next field; END only after the whole text was found right. BROKEN: see problem, and at for the place. */
enum json_step json_next(struct json_scan *scan, struct json_field *out);

/* The characters that a checked string stands for: the slice itself, or a copy in arena. data is never NULL. */
struct bytes json_text(struct bytes raw, bool escaped, struct arena *arena);

/* Appends a checked value without blanks between its tokens. */
void json_append_compact(struct buffer *out, struct bytes text);
/* Appends text as a string with its quotes. Bytes that are no UTF-8 become U+FFFD. */
void json_append_string(struct buffer *out, struct bytes text);
void json_append_u64(struct buffer *out, uint64_t number);
void json_append_i64(struct buffer *out, int64_t number);

#endif
