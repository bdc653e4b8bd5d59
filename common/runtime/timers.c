#include "common/runtime/timers.h"

#include <stdbool.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/runtime/reactor.h"

enum { CAPACITY_MIN = 64, TIMERS_MAX = 1 << 24 };

void timers_init(struct timers *timers)
{
    memset(timers, 0, sizeof *timers);
}

void timers_fini(struct timers *timers)
{
    CHECK(timers->count == 0);
    mem_free(timers->entries);
}

static bool is_before(const struct timers_entry *a, const struct timers_entry *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void place(struct timers *timers, const struct timers_entry *entry, uint32_t index)
{
    timers->entries[index] = *entry;
    entry->timer->heap_index = index;
}

static void move_up(struct timers *timers, const struct timers_entry *entry, uint32_t index)
{
    while (index > 1 && is_before(entry, &timers->entries[index / 2])) {
        place(timers, &timers->entries[index / 2], index);
        index /= 2;
    }
    place(timers, entry, index);
}

static void move_down(struct timers *timers, const struct timers_entry *entry, uint32_t index)
{
    for (;;) {
        uint32_t child = index * 2;
        if (child > timers->count) break;
        if (child < timers->count && is_before(&timers->entries[child + 1], &timers->entries[child])) child++;
        if (!is_before(&timers->entries[child], entry)) break;
        place(timers, &timers->entries[child], index);
        index = child;
    }
    place(timers, entry, index);
}

static void settle(struct timers *timers, const struct timers_entry *entry, uint32_t index)
{
    if (index > 1 && is_before(entry, &timers->entries[index / 2]))
        move_up(timers, entry, index);
    else
        move_down(timers, entry, index);
}

static void grow(struct timers *timers)
{
    if (timers->count + 1 < timers->capacity) return;
    CHECK(timers->count < TIMERS_MAX);
    timers->capacity = timers->capacity ? timers->capacity * 2 : CAPACITY_MIN;
    timers->entries = mem_realloc(timers->entries, timers->capacity * sizeof *timers->entries);
}

void timers_set(struct timers *timers, struct timer *timer, uint64_t at_ns)
{
    timer->at_ns = at_ns;
    timer->order = timers->next_order++;
    struct timers_entry entry = {timer->at_ns, timer->order, timer};
    if (timer->heap_index) {
        CHECK(timers->entries[timer->heap_index].timer == timer);
        settle(timers, &entry, timer->heap_index);
        return;
    }
    grow(timers);
    move_up(timers, &entry, ++timers->count);
}

void timers_remove(struct timers *timers, struct timer *timer)
{
    uint32_t index = timer->heap_index;
    CHECK(index >= 1 && index <= timers->count && timers->entries[index].timer == timer);
    struct timers_entry last = timers->entries[timers->count--];
    timer->heap_index = 0;
    if (last.timer != timer) settle(timers, &last, index);
}

struct timer *timers_first(const struct timers *timers)
{
    return timers->count ? timers->entries[1].timer : NULL;
}
