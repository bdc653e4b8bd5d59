#include "common/obs/health.h"

#include <criterion/criterion.h>
#include <string.h>

Test(health, starts_as_starting_and_tells_the_latest_reason)
{
    struct health health;
    char reason[HEALTH_REASON_BYTES];
    health_init(&health);
    cr_assert_eq(health_get(&health, reason), HEALTH_STARTING);
    cr_assert_str_eq(reason, "");
    health_set(&health, HEALTH_DRAINING, "%d calls left", 7);
    cr_assert_eq(health_get(&health, reason), HEALTH_DRAINING);
    cr_assert_str_eq(reason, "7 calls left");
    cr_assert_str_eq(health_name(HEALTH_DRAINING), "draining");
    health_fini(&health);
}

Test(health, a_long_reason_is_cut)
{
    struct health health;
    char reason[HEALTH_REASON_BYTES], longer[1000];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = 0;
    health_init(&health);
    health_set(&health, HEALTH_FAILED, "%s", longer);
    cr_assert_eq(health_get(&health, reason), HEALTH_FAILED);
    cr_assert_eq(strlen(reason), HEALTH_REASON_BYTES - 1);
    health_fini(&health);
}
