#include "common/model/snowflake.h"

#include <criterion/criterion.h>

#include "common/base/limits.h"

Test(snowflake, parts_come_back)
{
    uint64_t id = snowflake_make(1763800000123, 0xbeef, 63);
    cr_assert_eq(id, UINT64_C(0x1401f85d9eefbbff));
    cr_assert_eq(snowflake_unix_ms(id), 1763800000123);
    cr_assert_eq(snowflake_unix_us(id), 1763800000123000);
    cr_assert_eq(snowflake_maker(id), 0xbeef);
    cr_assert_eq(snowflake_sequence(id), 63);
}

Test(snowflake, zero_is_the_first_millisecond_of_2015)
{
    cr_assert_eq(snowflake_make(SNOWFLAKE_EPOCH_MS, 0, 0), 0);
    cr_assert_eq(snowflake_unix_ms(0), 1420070400000);
}

Test(snowflake, a_millisecond_has_a_first_and_a_last_id)
{
    int64_t ms = 1763800000123;
    cr_assert_eq(snowflake_first_of_ms(ms), snowflake_make(ms, 0, 0));
    cr_assert_eq(snowflake_last_of_ms(ms), snowflake_make(ms, 0xffff, 63));
    cr_assert_eq(snowflake_last_of_ms(ms) + 1, snowflake_first_of_ms(ms + 1));
    cr_assert_eq(snowflake_first_of_ms(0), 0);
    cr_assert_eq(snowflake_last_of_ms(INT64_MAX), UINT64_MAX);
    cr_assert_eq(snowflake_last_of_ms(snowflake_unix_ms(UINT64_MAX)), UINT64_MAX);
}

Test(snowflake, an_id_may_run_ahead_by_the_skew_and_no_more)
{
    int64_t now = 1763800000000;
    cr_assert_not(snowflake_is_too_new(snowflake_first_of_ms(now + SKEW_AHEAD_MS_MAX), now));
    cr_assert(snowflake_is_too_new(snowflake_first_of_ms(now + SKEW_AHEAD_MS_MAX + 1), now));
    cr_assert_not(snowflake_is_too_new(0, now));
    cr_assert(snowflake_is_too_new(UINT64_MAX, now));
}
