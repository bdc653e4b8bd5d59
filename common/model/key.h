/*
 * key: physical keys, whose memcmp order is the order of every memtable, file and stream.
 *
 *   physical key = token (8 bytes) | partition key | clustering key      (docs/formats/keys.md)
 *
 * Each column is encoded so that memcmp orders as its type does, descending columns are complemented, and every
 * encoding is prefix-free, so a prefix of columns is a prefix of bytes. A message's key is 24 bytes, newest first.
 * Pure functions. Keys are at most KEY_BYTES_MAX.
 */
#ifndef TRILLIUM_COMMON_MODEL_KEY_H
#define TRILLIUM_COMMON_MODEL_KEY_H

#include "common/base/arena.h"
#include "common/model/schema.h"

enum { KEY_TOKEN_BYTES = 8, KEY_CHANNEL_BYTES = 16, KEY_MESSAGE_BYTES = 24 };

/* Messages tables. */

int64_t key_channel_token(uint64_t channel);
/* token | channel: the prefix that all keys of a channel share. */
void key_channel(uint64_t channel, uint8_t out[KEY_CHANNEL_BYTES]);
/* The whole key; newer ids sort first. */
void key_message(uint64_t channel, uint64_t id, uint8_t out[KEY_MESSAGE_BYTES]);
/* False when the bytes are no such key, its token included. */
bool key_message_parse(struct bytes key, uint64_t *channel, uint64_t *id);
/* The clustering part alone: 8 bytes, newest first. */
void key_message_id(uint64_t id, uint8_t out[8]);
uint64_t key_message_id_read(const uint8_t in[8]);

/* Tables of any kind. Values are valid for the types of the columns (value_is_valid). */

/* Cassandra's serialised partition key, the input of token_of; values has partition_count entries. TOO_BIG. */
enum status key_partition_serialise(
    const struct table *table, const struct bytes *values, struct writer *out) MUST_CHECK;
/* token | partition key; TOO_BIG when it does not fit into out. */
enum status key_encode_partition(const struct table *table, const struct bytes *values, struct writer *out) MUST_CHECK;
/* Appends the first count clustering columns; TOO_BIG when they do not fit. */
enum status key_encode_clustering(
    const struct table *table, const struct bytes *values, unsigned count, struct writer *out) MUST_CHECK;

struct key_values {
    int64_t token;
    unsigned clustering_count; /* how many the key had */
    struct bytes partition[KEY_COLUMNS_MAX];
    struct bytes clustering[KEY_COLUMNS_MAX];
};
/* Takes a key of all partition columns and any number of clustering columns apart; values live in the arena.
   BAD_REQUEST when it is not one that the functions above write (the token is compared too). */
enum status key_decode(
    const struct table *table, struct bytes key, struct arena *arena, struct key_values *out) MUST_CHECK;

/* One column, without direction: what the functions above are made of. */
void key_write_value(enum column_type type, enum column_role role, struct bytes value, struct writer *out);

#endif
