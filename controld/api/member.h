/*
 * member: one member of the Raft group: the pure core (controld/raft) with its log on disk, its messages over rpc, its
 * ticks and its snapshots. What committed entries mean is the machine's business, whose contract is below.
 *
 * Durability follows the core's contract: what a message promises is on disk before the message leaves, appends to
 * followers leave in parallel with the own write. A disk that lost what was acknowledged ends the process (env_die).
 * Threads: one reactor; functions marked (fiber) wait.
 */
#ifndef TRILLIUM_CONTROLD_API_MEMBER_H
#define TRILLIUM_CONTROLD_API_MEMBER_H

#include "common/model/view.h"
#include "common/rpc/rpc.h"
#include "controld/raft/raft.h"

struct member;

enum { MEMBER_TICK_MS = 100, MEMBER_ELECTION_TICKS = 10, MEMBER_HEARTBEAT_TICKS = 2, MEMBER_WHY_BYTES = 400 };

struct member_machine {
    /* At start: what the machine holds from before, when that lies in [least, most]; else it becomes empty. *applied
       becomes the index of what it holds, 0 when it is empty. */
    void (*resume)(void *context, uint64_t least, uint64_t most, uint64_t *applied);
    /* Replaces the state by a snapshot's records, durably. CORRUPT: they make no sense; the process dies. */
    enum status (*install)(void *context, uint64_t index, struct reader *records);
    /* The effects of these entries, in order, are stored when it returns. */
    void (*apply)(void *context, struct raft_entry *const *entries, uint32_t count);
    /* Adds the state's records (snapshot_add). */
    void (*snapshot)(void *context, struct buffer *file);
    /* Role, leader or term changed, or this member caught up (member_is_caught_up). Once a second while it is not. */
    void (*changed)(void *context);
    void *context;
};

struct member_options {
    struct reactor *reactor;
    struct uuid cluster;
    uint64_t id;
    const struct view_controller *controllers; /* copied; this member is among them */
    unsigned controllers_count;
    uint64_t snapshot_entries; /* after so many a snapshot is taken */
    uint64_t append_bytes;     /* as in struct raft_options */
    struct member_machine machine;
};

/* (fiber) Opens log and snapshot, brings the machine to where they stand at least. Damage ends the process. */
struct member *member_open(const struct member_options *options);
/* Begins to take part. rpc lives until member_close. */
enum status member_start(struct member *member, struct rpc *rpc) MUST_CHECK;
/* For the listener: RAFT_STEP and RAFT_SNAPSHOT. */
void member_handle_step(void *member, struct rpc_request *request);
void member_handle_snapshot(void *member, struct rpc_request *request);
/* (fiber) Gives leadership to another member when it has it, waiting until it did, or for at most a second. */
void member_hand_over(struct member *member);
/* (fiber) Takes part no more; what was written is durable. Call before the rpc is destroyed. */
void member_close(struct member *member);

/* As raft_propose, for one payload. The proposal's fate is told by what is applied at *index. */
enum status member_propose(struct member *member, struct bytes payload, uint64_t *index, uint64_t *term) MUST_CHECK;

void member_status(const struct member *member, struct raft_status *out);
/* Of the entry at index; 0: unknown, as raft_term_at. */
uint64_t member_term_at(const struct member *member, uint64_t index);
/* The term that a restart would find; a leader's is its own. */
uint64_t member_durable_term(const struct member *member);
/* A leader is known, and everything that it and its predecessors committed before its election is applied here. */
bool member_is_caught_up(const struct member *member);
bool member_peer_is_up(const struct member *member, uint64_t id);
uint64_t member_log_bytes(const struct member *member);

#endif
