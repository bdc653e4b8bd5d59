/*
 * explore: walks through all states of a model, breadth first, so that the first violation is a shortest one.
 *
 * A model gives initial states, successors and a fingerprint; states are compared by their 64-bit fingerprints alone
 * (at a million states the odds of missing one are below one in ten million). One thread.
 */
#ifndef TRILLIUM_TESTS_MODEL_EXPLORE_H
#define TRILLIUM_TESTS_MODEL_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXPLORE_STATE_BYTES_MAX = 256, EXPLORE_LABEL_BYTES = 160 };

struct explorer;

struct explore_model {
    void *context;
    size_t state_bytes;
    /* Calls explore_emit for each initial state. */
    void (*initial)(void *context, struct explorer *explorer);
    /* Calls explore_emit for each state that one step leads to. */
    void (*successors)(void *context, const void *state, struct explorer *explorer);
    uint64_t (*fingerprint)(void *context, const void *state);
    /* NULL, or what is wrong in the state. */
    const char *(*violation)(void *context, const void *state);
};

struct explore_result {
    uint64_t states;
    const char *violation; /* NULL: all states are right */
    unsigned steps;        /* to the violation */
    bool complete;         /* every state was seen; false when the limit or a violation ended it */
};

/* Ends at the first violation or after states_max. trace: prints the steps that lead to the violation. */
struct explore_result explore(const struct explore_model *model, uint64_t states_max, bool trace);

/* For models: a state and what happened. The label is only formatted when a trace is printed. */
void explore_emit(struct explorer *explorer, const void *state, const char *label, ...)
    __attribute__((format(printf, 3, 4)));

#endif
