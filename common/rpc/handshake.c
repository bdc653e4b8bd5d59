/* handshake: HELLO of both sides: what is said, what is checked, how a refusal is told (docs/protocols/link.md). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/rpc/session.h"
#include "proto/link.pb-c.h"

enum { PROTOCOL_MIN = 1, PROTOCOL_MAX = 1, WHY_BYTES = 200 };

static uint32_t own_frame_max(enum rpc_kind kind)
{
    return kind == RPC_CLIENT ? FRAME_BYTES_MAX_CLIENT : FRAME_BYTES_MAX;
}

static bool is_daemon(enum rpc_role role)
{
    return RPC_ROLES_DAEMONS & RPC_ROLE_BIT(role);
}

static const char *role_name(enum rpc_role role)
{
    static const char *const names[] = {"none", "client", "router", "node", "controller", "admin"};
    return (unsigned)role < sizeof names / sizeof *names ? names[role] : "unknown";
}

/* ---- sending ---- */

/* HELLO and its answer are counted frames of one entry, outside the lanes, and need no grant. */
static void send_entry(struct rpc_session *session, const struct frame_entry *entry, const struct rpc_body *body)
{
    struct rpc *rpc = session->rpc;
    uint32_t size = FRAME_HEADER_BYTES + frame_entry_size(false, (uint32_t)entry->body.size);
    struct link_buffer *buffer = link_buffer_create(session->net, size);
    buffer->size = size;
    uint8_t *at = frame_entry_write(buffer->data + FRAME_HEADER_BYTES, entry);
    rpc_body_write(body, at, (uint32_t)entry->body.size);
    struct frame_header header = {
        .count = 1,
        .sender_wall_us = reactor_wall_us(rpc->reactor),
        .calls_granted = rpc_serve_grant(session),
        .frame_no = rpc_window_send(&session->window, size),
        .frames_seen = rpc_window_say(&session->window),
    };
    frame_seal(buffer->data, size, &header);
    session->granted_told = header.calls_granted;
    session->spoke_ns = reactor_now_ns(rpc->reactor);
    rpc->counters.frames_sent++;
    rpc->counters.bytes_sent += size;
    link_send(session->pipe, buffer);
}

void rpc_hello_send(struct rpc_session *session)
{
    struct rpc *rpc = session->rpc;
    if (rpc->refresh) rpc->refresh(rpc->context, &rpc->self);
    static const uint8_t unknown[RPC_UUID_BYTES];
    Trillium__V1__Hello hello = TRILLIUM__V1__HELLO__INIT;
    hello.protocol_min = PROTOCOL_MIN;
    hello.protocol_max = PROTOCOL_MAX;
    hello.role = (Trillium__V1__Role)rpc->self.role;
    if (memcmp(rpc->self.cluster, unknown, sizeof unknown) != 0)
        hello.cluster = (ProtobufCBinaryData){RPC_UUID_BYTES, rpc->self.cluster};
    hello.instance = (ProtobufCBinaryData){RPC_UUID_BYTES, rpc->self.instance};
    hello.connection = session->peer ? session->peer->connection : 0;
    hello.boot = rpc->self.boot;
    hello.frame_bytes_max = own_frame_max(session->kind);
    hello.daemon_id = rpc->self.daemon_id;
    hello.n_synced = rpc->self.shards_count;
    hello.synced = rpc->self.synced;
    const struct rpc_body *body = RPC_MESSAGE(&hello);
    struct frame_entry entry = {
        .kind = session->dialed ? FRAME_CALL : FRAME_ANSWER,
        .code = session->dialed ? (uint16_t)METHOD_LINK_HELLO : (uint16_t)STATUS_OK,
        .time_us = session->dialed ? RPC_HELLO_MS * 1000 : 0,
        .body = {NULL, rpc_body_size(body)},
    };
    send_entry(session, &entry, body);
}

static void tell_refusal(struct rpc_session *session, enum status status, char *why)
{
    Trillium__V1__Refusal refusal = TRILLIUM__V1__REFUSAL__INIT;
    refusal.why = why;
    const struct rpc_body *body = RPC_MESSAGE(&refusal);
    struct frame_entry entry = {.kind = FRAME_ANSWER, .code = (uint16_t)status, .body = {NULL, rpc_body_size(body)}};
    send_entry(session, &entry, body);
}

/* ---- judging ---- */

static bool read_uuid(const ProtobufCBinaryData *data, uint8_t out[RPC_UUID_BYTES])
{
    memset(out, 0, RPC_UUID_BYTES);
    if (data->len == 0) return true;
    if (data->len != RPC_UUID_BYTES) return false;
    memcpy(out, data->data, RPC_UUID_BYTES);
    return true;
}

static bool clusters_differ(const uint8_t a[RPC_UUID_BYTES], const uint8_t b[RPC_UUID_BYTES])
{
    static const uint8_t unknown[RPC_UUID_BYTES];
    return memcmp(a, unknown, RPC_UUID_BYTES) != 0 && memcmp(b, unknown, RPC_UUID_BYTES) != 0 &&
           memcmp(a, b, RPC_UUID_BYTES) != 0;
}

/* Fills session->info. A status and a sentence when the peer is not to be spoken with. */
static enum status judge(struct rpc_session *session, const Trillium__V1__Hello *hello, char why[WHY_BYTES])
{
    struct rpc_info *info = &session->info;
    const struct rpc_info *self = &session->rpc->self;
    if (hello->protocol_min > PROTOCOL_MAX || hello->protocol_max < PROTOCOL_MIN) {
        snprintf(why, WHY_BYTES, "it speaks protocol %u to %u, this daemon %d to %d; upgrade the older one",
            hello->protocol_min, hello->protocol_max, PROTOCOL_MIN, PROTOCOL_MAX);
        return STATUS_CONFLICT;
    }
    if (hello->role <= 0 || (unsigned)hello->role > RPC_ROLE_ADMIN || !read_uuid(&hello->cluster, info->cluster) ||
        !read_uuid(&hello->instance, info->instance) || hello->n_synced > SHARDS_MAX) {
        snprintf(why, WHY_BYTES, "its HELLO is malformed");
        return STATUS_BAD_REQUEST;
    }
    uint32_t own_max = own_frame_max(session->kind);
    if (hello->frame_bytes_max < own_max) {
        snprintf(why, WHY_BYTES, "it takes frames of %u bytes only, %u are needed", hello->frame_bytes_max, own_max);
        return STATUS_CONFLICT;
    }
    info->role = (enum rpc_role)hello->role;
    if (clusters_differ(self->cluster, info->cluster)) {
        snprintf(why, WHY_BYTES, "it belongs to another cluster; check the addresses in its configuration");
        return STATUS_DENIED;
    }
    uint32_t roles = session->peer ? session->peer->options.roles : 0;
    if (roles && !(roles & RPC_ROLE_BIT(info->role))) {
        snprintf(why, WHY_BYTES, "a %s answers at that address; check the configuration", role_name(info->role));
        return STATUS_DENIED;
    }
    info->daemon_id = hello->daemon_id;
    info->boot = hello->boot;
    info->protocol = hello->protocol_max < PROTOCOL_MAX ? hello->protocol_max : PROTOCOL_MAX;
    info->shards_count = (uint32_t)hello->n_synced;
    for (size_t i = 0; i < hello->n_synced; i++)
        info->synced[i] = hello->synced[i];
    session->connection = hello->connection;
    session->peer_frame_max = own_max;
    return STATUS_OK;
}

bool rpc_clock_is_ahead(struct rpc_session *session, const struct frame_header *header)
{
    struct rpc *rpc = session->rpc;
    if (!is_daemon(rpc->self.role) || !is_daemon(session->info.role)) return false;
    int64_t ahead_us_max = (int64_t)SKEW_AHEAD_MS_MAX * 1000;
    if (header->sender_wall_us - reactor_wall_us(rpc->reactor) <= ahead_us_max) return false;
    /* This turn may have been a long one. */
    int64_t ahead_us = header->sender_wall_us - env_wall_us(reactor_env(rpc->reactor));
    if (ahead_us <= ahead_us_max) return false;
    rpc->counters.clock_ahead++;
    if (rpc_may_log(rpc))
        LOG(reactor_log(rpc->reactor), ERROR, "clock.ahead",
            "remote=%s role=%s id=%" PRIu64 " ahead_ms=%" PRId64 " limit_ms=%d why=\"its clock or ours is wrong; check "
            "time synchronisation on both hosts\"",
            session->remote, role_name(session->info.role), session->info.daemon_id, ahead_us / 1000,
            SKEW_AHEAD_MS_MAX);
    return true;
}

/* The newer pipe of an instance takes the place of the older one. */
static void supersede(struct rpc_session *session)
{
    LIST_FOR_EACH (node, &session->rpc->sessions) {
        struct rpc_session *other = CONTAINER_OF(node, struct rpc_session, link);
        if (other == session || other->listener != session->listener || other->state != RPC_SESSION_OPEN) continue;
        if (other->connection != session->connection) continue;
        if (memcmp(other->info.instance, session->info.instance, RPC_UUID_BYTES) != 0) continue;
        rpc_session_end(other, RPC_END_SUPERSEDED, "a newer pipe of the same instance");
    }
}

static void log_refused(struct rpc_session *session, enum status status, const char *why)
{
    struct rpc *rpc = session->rpc;
    rpc->counters.pipes_refused++;
    if (session->peer) {
        /* It is dialed again for ever: one line per reason. */
        if (session->peer->refused == status) return;
        session->peer->refused = status;
    }
    char quoted[WHY_BYTES * 2];
    if (rpc_may_log(rpc))
        LOG(reactor_log(rpc->reactor), WARN, "peer.refused", "address=%s remote=%s status=%s why=%s",
            session->peer ? session->peer->address : session->listener->address, session->remote, status_name(status),
            log_quote(quoted, sizeof quoted, bytes_text(why)));
}

static bool refuse(struct rpc_session *session, enum status status, char *why)
{
    log_refused(session, status, why);
    if (!session->dialed) tell_refusal(session, status, why);
    rpc_session_end(session, RPC_END_REFUSED, why);
    return false;
}

/* ---- taking ---- */

static bool take_call(struct rpc_session *session, const struct frame_header *header, const Trillium__V1__Hello *hello)
{
    struct rpc *rpc = session->rpc;
    char why[WHY_BYTES] = "";
    enum status status = judge(session, hello, why);
    if (status != STATUS_OK) return refuse(session, status, why);
    if (rpc_clock_is_ahead(session, header)) {
        snprintf(why, sizeof why, "your clock is more than %d ms ahead of mine", SKEW_AHEAD_MS_MAX);
        return refuse(session, STATUS_TOO_NEW, why);
    }
    if (rpc->stopping) {
        snprintf(why, sizeof why, "this daemon is stopping");
        return refuse(session, STATUS_UNAVAILABLE, why);
    }
    const struct rpc_listen_options *options = &session->listener->options;
    if (options->admit) {
        status = options->admit(options->context, &session->info, session->remote);
        if (status != STATUS_OK) {
            snprintf(why, sizeof why, "not admitted: %s", status_text(status));
            return refuse(session, status, why);
        }
    }
    supersede(session);
    session->state = RPC_SESSION_OPEN;
    rpc_hello_send(session);
    return true;
}

static bool take_answer(
    struct rpc_session *session, const struct frame_header *header, const Trillium__V1__Hello *hello)
{
    char why[WHY_BYTES] = "";
    enum status status = judge(session, hello, why);
    if (status != STATUS_OK) return refuse(session, status, why);
    if (rpc_clock_is_ahead(session, header)) {
        snprintf(why, sizeof why, "its clock is more than %d ms ahead of ours", SKEW_AHEAD_MS_MAX);
        return refuse(session, STATUS_TOO_NEW, why);
    }
    if (session->rpc->stopping) {
        rpc_session_end(session, RPC_END_GOODBYE, "this daemon is stopping");
        return false;
    }
    session->state = RPC_SESSION_OPEN;
    if (session->peer) session->peer->refused = STATUS_OK;
    return true;
}

static void take_refusal(struct rpc_session *session, const struct frame_entry *entry, struct arena *arena)
{
    Trillium__V1__Refusal *refusal = rpc_decode(arena, &trillium__v1__refusal__descriptor, entry->body);
    char why[WHY_BYTES];
    snprintf(why, sizeof why, "it refuses this daemon: %s", refusal ? refusal->why : "(no reason given)");
    refuse(session, (enum status)entry->code, why);
}

bool rpc_hello_take(struct rpc_session *session, const struct frame_header *header, struct bytes frame)
{
    struct reader reader = frame_entries(frame);
    struct frame_entry entry;
    bool expected = header->count == 1 && frame_next(&reader, &entry);
    if (expected && session->dialed) expected = entry.kind == FRAME_ANSWER;
    if (expected && !session->dialed) expected = entry.kind == FRAME_CALL && entry.code == METHOD_LINK_HELLO;
    if (!expected) {
        rpc_session_end(session, RPC_END_NO_HELLO, "something else before HELLO");
        return false;
    }
    struct arena arena = {0};
    bool open = false;
    if (session->dialed && entry.code != STATUS_OK) {
        take_refusal(session, &entry, &arena);
    } else {
        const Trillium__V1__Hello *hello = rpc_decode(&arena, &trillium__v1__hello__descriptor, entry.body);
        if (!hello)
            rpc_session_end(session, RPC_END_NO_HELLO, "a HELLO that does not unpack");
        else
            open = session->dialed ? take_answer(session, header, hello) : take_call(session, header, hello);
    }
    arena_free(&arena);
    return open;
}
