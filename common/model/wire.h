/*
 * wire: the small pieces that the encodings of this room share. Private to common/model.
 */
#ifndef TRILLIUM_COMMON_MODEL_WIRE_H
#define TRILLIUM_COMMON_MODEL_WIRE_H

#include "common/base/bytes.h"
#include "common/base/check.h"

/* Signed numbers as unsigned ones that are small when they are near 0; differences wrap around. */
static inline uint64_t zigzag(uint64_t value)
{
    return value << 1 ^ -(value >> 63);
}

static inline void append_u8(struct buffer *out, uint8_t value)
{
    buffer_append(out, &value, 1);
}

static inline void append_u64(struct buffer *out, uint64_t value)
{
    buffer_append(out, &value, 8);
}

static inline void append_signed(struct buffer *out, int64_t value)
{
    buffer_append_varint(out, zigzag((uint64_t)value));
}

/* A zero-terminated text that lies in size bytes. */
static inline void append_text(struct buffer *out, const char *text, size_t size)
{
    size_t length = strnlen(text, size);
    CHECK(length < size);
    buffer_append_varint(out, length);
    buffer_append(out, text, length);
}

/* Copies a text that fits into size bytes with its zero and has none inside; else the reader fails. */
static inline void decode_text(struct reader *reader, char *out, size_t size)
{
    struct bytes text = read_sized(reader);
    if (text.size >= size || (text.size > 0 && memchr(text.data, 0, text.size))) {
        reader_fail(reader);
        return;
    }
    if (text.size > 0) memcpy(out, text.data, text.size);
    out[text.size] = 0;
}

static inline uint32_t decode_u32(struct reader *reader)
{
    uint64_t value = read_varint(reader);
    if (value > UINT32_MAX) reader_fail(reader);
    return (uint32_t)value;
}

#endif
