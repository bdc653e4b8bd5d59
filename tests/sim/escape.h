/*
 * escape: leaving a simulated daemon for good from any depth and from any stack of it (a fiber's too). Whatever was
 * being done there is abandoned; its memory goes with the daemon's scope.
 */
#ifndef TRILLIUM_TESTS_SIM_ESCAPE_H
#define TRILLIUM_TESTS_SIM_ESCAPE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>

struct env;

struct escape {
    jmp_buf at;
    const void *stack; /* of the thread that escape_run was called on */
    size_t stack_bytes;
};

/* Calls function. True when it was left by escape_leave, false when it returned. */
bool escape_run(
    struct escape *escape, void (*function)(struct env *env, void *argument), struct env *env, void *argument);
__attribute__((noreturn)) void escape_leave(struct escape *escape);

#endif
