/* fibers: a reactor's fibers and its pool of stacks. Private to common/runtime. */
#ifndef TRILLIUM_COMMON_RUNTIME_FIBERS_H
#define TRILLIUM_COMMON_RUNTIME_FIBERS_H

#include <stdbool.h>

struct fibers;
struct reactor;

struct fibers *fibers_create(struct reactor *reactor, bool guarded);
/* No fiber lives. */
void fibers_destroy(struct fibers *fibers);

/* The reactor's one; defined in reactor.c. */
struct fibers *reactor_fibers(const struct reactor *reactor);

#endif
