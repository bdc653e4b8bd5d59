/* raft_step: what a message's term means, and which handler it goes to. */
#include "controld/raft/raft_internal.h"

static bool is_leaders(enum raft_message_kind kind)
{
    return kind == RAFT_MESSAGE_APPEND || kind == RAFT_MESSAGE_HEARTBEAT || kind == RAFT_MESSAGE_SNAPSHOT;
}

static bool entries_are_sound(const struct raft_message *message)
{
    if (message->entries_count > RAFT_MESSAGE_ENTRIES_MAX) return false;
    uint64_t index = message->index, term = message->log_term;
    if (index > UINT64_MAX - message->entries_count) return false;
    for (uint32_t i = 0; i < message->entries_count; i++) {
        const struct raft_entry *entry = message->entries[i];
        if (entry->index != ++index || entry->term < term || !raft_entry_kind_known(entry->kind)) return false;
        term = entry->term;
    }
    return term <= message->term && (message->index == 0) == (message->log_term == 0);
}

static bool is_sound(struct raft *raft, const struct raft_message *message)
{
    if (message->kind < RAFT_MESSAGE_APPEND || (int)message->kind > RAFT_MESSAGE_KIND_LAST) return false;
    if (message->to != raft->options.id || message->from == raft->options.id) return false;
    if (!raft_peer(raft, message->from)) return false;
    if (message->term == 0 || message->term >= UINT64_MAX - 1) return false;
    if (message->kind == RAFT_MESSAGE_APPEND) return entries_are_sound(message);
    if (message->kind == RAFT_MESSAGE_SNAPSHOT)
        return message->entries_count == 0 && message->index != 0 && message->log_term != 0 &&
               message->log_term <= message->term;
    return message->entries_count == 0;
}

/* A message of an older term: the sender learns of the newer one where its answer would not come by itself. */
static void on_older_term(struct raft *raft, const struct raft_message *message)
{
    if (message->kind == RAFT_MESSAGE_APPEND || message->kind == RAFT_MESSAGE_HEARTBEAT) {
        /* With check-quorum or pre-vote a member whose term ran ahead is never asked for its vote again: this answer
           makes the leader step down, and the next election includes both. */
        if (!raft->options.no_check_quorum || !raft->options.no_pre_vote)
            raft_send(raft, (struct raft_message){.kind = RAFT_MESSAGE_APPEND_ANSWER, .to = message->from});
    } else if (message->kind == RAFT_MESSAGE_PRE_VOTE) {
        raft_send(
            raft, (struct raft_message){.kind = RAFT_MESSAGE_PRE_VOTE_ANSWER, .to = message->from, .reject = true});
    }
}

static void dispatch(struct raft *raft, const struct raft_message *message)
{
    if (is_leaders(message->kind)) {
        /* Two leaders in one term would be our own bug, or a forged message; the latter must not bring us down. */
        if (raft->role == RAFT_LEADER) return;
        if (raft->role != RAFT_FOLLOWER) raft_become_follower(raft, message->term, message->from);
        raft->election_elapsed = 0;
        raft->leader = message->from;
    }
    switch (message->kind) {
    case RAFT_MESSAGE_APPEND:
        raft_on_append(raft, message);
        break;
    case RAFT_MESSAGE_HEARTBEAT:
        raft_on_heartbeat(raft, message);
        break;
    case RAFT_MESSAGE_SNAPSHOT:
        raft_on_snapshot(raft, message);
        break;
    case RAFT_MESSAGE_APPEND_ANSWER:
        if (raft->role == RAFT_LEADER) raft_on_append_answer(raft, message);
        break;
    case RAFT_MESSAGE_HEARTBEAT_ANSWER:
        if (raft->role == RAFT_LEADER) raft_on_heartbeat_answer(raft, message);
        break;
    case RAFT_MESSAGE_VOTE:
    case RAFT_MESSAGE_PRE_VOTE:
        raft_on_vote(raft, message);
        break;
    case RAFT_MESSAGE_VOTE_ANSWER:
    case RAFT_MESSAGE_PRE_VOTE_ANSWER:
        raft_on_vote_answer(raft, message);
        break;
    case RAFT_MESSAGE_TIMEOUT_NOW:
        if (raft->role == RAFT_FOLLOWER && raft->leader == message->from) raft_start_election(raft, true);
        break;
    case RAFT_MESSAGE_READ_INDEX:
        /* Not the leader, or too busy: the reader's deadline answers. */
        if (raft->role == RAFT_LEADER) (void)!raft_leader_read(raft, message->from, message->context);
        break;
    case RAFT_MESSAGE_READ_INDEX_ANSWER:
        if (raft->role == RAFT_FOLLOWER) raft_read_answer(raft, message->context, message->index);
        break;
    }
}

void raft_handle(struct raft *raft, const struct raft_message *message)
{
    bool asks_for_vote = message->kind == RAFT_MESSAGE_VOTE || message->kind == RAFT_MESSAGE_PRE_VOTE;
    if (message->term > raft->term) {
        if (asks_for_vote && !message->transfer && raft_in_lease(raft)) return;
        bool speculative = message->kind == RAFT_MESSAGE_PRE_VOTE ||
                           (message->kind == RAFT_MESSAGE_PRE_VOTE_ANSWER && !message->reject);
        if (!speculative) raft_become_follower(raft, message->term, is_leaders(message->kind) ? message->from : 0);
    } else if (message->term < raft->term) {
        on_older_term(raft, message);
        return;
    }
    dispatch(raft, message);
}

enum status raft_step(struct raft *raft, const struct raft_message *message)
{
    if (!is_sound(raft, message)) return STATUS_BAD_REQUEST;
    enum status status = raft_follower_check(raft, message);
    if (status != STATUS_OK) return status;
    raft_handle(raft, message);
    raft_settle(raft);
    raft_log_check(&raft->log);
    return STATUS_OK;
}
