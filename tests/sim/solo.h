/*
 * solo: one simulated process with one reactor and one disk, for tests of a single component (a log, a tree of files).
 *
 *   struct solo *solo = solo_create(seed, NULL);
 *   solo_run(solo, write_things, &state, SOLO_TO_THE_END);    // in a fiber
 *   solo_run(solo, write_more, &state, 37);                   // stops in the middle
 *   struct sim_disk *image = sim_disk_clone(solo_disk(solo), 1);
 *   sim_disk_crash(image);                                    // one of the images that a power cut may leave
 *   struct solo *after = solo_create(seed, image);            // recover from it
 * Every run is a fresh incarnation on the same disk. Memory that main allocates is gone after the run; results go into
 * the caller's own memory.
 */
#ifndef TRILLIUM_TESTS_SIM_SOLO_H
#define TRILLIUM_TESTS_SIM_SOLO_H

#include <stdint.h>

#include "common/runtime/reactor.h"
#include "tests/sim/process.h"
#include "tests/sim/sim_disk.h"

struct solo;

#define SOLO_TO_THE_END UINT64_MAX

enum solo_end {
    SOLO_RETURNED, /* main returned */
    SOLO_DIED,     /* env_die; solo_death tells why */
    SOLO_CUT,      /* disk_operations were done and main had not returned: stopped where it was (SIGKILL) */
    SOLO_STUCK,    /* nothing is left to happen and main has not returned */
};

/* disk NULL: a disk of its own, made from the seed. A given disk belongs to the solo from now on. */
struct solo *solo_create(uint64_t seed, struct sim_disk *disk);
void solo_destroy(struct solo *solo);
/* Runs main(reactor, argument) in a fiber until it returns, dies, or has done disk_operations. */
enum solo_end solo_run(
    struct solo *solo, void (*main)(struct reactor *reactor, void *argument), void *argument, uint64_t disk_operations);
/* The status of the last env_die. */
enum status solo_death(const struct solo *solo);
struct sim_disk *solo_disk(const struct solo *solo);
struct world *solo_world(const struct solo *solo);

#endif
