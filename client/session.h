/*
 * session: the core of libtrillium: one application's calls to the routers, on one reactor, by callbacks.
 *
 * It knows the router ring and sends a call to the worker that owns its channel; when that one is down, refuses for now
 * or stays silent, the same call goes on to the next, until the call's deadline. That is safe because a message's id is
 * chosen before the first attempt and every attempt carries the same bytes.
 * What a caller learns in the end: DONE, REFUSED, FINAL as the router said; otherwise the outcome is UNKNOWN as soon as
 * any attempt may have had its effect, and RETRY when none can have.
 */
#ifndef TRILLIUM_CLIENT_SESSION_H
#define TRILLIUM_CLIENT_SESSION_H

#include "client/id_maker.h"
#include "common/rpc/rpc.h"

struct session;

enum {
    SESSION_DEADLINE_MS_DEFAULT = 10000,
    SESSION_ATTEMPT_MS_DEFAULT = CALL_BUDGET_MS_DEFAULT,
    SESSION_ROUTERS_MAX = 64,
};

struct session_options {
    struct reactor *reactor;
    const char *const *routers; /* "host" or "host:base port"; copied; at least one */
    unsigned routers_count;
    uint8_t cluster[RPC_UUID_BYTES]; /* zeros: whichever answers */
    bool is_admin;
    bool is_short_lived; /* lives for one command: ids come from Reserve, no lease is taken */
    /* Optional: session_is_up changed. Not from inside session_create or session_destroy. */
    void (*changed)(void *context, bool is_up);
    void *context;
};

/* BAD_REQUEST: no router, or a malformed address. */
enum status session_create(const struct session_options *options, struct session **out) MUST_CHECK;
/* Ends open calls (UNKNOWN or RETRY) before it returns, says goodbye; done is called later, then session_destroy. */
void session_close(struct session *session, void (*done)(void *context), void *context);
void session_destroy(struct session *session);
/* True when a router can be reached. */
bool session_is_up(const struct session *session);
struct reactor *session_reactor(const struct session *session);

/* Embedded in its owner. The first part is the caller's, zero the rest. */
struct session_call {
    uint16_t method;
    bool by_channel; /* goes to the owner of channel */
    uint64_t channel;
    uint64_t deadline_ns; /* monotonic; 0: SESSION_DEADLINE_MS_DEFAULT from now */
    uint32_t attempt_us;  /* 0: the default */
    uint64_t trace;       /* 0: a new one */
    /* Instead of a message: appends the body before the first attempt, when a router was heard (session_wall_us). */
    void (*pack)(struct session_call *call, struct buffer *body);
    /* Called once, never from inside session_call_start; body lives during the call. */
    void (*done)(struct session_call *call, enum status status, struct bytes body);
    /* the session's own */
    struct session *session;
    struct list link;
    struct buffer body;
    struct rpc_call call;
    struct timer pause;
    uint32_t attempts;
    unsigned router; /* index of the one asked last */
    bool maybe;      /* an attempt may have had its effect */
    bool is_packed;
    enum status last;
};

/* Packs the message, which may be freed at once; NULL: call->pack will. */
void session_call_start(struct session *session, struct session_call *call, const ProtobufCMessage *message);

/* Waits for an id; done is called once, never from inside. */
struct session_id {
    uint64_t deadline_ns;
    void (*done)(struct session_id *wait, enum status status, uint64_t id);
    struct list link;
};
void session_make_id(struct session *session, struct session_id *wait);

/* The routers' clock (microseconds since 1970), or this machine's while no router was heard. */
int64_t session_wall_us(const struct session *session);
/* A stamp for an edit: on the routers' clock, above every stamp made or seen by this session. */
int64_t session_stamp(struct session *session);
void session_saw_stamp(struct session *session, int64_t stamp);

#endif
