/*
 * rpc: calls over the link door. Many calls share a frame, many frames a pipe; answers come in any order.
 *
 * One struct rpc per reactor; everything here runs on that reactor's thread. A *peer* is an address that is dialed and
 * dialed again for as long as the peer lives; a *listener* takes pipes and hands their calls to handlers. Calls and
 * answers queued in one turn leave in one frame at its end; while the pipe's window is full they wait and batch.
 * What happens on a pipe (HELLO, window, acknowledgements, grants, pings, goodbye): docs/protocols/link.md.
 *
 * Promises about a call:
 *   - done is called exactly once for every started call, never from inside rpc_call_start;
 *   - a class RETRY or REFUSED made here (UNAVAILABLE, BUSY, TOO_BIG) means that the call never left;
 *   - TIMEOUT and LOST mean that it may have had its effect.
 * It does not retry, choose replicas or hedge: that is the callers' business.
 */
#ifndef TRILLIUM_COMMON_RPC_RPC_H
#define TRILLIUM_COMMON_RPC_RPC_H

#include <stdbool.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/limits.h"
#include "common/base/list.h"
#include "common/base/status.h"
#include "common/rpc/methods.h"
#include "common/runtime/reactor.h"

struct rpc;
struct rpc_peer;
struct rpc_listener;
struct fiber;

enum { RPC_UUID_BYTES = 16 };

/* Who somebody is, as told in HELLO. A claim, until certificates prove it. */
enum rpc_role {
    RPC_ROLE_NONE = 0,
    RPC_ROLE_CLIENT = 1,
    RPC_ROLE_ROUTER = 2,
    RPC_ROLE_NODE = 3,
    RPC_ROLE_CONTROLLER = 4,
    RPC_ROLE_ADMIN = 5,
};
#define RPC_ROLE_BIT(role) (1u << (role))
/* Sets of roles, for handlers. */
#define RPC_ROLES_DAEMONS                                                                                              \
    (RPC_ROLE_BIT(RPC_ROLE_ROUTER) | RPC_ROLE_BIT(RPC_ROLE_NODE) | RPC_ROLE_BIT(RPC_ROLE_CONTROLLER))
#define RPC_ROLES_ALL (RPC_ROLES_DAEMONS | RPC_ROLE_BIT(RPC_ROLE_CLIENT) | RPC_ROLE_BIT(RPC_ROLE_ADMIN))

struct rpc_info {
    enum rpc_role role;
    uint8_t cluster[RPC_UUID_BYTES];  /* zeros: not known yet (clients, a daemon before it joined): not compared */
    uint8_t instance[RPC_UUID_BYTES]; /* made at every start of a process */
    uint64_t daemon_id;               /* node, router or controller number; 0: none */
    uint64_t boot;                    /* boot counter of its data directory */
    uint32_t protocol;                /* of the conversation; 0 in one's own */
    uint32_t shards_count;            /* of synced */
    uint64_t synced[SHARDS_MAX];      /* a node's last synced log sequence per shard */
};

/* Oneself: a role, a cluster (RPC_UUID_BYTES; NULL: not known) and an instance that no other start has. */
struct env;
struct rpc_info rpc_info_of_start(struct env *env, enum rpc_role role, const uint8_t *cluster);

/* ---- the endpoint of one reactor ---- */

struct rpc_options {
    struct reactor *reactor;
    /* Copied. One's own cluster, role, ids; may be changed by rpc_identify. */
    struct rpc_info self;
    /* Optional: called before a HELLO is sent, to refresh self->synced and the like. */
    void (*refresh)(void *context, struct rpc_info *self);
    void *context;
};

struct rpc *rpc_create(const struct rpc_options *options);
/* Closes what is open without goodbye; open calls are completed (LOST or UNAVAILABLE) before it returns. Requests not
   yet answered must be answered first (an answer is then a no-op) or never. */
void rpc_destroy(struct rpc *rpc);
/* Takes effect with the next HELLO. */
void rpc_identify(struct rpc *rpc, const struct rpc_info *self);
struct reactor *rpc_reactor(const struct rpc *rpc);

/* Says goodbye. First to those that call us: their new calls are refused with UNAVAILABLE, what is open may still be
   answered, and our own calls still work, since serving may need them. When nothing is being served any more, or after
   1.2 s, to our peers: our new calls are UNAVAILABLE, open ones may still be answered. When no call is left, or after 2
   s in all, done is called once, in a later task or turn; then rpc_destroy. */
void rpc_goodbye(struct rpc *rpc, void (*done)(void *context), void *context);

/* Plain numbers since rpc_create; read on the reactor's thread. */
struct rpc_counters {
    uint64_t frames_sent, frames_received, empties_sent, empties_received, bytes_sent, bytes_received;
    uint64_t calls_started, calls_answered, calls_lost, calls_timed_out, calls_unavailable, calls_cancelled;
    uint64_t answers_unknown; /* came after their call had ended */
    uint64_t requests_taken, requests_answered, requests_refused, requests_plain;
    uint64_t window_stalls, grant_stalls; /* times a frame had to wait */
    uint64_t pipes_up, pipes_down, pipes_gap, pipes_malformed, pipes_silent, pipes_no_hello, pipes_superseded;
    uint64_t pipes_refused;                                       /* by HELLO: cluster, version, clock, stopping */
    uint64_t clock_ahead;                                         /* of these, peers whose clock was ahead */
    uint64_t closed_loud;                                         /* closed although the peer went on sending */
    uint64_t calls_open, requests_open, pipes_open, queued_bytes; /* now */
};
const struct rpc_counters *rpc_counters(const struct rpc *rpc);

/* What is under way, for tests. Late: how far the latest of them is beyond its deadline. */
struct rpc_sight {
    uint32_t talks, calls, requests; /* requests: taken, and not answered by their handlers */
    uint64_t call_late_ns, request_late_ns;
};
/* Adds to *out: a daemon has several. */
void rpc_sight(const struct rpc *rpc, struct rpc_sight *out);

/* ---- peers ---- */

enum rpc_kind {
    RPC_INTERNAL, /* between daemons: frames to 1 MiB */
    RPC_CLIENT,   /* a token clients' port: frames to 128 KiB, plain clients welcome */
};

struct rpc_peer_options {
    const char *address; /* "127.0.2.1:7300"; copied */
    enum rpc_kind kind;  /* of the listener that is dialed */
    /* Roles that may answer there (RPC_ROLE_BIT); 0: any. */
    uint32_t roles;
    /* Both optional, called on a later turn. info lives until down. */
    void (*up)(void *context, struct rpc_peer *peer, const struct rpc_info *info);
    void (*down)(void *context, struct rpc_peer *peer);
    void *context;
};

/* Begins to dial. BAD_REQUEST: malformed address; IO: the door failed. */
enum status rpc_peer_create(struct rpc *rpc, const struct rpc_peer_options *options, struct rpc_peer **out) MUST_CHECK;
/* Ends its calls (LOST, or UNAVAILABLE when they had not left) in a later task of this turn; no up or down any more. */
void rpc_peer_destroy(struct rpc_peer *peer);
/* True between up and down: HELLO was exchanged and calls can leave. */
bool rpc_peer_is_up(const struct rpc_peer *peer);
/* What the peer said in HELLO; NULL while it is not up. */
const struct rpc_info *rpc_peer_info(const struct rpc_peer *peer);
const char *rpc_peer_address(const struct rpc_peer *peer);
/* Wall clock of the peer in its newest frame, and when (monotonic) it came; false when none did on this pipe. */
bool rpc_peer_clock(const struct rpc_peer *peer, int64_t *wall_us, uint64_t *at_ns);
/* Monotonic time of the last whole frame; 0: none on this pipe. */
uint64_t rpc_peer_heard_ns(const struct rpc_peer *peer);
/* Calls started and not done. */
uint32_t rpc_peer_open(const struct rpc_peer *peer);

/* ---- calls ---- */

/* A piece of a body: a message (packed straight into the frame) or bytes. Pieces are concatenated. */
struct rpc_part {
    const ProtobufCMessage *message; /* NULL: bytes */
    struct bytes bytes;
};
struct rpc_body {
    const struct rpc_part *parts;
    uint32_t count;
};
/* Bodies of one piece, valid to the end of the enclosing block. */
#define RPC_MESSAGE(packed) (&(struct rpc_body){&(struct rpc_part){.message = &(packed)->base}, 1})
#define RPC_BYTES(data_bytes) (&(struct rpc_body){&(struct rpc_part){.bytes = (data_bytes)}, 1})
#define RPC_EMPTY (&(struct rpc_body){NULL, 0})

struct rpc_reply {
    enum status status;
    uint32_t retry_after_us;
    uint64_t range, epoch, stamp; /* as the handler gave them; else 0 */
    struct bytes body;            /* lives until done returns */
};

/* Embedded in its owner, at most 128 bytes. Fill the first part (zero the rest: struct rpc_call c = {...}), start; it
   belongs to rpc until done is called, then it can be filled and started again. */
struct rpc_call {
    void (*done)(struct rpc_call *call, const struct rpc_reply *reply);
    uint64_t trace;
    uint64_t range, epoch, stamp; /* sent when routed */
    uint32_t budget_us;           /* 0: CALL_BUDGET_MS_DEFAULT; above CALL_BUDGET_MS_MAX it is cut to that */
    uint16_t method;
    bool routed;
    /* rpc's own */
    uint8_t state;
    struct rpc_peer *peer;
    uint64_t id;
    struct list link;
    struct timer timer;
};
_Static_assert(sizeof(struct rpc_call) <= 128, "a waiting call is a small record");

/* The body is copied before it returns. */
void rpc_call_start(struct rpc_peer *peer, struct rpc_call *call, const struct rpc_body *body);
/* Ends a started call without calling done; the server is told. No-op when it is not under way. */
void rpc_call_cancel(struct rpc_call *call);
static inline bool rpc_call_is_open(const struct rpc_call *call)
{
    return call->state != 0;
}

/* The same in a fiber: starts a copy of *call (done is ignored) and suspends until it is done; the reply's body is
   copied into arena. Returns reply->status. */
enum status rpc_call_wait(struct rpc_peer *peer, const struct rpc_call *call, const struct rpc_body *body,
    struct arena *arena, struct rpc_reply *reply);

/* ---- serving ---- */

/* One call as its handler sees it. Owned by rpc, lives until rpc_answer, which must come exactly once, at any time,
   also when the caller is long gone. */
struct rpc_request {
    uint16_t method;
    bool routed;
    bool cancelled; /* nobody waits for the answer any more (cancelled, or its pipe is gone) */
    bool plain;     /* of a plain client: from is all zeros but its role, CLIENT */
    uint64_t trace;
    uint64_t range, epoch, stamp;
    uint64_t arrived_ns;    /* monotonic */
    uint64_t deadline_ns;   /* past it nobody waits */
    int64_t sender_wall_us; /* of the frame */
    struct bytes body;      /* lives until rpc_answer or rpc_request_drop_body */
    struct arena arena;     /* for the handler; emptied by rpc_answer */
    struct rpc *rpc;
    const struct rpc_info *from; /* lives as long as the request */
    const char *remote;          /* "127.0.0.1:51234" */
    void *user;                  /* the handler's own, NULL at first */
    /* The handler may set it: called when cancelled becomes true; may answer from inside. */
    void (*on_cancel)(struct rpc_request *request);
};

struct rpc_answer {
    uint32_t retry_after_us;
    uint64_t range, epoch, stamp; /* sent when any is not 0 */
    const struct rpc_body *body;  /* NULL: empty */
};
/* answer may be NULL. The request is gone when it returns. An answer above the peer's largest frame becomes TOO_BIG. */
void rpc_answer(struct rpc_request *request, enum status status, const struct rpc_answer *answer);
/* For requests that are parked: the frame that holds the body is let go; body becomes empty. */
void rpc_request_drop_body(struct rpc_request *request);

struct rpc_handler {
    uint16_t method;
    uint16_t roles; /* RPC_ROLES_..., RPC_ROLE_BIT: others are DENIED */
    void (*handle)(void *context, struct rpc_request *request);
    void *context;
};

struct rpc_listen_options {
    const char *address; /* "127.0.2.1:7300" */
    enum rpc_kind kind;
    uint32_t pipes_max;                 /* 0: 1024 */
    uint32_t calls_max;                 /* open calls per pipe; 0: from answer_bytes_max and answer_budget_bytes */
    uint32_t answer_bytes_max;          /* largest answer; 0: PAGE_BYTES_MAX or PAGE_BYTES_MAX_CLIENT */
    uint64_t answer_budget_bytes;       /* of all answers that one pipe may have open; 0: 256 MiB or 64 MiB */
    const struct rpc_handler *handlers; /* copied */
    uint32_t handlers_count;
    /* Optional: judges a HELLO; anything but OK refuses the pipe and is told to the peer. */
    enum status (*admit)(void *context, const struct rpc_info *info, const char *remote);
    /* Optional: a pipe with this info ended. */
    void (*gone)(void *context, const struct rpc_info *info);
    void *context;
};

/* BAD_REQUEST, CONFLICT (address in use), IO. */
enum status rpc_listen(struct rpc *rpc, const struct rpc_listen_options *options, struct rpc_listener **out) MUST_CHECK;
/* Adds or replaces one handler. */
void rpc_listener_handle(struct rpc_listener *listener, const struct rpc_handler *handler);
/* The handlers of one file of a daemon. */
struct rpc_handlers {
    const struct rpc_handler *handlers;
    uint32_t count;
};
/* Adds all of several files, with this context. In the turn of rpc_listen nothing has come yet. */
void rpc_listener_handle_all(
    struct rpc_listener *listener, const struct rpc_handlers *const *files, uint32_t count, void *context);
/* The door's end, for tests that ask their backend for the port. */
struct link_end *rpc_listener_end(const struct rpc_listener *listener);

/* ---- bodies ---- */

/* Unpacks a message into arena; NULL when it is malformed or would need more than 4 KiB + 8 x body. The only way that
   anything is unpacked. The result's strings and bytes lie in arena too. */
void *rpc_decode(struct arena *arena, const ProtobufCMessageDescriptor *descriptor, struct bytes body);
/* The call of a request, in its arena; NULL when it is malformed: then it was answered BAD_REQUEST and is gone. */
void *rpc_request_decode(struct rpc_request *request, const ProtobufCMessageDescriptor *descriptor);

#endif
