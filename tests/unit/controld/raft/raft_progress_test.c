#include "controld/raft/raft_progress.h"

#include <criterion/criterion.h>

static struct raft_progress replicating(uint32_t messages_max, uint64_t bytes_max)
{
    struct raft_progress progress;
    raft_progress_init(&progress, 2, messages_max, bytes_max);
    raft_progress_acked(&progress, 5);
    raft_progress_replicate(&progress);
    return progress;
}

Test(raft_progress, a_probe_is_one_append_at_a_time)
{
    struct raft_progress progress;
    raft_progress_init(&progress, 2, 4, 100);
    raft_progress_reset(&progress, 10);
    cr_assert_not(raft_progress_is_paused(&progress));
    raft_progress_sent(&progress, 3, 30);
    cr_assert(raft_progress_is_paused(&progress));
    cr_assert_eq(progress.next, 10, "a probe does not run ahead");
    raft_progress_fini(&progress);
}

Test(raft_progress, the_pipeline_is_full_by_messages_or_by_bytes)
{
    struct raft_progress progress = replicating(2, 1000);
    raft_progress_sent(&progress, 1, 10);
    cr_assert_not(raft_progress_is_full(&progress));
    raft_progress_sent(&progress, 1, 10);
    cr_assert(raft_progress_is_full(&progress));
    cr_assert(raft_progress_is_paused(&progress));
    raft_progress_free_to(&progress, 6);
    cr_assert_not(raft_progress_is_full(&progress));
    raft_progress_fini(&progress);
    progress = replicating(100, 20);
    raft_progress_sent(&progress, 1, 25);
    cr_assert(raft_progress_is_full(&progress));
    raft_progress_free_to(&progress, 6);
    cr_assert_eq(progress.inflight_bytes, 0);
    raft_progress_fini(&progress);
}

Test(raft_progress, the_ring_goes_round)
{
    struct raft_progress progress = replicating(3, 1000);
    for (uint64_t index = 6; index < 100; index++) {
        raft_progress_sent(&progress, 1, 1);
        cr_assert_eq(progress.next, index + 1);
        if (index % 2) {
            raft_progress_acked(&progress, index);
            raft_progress_free_to(&progress, index);
            cr_assert_eq(progress.inflight_count, 0);
        }
    }
    raft_progress_fini(&progress);
}

Test(raft_progress, a_refusal_moves_next_back_once)
{
    struct raft_progress progress;
    raft_progress_init(&progress, 2, 4, 100);
    raft_progress_reset(&progress, 10);
    cr_assert_not(raft_progress_rejected(&progress, 5, 3), "not the append under way");
    cr_assert(raft_progress_rejected(&progress, 9, 3));
    cr_assert_eq(progress.next, 4);
    cr_assert_not(raft_progress_rejected(&progress, 9, 3), "a duplicate");
    cr_assert(raft_progress_rejected(&progress, 3, UINT64_MAX), "a hint out of this world");
    cr_assert_gt(progress.next, progress.match);
    raft_progress_fini(&progress);
}

Test(raft_progress, a_late_refusal_below_the_match_is_ignored)
{
    struct raft_progress progress = replicating(4, 100);
    cr_assert_not(raft_progress_rejected(&progress, 5, 2));
    raft_progress_sent(&progress, 3, 3);
    cr_assert(raft_progress_rejected(&progress, 8, 2));
    cr_assert_eq(progress.next, 6);
    raft_progress_fini(&progress);
}

Test(raft_progress, after_a_snapshot_probing_goes_on_behind_it)
{
    struct raft_progress progress;
    raft_progress_init(&progress, 2, 4, 100);
    raft_progress_reset(&progress, 3);
    raft_progress_snapshot(&progress, 20);
    cr_assert(raft_progress_is_paused(&progress));
    raft_progress_probe(&progress);
    cr_assert_eq(progress.next, 21);
    cr_assert_not(raft_progress_is_paused(&progress));
    raft_progress_fini(&progress);
}
