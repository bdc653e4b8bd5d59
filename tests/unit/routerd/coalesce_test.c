#include "routerd/coalesce/coalesce.h"

#include <criterion/criterion.h>

#include "common/base/check.h"
#include "tests/unit/common/runtime/fake.h"

/* Flights that departed and have not landed. */
struct sky {
    struct fake fake;
    struct coalesce coalesce;
    struct flight *flying[8];
    unsigned departed;
};

struct rider {
    struct passenger passenger;
    unsigned landed;
    enum status status;
    char page[8];
};

static void depart(void *context, struct flight *flight)
{
    struct sky *sky = context;
    sky->flying[sky->departed++] = flight;
}

static void landed(struct passenger *passenger, enum status status, struct bytes page, bool more)
{
    (void)more;
    struct rider *rider = CONTAINER_OF(passenger, struct rider, passenger);
    rider->landed++;
    rider->status = status;
    memcpy(rider->page, page.data, page.size);
}

static void sky_init(struct sky *sky)
{
    *sky = (struct sky){0};
    fake_init(&sky->fake);
    coalesce_init(&sky->coalesce, sky->fake.reactor, depart, sky);
}

static void sky_fini(struct sky *sky)
{
    coalesce_fini(&sky->coalesce);
    fake_fini(&sky->fake);
}

static void board(struct sky *sky, struct rider *rider, uint64_t channel)
{
    struct flight_key key = {.channel = channel, .limit = 50};
    *rider = (struct rider){.passenger.landed = landed};
    coalesce_board(&sky->coalesce, &key, &rider->passenger);
}

Test(coalesce, equal_reads_of_one_turn_share_a_flight_and_others_do_not)
{
    struct sky sky;
    struct rider a, b, c;
    sky_init(&sky);
    board(&sky, &a, 1);
    board(&sky, &b, 1);
    board(&sky, &c, 2);
    cr_assert_eq(sky.departed, 0, "flights depart at the end of the turn");
    fake_settle(&sky.fake);
    cr_assert_eq(sky.departed, 2);
    coalesce_land(sky.flying[0], STATUS_OK, bytes_text("one"), false);
    coalesce_land(sky.flying[1], STATUS_OK, bytes_text("two"), false);
    cr_assert_str_eq(a.page, "one");
    cr_assert_str_eq(b.page, "one");
    cr_assert_str_eq(c.page, "two");
    sky_fini(&sky);
}

Test(coalesce, a_read_asked_while_one_flies_waits_for_the_next)
{
    struct sky sky;
    struct rider a, b, c;
    sky_init(&sky);
    board(&sky, &a, 1);
    fake_settle(&sky.fake);
    board(&sky, &b, 1);
    board(&sky, &c, 1);
    fake_settle(&sky.fake);
    cr_assert_eq(sky.departed, 1, "one flies, one boards");
    coalesce_land(sky.flying[0], STATUS_OK, bytes_text("old"), false);
    cr_assert_eq(a.landed, 1);
    cr_assert_eq(b.landed + c.landed, 0);
    fake_settle(&sky.fake);
    cr_assert_eq(sky.departed, 2);
    coalesce_land(sky.flying[1], STATUS_OK, bytes_text("new"), false);
    cr_assert_str_eq(b.page, "new");
    cr_assert_str_eq(c.page, "new");
    cr_assert_eq(sky.coalesce.joined, 1);
    sky_fini(&sky);
}

Test(coalesce, a_passenger_who_leaves_fails_no_other)
{
    struct sky sky;
    struct rider a, b;
    sky_init(&sky);
    board(&sky, &a, 1);
    board(&sky, &b, 1);
    coalesce_leave(&a.passenger);
    fake_settle(&sky.fake);
    coalesce_land(sky.flying[0], STATUS_TIMEOUT, bytes_text(""), false);
    cr_assert_eq(a.landed, 0);
    cr_assert_eq(b.status, STATUS_TIMEOUT);
    coalesce_leave(&b.passenger);
    sky_fini(&sky);
}

Test(coalesce, the_planted_stale_boarding_answers_with_what_was_fetched_before)
{
    struct sky sky;
    struct rider a, b;
    plant_set("stale_boarding");
    sky_init(&sky);
    board(&sky, &a, 1);
    fake_settle(&sky.fake);
    board(&sky, &b, 1);
    coalesce_land(sky.flying[0], STATUS_OK, bytes_text("old"), false);
    cr_assert_eq(b.landed, 1);
    sky_fini(&sky);
}
