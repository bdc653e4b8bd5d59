/*
 * crash_images: very many crashes of the component whose driver is linked in (the log, or the tree): every image
 * recovers to all that was synced and a prefix of the rest.
 *
 *   faults_crash_X [IMAGES [SEED]]    1,000 images from seed 1 at first
 *
 * The last line is "N passed, N failed", over the images.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/crash_sweep.h"

extern const struct crash_subject driver_crashes;

enum { SEEDS_AT_ONCE = 10 };

int main(int count, char **words)
{
    unsigned long images = count > 1 ? strtoul(words[1], NULL, 10) : 1000;
    struct crash_sweep sweep = {.subject = &driver_crashes,
        .first_seed = count > 2 ? strtoull(words[2], NULL, 10) : 1,
        .seeds = SEEDS_AT_ONCE,
        .lives = 6,
        .images = 10};
    for (; sweep.judged < images && !sweep.why[0]; sweep.first_seed += SEEDS_AT_ONCE)
        crash_sweep_run(&sweep);
    if (sweep.why[0]) printf("%s\n", sweep.why);
    printf("%u passed, %d failed\n", sweep.judged, sweep.why[0] != '\0');
    return sweep.why[0] != '\0';
}
