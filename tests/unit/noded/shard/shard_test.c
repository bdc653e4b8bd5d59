#include <criterion/criterion.h>

#include "tests/unit/noded/shard/driver.h"

static void run_once(struct solo *solo, struct driver *driver, uint64_t seed)
{
    enum solo_end end = solo_run(solo, driver_main, driver, SOLO_TO_THE_END);
    cr_assert_str_empty(driver->failure, "seed %llu: %s", (unsigned long long)seed, driver->failure);
    cr_assert_eq(end, SOLO_RETURNED, "seed %llu ended with %d (%s)", (unsigned long long)seed, end,
        status_name(solo_death(solo)));
}

Test(shard, answers_exactly_what_a_plain_model_answers)
{
    uint64_t lookups = 0, orders = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct driver *driver = driver_create(seed);
        struct solo *solo = solo_create(seed, NULL);
        driver->orderly = true;
        run_once(solo, driver, seed);
        lookups += driver->lookups_waited;
        orders += driver->orders_waited;
        solo_destroy(solo);
        driver_destroy(driver);
    }
    cr_assert(lookups > 100 && orders > 20, "lookups %llu orders %llu", (unsigned long long)lookups,
        (unsigned long long)orders);
}

Test(shard, keeps_everything_through_kills_and_any_number_of_shards)
{
    static const uint16_t shards[] = {2, 3, 3, 1, 4, 2, 2};
    for (uint64_t seed = 50; seed < 54; seed++) {
        struct driver *driver = driver_create(seed);
        struct solo *solo = solo_create(seed, NULL);
        driver->steps = 100;
        for (unsigned i = 0; i < sizeof shards / sizeof *shards; i++) {
            driver->shards = shards[i];
            driver->orderly = i % 2;
            run_once(solo, driver, seed);
        }
        solo_destroy(solo);
        driver_destroy(driver);
    }
}

Test(shard, keeps_what_it_acknowledged_through_power_cuts)
{
    for (uint64_t seed = 100; seed < 130; seed++) {
        struct driver *driver = driver_create(seed);
        struct sim_disk *disk = sim_disk_create(seed);
        struct prng prng = prng_seeded(seed);
        driver->steps = 150;
        for (unsigned life = 0; life < 5; life++) {
            struct solo *solo = solo_create(seed + life * 1000, disk);
            driver->shards = (uint16_t)prng_between(&prng, 1, 3);
            enum solo_end end = solo_run(solo, driver_main, driver, prng_between(&prng, 50, 1500));
            cr_assert_str_empty(
                driver->failure, "seed %llu life %u: %s", (unsigned long long)seed, life, driver->failure);
            cr_assert(end == SOLO_CUT || end == SOLO_RETURNED, "seed %llu life %u ended with %d (%s)",
                (unsigned long long)seed, life, end, status_name(solo_death(solo)));
            disk = sim_disk_clone(solo_disk(solo), seed + life);
            sim_disk_crash(disk);
            solo_destroy(solo);
            driver->exact = false;
        }
        struct solo *solo = solo_create(seed, disk);
        driver->judge_only = true;
        run_once(solo, driver, seed);
        solo_destroy(solo);
        driver_destroy(driver);
    }
}
