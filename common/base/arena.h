/*
 * arena: memory of one request, freed as a whole. Grows in chunks; nothing in it is freed alone.
 * Zero-initialised is valid and empty. Not thread-safe.
 */
#ifndef TRILLIUM_COMMON_BASE_ARENA_H
#define TRILLIUM_COMMON_BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t used;                /* bytes handed out from the newest chunk */
    size_t total;               /* bytes handed out in all */
};

/* 16-byte aligned, contents undefined, never NULL. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_zalloc(struct arena *arena, size_t size);
void *arena_copy(struct arena *arena, const void *data, size_t size);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Forgets the contents and keeps one chunk for reuse. */
void arena_reset(struct arena *arena);
/* Frees everything; the arena is empty and usable afterwards. */
void arena_free(struct arena *arena);

#endif
