/*
 * escape: leaving a call from wherever it is, also from a fiber's stack. The simulator's death of a daemon uses it: the
 * env's die() jumps out of reactor_turn(), and everything of the dead daemon is then dropped with its memory scope.
 *
 *   struct escape escape;
 *   if (!escape_run(&escape, turn, daemon)) ... daemon died inside turn(daemon)
 *
 * Nothing on the way is unwound: no fiber ends, no list is put in order, the memory scope that was entered stays
 * entered. What the call touched must not be used again. Runs may be nested, each with an escape of its own.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_ESCAPE_H
#define TRILLIUM_COMMON_RUNTIME_ESCAPE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>

struct escape {
    jmp_buf registers;
    bool running;
    bool switched;      /* the jump left a fiber's stack */
    const void *bottom; /* of the stack that escape_run was called on; known under sanitizers only */
    size_t size;
};

/* Calls body(argument). True when it returned, false when escape_jump ended it. */
bool escape_run(struct escape *escape, void (*body)(void *argument), void *argument);
/* As escape_run, for an escape that has been run on this thread before: does not look for the stack's bounds again,
   which costs a read of /proc/self/maps under sanitizers. */
bool escape_run_again(struct escape *escape, void (*body)(void *argument), void *argument);
/* On the thread that is inside escape_run with this escape. */
__attribute__((noreturn)) void escape_jump(struct escape *escape);

#endif
