/*
 * raft_progress: what a leader knows of one voter, and how much it has under way to it.
 *
 * PROBE: where the logs agree is not known; one append at a time. REPLICATE: it is; appends are pipelined within the
 * limits. SNAPSHOT: the follower needs entries that are gone; nothing is sent until the stream ends or the follower
 * answers. Invariant: match < next.
 */
#ifndef TRILLIUM_CONTROLD_RAFT_RAFT_PROGRESS_H
#define TRILLIUM_CONTROLD_RAFT_RAFT_PROGRESS_H

#include "controld/raft/raft.h"

struct raft_inflight {
    uint64_t last, bytes; /* last index of an append, and its payload */
};

struct raft_progress {
    uint64_t id;
    enum raft_progress_state state;
    uint64_t match;                 /* durable there */
    uint64_t next;                  /* the next index to send */
    uint64_t pending_snapshot;      /* in SNAPSHOT: the snapshot's index */
    uint64_t sent_commit;           /* the highest commit index that it was sent and can use */
    bool flow_paused;               /* until the next answer of any kind */
    bool active;                    /* heard from since the last check of the quorum */
    int vote;                       /* in an election: 1, -1, 0 */
    uint64_t read_round;            /* the newest read round that it confirmed */
    struct raft_inflight *inflight; /* a ring */
    uint32_t inflight_head, inflight_count, inflight_max;
    uint64_t inflight_bytes, inflight_bytes_max;
};

void raft_progress_init(struct raft_progress *progress, uint64_t id, uint32_t messages_max, uint64_t bytes_max);
void raft_progress_fini(struct raft_progress *progress);
/* A new leader's view: nothing known, next is a guess. */
void raft_progress_reset(struct raft_progress *progress, uint64_t next);

void raft_progress_probe(struct raft_progress *progress);
void raft_progress_replicate(struct raft_progress *progress);
void raft_progress_snapshot(struct raft_progress *progress, uint64_t index);

bool raft_progress_is_paused(const struct raft_progress *progress);
bool raft_progress_is_full(const struct raft_progress *progress);
/* count entries of these bytes, the first of which is next, leave now. */
void raft_progress_sent(struct raft_progress *progress, uint32_t count, uint64_t bytes);
/* Would a message with this commit index tell the follower anything that it was not told? */
bool raft_progress_lacks_commit(const struct raft_progress *progress, uint64_t commit);
void raft_progress_sent_commit(struct raft_progress *progress, uint64_t commit);
/* The follower has everything up to index. True when that is news. */
bool raft_progress_acked(struct raft_progress *progress, uint64_t index);
/* Frees the appends up to index. */
void raft_progress_free_to(struct raft_progress *progress, uint64_t index);
/* The follower refused an append after `rejected` and thinks that the logs may agree at hint. False when that is old
   news; else next has moved back. */
bool raft_progress_rejected(struct raft_progress *progress, uint64_t rejected, uint64_t hint);

#endif
