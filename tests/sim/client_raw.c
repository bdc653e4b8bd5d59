#include "tests/sim/client_raw.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/base/prng.h"
#include "common/rpc/rpc.h"
#include "common/runtime/reactor.h"
#include "proto/client.pb-c.h"
#include "tests/sim/client_calls.h"

enum { ROUTERS_MAX = 32, IDS_AT_ONCE = 16, STAMP_SHARES = 64, TOKEN_PORT = 7232 };

struct raw_client {
    struct client_door door;
    struct rpc *rpc;
    struct rpc_peer *peers[ROUTERS_MAX];
    uint32_t peers_count, favourite;
    uint64_t ids[IDS_AT_ONCE];
    uint32_t ids_count;
    int64_t last_stamp;
};

static struct raw_client *raw_of(struct client_attempt *attempt)
{
    return CONTAINER_OF(attempt->door, struct raw_client, door);
}

static struct rpc_peer *pick_peer(struct raw_client *client)
{
    for (uint32_t i = 0; i < client->peers_count; i++) {
        uint32_t at = (client->favourite + i) % client->peers_count;
        if (rpc_peer_is_up(client->peers[at])) return client->peers[at];
    }
    return NULL;
}

static enum status raw_send(struct client_attempt *attempt, uint16_t method, const ProtobufCMessage *message)
{
    struct rpc_peer *peer = pick_peer(raw_of(attempt));
    if (peer == NULL) return STATUS_UNAVAILABLE;
    struct rpc_part part = {.message = message};
    struct rpc_body body = {&part, 1};
    struct rpc_call call = {.method = method, .budget_us = attempt->call->budget_ms * 1000};
    struct rpc_reply reply = {0};
    arena_reset(&attempt->arena);
    enum status status = rpc_call_wait(peer, &call, &body, &attempt->arena, &reply);
    attempt->answer = reply.body;
    return status;
}

static enum status raw_make_id(struct client_attempt *attempt, uint64_t *id)
{
    struct raw_client *client = raw_of(attempt);
    if (client->ids_count == 0) {
        Trillium__V1__ReserveCall body = TRILLIUM__V1__RESERVE_CALL__INIT;
        body.count = IDS_AT_ONCE;
        enum status status = raw_send(attempt, METHOD_RESERVE, &body.base);
        if (!status_is_done(status)) return status;
        Trillium__V1__ReserveAnswer *answer =
            rpc_decode(&attempt->arena, &trillium__v1__reserve_answer__descriptor, attempt->answer);
        if (answer == NULL || answer->n_ids == 0) return STATUS_UNDECIDED;
        /* Turned round, so that ids of one client grow. */
        client->ids_count = 0;
        for (size_t i = answer->n_ids < IDS_AT_ONCE ? answer->n_ids : IDS_AT_ONCE; i > 0; i--)
            client->ids[client->ids_count++] = answer->ids[i - 1];
    }
    *id = client->ids[--client->ids_count];
    return STATUS_OK;
}

/* On the router's clock, above every stamp of this client, and in a share of its own, so that no two clients' are
   equal. */
static enum status raw_make_stamp(struct client_attempt *attempt, int64_t *stamp)
{
    struct raw_client *client = raw_of(attempt);
    struct rpc_peer *peer = pick_peer(client);
    int64_t wall;
    uint64_t at_ns;
    if (peer == NULL || !rpc_peer_clock(peer, &wall, &at_ns)) return STATUS_UNAVAILABLE;
    wall += (int64_t)((reactor_now_ns(client->door.reactor) - at_ns) / 1000);
    *stamp = wall / STAMP_SHARES * STAMP_SHARES + attempt->call->op.client % STAMP_SHARES;
    if (*stamp <= client->last_stamp) *stamp = client->last_stamp + STAMP_SHARES;
    client->last_stamp = *stamp;
    return STATUS_OK;
}

static void raw_failed(struct client_attempt *attempt)
{
    raw_of(attempt)->favourite++;
}

/* The client. */

static void *raw_create(struct env *env, struct reactor *reactor, const char *const *routers, uint32_t routers_count)
{
    struct raw_client *client = mem_zalloc(sizeof *client);
    struct rpc_options options = {.reactor = reactor, .self = {.role = RPC_ROLE_CLIENT}};
    env_entropy(env, options.self.instance, sizeof options.self.instance);
    client->door = (struct client_door){reactor, raw_send, raw_make_id, raw_make_stamp, raw_failed};
    client->rpc = rpc_create(&options);
    client->favourite = (uint32_t)prng_below(reactor_prng(reactor), routers_count);
    CHECK(routers_count <= ROUTERS_MAX);
    for (uint32_t i = 0; i < routers_count; i++) {
        char address[64];
        snprintf(address, sizeof address, "%s:%d", routers[i], TOKEN_PORT);
        struct rpc_peer_options peer = {.address = address, .kind = RPC_CLIENT, .roles = RPC_ROLE_BIT(RPC_ROLE_ROUTER)};
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
    struct raw_client *client = context;
    client_calls_start(&client->door, call);
}

const struct sim_client_ops CLIENT_RAW = {"raw", raw_create, raw_is_ready, raw_start};
