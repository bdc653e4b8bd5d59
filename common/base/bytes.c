#include "common/base/bytes.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    if (order != 0) return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

static const uint8_t *take(struct reader *reader, size_t size)
{
    if (reader_left(reader) < size) {
        reader_fail(reader);
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at += size;
    return at;
}

uint8_t read_u8(struct reader *reader)
{
    const uint8_t *at = take(reader, 1);
    return at ? *at : 0;
}

uint16_t read_u16(struct reader *reader)
{
    const uint8_t *at = take(reader, 2);
    uint16_t value = 0;
    if (at) memcpy(&value, at, 2);
    return value;
}

uint32_t read_u32(struct reader *reader)
{
    const uint8_t *at = take(reader, 4);
    uint32_t value = 0;
    if (at) memcpy(&value, at, 4);
    return value;
}

uint64_t read_u64(struct reader *reader)
{
    const uint8_t *at = take(reader, 8);
    uint64_t value = 0;
    if (at) memcpy(&value, at, 8);
    return value;
}

uint64_t read_u64_be(struct reader *reader)
{
    return __builtin_bswap64(read_u64(reader));
}

uint64_t read_varint(struct reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = read_u8(reader);
        if (reader->failed) return 0;
        if (shift == 63 && byte > 1) break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80) continue;
        if (byte == 0 && shift > 0) break; /* not minimal */
        return value;
    }
    reader_fail(reader);
    return 0;
}

int64_t read_varint_signed(struct reader *reader)
{
    uint64_t value = read_varint(reader);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

struct bytes read_bytes(struct reader *reader, size_t size)
{
    const uint8_t *at = take(reader, size);
    return at ? bytes_of(at, size) : bytes_of(NULL, 0);
}

struct bytes read_sized(struct reader *reader)
{
    uint64_t size = read_varint(reader);
    if (size > reader_left(reader)) {
        reader_fail(reader);
        return bytes_of(NULL, 0);
    }
    return read_bytes(reader, (size_t)size);
}

static uint8_t *room(struct writer *writer, size_t size)
{
    if (writer->failed || (size_t)(writer->end - writer->at) < size) {
        writer->failed = true;
        return NULL;
    }
    uint8_t *at = writer->at;
    writer->at += size;
    return at;
}

void write_u8(struct writer *writer, uint8_t value)
{
    uint8_t *at = room(writer, 1);
    if (at) *at = value;
}

void write_u16(struct writer *writer, uint16_t value)
{
    uint8_t *at = room(writer, 2);
    if (at) memcpy(at, &value, 2);
}

void write_u32(struct writer *writer, uint32_t value)
{
    uint8_t *at = room(writer, 4);
    if (at) memcpy(at, &value, 4);
}

void write_u64(struct writer *writer, uint64_t value)
{
    uint8_t *at = room(writer, 8);
    if (at) memcpy(at, &value, 8);
}

void write_u64_be(struct writer *writer, uint64_t value)
{
    write_u64(writer, __builtin_bswap64(value));
}

static size_t varint_encode(uint8_t out[10], uint64_t value)
{
    size_t size = 0;
    while (value >= 0x80) {
        out[size++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[size++] = (uint8_t)value;
    return size;
}

void write_varint(struct writer *writer, uint64_t value)
{
    uint8_t encoded[10];
    size_t size = varint_encode(encoded, value);
    uint8_t *at = room(writer, size);
    if (at) memcpy(at, encoded, size);
}

void write_varint_signed(struct writer *writer, int64_t value)
{
    write_varint(writer, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

void write_bytes(struct writer *writer, struct bytes bytes)
{
    uint8_t *at = room(writer, bytes.size);
    if (at && bytes.size) memcpy(at, bytes.data, bytes.size);
}

void write_sized(struct writer *writer, struct bytes bytes)
{
    write_varint(writer, bytes.size);
    write_bytes(writer, bytes);
}

size_t varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >= 0x80) {
        value >>= 7;
        size++;
    }
    return size;
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t size)
{
    if (buffer->capacity - buffer->size < size) {
        size_t capacity = buffer->capacity ? buffer->capacity : 64;
        while (capacity - buffer->size < size) {
            CHECK(capacity <= SIZE_MAX / 4);
            capacity *= 2;
        }
        buffer->data = mem_realloc(buffer->data, capacity);
        buffer->capacity = capacity;
    }
    return buffer->data ? buffer->data + buffer->size : NULL;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (size == 0) return;
    uint8_t *at = buffer_reserve(buffer, size);
    CHECK(at != NULL);
    memcpy(at, data, size);
    buffer->size += size;
}

void buffer_append_varint(struct buffer *buffer, uint64_t value)
{
    uint8_t *at = buffer_reserve(buffer, 10);
    CHECK(at != NULL);
    buffer->size += varint_encode(at, value);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CHECK(size >= 0);
    vsnprintf((char *)buffer_reserve(buffer, (size_t)size + 1), (size_t)size + 1, format, again);
    va_end(again);
    buffer->size += (size_t)size;
}

void buffer_free(struct buffer *buffer)
{
    mem_free(buffer->data);
    *buffer = (struct buffer){0};
}
