#include "common/model/snowflake.h"

#include "common/base/check.h"
#include "common/base/limits.h"

static const int64_t time_ms_max = (INT64_C(1) << 42) - 1;

uint64_t snowflake_make(int64_t unix_ms, uint16_t maker, uint8_t sequence)
{
    int64_t ms = unix_ms - SNOWFLAKE_EPOCH_MS;
    CHECK(ms >= 0 && ms <= time_ms_max);
    CHECK(sequence < SNOWFLAKE_SEQUENCES);
    return (uint64_t)ms << SNOWFLAKE_TIME_SHIFT | (uint64_t)maker << SNOWFLAKE_SEQUENCE_BITS | sequence;
}

int64_t snowflake_unix_ms(uint64_t id)
{
    return (int64_t)(id >> SNOWFLAKE_TIME_SHIFT) + SNOWFLAKE_EPOCH_MS;
}

int64_t snowflake_unix_us(uint64_t id)
{
    return snowflake_unix_ms(id) * 1000;
}

uint16_t snowflake_maker(uint64_t id)
{
    return (uint16_t)(id >> SNOWFLAKE_SEQUENCE_BITS);
}

uint8_t snowflake_sequence(uint64_t id)
{
    return id & (SNOWFLAKE_SEQUENCES - 1);
}

uint64_t snowflake_first_of_ms(int64_t unix_ms)
{
    if (unix_ms < SNOWFLAKE_EPOCH_MS) return 0;
    if (unix_ms > SNOWFLAKE_EPOCH_MS + time_ms_max) return UINT64_MAX;
    return (uint64_t)(unix_ms - SNOWFLAKE_EPOCH_MS) << SNOWFLAKE_TIME_SHIFT;
}

uint64_t snowflake_last_of_ms(int64_t unix_ms)
{
    if (unix_ms < SNOWFLAKE_EPOCH_MS) return 0;
    if (unix_ms > SNOWFLAKE_EPOCH_MS + time_ms_max) return UINT64_MAX;
    return snowflake_first_of_ms(unix_ms) | ((UINT64_C(1) << SNOWFLAKE_TIME_SHIFT) - 1);
}

bool snowflake_is_too_new(uint64_t id, int64_t now_unix_ms)
{
    return snowflake_unix_ms(id) - SKEW_AHEAD_MS_MAX > now_unix_ms;
}
