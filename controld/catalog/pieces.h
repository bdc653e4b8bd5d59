/* pieces: the small pieces that the encodings of this room share. Private to controld/catalog. */
#ifndef TRILLIUM_CONTROLD_CATALOG_PIECES_H
#define TRILLIUM_CONTROLD_CATALOG_PIECES_H

#include "common/base/bytes.h"
#include "common/base/uuid.h"

static inline void append_u8(struct buffer *out, uint8_t value)
{
    buffer_append(out, &value, 1);
}

static inline void append_u64(struct buffer *out, uint64_t value)
{
    struct writer writer = writer_of(buffer_reserve(out, 8), 8);
    write_u64(&writer, value);
    out->size += 8;
}

static inline void append_u64_be(struct buffer *out, uint64_t value)
{
    struct writer writer = writer_of(buffer_reserve(out, 8), 8);
    write_u64_be(&writer, value);
    out->size += 8;
}

static inline void append_signed(struct buffer *out, int64_t value)
{
    struct writer writer = writer_of(buffer_reserve(out, 10), 10);
    write_varint_signed(&writer, value);
    out->size += writer_size(&writer);
}

static inline void append_uuid(struct buffer *out, const struct uuid *uuid)
{
    buffer_append(out, uuid->bytes, sizeof uuid->bytes);
}

static inline void append_text(struct buffer *out, const char *text)
{
    size_t size = strlen(text);
    buffer_append_varint(out, size);
    buffer_append(out, text, size);
}

/* Above most the reader fails, and 0 is returned. */
static inline uint32_t read_at_most(struct reader *reader, uint64_t most)
{
    uint64_t value = read_varint(reader);
    if (value > most) reader_fail(reader);
    return reader_ok(reader) ? (uint32_t)value : 0;
}

static inline void read_uuid(struct reader *reader, struct uuid *out)
{
    struct bytes bytes = read_bytes(reader, sizeof out->bytes);
    if (reader_ok(reader)) memcpy(out->bytes, bytes.data, sizeof out->bytes);
}

/* Fails the reader when the text does not fit into size bytes with its zero, or holds a zero. */
static inline void read_text(struct reader *reader, char *out, size_t size)
{
    struct bytes text = read_sized(reader);
    if (!reader_ok(reader)) return;
    if (text.size >= size || (text.size && memchr(text.data, 0, text.size))) {
        reader_fail(reader);
        return;
    }
    if (text.size) memcpy(out, text.data, text.size);
    out[text.size] = 0;
}

#endif
