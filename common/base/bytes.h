/*
 * bytes: a view of memory, a bounded reader and a bounded writer. All parsing goes through the reader.
 *
 * Integers are little-endian unless the name says _be. A reader that runs out, or meets a malformed varint, becomes
 * *failed*: it returns zeros from then on, and the caller asks reader_ok() once at the end. A writer that runs out of
 * room becomes failed in the same way and writes nothing more. Neither owns the memory.
 */
#ifndef TRILLIUM_COMMON_BASE_BYTES_H
#define TRILLIUM_COMMON_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data;
    size_t size;
};

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){data, size};
}

static inline struct bytes bytes_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

/* memcmp order, a prefix sorts first. */
int bytes_compare(struct bytes a, struct bytes b);
static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

struct reader {
    const uint8_t *at, *end;
    bool failed;
};

static inline struct reader reader_of(struct bytes bytes)
{
    const uint8_t *data = bytes.data ? bytes.data : (const uint8_t *)""; /* NULL + 0 is undefined */
    return (struct reader){data, data + bytes.size, false};
}

static inline size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* True when nothing failed. */
static inline bool reader_ok(const struct reader *reader)
{
    return !reader->failed;
}

/* True when nothing failed and nothing is left over. */
static inline bool reader_done(const struct reader *reader)
{
    return !reader->failed && reader->at == reader->end;
}

static inline void reader_fail(struct reader *reader)
{
    reader->failed = true;
    reader->at = reader->end;
}

uint8_t read_u8(struct reader *reader);
uint16_t read_u16(struct reader *reader);
uint32_t read_u32(struct reader *reader);
uint64_t read_u64(struct reader *reader);
uint64_t read_u64_be(struct reader *reader);
/* LEB128; only the minimal form is accepted, at most 10 bytes. */
uint64_t read_varint(struct reader *reader);
/* Zigzag over read_varint. */
int64_t read_varint_signed(struct reader *reader);
/* A view of the next size bytes. */
struct bytes read_bytes(struct reader *reader, size_t size);
/* varint length, then that many bytes. */
struct bytes read_sized(struct reader *reader);

struct writer {
    uint8_t *start, *at, *end;
    bool failed;
};

static inline struct writer writer_of(void *data, size_t size)
{
    return (struct writer){data, data, (uint8_t *)data + size, false};
}

static inline size_t writer_size(const struct writer *writer)
{
    return (size_t)(writer->at - writer->start);
}

static inline struct bytes writer_bytes(const struct writer *writer)
{
    return (struct bytes){writer->start, writer_size(writer)};
}

static inline bool writer_ok(const struct writer *writer)
{
    return !writer->failed;
}

void write_u8(struct writer *writer, uint8_t value);
void write_u16(struct writer *writer, uint16_t value);
void write_u32(struct writer *writer, uint32_t value);
void write_u64(struct writer *writer, uint64_t value);
void write_u64_be(struct writer *writer, uint64_t value);
void write_varint(struct writer *writer, uint64_t value);
void write_varint_signed(struct writer *writer, int64_t value);
void write_bytes(struct writer *writer, struct bytes bytes);
void write_sized(struct writer *writer, struct bytes bytes);

/* Encoded size of a varint, 1..10. */
size_t varint_size(uint64_t value);

/* A growing byte string in mem_alloc memory. Zero-initialised is empty. Grows by doubling; buffer_free releases. */
struct buffer {
    uint8_t *data;
    size_t size, capacity;
};

/* Makes room for size more bytes and returns where they go (size is not added). */
uint8_t *buffer_reserve(struct buffer *buffer, size_t size);
void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_append_varint(struct buffer *buffer, uint64_t value);
/* Appends formatted text, without its 0. */
void buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
}
void buffer_free(struct buffer *buffer);
static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return (struct bytes){buffer->data, buffer->size};
}

#endif
