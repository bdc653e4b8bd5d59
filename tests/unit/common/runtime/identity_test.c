/* Tests of the identity file on the simulated disk. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/runtime/identity.h"
#include "tests/sim/solo.h"

static const struct uuid ours = {{1, 2, 3}}, theirs = {{9}};

struct run {
    const struct uuid *cluster;
    unsigned marks; /* set after opening: 1000 x boot + 1, + 2, ... */
    enum status status;
    char why[IDENTITY_WHY_BYTES];
    struct identity identity; /* as opened */
    int64_t marked;           /* newest that is known to be durable */
};

static void open_identity(struct reactor *reactor, void *argument)
{
    struct run *run = argument;
    struct identity_file file;
    run->status = identity_open(reactor, run->cluster, &file, run->why);
    if (run->status != STATUS_OK) return;
    run->identity = file.identity;
    for (unsigned i = 1; i <= run->marks; i++) {
        int64_t mark = (int64_t)file.identity.boot * 1000 + i;
        CHECK(identity_set_mark(&file, mark) == STATUS_OK);
        run->marked = mark;
    }
    identity_close(&file);
}

static struct run open_on(struct solo *solo, const struct uuid *cluster, unsigned marks)
{
    struct run run = {.cluster = cluster, .marks = marks};
    cr_assert_eq(solo_run(solo, open_identity, &run, SOLO_TO_THE_END), SOLO_RETURNED);
    return run;
}

Test(identity, the_daemon_keeps_its_uuid_and_counts_its_boots)
{
    struct solo *solo = solo_create(1, NULL);
    struct run first = open_on(solo, &ours, 3);
    cr_assert_eq(first.status, STATUS_OK, "%s", first.why);
    cr_assert_eq(first.identity.boot, 1);
    cr_assert_not(uuid_is_zero(&first.identity.daemon));
    struct run second = open_on(solo, &ours, 0);
    cr_assert_eq(second.identity.boot, 2);
    cr_assert_eq(second.identity.mark, 1003);
    cr_assert(uuid_equal(&second.identity.daemon, &first.identity.daemon));
    solo_destroy(solo);
}

Test(identity, another_clusters_directory_is_refused_and_unchanged)
{
    struct solo *solo = solo_create(1, NULL);
    open_on(solo, &ours, 0);
    uint64_t before = sim_disk_hash(solo_disk(solo));
    struct run run = open_on(solo, &theirs, 0);
    cr_assert_eq(run.status, STATUS_CONFLICT);
    cr_assert_str_eq(run.why, "identity: belongs to cluster 01020300-0000-0000-0000-000000000000, not to "
                              "09000000-0000-0000-0000-000000000000");
    cr_assert_eq(sim_disk_hash(solo_disk(solo)), before);
    solo_destroy(solo);
}

Test(identity, a_flipped_bit_of_one_copy_takes_nothing_back_and_both_are_refused)
{
    for (uint64_t offset = 0; offset < 108; offset++) {
        struct solo *solo = solo_create(offset, NULL);
        open_on(solo, &ours, 2);
        cr_assert(sim_disk_damage(solo_disk(solo), "identity", offset + 4096 * (offset % 2), 16));
        struct run run = open_on(solo, &ours, 0);
        cr_assert_eq(run.status, STATUS_OK, "%s", run.why);
        cr_assert(run.identity.boot == 2 && run.identity.mark == 1002, "byte %d", (int)offset);
        sim_disk_damage(solo_disk(solo), "identity", offset, 16);
        sim_disk_damage(solo_disk(solo), "identity", offset + 4096, 16);
        run = open_on(solo, &ours, 0);
        cr_assert_eq(run.status, STATUS_CORRUPT);
        cr_assert_str_not_empty(run.why);
        solo_destroy(solo);
    }
}

/* Boots, each cut somewhere; after each cut every image must open with a higher boot and no older mark. */
static void sweep_cuts(uint64_t seed)
{
    struct prng prng = prng_seeded(seed);
    struct sim_disk *disk = sim_disk_create(seed);
    uint64_t boot = 0;
    int64_t mark = 0;
    for (unsigned life = 0; life < 6; life++) {
        struct solo *solo = solo_create(seed + life, sim_disk_clone(disk, seed + life));
        struct run run = {.cluster = &ours, .marks = 3};
        enum solo_end end = solo_run(solo, open_identity, &run, prng_below(&prng, 40));
        cr_assert(end == SOLO_RETURNED || end == SOLO_CUT);
        if (run.identity.boot) boot = run.identity.boot;
        if (run.marked) mark = run.marked;
        for (unsigned i = 0; i < 10; i++) {
            struct sim_disk *image = sim_disk_clone(solo_disk(solo), seed * 100 + i);
            sim_disk_crash(image);
            struct solo *after = solo_create(i, image);
            struct run judged = open_on(after, &ours, 0);
            cr_assert_eq(judged.status, STATUS_OK, "seed %d life %u image %u: %s", (int)seed, life, i, judged.why);
            cr_assert_gt(judged.identity.boot, boot);
            cr_assert_geq(judged.identity.mark, mark);
            solo_destroy(after);
        }
        sim_disk_destroy(disk);
        disk = sim_disk_clone(solo_disk(solo), seed * 7 + life);
        sim_disk_crash(disk);
        solo_destroy(solo);
    }
    sim_disk_destroy(disk);
}

Test(identity, no_power_cut_lowers_the_boot_or_the_mark)
{
    for (uint64_t seed = 1; seed <= 40; seed++)
        sweep_cuts(seed);
}
