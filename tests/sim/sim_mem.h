/*
 * sim_mem: memory of the simulator itself. It must outlive the simulated daemons, so it never joins the memory scope
 * that happens to be entered.
 */
#ifndef TRILLIUM_TESTS_SIM_SIM_MEM_H
#define TRILLIUM_TESTS_SIM_SIM_MEM_H

#include "common/base/mem.h"

/* Zeroed; free with mem_free. */
static inline void *sim_alloc(size_t size)
{
    struct mem_scope *entered = mem_scope_enter(NULL);
    void *block = mem_zalloc(size);
    mem_scope_enter(entered);
    return block;
}

static inline void *sim_realloc(void *block, size_t size)
{
    struct mem_scope *entered = mem_scope_enter(NULL);
    block = mem_realloc(block, size);
    mem_scope_enter(entered);
    return block;
}

static inline char *sim_strdup(const char *text)
{
    struct mem_scope *entered = mem_scope_enter(NULL);
    char *copy = mem_strdup(text);
    mem_scope_enter(entered);
    return copy;
}

#endif
