/*
 * generate: histories of a store that keeps every promise (one copy, each operation at one instant), for testing the
 * checker, and mutators that each break one of them.
 */
#ifndef TRILLIUM_TESTS_CHECKER_GENERATE_H
#define TRILLIUM_TESTS_CHECKER_GENERATE_H

#include "tests/checker/history.h"

/* At least ops operations by several clients, then three views of each channel. The caller frees it. */
struct history generate_history(uint64_t seed, uint32_t ops);

struct mutator {
    const char *name;
    uint32_t rule; /* that it breaks (R1 stands for R4 and R5 as well, which say the same of fewer reads) */
    /* False when the history offers no place for it. */
    bool (*mutate)(struct history *history, uint64_t seed);
};
extern const struct mutator mutators[];
extern const uint32_t mutators_count;

/* Generates, checks, mutates, checks; prints a line per failure and "N passed, N failed". Returns failures. */
uint32_t generate_self_test(uint32_t seeds, uint32_t ops);

#endif
