/*
 * talk: one pipe's conversation: HELLO, window, acknowledgements, grants, pings, silence, goodbye and the lame end
 * (docs/protocols/link.md). Internal to common/rpc: what the files of this room share.
 *
 * Life: HELLO -> OPEN -> LAME -> gone, or PLAIN instead of OPEN. A talk outlives its pipe while requests of it are
 * not answered. One reactor's thread.
 */
#ifndef TRILLIUM_COMMON_RPC_TALK_H
#define TRILLIUM_COMMON_RPC_TALK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/base/map.h"
#include "common/rpc/frame.h"
#include "common/rpc/lane.h"
#include "common/rpc/rpc.h"
#include "common/rpc/window.h"
#include "common/runtime/net.h"
#include "common/runtime/reactor.h"

enum {
    RPC_REMOTE_BYTES = 64,
    RPC_HELLO_MS = 2000,      /* a pipe without HELLO ends */
    RPC_PING_MS = 3000,       /* silence of ours */
    RPC_SILENCE_MS = 10000,   /* silence of the peer's */
    RPC_STALL_MS = 2500,      /* this process itself stood still */
    RPC_LAME_MS = 300,        /* of quiet before a pipe is closed */
    RPC_LAME_LOUD_MS = 10000, /* then it is closed although the peer goes on */
    RPC_GOODBYE_MS = 2000,
    RPC_GOODBYE_SERVE_MS = 1200, /* of them, for what is being served and the calls that it needs */
    RPC_PLAIN_IDLE_MS = 50000,
    RPC_PLAIN_ANSWER_MS = 30000,
    RPC_PLAIN_OPEN_MAX = 32,        /* requests of one plain client */
    RPC_SLOTS_MAX = 1 << 20,        /* calls of one pipe; the low bits of an id */
    RPC_QUEUE_BYTES_MAX = 16 << 20, /* calls that wait to leave on one pipe */
};
_Static_assert(RPC_PING_MS * 3 < RPC_SILENCE_MS, "three pings fit into the silence that ends a pipe");
_Static_assert((int)RPC_STALL_MS < (int)RPC_SILENCE_MS, "a stall of our own is seen before a peer's silence");

enum rpc_talk_state {
    RPC_TALK_HELLO,
    RPC_TALK_OPEN,
    RPC_TALK_PLAIN,
    RPC_TALK_LAME,
    RPC_TALK_GONE, /* its pipe is down; only requests keep it */
};

/* Why a talk ended. */
enum rpc_end {
    RPC_END_GAP,
    RPC_END_MALFORMED,
    RPC_END_SILENT,
    RPC_END_NO_HELLO,
    RPC_END_REFUSED,
    RPC_END_SUPERSEDED,
    RPC_END_GOODBYE,
    RPC_END_DOWN,
    RPC_END_CLOSED, /* by our own program */
};

struct rpc_slot {
    struct rpc_call *call;
    uint64_t generation;
    uint32_t next_free;
};

struct rpc_talk {
    struct list link; /* rpc->talks */
    struct rpc *rpc;
    struct net *net;               /* of its pipe; makes and frees its frames */
    struct link_pipe *pipe;        /* NULL when gone */
    struct rpc_peer *peer;         /* the dialer's side; NULL when it was destroyed */
    struct rpc_listener *listener; /* the listener's side */
    enum rpc_talk_state state;
    bool dialed;
    bool up_told; /* up, or admit, was told: down, or gone, is owed */
    bool goodbye_sent, goodbye_received;
    bool window_stalled, grants_stalled;
    enum rpc_kind kind;
    struct rpc_info info; /* the peer's */
    uint64_t connection;
    char remote[RPC_REMOTE_BYTES];
    struct rpc_window window;
    uint32_t peer_frame_max;
    uint64_t empties_received;
    uint64_t up_ns, heard_ns, spoke_ns, lame_ns, goodbye_ns;
    int64_t peer_wall_us;
    struct timer timer;
    struct task flush;

    /* Our calls. */
    struct rpc_lane calls;
    struct rpc_slot *slots;
    uint32_t slots_count, slots_free; /* slots_free: index + 1 of the first free one, 0: none */
    uint32_t calls_open;
    uint32_t granted, opened; /* what the peer lets us, what we did; absolute */

    /* The peer's calls. */
    struct rpc_lane answers;
    struct list requests;
    struct map requests_by_id;
    uint32_t requests_open; /* not reclaimed yet */
    uint32_t requests_kept; /* not answered by their handlers yet, cancelled ones included */
    uint32_t calls_max;
    uint32_t granted_peer, granted_told, opened_peer;
};

struct rpc {
    struct reactor *reactor;
    struct net *net, *listen_net; /* for peers, for listeners */
    struct rpc_info self;
    void (*refresh)(void *context, struct rpc_info *self);
    void *context;
    struct rpc_counters counters;
    struct list peers, listeners, talks;
    struct list finished; /* calls that wait for their done */
    struct task finish;
    struct list dead; /* talks to be freed */
    struct task bury;
    struct list free_requests;
    uint32_t free_requests_count;
    uint64_t next_connection;
    /* Standstill: when a turn last happened, and when the last standstill ended. */
    struct timer tick;
    uint64_t awake_ns, stood_still_ns;
    uint64_t log_second;
    uint32_t log_lines;
    bool stopping;
    bool goodbye_left; /* our own calls ended too */
    bool goodbye_told;
    struct task goodbye_look;
    struct timer goodbye_timer;
    void (*goodbye_done)(void *context);
    void *goodbye_context;
};

struct rpc_peer {
    struct list link; /* rpc->peers */
    struct rpc *rpc;
    struct rpc_peer_options options;
    char *address;
    uint64_t connection;
    struct link_end *end;
    struct rpc_talk *talk; /* newest, until it is lame */
    bool up;
    enum status refused; /* what the last refusal said, so that it is logged once */
};

struct rpc_listener {
    struct list link; /* rpc->listeners */
    struct rpc *rpc;
    struct rpc_listen_options options;
    char *address;
    struct link_end *end;
    struct rpc_handler handlers[METHODS_MAX]; /* handle is NULL: unknown method */
};

/* ---- talk.c ---- */

/* A pipe came up. exactly one of peer and listener is set. */
struct rpc_talk *rpc_talk_create(
    struct rpc *rpc, struct link_pipe *pipe, struct rpc_peer *peer, struct rpc_listener *listener);
/* A frame came; takes the buffer. */
void rpc_talk_frame(struct rpc_talk *talk, struct link_buffer *buffer);
/* The pipe went down; the talk may be freed. */
void rpc_talk_down(struct rpc_talk *talk);
/* Makes it lame: calls end, requests are cancelled, the pipe closes once it is quiet. */
void rpc_talk_end(struct rpc_talk *talk, enum rpc_end why, const char *detail);
/* Something may be able to leave at the end of this turn. */
void rpc_talk_flush_later(struct rpc_talk *talk);
void rpc_talk_goodbye(struct rpc_talk *talk);
/* True when goodbyes are exchanged and no call is open either way, or it is no longer open. */
bool rpc_talk_is_quiet(const struct rpc_talk *talk);
/* Frees a talk that is gone when no request keeps it. */
void rpc_talk_release(struct rpc_talk *talk);
/* Frees those that were released. */
void rpc_talks_bury(struct rpc *rpc);
/* Ends it at once, with its pipe's end about to be closed. */
void rpc_talk_drop(struct rpc_talk *talk);
/* At most a few lines a second about pipes, whatever a peer does. */
bool rpc_may_log(struct rpc *rpc);

/* ---- handshake.c: HELLO of both sides ---- */

void rpc_hello_send(struct rpc_talk *talk);
/* The first frame of a pipe. False: the talk was ended. */
bool rpc_hello_take(struct rpc_talk *talk, const struct frame_header *header, struct bytes frame);
/* Is the peer, a daemon as we are, ahead by more than the bound? Counts and logs it. */
bool rpc_clock_is_ahead(struct rpc_talk *talk, const struct frame_header *header);

/* ---- call.c ---- */

/* Completes a call from a later task. */
void rpc_call_finish(struct rpc *rpc, struct rpc_call *call, enum status status);
void rpc_calls_finish_now(struct rpc *rpc);
/* An answer came. */
void rpc_calls_answer(struct rpc_talk *talk, const struct frame_entry *entry);
/* Makes the first frame of calls fit to leave: ended calls are dropped, budgets are those of now, grants are kept.
   False when there is nothing to send (now). */
bool rpc_calls_depart(struct rpc_talk *talk);
/* How far the latest open call is beyond its deadline; 0: none is. */
uint64_t rpc_calls_late_ns(const struct rpc_talk *talk, uint64_t now_ns);
/* Ends all calls: UNAVAILABLE when they had not left, else status; only_unsent leaves the others open. */
void rpc_calls_end(struct rpc_talk *talk, enum status status, bool only_unsent);

/* ---- serve.c ---- */

/* A received frame is kept while requests point into it; its count says how many they are, and whoever received it. */
void rpc_frame_hold(struct link_buffer *frame);
void rpc_frame_release(struct net *net, struct link_buffer *frame);
/* False: a violation, end the talk. */
bool rpc_serve_call(struct rpc_talk *talk, const struct frame_entry *entry, const struct frame_header *header,
    struct link_buffer *held);
void rpc_serve_cancel(struct rpc_talk *talk, uint64_t id);
/* A frame of a plain client; takes nothing of held. False: a violation. */
bool rpc_serve_plain(
    struct rpc_talk *talk, const struct frame_header *header, struct bytes frame, struct link_buffer *held);
/* All requests of the talk are cancelled. */
void rpc_serve_end(struct rpc_talk *talk);
/* What we let the peer open now; absolute, never less than before. */
uint32_t rpc_serve_grant(struct rpc_talk *talk);
/* How far the latest unanswered request is beyond its deadline; 0: none is. */
uint64_t rpc_serve_late_ns(const struct rpc_talk *talk, uint64_t now_ns);
/* Frees requests that will never be answered (at rpc_destroy). */
void rpc_serve_forget(struct rpc_talk *talk);
void rpc_serve_free_pool(struct rpc *rpc);

/* ---- rpc.c ---- */

/* Something changed that a goodbye may wait for. */
void rpc_goodbye_check(struct rpc *rpc);

/* ---- body.c ---- */

uint32_t rpc_body_size(const struct rpc_body *body);
void rpc_body_write(const struct rpc_body *body, uint8_t *at, uint32_t size);

#endif
