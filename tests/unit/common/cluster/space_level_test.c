#include "common/cluster/space_level.h"

#include <criterion/criterion.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static enum space_level level(enum space_level before, uint64_t free_mib)
{
    struct space space = {
        .free_bytes = free_mib * MIB, .total_bytes = 1020 * MIB, .reserve_bytes = 20 * MIB, .held_bytes = 20 * MIB};
    return space_level_judge(before, &space);
}

Test(space_level, each_level_begins_at_its_share)
{
    static const struct {
        uint64_t free_mib;
        enum space_level level;
    } cases[] = {{1000, SPACE_LEVEL_OPEN}, {151, SPACE_LEVEL_OPEN}, {150, SPACE_LEVEL_NO_RANGES},
        {81, SPACE_LEVEL_NO_RANGES}, {80, SPACE_LEVEL_NO_IMPORTS}, {41, SPACE_LEVEL_NO_IMPORTS},
        {40, SPACE_LEVEL_NO_WRITES}, {21, SPACE_LEVEL_NO_WRITES}, {20, SPACE_LEVEL_NO_REPAIR},
        {0, SPACE_LEVEL_NO_REPAIR}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(level(SPACE_LEVEL_OPEN, cases[i].free_mib), cases[i].level, "%llu MiB free",
            (unsigned long long)cases[i].free_mib);
}

Test(space_level, a_level_falls_only_when_two_percent_more_are_free)
{
    cr_expect_eq(level(SPACE_LEVEL_NO_WRITES, 41), SPACE_LEVEL_NO_WRITES);
    cr_expect_eq(level(SPACE_LEVEL_NO_WRITES, 60), SPACE_LEVEL_NO_WRITES);
    cr_expect_eq(level(SPACE_LEVEL_NO_WRITES, 61), SPACE_LEVEL_NO_IMPORTS);
    cr_expect_eq(level(SPACE_LEVEL_NO_REPAIR, 500), SPACE_LEVEL_OPEN);
    cr_expect_eq(level(SPACE_LEVEL_NO_RANGES, 170), SPACE_LEVEL_NO_RANGES);
    cr_expect_eq(level(SPACE_LEVEL_NO_RANGES, 171), SPACE_LEVEL_OPEN);
}

Test(space_level, the_reserve_counts_as_used_whether_it_is_held_or_free)
{
    struct space held = {50 * MIB, 1020 * MIB, 20 * MIB, 20 * MIB}, given = {70 * MIB, 1020 * MIB, 20 * MIB, 0};
    cr_expect_eq(space_available(&held), 50 * MIB);
    cr_expect_eq(space_available(&given), 50 * MIB);
    cr_expect_eq(space_used_percent(&held), 95);
    struct space in_use = {10 * MIB, 1020 * MIB, 20 * MIB, 0}, tiny = {5 * MIB, 10 * MIB, 20 * MIB, 0};
    cr_expect_eq(space_available(&in_use), 0);
    cr_expect_eq(space_used_percent(&in_use), 100);
    cr_expect_eq(space_used_percent(&tiny), 100);
    cr_expect_eq(space_level_judge(SPACE_LEVEL_OPEN, &tiny), SPACE_LEVEL_NO_REPAIR);
}

Test(space_level, a_small_share_of_a_huge_disk_is_enough)
{
    struct space space = {.free_bytes = 17 * GIB, .total_bytes = 4000 * GIB};
    cr_expect_eq(space_level_judge(SPACE_LEVEL_OPEN, &space), SPACE_LEVEL_OPEN);
    space.free_bytes = 15 * GIB;
    cr_expect_eq(space_level_judge(SPACE_LEVEL_OPEN, &space), SPACE_LEVEL_NO_RANGES);
    space.free_bytes = 3 * GIB;
    cr_expect_eq(space_level_judge(SPACE_LEVEL_OPEN, &space), SPACE_LEVEL_NO_WRITES);
    space.free_bytes = GIB;
    cr_expect_eq(space_level_judge(SPACE_LEVEL_OPEN, &space), SPACE_LEVEL_NO_REPAIR);
}

Test(space_level, each_level_refuses_one_thing_more_and_none_refuses_deletes)
{
    for (unsigned i = 0; i < SPACE_LEVELS; i++) {
        cr_expect(space_level_allows((enum space_level)i, SPACE_USE_DELETE));
        cr_expect_eq(space_level_allows((enum space_level)i, SPACE_USE_REPAIR), i < SPACE_LEVEL_NO_REPAIR);
        cr_expect_eq(space_level_allows((enum space_level)i, SPACE_USE_WRITE), i < SPACE_LEVEL_NO_WRITES);
        cr_expect_eq(space_level_allows((enum space_level)i, SPACE_USE_IMPORT), i < SPACE_LEVEL_NO_IMPORTS);
        cr_expect_eq(space_level_allows((enum space_level)i, SPACE_USE_RANGE), i < SPACE_LEVEL_NO_RANGES);
    }
    cr_expect_eq(space_level_of(77), SPACE_LEVEL_NO_REPAIR);
}
