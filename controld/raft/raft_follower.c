/* raft_follower: appends, heartbeats and snapshots from the leader. */
#include "controld/raft/raft_internal.h"

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void answer_append(struct raft *raft, uint64_t to, uint64_t index)
{
    raft_send(raft, (struct raft_message){.kind = RAFT_MESSAGE_APPEND_ANSWER, .to = to, .index = index});
}

/* A committed entry is the same everywhere. */
static bool contradicts_committed(const struct raft_log *log, uint64_t index, uint64_t term)
{
    uint64_t ours;
    return index <= log->commit && raft_log_term(log, index, &ours) && ours != term;
}

enum status raft_follower_check(const struct raft *raft, const struct raft_message *message)
{
    if (message->term < raft->term) return STATUS_OK;
    if (message->kind == RAFT_MESSAGE_HEARTBEAT) {
        /* A leader tells us to commit only what we acknowledged. */
        return message->commit > raft_log_last(&raft->log) ? STATUS_CORRUPT : STATUS_OK;
    }
    if (message->kind == RAFT_MESSAGE_APPEND) {
        if (contradicts_committed(&raft->log, message->index, message->log_term)) return STATUS_CORRUPT;
        for (uint32_t i = 0; i < message->entries_count; i++)
            if (contradicts_committed(&raft->log, message->entries[i]->index, message->entries[i]->term))
                return STATUS_CORRUPT;
    }
    if (message->kind == RAFT_MESSAGE_SNAPSHOT && contradicts_committed(&raft->log, message->index, message->log_term))
        return STATUS_CORRUPT;
    return STATUS_OK;
}

static void advance_commit(struct raft *raft, uint64_t commit)
{
    commit = smaller(commit, raft_log_last(&raft->log));
    if (commit > raft->log.commit) raft->log.commit = commit;
}

void raft_on_append(struct raft *raft, const struct raft_message *message)
{
    struct raft_log *log = &raft->log;
    if (message->index < log->commit) {
        answer_append(raft, message->from, log->commit);
        return;
    }
    if (!raft_log_matches(log, message->index, message->log_term)) {
        /* Tell the leader the last place that can agree, and its term, so that it skips whole terms. */
        uint64_t term, hint = smaller(message->index, raft_log_last(log));
        hint = raft_log_find_at_most(log, hint, message->log_term, &term);
        raft_send(raft, (struct raft_message){
                            .kind = RAFT_MESSAGE_APPEND_ANSWER,
                            .to = message->from,
                            .index = message->index,
                            .reject = true,
                            .reject_hint = hint,
                            .log_term = term,
                        });
        return;
    }
    for (uint32_t i = 0; i < message->entries_count; i++) {
        struct raft_entry *entry = message->entries[i];
        if (entry->index <= raft_log_last(log)) {
            if (raft_log_matches(log, entry->index, entry->term)) continue;
            raft_log_truncate(log, entry->index);
        }
        raft_log_append(log, entry);
    }
    /* Beyond the message's own entries our log may still differ from the leader's. */
    uint64_t agreed = message->index + message->entries_count;
    advance_commit(raft, smaller(message->commit, agreed));
    answer_append(raft, message->from, agreed);
}

void raft_on_heartbeat(struct raft *raft, const struct raft_message *message)
{
    advance_commit(raft, message->commit);
    raft_send(raft,
        (struct raft_message){.kind = RAFT_MESSAGE_HEARTBEAT_ANSWER, .to = message->from, .context = message->context});
}

void raft_on_snapshot(struct raft *raft, const struct raft_message *message)
{
    struct raft_log *log = &raft->log;
    if (message->index > log->commit) {
        if (raft_log_matches(log, message->index, message->log_term)) {
            log->commit = message->index; /* we have all of it as entries */
        } else {
            raft->snapshot = (struct raft_snapshot){message->index, message->log_term};
            raft_log_reset(log, raft->snapshot);
            raft->install_unwritten = true;
        }
    }
    answer_append(raft, message->from, log->commit);
}
