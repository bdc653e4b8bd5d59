/*
 * raft: one member of a Raft group as a pure machine: events in, a batch of work ("ready") out.
 *
 * It has no clock, disk, network, thread or randomness of its own (election timeouts come from a seeded stream). It
 * does not carry snapshots' contents, encode messages, or run the state machine. The contract is that of etcd/raft with
 * asynchronous storage: the algorithm is the Raft paper's (Ongaro, Ousterhout 2014) with pre-vote, check-quorum,
 * leadership transfer, read-index (Ongaro's thesis 2014, chapters 3, 6 and 9) and per-follower flow control.
 *
 * The loop of a shell:
 *
 *     raft_tick / raft_step / raft_propose / raft_read_index / raft_storage_done / ...      any number of events
 *     while (raft_has_ready(raft)) {
 *         raft_ready_take(raft, &ready);
 *         ready.write.token != 0: start the write (order below); call raft_storage_done(raft, token) when it is durable
 *         ready.messages: send them now, in this order per peer; losing one is allowed
 *         ready.committed: apply them in order, each once; call raft_applied(raft, index) when their effects are stored
 *         ready.reads: answer the readers, each once applied >= its index
 *         raft_ready_release(&ready);
 *     }
 *
 * Durability is the core's business, not the shell's: a message that promises something (a vote, an append's answer, a
 * term) is kept inside and appears in a later ready, after raft_storage_done of the writes that it depends on. So
 * messages in a ready may always be sent at once. A leader's appends leave in parallel with its own write; its own
 * acknowledgement counts when that write is done. A vote request advertises the last durable entry only. Committed
 * entries are handed out once they are durable here.
 *
 * Writes: tokens ascend; the shell may have many writes under way but they become durable in order, and
 * raft_storage_done(token) speaks for all earlier tokens too. A late completion of a write whose entries were since
 * replaced is recognised (the core remembers which later writes touch the same indices). A write that fails is never
 * reported: the process dies.
 *
 * Memory: entries are counted references (raft_types.h). The core holds all entries since raft_compact's point.
 * Whatever a ready points to lives until raft_ready_release; a shell that needs an entry longer takes a reference.
 *
 * Invariants (checked): term never falls; one vote per term; applied <= commit <= last; handed-out entries are
 * committed and durable; entries of older terms commit only under one of the leader's own term (the paper's figure 8).
 *
 * Threads: one struct raft belongs to one thread.
 */
#ifndef TRILLIUM_CONTROLD_RAFT_RAFT_H
#define TRILLIUM_CONTROLD_RAFT_RAFT_H

#include "common/base/status.h"
#include "controld/raft/quorum.h"
#include "controld/raft/raft_types.h"

enum raft_role { RAFT_FOLLOWER, RAFT_PRE_CANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };

/* Zero means the default named; see raft_options_defaulted. */
struct raft_options {
    uint64_t id;                    /* this member; one of voters */
    struct quorum voters;           /* fixed for now; learners and joint configurations are reserved */
    uint64_t seed;                  /* of the election timeouts; differs between members and restarts */
    uint32_t election_ticks;        /* T: a follower waits a random time in [T, 2T); 20 */
    uint32_t heartbeat_ticks;       /* 2 */
    bool no_pre_vote;               /* for tests */
    bool no_check_quorum;           /* for tests; pre-vote and check-quorum are made to be on together */
    uint32_t inflight_messages_max; /* appends under way to one follower; 256 */
    uint64_t inflight_bytes_max;    /* and their payload; 8 MiB */
    uint64_t append_bytes_max;      /* payload of one append, a single larger entry excepted; 256 KiB */
    uint64_t uncommitted_bytes_max; /* beyond it proposals are refused as BUSY; 64 MiB */
    uint32_t reads_pending_max;     /* read-index requests waiting at a leader; 4096 */
};

/* What a restart finds on disk (raft_record.h builds it from log records). All zero: a member that never ran. */
struct raft_boot {
    struct raft_hard_state hard;
    struct raft_snapshot snapshot;     /* the durable snapshot */
    struct raft_entry *const *entries; /* contiguous; they begin after the snapshot or earlier; references are taken */
    size_t entries_count;
    uint64_t applied; /* what the state machine holds: 0 (wiped) or >= snapshot.index */
};

struct raft;

/* CORRUPT when boot contradicts itself (a gap, an applied or committed index beyond the last entry, falling terms). */
enum status raft_create(const struct raft_options *options, const struct raft_boot *boot, struct raft **out) MUST_CHECK;
/* raft may be NULL. Readies must have been released. */
void raft_destroy(struct raft *raft);

/* ---- Events ---- */

/* One unit of time has passed. The shell calls it at a fixed period (50 ms) and drops ticks it missed beyond a few. */
void raft_tick(struct raft *raft);

/*
 * A message from a peer. Takes references to the entries it keeps.
 * BAD_REQUEST: not for us, not from a member, or malformed; drop it and count it.
 * CORRUPT: the message proves that this member lost entries that it had acknowledged, or holds a different committed
 * entry: the process must stop (its disk was damaged or replaced).
 */
enum status raft_step(struct raft *raft, const struct raft_message *message) MUST_CHECK;

/*
 * Appends count payloads as one batch. *first_index is the index of the first, *term the term of all: a proposal is
 * done when an entry with that index and term is applied, and had no effect when that index is applied with another
 * term. NOT_OWNER: not the leader (raft_status names the one known). BUSY: a transfer is under way or too much is
 * uncommitted. TOO_BIG: a payload above RAFT_ENTRY_BYTES_MAX. All definite: nothing was appended.
 */
enum status raft_propose(
    struct raft *raft, const struct bytes *payloads, size_t count, uint64_t *first_index, uint64_t *term) MUST_CHECK;

/*
 * Asks for an index such that a state machine that has applied it shows everything committed before this call. The
 * answer comes in ready.reads with the same context, which the caller never uses twice (not for a retry either).
 * UNAVAILABLE: no leader known. BUSY: too many waiting. An answer may never come (the caller has a deadline).
 */
enum status raft_read_index(struct raft *raft, uint64_t context) MUST_CHECK;

/* The write with this token, and all before it, are durable. */
void raft_storage_done(struct raft *raft, uint64_t token);

/* The effects of committed entries up to index are stored. */
void raft_applied(struct raft *raft, uint64_t index);

/* The shell has a durable snapshot at index (<= applied, > the last one). From now on this is what is streamed. */
void raft_snapshot_taken(struct raft *raft, uint64_t index);

/* Forgets entries up to index (<= the snapshot's). The shell keeps a few thousand entries behind a snapshot so that a
   slow follower needs no snapshot. */
void raft_compact(struct raft *raft, uint64_t index);

/* How the stream that a SNAPSHOT message asked for ended. A follower's own answer may come earlier or later. */
void raft_snapshot_sent(struct raft *raft, uint64_t to, bool ok);

/* The link to a peer broke: messages under way may be lost. */
void raft_unreachable(struct raft *raft, uint64_t peer);

/* Starts an election now (pre-vote first, when on). For tests and for a group's very first leader. */
void raft_campaign(struct raft *raft);

/* Hands leadership to a voter. NOT_OWNER: not the leader. NOT_FOUND: not another voter. Given up after T. */
enum status raft_transfer(struct raft *raft, uint64_t to) MUST_CHECK;

/* ---- Work ---- */

/* raft_write_next (raft_record.h) gives the log records of a write in the order that survives a torn tail. */
struct raft_write {
    uint64_t token; /* 0: nothing to write. In this order, one sync after all of it: */
    bool has_hard;  /* 1: store this */
    struct raft_hard_state hard;
    bool install; /* 2: once what was handed out earlier is applied, put the snapshot that the last SNAPSHOT message
                     told of in the place of the applied state, and begin an empty log after it */
    struct raft_snapshot snapshot;
    bool truncate; /* 3: durably cut the log after truncate_after */
    uint64_t truncate_after;
    struct raft_entry **entries; /* 4: append these */
    uint32_t entries_count;
};

struct raft_read {
    uint64_t context;
    uint64_t index;
};

struct raft_ready {
    struct raft_write write;
    struct raft_message *messages; /* to send now */
    uint32_t messages_count;
    struct raft_entry **committed; /* to apply, ascending and contiguous; every kind, NOOP included */
    uint32_t committed_count;
    struct raft_read *reads;
    uint32_t reads_count;
    bool role_changed; /* role, leader or term differ from the last ready's */
};

bool raft_has_ready(const struct raft *raft);
void raft_ready_take(struct raft *raft, struct raft_ready *ready);
void raft_ready_release(struct raft_ready *ready);

/* ---- Sight ---- */

enum raft_progress_state { RAFT_PROBE, RAFT_REPLICATE, RAFT_SNAPSHOT };

struct raft_peer_status {
    uint64_t id;
    enum raft_progress_state state;
    uint64_t match, next, pending_snapshot;
    uint32_t inflight_messages;
    bool paused, recently_active;
};

struct raft_status {
    uint64_t id, term, vote, leader;
    enum raft_role role;
    uint64_t first, last, durable, commit, applied; /* first: of the log in memory */
    struct raft_snapshot snapshot;
    uint64_t transfer_to;
    uint64_t writes_underway, reads_pending, uncommitted_bytes;
    uint32_t peers_count; /* 0 unless leader; itself included */
    struct raft_peer_status peers[QUORUM_MEMBERS_MAX];
};

void raft_status(const struct raft *raft, struct raft_status *out);

/* The entry at index when the log in memory holds it, else NULL. Borrowed until the next event. */
const struct raft_entry *raft_entry_at(const struct raft *raft, uint64_t index);

/* The term of the entry at index; 0 when unknown (compacted away or beyond the last). */
uint64_t raft_term_at(const struct raft *raft, uint64_t index);

#endif
