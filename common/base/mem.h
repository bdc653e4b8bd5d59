/*
 * mem: the allocator door. Everything that lives in a daemon is allocated here, never by malloc directly.
 *
 * Running out of memory is fatal (memory budgets are enforced above, long before). A *scope* collects the blocks that
 * a thread allocates while it is entered: the simulator enters one per simulated daemon, so that a simulated kill drops
 * all the daemon's memory at once, as a real kill does, and so that tests can count. Without a scope a block costs
 * nothing beyond malloc's own header and ours (16 bytes).
 */
#ifndef TRILLIUM_COMMON_BASE_MEM_H
#define TRILLIUM_COMMON_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* Never NULL. Contents undefined (mem_alloc) or zero (mem_zalloc). Free with mem_free from any thread. */
void *mem_alloc(size_t size) __attribute__((malloc, alloc_size(1)));
void *mem_zalloc(size_t size) __attribute__((malloc, alloc_size(1)));
/* Alignment: a power of two from 16 to 4096; freed by mem_free as well. */
void *mem_alloc_aligned(size_t alignment, size_t size) __attribute__((alloc_size(2)));
/* As realloc; block may be NULL. Not for aligned blocks. */
void *mem_realloc(void *block, size_t size) __attribute__((alloc_size(2)));
char *mem_strdup(const char *text);
void mem_free(void *block);

struct mem_scope;
struct mem_scope *mem_scope_create(void);
/* Makes scope (or NULL) the one that this thread's allocations join; returns the previous one. */
struct mem_scope *mem_scope_enter(struct mem_scope *scope);
/* Frees every block that is still in the scope, and the scope. */
void mem_scope_destroy(struct mem_scope *scope);
uint64_t mem_scope_bytes(const struct mem_scope *scope);
uint64_t mem_scope_blocks(const struct mem_scope *scope);

/* Allocations by this thread since its start, for "the hot path allocates nothing" tests. */
uint64_t mem_allocations(void);

#endif
