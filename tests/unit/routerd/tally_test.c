#include "routerd/coordinator/tally.h"

#include <criterion/criterion.h>

static struct tally of_three(enum tally_kind kind)
{
    struct tally tally;
    tally_init(&tally, kind, 3, 2);
    return tally;
}

Test(tally, two_of_three_acks_decide_and_a_late_answer_changes_nothing)
{
    struct tally tally = of_three(TALLY_CREATE);
    cr_assert_not(tally_add(&tally, STATUS_OK));
    cr_assert(tally_add(&tally, STATUS_OK));
    cr_assert_eq(tally.verdict, STATUS_OK);
    cr_assert_not(tally_add(&tally, STATUS_BUSY));
    cr_assert_eq(tally.verdict, STATUS_OK);
}

Test(tally, one_stored_and_two_refused_is_undecided)
{
    struct tally tally = of_three(TALLY_CREATE);
    tally_add(&tally, STATUS_OK);
    tally_add(&tally, STATUS_UNAVAILABLE);
    cr_assert(tally_add(&tally, STATUS_BUSY));
    cr_assert_eq(tally.verdict, STATUS_UNDECIDED);
}

Test(tally, refused_by_all_is_the_refusal_and_a_final_one_before_a_retry)
{
    struct tally tally = of_three(TALLY_CREATE);
    tally_add(&tally, STATUS_BUSY);
    tally_add(&tally, STATUS_TOO_OLD);
    cr_assert(tally_add(&tally, STATUS_BUSY));
    cr_assert_eq(tally.verdict, STATUS_TOO_OLD);
}

Test(tally, a_lost_answer_makes_a_refusal_unknown)
{
    struct tally tally = of_three(TALLY_CREATE);
    tally_add(&tally, STATUS_BUSY);
    tally_add(&tally, STATUS_LOST);
    cr_assert(tally_add(&tally, STATUS_BUSY));
    cr_assert_eq(tally.verdict, STATUS_UNDECIDED);
}

Test(tally, a_delete_heard_of_makes_a_create_deleted)
{
    struct tally tally = of_three(TALLY_CREATE);
    tally_add(&tally, STATUS_DEAD);
    cr_assert(tally_add(&tally, STATUS_OK));
    cr_assert_eq(tally.verdict, STATUS_DELETED);
}

Test(tally, an_edit_waits_for_undominated_acks_while_they_can_come)
{
    struct tally tally = of_three(TALLY_EDIT);
    cr_assert_not(tally_add(&tally, STATUS_DOMINATED));
    cr_assert_not(tally_add(&tally, STATUS_OK));
    cr_assert(tally_add(&tally, STATUS_OK));
    cr_assert_eq(tally.verdict, STATUS_OK);
    tally = of_three(TALLY_EDIT);
    tally_add(&tally, STATUS_DOMINATED);
    cr_assert(tally_add(&tally, STATUS_DOMINATED));
    cr_assert_eq(tally.verdict, STATUS_SUPERSEDED);
}

Test(tally, an_edit_is_pending_when_nobody_knows_the_create)
{
    struct tally tally = of_three(TALLY_EDIT);
    tally_add(&tally, STATUS_PENDING);
    tally_add(&tally, STATUS_PENDING);
    cr_assert_eq(tally.verdict, STATUS_PENDING);
}

Test(tally, the_deadline_decides_what_is_open)
{
    struct tally tally = of_three(TALLY_CREATE);
    tally_add(&tally, STATUS_OK);
    tally_expire(&tally);
    cr_assert_eq(tally.verdict, STATUS_TIMEOUT);
    tally = of_three(TALLY_EDIT);
    tally_add(&tally, STATUS_DOMINATED);
    tally_add(&tally, STATUS_OK);
    tally_expire(&tally);
    cr_assert_eq(tally.verdict, STATUS_SUPERSEDED);
}
