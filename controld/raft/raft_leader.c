/* raft_leader: replication, commit, reads, transfer of leadership. */
#include "controld/raft/raft_internal.h"

#include "common/base/mem.h"

static bool is_self(const struct raft *raft, const struct raft_progress *peer)
{
    return peer->id == raft->options.id;
}

/* ---- Commit ---- */

static bool has_committed_in_term(const struct raft *raft)
{
    return raft_log_matches(&raft->log, raft->log.commit, raft->term);
}

static uint64_t match_of(const void *context, uint64_t id)
{
    const struct raft *raft = context;
    for (uint32_t i = 0; i < raft->peers_count; i++)
        if (raft->peers[i].id == id) return raft->peers[i].match;
    return 0;
}

static uint64_t read_round_of(const void *context, uint64_t id)
{
    const struct raft *raft = context;
    if (id == raft->options.id) return raft->read_round;
    for (uint32_t i = 0; i < raft->peers_count; i++)
        if (raft->peers[i].id == id) return raft->peers[i].read_round;
    return 0;
}

static void commit_to(struct raft *raft, uint64_t index)
{
    for (uint64_t at = raft->log.commit + 1; at <= index; at++) {
        uint64_t bytes = raft_log_entry(&raft->log, at)->data_size;
        raft->uncommitted_bytes -= bytes < raft->uncommitted_bytes ? bytes : raft->uncommitted_bytes;
    }
    raft->log.commit = index;
    /* The reads that came before this term's first commit begin now. */
    for (uint32_t i = 0; i < raft->reads_count; i++) {
        if (raft->reads[i].index != 0) continue;
        raft->reads[i].index = index;
        raft->reads[i].round = raft->read_round + 1;
        raft->reads_unsent = true;
    }
}

static bool try_commit(struct raft *raft)
{
    uint64_t index = quorum_joint_committed(&raft->voters, match_of, raft), term;
    if (index <= raft->log.commit || index > raft_log_last(&raft->log)) return false;
    /* Counting copies commits nothing of an older term (the paper's figure 8). */
    if (!raft_log_term(&raft->log, index, &term)) return false;
    if (term != raft->term && !PLANT(commit_older_term)) return false;
    commit_to(raft, index);
    return true;
}

/* ---- Sending ---- */

static bool send_snapshot(struct raft *raft, struct raft_progress *peer)
{
    if (!peer->active) return false; /* a dead peer would only hold the stream */
    CHECK(raft->snapshot.index >= raft->log.start.index);
    raft_progress_snapshot(peer, raft->snapshot.index);
    raft_send(raft, (struct raft_message){
                        .kind = RAFT_MESSAGE_SNAPSHOT,
                        .to = peer->id,
                        .index = raft->snapshot.index,
                        .log_term = raft->snapshot.term,
                    });
    return true;
}

/* The entries from next on that fit into one append; returns their payload. */
static uint64_t gather(const struct raft *raft, uint64_t next, struct raft_message *message)
{
    uint64_t last = raft_log_last(&raft->log), bytes = 0;
    uint32_t count = 0;
    for (uint64_t at = next; at <= last && count < RAFT_MESSAGE_ENTRIES_MAX; at++, count++) {
        uint64_t size = raft_log_entry(&raft->log, at)->data_size;
        if (count > 0 && bytes + size > raft->options.append_bytes_max) break;
        bytes += size;
    }
    if (count == 0) return 0;
    message->entries = mem_alloc(count * sizeof *message->entries);
    message->entries_count = count;
    for (uint32_t i = 0; i < count; i++)
        message->entries[i] = raft_entry_ref(raft_log_entry(&raft->log, next + i));
    return bytes;
}

static bool try_send_append(struct raft *raft, struct raft_progress *peer, bool even_empty)
{
    if (is_self(raft, peer) || raft_progress_is_paused(peer)) return false;
    struct raft_message message = {.kind = RAFT_MESSAGE_APPEND, .to = peer->id, .index = peer->next - 1};
    if (!raft_log_term(&raft->log, message.index, &message.log_term)) return send_snapshot(raft, peer);
    uint64_t bytes = 0;
    if (peer->state != RAFT_REPLICATE || !raft_progress_is_full(peer)) bytes = gather(raft, peer->next, &message);
    if (message.entries_count == 0 && !even_empty) return false;
    message.commit = raft->log.commit;
    raft_progress_sent(peer, message.entries_count, bytes);
    raft_progress_sent_commit(peer, message.commit);
    raft_send(raft, message);
    return true;
}

void raft_send_append(struct raft *raft, struct raft_progress *peer)
{
    try_send_append(raft, peer, true);
}

void raft_broadcast_append(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peers_count; i++)
        raft_send_append(raft, &raft->peers[i]);
}

void raft_send_heartbeats(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        struct raft_progress *peer = &raft->peers[i];
        if (is_self(raft, peer)) continue;
        /* Only what the follower surely holds: it may have lost or never had the rest. */
        uint64_t commit = peer->match < raft->log.commit ? peer->match : raft->log.commit;
        raft_progress_sent_commit(peer, commit);
        raft_send(raft, (struct raft_message){
                            .kind = RAFT_MESSAGE_HEARTBEAT,
                            .to = peer->id,
                            .commit = commit,
                            .context = raft->reads_count ? raft->read_round : 0,
                        });
    }
}

/* ---- Becoming and being a leader ---- */

void raft_leader_append(struct raft *raft, enum raft_entry_kind kind, const struct bytes *payloads, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t index = raft_log_last(&raft->log) + 1;
        struct raft_entry *entry = raft_entry_create(raft->term, index, kind, payloads[i]);
        raft_log_append(&raft->log, entry);
        raft_entry_unref(entry);
        raft->uncommitted_bytes += payloads[i].size;
    }
    raft_broadcast_append(raft);
}

void raft_lead(struct raft *raft)
{
    CHECK(raft->role == RAFT_CANDIDATE && raft->vote == raft->options.id);
    CHECK(raft->hard_durable.term == raft->term && raft->hard_durable.vote == raft->vote);
    uint64_t term = raft->term;
    raft_become_follower(raft, term, 0);
    raft->role = RAFT_LEADER;
    raft->leader = raft->options.id;
    struct raft_progress *self = raft_self(raft);
    raft_progress_replicate(self);
    self->match = raft->log.durable;
    self->active = true;
    struct bytes empty = {0};
    raft_leader_append(raft, RAFT_ENTRY_NOOP, &empty, 1);
}

void raft_leader_durable(struct raft *raft)
{
    if (raft_progress_acked(raft_self(raft), raft->log.durable) && try_commit(raft)) raft_broadcast_append(raft);
}

static int active_of(const void *context, uint64_t id)
{
    const struct raft *raft = context;
    for (uint32_t i = 0; i < raft->peers_count; i++)
        if (raft->peers[i].id == id) return raft->peers[i].active ? 1 : -1;
    return -1;
}

/* Since the last time this was asked. */
static bool heard_of_quorum(struct raft *raft)
{
    bool heard = quorum_joint_vote(&raft->voters, active_of, raft) == QUORUM_WON;
    for (uint32_t i = 0; i < raft->peers_count; i++)
        raft->peers[i].active = is_self(raft, &raft->peers[i]);
    return heard;
}

void raft_leader_tick(struct raft *raft)
{
    raft->heartbeat_elapsed++;
    raft->election_elapsed++;
    if (raft->election_elapsed >= raft->options.election_ticks) {
        raft->election_elapsed = 0;
        raft->transfer_to = 0; /* it took too long */
        if (!raft->options.no_check_quorum && !heard_of_quorum(raft)) {
            raft_become_follower(raft, raft->term, 0);
            return;
        }
    }
    if (raft->heartbeat_elapsed >= raft->options.heartbeat_ticks) {
        raft->heartbeat_elapsed = 0;
        raft_send_heartbeats(raft);
    }
}

/* ---- Answers ---- */

static void on_append_rejected(struct raft *raft, struct raft_progress *peer, const struct raft_message *message)
{
    /* The follower told where its log ends or differs, and that place's term: skip all of ours that cannot match. */
    uint64_t hint = message->reject_hint, ignored;
    if (message->log_term > 0) hint = raft_log_find_at_most(&raft->log, hint, message->log_term, &ignored);
    if (!raft_progress_rejected(peer, message->index, hint)) return;
    if (peer->state == RAFT_REPLICATE) raft_progress_probe(peer);
    raft_send_append(raft, peer);
}

void raft_on_append_answer(struct raft *raft, const struct raft_message *message)
{
    struct raft_progress *peer = raft_peer(raft, message->from);
    peer->active = true;
    if (message->reject) {
        on_append_rejected(raft, peer, message);
        return;
    }
    if (message->index > raft_log_last(&raft->log)) return; /* nobody can have that */
    bool news = raft_progress_acked(peer, message->index);
    if (!news && !(peer->match == message->index && peer->state == RAFT_PROBE)) return;
    switch (peer->state) {
    case RAFT_PROBE:
        raft_progress_replicate(peer);
        break;
    case RAFT_SNAPSHOT:
        /* By whatever way, the follower has come to where our log begins. */
        if (peer->match + 1 >= raft_log_first(&raft->log)) {
            raft_progress_probe(peer);
            raft_progress_replicate(peer);
        }
        break;
    case RAFT_REPLICATE:
        raft_progress_free_to(peer, message->index);
        break;
    }
    if (try_commit(raft))
        raft_broadcast_append(raft);
    else if (raft_progress_lacks_commit(peer, raft->log.commit))
        raft_send_append(raft, peer);
    while (try_send_append(raft, peer, false))
        continue; /* the answer may have made room for several */
    if (raft->transfer_to == peer->id) raft_try_transfer(raft);
}

/* ---- Reads ---- */

static void release_reads(struct raft *raft)
{
    uint64_t confirmed = quorum_joint_committed(&raft->voters, read_round_of, raft);
    uint32_t done = 0;
    for (; done < raft->reads_count; done++) {
        const struct raft_read_pending *read = &raft->reads[done];
        if (read->index == 0 || read->round > confirmed) break;
        if (read->from == raft->options.id)
            raft_read_answer(raft, read->context, read->index);
        else
            raft_send(raft, (struct raft_message){
                                .kind = RAFT_MESSAGE_READ_INDEX_ANSWER,
                                .to = read->from,
                                .index = read->index,
                                .context = read->context,
                            });
    }
    if (done == 0) return;
    raft->reads_count -= done;
    memmove(raft->reads, raft->reads + done, raft->reads_count * sizeof *raft->reads);
}

void raft_on_heartbeat_answer(struct raft *raft, const struct raft_message *message)
{
    struct raft_progress *peer = raft_peer(raft, message->from);
    peer->active = true;
    peer->flow_paused = false;
    /* A full pipeline gets an empty append, which finds out whether all of it was lost; a probed peer that has
       everything gets one to leave the probing. */
    if (peer->match < raft_log_last(&raft->log) || peer->state == RAFT_PROBE) raft_send_append(raft, peer);
    if (message->context > peer->read_round && message->context <= raft->read_round) {
        peer->read_round = message->context;
        release_reads(raft);
    }
}

enum status raft_leader_read(struct raft *raft, uint64_t from, uint64_t context)
{
    if (raft->reads_count >= raft->options.reads_pending_max) return STATUS_BUSY;
    if (raft->reads_count == raft->reads_capacity) {
        raft->reads_capacity = raft->reads_capacity ? raft->reads_capacity * 2 : 16;
        raft->reads = mem_realloc(raft->reads, raft->reads_capacity * sizeof *raft->reads);
    }
    struct raft_read_pending read = {.from = from, .context = context};
    /* Until a commit in its own term a leader does not know what its predecessors committed (thesis 6.4). */
    if (has_committed_in_term(raft)) {
        read.index = raft->log.commit;
        read.round = raft->read_round + 1;
        raft->reads_unsent = true;
    }
    raft->reads[raft->reads_count++] = read;
    return STATUS_OK;
}

void raft_leader_begin_reads(struct raft *raft)
{
    /* One round of heartbeats for all reads since the last one; a lost one is repeated by the regular heartbeats. */
    CHECK(raft->role == RAFT_LEADER && raft->reads_count > 0);
    raft->reads_unsent = false;
    raft->read_round++;
    raft_send_heartbeats(raft);
    release_reads(raft);
}

void raft_try_transfer(struct raft *raft)
{
    struct raft_progress *peer = raft_peer(raft, raft->transfer_to);
    if (peer->match == raft_log_last(&raft->log))
        raft_send(raft, (struct raft_message){.kind = RAFT_MESSAGE_TIMEOUT_NOW, .to = peer->id});
    else
        raft_send_append(raft, peer);
}
