#include "tests/sim/client_raw.h"

#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/base/prng.h"
#include "common/model/page.h"
#include "common/model/row.h"
#include "common/model/value.h"
#include "common/rpc/rpc.h"
#include "common/runtime/fiber.h"
#include "proto/client.pb-c.h"

enum { ROUTERS_MAX = 32, IDS_AT_ONCE = 16, STAMP_SHARES = 64, RETRY_PAUSE_MS = 50 };

struct raw_client {
    struct reactor *reactor;
    struct rpc *rpc;
    struct rpc_peer *peers[ROUTERS_MAX];
    uint32_t peers_count, favourite;
    uint64_t ids[IDS_AT_ONCE];
    uint32_t ids_count;
    int64_t last_stamp;
};

/* One call under way, in a fiber. */
struct attempt {
    struct raw_client *client;
    struct sim_call *call;
    struct arena arena;
    struct rpc_reply reply;
};

int64_t sim_author_of(uint64_t id)
{
    return (int64_t)(1000 + hash_u64(id) % 97);
}

int64_t sim_type_of(uint64_t id)
{
    return (int64_t)(hash_u64(id) >> 32) % 5;
}

uint64_t sim_body_hash(const char *content, uint32_t size, int64_t author, int64_t type)
{
    return hash64(content, size, (uint64_t)author * 8 + (uint64_t)type);
}

static Trillium__V1__Level wire_level(const struct sim_call *call)
{
    return (Trillium__V1__Level)call->op.level;
}

static struct rpc_peer *pick_peer(struct raw_client *client)
{
    for (uint32_t i = 0; i < client->peers_count; i++) {
        uint32_t at = (client->favourite + i) % client->peers_count;
        if (rpc_peer_is_up(client->peers[at])) return client->peers[at];
    }
    return NULL;
}

static enum status send_to(struct attempt *attempt, struct rpc_peer *peer, uint16_t method, const struct rpc_body *body)
{
    struct rpc_call call = {.method = method, .budget_us = attempt->call->budget_ms * 1000};
    arena_reset(&attempt->arena);
    return rpc_call_wait(peer, &call, body, &attempt->arena, &attempt->reply);
}

/* Rows. */

static struct bytes create_row(struct sim_call *call, struct buffer *out)
{
    struct row row;
    uint8_t author[8], type[8];
    row_begin_create(&row);
    row_put(&row, CHAT_AUTHOR_ID, value_of_int(TYPE_BIGINT, sim_author_of(call->op.id), author));
    row_put(&row, CHAT_CONTENT, bytes_of(call->content, call->content_size));
    row_put(&row, CHAT_TYPE, value_of_int(TYPE_INT, sim_type_of(call->op.id), type));
    return row_encode_buffer(&row, out);
}

static struct bytes edit_row(struct sim_call *call, struct buffer *out)
{
    struct row row;
    uint8_t edited_at[8];
    row_begin_edit(&row);
    row_put_edit(&row, CHAT_CONTENT, call->op.stamp, bytes_of(call->content, call->content_size));
    row_put_edit(&row, CHAT_EDITED_AT, call->op.stamp, value_of_int(TYPE_TIMESTAMP, call->op.stamp / 1000, edited_at));
    return row_encode_buffer(&row, out);
}

/* What is not a whole message gets the body 0, which nobody writes. */
static uint64_t body_of_row(struct bytes bytes)
{
    struct row row;
    if (row_decode(bytes, &row) != STATUS_OK) return 0;
    struct bytes author = row_value(&row, CHAT_AUTHOR_ID), content = row_value(&row, CHAT_CONTENT);
    struct bytes type = row_value(&row, CHAT_TYPE);
    if (!author.data || !content.data || !type.data || !row_is_visible(&row)) return 0;
    if (!value_is_valid(TYPE_BIGINT, author) || !value_is_valid(TYPE_INT, type)) return 0;
    return sim_body_hash((const char *)content.data, (uint32_t)content.size, value_to_int(TYPE_BIGINT, author),
        value_to_int(TYPE_INT, type));
}

static void take_row(struct sim_call *call, uint64_t id, struct bytes row)
{
    if (call->rows_count < SIM_CALL_ROWS_MAX)
        call->rows[call->rows_count++] = (struct history_row){id, body_of_row(row)};
}

/* One attempt of each kind. */

static enum status try_create(struct attempt *attempt, struct rpc_peer *peer)
{
    struct sim_call *call = attempt->call;
    struct buffer row = {0};
    Trillium__V1__MessageCreateCall body = TRILLIUM__V1__MESSAGE_CREATE_CALL__INIT;
    body.channel_id = call->op.channel;
    body.message_id = call->op.id;
    body.level = wire_level(call);
    struct bytes bytes = create_row(call, &row);
    body.row = (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
    enum status status = send_to(attempt, peer, METHOD_MESSAGE_CREATE, RPC_MESSAGE(&body));
    buffer_free(&row);
    return status;
}

static enum status try_edit(struct attempt *attempt, struct rpc_peer *peer)
{
    struct sim_call *call = attempt->call;
    struct buffer row = {0};
    Trillium__V1__MessageEditCall body = TRILLIUM__V1__MESSAGE_EDIT_CALL__INIT;
    body.channel_id = call->op.channel;
    body.message_id = call->op.id;
    body.level = wire_level(call);
    body.stamp_us = call->op.stamp;
    struct bytes bytes = edit_row(call, &row);
    body.row = (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
    enum status status = send_to(attempt, peer, METHOD_MESSAGE_EDIT, RPC_MESSAGE(&body));
    buffer_free(&row);
    return status;
}

static enum status try_delete(struct attempt *attempt, struct rpc_peer *peer)
{
    struct sim_call *call = attempt->call;
    Trillium__V1__MessageDeleteCall body = TRILLIUM__V1__MESSAGE_DELETE_CALL__INIT;
    body.channel_id = call->op.channel;
    body.message_id = call->op.id;
    body.level = wire_level(call);
    return send_to(attempt, peer, METHOD_MESSAGE_DELETE, RPC_MESSAGE(&body));
}

static enum status try_span(struct attempt *attempt, struct rpc_peer *peer)
{
    struct sim_call *call = attempt->call;
    Trillium__V1__ChannelPurgeCall body = TRILLIUM__V1__CHANNEL_PURGE_CALL__INIT;
    body.channel_id = call->op.channel;
    body.lo = call->op.id;
    body.hi = call->op.id2;
    body.level = wire_level(call);
    enum status status = send_to(attempt, peer, METHOD_CHANNEL_PURGE, RPC_MESSAGE(&body));
    if (!status_is_done(status)) return status;
    Trillium__V1__ChannelPurgeAnswer *answer =
        rpc_decode(&attempt->arena, &trillium__v1__channel_purge_answer__descriptor, attempt->reply.body);
    if (answer && answer->hi && answer->hi < call->op.id2) call->op.id2 = answer->hi;
    return answer ? status : STATUS_UNDECIDED;
}

static enum status try_get(struct attempt *attempt, struct rpc_peer *peer)
{
    struct sim_call *call = attempt->call;
    Trillium__V1__MessageGetCall body = TRILLIUM__V1__MESSAGE_GET_CALL__INIT;
    body.channel_id = call->op.channel;
    body.message_id = call->op.id;
    body.level = wire_level(call);
    enum status status = send_to(attempt, peer, METHOD_MESSAGE_GET, RPC_MESSAGE(&body));
    if (status == STATUS_NOT_FOUND || status == STATUS_DELETED) return STATUS_OK;
    if (!status_is_done(status)) return status;
    Trillium__V1__MessageGetAnswer *answer =
        rpc_decode(&attempt->arena, &trillium__v1__message_get_answer__descriptor, attempt->reply.body);
    if (answer == NULL) return STATUS_UNDECIDED;
    take_row(call, call->op.id, bytes_of(answer->row.data, answer->row.len));
    return STATUS_OK;
}

static enum status try_list(struct attempt *attempt, struct rpc_peer *peer)
{
    static const Trillium__V1__Bound bounds[] = {TRILLIUM__V1__BOUND__BOUND_NEWEST, TRILLIUM__V1__BOUND__BOUND_OLDEST,
        TRILLIUM__V1__BOUND__BOUND_BEFORE, TRILLIUM__V1__BOUND__BOUND_AFTER, TRILLIUM__V1__BOUND__BOUND_AROUND};
    struct sim_call *call = attempt->call;
    Trillium__V1__MessageListCall body = TRILLIUM__V1__MESSAGE_LIST_CALL__INIT;
    body.channel_id = call->op.channel;
    body.bound = bounds[call->op.bound];
    body.message_id = call->op.id;
    body.limit = call->op.limit;
    body.level = wire_level(call);
    body.oldest_first = call->op.oldest_first;
    enum status status = send_to(attempt, peer, METHOD_MESSAGE_LIST, RPC_MESSAGE(&body));
    if (!status_is_done(status)) return status;
    Trillium__V1__MessageListAnswer *answer =
        rpc_decode(&attempt->arena, &trillium__v1__message_list_answer__descriptor, attempt->reply.body);
    struct page_reader reader;
    struct page_entry entry;
    if (answer == NULL || page_open(bytes_of(answer->page.data, answer->page.len), &reader) != STATUS_OK)
        return STATUS_UNDECIDED;
    while (page_next(&reader, &entry))
        if (entry.kind == PAGE_ROW) take_row(call, entry.id, entry.row);
    call->op.more = answer->more;
    return reader.status == STATUS_OK ? STATUS_OK : STATUS_UNDECIDED;
}

static enum status try_status(struct attempt *attempt, struct rpc_peer *peer)
{
    struct sim_call *call = attempt->call;
    Trillium__V1__MessageStatusCall body = TRILLIUM__V1__MESSAGE_STATUS_CALL__INIT;
    body.channel_id = call->op.channel;
    body.message_id = call->op.id;
    body.resolve = call->op.state == HISTORY_NEVER;
    enum status status = send_to(attempt, peer, METHOD_MESSAGE_STATUS, RPC_MESSAGE(&body));
    if (!status_is_done(status)) return status;
    Trillium__V1__MessageStatusAnswer *answer =
        rpc_decode(&attempt->arena, &trillium__v1__message_status_answer__descriptor, attempt->reply.body);
    if (answer == NULL) return STATUS_UNDECIDED;
    call->op.state = answer->state == TRILLIUM__V1__MESSAGE_STATE__MESSAGE_STATE_PRESENT ? HISTORY_PRESENT
                     : answer->state == TRILLIUM__V1__MESSAGE_STATE__MESSAGE_STATE_NEVER ? HISTORY_NEVER
                                                                                         : HISTORY_ABSENT;
    return STATUS_OK;
}

/* UNDECIDED unless every replica answers: then the state says whether they hold the same. */
static enum status try_view(struct attempt *attempt, struct rpc_peer *peer)
{
    struct sim_call *call = attempt->call;
    Trillium__V1__ChannelInspectCall body = TRILLIUM__V1__CHANNEL_INSPECT_CALL__INIT;
    body.channel_id = call->op.channel;
    body.replicas = true;
    enum status status = send_to(attempt, peer, METHOD_CHANNEL_INSPECT, RPC_MESSAGE(&body));
    if (!status_is_done(status)) return status;
    Trillium__V1__ChannelInspectAnswer *answer =
        rpc_decode(&attempt->arena, &trillium__v1__channel_inspect_answer__descriptor, attempt->reply.body);
    if (answer == NULL || answer->n_replicas == 0) return STATUS_UNDECIDED;
    call->op.state = HISTORY_PRESENT;
    for (size_t i = 0; i < answer->n_replicas; i++) {
        const Trillium__V1__ReplicaState *one = answer->replicas[i], *first = answer->replicas[0];
        if (one->status != STATUS_OK) return STATUS_UNDECIDED;
        struct bytes left = bytes_of(one->digest.data, one->digest.len);
        struct bytes right = bytes_of(first->digest.data, first->digest.len);
        if (one->rows != first->rows || !bytes_equal(left, right)) call->op.state = HISTORY_ABSENT;
    }
    return STATUS_OK;
}

/* Ids and stamps. */

static enum status reserve(struct attempt *attempt, struct rpc_peer *peer)
{
    struct raw_client *client = attempt->client;
    Trillium__V1__ReserveCall body = TRILLIUM__V1__RESERVE_CALL__INIT;
    body.count = IDS_AT_ONCE;
    enum status status = send_to(attempt, peer, METHOD_RESERVE, RPC_MESSAGE(&body));
    if (!status_is_done(status)) return status;
    Trillium__V1__ReserveAnswer *answer =
        rpc_decode(&attempt->arena, &trillium__v1__reserve_answer__descriptor, attempt->reply.body);
    if (answer == NULL || answer->n_ids == 0) return STATUS_UNDECIDED;
    /* Newest last, and taken from the front by reversing: ids of one client grow. */
    client->ids_count = 0;
    for (size_t i = answer->n_ids < IDS_AT_ONCE ? answer->n_ids : IDS_AT_ONCE; i > 0; i--)
        client->ids[client->ids_count++] = answer->ids[i - 1];
    return STATUS_OK;
}

/* On the router's clock, above every stamp of this client, and in a share of its own, so that no two clients' are
   equal. */
static int64_t next_stamp(struct raw_client *client, struct rpc_peer *peer, uint32_t number)
{
    int64_t wall;
    uint64_t at_ns;
    if (!rpc_peer_clock(peer, &wall, &at_ns))
        wall = reactor_wall_us(client->reactor);
    else
        wall += (int64_t)((reactor_now_ns(client->reactor) - at_ns) / 1000);
    int64_t stamp = wall / STAMP_SHARES * STAMP_SHARES + number % STAMP_SHARES;
    if (stamp <= client->last_stamp) stamp = client->last_stamp + STAMP_SHARES;
    return client->last_stamp = stamp;
}

/* Makes the call whole before its first attempt: an id, a stamp, a body. Not done: nothing was sent. */
static enum status prepare(struct attempt *attempt, struct rpc_peer *peer)
{
    struct raw_client *client = attempt->client;
    struct sim_call *call = attempt->call;
    if (call->op.kind == HISTORY_CREATE && call->op.id == 0) {
        if (client->ids_count == 0) {
            enum status status = reserve(attempt, peer);
            if (status != STATUS_OK) return status;
        }
        call->op.id = client->ids[--client->ids_count];
    }
    if (call->op.kind == HISTORY_EDIT && call->op.stamp == 0)
        call->op.stamp = next_stamp(client, peer, call->op.client);
    if (call->op.kind <= HISTORY_EDIT)
        call->op.body =
            sim_body_hash(call->content, call->content_size, sim_author_of(call->op.id), sim_type_of(call->op.id));
    return STATUS_OK;
}

static enum status try_once(struct attempt *attempt, struct rpc_peer *peer)
{
    static enum status (*const tries[])(struct attempt *, struct rpc_peer *) = {
        try_create, try_edit, try_delete, try_span, try_get, try_list, try_status, try_view};
    attempt->call->rows_count = 0;
    return tries[attempt->call->op.kind](attempt, peer);
}

static enum history_outcome outcome_of(enum status status, bool maybe)
{
    if (status == STATUS_SUPERSEDED || status == STATUS_DOMINATED) return HISTORY_SUPERSEDED;
    if (status_is_done(status)) return HISTORY_OK;
    if (status == STATUS_DELETED) return HISTORY_DELETED;
    return maybe ? HISTORY_UNKNOWN : HISTORY_REFUSED;
}

static void call_main(void *argument)
{
    struct attempt *attempt = argument;
    struct raw_client *client = attempt->client;
    struct sim_call *call = attempt->call;
    enum status status = STATUS_UNAVAILABLE;
    bool maybe = false;
    for (uint32_t tries = 0; tries < call->attempts_max; tries++) {
        struct rpc_peer *peer = pick_peer(client);
        if (tries) {
            fiber_sleep_until(client->reactor, reactor_now_ns(client->reactor) + RETRY_PAUSE_MS * 1000000ull);
            peer = pick_peer(client);
        }
        if (peer == NULL) continue;
        status = prepare(attempt, peer);
        if (status != STATUS_OK) {
            client->favourite++;
            status = STATUS_UNAVAILABLE;
            continue;
        }
        /* Preparing may have waited. */
        if (!rpc_peer_is_up(peer) && (peer = pick_peer(client)) == NULL) continue;
        status = try_once(attempt, peer);
        enum status_class class = status_class(status);
        maybe = maybe || class == STATUS_CLASS_UNKNOWN || class == STATUS_CLASS_LOCAL;
        if (class != STATUS_CLASS_UNKNOWN && class != STATUS_CLASS_RETRY) break;
        client->favourite++;
    }
    call->status = (int)status;
    call->op.outcome = (uint8_t)outcome_of(status, maybe);
    if (call->op.outcome != HISTORY_OK) call->rows_count = 0;
    arena_free(&attempt->arena);
    mem_free(attempt);
    call->done(call);
}

/* The client. */

static void *raw_create(struct env *env, struct reactor *reactor, const char *const *routers, uint32_t routers_count)
{
    struct raw_client *client = mem_zalloc(sizeof *client);
    struct rpc_options options = {.reactor = reactor, .self = {.role = RPC_ROLE_CLIENT}};
    env_entropy(env, options.self.instance, sizeof options.self.instance);
    client->reactor = reactor;
    client->rpc = rpc_create(&options);
    client->favourite = (uint32_t)prng_below(reactor_prng(reactor), routers_count);
    CHECK(routers_count <= ROUTERS_MAX);
    for (uint32_t i = 0; i < routers_count; i++) {
        struct rpc_peer_options peer = {
            .address = routers[i], .kind = RPC_CLIENT, .roles = RPC_ROLE_BIT(RPC_ROLE_ROUTER)};
        CHECK(rpc_peer_create(client->rpc, &peer, &client->peers[client->peers_count++]) == STATUS_OK);
    }
    return client;
}

static bool raw_is_ready(void *context)
{
    return pick_peer(context) != NULL;
}

static void raw_start(void *context, struct sim_call *call)
{
    struct attempt *attempt = mem_zalloc(sizeof *attempt);
    attempt->client = context;
    attempt->call = call;
    fiber_start(attempt->client->reactor, "call", call_main, attempt);
}

const struct sim_client_ops CLIENT_RAW = {"raw", raw_create, raw_is_ready, raw_start};
