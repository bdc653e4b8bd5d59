#include <criterion/criterion.h>

#include "common/base/check.h"
#include "tests/unit/controld/raft/cluster.h"

static const struct raft_options plain = {.election_ticks = 10, .no_pre_vote = true, .no_check_quorum = true};
static const struct raft_options guarded = {.election_ticks = 10};

/* Elects id and lets everybody know. */
static void elect(struct cluster *cluster, uint64_t id)
{
    cluster_campaign(cluster, id);
    cluster_settle(cluster);
    cr_assert_eq(cluster_leader(cluster), id, "%s", cluster->why);
}

static size_t messages_from(const struct cluster *cluster, uint64_t from, enum raft_message_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < cluster->messages_count; i++)
        count += cluster->messages[i].message.from == from && cluster->messages[i].message.kind == kind;
    return count;
}

Test(raft_election, a_group_elects_one_leader_by_itself)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 1, &guarded);
    cluster_run(&cluster, 60);
    uint64_t leader = cluster_leader(&cluster);
    cr_assert_neq(leader, 0);
    for (uint64_t id = 1; id <= 3; id++)
        cr_assert_eq(cluster_status(&cluster, id).leader, leader);
    cluster_fini(&cluster);
}

Test(raft_election, a_vote_leaves_only_when_it_is_durable)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 1, &plain);
    cluster_campaign(&cluster, 1);
    cr_assert_eq(cluster.messages_count, 0, "the request tells of a term that is not durable yet");
    cluster_sync(&cluster, 1, SIZE_MAX);
    cr_assert_eq(messages_from(&cluster, 1, RAFT_MESSAGE_VOTE), 2);
    cluster_deliver_all(&cluster, 1, 2);
    cr_assert_eq(messages_from(&cluster, 2, RAFT_MESSAGE_VOTE_ANSWER), 0);
    cluster_sync(&cluster, 2, SIZE_MAX);
    cr_assert_eq(messages_from(&cluster, 2, RAFT_MESSAGE_VOTE_ANSWER), 1);
    cluster_fini(&cluster);
}

Test(raft_election, a_vote_survives_a_restart)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 1, &plain);
    cluster_campaign(&cluster, 1);
    cluster_sync(&cluster, 1, SIZE_MAX);
    cluster_deliver_all(&cluster, 1, 2);
    cluster_sync(&cluster, 2, SIZE_MAX);
    cluster_crash(&cluster, 2, true);
    cluster_restart(&cluster, 2);
    cr_assert_eq(cluster_status(&cluster, 2).vote, 1);
    /* Another candidate of the same term gets nothing from it. */
    cluster_drop_all(&cluster, 0, 0);
    cluster_campaign(&cluster, 3);
    cluster_sync(&cluster, 3, SIZE_MAX);
    cluster_deliver_all(&cluster, 3, 2);
    cluster_sync(&cluster, 2, SIZE_MAX);
    cluster_deliver_all(&cluster, 2, 3);
    cr_assert_neq(cluster_status(&cluster, 3).role, RAFT_LEADER);
    cr_assert_str_empty(cluster.why);
    cluster_fini(&cluster);
}

Test(raft_election, a_vote_that_was_lost_with_the_crash_was_never_told)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 1, &plain);
    cluster_campaign(&cluster, 1);
    cluster_sync(&cluster, 1, SIZE_MAX);
    cluster_deliver_all(&cluster, 1, 2);
    cluster_crash(&cluster, 2, true);
    cluster_restart(&cluster, 2);
    cr_assert_eq(cluster_status(&cluster, 2).vote, 0);
    cr_assert_eq(messages_from(&cluster, 2, RAFT_MESSAGE_VOTE_ANSWER), 0);
    cluster_fini(&cluster);
}

Test(raft_election, a_candidate_advertises_only_what_is_durable)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 1, &plain);
    elect(&cluster, 1);
    uint64_t durable = cluster_status(&cluster, 2).durable;
    cluster_propose(&cluster, 1, "x");
    cluster_deliver_all(&cluster, 1, 2); /* in 2's memory, not on its disk */
    cr_assert_eq(cluster_status(&cluster, 2).last, durable + 1);
    cluster_drop_all(&cluster, 0, 0);
    cluster_campaign(&cluster, 2);
    while (cluster_node(&cluster, 2)->writes_count > 0)
        cluster_sync(&cluster, 2, 1);
    bool seen = false;
    for (size_t i = 0; i < cluster.messages_count; i++) {
        const struct raft_message *message = &cluster.messages[i].message;
        if (message->kind != RAFT_MESSAGE_VOTE) continue;
        seen = true;
        cr_assert_eq(message->index, durable);
    }
    cr_assert(seen);
    cluster_fini(&cluster);
}

/* Campaigns until id leads, and stops there: nothing that it sends as leader is delivered yet. */
static void elect_only(struct cluster *cluster, uint64_t id)
{
    for (int campaign = 0; campaign < 3 && cluster_leader(cluster) != id; campaign++) {
        cluster_campaign(cluster, id);
        for (int round = 0; round < 3 && cluster_leader(cluster) != id; round++) {
            for (int i = 0; i < cluster->count; i++)
                cluster_sync(cluster, (uint64_t)i + 1, SIZE_MAX);
            while (cluster->messages_count > 0 && cluster_leader(cluster) != id)
                cluster_deliver(cluster, 0);
        }
    }
    cr_assert_eq(cluster_leader(cluster), id);
}

/* The paper's figure 8: a leader of term 4 spreads an entry of term 2 to a majority, then a leader of term 3 takes
 * over. */
static void figure_8(struct cluster *cluster)
{
    struct raft_options options = plain;
    options.append_bytes_max = 1; /* one entry with content per append */
    cluster_init(cluster, 5, 8, &options);
    elect(cluster, 1);
    uint64_t index = cluster_propose(cluster, 1, "old");
    cluster_deliver_all(cluster, 1, 2); /* (a) on 1 and 2 only */
    cluster_sync(cluster, 1, SIZE_MAX);
    cluster_sync(cluster, 2, SIZE_MAX);
    cluster_drop_all(cluster, 0, 0);
    cluster_crash(cluster, 1, true);
    cluster_cut(cluster, 5, 2, true);
    elect_only(cluster, 5); /* (b) 5 wins with 3 and 4, its entry reaches nobody */
    cluster_sync(cluster, 5, SIZE_MAX);
    cluster_drop_all(cluster, 0, 0);
    cluster_crash(cluster, 5, true);
    cluster_restart(cluster, 1);
    elect_only(cluster, 1); /* (c) 1 leads again */
    /* It brings the old entry, and nothing newer, to 3. */
    for (int round = 0; round < 8 && raft_term_at(cluster_node(cluster, 3)->raft, index) == 0; round++) {
        cluster_sync(cluster, 1, SIZE_MAX);
        cluster_drop_all(cluster, 1, 4);
        cluster_deliver_all(cluster, 1, 2);
        cluster_sync(cluster, 2, SIZE_MAX);
        cluster_deliver_all(cluster, 2, 1);
        cluster_deliver_all(cluster, 1, 3);
        cluster_sync(cluster, 3, SIZE_MAX);
        if (raft_term_at(cluster_node(cluster, 3)->raft, index) == 0) cluster_deliver_all(cluster, 3, 1);
    }
    cr_assert_eq(raft_term_at(cluster_node(cluster, 3)->raft, index), 1);
    cr_assert_eq(cluster_status(cluster, 3).last, index);
    cluster_deliver_all(cluster, 3, 1);
    cluster_drop_all(cluster, 0, 0);
    cluster_crash(cluster, 1, true);
    cluster_cut(cluster, 5, 2, false);
    cluster_restart(cluster, 5);
    for (int i = 0; i < 3 && cluster_leader(cluster) != 5 && !cluster->why[0]; i++) {
        cluster_campaign(cluster, 5); /* (d) 5 leads with 2, 3 and 4 */
        cluster_settle(cluster);
    }
    cluster_restart(cluster, 1);
    cluster_settle(cluster);
}

Test(raft_election, figure_8_does_not_commit_an_entry_of_an_older_term_by_counting)
{
    struct cluster cluster;
    figure_8(&cluster);
    cr_assert_str_empty(cluster.why);
    cr_assert_eq(cluster_leader(&cluster), 5);
    cluster_fini(&cluster);
}

Test(raft_election, figure_8_diverges_without_the_commit_rule)
{
    plant_set("commit_older_term");
    struct cluster cluster;
    figure_8(&cluster);
    cr_assert_str_not_empty(cluster.why);
    cluster_fini(&cluster);
}

/* 1, 2 and 3 see each other; 4 sees only 2, 5 sees only 3. */
static void cut_to_partial_graph(struct cluster *cluster)
{
    for (uint64_t a = 1; a <= 5; a++)
        for (uint64_t b = a + 1; b <= 5; b++)
            cluster_cut(cluster, a, b, !(b <= 3 || (a == 2 && b == 4) || (a == 3 && b == 5)));
}

Test(raft_election, partial_connectivity_leaves_a_stable_leader)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct cluster cluster;
        cluster_init(&cluster, 5, seed, &guarded);
        cluster_run(&cluster, 50);
        cut_to_partial_graph(&cluster);
        cluster_run(&cluster, 100); /* ten timeouts */
        uint64_t leader = cluster_leader(&cluster), term = cluster_status(&cluster, leader).term;
        cr_assert(leader >= 1 && leader <= 3, "seed %llu", (unsigned long long)seed);
        uint64_t index = cluster_propose(&cluster, leader, "x");
        cluster_run(&cluster, 300);
        cr_assert_eq(cluster_leader(&cluster), leader);
        cr_assert_eq(cluster_status(&cluster, leader).term, term, "the leader was deposed");
        cr_assert_geq(cluster_status(&cluster, leader).commit, index);
        cr_assert_str_empty(cluster.why);
        cluster_fini(&cluster);
    }
}

Test(raft_election, one_broken_link_does_not_move_the_leader)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 3, &guarded);
    elect(&cluster, 1);
    uint64_t term = cluster_status(&cluster, 1).term;
    cluster_cut(&cluster, 1, 3, true); /* 3 sees only 2, which hears the leader well */
    cluster_run(&cluster, 300);
    cr_assert_eq(cluster_leader(&cluster), 1);
    cr_assert_eq(cluster_status(&cluster, 1).term, term);
    cluster_fini(&cluster);
}

Test(raft_election, a_grant_of_an_older_pre_vote_does_not_count)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 3, &guarded);
    elect(&cluster, 1);
    uint64_t term = cluster_status(&cluster, 2).term;
    struct raft *raft = cluster_node(&cluster, 2)->raft;
    cluster_campaign(&cluster, 2);
    cr_assert_eq(cluster_status(&cluster, 2).role, RAFT_PRE_CANDIDATE);
    struct raft_message old = {.kind = RAFT_MESSAGE_PRE_VOTE_ANSWER, .from = 3, .to = 2, .term = term};
    cr_assert_eq(raft_step(raft, &old), STATUS_OK);
    cr_assert_eq(cluster_status(&cluster, 2).role, RAFT_PRE_CANDIDATE);
    old.term = term + 1;
    cr_assert_eq(raft_step(raft, &old), STATUS_OK);
    cr_assert_eq(cluster_status(&cluster, 2).role, RAFT_CANDIDATE);
    cluster_fini(&cluster);
}

Test(raft_election, a_leader_without_a_quorum_steps_down)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 3, &guarded);
    elect(&cluster, 1);
    cluster_isolate(&cluster, 1, true);
    for (int i = 0; i < 20; i++)
        cluster_tick(&cluster, 1, 1);
    cr_assert_neq(cluster_status(&cluster, 1).role, RAFT_LEADER);
    cluster_fini(&cluster);
}

Test(raft_election, an_isolated_member_returns_without_raising_the_term)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 3, &guarded);
    elect(&cluster, 1);
    uint64_t term = cluster_status(&cluster, 1).term;
    cluster_isolate(&cluster, 3, true);
    cluster_run(&cluster, 200);
    cr_assert_eq(cluster_status(&cluster, 3).term, term);
    cluster_isolate(&cluster, 3, false);
    cluster_run(&cluster, 100);
    cr_assert_eq(cluster_status(&cluster, 1).term, term);
    cr_assert_eq(cluster_leader(&cluster), 1);
    cluster_fini(&cluster);
}

Test(raft_election, a_member_whose_term_ran_ahead_is_taken_back_in)
{
    struct cluster cluster;
    struct raft_options options = guarded;
    options.no_pre_vote = true;
    cluster_init(&cluster, 3, 3, &options);
    elect(&cluster, 1);
    cluster_isolate(&cluster, 3, true);
    cluster_run(&cluster, 100);
    cr_assert_gt(cluster_status(&cluster, 3).term, cluster_status(&cluster, 1).term);
    cluster_isolate(&cluster, 3, false);
    cluster_run(&cluster, 200);
    uint64_t leader = cluster_leader(&cluster);
    for (uint64_t id = 1; id <= 3; id++)
        cr_assert_eq(cluster_status(&cluster, id).leader, leader);
    cr_assert_str_empty(cluster.why);
    cluster_fini(&cluster);
}

Test(raft_election, leadership_moves_to_the_voter_named)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 3, &guarded);
    elect(&cluster, 1);
    cluster_isolate(&cluster, 3, true);
    cluster_propose(&cluster, 1, "x");
    cluster_settle(&cluster);
    cluster_isolate(&cluster, 3, false);
    /* 3 is behind: it is brought up first; meanwhile proposals are refused. */
    struct raft *leader = cluster_node(&cluster, 1)->raft;
    cr_assert_eq(raft_transfer(leader, 9), STATUS_NOT_FOUND);
    cr_assert_eq(raft_transfer(leader, 1), STATUS_NOT_FOUND);
    cr_assert_eq(raft_transfer(cluster_node(&cluster, 2)->raft, 3), STATUS_NOT_OWNER);
    cr_assert_eq(raft_transfer(leader, 3), STATUS_OK);
    cr_assert_eq(cluster_propose(&cluster, 1, "y"), 0);
    cluster_run(&cluster, 8);
    cr_assert_eq(cluster_leader(&cluster), 3);
    cr_assert_eq(cluster_status(&cluster, 1).leader, 3);
    cr_assert_str_empty(cluster.why);
    cluster_fini(&cluster);
}

Test(raft_election, a_transfer_to_a_dead_voter_is_given_up)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 3, &guarded);
    elect(&cluster, 1);
    cluster_crash(&cluster, 3, true);
    cr_assert_eq(raft_transfer(cluster_node(&cluster, 1)->raft, 3), STATUS_OK);
    cluster_run(&cluster, 12);
    cr_assert_eq(cluster_leader(&cluster), 1);
    cr_assert_neq(cluster_propose(&cluster, 1, "x"), 0);
    cluster_fini(&cluster);
}

Test(raft_election, a_stalled_disk_does_not_pile_up_messages)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 3, &guarded);
    cluster_run(&cluster, 60);
    cluster_drop_all(&cluster, 0, 0);
    cluster_isolate(&cluster, 2, true);
    cluster_campaign(&cluster, 2);
    for (int i = 0; i < 20000; i++)
        cluster_tick(&cluster, 2, 1); /* its writes never finish */
    cluster_drop_all(&cluster, 0, 0);
    while (cluster_node(&cluster, 2)->writes_count > 0)
        cluster_sync(&cluster, 2, SIZE_MAX);
    cr_assert_lt(cluster.messages_count, 300);
    cluster_fini(&cluster);
}
