/*
 * Crash tests of the tree on the simulated disk: random work cut at random operations, many images of each cut; every
 * image opens and, with the log replayed, equals the model. Damage is noticed; planted bugs are found.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/check.h"
#include "tests/unit/noded/lsm/driver.h"

Test(lsm_crash, every_image_opens_and_equals_the_model_after_replay)
{
    struct crash_sweep sweep = {.subject = &driver_crashes, .seeds = 40, .lives = 6, .images = 5};
    crash_sweep_run(&sweep);
    cr_assert_str_empty(sweep.why, "%s", sweep.why);
    cr_assert_geq(sweep.judged, 1000);
}

Test(lsm_crash, failing_writes_and_syncs_lose_nothing)
{
    struct crash_sweep sweep = {.subject = &driver_crashes,
        .seeds = 30,
        .lives = 6,
        .images = 4,
        .faults = {.sync_error_ppm = 5000, .write_error_ppm = 20000, .read_error_ppm = 20000}};
    crash_sweep_run(&sweep);
    cr_assert_str_empty(sweep.why, "%s", sweep.why);
    cr_assert(sweep.died > 10);
}

Test(lsm_crash, a_full_disk_loses_nothing)
{
    struct crash_sweep sweep = {
        .subject = &driver_crashes, .seeds = 20, .lives = 5, .images = 3, .faults = {.capacity_bytes = 100 << 10}};
    crash_sweep_run(&sweep);
    cr_assert_str_empty(sweep.why, "%s", sweep.why);
    cr_assert(sweep.no_space > 20, "%llu", (unsigned long long)sweep.no_space);
}

static void assert_found(const char *plant)
{
    plant_set(plant);
    struct crash_sweep sweep = {.subject = &driver_crashes, .seeds = 60, .lives = 6, .images = 5};
    crash_sweep_run(&sweep);
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

Test(lsm_crash, a_manifest_that_names_files_before_they_are_synced_is_found)
{
    assert_found("manifest_before_files");
}

Test(lsm_crash, a_create_that_erases_an_edit_is_found)
{
    assert_found("retried_create_erases_edit");
}

/* ---- Damage ---- */

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
    for (unsigned i = 0; i < 400; i++) {
        struct crash_place place;
        crash_draw_place(disk, &prng, &place);
        struct sim_disk *image = sim_disk_clone(disk, i);
        uint8_t mask = (uint8_t)(1u << prng_below(&prng, 8));
        cr_assert(sim_disk_damage(image, place.path, place.offset, mask));
        char why[CRASH_WHY_BYTES] = "";
        if (crash_judge(&driver_crashes, driver, image, i, why))
            harmless++;
        else if (strstr(why, "CORRUPT") || strstr(why, "CONFLICT"))
            noticed++;
        else
            cr_assert_fail("%s offset %llu: %s", place.path, (unsigned long long)place.offset, why);
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
        char why[CRASH_WHY_BYTES] = "";
        good += crash_judge(&driver_crashes, driver, image, i, why);
        cr_assert(why[0] == '\0' || strstr(why, "CORRUPT") || strstr(why, "CONFLICT"), "%s", why);
    }
    cr_assert(good > 0);
    sim_disk_destroy(disk);
    driver_destroy(driver);
}
