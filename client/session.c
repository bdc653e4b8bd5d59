#include "client/session.h"

#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/prng.h"
#include "common/cluster/address.h"
#include "common/cluster/router_ring.h"
#include "common/model/key.h"
#include "proto/client.pb-c.h"

enum {
    PAUSE_MS_MIN = 10,
    PAUSE_MS_MAX = 500,
    RING_PARK_US = 25 * 1000 * 1000,
    LEASE_RENEW_MS = 1500,
    RESERVE_COUNT = 64,
    AVOID_MS = 1000,
    REDIAL_MS_MIN = 250,
    REDIAL_MS_MAX = 4000,
};

/* One worker of one router, or a configured address while the ring is not known. */
struct session_router {
    uint32_t router;
    uint16_t worker;
    char address[ADDRESS_BYTES];
    struct rpc_peer *peer;
    uint64_t avoid_until_ns; /* it let a call down: others first */
};

struct session {
    struct reactor *reactor;
    struct rpc *rpc;
    bool is_short_lived, closing;
    bool is_up; /* as last told */
    void (*changed)(void *context, bool is_up);
    void *context;
    bool has_ring;
    uint64_t ring_version;
    unsigned routers_count;
    struct session_router routers[SESSION_ROUTERS_MAX];
    uint64_t redial_at_ns; /* while no router is up: when all are dialed anew */
    unsigned redial_ms;
    struct list calls; /* started and not done */
    /* the ring */
    struct session_call ring_call;
    struct timer ring_timer;
    bool ring_open;
    /* ids */
    uint8_t instance[RPC_UUID_BYTES];
    struct id_maker ids;
    struct list id_waiters;
    struct timer id_timer;
    struct rpc_call lease_call;
    unsigned lease_router; /* whoever leased must renew */
    uint64_t lease_sent_ns, lease_at_ns;
    struct session_call reserve_call;
    bool reserve_open;
    uint64_t reserve_at_ns; /* not before: the last answer brought nothing */
    int64_t last_stamp;
};

static uint64_t now_ns(const struct session *session)
{
    return reactor_now_ns(session->reactor);
}

/* ---- routers ---- */

bool session_is_up(const struct session *session)
{
    for (unsigned i = 0; i < session->routers_count; i++)
        if (session->routers[i].peer && rpc_peer_is_up(session->routers[i].peer)) return true;
    return false;
}

static void note_up(struct session *session)
{
    bool is_up = session_is_up(session);
    if (is_up == session->is_up) return;
    session->is_up = is_up;
    if (session->changed) session->changed(session->context, is_up);
    if (!is_up) return;
    /* Whoever waits for a router need not wait for his next look. */
    LIST_FOR_EACH (link, &session->calls) {
        struct session_call *call = CONTAINER_OF(link, struct session_call, link);
        if (call->attempts == 0 && timer_is_running(&call->pause)) timer_start_in(&call->pause, 0);
    }
}

static void router_up(void *context, struct rpc_peer *peer, const struct rpc_info *info)
{
    (void)peer;
    (void)info;
    struct session *session = context;
    session->redial_at_ns = 0;
    session->redial_ms = REDIAL_MS_MIN;
    note_up(session);
}

static void router_down(void *context, struct rpc_peer *peer)
{
    (void)peer;
    note_up(context);
}

static enum status dial(struct session *session, const char *address, struct rpc_peer **out)
{
    struct rpc_peer_options options = {.address = address,
        .kind = RPC_CLIENT,
        .roles = RPC_ROLE_BIT(RPC_ROLE_ROUTER),
        .up = router_up,
        .down = router_down,
        .context = session};
    return rpc_peer_create(session->rpc, &options, out);
}

static enum status add_router(struct session *session, uint32_t router, uint16_t worker, const char *address)
{
    if (session->routers_count == SESSION_ROUTERS_MAX) return STATUS_TOO_BIG;
    struct session_router *entry = &session->routers[session->routers_count];
    *entry = (struct session_router){.router = router, .worker = worker};
    snprintf(entry->address, sizeof entry->address, "%s", address);
    enum status status = dial(session, address, &entry->peer);
    if (status == STATUS_OK) session->routers_count++;
    return status;
}

/* The best reachable router for a call: by weight for its channel, those that were let down last. -1: none. */
static int choose(const struct session *session, const struct session_call *call)
{
    int64_t token = call->by_channel ? key_channel_token(call->channel) : (int64_t)call->trace;
    int best = -1;
    uint64_t best_weight = 0;
    bool best_avoided = true;
    for (unsigned i = 0; i < session->routers_count; i++) {
        const struct session_router *router = &session->routers[i];
        if (!router->peer || !rpc_peer_is_up(router->peer)) continue;
        bool avoided = router->avoid_until_ns > now_ns(session);
        uint64_t weight = router_ring_weight(router->router, router->worker, token);
        if (best >= 0 && (avoided > best_avoided || (avoided == best_avoided && weight <= best_weight))) continue;
        best = (int)i;
        best_weight = weight;
        best_avoided = avoided;
    }
    return best;
}

/* Nobody is up. Dialers that were refused pause for up to 2 s, but the router that said goodbye last may well be the
   last one of a restart in turn, and the others are back: they are dialed at once, then after growing pauses, so that a
   slow handshake has its time. */
static void dial_anew(struct session *session)
{
    uint64_t now = now_ns(session);
    if (now < session->redial_at_ns || session->closing) return;
    session->redial_at_ns = now + (uint64_t)session->redial_ms * 1000000;
    session->redial_ms = session->redial_ms * 2 < REDIAL_MS_MAX ? session->redial_ms * 2 : REDIAL_MS_MAX;
    for (unsigned i = 0; i < session->routers_count; i++) {
        struct session_router *router = &session->routers[i];
        struct rpc_peer *peer;
        /* What was asked before a goodbye is still answered. */
        if (rpc_peer_open(router->peer) > 0 || dial(session, router->address, &peer) != STATUS_OK) continue;
        rpc_peer_destroy(router->peer);
        router->peer = peer;
    }
}

/* ---- calls ---- */

static void finish(struct session_call *call, enum status status, struct bytes body)
{
    list_remove(&call->link);
    timer_stop(&call->pause);
    buffer_free(&call->body);
    call->done(call, status, body);
}

static void replied(struct rpc_call *rpc_call, const struct rpc_reply *reply);

static void attempt(struct session_call *call)
{
    struct session *session = call->session;
    int router = choose(session, call);
    if (router < 0) {
        dial_anew(session);
        call->last = STATUS_UNAVAILABLE;
        timer_start_in(&call->pause, (uint64_t)PAUSE_MS_MIN * 1000000);
        return;
    }
    if (!call->is_packed) call->pack(call, &call->body);
    call->is_packed = true;
    uint64_t now = now_ns(session);
    uint64_t left_us = call->deadline_ns > now ? (call->deadline_ns - now) / 1000 : 0;
    uint64_t budget = call->attempt_us ? call->attempt_us : SESSION_ATTEMPT_MS_DEFAULT * 1000;
    if (budget > left_us) budget = left_us;
    call->router = (unsigned)router;
    call->attempts++;
    call->call = (struct rpc_call){
        .done = replied, .method = call->method, .trace = call->trace, .budget_us = budget ? (uint32_t)budget : 1};
    rpc_call_start(session->routers[router].peer, &call->call, RPC_BYTES(buffer_bytes(&call->body)));
}

/* What the caller learns when there is no time left. */
static enum status give_up(const struct session_call *call)
{
    if (call->maybe) return status_class(call->last) == STATUS_CLASS_UNKNOWN ? call->last : STATUS_TIMEOUT;
    return call->last == STATUS_OK ? STATUS_UNAVAILABLE : call->last;
}

static void paused(struct timer *timer)
{
    struct session_call *call = CONTAINER_OF(timer, struct session_call, pause);
    if (now_ns(call->session) >= call->deadline_ns || call->session->closing)
        finish(call, give_up(call), bytes_of(NULL, 0));
    else
        attempt(call);
}

static void pause_call(struct session_call *call, uint32_t retry_after_us)
{
    unsigned doubled = call->attempts > 6 ? 6 : call->attempts;
    uint64_t ms = (uint64_t)PAUSE_MS_MIN << doubled;
    if (ms > PAUSE_MS_MAX) ms = PAUSE_MS_MAX;
    /* The first repeat after a lost pipe goes at once: another router is up, most likely. */
    if (call->attempts == 1 && retry_after_us == 0) ms = 1;
    uint64_t ns = prng_between(reactor_prng(call->session->reactor), ms * 500000, ms * 1000000);
    if (ns < (uint64_t)retry_after_us * 1000) ns = (uint64_t)retry_after_us * 1000;
    uint64_t now = now_ns(call->session);
    timer_start_at(&call->pause, now + ns < call->deadline_ns ? now + ns : call->deadline_ns);
}

static void avoid(struct session *session, unsigned router)
{
    /* The ring may have changed under the call. */
    if (router < session->routers_count)
        session->routers[router].avoid_until_ns = now_ns(session) + (uint64_t)AVOID_MS * 1000000;
}

static void replied(struct rpc_call *rpc_call, const struct rpc_reply *reply)
{
    struct session_call *call = CONTAINER_OF(rpc_call, struct session_call, call);
    struct session *session = call->session;
    enum status_class class = status_class(reply->status);
    bool says_nothing = call->maybe && (reply->status == STATUS_TOO_OLD || reply->status == STATUS_TOO_NEW);
    if (says_nothing) {
        finish(call, STATUS_TIMEOUT, bytes_of(NULL, 0));
        return;
    }
    if (class != STATUS_CLASS_RETRY && class != STATUS_CLASS_UNKNOWN) {
        finish(call, reply->status, reply->body);
        return;
    }
    if (reply->status == STATUS_ID_TAKEN) {
        finish(call, reply->status, reply->body);
        return;
    }
    call->last = reply->status;
    call->maybe |= class == STATUS_CLASS_UNKNOWN;
    if (reply->status == STATUS_TIMEOUT || reply->status == STATUS_LOST || reply->status == STATUS_UNAVAILABLE)
        avoid(session, call->router);
    pause_call(call, reply->retry_after_us);
}

static void pack_message(const ProtobufCMessage *message, struct buffer *body)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    protobuf_c_message_pack(message, buffer_reserve(body, size));
    body->size += size;
}

void session_call_start(struct session *session, struct session_call *call, const ProtobufCMessage *message)
{
    call->session = session;
    call->attempts = 0;
    call->maybe = false;
    call->last = STATUS_OK;
    if (call->trace == 0) call->trace = prng_next(reactor_prng(session->reactor)) | 1;
    if (call->deadline_ns == 0) call->deadline_ns = now_ns(session) + (uint64_t)SESSION_DEADLINE_MS_DEFAULT * 1000000;
    CHECK(!message != !call->pack);
    call->body = (struct buffer){0};
    call->is_packed = message != NULL;
    if (message) pack_message(message, &call->body);
    timer_init(&call->pause, session->reactor, paused);
    list_push_back(&session->calls, &call->link);
    if (session->closing)
        timer_start_in(&call->pause, 0);
    else
        attempt(call);
}

/* ---- the ring ---- */

static bool same_router(const struct session_router *router, uint32_t id, uint16_t worker, const char *address)
{
    return router->router == id && router->worker == worker && strcmp(router->address, address) == 0;
}

static bool ring_is_same(const struct session *session, const Trillium__V1__RingAnswer *ring)
{
    unsigned at = 0;
    for (size_t i = 0; i < ring->n_routers; i++)
        for (unsigned w = 0; w < ring->routers[i]->workers && w < SHARDS_MAX; w++, at++) {
            char address[ADDRESS_BYTES];
            if (address_shift(ring->routers[i]->address, PORT_CLIENTS + w, address) != STATUS_OK) return false;
            if (at >= session->routers_count ||
                !same_router(&session->routers[at], ring->routers[i]->id, (uint16_t)w, address))
                return false;
        }
    return at == session->routers_count;
}

/* Takes the new ring: routers that stay keep their pipes, the others are hung up. */
static void use_ring(struct session *session, const Trillium__V1__RingAnswer *ring)
{
    struct session_router old[SESSION_ROUTERS_MAX];
    unsigned old_count = session->routers_count;
    memcpy(old, session->routers, old_count * sizeof *old);
    session->routers_count = 0;
    for (size_t i = 0; i < ring->n_routers; i++)
        for (unsigned w = 0; w < ring->routers[i]->workers && w < SHARDS_MAX; w++) {
            char address[ADDRESS_BYTES];
            const Trillium__V1__RouterEntry *entry = ring->routers[i];
            if (address_shift(entry->address, PORT_CLIENTS + w, address) != STATUS_OK) continue;
            struct session_router *kept = NULL;
            for (unsigned k = 0; k < old_count && !kept; k++)
                if (old[k].peer && strcmp(old[k].address, address) == 0) kept = &old[k];
            if (kept && session->routers_count < SESSION_ROUTERS_MAX) {
                /* A configured address has no number until the first ring; its calls go on. */
                kept->router = entry->id;
                kept->worker = (uint16_t)w;
                session->routers[session->routers_count++] = *kept;
                kept->peer = NULL;
            } else if (!kept && add_router(session, entry->id, (uint16_t)w, address) != STATUS_OK) {
                LOG(reactor_log(session->reactor), WARN, "ring.refused", "address=%s", address);
            }
        }
    for (unsigned i = 0; i < old_count; i++)
        if (old[i].peer) rpc_peer_destroy(old[i].peer);
    session->ids.leased = false; /* positions moved; the next lease is a new one */
    note_up(session);
}

static void ring_answered(struct session_call *call, enum status status, struct bytes body)
{
    struct session *session = CONTAINER_OF(call, struct session, ring_call);
    struct arena arena = {0};
    session->ring_open = false;
    Trillium__V1__RingAnswer *ring = NULL;
    if (status == STATUS_OK) ring = rpc_decode(&arena, &trillium__v1__ring_answer__descriptor, body);
    if (ring && ring->n_routers > 0) {
        if (!ring_is_same(session, ring)) use_ring(session, ring);
        session->has_ring = true;
        session->ring_version = ring->version;
    }
    arena_free(&arena);
    if (!session->closing) timer_start_in(&session->ring_timer, (uint64_t)PAUSE_MS_MAX * 1000000);
}

static void ask_ring(struct timer *timer)
{
    struct session *session = CONTAINER_OF(timer, struct session, ring_timer);
    if (session->ring_open || session->closing || (session->has_ring && session->is_short_lived)) return;
    Trillium__V1__RingCall body = TRILLIUM__V1__RING_CALL__INIT;
    body.have = session->ring_version;
    session->ring_open = true;
    session->ring_call = (struct session_call){
        .method = METHOD_RING, .attempt_us = RING_PARK_US, .deadline_ns = UINT64_MAX, .done = ring_answered};
    session_call_start(session, &session->ring_call, &body.base);
}

/* ---- clocks and stamps ---- */

int64_t session_wall_us(const struct session *session)
{
    uint64_t newest = 0, now = now_ns(session);
    int64_t wall = reactor_wall_us(session->reactor);
    for (unsigned i = 0; i < session->routers_count; i++) {
        int64_t theirs;
        uint64_t at;
        const struct session_router *router = &session->routers[i];
        if (!router->peer || !rpc_peer_clock(router->peer, &theirs, &at) || at <= newest) continue;
        newest = at;
        wall = theirs + (int64_t)((now - at) / 1000);
    }
    return wall;
}

int64_t session_stamp(struct session *session)
{
    int64_t now = session_wall_us(session);
    session->last_stamp = now > session->last_stamp ? now : session->last_stamp + 1;
    return session->last_stamp;
}

void session_saw_stamp(struct session *session, int64_t stamp)
{
    if (stamp > session->last_stamp) session->last_stamp = stamp;
}

/* ---- ids ---- */

static void serve_ids(struct session *session);

static bool has_ids(const Trillium__V1__ReserveAnswer *answer)
{
    if (!answer || answer->n_ids == 0 || answer->n_ids > ID_RESERVED_MAX) return false;
    for (size_t i = 0; i < answer->n_ids; i++)
        if (answer->ids[i] == 0) return false;
    return true;
}

static void reserved(struct session_call *call, enum status status, struct bytes body)
{
    struct session *session = CONTAINER_OF(call, struct session, reserve_call);
    struct arena arena = {0};
    session->reserve_open = false;
    Trillium__V1__ReserveAnswer *answer = NULL;
    if (status == STATUS_OK) answer = rpc_decode(&arena, &trillium__v1__reserve_answer__descriptor, body);
    if (has_ids(answer))
        id_maker_reserve(&session->ids, answer->ids, (unsigned)answer->n_ids, now_ns(session));
    else
        session->reserve_at_ns = now_ns(session) + (uint64_t)PAUSE_MS_MAX * 1000000;
    arena_free(&arena);
    serve_ids(session);
}

static void reserve(struct session *session)
{
    if (session->reserve_open || session->closing || now_ns(session) < session->reserve_at_ns) return;
    Trillium__V1__ReserveCall body = TRILLIUM__V1__RESERVE_CALL__INIT;
    body.count = session->is_short_lived ? 1 : RESERVE_COUNT;
    session->reserve_open = true;
    session->reserve_call = (struct session_call){.method = METHOD_RESERVE, .done = reserved};
    session_call_start(session, &session->reserve_call, &body.base);
}

static void leased(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct session *session = CONTAINER_OF(call, struct session, lease_call);
    struct arena arena = {0};
    Trillium__V1__LeaseAnswer *answer = NULL;
    if (reply->status == STATUS_OK) answer = rpc_decode(&arena, &trillium__v1__lease_answer__descriptor, reply->body);
    if (answer && answer->maker <= UINT16_MAX)
        id_maker_lease(&session->ids, (uint16_t)answer->maker,
            session->lease_sent_ns + (uint64_t)answer->lease_ms * 1000000, (int64_t)answer->floor_unix_ms);
    arena_free(&arena);
    session->lease_at_ns = now_ns(session) + (uint64_t)LEASE_RENEW_MS * 1000000;
    serve_ids(session);
}

/* Asks for a lease, or renews at whoever gave it. */
static void lease(struct session *session)
{
    if (session->is_short_lived || session->closing || !session->has_ring) return;
    if (rpc_call_is_open(&session->lease_call) || now_ns(session) < session->lease_at_ns) return;
    bool holds = session->ids.leased && now_ns(session) < session->ids.lease_until_ns;
    if (!holds) {
        struct session_call any = {.trace = prng_next(reactor_prng(session->reactor))};
        int router = choose(session, &any);
        if (router < 0) return;
        session->lease_router = (unsigned)router;
    }
    struct session_router *router = &session->routers[session->lease_router];
    Trillium__V1__LeaseCall body = TRILLIUM__V1__LEASE_CALL__INIT;
    body.instance = (ProtobufCBinaryData){sizeof session->instance, session->instance};
    body.renew = holds;
    body.maker = session->ids.maker;
    session->lease_sent_ns = now_ns(session);
    session->lease_call = (struct rpc_call){.done = leased, .method = METHOD_LEASE, .budget_us = 1000000};
    rpc_call_start(router->peer, &session->lease_call, RPC_MESSAGE(&body));
}

static void serve_ids(struct session *session)
{
    uint64_t soon_ns = UINT64_MAX, now = now_ns(session);
    lease(session);
    while (!list_is_empty(&session->id_waiters)) {
        struct session_id *wait = CONTAINER_OF(session->id_waiters.next, struct session_id, link);
        uint64_t id = 0;
        unsigned wait_ms = 0;
        enum status status = STATUS_OK;
        if (session->closing || now >= wait->deadline_ns) {
            status = STATUS_UNAVAILABLE;
        } else if (!id_maker_next(&session->ids, now, session_wall_us(session) / 1000, &id, &wait_ms)) {
            if (wait_ms == 0) reserve(session);
            soon_ns = now + (uint64_t)(wait_ms ? wait_ms : PAUSE_MS_MIN) * 1000000;
            break;
        }
        list_remove(&wait->link);
        wait->done(wait, status, id);
    }
    uint64_t renew_ns = now + 100000000ull;
    if (!session->closing) timer_start_at(&session->id_timer, soon_ns < renew_ns ? soon_ns : renew_ns);
}

static void id_tick(struct timer *timer)
{
    serve_ids(CONTAINER_OF(timer, struct session, id_timer));
}

void session_make_id(struct session *session, struct session_id *wait)
{
    if (wait->deadline_ns == 0) wait->deadline_ns = now_ns(session) + (uint64_t)SESSION_DEADLINE_MS_DEFAULT * 1000000;
    list_push_back(&session->id_waiters, &wait->link);
    timer_start_in(&session->id_timer, 0);
}

/* ---- beginning and end ---- */

enum status session_create(const struct session_options *options, struct session **out)
{
    struct session *session = mem_zalloc(sizeof *session);
    session->reactor = options->reactor;
    session->is_short_lived = options->is_short_lived;
    session->redial_ms = REDIAL_MS_MIN;
    session->redial_at_ns = now_ns(session) + (uint64_t)REDIAL_MS_MAX * 1000000; /* they are dialed just now */
    session->changed = options->changed;
    session->context = options->context;
    list_init(&session->calls);
    list_init(&session->id_waiters);
    timer_init(&session->ring_timer, options->reactor, ask_ring);
    timer_init(&session->id_timer, options->reactor, id_tick);
    env_entropy(reactor_env(options->reactor), session->instance, sizeof session->instance);
    struct rpc_options rpc = {.reactor = options->reactor};
    rpc.self.role = options->is_admin ? RPC_ROLE_ADMIN : RPC_ROLE_CLIENT;
    memcpy(rpc.self.cluster, options->cluster, sizeof rpc.self.cluster);
    memcpy(rpc.self.instance, session->instance, sizeof rpc.self.instance);
    session->rpc = rpc_create(&rpc);
    enum status status = options->routers_count > 0 ? STATUS_OK : STATUS_BAD_REQUEST;
    for (unsigned i = 0; status == STATUS_OK && i < options->routers_count; i++) {
        char base[ADDRESS_BYTES], address[ADDRESS_BYTES];
        status = address_complete(options->routers[i], PORT_ROUTER, base);
        if (status == STATUS_OK) status = address_shift(base, PORT_CLIENTS, address);
        if (status == STATUS_OK) status = add_router(session, 0, (uint16_t)i, address);
    }
    if (status != STATUS_OK) {
        session_destroy(session);
        return status;
    }
    timer_start_in(&session->ring_timer, 0);
    if (!session->is_short_lived) timer_start_in(&session->id_timer, 0);
    *out = session;
    return STATUS_OK;
}

void session_close(struct session *session, void (*done)(void *context), void *context)
{
    session->closing = true;
    timer_stop(&session->ring_timer);
    timer_stop(&session->id_timer);
    rpc_call_cancel(&session->lease_call);
    serve_ids(session);
    LIST_FOR_EACH (link, &session->calls) {
        struct session_call *call = CONTAINER_OF(link, struct session_call, link);
        if (rpc_call_is_open(&call->call)) {
            rpc_call_cancel(&call->call);
            call->maybe = true;
        }
        finish(call, give_up(call), bytes_of(NULL, 0));
    }
    rpc_goodbye(session->rpc, done, context);
}

void session_destroy(struct session *session)
{
    timer_stop(&session->ring_timer);
    timer_stop(&session->id_timer);
    for (unsigned i = 0; i < session->routers_count; i++)
        rpc_peer_destroy(session->routers[i].peer);
    rpc_destroy(session->rpc);
    mem_free(session);
}

struct reactor *session_reactor(const struct session *session)
{
    return session->reactor;
}
