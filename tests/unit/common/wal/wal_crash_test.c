/*
 * Crash tests of the log on the simulated disk: random appends, random cuts, many images of each cut; bit flips; disks
 * that refuse. Planted bugs must be found.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/runtime/fiber.h"
#include "tests/unit/common/wal/driver.h"

Test(wal_crash, recovery_yields_what_was_acknowledged_and_a_prefix_of_the_rest)
{
    struct crash_sweep sweep = {.subject = &driver_crashes, .seeds = 40, .lives = 6, .images = 5};
    crash_sweep_run(&sweep);
    cr_assert_str_empty(sweep.why, "%s", sweep.why);
    cr_assert_geq(sweep.judged, 1000);
}

Test(wal_crash, a_failed_write_or_sync_ends_the_process_and_loses_nothing_acknowledged)
{
    struct crash_sweep sweep = {.subject = &driver_crashes,
        .seeds = 40,
        .lives = 6,
        .images = 4,
        .faults = {.sync_error_ppm = 10000, .write_error_ppm = 10000}};
    crash_sweep_run(&sweep);
    cr_assert_str_empty(sweep.why, "%s", sweep.why);
}

static void assert_found(const char *plant)
{
    plant_set(plant);
    struct crash_sweep sweep = {.subject = &driver_crashes, .seeds = 200, .lives = 6, .images = 5};
    crash_sweep_run(&sweep);
    plant_set(NULL);
    cr_assert_str_not_empty(sweep.why, "%s was not found in %u images", plant, sweep.judged);
}

Test(wal_crash, an_acknowledgement_before_the_sync_is_found)
{
    assert_found("wal_ack_before_sync");
}

Test(wal_crash, a_segment_without_a_synced_name_is_found)
{
    assert_found("wal_skipped_dir_sync");
}

Test(wal_crash, replaying_past_a_hole_is_found)
{
    assert_found("wal_hole_in_torn_tail");
}

/* Damage. */

static void flip_a_bit(struct sim_disk *disk, struct prng *prng)
{
    struct crash_place place;
    crash_draw_place(disk, prng, &place);
    cr_assert(sim_disk_damage(disk, place.path, place.offset, (uint8_t)(1u << prng_below(prng, 8))));
}

static struct solo *write_a_log(uint64_t seed, struct driver *driver)
{
    struct solo *solo = solo_create(seed, NULL);
    driver->rest_at_end = true;
    solo_run(solo, driver_main, driver, SOLO_TO_THE_END);
    cr_assert(driver->done, "%s", driver->failure);
    cr_assert_str_empty(driver->failure, "%s", driver->failure);
    driver->judge_only = true;
    return solo;
}

Test(wal_crash, every_flipped_bit_below_the_mark_is_noticed_or_harmless)
{
    unsigned noticed = 0, harmless = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct driver *driver = driver_create(seed);
        struct solo *solo = write_a_log(seed, driver);
        for (unsigned i = 0; i < 60; i++) {
            struct sim_disk *image = sim_disk_clone(solo_disk(solo), i);
            sim_disk_crash(image);
            flip_a_bit(image, &driver->prng);
            struct solo *after = solo_create(i, image);
            struct driver *judge = driver_copy(driver);
            cr_assert_eq(solo_run(after, driver_main, judge, SOLO_TO_THE_END), SOLO_RETURNED);
            cr_assert_str_empty(judge->failure, "seed %d image %u: %s", (int)seed, i, judge->failure);
            cr_assert(judge->opened == STATUS_OK || judge->opened == STATUS_CORRUPT);
            if (judge->opened == STATUS_CORRUPT) {
                noticed++;
                cr_assert(judge->recovery.damaged);
                cr_assert_str_not_empty(judge->recovery.why);
                cr_assert_leq(judge->recovery.lost_first, judge->recovery.lost_last);
            } else {
                harmless++;
            }
            driver_destroy(judge);
            solo_destroy(after);
        }
        solo_destroy(solo);
        driver_destroy(driver);
    }
    cr_assert_gt(noticed, 50);
    cr_assert_gt(harmless, 50);
}

/* Hands out a subset in order; what follows the damage is genuine too. */
static enum status judge_sparse(void *context, const struct wal_record *record)
{
    struct driver *driver = context;
    if (record->sequence <= driver->replayed || record->sequence > driver->last)
        snprintf(driver->failure, sizeof driver->failure, "record %d is out of order", (int)record->sequence);
    driver->replayed = record->sequence;
    return STATUS_OK;
}

static void open_damaged(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    driver->replayed = 0;
    driver->config.replay = (struct wal_replay){.record = judge_sparse, .context = driver, .accept_damage = true};
    driver->opened = wal_open(reactor, &driver->config, &driver->recovery, &driver->wal);
    if (driver->opened != STATUS_OK) return;
    driver->last = wal_last_sequence(driver->wal);
    struct bytes part = bytes_text("after the damage");
    uint64_t sequence;
    cr_assert_eq(wal_append_wait(driver->wal, 1, &part, 1, &sequence), STATUS_OK);
    driver->acked = sequence;
    wal_release(driver->wal, sequence);
    wal_close(driver->wal);
    driver->done = true;
}

Test(wal_crash, a_caller_may_go_on_after_damage_and_a_release_ends_it)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct driver *driver = driver_create(seed);
        struct solo *solo = write_a_log(seed, driver);
        for (unsigned i = 0; i < 20; i++)
            flip_a_bit(solo_disk(solo), &driver->prng);
        uint64_t acked = driver->acked;
        driver->done = false;
        cr_assert_eq(solo_run(solo, open_damaged, driver, SOLO_TO_THE_END), SOLO_RETURNED);
        cr_assert(driver->done, "%s", driver->recovery.why);
        cr_assert_str_empty(driver->failure, "%s", driver->failure);
        if (!driver->recovery.damaged) cr_assert_geq(driver->recovery.last_sequence, acked);
        driver->done = false;
        cr_assert_eq(solo_run(solo, open_damaged, driver, SOLO_TO_THE_END), SOLO_RETURNED);
        cr_assert(driver->done && !driver->recovery.damaged, "%s", driver->recovery.why);
        solo_destroy(solo);
        driver_destroy(driver);
    }
}

Test(wal_crash, a_block_that_the_disk_refuses_is_not_taken_for_a_torn_tail)
{
    unsigned refused = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct driver *driver = driver_create(seed);
        struct solo *solo = write_a_log(seed, driver);
        sim_disk_faults(solo_disk(solo))->read_error_ppm = 50000;
        cr_assert_eq(solo_run(solo, driver_main, driver, SOLO_TO_THE_END), SOLO_RETURNED);
        cr_assert_str_empty(driver->failure, "%s", driver->failure);
        refused += driver->opened != STATUS_OK;
        solo_destroy(solo);
        driver_destroy(driver);
    }
    cr_assert_gt(refused, 0);
}
