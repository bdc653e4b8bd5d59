/* raft_election: timeouts, votes, and changes of role. Thesis section 9.6 (pre-vote), 3.4 and 3.6 (elections). */
#include "controld/raft/raft_internal.h"

static void reset(struct raft *raft, uint64_t term)
{
    CHECK(term >= raft->term);
    if (term != raft->term) {
        raft->term = term;
        raft->vote = 0;
    }
    raft->leader = 0;
    raft->election_elapsed = raft->heartbeat_elapsed = 0;
    raft->election_timeout =
        raft->options.election_ticks + (uint32_t)prng_below(&raft->prng, raft->options.election_ticks);
    raft->transfer_to = 0;
    raft->uncommitted_bytes = 0;
    raft->reads_count = 0;
    raft->reads_unsent = false;
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        raft->peers[i].vote = 0;
        raft_progress_reset(&raft->peers[i], raft_log_last(&raft->log) + 1);
    }
}

void raft_become_follower(struct raft *raft, uint64_t term, uint64_t leader)
{
    reset(raft, term);
    raft->role = RAFT_FOLLOWER;
    raft->leader = leader;
}

bool raft_in_lease(const struct raft *raft)
{
    return !raft->options.no_check_quorum && raft->leader != 0 && raft->election_elapsed < raft->options.election_ticks;
}

static int vote_of(const void *context, uint64_t id)
{
    const struct raft *raft = context;
    for (uint32_t i = 0; i < raft->peers_count; i++)
        if (raft->peers[i].id == id) return raft->peers[i].vote;
    return 0;
}

/* Asks every voter, this one included: its own vote counts once it is durable, as anybody's. */
static void ask_for_votes(struct raft *raft, bool pre, bool transfer)
{
    uint64_t last = raft->log.durable, last_term;
    CHECK(raft_log_term(&raft->log, last, &last_term));
    uint64_t term = pre ? raft->term + 1 : raft->term;
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        uint64_t id = raft->peers[i].id;
        if (!quorum_joint_has(&raft->voters, id)) continue;
        if (id == raft->options.id)
            raft_send(raft, (struct raft_message){
                                .kind = pre ? RAFT_MESSAGE_PRE_VOTE_ANSWER : RAFT_MESSAGE_VOTE_ANSWER,
                                .to = id,
                                .term = term,
                            });
        else
            raft_send(raft, (struct raft_message){
                                .kind = pre ? RAFT_MESSAGE_PRE_VOTE : RAFT_MESSAGE_VOTE,
                                .to = id,
                                .term = term,
                                .index = last,
                                .log_term = last_term,
                                .transfer = transfer,
                            });
    }
}

static void become_candidate(struct raft *raft, bool transfer)
{
    reset(raft, raft->term + 1);
    raft->role = RAFT_CANDIDATE;
    raft->vote = raft->options.id;
    ask_for_votes(raft, false, transfer);
}

static void become_pre_candidate(struct raft *raft)
{
    /* Nothing but the role changes: neither term nor vote, and the timer runs on. */
    raft->role = RAFT_PRE_CANDIDATE;
    raft->leader = 0;
    for (uint32_t i = 0; i < raft->peers_count; i++)
        raft->peers[i].vote = 0;
    ask_for_votes(raft, true, false);
}

void raft_start_election(struct raft *raft, bool transfer)
{
    if (raft->role == RAFT_LEADER) return;
    if (!quorum_joint_has(&raft->voters, raft->options.id)) return;
    if (raft->install_unwritten || raft->installs_underway) return; /* what we hold is not settled yet */
    if (raft->options.no_pre_vote || transfer)
        become_candidate(raft, transfer);
    else
        become_pre_candidate(raft);
}

void raft_election_tick(struct raft *raft)
{
    raft->election_elapsed++;
    if (raft->election_elapsed < raft->election_timeout) return;
    raft->election_elapsed = 0;
    raft_start_election(raft, false);
}

void raft_on_vote(struct raft *raft, const struct raft_message *message)
{
    bool pre = message->kind == RAFT_MESSAGE_PRE_VOTE;
    bool free_to_vote =
        raft->vote == message->from || (raft->vote == 0 && raft->leader == 0) || (pre && message->term > raft->term);
    /* Compared with all that this member holds in memory, durable or not: its acknowledgements of those entries may
       still leave, so it must not help a candidate without them. */
    bool up_to_date = raft_log_is_behind_or_equal(&raft->log, message->index, message->log_term);
    bool grant = free_to_vote && (up_to_date || PLANT(votes_for_a_short_log));
    if (grant && !pre) {
        raft->election_elapsed = 0;
        raft->vote = message->from;
    }
    raft_send(raft, (struct raft_message){
                        .kind = pre ? RAFT_MESSAGE_PRE_VOTE_ANSWER : RAFT_MESSAGE_VOTE_ANSWER,
                        .to = message->from,
                        .term = grant ? message->term : raft->term,
                        .reject = !grant,
                    });
}

void raft_on_vote_answer(struct raft *raft, const struct raft_message *message)
{
    bool pre = message->kind == RAFT_MESSAGE_PRE_VOTE_ANSWER;
    if (raft->role != (pre ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE)) return;
    /* A grant of another pre-vote than the one under way says nothing about this one. */
    if (pre && !message->reject && message->term != raft->term + 1) return;
    struct raft_progress *peer = raft_peer(raft, message->from);
    if (peer->vote == 0) peer->vote = message->reject ? -1 : 1;
    switch (quorum_joint_vote(&raft->voters, vote_of, raft)) {
    case QUORUM_WON:
        if (pre)
            become_candidate(raft, false);
        else
            raft_lead(raft);
        break;
    case QUORUM_LOST:
        raft_become_follower(raft, raft->term, 0);
        break;
    case QUORUM_PENDING:
        break;
    }
}
