#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"

/*
 * Before each block: its header. Aligned blocks put the header right below the aligned address and remember the start.
 * A block of a scope is linked into it through a scoped header in front of the plain one, so plain blocks stay small.
 */
struct scoped {
    struct scoped *next, *previous;
    struct mem_scope *scope;
    uint64_t size;
};

struct header {
    void *start;         /* what free() takes */
    struct scoped *link; /* NULL outside scopes */
};

struct mem_scope {
    struct scoped list;
    uint64_t bytes, blocks;
};

_Static_assert(sizeof(struct header) == 16, "blocks stay 16-byte aligned");
_Static_assert(sizeof(struct scoped) % 16 == 0, "blocks stay 16-byte aligned");

static _Thread_local struct mem_scope *entered;
static _Thread_local uint64_t allocations;

static struct header *header_of(void *block)
{
    return (struct header *)block - 1;
}

static void join(struct scoped *link, size_t size)
{
    link->scope = entered;
    link->size = size;
    link->next = entered->list.next;
    link->previous = &entered->list;
    link->next->previous = link->previous->next = link;
    entered->bytes += size;
    entered->blocks++;
}

static void leave(struct scoped *link)
{
    link->next->previous = link->previous;
    link->previous->next = link->next;
    link->scope->bytes -= link->size;
    link->scope->blocks--;
}

static void *allocate(size_t alignment, size_t size, bool zero)
{
    size_t front = sizeof(struct header) + (entered ? sizeof(struct scoped) : 0);
    size_t slack = alignment > 16 ? alignment : 0;
    CHECK(size <= SIZE_MAX / 2);
    char *start = zero ? calloc(1, front + slack + size) : malloc(front + slack + size);
    CHECK(start != NULL);
    allocations++;
    uintptr_t at = (uintptr_t)start + front;
    if (slack) at = (at + alignment - 1) & ~(uintptr_t)(alignment - 1);
    struct header *header = header_of((void *)at);
    header->start = start;
    header->link = NULL;
    if (entered) {
        header->link = (struct scoped *)(void *)((char *)header - sizeof(struct scoped));
        join(header->link, size);
    }
    return (void *)at;
}

void *mem_alloc(size_t size)
{
    return allocate(16, size, false);
}

void *mem_zalloc(size_t size)
{
    return allocate(16, size, true);
}

void *mem_alloc_aligned(size_t alignment, size_t size)
{
    CHECK(alignment >= 16 && alignment <= 4096 && (alignment & (alignment - 1)) == 0);
    return allocate(alignment, size, false);
}

void *mem_realloc(void *block, size_t size)
{
    if (block == NULL) return mem_alloc(size);
    struct header *header = header_of(block);
    if (header->link) {
        uint64_t old = header->link->size;
        struct mem_scope *previous = mem_scope_enter(header->link->scope);
        void *moved = mem_alloc(size);
        mem_scope_enter(previous);
        memcpy(moved, block, old < size ? old : size);
        mem_free(block);
        return moved;
    }
    CHECK((char *)header == header->start);
    allocations++;
    header = realloc(header, sizeof *header + size);
    CHECK(header != NULL);
    header->start = header;
    return header + 1;
}

char *mem_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(mem_alloc(size), text, size);
}

void mem_free(void *block)
{
    if (block == NULL) return;
    struct header *header = header_of(block);
    if (header->link) leave(header->link);
    free(header->start);
}

struct mem_scope *mem_scope_create(void)
{
    struct mem_scope *scope = calloc(1, sizeof *scope);
    CHECK(scope != NULL);
    scope->list.next = scope->list.previous = &scope->list;
    return scope;
}

struct mem_scope *mem_scope_enter(struct mem_scope *scope)
{
    struct mem_scope *previous = entered;
    entered = scope;
    return previous;
}

void mem_scope_destroy(struct mem_scope *scope)
{
    if (scope == NULL) return;
    while (scope->list.next != &scope->list) {
        struct scoped *link = scope->list.next;
        leave(link);
        /* The scoped header is not always where the allocation starts (aligned blocks): the plain header knows. */
        free(((struct header *)(link + 1))->start);
    }
    free(scope);
}

uint64_t mem_scope_bytes(const struct mem_scope *scope)
{
    return scope->bytes;
}

uint64_t mem_scope_blocks(const struct mem_scope *scope)
{
    return scope->blocks;
}

uint64_t mem_allocations(void)
{
    return allocations;
}
