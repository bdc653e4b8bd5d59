#include "routerd/api/makers.h"

#include <criterion/criterion.h>

#include "common/model/snowflake.h"

enum { START_MS = 1000 };
#define WALL_MS 1700000000000ll
#define MS(value) ((uint64_t)(value)*1000000)

static _Atomic int64_t ceiling;

static struct makers with_numbers(unsigned count)
{
    struct makers makers;
    uint16_t numbers[MAKERS_MAX];
    atomic_store(&ceiling, WALL_MS + 100000);
    makers_init(&makers, 0, WALL_MS - 1, &ceiling);
    for (unsigned i = 0; i < count; i++)
        numbers[i] = (uint16_t)(500 + i);
    makers_add(&makers, numbers, count, 0);
    return makers;
}

static enum status ask(struct makers *makers, struct maker_request request, struct maker_lease *lease, uint16_t *number)
{
    return makers_lease(makers, &request, lease, number);
}
#define lease_of(makers, who, renewed, at_ms, wall, lease, number)                                                     \
    ask(makers, (struct maker_request){who, renewed, MS(at_ms), wall}, lease, number)

Test(makers, reserved_ids_rise_and_use_the_first_number)
{
    struct makers makers = with_numbers(3);
    uint64_t ids[200], last = 0;
    cr_assert_eq(makers_reserve(&makers, 200, WALL_MS, ids), STATUS_OK);
    for (int i = 0; i < 200; i++) {
        cr_assert_gt(ids[i], last);
        cr_assert_eq(snowflake_maker(ids[i]), 500);
        last = ids[i];
    }
    cr_assert_eq(makers_reserve(&makers, 1, WALL_MS - 5000, ids), STATUS_OK);
    cr_assert_gt(ids[0], last, "a clock that steps back gives no id twice");
}

Test(makers, nothing_is_reserved_above_the_mark_on_disk)
{
    struct makers makers = with_numbers(3);
    uint64_t id;
    atomic_store(&ceiling, WALL_MS - 1);
    cr_assert_eq(makers_reserve(&makers, 1, WALL_MS, &id), STATUS_UNAVAILABLE);
}

Test(makers, nothing_is_leased_in_the_first_ten_seconds)
{
    struct makers makers = with_numbers(3);
    struct uuid instance = {{1}};
    struct maker_lease lease;
    uint16_t number;
    cr_assert_eq(lease_of(&makers, instance, 0, 9999, WALL_MS, &lease, &number), STATUS_UNAVAILABLE);
    cr_assert_eq(lease_of(&makers, instance, 0, 10000, WALL_MS, &lease, &number), STATUS_OK);
    cr_assert_neq(number, 500, "the first number is Reserve's");
}

Test(makers, a_number_is_leased_again_only_when_its_ids_lie_in_the_past)
{
    struct makers makers = with_numbers(2);
    struct uuid first = {{1}}, second = {{2}};
    struct maker_lease lease;
    uint16_t number, other;
    cr_assert_eq(lease_of(&makers, first, 0, 20000, WALL_MS, &lease, &number), STATUS_OK);
    cr_assert_eq(lease_of(&makers, second, 0, 29999, WALL_MS + 9999, &lease, &other), STATUS_UNAVAILABLE);
    cr_assert_eq(lease_of(&makers, second, 0, 30001, WALL_MS + 5000, &lease, &other), STATUS_UNAVAILABLE,
        "the wall clock fell behind the floor");
    cr_assert_eq(lease_of(&makers, second, 0, 30001, WALL_MS + 10001, &lease, &other), STATUS_OK);
    cr_assert_eq(other, number);
    cr_assert_geq(lease.floor_unix_ms, WALL_MS + LEASE_MS);
}

Test(makers, a_renewal_keeps_the_number_and_one_of_a_lost_number_gets_another)
{
    struct makers makers = with_numbers(4);
    struct uuid first = {{1}}, second = {{2}};
    struct maker_lease lease;
    uint16_t number, again, other;
    cr_assert_eq(lease_of(&makers, first, 0, 20000, WALL_MS, &lease, &number), STATUS_OK);
    cr_assert_eq(lease_of(&makers, first, number, 24000, WALL_MS + 4000, &lease, &again), STATUS_OK);
    cr_assert_eq(again, number);
    cr_assert_eq(lease_of(&makers, second, number, 24000, WALL_MS + 4000, &lease, &other), STATUS_OK);
    cr_assert_neq(other, number);
}

Test(makers, a_start_below_the_mark_reserves_at_once_under_another_number)
{
    uint16_t numbers[8] = {500, 501, 502, 503, 504, 505, 506, 507};
    uint64_t ids[2];
    for (uint64_t boot = 1; boot <= 2; boot++) {
        struct makers makers;
        atomic_store(&ceiling, WALL_MS + 60000);
        makers_init(&makers, 0, WALL_MS + MARK_AHEAD_MS, &ceiling);
        makers_add(&makers, numbers, 8, boot);
        cr_assert_eq(makers_reserve(&makers, 1, WALL_MS, &ids[boot - 1]), STATUS_OK);
        cr_assert_eq(snowflake_unix_ms(ids[boot - 1]), WALL_MS, "not in the future");
    }
    cr_assert_neq(snowflake_maker(ids[0]), snowflake_maker(ids[1]));
}

/* The run before wrote its mark when its clock showed wrote_ms; this one starts with the same ceiling. */
static struct makers after_a_run(int64_t wrote_ms, uint64_t boot)
{
    uint16_t numbers[8] = {500, 501, 502, 503, 504, 505, 506, 507};
    struct makers makers;
    atomic_store(&ceiling, wrote_ms + MARK_AHEAD_MS);
    makers_init(&makers, 0, wrote_ms + MARK_AHEAD_MS, &ceiling);
    makers_add(&makers, numbers, 8, boot);
    return makers;
}

Test(makers, a_clock_that_was_set_back_by_a_minute_goes_on_above_the_ids_given_before)
{
    /* Ids were given for up to MARK_EVERY_MS after the mark, leased ones 5 s ahead of that. */
    struct makers makers = after_a_run(WALL_MS + 60000, 1);
    int64_t given = WALL_MS + 60000 + MARK_EVERY_MS + LEASE_MS, behind;
    uint64_t id, next;
    cr_assert_eq(makers_clock(&makers, WALL_MS, &behind), MAKERS_CLOCK_BEHIND);
    cr_assert_eq(behind, 60000);
    cr_assert_eq(makers_reserve(&makers, 1, WALL_MS, &id), STATUS_OK);
    cr_assert_geq(snowflake_unix_ms(id), given);
    cr_assert_leq(snowflake_unix_ms(id), makers_now_ms(&makers, WALL_MS), "its own ids are not in the future");
    cr_assert_eq(makers_reserve(&makers, 1, WALL_MS + 5000, &next), STATUS_OK);
    cr_assert_gt(next, id);
    cr_assert_eq(snowflake_unix_ms(next), snowflake_unix_ms(id), "they wait for the clock");
    int64_t caught_up = WALL_MS + 60000 + MARK_AHEAD_MS;
    atomic_store(&ceiling, makers_mark_ms(ceiling, caught_up, 0));
    cr_assert_eq(makers_reserve(&makers, 1, caught_up, &next), STATUS_OK);
    cr_assert_eq(snowflake_unix_ms(next), caught_up);
    cr_assert_eq(makers_now_ms(&makers, caught_up), caught_up);
    cr_assert_eq(makers_clock(&makers, caught_up, &behind), MAKERS_CLOCK_RIGHT);
    cr_assert_eq(behind, 0);
}

Test(makers, routers_whose_marks_differ_take_each_others_ids_after_a_clock_was_set_back)
{
    for (int64_t other = 0; other <= MARK_EVERY_MS; other += 1000) {
        struct makers one = after_a_run(WALL_MS + 60000, 1), two = after_a_run(WALL_MS + 60000 - other, 1);
        atomic_store(&ceiling, one.floor_unix_ms);
        for (int64_t at = 0; at <= 120000; at += 500) {
            uint64_t id;
            atomic_store(&ceiling, makers_mark_ms(ceiling, WALL_MS + at, 0));
            cr_assert_eq(makers_reserve(&one, 1, WALL_MS + at, &id), STATUS_OK);
            cr_assert_not(snowflake_is_too_new(id, makers_now_ms(&two, WALL_MS + at)), "at %lld", (long long)at);
            cr_assert_eq(makers_reserve(&two, 1, WALL_MS + at, &id), STATUS_OK);
            cr_assert_not(snowflake_is_too_new(id, makers_now_ms(&one, WALL_MS + at)), "at %lld", (long long)at);
        }
    }
}

Test(makers, a_start_after_a_crash_takes_no_ids_of_the_future)
{
    struct makers makers = after_a_run(WALL_MS, 1);
    cr_assert_eq(makers_now_ms(&makers, WALL_MS), WALL_MS);
    cr_assert_eq(makers_now_ms(&makers, WALL_MS + 3000), WALL_MS + 3000);
}

Test(makers, a_clock_that_is_far_behind_reserves_nothing_until_it_is_right)
{
    struct makers makers = after_a_run(WALL_MS + 3600000, 1);
    int64_t behind;
    uint64_t id;
    cr_assert_eq(makers_reserve(&makers, 1, WALL_MS, &id), STATUS_UNAVAILABLE);
    cr_assert_eq(makers_clock(&makers, WALL_MS, &behind), MAKERS_CLOCK_WRONG);
    cr_assert_eq(behind, 3600000);
    cr_assert_eq(makers_now_ms(&makers, WALL_MS), WALL_MS, "and no ids of the future are taken");
    cr_assert_eq(makers_reserve(&makers, 1, WALL_MS + 3600001, &id), STATUS_OK);
    cr_assert_eq(snowflake_unix_ms(id), WALL_MS + 3600001);
}

Test(makers, a_clock_that_is_set_back_while_running_goes_on_too)
{
    struct makers makers = after_a_run(WALL_MS - 60000, 1);
    uint64_t before, after;
    int64_t behind;
    atomic_store(&ceiling, WALL_MS + MARK_AHEAD_MS);
    cr_assert_eq(makers_reserve(&makers, 1, WALL_MS, &before), STATUS_OK);
    cr_assert_eq(makers_reserve(&makers, 1, WALL_MS - 60000, &after), STATUS_OK);
    cr_assert_gt(after, before);
    cr_assert_not(snowflake_is_too_new(after, makers_now_ms(&makers, WALL_MS - 60000)));
    cr_assert_eq(makers_clock(&makers, WALL_MS - 60000, &behind), MAKERS_CLOCK_BEHIND);
    cr_assert_eq(makers_reserve(&makers, 1, WALL_MS - CLOCK_BEHIND_MS_MAX - 1, &after), STATUS_UNAVAILABLE);
}

Test(makers, the_mark_is_ahead_of_clock_and_ids_and_never_falls)
{
    cr_assert_eq(makers_mark_ms(0, WALL_MS, 0), WALL_MS + MARK_AHEAD_MS);
    int64_t mark = WALL_MS + 90000;
    cr_assert_eq(makers_mark_ms(mark, WALL_MS, mark - MARK_SLACK_MS), mark, "restarts alone do not drive it ahead");
    cr_assert_eq(makers_mark_ms(mark, WALL_MS, mark - 5000), mark - 5000 + MARK_AHEAD_MS);
}
