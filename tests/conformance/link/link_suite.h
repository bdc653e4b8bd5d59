/*
 * link_suite: what every backend of the link door (common/runtime/net.h) does in the same way. The suite is run
 * over loopback, on nng and on our own listeners with nng's dialers, and on the simulated network; each brings a struct
 * link_place. What nng does beyond the door's promise
 * is the subject of hostile.c, what happens in failures that of the simulator.
 */
#ifndef TRILLIUM_TESTS_CONFORMANCE_LINK_LINK_SUITE_H
#define TRILLIUM_TESTS_CONFORMANCE_LINK_LINK_SUITE_H

#include <stdint.h>

struct link_end;
struct reactor;

enum link_side { LINK_LISTENER, LINK_DIALER };
enum { LINK_ADDRESS_BYTES = 64 };

struct link_place {
    const char *name;
    void *context;
    /* Two processes (or what stands for them) with a reactor each. */
    void (*open)(void *context);
    /* Every end was closed. */
    void (*close)(void *context);
    /* Runs act inside a side. */
    void (*call)(
        void *context, enum link_side side, void (*act)(struct reactor *reactor, void *argument), void *argument);
    const char *listen_address;
    /* Where a dialer finds the listener. */
    void (*address)(void *context, const struct link_end *end, char out[LINK_ADDRESS_BYTES]);
    /* Lets something happen, or a millisecond pass. */
    void (*step)(void *context);
    uint64_t (*now_ms)(void *context);
    /* The side does nothing for so long. */
    void (*pause)(void *context, enum link_side side, uint64_t ms);
};

/* Runs all cases, prints one line per failure and "link(NAME): N passed, N failed". Returns how many failed. */
unsigned link_suite_run(const struct link_place *place);

#endif
