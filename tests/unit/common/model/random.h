/* random: rows, spans and values from a seeded stream, for property tests. */
#ifndef TRILLIUM_TESTS_UNIT_COMMON_MODEL_RANDOM_H
#define TRILLIUM_TESTS_UNIT_COMMON_MODEL_RANDOM_H

#include "common/base/prng.h"
#include "common/model/merge.h"

/* A create, an edit or a delete, over few columns, stamps and values, so that they collide. Appended to out. */
struct bytes random_write(struct prng *prng, struct buffer *out);
/* What up to three writes make together; out is reserved before, so that earlier views stay. */
struct bytes random_row(struct prng *prng, struct buffer *out);
/* A random valid value of the type, at most 12 bytes of text or blob, in out. */
struct bytes random_value(struct prng *prng, enum column_type type, uint8_t out[64]);
/* "0a1b" into out; returns the bytes. */
struct bytes from_hex(const char *hex, uint8_t *out, size_t size);

#endif
