#include <criterion/criterion.h>

#include "tests/unit/noded/lsm/driver.h"

static void run_to_the_end(struct driver *driver, uint64_t seed)
{
    struct solo *solo = solo_create(seed, NULL);
    enum solo_end end = solo_run(solo, driver_main, driver, SOLO_TO_THE_END);
    cr_assert_eq(end, SOLO_RETURNED, "seed %llu ended with %d", (unsigned long long)seed, end);
    cr_assert_eq(driver->opened, STATUS_OK, "seed %llu: %s", (unsigned long long)seed, status_name(driver->opened));
    cr_assert_str_empty(driver->failure, "seed %llu: %s", (unsigned long long)seed, driver->failure);
    solo_destroy(solo);
}

Test(lsm, agrees_with_a_plain_model_through_flushes_compactions_and_reopens)
{
    uint64_t compactions = 0, flushes = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct driver *driver = driver_create(seed);
        run_to_the_end(driver, seed);
        compactions += driver->compactions;
        flushes += driver->flushes;
        driver_destroy(driver);
    }
    cr_assert(compactions > 20 && flushes > 100);
}

Test(lsm, agrees_while_its_own_fibers_flush_and_compact)
{
    uint64_t compactions = 0;
    for (uint64_t seed = 100; seed < 140; seed++) {
        struct driver *driver = driver_create(seed);
        driver->background = true;
        driver->flush_bytes = 8 << 10;
        driver->steps = 2000;
        run_to_the_end(driver, seed);
        compactions += driver->compactions;
        driver_destroy(driver);
    }
    cr_assert(compactions > 100);
}
