/*
 * crash_sweep: many crashes of one component that lives on a simulated disk. It lives several lives, each cut at a
 * drawn disk operation; each cut leaves several images, and every image is recovered and judged by a copy of the model
 * that the component was driven with.
 *
 * The component is known by its driver: plain memory that outlives the simulated process and can be copied. One thread.
 */
#ifndef TRILLIUM_TESTS_SIM_CRASH_SWEEP_H
#define TRILLIUM_TESTS_SIM_CRASH_SWEEP_H

#include "tests/sim/solo.h"

enum { CRASH_WHY_BYTES = 400 };

struct crash_subject {
    /* faulty: the disk will refuse now and then. */
    void *(*create)(uint64_t seed, bool faulty);
    /* The model alone, for main to judge with: open, compare, stop. */
    void *(*judge)(const void *driver);
    void (*destroy)(void *driver);
    /* For solo_run. */
    void (*main)(struct reactor *reactor, void *driver);
    /* What is wrong so far (of a judge that returned: that it could not open, too); NULL: nothing. */
    const char *(*failure)(void *driver, bool judged);
    /* Optional: looks at the files after a judge was content. Fills why when they are not whole. */
    void (*inspect)(struct sim_disk *disk, char why[CRASH_WHY_BYTES]);
    uint32_t operations_max; /* of one life */
};

struct crash_sweep {
    const struct crash_subject *subject;
    uint64_t first_seed; /* 0: 1 */
    unsigned seeds, lives, images;
    struct sim_disk_faults faults; /* of reads, writes, syncs, and capacity_bytes */
    /* Counted. */
    unsigned judged, died;
    uint64_t no_space;
    char why[CRASH_WHY_BYTES]; /* "" while all is well; it ends the sweep */
};

void crash_sweep_run(struct crash_sweep *sweep);

/* Recovers from the disk (which it takes) and judges. False when something is wrong, which why tells. */
bool crash_judge(const struct crash_subject *subject, const void *driver, struct sim_disk *disk, uint64_t seed,
    char why[CRASH_WHY_BYTES]);

/* A byte of the disk's files, drawn; for damage. The disk is not empty. */
struct crash_place {
    char path[128];
    uint64_t offset;
};
void crash_draw_place(const struct sim_disk *disk, struct prng *prng, struct crash_place *out);

#endif
