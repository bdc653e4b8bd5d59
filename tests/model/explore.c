#include "tests/model/explore.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"

/* States whose successors are to be found, with their numbers. */
struct frontier {
    uint8_t *states;
    uint32_t *numbers;
    size_t count, capacity;
};

enum { EMITTED_MAX = 64 };

struct explorer {
    const struct explore_model *model;
    uint64_t *table; /* fingerprints of the states seen, 0: free */
    size_t mask;
    uint64_t *path;    /* fingerprint by number, from 1 */
    uint32_t *parents; /* the state it was first reached from, by number; 0: none */
    size_t numbers_capacity;
    uint32_t count; /* states seen; numbers are 1..count */
    struct frontier now, next;
    /* Successors of one state, taken together so that their places in the table are fetched meanwhile. */
    uint8_t emitted[EMITTED_MAX][EXPLORE_STATE_BYTES_MAX];
    uint64_t emitted_fingerprint[EMITTED_MAX];
    unsigned emitted_count;
    uint32_t from; /* number of the state whose successors are emitted */
    const char *violation;
    uint32_t violation_number;
    /* While a trace is replayed: the fingerprint that is looked for. */
    bool replaying, found;
    uint64_t wanted;
    uint8_t reached[EXPLORE_STATE_BYTES_MAX];
    char label[EXPLORE_LABEL_BYTES];
};

static void push(struct explorer *e, struct frontier *frontier, const void *state, uint32_t number)
{
    size_t size = e->model->state_bytes;
    if (frontier->count == frontier->capacity) {
        frontier->capacity = frontier->capacity ? 2 * frontier->capacity : 1024;
        frontier->states = mem_realloc(frontier->states, frontier->capacity * size);
        frontier->numbers = mem_realloc(frontier->numbers, frontier->capacity * sizeof *frontier->numbers);
    }
    memcpy(frontier->states + frontier->count * size, state, size);
    frontier->numbers[frontier->count++] = number;
}

static uint64_t *find(struct explorer *e, uint64_t fingerprint)
{
    size_t at = fingerprint & e->mask;
    while (e->table[at] != 0 && e->table[at] != fingerprint)
        at = (at + 1) & e->mask;
    return &e->table[at];
}

static void grow(struct explorer *e)
{
    uint64_t *old = e->table;
    size_t old_size = e->mask + 1;
    e->mask = 2 * old_size - 1;
    e->table = mem_zalloc((e->mask + 1) * sizeof *e->table);
    for (size_t i = 0; i < old_size; i++)
        if (old[i]) *find(e, old[i]) = old[i];
    mem_free(old);
}

/* The number of a new state, 0 when it was seen before. */
static uint32_t take(struct explorer *e, uint64_t fingerprint)
{
    uint64_t *slot = find(e, fingerprint);
    if (*slot) return 0;
    e->count++;
    if (e->count >= e->numbers_capacity) {
        e->numbers_capacity = e->numbers_capacity ? 2 * e->numbers_capacity : 1024;
        e->path = mem_realloc(e->path, e->numbers_capacity * sizeof *e->path);
        e->parents = mem_realloc(e->parents, e->numbers_capacity * sizeof *e->parents);
    }
    *slot = fingerprint;
    e->path[e->count] = fingerprint;
    e->parents[e->count] = e->from;
    if (e->count * 2 > e->mask) grow(e);
    return e->count;
}

static uint64_t fingerprint_of(struct explorer *e, const void *state)
{
    uint64_t fingerprint = e->model->fingerprint(e->model->context, state);
    return fingerprint ? fingerprint : 1;
}

void explore_emit(struct explorer *e, const void *state, const char *label, ...)
{
    uint64_t fingerprint = fingerprint_of(e, state);
    if (e->replaying) {
        if (e->found || fingerprint != e->wanted) return;
        e->found = true;
        memcpy(e->reached, state, e->model->state_bytes);
        va_list arguments;
        va_start(arguments, label);
        vsnprintf(e->label, sizeof e->label, label, arguments);
        va_end(arguments);
        return;
    }
    CHECK(e->emitted_count < EMITTED_MAX);
    memcpy(e->emitted[e->emitted_count], state, e->model->state_bytes);
    e->emitted_fingerprint[e->emitted_count++] = fingerprint;
    __builtin_prefetch(&e->table[fingerprint & e->mask]);
}

static void take_emitted(struct explorer *e)
{
    for (unsigned i = 0; i < e->emitted_count && !e->violation; i++) {
        uint32_t number = take(e, e->emitted_fingerprint[i]);
        if (number == 0) continue;
        e->violation = e->model->violation(e->model->context, e->emitted[i]);
        if (e->violation)
            e->violation_number = number;
        else
            push(e, &e->next, e->emitted[i], number);
    }
    e->emitted_count = 0;
}

/* Walks from the initial state to the violation again, along the fingerprints. Returns the number of steps. */
static unsigned replay(struct explorer *e, bool print)
{
    unsigned steps = 0;
    for (uint32_t at = e->violation_number; at; at = e->parents[at])
        steps++;
    uint64_t *path = mem_alloc(steps * sizeof *path);
    unsigned left = steps;
    for (uint32_t at = e->violation_number; at; at = e->parents[at])
        path[--left] = e->path[at];
    e->replaying = true;
    for (unsigned i = 0; i < steps && print; i++) {
        uint8_t state[EXPLORE_STATE_BYTES_MAX];
        memcpy(state, e->reached, sizeof state);
        e->found = false;
        e->wanted = path[i];
        if (i == 0)
            e->model->initial(e->model->context, e);
        else
            e->model->successors(e->model->context, state, e);
        CHECK(e->found);
        if (i > 0) printf("    %2u %s\n", i, e->label);
    }
    mem_free(path);
    return steps - 1;
}

static void frontier_free(struct frontier *frontier)
{
    mem_free(frontier->states);
    mem_free(frontier->numbers);
}

struct explore_result explore(const struct explore_model *model, uint64_t states_max, bool trace)
{
    CHECK(model->state_bytes <= EXPLORE_STATE_BYTES_MAX && states_max < UINT32_MAX);
    struct explorer e = {.model = model, .mask = (1 << 16) - 1};
    e.table = mem_zalloc((e.mask + 1) * sizeof *e.table);
    model->initial(model->context, &e);
    take_emitted(&e);
    while (e.next.count > 0 && !e.violation && e.count < states_max) {
        struct frontier done = e.now;
        e.now = e.next;
        e.next = done;
        e.next.count = 0;
        for (size_t i = 0; i < e.now.count && !e.violation && e.count < states_max; i++) {
            e.from = e.now.numbers[i];
            model->successors(model->context, e.now.states + i * model->state_bytes, &e);
            take_emitted(&e);
        }
    }
    struct explore_result result = {.states = e.count, .violation = e.violation};
    result.complete = !e.violation && e.count < states_max;
    if (e.violation) result.steps = replay(&e, trace);
    mem_free(e.table);
    mem_free(e.path);
    mem_free(e.parents);
    frontier_free(&e.now);
    frontier_free(&e.next);
    return result;
}
