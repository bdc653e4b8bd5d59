#include "noded/lsm/compaction.h"

#include <criterion/criterion.h>

#include "common/base/prng.h"

#define MIB ((uint64_t)1 << 20)

Test(compaction_choose, waits_for_enough_files_of_like_size)
{
    bool chosen[8];
    struct compaction_file three[] = {{MIB}, {2 * MIB}, {MIB}};
    cr_assert_eq(compaction_choose(three, 3, chosen), 0);
    struct compaction_file four[] = {{MIB}, {900 * MIB}, {2 * MIB}, {MIB}, {3 * MIB}};
    cr_assert_eq(compaction_choose(four, 5, chosen), 4);
    cr_assert(chosen[0] && !chosen[1] && chosen[2] && chosen[3] && chosen[4]);
}

Test(compaction_choose, never_mixes_verified_and_unverified_and_leaves_damage_alone)
{
    bool chosen[8];
    struct compaction_file mixed[] = {
        {MIB}, {MIB, .verified = true}, {MIB}, {MIB, .verified = true}, {MIB}, {MIB, .verified = true}};
    cr_assert_eq(compaction_choose(mixed, 6, chosen), 0);
    struct compaction_file damaged[] = {{MIB}, {MIB, .excluded = true}, {MIB}, {MIB}};
    cr_assert_eq(compaction_choose(damaged, 4, chosen), 0);
}

Test(compaction_choose, keeps_the_files_few_and_rewrites_a_row_about_once_per_factor_of_four)
{
    struct prng prng = prng_seeded(4);
    struct compaction_file files[64];
    bool chosen[64];
    uint32_t count = 0, most = 0;
    uint64_t in = 0, written = 0;
    for (unsigned flush = 0; flush < 4096; flush++) {
        files[count++] = (struct compaction_file){.bytes = MIB / 2 + prng_below(&prng, MIB)};
        in += files[count - 1].bytes;
        while (compaction_choose(files, count, chosen) > 0) {
            struct compaction_file merged = {0};
            uint32_t kept = 0;
            for (uint32_t i = 0; i < count; i++) {
                if (chosen[i])
                    merged.bytes += files[i].bytes;
                else
                    files[kept++] = files[i];
            }
            written += merged.bytes;
            files[kept++] = merged;
            count = kept;
        }
        if (count > most) most = count;
    }
    cr_assert_leq(most, TREE_FILES_HIGH);
    cr_assert_lt(written, in * 8, "a row was rewritten %.1f times", (double)written / (double)in);
}
