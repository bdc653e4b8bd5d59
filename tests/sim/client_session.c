#include "tests/sim/client_session.h"

#include "client/session.h"
#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/runtime/fiber.h"
#include "tests/sim/client_calls.h"

enum { STAMP_SHARES = 64 };

struct session_client {
    struct client_door door;
    struct session *session;
    int64_t last_stamp;
};

static struct session_client *client_of(struct client_attempt *attempt)
{
    return CONTAINER_OF(attempt->door, struct session_client, door);
}

/* A callback that a fiber waits for. */
struct wait {
    struct session_call call;
    struct session_id id;
    struct fiber *fiber;
    struct client_attempt *attempt;
    enum status status;
    uint64_t made;
    bool done;
};

static void wait_for(struct reactor *reactor, const struct wait *wait)
{
    while (!wait->done)
        fiber_suspend(reactor);
}

static void call_done(struct session_call *call, enum status status, struct bytes body)
{
    struct wait *wait = CONTAINER_OF(call, struct wait, call);
    wait->status = status;
    wait->attempt->answer = bytes_of(NULL, 0);
    if (body.size) wait->attempt->answer = bytes_of(arena_copy(&wait->attempt->arena, body.data, body.size), body.size);
    wait->done = true;
    fiber_wake(wait->fiber);
}

static uint64_t deadline(const struct client_attempt *attempt)
{
    return reactor_now_ns(attempt->door->reactor) + attempt->call->budget_ms * 1000000ull;
}

static enum status session_send(struct client_attempt *attempt, uint16_t method, const ProtobufCMessage *message)
{
    struct session_client *client = client_of(attempt);
    arena_reset(&attempt->arena);
    struct wait *wait = mem_zalloc(sizeof *wait);
    wait->attempt = attempt;
    wait->fiber = fiber_current(attempt->door->reactor);
    wait->call = (struct session_call){.method = method,
        .by_channel = true,
        .channel = attempt->call->op.channel,
        .deadline_ns = deadline(attempt),
        .done = call_done};
    session_call_start(client->session, &wait->call, message);
    wait_for(attempt->door->reactor, wait);
    enum status status = wait->status;
    attempt->maybe |= wait->call.maybe;
    mem_free(wait);
    return status;
}

static void id_done(struct session_id *id, enum status status, uint64_t made)
{
    struct wait *wait = CONTAINER_OF(id, struct wait, id);
    wait->status = status;
    wait->made = made;
    wait->done = true;
    fiber_wake(wait->fiber);
}

static enum status session_id_of(struct client_attempt *attempt, uint64_t *id)
{
    struct session_client *client = client_of(attempt);
    struct wait *wait = mem_zalloc(sizeof *wait);
    wait->fiber = fiber_current(attempt->door->reactor);
    wait->id = (struct session_id){.deadline_ns = deadline(attempt), .done = id_done};
    session_make_id(client->session, &wait->id);
    wait_for(attempt->door->reactor, wait);
    enum status status = wait->status;
    if (status == STATUS_OK) *id = wait->made;
    mem_free(wait);
    return status == STATUS_OK ? STATUS_OK : STATUS_UNAVAILABLE;
}

/* In a share of its own, so that no two clients' stamps are equal and the checker can order them. */
static enum status session_stamp_of(struct client_attempt *attempt, int64_t *stamp)
{
    struct session_client *client = client_of(attempt);
    int64_t made = session_stamp(client->session);
    *stamp = made / STAMP_SHARES * STAMP_SHARES + attempt->call->op.client % STAMP_SHARES;
    if (*stamp <= client->last_stamp) *stamp = client->last_stamp + STAMP_SHARES;
    client->last_stamp = *stamp;
    session_saw_stamp(client->session, *stamp);
    return STATUS_OK;
}

static void session_failed(struct client_attempt *attempt)
{
    (void)attempt;
}

static void *session_client_create(
    struct env *env, struct reactor *reactor, const char *const *routers, uint32_t routers_count)
{
    (void)env;
    struct session_client *client = mem_zalloc(sizeof *client);
    client->door = (struct client_door){reactor, session_send, session_id_of, session_stamp_of, session_failed};
    struct session_options options = {.reactor = reactor, .routers = routers, .routers_count = routers_count};
    CHECK(session_create(&options, &client->session) == STATUS_OK);
    return client;
}

static bool session_is_ready(void *context)
{
    struct session_client *client = context;
    return session_is_up(client->session);
}

static void session_client_start(void *context, struct sim_call *call)
{
    struct session_client *client = context;
    client_calls_start(&client->door, call);
}

const struct sim_client_ops CLIENT_SESSION = {"session", session_client_create, session_is_ready, session_client_start};
