/*
 * context: where a stack of execution stands, and the switch from one to another. Knows stacks and registers, no
 * fibers.
 *
 * Switches are a _setjmp/_longjmp pair (30 ns a round trip); only the first entry to a stack goes through makecontext.
 * See docs/decisions/0010-fibers-by-setjmp.md. One thread at a time; a context stays with its thread once entered.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_CONTEXT_H
#define TRILLIUM_COMMON_RUNTIME_CONTEXT_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>

struct context {
    jmp_buf registers;
    bool fresh; /* made, not yet entered */
    void *stack;
    size_t size;
    void (*entry)(void *argument);
    void *argument;
    /* For the sanitizers: bounds of the stack, its fake stack, and who switched to it last. */
    const void *bottom;
    size_t bottom_size;
    void *fake_stack;
    struct context *entered_from;
};

/* The context of whoever calls: filled by its first context_switch away. */
void context_init(struct context *context);
/* A context that will run entry(argument) on the stack; entry never returns. */
void context_make(struct context *context, void *stack, size_t size, void (*entry)(void *argument), void *argument);
/* Saves where we are in from, goes on in to; returns when somebody switches to from. */
void context_switch(struct context *from, struct context *to);

#endif
