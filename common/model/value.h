/*
 * value: the types of columns and the bytes of their values.
 *
 * A value is its CQL serialisation: integers big-endian, text UTF-8, timestamp milliseconds since 1970. Pure functions.
 */
#ifndef TRILLIUM_COMMON_MODEL_VALUE_H
#define TRILLIUM_COMMON_MODEL_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"

/* Numbers are on disk and on the wire. */
enum column_type {
    TYPE_BIGINT = 1,
    TYPE_INT = 2,
    TYPE_SMALLINT = 3,
    TYPE_TINYINT = 4,
    TYPE_BOOLEAN = 5,
    TYPE_TEXT = 6,
    TYPE_BLOB = 7,
    TYPE_TIMESTAMP = 8,
    TYPE_UUID = 9,
    TYPE_FLOAT = 10,
    TYPE_DOUBLE = 11,
    TYPES_END,
};

const char *column_type_name(enum column_type type);
/* Bytes of every value of the type; 0 when they vary. */
unsigned column_type_width(enum column_type type);
/* True when the bytes are a value of the type: the width fits, text is UTF-8, a boolean is 0 or 1. */
bool value_is_valid(enum column_type type, struct bytes value);
/* True when the bytes are well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF). */
bool utf8_is_valid(struct bytes text);

/* Values of bigint, timestamp, int, smallint, tinyint, boolean as numbers. The value is valid for its type. */
int64_t value_to_int(enum column_type type, struct bytes value);
/* Writes the value into out and returns the view of it; the number fits the type. */
struct bytes value_of_int(enum column_type type, int64_t number, uint8_t out[8]);

#endif
