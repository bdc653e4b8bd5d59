/*
 * face: a shard as the network sees it: its rpc endpoint, listener and handlers, its counts for /metrics. Calls are
 * translated into what noded/shard and noded/replica offer, and back. Everything belongs to the shard's reactor.
 */
#ifndef TRILLIUM_NODED_API_FACE_H
#define TRILLIUM_NODED_API_FACE_H

#include "common/obs/metrics.h"
#include "common/rpc/obs/rpc_metrics.h"
#include "noded/api/space_calls.h"
#include "noded/shard/shard.h"

struct face_metrics {
    struct metrics_counter *writes, *reads, *failures, *busy, *full, *stale, *damaged;
    struct metrics_counter *lapses, *rebuilt, *copied;
    struct metrics_counter *flushed, *compacted, *logged;
    struct metrics_gauge *ranges, *lapsed, *memtable, *cache, *log, *tables, *table_bytes;
    struct histogram *write_time, *read_time;
    struct rpc_metrics rpc;
    /* What the counters were told so far. */
    struct shard_counters shown;
    uint64_t flushed_shown, compacted_shown, logged_shown;
};

struct face {
    struct noded *noded;
    struct shard *shard;
    struct reactor *reactor;
    struct rpc *rpc; /* NULL until it listens, and again after the end */
    struct rpc_listener *listener;
    struct face_metrics metrics;
    struct timer tick;     /* once a second */
    uint32_t fibers;       /* calls that are served in fibers */
    uint32_t lines;        /* logged in this second about calls */
    uint32_t router_pipes; /* open pipes of routers' workers */
    struct space_calls space_calls;
    uint64_t no_space_seen; /* of the store's failures */
};

/* The handlers, by file; their context is the face. */
extern const struct rpc_handlers WRITE_CALLS, READ_CALLS, COPY_CALLS, NODE_CALLS;

struct face_options {
    struct noded *noded;
    struct shard *shard;
    struct metrics *metrics;
};
void face_init(struct face *face, const struct face_options *options);

struct face_listen_options {
    const char *address; /* of this shard */
    struct rpc_info self;
    void (*refresh)(void *context, struct rpc_info *self);
    void *context;
    uint64_t answer_budget_bytes; /* of all answers that one pipe may have open */
};
/* The recovered shard takes calls from now on. CONFLICT, BAD_REQUEST, IO as rpc_listen. */
enum status face_listen(struct face *face, const struct face_listen_options *options) MUST_CHECK;
/* (fiber) Goodbye to peers, until no call is under way; ends the endpoint. */
void face_close(struct face *face);

/* ---- for the handlers ---- */

/* Answers; counts and logs what is slow or failed. Local faults leave as UNAVAILABLE, FULL. started_ns: when the
   handler took the call. */
struct face_call {
    struct face *face;
    struct rpc_request *request;
    uint64_t started_ns;
    bool is_read, is_write;
};
struct face_call face_take(struct face *face, struct rpc_request *request);
void face_answer(const struct face_call *call, enum status status, const struct rpc_answer *answer);
/* A refusal; STALE_EPOCH carries the replica's record (replica may be NULL otherwise). */
void face_refuse(const struct face_call *call, enum status status, const struct replica *replica);
/* Serves the call in a fiber; argument lives in the request's arena. */
void face_fiber(struct face *face, void (*main)(void *argument), void *argument);
/* As the last thing in such a fiber. */
void face_fiber_ends(struct face *face);

#endif
