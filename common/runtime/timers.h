/* timers: a reactor's running timers, a heap ordered by (time, order of starting). Private to common/runtime. */
#ifndef TRILLIUM_COMMON_RUNTIME_TIMERS_H
#define TRILLIUM_COMMON_RUNTIME_TIMERS_H

#include <stdint.h>

struct timer;

/* A copy of what decides the order, so that comparing does not touch the timers themselves. */
struct timers_entry {
    uint64_t at_ns, order;
    struct timer *timer;
};

/* heap_index of a timer is its place in entries, which starts at 1. Addresses never decide an order. */
struct timers {
    struct timers_entry *entries;
    uint32_t count, capacity;
    uint64_t next_order;
};

void timers_init(struct timers *timers);
void timers_fini(struct timers *timers);
/* Inserts, or moves when it runs already. */
void timers_set(struct timers *timers, struct timer *timer, uint64_t at_ns);
/* The timer must run. */
void timers_remove(struct timers *timers, struct timer *timer);
/* The earliest, or NULL. */
struct timer *timers_first(const struct timers *timers);

#endif
