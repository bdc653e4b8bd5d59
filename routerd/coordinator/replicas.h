/*
 * replicas: the shards of nodes as one worker sees them: a peer each, how fast they answer, whether they are suspected.
 *
 * Suspicion: a replica that lets a read wait for 4 x its p99 (at least 50 ms) while others answer, or whose pipe is
 * down, is asked no more; once a second a probe asks it back in. Latencies are those of first-choice reads alone, so a
 * dead replica cannot raise its own threshold. Writes go to suspected replicas too, as long as their pipe is up.
 * One that lets the repair of a read wait for so long (its disk is slow, so it lacks what is new) is *behind*: it is
 * not asked back in while it still takes writes as late.
 *
 * Disk space: each tells how full its node's disk is (REPLICA_SPACE, a parked call), so that a write which would be
 * refused there is not sent. One of whose disk creates are refused lacks what is new, so reads prefer others.
 */
#ifndef TRILLIUM_ROUTERD_COORDINATOR_REPLICAS_H
#define TRILLIUM_ROUTERD_COORDINATOR_REPLICAS_H

#include "common/base/map.h"
#include "common/cluster/space_level.h"
#include "common/model/view.h"
#include "common/rpc/rpc.h"

struct coordinator;

enum {
    SUSPECT_AFTER_US_MIN = 50 * 1000,
    SUSPECT_P99_FACTOR = 4,
    PROBE_EVERY_MS = 1000,
    SPACE_PARK_MS = 25000, /* above the 20 s that a node parks the call */
    SPACE_PAUSE_MS = 1000, /* between calls that are answered at once */
    HEDGE_PERCENT = 5,
};

struct replica {
    struct coordinator *coordinator;
    struct rpc_peer *peer;
    struct node_id node;
    uint16_t shard;
    uint64_t boot; /* of the node, as the newest view has it */
    bool suspected;
    bool behind;          /* of the suspected: it lacks what others have, and takes it late */
    bool was_down;        /* its pipe ended and no other has come up since */
    bool gone;            /* the view has no such shard any more; freed with its last use */
    uint32_t uses;        /* slots of reads and writes that point here */
    uint32_t p99_us;      /* running estimate */
    uint32_t mean_us;     /* exponential average */
    uint32_t write_us;    /* how long the last write took that it stored, or did not answer */
    uint64_t answered_ns; /* monotonic time of the last answer to anything */
    /* The probe repeats the question that suspicion came from. */
    struct rpc_call probe;
    struct timer probe_timer;
    uint64_t probe_range;
    /* The level that it told last; not known: none was told by this pipe. */
    enum space_level space;
    bool space_known;
    struct rpc_call space_call;
    uint64_t space_asked_ns;
    struct timer space_timer;
};

struct replicas {
    struct map by_key; /* node << 16 | shard -> struct replica * */
    uint64_t suspicions, returns;
    bool quiet; /* no disk is asked about any more */
};

void replicas_init(struct replicas *replicas);
void replicas_fini(struct replicas *replicas);
/* The replica, dialed on first use; NULL when the view does not know the node or the door failed. */
struct replica *replicas_get(struct coordinator *coordinator, struct node_id node, struct range_id range);
/* Shards that the view no longer has, or that moved, are hung up; all others are dialed. One whose node has started
   again is dialed anew at once, without the pause that its dialer may be in. */
void replicas_follow_view(struct coordinator *coordinator);

/* Whoever keeps a pointer beyond the turn holds a use. */
static inline struct replica *replica_use(struct replica *replica)
{
    replica->uses++;
    return replica;
}
void replica_release(struct replica *replica);

static inline bool replica_is_up(const struct replica *replica)
{
    return !replica->gone && rpc_peer_is_up(replica->peer);
}
static inline bool replica_is_usable(const struct replica *replica)
{
    return replica_is_up(replica) && !replica->suspected;
}

/* Whether its disk has room for this, as far as it told. */
static inline bool replica_has_space(const struct replica *replica, enum space_use use)
{
    return space_level_allows(replica->space, use);
}
/* The worker ends: no call asks about disks any more, since they are parked for long. */
void replicas_quieten(struct replicas *replicas);
/* Calls under way that ask for the level of a disk. */
uint32_t replicas_asking(const struct replicas *replicas);

/* A read that was the replica's first choice was answered after this time. */
void replica_answered(struct replica *replica, uint64_t latency_us);
/* A write was stored by it, or not answered, after this time. */
void replica_wrote(struct replica *replica, uint64_t latency_us);
/* It let a read of this range wait for too long while others answered. */
void replica_suspect(struct replica *replica, struct range_id range);
/* It let the repair of such a read wait for too long. */
void replica_suspect_behind(struct replica *replica, struct range_id range);
/* How long a read may wait before another replica is asked as well, and before suspicion. */
uint64_t replica_hedge_after_us(const struct replica *replica);
uint64_t replica_suspect_after_us(const struct replica *replica);

/* Sorts the best first: usable, then up, by mean latency. */
void replicas_sort(struct replica **replicas, unsigned count);

#endif
