#include "tests/sim/sim_disk.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/runtime/fiber.h"
#include "tests/sim/solo.h"

static void must(enum status status)
{
    cr_assert_eq(status, STATUS_OK, "%s", status_name(status));
}

static bool disk_has(const struct sim_disk *disk, const char *path, const char *text)
{
    struct buffer contents = {0};
    bool found = sim_disk_contents(disk, path, &contents);
    found = found && contents.size == strlen(text) && memcmp(contents.data, text, contents.size) == 0;
    buffer_free(&contents);
    return found;
}

static enum sim_fate drop_all(void *context, const struct sim_change *change)
{
    (void)context;
    (void)change;
    return SIM_DROP;
}

static enum sim_fate keep_all(void *context, const struct sim_change *change)
{
    (void)context;
    (void)change;
    return SIM_KEEP;
}

static void write_in_stages(struct reactor *reactor, void *argument)
{
    (void)argument;
    struct disk_file file;
    must(disk_open(reactor, "a", DISK_CREATE, &file));
    must(disk_write(reactor, file, "one", 3, 0));
    must(disk_sync(reactor, file));
    must(disk_sync_dir(reactor, ""));
    must(disk_write(reactor, file, "two", 3, 3));
    must(disk_mkdir(reactor, "d"));
    must(disk_rename(reactor, "a", "d/b"));
}

Test(sim_disk, a_power_cut_keeps_what_was_synced_and_may_drop_the_rest)
{
    struct solo *solo = solo_create(1, NULL);
    cr_assert_eq(solo_run(solo, write_in_stages, NULL, SOLO_TO_THE_END), SOLO_RETURNED);
    struct sim_disk *kept = sim_disk_clone(solo_disk(solo), 1), *dropped = sim_disk_clone(solo_disk(solo), 1);
    cr_assert_eq(sim_disk_unsynced(kept), 3);
    sim_disk_crash_with(kept, keep_all, NULL);
    cr_assert(disk_has(kept, "d/b", "onetwo"));
    cr_assert(!disk_has(kept, "a", "onetwo"));
    sim_disk_crash_with(dropped, drop_all, NULL);
    cr_assert(disk_has(dropped, "a", "one"));
    cr_assert(disk_has(solo_disk(solo), "d/b", "onetwo"), "a clone is a disk of its own");
    sim_disk_destroy(kept);
    sim_disk_destroy(dropped);
    solo_destroy(solo);
}

static void create_without_sync_dir(struct reactor *reactor, void *argument)
{
    (void)argument;
    struct disk_file file;
    must(disk_open(reactor, "a", DISK_CREATE, &file));
    must(disk_write(reactor, file, "one", 3, 0));
    must(disk_sync(reactor, file));
}

Test(sim_disk, a_name_without_a_directory_sync_may_be_lost_although_the_file_was_synced)
{
    struct solo *solo = solo_create(1, NULL);
    cr_assert_eq(solo_run(solo, create_without_sync_dir, NULL, SOLO_TO_THE_END), SOLO_RETURNED);
    sim_disk_crash_with(solo_disk(solo), drop_all, NULL);
    cr_assert(!disk_has(solo_disk(solo), "a", "one"));
    solo_destroy(solo);
}

static void fail_a_sync(struct reactor *reactor, void *argument)
{
    struct solo *solo = argument;
    struct disk_file file;
    must(disk_open(reactor, "a", DISK_CREATE, &file));
    must(disk_sync_dir(reactor, ""));
    for (uint32_t i = 0; i < 64; i++)
        must(disk_write(reactor, file, "x", 1, i));
    sim_disk_faults(solo_disk(solo))->sync_error_ppm = 1000000;
    cr_assert_eq(disk_sync(reactor, file), STATUS_IO);
    sim_disk_faults(solo_disk(solo))->sync_error_ppm = 0;
    must(disk_sync(reactor, file));
    char text[64];
    must(disk_read(reactor, file, text, sizeof text, 0));
    cr_assert_eq(text[0], 'x', "the page cache still shows it");
}

Test(sim_disk, a_failed_sync_loses_data_although_the_next_one_succeeds)
{
    struct solo *solo = solo_create(1, NULL);
    cr_assert_eq(solo_run(solo, fail_a_sync, solo, SOLO_TO_THE_END), SOLO_RETURNED);
    sim_disk_crash_with(solo_disk(solo), keep_all, NULL);
    struct buffer contents = {0};
    cr_assert(sim_disk_contents(solo_disk(solo), "a", &contents));
    uint32_t lost = 64 - (uint32_t)contents.size;
    for (size_t i = 0; i < contents.size; i++)
        lost += contents.data[i] != 'x';
    cr_assert_gt(lost, 0);
    buffer_free(&contents);
    solo_destroy(solo);
}

static void fill(struct reactor *reactor, void *argument)
{
    (void)argument;
    static const char block[4096];
    struct disk_file file;
    uint64_t free_bytes, total;
    must(disk_open(reactor, "a", DISK_CREATE, &file));
    for (uint32_t i = 0; i < 4; i++)
        must(disk_write(reactor, file, block, sizeof block, i * sizeof block));
    cr_assert_eq(disk_write(reactor, file, block, sizeof block, 4 * sizeof block), STATUS_NO_SPACE);
    must(disk_space(reactor, &free_bytes, &total));
    cr_assert_eq(free_bytes, 0);
    cr_assert_eq(total, 4 * sizeof block);
    must(disk_write(reactor, file, "again", 5, 0));
    must(disk_truncate(reactor, file, 0));
    must(disk_write(reactor, file, block, sizeof block, 0));
}

Test(sim_disk, a_full_disk_takes_no_new_block_until_something_is_given_back)
{
    struct solo *solo = solo_create(1, NULL);
    sim_disk_faults(solo_disk(solo))->capacity_bytes = 16384;
    cr_assert_eq(solo_run(solo, fill, NULL, SOLO_TO_THE_END), SOLO_RETURNED);
    solo_destroy(solo);
}

static void die_in_a_fiber(struct reactor *reactor, void *argument)
{
    (void)argument;
    mem_alloc(100);
    fiber_sleep_until(reactor, reactor_now_ns(reactor) + 1000000);
    env_die(reactor_env(reactor), STATUS_CORRUPT, "this is the end");
}

Test(sim_disk, a_process_dies_from_inside_a_fiber_and_runs_again)
{
    struct solo *solo = solo_create(1, NULL);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(solo_run(solo, die_in_a_fiber, NULL, SOLO_TO_THE_END), SOLO_DIED);
        cr_assert_eq(solo_death(solo), STATUS_CORRUPT);
    }
    cr_assert_eq(solo_run(solo, create_without_sync_dir, NULL, SOLO_TO_THE_END), SOLO_RETURNED);
    solo_destroy(solo);
}

/* Any mixture of operations, cuts and kills; afterwards every synced file is as it was synced. */
enum { CHURN_FILES = 5, CHURN_STEPS = 60 };

struct churn {
    uint64_t seed;
    char synced[CHURN_FILES][8]; /* "" while the name is not durable */
};

static void churn_main(struct reactor *reactor, void *argument)
{
    struct churn *churn = argument;
    struct prng prng = prng_seeded(churn->seed++);
    for (int step = 0; step < CHURN_STEPS; step++) {
        uint32_t i = (uint32_t)prng_below(&prng, CHURN_FILES);
        char path[16], text[24];
        struct disk_file file;
        snprintf(path, sizeof path, "f%u", i);
        snprintf(text, sizeof text, "%06llu", (unsigned long long)prng_below(&prng, 1000000));
        if (prng_chance(&prng, 300000)) {
            /* In place: from here on the old text is no longer promised. */
            churn->synced[i][0] = 0;
            must(disk_open(reactor, path, DISK_CREATE, &file));
            must(disk_write(reactor, file, text, 6, 0));
            disk_close(reactor, &file);
        } else {
            churn->synced[i][0] = 0;
            must(disk_replace_file(reactor, path, text, 6));
            strcpy(churn->synced[i], text);
        }
    }
}

Test(sim_disk, whatever_was_synced_survives_random_kills_and_power_cuts)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct solo *solo = solo_create(seed, NULL);
        struct churn churn = {.seed = seed * 1000};
        struct prng prng = prng_seeded(seed);
        for (int round = 0; round < 6; round++) {
            solo_run(solo, churn_main, &churn, prng_between(&prng, 1, 200));
            if (prng_chance(&prng, 500000)) sim_disk_crash(solo_disk(solo));
            for (uint32_t i = 0; i < CHURN_FILES; i++) {
                char path[16];
                snprintf(path, sizeof path, "f%u", i);
                if (churn.synced[i][0])
                    cr_assert(disk_has(solo_disk(solo), path, churn.synced[i]), "seed %d %s", (int)seed, path);
            }
        }
        solo_destroy(solo);
    }
}

Test(sim_disk, two_runs_of_a_seed_have_equal_traces_and_disks)
{
    uint64_t traces[2], disks[2];
    for (int run = 0; run < 2; run++) {
        struct solo *solo = solo_create(7, NULL);
        struct churn churn = {.seed = 5};
        solo_run(solo, churn_main, &churn, 100);
        sim_disk_crash(solo_disk(solo));
        solo_run(solo, churn_main, &churn, SOLO_TO_THE_END);
        traces[run] = world_trace_hash(solo_world(solo));
        disks[run] = sim_disk_hash(solo_disk(solo));
        solo_destroy(solo);
    }
    cr_assert_eq(traces[0], traces[1]);
    cr_assert_eq(disks[0], disks[1]);
}

/* Enumerates what may be left of two un-synced writes that overlap: old, first or second, for each byte of its own. */
struct fates {
    enum sim_fate fate[8];
    uint32_t asked;
};

static enum sim_fate next_fate(void *context, const struct sim_change *change)
{
    (void)change;
    struct fates *fates = context;
    return fates->fate[fates->asked++];
}

static void overlapping_writes(struct reactor *reactor, void *argument)
{
    (void)argument;
    struct disk_file file;
    must(disk_open(reactor, "a", DISK_CREATE, &file));
    must(disk_write(reactor, file, "0000", 4, 0));
    must(disk_sync(reactor, file));
    must(disk_sync_dir(reactor, ""));
    must(disk_write(reactor, file, "11", 2, 0));
    must(disk_write(reactor, file, "22", 2, 1));
}

Test(sim_disk, crash_images_can_be_enumerated)
{
    struct solo *solo = solo_create(1, NULL);
    cr_assert_eq(solo_run(solo, overlapping_writes, NULL, SOLO_TO_THE_END), SOLO_RETURNED);
    static const char *const expected[4] = {"0000", "1100", "0220", "1220"};
    for (uint32_t image = 0; image < 4; image++) {
        struct sim_disk *disk = sim_disk_clone(solo_disk(solo), 1);
        struct fates fates = {{image & 1 ? SIM_KEEP : SIM_DROP, image & 2 ? SIM_KEEP : SIM_DROP}, 0};
        sim_disk_crash_with(disk, next_fate, &fates);
        cr_assert_eq(fates.asked, 2);
        cr_assert(disk_has(disk, "a", expected[image]));
        sim_disk_destroy(disk);
    }
    solo_destroy(solo);
}
