/* fake: an env whose time stands still until a test moves it, with a backend that completes disk requests when told. */
#ifndef TRILLIUM_TESTS_UNIT_COMMON_RUNTIME_FAKE_H
#define TRILLIUM_TESTS_UNIT_COMMON_RUNTIME_FAKE_H

#include "common/base/list.h"
#include "common/runtime/backend.h"
#include "common/runtime/env.h"
#include "common/runtime/escape.h"

struct fake {
    struct env env;
    uint64_t mono_ns;
    int64_t wall_us;
    struct escape *escape; /* where die goes */
    enum status died;
    struct reactor *reactor;
    struct backend backend;
    unsigned wakes, polls;
    struct list requests; /* submitted, not completed */
    bool hold;            /* polls complete nothing */
    enum status status;   /* what requests complete with */
    uint64_t result;
};

/* Makes the env and one reactor in it. */
void fake_init(struct fake *fake);
void fake_fini(struct fake *fake);
/* Turns until nothing is left to do now. Returns when the next timer is due. */
uint64_t fake_settle(struct fake *fake);
/* Moves time, then settles. */
uint64_t fake_pass(struct fake *fake, uint64_t ns);

#endif
