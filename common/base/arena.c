#include "common/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"

/* Most requests are small: they get by with one small chunk. */
enum { FIRST_CHUNK_BYTES = 2 * 1024, CHUNK_BYTES = 16 * 1024 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    _Alignas(16) unsigned char data[];
};

void *arena_alloc(struct arena *arena, size_t size)
{
    CHECK(size <= ((size_t)1 << 40));
    size = (size + 15) & ~(size_t)15;
    if (arena->chunks == NULL || arena->chunks->size - arena->used < size) {
        size_t usual = arena->chunks ? CHUNK_BYTES : FIRST_CHUNK_BYTES;
        size_t want = size > usual ? size : usual;
        struct arena_chunk *chunk = mem_alloc(sizeof *chunk + want);
        chunk->next = arena->chunks;
        chunk->size = want;
        arena->chunks = chunk;
        arena->used = 0;
    }
    void *at = arena->chunks->data + arena->used;
    arena->used += size;
    arena->total += size;
    return at;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    return memset(arena_alloc(arena, size), 0, size);
}

void *arena_copy(struct arena *arena, const void *data, size_t size)
{
    void *copy = arena_alloc(arena, size);
    if (size) memcpy(copy, data, size);
    return copy;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CHECK(size >= 0);
    char *text = arena_alloc(arena, (size_t)size + 1);
    vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    return text;
}

static void drop(struct arena_chunk *chunk)
{
    while (chunk) {
        struct arena_chunk *next = chunk->next;
        mem_free(chunk);
        chunk = next;
    }
}

void arena_reset(struct arena *arena)
{
    struct arena_chunk *chunk = arena->chunks;
    if (chunk) {
        drop(chunk->next);
        chunk->next = NULL;
        if (chunk->size > CHUNK_BYTES) {
            drop(chunk);
            arena->chunks = NULL;
        }
    }
    arena->used = arena->total = 0;
}

void arena_free(struct arena *arena)
{
    drop(arena->chunks);
    *arena = (struct arena){0};
}
