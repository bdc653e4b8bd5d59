/*
 * disk_suite: what every backend of the disk door does in the same way. The suite is run against io_uring, libuv and
 * the simulated disk; each brings a struct disk_place. What happens in a crash is not its subject: real disks cannot
 * be crashed here, and the simulator's crashes are tested with it.
 */
#ifndef TRILLIUM_TESTS_CONFORMANCE_DISK_DISK_SUITE_H
#define TRILLIUM_TESTS_CONFORMANCE_DISK_DISK_SUITE_H

struct env;
struct reactor;

struct disk_place {
    const char *name; /* of the backend, as reactor_backend_name says it */
    void *context;
    /* An env with an empty data directory; the suite makes one reactor in it. */
    struct env *(*open)(void *context);
    /* The reactor is destroyed. */
    void (*close)(void *context, struct env *env);
    /* One turn, and the wait until the next one is due (in virtual time for the simulator). */
    void (*step)(void *context, struct reactor *reactor);
};

/* Runs all cases, prints one line per failure and "disk(NAME): N passed, N failed". Returns how many failed. */
unsigned disk_suite_run(const struct disk_place *place);

#endif
