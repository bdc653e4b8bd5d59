/*
 * raft_internal: the one struct behind raft.h and the calls between its files. Not for shells.
 *
 *   raft.c           life, events from outside, sight
 *   raft_step.c      terms, and which handler a message goes to
 *   raft_election.c  timeouts, votes, changes of role
 *   raft_leader.c    replication, commit, reads, transfer
 *   raft_follower.c  appends, heartbeats, snapshots
 *   raft_ready.c     what leaves: messages held until they are true, writes, readies
 */
#ifndef TRILLIUM_CONTROLD_RAFT_RAFT_INTERNAL_H
#define TRILLIUM_CONTROLD_RAFT_RAFT_INTERNAL_H

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/prng.h"
#include "controld/raft/raft.h"
#include "controld/raft/raft_log.h"
#include "controld/raft/raft_progress.h"

struct raft_messages {
    struct raft_message *items;
    uint32_t count, capacity;
};

/* A write under way, and the messages that may leave once it is durable. */
struct raft_write_record {
    struct list link;
    uint64_t token;
    uint64_t first; /* it replaces what the disk's log holds from here on; 0: it touches no entries */
    uint64_t last;  /* where the log ends after it */
    bool install;
    struct raft_hard_state hard; /* as it is on disk after this write */
    struct raft_messages after;
};

/* A read waiting at the leader. index 0: until the leader has committed an entry of its own term. */
struct raft_read_pending {
    uint64_t from, context, index, round;
};

struct raft {
    struct raft_options options;
    struct quorum_joint voters;
    struct prng prng;

    enum raft_role role;
    uint64_t term, vote, leader;
    struct raft_log log;
    struct raft_snapshot snapshot; /* the newest durable one; streamed to those that need it */

    uint32_t election_elapsed, heartbeat_elapsed, election_timeout;
    struct raft_progress peers[QUORUM_MEMBERS_MAX]; /* by ascending id; this member included */
    uint32_t peers_count;
    uint64_t transfer_to;
    uint64_t uncommitted_bytes;

    struct raft_read_pending *reads; /* a queue; index 0 ones come last */
    uint32_t reads_count, reads_capacity;
    uint64_t read_round; /* of the newest heartbeat */
    bool reads_unsent;   /* some reads wait for a round that has not begun */

    uint64_t token_last;
    struct list writes;                /* struct raft_write_record, oldest first */
    struct raft_hard_state hard_given; /* as of the newest write handed out */
    struct raft_hard_state hard_durable;
    bool install_unwritten;
    uint32_t installs_underway;
    struct raft_messages out;  /* may leave now */
    struct raft_messages held; /* wait for the next write */
    struct raft_read *read_answers;
    uint32_t read_answers_count, read_answers_capacity;
    enum raft_role role_told;
    uint64_t leader_told, term_told;
};

struct raft_progress *raft_peer(struct raft *raft, uint64_t id); /* NULL when not a member */
static inline struct raft_progress *raft_self(struct raft *raft)
{
    return raft_peer(raft, raft->options.id);
}

/* raft_ready.c */
/* Takes message.entries (an array from mem_alloc, with its references). Fills in from; term too unless set. */
void raft_send(struct raft *raft, struct raft_message message);
void raft_messages_free(struct raft_messages *messages);
/* Releases held messages when nothing is left to wait for. Called at the end of every event. */
void raft_settle(struct raft *raft);
void raft_read_answer(struct raft *raft, uint64_t context, uint64_t index);

/* raft_step.c */
void raft_handle(struct raft *raft, const struct raft_message *message);

/* raft_election.c */
void raft_become_follower(struct raft *raft, uint64_t term, uint64_t leader);
void raft_start_election(struct raft *raft, bool transfer);
void raft_on_vote(struct raft *raft, const struct raft_message *message);
void raft_on_vote_answer(struct raft *raft, const struct raft_message *message);
void raft_election_tick(struct raft *raft);
/* True while a live leader's followers refuse to vote (the lease of check-quorum). */
bool raft_in_lease(const struct raft *raft);

/* raft_leader.c */
void raft_lead(struct raft *raft); /* a candidate has won */
void raft_leader_tick(struct raft *raft);
void raft_leader_append(struct raft *raft, enum raft_entry_kind kind, const struct bytes *payloads, size_t count);
void raft_broadcast_append(struct raft *raft);
void raft_send_append(struct raft *raft, struct raft_progress *peer);
void raft_send_heartbeats(struct raft *raft);
/* Counts this member's durable entries; may commit. */
void raft_leader_durable(struct raft *raft);
void raft_leader_begin_reads(struct raft *raft);
void raft_on_append_answer(struct raft *raft, const struct raft_message *message);
void raft_on_heartbeat_answer(struct raft *raft, const struct raft_message *message);
/* from is this member or the follower that forwards. */
enum status raft_leader_read(struct raft *raft, uint64_t from, uint64_t context);
void raft_try_transfer(struct raft *raft);

/* raft_follower.c: CORRUPT as raft_step says. */
enum status raft_follower_check(const struct raft *raft, const struct raft_message *message) MUST_CHECK;
void raft_on_append(struct raft *raft, const struct raft_message *message);
void raft_on_heartbeat(struct raft *raft, const struct raft_message *message);
void raft_on_snapshot(struct raft *raft, const struct raft_message *message);

#endif
