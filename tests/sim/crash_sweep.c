#include "tests/sim/crash_sweep.h"

#include <stdio.h>

#include "common/base/check.h"

enum { TO_THE_END_PPM = 100000, POWER_CUT_PPM = 600000 };

bool crash_judge(const struct crash_subject *subject, const void *driver, struct sim_disk *disk, uint64_t seed,
    char why[CRASH_WHY_BYTES])
{
    struct solo *solo = solo_create(seed, disk);
    void *judge = subject->judge(driver);
    enum solo_end end = solo_run(solo, subject->main, judge, SOLO_TO_THE_END);
    const char *failure = subject->failure(judge, true);
    if (end != SOLO_RETURNED)
        snprintf(why, CRASH_WHY_BYTES, "seed %llu: recovery ended with %d", (unsigned long long)seed, end);
    else if (failure)
        snprintf(why, CRASH_WHY_BYTES, "seed %llu: %.300s", (unsigned long long)seed, failure);
    else if (subject->inspect)
        subject->inspect(solo_disk(solo), why);
    subject->destroy(judge);
    solo_destroy(solo);
    return why[0] == '\0';
}

static void set_faults(const struct crash_sweep *sweep, struct sim_disk *disk, bool on)
{
    static const struct sim_disk_faults none;
    const struct sim_disk_faults *from = on ? &sweep->faults : &none;
    struct sim_disk_faults *to = sim_disk_faults(disk);
    to->sync_error_ppm = from->sync_error_ppm;
    to->write_error_ppm = from->write_error_ppm;
    to->read_error_ppm = from->read_error_ppm;
    to->capacity_bytes = from->capacity_bytes;
}

/* One life on a copy of the disk, and images of its end. Returns the solo, whose disk is as the end left it. */
static struct solo *live(struct crash_sweep *sweep, void *driver, struct sim_disk *copy, uint64_t seed)
{
    const struct crash_subject *subject = sweep->subject;
    struct prng prng = prng_split(seed, "life");
    struct solo *solo = solo_create(seed, copy);
    uint64_t cut = prng_below(&prng, subject->operations_max);
    if (prng_chance(&prng, TO_THE_END_PPM)) cut = SOLO_TO_THE_END;
    set_faults(sweep, copy, true);
    enum solo_end end = solo_run(solo, subject->main, driver, cut);
    set_faults(sweep, copy, false);
    sweep->died += end == SOLO_DIED;
    sweep->no_space += sim_disk_counts(copy)->no_space;
    const char *failure = subject->failure(driver, false);
    if (end == SOLO_STUCK) failure = "stuck";
    if (failure) snprintf(sweep->why, sizeof sweep->why, "%.300s", failure);
    for (unsigned i = 0; i < sweep->images && !sweep->why[0]; i++, sweep->judged++) {
        struct sim_disk *image = sim_disk_clone(copy, seed * 1009 + i);
        sim_disk_crash(image);
        crash_judge(subject, driver, image, seed * 1009 + i, sweep->why);
    }
    return solo;
}

static void sweep_seed(struct crash_sweep *sweep, uint64_t seed)
{
    const struct sim_disk_faults *faults = &sweep->faults;
    bool faulty = faults->sync_error_ppm || faults->write_error_ppm || faults->read_error_ppm || faults->capacity_bytes;
    struct prng prng = prng_split(seed, "crashes");
    void *driver = sweep->subject->create(seed, faulty);
    struct sim_disk *disk = sim_disk_create(seed);
    for (unsigned life = 0; life < sweep->lives && !sweep->why[0]; life++) {
        struct sim_disk *copy = sim_disk_clone(disk, seed * 31 + life);
        struct solo *solo = live(sweep, driver, copy, seed * 1000 + life);
        /* The next life begins with a power cut, or only with a dead process. */
        sim_disk_destroy(disk);
        disk = sim_disk_clone(copy, seed * 37 + life);
        if (prng_chance(&prng, POWER_CUT_PPM)) sim_disk_crash(disk);
        solo_destroy(solo);
    }
    sim_disk_destroy(disk);
    sweep->subject->destroy(driver);
}

void crash_sweep_run(struct crash_sweep *sweep)
{
    uint64_t first = sweep->first_seed ? sweep->first_seed : 1;
    for (uint64_t seed = first; seed < first + sweep->seeds && !sweep->why[0]; seed++) {
        sweep_seed(sweep, seed);
        if (sweep->why[0] == '\0') continue;
        char why[CRASH_WHY_BYTES];
        snprintf(why, sizeof why, "sweep seed %llu: %.300s", (unsigned long long)seed, sweep->why);
        memcpy(sweep->why, why, sizeof why);
    }
}

struct seeking {
    uint64_t total, target;
    struct crash_place *out;
};

static void seek(void *context, const char *path, uint64_t size)
{
    struct seeking *seeking = context;
    if (seeking->out && seeking->target >= seeking->total && seeking->target < seeking->total + size) {
        snprintf(seeking->out->path, sizeof seeking->out->path, "%s", path);
        seeking->out->offset = seeking->target - seeking->total;
    }
    seeking->total += size;
}

void crash_draw_place(const struct sim_disk *disk, struct prng *prng, struct crash_place *out)
{
    struct seeking all = {0};
    sim_disk_walk(disk, seek, &all);
    CHECK(all.total > 0);
    struct seeking one = {.target = prng_below(prng, all.total), .out = out};
    sim_disk_walk(disk, seek, &one);
}
