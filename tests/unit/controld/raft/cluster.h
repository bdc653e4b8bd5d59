/*
 * cluster: several Raft members with disks, state machines and a network between them, all in one thread, driven by
 * hand (scripts) or by a seed (random faults). Every event is followed by checks of the safety invariants:
 *
 *   I1 one leader per term               I2 log matching, equal committed prefixes
 *   I3 leaders hold what is committed    I4 term, vote, commit, applied never go back
 *   I5 no promise leaves before it is on the synced disk
 *   I7 equal state machines              I8 a read's index is not below what was committed when it was asked
 *
 * The first violation is kept in `why`; nothing is asserted here, so that a test can also demand a violation.
 */
#ifndef TRILLIUM_TESTS_UNIT_CONTROLD_RAFT_CLUSTER_H
#define TRILLIUM_TESTS_UNIT_CONTROLD_RAFT_CLUSTER_H

#include "common/base/map.h"
#include "common/base/prng.h"
#include "controld/raft/raft.h"
#include "controld/raft/raft_record.h"

enum { CLUSTER_NODES_MAX = 7, CLUSTER_FILES = 4 };

struct cluster_snapshot {
    uint64_t index, term, state;
};

struct cluster_write {
    uint64_t token;
    size_t records_end; /* it is durable when this many records are */
    bool install;
    struct cluster_snapshot snapshot;
};

struct cluster_node {
    uint64_t id;
    struct raft *raft; /* NULL: down */
    uint32_t starts;
    /* The log file: records, the first `synced` of which survive a crash for sure. */
    struct buffer *records;
    size_t records_count, records_capacity, synced;
    struct cluster_write *writes;
    size_t writes_count, writes_capacity;
    struct raft_hard_state hard_given;
    /* What the synced records amount to, kept step by step. */
    struct raft_replay on_disk;
    /* The state machine: durable at each step; state is a hash over all that was applied. */
    uint64_t applied, state;
    struct cluster_snapshot files[CLUSTER_FILES];
    struct cluster_snapshot staged;
    uint64_t last_term, last_vote, last_commit; /* for I4, since the start */
};

struct cluster_message {
    struct raft_message message;
    struct cluster_snapshot snapshot; /* rides with a SNAPSHOT message */
};

struct cluster_read {
    uint64_t context, least;
};

struct cluster {
    struct cluster_node nodes[CLUSTER_NODES_MAX]; /* node i has id i + 1 */
    int count;
    struct raft_options options;
    struct prng prng;
    uint64_t seed;
    struct cluster_message *messages;
    size_t messages_count, messages_capacity;
    bool cut[CLUSTER_NODES_MAX + 1][CLUSTER_NODES_MAX + 1]; /* [from][to], by id */
    /* Witnesses. */
    struct cluster_snapshot *committed; /* [index]: term and state after it */
    uint64_t committed_last, committed_capacity;
    struct map leaders; /* term -> id */
    struct map entries; /* (term, index) -> hash of the entry and its predecessor's term */
    struct cluster_read *reads;
    size_t reads_count, reads_capacity;
    uint64_t reads_made, reads_answered, elections, proposals, installs;
    uint64_t answered_context, answered_index; /* the last read's answer */
    bool skip_durability_check;                /* leaves I5 to what follows from its violation */
    char why[256];                             /* empty: no violation so far */
};

/* n members that never ran. options may be NULL; id, voters and seed are filled in. */
void cluster_init(struct cluster *cluster, int n, uint64_t seed, const struct raft_options *options);
void cluster_fini(struct cluster *cluster);

static inline struct cluster_node *cluster_node(struct cluster *cluster, uint64_t id)
{
    return &cluster->nodes[id - 1];
}
struct raft_status cluster_status(struct cluster *cluster, uint64_t id);
/* The only leader of the highest term among running members; 0 when none. */
uint64_t cluster_leader(struct cluster *cluster);

/* Takes a member's readies: starts writes, sends, applies, checks. Nothing becomes durable by it. */
void cluster_process(struct cluster *cluster, uint64_t id);
/* Completes a member's oldest writes (all: SIZE_MAX) and processes it. */
void cluster_sync(struct cluster *cluster, uint64_t id, size_t writes);
void cluster_tick(struct cluster *cluster, uint64_t id, uint32_t ticks);
void cluster_campaign(struct cluster *cluster, uint64_t id);
/* Proposes text; the index, or 0 when refused. */
uint64_t cluster_propose(struct cluster *cluster, uint64_t id, const char *text);
bool cluster_read(struct cluster *cluster, uint64_t id);
/* Delivers (or loses, when cut or down) the message at position. */
void cluster_deliver(struct cluster *cluster, size_t position);
void cluster_drop(struct cluster *cluster, size_t position);
/* Adds a copy of the message at position at the end of the network. */
void cluster_duplicate(struct cluster *cluster, size_t position);
/* Delivers and drops by sender and receiver, 0 for any. */
void cluster_drop_all(struct cluster *cluster, uint64_t from, uint64_t to);
void cluster_deliver_all(struct cluster *cluster, uint64_t from, uint64_t to);
/* Delivers everything and syncs everything until nothing moves. */
void cluster_settle(struct cluster *cluster);
/* ticks times: everybody ticks once, then settle. */
void cluster_run(struct cluster *cluster, uint32_t ticks);
/* Cuts (or mends) both directions between two members. */
void cluster_cut(struct cluster *cluster, uint64_t a, uint64_t b, bool is_cut);
void cluster_isolate(struct cluster *cluster, uint64_t id, bool is_cut);
/* Kills; of the records that were not synced a random prefix survives, or none. */
void cluster_crash(struct cluster *cluster, uint64_t id, bool lose_unsynced);
void cluster_restart(struct cluster *cluster, uint64_t id);
/* Snapshots the state machine and forgets the log up to `keep` entries before it. False when it cannot now. */
bool cluster_snapshot(struct cluster *cluster, uint64_t id, uint64_t keep);

/* steps of random events and faults, then heals and demands progress. */
void cluster_random_run(struct cluster *cluster, int steps);

#endif
