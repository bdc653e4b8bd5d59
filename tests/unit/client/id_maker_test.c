#include "client/id_maker.h"

#include <criterion/criterion.h>

#include "common/model/snowflake.h"

#define MS(value) ((uint64_t)(value)*1000000)
#define WALL_MS 1700000000000ll

Test(id_maker, without_lease_or_reserve_a_router_must_be_asked)
{
    struct id_maker ids = {0};
    uint64_t id;
    unsigned wait_ms = 9;
    cr_assert_not(id_maker_next(&ids, 0, WALL_MS, &id, &wait_ms));
    cr_assert_eq(wait_ms, 0);
}

Test(id_maker, a_lease_gives_64_rising_ids_a_millisecond)
{
    struct id_maker ids = {0};
    uint64_t id, last = 0;
    unsigned wait_ms;
    id_maker_lease(&ids, 7, MS(5000), WALL_MS - 1);
    for (int i = 0; i < 64; i++) {
        cr_assert(id_maker_next(&ids, 0, WALL_MS, &id, &wait_ms));
        cr_assert_gt(id, last);
        cr_assert_eq(snowflake_maker(id), 7);
        last = id;
    }
    cr_assert_not(id_maker_next(&ids, 0, WALL_MS, &id, &wait_ms));
    cr_assert_eq(wait_ms, 1);
    cr_assert(id_maker_next(&ids, 0, WALL_MS + 1, &id, &wait_ms));
    cr_assert_gt(id, last);
}

Test(id_maker, ids_begin_above_the_floor_and_end_with_the_lease)
{
    struct id_maker ids = {0};
    uint64_t id;
    unsigned wait_ms;
    id_maker_lease(&ids, 7, MS(5000), WALL_MS + 10);
    cr_assert_not(id_maker_next(&ids, 0, WALL_MS, &id, &wait_ms));
    cr_assert_eq(wait_ms, 11);
    cr_assert(id_maker_next(&ids, 0, WALL_MS + 11, &id, &wait_ms));
    cr_assert_not(id_maker_next(&ids, MS(5000), WALL_MS + 5000, &id, &wait_ms));
    cr_assert_eq(wait_ms, 0);
}

Test(id_maker, a_clock_that_steps_back_gives_no_id_twice)
{
    struct id_maker ids = {0};
    uint64_t id, last;
    unsigned wait_ms;
    id_maker_lease(&ids, 7, MS(5000), 0);
    cr_assert(id_maker_next(&ids, 0, WALL_MS, &last, &wait_ms));
    cr_assert(id_maker_next(&ids, 0, WALL_MS - 1000, &id, &wait_ms));
    cr_assert_gt(id, last);
}

Test(id_maker, reserved_ids_serve_until_they_are_old)
{
    struct id_maker ids = {0};
    uint64_t reserved[2] = {5, 6}, id;
    unsigned wait_ms;
    id_maker_reserve(&ids, reserved, 2, MS(1));
    cr_assert(id_maker_next(&ids, MS(2), WALL_MS, &id, &wait_ms));
    cr_assert_eq(id, 5);
    cr_assert_not(id_maker_next(&ids, MS(2002), WALL_MS, &id, &wait_ms));
}
