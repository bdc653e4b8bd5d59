#include "controld/raft/raft.h"

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "tests/unit/controld/raft/cluster.h"

static const struct raft_options fast = {.election_ticks = 10};

static void elect(struct cluster *cluster, uint64_t id)
{
    cluster_campaign(cluster, id);
    cluster_settle(cluster);
    cr_assert_eq(cluster_leader(cluster), id, "%s", cluster->why);
}

/* A follower driven by hand: member 1 of {1, 2, 3}. */
static struct raft *follower(void)
{
    struct raft_options options = {.id = 1, .seed = 1};
    for (uint64_t id = 1; id <= 3; id++)
        quorum_add(&options.voters, id);
    struct raft *raft;
    cr_assert_eq(raft_create(&options, &(struct raft_boot){0}, &raft), STATUS_OK);
    return raft;
}

/* An append: entries with these terms, a digit each, after (index, log_term). */
struct call {
    uint64_t from, term, index, log_term;
    const char *terms;
    uint64_t commit;
};

static enum status append(struct raft *raft, struct call call)
{
    struct raft_entry *entries[8];
    uint32_t count = (uint32_t)strlen(call.terms);
    for (uint32_t i = 0; i < count; i++)
        entries[i] =
            raft_entry_create((uint64_t)(call.terms[i] - '0'), call.index + 1 + i, RAFT_ENTRY_NORMAL, bytes_text("x"));
    struct raft_message message = {.kind = RAFT_MESSAGE_APPEND, .from = call.from, .to = 1, .term = call.term};
    message.index = call.index;
    message.log_term = call.log_term;
    message.commit = call.commit;
    message.entries = entries;
    message.entries_count = count;
    enum status status = raft_step(raft, &message);
    for (uint32_t i = 0; i < count; i++)
        raft_entry_unref(entries[i]);
    return status;
}

/* Takes everything; returns the last write's token (0: none) and counts append answers and the best index in them. */
static uint64_t take(struct raft *raft, int *answers, uint64_t *best)
{
    uint64_t token = 0;
    *answers = 0;
    *best = 0;
    while (raft_has_ready(raft)) {
        struct raft_ready ready;
        raft_ready_take(raft, &ready);
        if (ready.write.token) token = ready.write.token;
        for (uint32_t i = 0; i < ready.messages_count; i++) {
            const struct raft_message *message = &ready.messages[i];
            if (message->kind != RAFT_MESSAGE_APPEND_ANSWER || message->reject) continue;
            ++*answers;
            if (message->index > *best) *best = message->index;
        }
        raft_ready_release(&ready);
    }
    return token;
}

Test(raft, an_append_is_acknowledged_when_it_is_durable)
{
    struct raft *raft = follower();
    int answers;
    uint64_t best;
    cr_assert_eq(append(raft, (struct call){2, 1, 0, 0, "11", 0}), STATUS_OK);
    uint64_t token = take(raft, &answers, &best);
    cr_assert_neq(token, 0);
    cr_assert_eq(answers, 0);
    raft_storage_done(raft, token);
    take(raft, &answers, &best);
    cr_assert_eq(answers, 1);
    cr_assert_eq(best, 2);
    raft_destroy(raft);
}

Test(raft, a_late_completion_does_not_pass_for_the_entries_that_replaced_its_own)
{
    struct raft *raft = follower();
    struct raft_status status;
    int answers;
    uint64_t best;
    cr_assert_eq(append(raft, (struct call){2, 1, 0, 0, "111", 0}), STATUS_OK);
    uint64_t first = take(raft, &answers, &best);
    /* A leader of term 2 replaces 2 and 3 while the first write is under way. */
    cr_assert_eq(append(raft, (struct call){3, 2, 1, 1, "22", 0}), STATUS_OK);
    uint64_t second = take(raft, &answers, &best);
    cr_assert_neq(second, first);
    raft_storage_done(raft, first);
    raft_status(raft, &status);
    cr_assert_eq(status.durable, 1);
    raft_storage_done(raft, second);
    raft_status(raft, &status);
    cr_assert_eq(status.durable, 3);
    raft_destroy(raft);
}

Test(raft, entries_that_come_back_are_not_durable_by_their_first_write)
{
    /* The ABA case: (1, 2) is written, replaced by (2, 2), and put back by a leader of term 3 that never saw (2, 2). */
    struct raft *raft = follower();
    struct raft_status status;
    int answers;
    uint64_t best;
    cr_assert_eq(append(raft, (struct call){2, 1, 0, 0, "11", 0}), STATUS_OK);
    uint64_t first = take(raft, &answers, &best);
    cr_assert_eq(append(raft, (struct call){3, 2, 1, 1, "2", 0}), STATUS_OK);
    uint64_t second = take(raft, &answers, &best);
    cr_assert_eq(append(raft, (struct call){2, 3, 1, 1, "13", 0}), STATUS_OK);
    raft_storage_done(raft, first);
    raft_status(raft, &status);
    cr_assert_eq(status.durable, 1, "the write to come may leave (2, 2) on disk first");
    uint64_t third = take(raft, &answers, &best);
    raft_storage_done(raft, second);
    raft_status(raft, &status);
    cr_assert_eq(status.durable, 1);
    raft_storage_done(raft, third);
    take(raft, &answers, &best);
    raft_status(raft, &status);
    cr_assert_eq(status.durable, 3);
    cr_assert_eq(best, 3);
    raft_destroy(raft);
}

/* Steps an append, makes all durable, and returns the index acknowledged. */
static uint64_t append_and_ack(struct raft *raft, struct call call)
{
    int answers;
    uint64_t best, token;
    cr_assert_eq(append(raft, call), STATUS_OK);
    if ((token = take(raft, &answers, &best))) {
        raft_storage_done(raft, token);
        take(raft, &answers, &best);
    }
    return best;
}

Test(raft, an_append_vouches_only_for_what_it_covers)
{
    struct raft *raft = follower();
    struct raft_status status;
    cr_assert_eq(append_and_ack(raft, (struct call){2, 1, 0, 0, "1111", 0}), 4);
    /* A leader of term 2 agrees up to 2; what lies behind may be replaced yet. */
    cr_assert_eq(append_and_ack(raft, (struct call){3, 2, 2, 1, "", 4}), 2);
    raft_status(raft, &status);
    cr_assert_eq(status.commit, 2);
    cr_assert_eq(status.last, 4);
    cr_assert_eq(append_and_ack(raft, (struct call){3, 2, 2, 1, "1", 4}), 3);
    raft_status(raft, &status);
    cr_assert_eq(status.commit, 3);
    raft_destroy(raft);
}

Test(raft, an_old_append_takes_nothing_away)
{
    struct raft *raft = follower();
    struct raft_status status;
    cr_assert_eq(append_and_ack(raft, (struct call){2, 1, 0, 0, "1111", 0}), 4);
    cr_assert_eq(append_and_ack(raft, (struct call){2, 1, 0, 0, "11", 0}), 2);
    raft_status(raft, &status);
    cr_assert_eq(status.last, 4);
    raft_destroy(raft);
}

Test(raft, a_refusal_skips_whole_terms)
{
    struct raft *raft = follower();
    struct raft_ready ready;
    append_and_ack(raft, (struct call){2, 4, 0, 0, "113344", 0});
    /* A leader of term 5 without terms 3 and 4 probes at (5, 2): the logs can agree at (2, 1) at most. */
    cr_assert_eq(append(raft, (struct call){3, 5, 5, 2, "", 0}), STATUS_OK);
    raft_ready_take(raft, &ready);
    uint64_t token = ready.write.token;
    raft_ready_release(&ready);
    raft_storage_done(raft, token);
    raft_ready_take(raft, &ready);
    cr_assert_eq(ready.messages_count, 1);
    cr_assert(ready.messages[0].reject);
    cr_assert_eq(ready.messages[0].reject_hint, 2);
    cr_assert_eq(ready.messages[0].log_term, 1);
    raft_ready_release(&ready);
    raft_destroy(raft);
}

Test(raft, a_write_from_before_an_installation_vouches_for_nothing_after_it)
{
    struct raft *raft = follower();
    struct raft_status status;
    int answers;
    uint64_t best;
    cr_assert_eq(append(raft, (struct call){2, 1, 0, 0, "111111", 0}), STATUS_OK);
    uint64_t first = take(raft, &answers, &best);
    struct raft_message snapshot = {.kind = RAFT_MESSAGE_SNAPSHOT, .from = 3, .to = 1, .term = 2};
    snapshot.index = 3;
    snapshot.log_term = 2;
    cr_assert_eq(raft_step(raft, &snapshot), STATUS_OK);
    uint64_t second = take(raft, &answers, &best);
    cr_assert_eq(append(raft, (struct call){3, 2, 3, 2, "22", 5}), STATUS_OK);
    uint64_t third = take(raft, &answers, &best);
    raft_storage_done(raft, first);
    raft_status(raft, &status);
    cr_assert_eq(status.durable, 3);
    raft_storage_done(raft, second);
    raft_status(raft, &status);
    cr_assert_eq(status.durable, 3);
    raft_storage_done(raft, third);
    raft_status(raft, &status);
    cr_assert_eq(status.durable, 5);
    raft_destroy(raft);
}

Test(raft, a_write_that_replaces_entries_says_where_to_cut)
{
    struct raft *raft = follower();
    struct raft_ready ready;
    cr_assert_eq(append(raft, (struct call){2, 1, 0, 0, "111", 0}), STATUS_OK);
    raft_ready_take(raft, &ready);
    cr_assert_not(ready.write.truncate);
    raft_storage_done(raft, ready.write.token);
    raft_ready_release(&ready);
    cr_assert_eq(append(raft, (struct call){3, 2, 1, 1, "2", 0}), STATUS_OK);
    raft_ready_take(raft, &ready);
    cr_assert(ready.write.truncate);
    cr_assert_eq(ready.write.truncate_after, 1);
    cr_assert_eq(ready.write.entries_count, 1);
    raft_ready_release(&ready);
    raft_destroy(raft);
}

Test(raft, committed_entries_are_handed_out_when_they_are_durable_here)
{
    struct raft *raft = follower();
    struct raft_ready ready;
    cr_assert_eq(append(raft, (struct call){2, 1, 0, 0, "11", 2}), STATUS_OK);
    raft_ready_take(raft, &ready);
    cr_assert_eq(ready.committed_count, 0);
    uint64_t token = ready.write.token;
    raft_ready_release(&ready);
    raft_storage_done(raft, token);
    raft_ready_take(raft, &ready);
    cr_assert_eq(ready.committed_count, 2);
    raft_ready_release(&ready);
    raft_applied(raft, 2);
    raft_destroy(raft);
}

Test(raft, malformed_messages_are_refused)
{
    struct raft *raft = follower();
    struct raft_message good = {.kind = RAFT_MESSAGE_HEARTBEAT, .from = 2, .to = 1, .term = 1};
    struct raft_message bad = good;
    bad.from = 9;
    cr_assert_eq(raft_step(raft, &bad), STATUS_BAD_REQUEST);
    bad = good;
    bad.to = 2;
    cr_assert_eq(raft_step(raft, &bad), STATUS_BAD_REQUEST);
    bad = good;
    bad.term = 0;
    cr_assert_eq(raft_step(raft, &bad), STATUS_BAD_REQUEST);
    bad = good;
    bad.kind = 99;
    cr_assert_eq(raft_step(raft, &bad), STATUS_BAD_REQUEST);
    cr_assert_eq(append(raft, (struct call){2, 1, 0, 0, "2", 0}), STATUS_BAD_REQUEST, "an entry newer than its leader");
    cr_assert_eq(append(raft, (struct call){2, 3, 0, 0, "21", 0}), STATUS_BAD_REQUEST, "terms that fall");
    cr_assert_eq(append(raft, (struct call){2, 3, 5, 0, "2", 0}), STATUS_BAD_REQUEST, "a place without a term");
    cr_assert_eq(raft_step(raft, &good), STATUS_OK);
    raft_destroy(raft);
}

Test(raft, a_member_that_lost_acknowledged_entries_must_stop)
{
    struct raft *raft = follower();
    struct raft_message heartbeat = {.kind = RAFT_MESSAGE_HEARTBEAT, .from = 2, .to = 1, .term = 1, .commit = 7};
    cr_assert_eq(raft_step(raft, &heartbeat), STATUS_CORRUPT);
    cr_assert_eq(append(raft, (struct call){2, 1, 0, 0, "11", 2}), STATUS_OK);
    cr_assert_eq(append(raft, (struct call){3, 2, 0, 0, "2", 0}), STATUS_CORRUPT, "another committed entry");
    raft_destroy(raft);
}

Test(raft, a_disk_that_contradicts_itself_is_refused)
{
    struct raft_options options = {.id = 1, .seed = 1};
    quorum_add(&options.voters, 1);
    struct raft *raft;
    struct raft_entry *entries[2] = {raft_entry_create(1, 1, RAFT_ENTRY_NORMAL, bytes_text("a")),
        raft_entry_create(1, 3, RAFT_ENTRY_NORMAL, bytes_text("b"))};
    struct raft_boot gap = {.hard = {.term = 1}, .entries = entries, .entries_count = 2};
    cr_assert_eq(raft_create(&options, &gap, &raft), STATUS_CORRUPT);
    struct raft_boot short_log = {.hard = {.term = 1, .commit = 2}, .entries = entries, .entries_count = 1};
    cr_assert_eq(raft_create(&options, &short_log, &raft), STATUS_CORRUPT);
    struct raft_boot applied = {.hard = {.term = 1}, .entries = entries, .entries_count = 1, .applied = 2};
    cr_assert_eq(raft_create(&options, &applied, &raft), STATUS_CORRUPT);
    struct raft_boot old_term = {.entries = entries, .entries_count = 1};
    cr_assert_eq(raft_create(&options, &old_term, &raft), STATUS_CORRUPT);
    struct raft_boot hole = {.hard = {.term = 1}, .entries = entries + 1, .entries_count = 1};
    cr_assert_eq(raft_create(&options, &hole, &raft), STATUS_CORRUPT);
    raft_entry_unref(entries[0]);
    raft_entry_unref(entries[1]);
}

Test(raft, one_voter_commits_only_what_is_durable)
{
    struct cluster cluster;
    cluster_init(&cluster, 1, 1, &fast);
    cluster_campaign(&cluster, 1);
    while (cluster_node(&cluster, 1)->writes_count > 0)
        cluster_sync(&cluster, 1, 1);
    cr_assert_eq(cluster_leader(&cluster), 1);
    uint64_t index = cluster_propose(&cluster, 1, "x");
    cr_assert_lt(cluster_status(&cluster, 1).commit, index);
    cluster_sync(&cluster, 1, SIZE_MAX);
    cr_assert_eq(cluster_status(&cluster, 1).commit, index);
    cr_assert_eq(cluster_node(&cluster, 1)->applied, index);
    cluster_fini(&cluster);
}

Test(raft, the_leaders_own_write_counts_no_earlier_than_anyones)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 1, &fast);
    elect(&cluster, 1);
    uint64_t index = cluster_propose(&cluster, 1, "x");
    /* 2 has it durably and says so; the leader's own disk is slow: one of three is no majority. */
    cluster_deliver_all(&cluster, 1, 2);
    cluster_sync(&cluster, 2, SIZE_MAX);
    cluster_deliver_all(&cluster, 2, 1);
    cr_assert_lt(cluster_status(&cluster, 1).commit, index);
    /* With 3 it is a majority without the leader. */
    cluster_deliver_all(&cluster, 1, 3);
    cluster_sync(&cluster, 3, SIZE_MAX);
    cluster_deliver_all(&cluster, 3, 1);
    cr_assert_eq(cluster_status(&cluster, 1).commit, index);
    cr_assert_lt(cluster_node(&cluster, 1)->applied, index, "not applied before it is durable here");
    cluster_settle(&cluster);
    cr_assert_eq(cluster_node(&cluster, 1)->applied, index);
    cr_assert_str_empty(cluster.why);
    cluster_fini(&cluster);
}

Test(raft, a_whole_group_restarts_from_its_disks)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 1, &fast);
    elect(&cluster, 1);
    for (int i = 0; i < 10; i++)
        cluster_propose(&cluster, 1, "x");
    cluster_settle(&cluster);
    uint64_t committed = cluster.committed_last, state = cluster_node(&cluster, 1)->state;
    for (uint64_t id = 1; id <= 3; id++)
        cluster_crash(&cluster, id, true);
    for (uint64_t id = 1; id <= 3; id++) {
        /* The state machine of 3 was wiped: it is rebuilt from the log. */
        if (id == 3) cluster_node(&cluster, id)->applied = cluster_node(&cluster, id)->state = 0;
        cluster_restart(&cluster, id);
    }
    cluster_run(&cluster, 60);
    cr_assert_str_empty(cluster.why);
    for (uint64_t id = 1; id <= 3; id++)
        cr_assert_gt(cluster_node(&cluster, id)->applied, committed);
    cr_assert_neq(cluster_node(&cluster, 3)->state, state);
    cr_assert_eq(cluster_node(&cluster, 3)->state, cluster_node(&cluster, 1)->state);
    cluster_fini(&cluster);
}

Test(raft, a_follower_that_fell_behind_the_log_gets_the_snapshot)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 1, &fast);
    elect(&cluster, 1);
    cluster_isolate(&cluster, 3, true);
    for (int i = 0; i < 20; i++)
        cluster_propose(&cluster, 1, "x");
    cluster_settle(&cluster);
    cr_assert(cluster_snapshot(&cluster, 1, 2));
    cluster_propose(&cluster, 1, "y");
    cluster_isolate(&cluster, 3, false);
    cluster_run(&cluster, 40);
    cr_assert_eq(cluster.installs, 1);
    cr_assert_eq(cluster_node(&cluster, 3)->state, cluster_node(&cluster, 1)->state);
    cr_assert_eq(cluster_status(&cluster, 1).peers[2].state, RAFT_REPLICATE);
    cr_assert_str_empty(cluster.why);
    cluster_fini(&cluster);
}

Test(raft, a_snapshot_carries_the_term_of_its_place_not_the_current_one)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 1, &fast);
    elect(&cluster, 1);
    cluster_propose(&cluster, 1, "x");
    cluster_settle(&cluster);
    uint64_t term = cluster_status(&cluster, 1).term, index = cluster_node(&cluster, 1)->applied;
    /* A new term begins, but nothing of it is applied at 2 when 2 takes its snapshot. */
    cr_assert_eq(raft_transfer(cluster_node(&cluster, 1)->raft, 2), STATUS_OK);
    cluster_process(&cluster, 1);
    cluster_deliver_all(&cluster, 1, 2);
    while (cluster_node(&cluster, 2)->writes_count > 0)
        cluster_sync(&cluster, 2, 1);
    cr_assert_gt(cluster_status(&cluster, 2).term, term);
    cr_assert(cluster_snapshot(&cluster, 2, 0));
    cr_assert_eq(cluster_status(&cluster, 2).snapshot.index, index);
    cr_assert_eq(cluster_status(&cluster, 2).snapshot.term, term);
    cluster_settle(&cluster);
    cr_assert_str_empty(cluster.why);
    cluster_fini(&cluster);
}

Test(raft, a_crash_between_a_snapshots_mark_and_its_state_is_mended_at_start)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 1, &fast);
    elect(&cluster, 1);
    cluster_isolate(&cluster, 3, true);
    for (int i = 0; i < 20; i++)
        cluster_propose(&cluster, 1, "x");
    cluster_settle(&cluster);
    cr_assert(cluster_snapshot(&cluster, 1, 0));
    cluster_isolate(&cluster, 3, false);
    for (int i = 0; i < 200 && cluster.installs == 0; i++) {
        cluster_tick(&cluster, 1, 1);
        cluster_deliver_all(&cluster, 0, 0);
        if (cluster.installs == 0) cluster_sync(&cluster, 3, SIZE_MAX);
    }
    cr_assert_eq(cluster.installs, 1);
    struct cluster_node *node = cluster_node(&cluster, 3);
    node->synced = node->records_count; /* the write reached the disk, its completion did not reach us */
    raft_replay_free(&node->on_disk);
    cluster_crash(&cluster, 3, true);
    cluster_restart(&cluster, 3);
    cr_assert_eq(node->applied, cluster_status(&cluster, 1).snapshot.index);
    cluster_run(&cluster, 60);
    cr_assert_str_empty(cluster.why);
    cr_assert_eq(node->state, cluster_node(&cluster, 1)->state);
    cluster_fini(&cluster);
}

Test(raft, a_read_waits_for_a_quorum)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 1, &fast);
    elect(&cluster, 1);
    cr_assert(cluster_read(&cluster, 1));
    cr_assert_eq(cluster.reads_answered, 0);
    cluster_settle(&cluster);
    cr_assert_eq(cluster.reads_answered, 1);
    /* A follower's read goes through the leader. */
    cr_assert(cluster_read(&cluster, 2));
    cluster_settle(&cluster);
    cr_assert_eq(cluster.reads_answered, 2);
    cr_assert_str_empty(cluster.why);
    cluster_fini(&cluster);
}

Test(raft, a_leader_that_was_replaced_answers_no_read)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 1, &fast);
    elect(&cluster, 1);
    cluster_isolate(&cluster, 1, true);
    cluster_run(&cluster, 1); /* 1 still believes that it leads */
    cr_assert_eq(cluster_status(&cluster, 1).role, RAFT_LEADER);
    cr_assert(cluster_read(&cluster, 1));
    cluster_settle(&cluster);
    cluster_isolate(&cluster, 1, true);
    cluster_run(&cluster, 60);
    cr_assert_eq(cluster.reads_answered, 0);
    cr_assert_neq(cluster_leader(&cluster), 1);
    cr_assert_eq(cluster_read(&cluster, 1), false, "no leader known");
    cluster_fini(&cluster);
}

Test(raft, a_new_leader_answers_reads_after_its_first_commit)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 1, &fast);
    cluster_campaign(&cluster, 1);
    while (cluster_leader(&cluster) == 0) {
        for (uint64_t id = 1; id <= 3; id++)
            cluster_sync(&cluster, id, SIZE_MAX);
        for (size_t i = 0; i < cluster.messages_count && cluster_leader(&cluster) == 0;)
            cluster_deliver(&cluster, 0);
    }
    cr_assert(cluster_read(&cluster, 1));
    cr_assert_eq(cluster_status(&cluster, 1).reads_pending, 1);
    cr_assert_eq(cluster_status(&cluster, 1).commit, 0);
    cluster_settle(&cluster);
    cr_assert_eq(cluster.reads_answered, 1);
    cr_assert_geq(cluster.answered_index, 1);
    cluster_fini(&cluster);
}

Test(raft, a_read_asked_before_the_first_commit_needs_a_round_of_its_own)
{
    struct cluster cluster;
    struct raft_options options = fast;
    options.no_pre_vote = options.no_check_quorum = true;
    cluster_init(&cluster, 3, 1, &options);
    cluster_campaign(&cluster, 1);
    while (cluster_leader(&cluster) == 0) {
        for (uint64_t id = 1; id <= 3; id++)
            cluster_sync(&cluster, id, SIZE_MAX);
        while (cluster.messages_count > 0 && cluster_leader(&cluster) == 0)
            cluster_deliver(&cluster, 0);
    }
    /* 2 acknowledges 1's first entry, but the answer is slow. */
    cluster_sync(&cluster, 1, SIZE_MAX);
    cluster_drop_all(&cluster, 1, 3);
    cluster_deliver_all(&cluster, 1, 2);
    cluster_sync(&cluster, 2, SIZE_MAX);
    struct cluster_message slow = {0};
    for (size_t i = 0; i < cluster.messages_count; i++)
        if (cluster.messages[i].message.kind == RAFT_MESSAGE_APPEND_ANSWER) slow = cluster.messages[i];
    cr_assert_eq(slow.message.to, 1);
    /* Meanwhile 2 and 3 go on without 1. */
    cluster_isolate(&cluster, 1, true);
    cluster_campaign(&cluster, 2);
    cluster_settle(&cluster);
    cr_assert_eq(cluster_leader(&cluster), 2);
    cluster_propose(&cluster, 2, "x");
    cluster_settle(&cluster);
    cr_assert(cluster_read(&cluster, 1));
    cr_assert_eq(raft_step(cluster_node(&cluster, 1)->raft, &slow.message), STATUS_OK);
    cluster_process(&cluster, 1);
    cr_assert_gt(cluster_status(&cluster, 1).commit, 0);
    cr_assert_eq(cluster.reads_answered, 0);
    cr_assert_str_empty(cluster.why);
    cluster_fini(&cluster);
}

Test(raft, an_acknowledgement_of_what_does_not_exist_commits_nothing)
{
    struct cluster cluster;
    cluster_init(&cluster, 3, 1, &fast);
    elect(&cluster, 1);
    struct raft_status before = cluster_status(&cluster, 1);
    struct raft_message forged = {.kind = RAFT_MESSAGE_APPEND_ANSWER, .from = 2, .to = 1, .term = before.term};
    forged.index = before.last + 7;
    cr_assert_eq(raft_step(cluster_node(&cluster, 1)->raft, &forged), STATUS_OK);
    cr_assert_eq(cluster_status(&cluster, 1).commit, before.commit);
    cr_assert_eq(cluster_status(&cluster, 1).peers[1].match, before.peers[1].match);
    cluster_fini(&cluster);
}

Test(raft, proposals_are_refused_definitely)
{
    struct cluster cluster;
    struct raft_options options = fast;
    options.uncommitted_bytes_max = 100;
    cluster_init(&cluster, 3, 1, &options);
    elect(&cluster, 1);
    struct raft *leader = cluster_node(&cluster, 1)->raft;
    uint64_t index = 0, term = 0;
    struct bytes small = bytes_text("x");
    cr_assert_eq(raft_propose(cluster_node(&cluster, 2)->raft, &small, 1, &index, &term), STATUS_NOT_OWNER);
    void *data = mem_zalloc(RAFT_ENTRY_BYTES_MAX + 1);
    struct bytes huge = bytes_of(data, RAFT_ENTRY_BYTES_MAX + 1), sixty = bytes_of(data, 60);
    cr_assert_eq(raft_propose(leader, &huge, 1, &index, &term), STATUS_TOO_BIG);
    cr_assert_eq(raft_propose(leader, &sixty, 1, &index, &term), STATUS_OK);
    cr_assert_eq(raft_propose(leader, &sixty, 1, &index, &term), STATUS_BUSY);
    cluster_settle(&cluster);
    cr_assert_eq(cluster_status(&cluster, 1).uncommitted_bytes, 0);
    cr_assert_eq(raft_propose(leader, &sixty, 1, &index, &term), STATUS_OK);
    cr_assert_eq(term, cluster_status(&cluster, 1).term);
    cr_assert_eq(index, cluster_status(&cluster, 1).last);
    mem_free(data);
    cluster_fini(&cluster);
}

Test(raft, appends_to_a_silent_follower_stay_within_the_limits)
{
    struct cluster cluster;
    struct raft_options options = fast;
    options.inflight_messages_max = 3;
    cluster_init(&cluster, 3, 1, &options);
    elect(&cluster, 1);
    for (int i = 0; i < 50; i++)
        cluster_propose(&cluster, 1, "x");
    size_t to_2 = 0;
    for (size_t i = 0; i < cluster.messages_count; i++)
        to_2 += cluster.messages[i].message.to == 2;
    cr_assert_leq(to_2, 3);
    cluster_drop_all(&cluster, 0, 0); /* all lost: heartbeats find out */
    cluster_run(&cluster, 10);
    cr_assert_eq(cluster_status(&cluster, 2).last, cluster_status(&cluster, 1).last);
    cr_assert_str_empty(cluster.why);
    cluster_fini(&cluster);
}

Test(raft, everything_is_freed)
{
    struct mem_scope *scope = mem_scope_create(), *outer = mem_scope_enter(scope);
    struct cluster cluster;
    struct raft_options options = {.election_ticks = 10, .append_bytes_max = 8};
    cluster_init(&cluster, 3, 5, &options);
    cluster_random_run(&cluster, 5000);
    cr_assert_str_empty(cluster.why);
    cluster_fini(&cluster);
    cr_assert_eq(mem_scope_blocks(scope), 0);
    mem_scope_enter(outer);
    mem_scope_destroy(scope);
}
