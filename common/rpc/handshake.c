/* handshake: HELLO of both sides: what is said, what is checked, how a refusal is told (docs/protocols/link.md). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/rpc/talk.h"
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
static void send_entry(struct rpc_talk *talk, const struct frame_entry *entry, const struct rpc_body *body)
{
    struct rpc *rpc = talk->rpc;
    uint32_t size = FRAME_HEADER_BYTES + frame_entry_size(false, (uint32_t)entry->body.size);
    struct link_buffer *buffer = link_buffer_create(talk->net, size);
    buffer->size = size;
    uint8_t *at = frame_entry_write(buffer->data + FRAME_HEADER_BYTES, entry);
    rpc_body_write(body, at, (uint32_t)entry->body.size);
    struct frame_header header = {
        .count = 1,
        .sender_wall_us = reactor_wall_us(rpc->reactor),
        .calls_granted = rpc_serve_grant(talk),
        .frame_no = rpc_window_send(&talk->window, size),
        .frames_seen = rpc_window_say(&talk->window),
    };
    frame_seal(buffer->data, size, &header);
    talk->granted_told = header.calls_granted;
    talk->spoke_ns = reactor_now_ns(rpc->reactor);
    rpc->counters.frames_sent++;
    rpc->counters.bytes_sent += size;
    link_send(talk->pipe, buffer);
}

void rpc_hello_send(struct rpc_talk *talk)
{
    struct rpc *rpc = talk->rpc;
    if (rpc->refresh) rpc->refresh(rpc->context, &rpc->self);
    static const uint8_t unknown[RPC_UUID_BYTES];
    Trillium__V1__Hello hello = TRILLIUM__V1__HELLO__INIT;
    hello.protocol_min = PROTOCOL_MIN;
    hello.protocol_max = PROTOCOL_MAX;
    hello.role = (Trillium__V1__Role)rpc->self.role;
    if (memcmp(rpc->self.cluster, unknown, sizeof unknown) != 0)
        hello.cluster = (ProtobufCBinaryData){RPC_UUID_BYTES, rpc->self.cluster};
    hello.instance = (ProtobufCBinaryData){RPC_UUID_BYTES, rpc->self.instance};
    hello.connection = talk->peer ? talk->peer->connection : 0;
    hello.boot = rpc->self.boot;
    hello.frame_bytes_max = own_frame_max(talk->kind);
    hello.daemon_id = rpc->self.daemon_id;
    hello.n_synced = rpc->self.shards_count;
    hello.synced = rpc->self.synced;
    const struct rpc_body *body = RPC_MESSAGE(&hello);
    struct frame_entry entry = {
        .kind = talk->dialed ? FRAME_CALL : FRAME_ANSWER,
        .code = talk->dialed ? (uint16_t)METHOD_LINK_HELLO : (uint16_t)STATUS_OK,
        .time_us = talk->dialed ? RPC_HELLO_MS * 1000 : 0,
        .body = {NULL, rpc_body_size(body)},
    };
    send_entry(talk, &entry, body);
}

static void tell_refusal(struct rpc_talk *talk, enum status status, char *why)
{
    Trillium__V1__Refusal refusal = TRILLIUM__V1__REFUSAL__INIT;
    refusal.why = why;
    const struct rpc_body *body = RPC_MESSAGE(&refusal);
    struct frame_entry entry = {.kind = FRAME_ANSWER, .code = (uint16_t)status, .body = {NULL, rpc_body_size(body)}};
    send_entry(talk, &entry, body);
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

/* Fills talk->info. A status and a sentence when the peer is not to be spoken with. */
static enum status judge(struct rpc_talk *talk, const Trillium__V1__Hello *hello, char why[WHY_BYTES])
{
    struct rpc_info *info = &talk->info;
    const struct rpc_info *self = &talk->rpc->self;
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
    uint32_t own_max = own_frame_max(talk->kind);
    if (hello->frame_bytes_max < own_max) {
        snprintf(why, WHY_BYTES, "it takes frames of %u bytes only, %u are needed", hello->frame_bytes_max, own_max);
        return STATUS_CONFLICT;
    }
    info->role = (enum rpc_role)hello->role;
    if (clusters_differ(self->cluster, info->cluster)) {
        snprintf(why, WHY_BYTES, "it belongs to another cluster; check the addresses in its configuration");
        return STATUS_DENIED;
    }
    uint32_t roles = talk->peer ? talk->peer->options.roles : 0;
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
    talk->connection = hello->connection;
    talk->peer_frame_max = own_max;
    return STATUS_OK;
}

bool rpc_clock_is_ahead(struct rpc_talk *talk, const struct frame_header *header)
{
    struct rpc *rpc = talk->rpc;
    if (!is_daemon(rpc->self.role) || !is_daemon(talk->info.role)) return false;
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
            talk->remote, role_name(talk->info.role), talk->info.daemon_id, ahead_us / 1000, SKEW_AHEAD_MS_MAX);
    return true;
}

/* The newer pipe of an instance takes the place of the older one. */
static void supersede(struct rpc_talk *talk)
{
    LIST_FOR_EACH (node, &talk->rpc->talks) {
        struct rpc_talk *other = CONTAINER_OF(node, struct rpc_talk, link);
        if (other == talk || other->listener != talk->listener || other->state != RPC_TALK_OPEN) continue;
        if (other->connection != talk->connection) continue;
        if (memcmp(other->info.instance, talk->info.instance, RPC_UUID_BYTES) != 0) continue;
        rpc_talk_end(other, RPC_END_SUPERSEDED, "a newer pipe of the same instance");
    }
}

static void log_refused(struct rpc_talk *talk, enum status status, const char *why)
{
    struct rpc *rpc = talk->rpc;
    rpc->counters.pipes_refused++;
    if (talk->peer) {
        /* It is dialed again for ever: one line per reason. */
        if (talk->peer->refused == status) return;
        talk->peer->refused = status;
    }
    char quoted[WHY_BYTES * 2];
    if (rpc_may_log(rpc))
        LOG(reactor_log(rpc->reactor), WARN, "peer.refused", "address=%s remote=%s status=%s why=%s",
            talk->peer ? talk->peer->address : talk->listener->address, talk->remote, status_name(status),
            log_quote(quoted, sizeof quoted, bytes_text(why)));
}

static bool refuse(struct rpc_talk *talk, enum status status, char *why)
{
    log_refused(talk, status, why);
    if (!talk->dialed) tell_refusal(talk, status, why);
    rpc_talk_end(talk, RPC_END_REFUSED, why);
    return false;
}

/* ---- taking ---- */

static bool take_call(struct rpc_talk *talk, const struct frame_header *header, const Trillium__V1__Hello *hello)
{
    struct rpc *rpc = talk->rpc;
    char why[WHY_BYTES] = "";
    enum status status = judge(talk, hello, why);
    if (status != STATUS_OK) return refuse(talk, status, why);
    if (rpc_clock_is_ahead(talk, header)) {
        snprintf(why, sizeof why, "your clock is more than %d ms ahead of mine", SKEW_AHEAD_MS_MAX);
        return refuse(talk, STATUS_TOO_NEW, why);
    }
    if (rpc->stopping) {
        snprintf(why, sizeof why, "this daemon is stopping");
        return refuse(talk, STATUS_UNAVAILABLE, why);
    }
    const struct rpc_listen_options *options = &talk->listener->options;
    if (options->admit) {
        status = options->admit(options->context, &talk->info, talk->remote);
        if (status != STATUS_OK) {
            snprintf(why, sizeof why, "not admitted: %s", status_text(status));
            return refuse(talk, status, why);
        }
    }
    supersede(talk);
    talk->state = RPC_TALK_OPEN;
    rpc_hello_send(talk);
    return true;
}

static bool take_answer(struct rpc_talk *talk, const struct frame_header *header, const Trillium__V1__Hello *hello)
{
    char why[WHY_BYTES] = "";
    enum status status = judge(talk, hello, why);
    if (status != STATUS_OK) return refuse(talk, status, why);
    if (rpc_clock_is_ahead(talk, header)) {
        snprintf(why, sizeof why, "its clock is more than %d ms ahead of ours", SKEW_AHEAD_MS_MAX);
        return refuse(talk, STATUS_TOO_NEW, why);
    }
    if (talk->rpc->stopping) {
        rpc_talk_end(talk, RPC_END_GOODBYE, "this daemon is stopping");
        return false;
    }
    talk->state = RPC_TALK_OPEN;
    if (talk->peer) talk->peer->refused = STATUS_OK;
    return true;
}

static void take_refusal(struct rpc_talk *talk, const struct frame_entry *entry, struct arena *arena)
{
    Trillium__V1__Refusal *refusal = rpc_decode(arena, &trillium__v1__refusal__descriptor, entry->body);
    char why[WHY_BYTES];
    snprintf(why, sizeof why, "it refuses this daemon: %s", refusal ? refusal->why : "(no reason given)");
    refuse(talk, (enum status)entry->code, why);
}

bool rpc_hello_take(struct rpc_talk *talk, const struct frame_header *header, struct bytes frame)
{
    struct reader reader = frame_entries(frame);
    struct frame_entry entry;
    bool expected = header->count == 1 && frame_next(&reader, &entry);
    if (expected && talk->dialed) expected = entry.kind == FRAME_ANSWER;
    if (expected && !talk->dialed) expected = entry.kind == FRAME_CALL && entry.code == METHOD_LINK_HELLO;
    if (!expected) {
        rpc_talk_end(talk, RPC_END_NO_HELLO, "something else before HELLO");
        return false;
    }
    struct arena arena = {0};
    bool open = false;
    if (talk->dialed && entry.code != STATUS_OK) {
        take_refusal(talk, &entry, &arena);
    } else {
        const Trillium__V1__Hello *hello = rpc_decode(&arena, &trillium__v1__hello__descriptor, entry.body);
        if (!hello)
            rpc_talk_end(talk, RPC_END_NO_HELLO, "a HELLO that does not unpack");
        else
            open = talk->dialed ? take_answer(talk, header, hello) : take_call(talk, header, hello);
    }
    arena_free(&arena);
    return open;
}
