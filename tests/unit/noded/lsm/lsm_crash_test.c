/*
 * Crash tests of the tree on the simulated disk: random work cut at random operations, many images of each cut; every
 * image opens and, with the log replayed, equals the model. Damage is noticed; planted bugs are found.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/check.h"
#include "noded/lsm/inspect.h"
#include "tests/unit/noded/lsm/driver.h"

/* Every file of an opened tree is whole, offline. */
static void inspect_file(void *context, const char *path, uint64_t size)
{
    struct sim_disk *disk = ((void **)context)[0];
    char *why = ((void **)context)[1];
    struct buffer bytes = {0};
    struct inspect inspect = {0};
    enum status status = STATUS_OK;
    (void)size;
    if (why[0] || !sim_disk_contents(disk, path, &bytes)) return;
    if (strstr(path, ".sst"))
        status = inspect_sstable(&inspect, buffer_bytes(&bytes));
    else if (strstr(path, "MANIFEST"))
        status = inspect_manifest(&inspect, buffer_bytes(&bytes));
    if (status != STATUS_OK) snprintf(why, 400, "%s %s: %s", path, status_name(status), inspect.why);
    buffer_free(&bytes);
}

/* Opens the disk (which it takes) and compares with the model. False when something is wrong, which why tells. */
static bool judge_disk(const struct driver *driver, struct sim_disk *disk, uint64_t seed, char *why, size_t size)
{
    struct solo *solo = solo_create(seed, disk);
    struct driver *judge = driver_copy(driver);
    judge->judge_only = true;
    enum solo_end end = solo_run(solo, driver_main, judge, SOLO_TO_THE_END);
    if (end != SOLO_RETURNED)
        snprintf(why, size, "seed %llu: recovery ended with %d", (unsigned long long)seed, end);
    else if (judge->opened != STATUS_OK)
        snprintf(why, size, "seed %llu: open: %s", (unsigned long long)seed, status_name(judge->opened));
    else if (judge->failure[0])
        snprintf(why, size, "seed %llu: %s", (unsigned long long)seed, judge->failure);
    bool good = why[0] == '\0';
    if (good) sim_disk_walk(solo_disk(solo), inspect_file, (void *[]){solo_disk(solo), why});
    driver_destroy(judge);
    solo_destroy(solo);
    return good;
}

struct sweep {
    unsigned seeds, lives, images;
    unsigned judged, died, returned;
    uint64_t no_space;
    uint32_t sync_error_ppm, write_error_ppm, read_error_ppm;
    uint64_t capacity_bytes;
    char why[400];
};

static void set_faults(const struct sweep *sweep, struct sim_disk *disk, bool on)
{
    sim_disk_faults(disk)->sync_error_ppm = on ? sweep->sync_error_ppm : 0;
    sim_disk_faults(disk)->write_error_ppm = on ? sweep->write_error_ppm : 0;
    sim_disk_faults(disk)->read_error_ppm = on ? sweep->read_error_ppm : 0;
    sim_disk_faults(disk)->capacity_bytes = on ? sweep->capacity_bytes : 0;
}

/* A tree lives several lives, each cut at a random operation, and each cut leaves several images. */
static void sweep_seed(struct sweep *sweep, uint64_t seed)
{
    struct driver *driver = driver_create(seed);
    struct sim_disk *disk = sim_disk_create(seed);
    driver->background = true;
    driver->flush_bytes = 4 << 10;
    driver->faults = sweep->sync_error_ppm || sweep->write_error_ppm || sweep->read_error_ppm || sweep->capacity_bytes;
    for (unsigned life = 0; life < sweep->lives && !sweep->why[0]; life++) {
        struct sim_disk *copy = sim_disk_clone(disk, seed * 31 + life);
        struct solo *solo = solo_create(seed * 31 + life, copy);
        set_faults(sweep, copy, true);
        enum solo_end end = solo_run(solo, driver_main, driver, prng_below(&driver->prng, 600));
        sweep->died += end == SOLO_DIED;
        sweep->returned += end == SOLO_RETURNED;
        if (end == SOLO_STUCK) snprintf(sweep->why, sizeof sweep->why, "life %u: stuck", life);
        if (driver->failure[0]) snprintf(sweep->why, sizeof sweep->why, "life %u: %s", life, driver->failure);
        set_faults(sweep, copy, false);
        sweep->no_space += sim_disk_counts(copy)->no_space;
        for (unsigned i = 0; i < sweep->images && !sweep->why[0]; i++, sweep->judged++) {
            uint64_t image_seed = seed * 1000003 + life * 1009 + i;
            struct sim_disk *image = sim_disk_clone(copy, image_seed);
            sim_disk_crash(image);
            judge_disk(driver, image, image_seed, sweep->why, sizeof sweep->why);
        }
        /* The next life begins with a power cut, or only with a dead process. */
        sim_disk_destroy(disk);
        disk = sim_disk_clone(copy, seed * 37 + life);
        if (prng_chance(&driver->prng, 500000)) sim_disk_crash(disk);
        solo_destroy(solo);
    }
    sim_disk_destroy(disk);
    driver_destroy(driver);
}

static void sweep_run(struct sweep *sweep)
{
    for (uint64_t seed = 1; seed <= sweep->seeds && !sweep->why[0]; seed++) {
        sweep_seed(sweep, seed);
        if (sweep->why[0] == '\0') continue;
        char why[sizeof sweep->why];
        snprintf(why, sizeof why, "sweep seed %llu: %.300s", (unsigned long long)seed, sweep->why);
        memcpy(sweep->why, why, sizeof why);
    }
}

Test(lsm_crash, every_image_opens_and_equals_the_model_after_replay)
{
    struct sweep sweep = {.seeds = 30, .lives = 6, .images = 5};
    sweep_run(&sweep);
    cr_assert_str_empty(sweep.why, "%s", sweep.why);
    cr_assert_geq(sweep.judged, 800);
}

Test(lsm_crash, failing_writes_and_syncs_lose_nothing)
{
    struct sweep sweep = {.seeds = 30,
        .lives = 6,
        .images = 4,
        .sync_error_ppm = 5000,
        .write_error_ppm = 20000,
        .read_error_ppm = 20000};
    sweep_run(&sweep);
    cr_assert_str_empty(sweep.why, "%s", sweep.why);
    cr_assert(sweep.died > 10);
}

Test(lsm_crash, a_full_disk_loses_nothing)
{
    struct sweep sweep = {.seeds = 20, .lives = 5, .images = 3, .capacity_bytes = 100 << 10};
    sweep_run(&sweep);
    cr_assert_str_empty(sweep.why, "%s", sweep.why);
    cr_assert(sweep.no_space > 20, "%llu", (unsigned long long)sweep.no_space);
}

static void assert_found(const char *plant)
{
    plant_set(plant);
    struct sweep sweep = {.seeds = 60, .lives = 6, .images = 5};
    sweep_run(&sweep);
    plant_set(NULL);
    cr_assert_str_not_empty(sweep.why, "%s was not found in %u images", plant, sweep.judged);
}

Test(lsm_crash, a_directory_that_was_not_synced_is_found)
{
    assert_found("skipped_dir_sync");
}

Test(lsm_crash, a_delete_forgotten_by_compaction_is_found)
{
    assert_found("compaction_forgets_delete");
}

/* ---- Damage ---- */

struct victim {
    uint64_t target, offset;
    char path[128];
    uint64_t before;
};

static void find_byte(void *context, const char *path, uint64_t size)
{
    struct victim *victim = context;
    if (victim->target >= victim->before && victim->target < victim->before + size) {
        snprintf(victim->path, sizeof victim->path, "%s", path);
        victim->offset = victim->target - victim->before;
    }
    victim->before += size;
}

/* A disk with a tree of several files whose log is gone as far as it is flushed. */
static struct sim_disk *worked_disk(struct driver *driver, uint64_t seed)
{
    struct solo *solo = solo_create(seed, NULL);
    driver->background = true;
    driver->flush_bytes = 8 << 10;
    driver->steps = 1500;
    cr_assert_eq(solo_run(solo, driver_main, driver, SOLO_TO_THE_END), SOLO_RETURNED);
    cr_assert_str_empty(driver->failure, "%s", driver->failure);
    struct sim_disk *disk = sim_disk_clone(solo_disk(solo), seed);
    solo_destroy(solo);
    return disk;
}

Test(lsm_crash, a_flipped_bit_is_noticed_or_harmless)
{
    unsigned noticed = 0, harmless = 0;
    struct driver *driver = driver_create(77);
    struct sim_disk *disk = worked_disk(driver, 77);
    struct prng prng = prng_seeded(5);
    struct victim all = {.target = UINT64_MAX};
    sim_disk_walk(disk, find_byte, &all);
    cr_assert(all.before > 10000);
    for (unsigned i = 0; i < 400; i++) {
        struct victim victim = {.target = prng_below(&prng, all.before)};
        sim_disk_walk(disk, find_byte, &victim);
        struct sim_disk *image = sim_disk_clone(disk, i);
        uint8_t mask = (uint8_t)(1u << prng_below(&prng, 8));
        cr_assert(sim_disk_damage(image, victim.path, victim.offset, mask));
        char why[400] = "";
        if (judge_disk(driver, image, i, why, sizeof why))
            harmless++;
        else if (strstr(why, "CORRUPT") || strstr(why, "CONFLICT"))
            noticed++;
        else
            cr_assert_fail("%s offset %llu: %s", victim.path, (unsigned long long)victim.offset, why);
    }
    cr_assert(noticed > 200, "%u noticed, %u harmless", noticed, harmless);
    sim_disk_destroy(disk);
    driver_destroy(driver);
}

Test(lsm_crash, bits_that_flip_on_the_way_give_no_wrong_answer)
{
    struct driver *driver = driver_create(78);
    struct sim_disk *disk = worked_disk(driver, 78);
    unsigned good = 0;
    for (unsigned i = 0; i < 60; i++) {
        struct sim_disk *image = sim_disk_clone(disk, i);
        sim_disk_faults(image)->read_flip_ppm = 30000;
        char why[400] = "";
        good += judge_disk(driver, image, i, why, sizeof why);
        cr_assert(why[0] == '\0' || strstr(why, "CORRUPT") || strstr(why, "CONFLICT"), "%s", why);
    }
    cr_assert(good > 0);
    sim_disk_destroy(disk);
    driver_destroy(driver);
}
