/*
 * token: the signed 64-bit Murmur3 of a partition key, exactly as Cassandra's Murmur3Partitioner computes it, its
 * sign extension of tail bytes included, and the smallest number replaced by the largest.
 *
 * The bytes hashed are Cassandra's serialised partition key: of one column its value's bytes; of several, for each
 * column a big-endian u16 length, the bytes and a zero byte. Pure functions; token_of(empty) is INT64_MIN as there.
 */
#ifndef TRILLIUM_COMMON_MODEL_TOKEN_H
#define TRILLIUM_COMMON_MODEL_TOKEN_H

#include <stdint.h>

#include "common/base/bytes.h"

int64_t token_of(struct bytes partition_key);
/* The token of a partition key that is one bigint, such as a channel. */
int64_t token_of_u64(uint64_t value);

/* Order-preserving: memcmp of the results orders as the tokens do (big-endian, sign bit flipped). */
void token_write(int64_t token, uint8_t out[8]);
int64_t token_read(const uint8_t in[8]);

#endif
