#include "common/model/key.h"

#include "common/base/check.h"
#include "common/model/token.h"

int64_t key_channel_token(uint64_t channel)
{
    return token_of_u64(channel);
}

static const uint64_t sign_bit = UINT64_C(1) << 63;

void key_channel(uint64_t channel, uint8_t out[KEY_CHANNEL_BYTES])
{
    uint64_t ordered = __builtin_bswap64(channel ^ sign_bit);
    token_write(token_of_u64(channel), out);
    memcpy(out + KEY_TOKEN_BYTES, &ordered, 8);
}

void key_message(uint64_t channel, uint64_t id, uint8_t out[KEY_MESSAGE_BYTES])
{
    key_channel(channel, out);
    key_message_id(id, out + KEY_CHANNEL_BYTES);
}

bool key_message_parse(struct bytes key, uint64_t *channel, uint64_t *id)
{
    if (key.size != KEY_MESSAGE_BYTES) return false;
    uint64_t ordered;
    memcpy(&ordered, key.data + KEY_TOKEN_BYTES, 8);
    uint64_t found = __builtin_bswap64(ordered) ^ sign_bit;
    if (token_read(key.data) != token_of_u64(found)) return false;
    *channel = found;
    *id = key_message_id_read(key.data + KEY_CHANNEL_BYTES);
    return true;
}

void key_message_id(uint64_t id, uint8_t out[8])
{
    uint64_t ordered = __builtin_bswap64(~id);
    memcpy(out, &ordered, 8);
}

uint64_t key_message_id_read(const uint8_t in[8])
{
    uint64_t ordered;
    memcpy(&ordered, in, 8);
    return ~__builtin_bswap64(ordered);
}

/* Strings: a zero byte becomes 00 FF, the end is 00 00. */
static void write_string(struct bytes value, struct writer *out)
{
    size_t from = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (value.data[i] != 0) continue;
        write_bytes(out, bytes_of(value.data + from, i + 1 - from));
        write_u8(out, 0xff);
        from = i + 1;
    }
    if (from < value.size) write_bytes(out, bytes_of(value.data + from, value.size - from));
    write_u16(out, 0);
}

static uint64_t load_be(const uint8_t *data, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++)
        number = number << 8 | data[i];
    return number;
}

static void store_be(uint64_t number, size_t size, uint8_t *out)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(number >> (8 * (size - 1 - i)));
}

/* Java's total order: negative numbers upside down, one NaN above everything. */
static uint64_t float_order(uint64_t bits, unsigned width)
{
    uint64_t sign = UINT64_C(1) << (8 * width - 1), all = sign | (sign - 1);
    uint64_t infinity = width == 4 ? UINT64_C(0x7f800000) : UINT64_C(0x7ff0000000000000);
    uint64_t nan = width == 4 ? UINT64_C(0x7fc00000) : UINT64_C(0x7ff8000000000000);
    if ((bits & ~sign) > infinity) bits = nan;
    return bits & sign ? bits ^ all : bits ^ sign;
}

static uint64_t float_unorder(uint64_t ordered, unsigned width)
{
    uint64_t sign = UINT64_C(1) << (8 * width - 1), all = sign | (sign - 1);
    return ordered & sign ? ordered ^ sign : ordered ^ all;
}

/* Cassandra's order of uuids: by version, then version 1 by its time and the others by their first half as a number,
   then the second half as a number. Both forms move the version (bits 12..15) to the top. */
static uint64_t uuid_order(uint64_t high)
{
    uint64_t version = high >> 12 & 15;
    if (version == 1) return high << 48 | (high >> 16 & 0xffff) << 32 | high >> 32;
    return version << 60 | (high >> 16) << 12 | (high & 0xfff);
}

static uint64_t uuid_unorder(uint64_t ordered)
{
    uint64_t version = ordered >> 60;
    if (version == 1) return ordered << 32 | (ordered >> 32 & 0xffff) << 16 | ordered >> 48;
    return (ordered >> 12 & 0xffffffffffff) << 16 | version << 12 | (ordered & 0xfff);
}

void key_write_value(enum column_type type, enum column_role role, struct bytes value, struct writer *out)
{
    CHECK(value_is_valid(type, value));
    if (type == TYPE_TEXT || type == TYPE_BLOB) {
        write_string(value, out);
        return;
    }
    unsigned width = column_type_width(type);
    uint64_t number = load_be(value.data, width < 8 ? width : 8);
    uint8_t encoded[16];
    switch (type) {
    case TYPE_UUID:
        store_be(uuid_order(number), 8, encoded);
        memcpy(encoded + 8, value.data + 8, 8);
        break;
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
        store_be(float_order(number, width), width, encoded);
        break;
    case TYPE_BOOLEAN:
        encoded[0] = (uint8_t)number;
        break;
    default: /* integers; a snowflake is unsigned */
        if (role != ROLE_ID) number ^= UINT64_C(1) << (8 * width - 1);
        store_be(number, width, encoded);
    }
    write_bytes(out, bytes_of(encoded, width));
}

enum status key_partition_serialise(const struct table *table, const struct bytes *values, struct writer *out)
{
    bool composite = table->partition_count > 1;
    for (unsigned i = 0; i < table->partition_count; i++) {
        if (values[i].size > UINT16_MAX) return STATUS_TOO_BIG;
        if (composite) {
            write_u8(out, (uint8_t)(values[i].size >> 8));
            write_u8(out, (uint8_t)values[i].size);
        }
        write_bytes(out, values[i]);
        if (composite) write_u8(out, 0);
    }
    return writer_ok(out) ? STATUS_OK : STATUS_TOO_BIG;
}

enum { SERIALISED_MAX = KEY_BYTES_MAX + 3 * KEY_COLUMNS_MAX };

enum status key_encode_partition(const struct table *table, const struct bytes *values, struct writer *out)
{
    uint8_t serialised[SERIALISED_MAX];
    struct writer input = writer_of(serialised, sizeof serialised);
    enum status status = key_partition_serialise(table, values, &input);
    if (status != STATUS_OK) return status;
    uint8_t token[KEY_TOKEN_BYTES];
    token_write(token_of(writer_bytes(&input)), token);
    write_bytes(out, bytes_of(token, sizeof token));
    for (unsigned i = 0; i < table->partition_count; i++)
        key_write_value(table->partition[i].type, table->partition[i].role, values[i], out);
    return writer_ok(out) && writer_size(out) <= KEY_BYTES_MAX ? STATUS_OK : STATUS_TOO_BIG;
}

enum status key_encode_clustering(
    const struct table *table, const struct bytes *values, unsigned count, struct writer *out)
{
    CHECK(count <= table->clustering_count);
    for (unsigned i = 0; i < count; i++) {
        const struct column *column = &table->clustering[i];
        uint8_t *from = out->at;
        key_write_value(column->type, column->role, values[i], out);
        if (!column->descending) continue;
        for (uint8_t *at = from; at < out->at; at++)
            *at = (uint8_t) ~*at;
    }
    return writer_ok(out) && writer_size(out) <= KEY_BYTES_MAX ? STATUS_OK : STATUS_TOO_BIG;
}

/* Takes a string of the arena's memory apart; mask is 0xff for a descending column. */
static struct bytes read_string(struct reader *reader, uint8_t mask, struct arena *arena)
{
    size_t left = reader_left(reader), size = 0;
    uint8_t *value = arena_alloc(arena, left ? left : 1);
    for (;;) {
        uint8_t byte = read_u8(reader) ^ mask;
        if (!reader_ok(reader)) break;
        if (byte != 0) {
            value[size++] = byte;
            continue;
        }
        uint8_t next = read_u8(reader) ^ mask;
        if (next == 0 && reader_ok(reader)) return bytes_of(value, size);
        if (next != 0xff) reader_fail(reader);
        value[size++] = 0;
    }
    return bytes_of(value, 0);
}

static struct bytes read_fixed(struct reader *reader, const struct column *column, uint8_t mask, struct arena *arena)
{
    unsigned width = column_type_width(column->type);
    struct bytes encoded = read_bytes(reader, width);
    uint8_t *value = arena_alloc(arena, width);
    if (!reader_ok(reader)) return bytes_of(value, 0);
    for (unsigned i = 0; i < width; i++)
        value[i] = encoded.data[i] ^ mask;
    uint64_t number = load_be(value, width < 8 ? width : 8);
    switch (column->type) {
    case TYPE_UUID:
        store_be(uuid_unorder(number), 8, value);
        break;
    case TYPE_FLOAT:
    case TYPE_DOUBLE:
        store_be(float_unorder(number, width), width, value);
        break;
    case TYPE_BOOLEAN:
        break;
    default:
        if (column->role != ROLE_ID) number ^= UINT64_C(1) << (8 * width - 1);
        store_be(number, width, value);
    }
    return bytes_of(value, width);
}

static struct bytes read_value(struct reader *reader, const struct column *column, struct arena *arena)
{
    uint8_t mask = column->descending ? 0xff : 0;
    if (column_type_width(column->type) == 0) return read_string(reader, mask, arena);
    return read_fixed(reader, column, mask, arena);
}

/* What was read is what the encoder would have written: valid values, one NaN, the right token. */
static bool key_is_canonical(const struct table *table, const struct key_values *values, struct bytes key)
{
    for (unsigned i = 0; i < table->partition_count; i++)
        if (!value_is_valid(table->partition[i].type, values->partition[i])) return false;
    for (unsigned i = 0; i < values->clustering_count; i++)
        if (!value_is_valid(table->clustering[i].type, values->clustering[i])) return false;
    uint8_t again[KEY_BYTES_MAX];
    struct writer writer = writer_of(again, sizeof again);
    return key_encode_partition(table, values->partition, &writer) == STATUS_OK &&
           key_encode_clustering(table, values->clustering, values->clustering_count, &writer) == STATUS_OK &&
           bytes_equal(writer_bytes(&writer), key);
}

enum status key_decode(const struct table *table, struct bytes key, struct arena *arena, struct key_values *out)
{
    if (key.size < KEY_TOKEN_BYTES || key.size > KEY_BYTES_MAX) return STATUS_BAD_REQUEST;
    struct key_values values = {.token = token_read(key.data)};
    struct reader reader = reader_of(key);
    read_bytes(&reader, KEY_TOKEN_BYTES);
    for (unsigned i = 0; i < table->partition_count; i++)
        values.partition[i] = read_value(&reader, &table->partition[i], arena);
    while (reader_left(&reader) > 0 && values.clustering_count < table->clustering_count) {
        const struct column *column = &table->clustering[values.clustering_count];
        values.clustering[values.clustering_count++] = read_value(&reader, column, arena);
    }
    if (!reader_done(&reader) || !key_is_canonical(table, &values, key)) return STATUS_BAD_REQUEST;
    *out = values;
    return STATUS_OK;
}
