#include "common/cluster/controllers.h"

#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/prng.h"
#include "common/runtime/fiber.h"
#include "proto/control.pb-c.h"

enum { CONTROLLERS_PEERS_MAX = 16, PAUSE_MS_MIN = 50, PAUSE_MS_MAX = 1000 };

struct controllers {
    struct rpc *rpc;
    unsigned count;
    unsigned leader; /* the one that is asked first */
    struct rpc_peer *peers[CONTROLLERS_PEERS_MAX];
};

enum status controllers_create(struct rpc *rpc, const char *const *addresses, unsigned count, struct controllers **out)
{
    CHECK(count > 0);
    struct controllers *controllers = mem_zalloc(sizeof *controllers);
    controllers->rpc = rpc;
    enum status status = count > CONTROLLERS_PEERS_MAX ? STATUS_BAD_REQUEST : STATUS_OK;
    for (unsigned i = 0; i < count && status == STATUS_OK; i++) {
        struct rpc_peer_options options = {
            .address = addresses[i], .kind = RPC_INTERNAL, .roles = RPC_ROLE_BIT(RPC_ROLE_CONTROLLER)};
        status = rpc_peer_create(rpc, &options, &controllers->peers[i]);
        if (status == STATUS_OK) controllers->count++;
    }
    if (status != STATUS_OK) {
        controllers_destroy(controllers);
        return status;
    }
    controllers->leader = (unsigned)prng_below(reactor_prng(rpc_reactor(rpc)), count);
    *out = controllers;
    return STATUS_OK;
}

void controllers_hang_up(struct controllers *controllers)
{
    for (unsigned i = 0; i < controllers->count; i++)
        rpc_peer_destroy(controllers->peers[i]);
    controllers->count = 0;
}

void controllers_destroy(struct controllers *controllers)
{
    controllers_hang_up(controllers);
    mem_free(controllers);
}

unsigned controllers_up(const struct controllers *controllers)
{
    unsigned up = 0;
    for (unsigned i = 0; i < controllers->count; i++)
        up += rpc_peer_is_up(controllers->peers[i]);
    return up;
}

/* The one that led last if it is up, else the next that is. NULL: none. */
static struct rpc_peer *choose(struct controllers *controllers)
{
    for (unsigned i = 0; i < controllers->count; i++) {
        unsigned at = (controllers->leader + i) % controllers->count;
        if (!rpc_peer_is_up(controllers->peers[at])) continue;
        controllers->leader = at;
        return controllers->peers[at];
    }
    return NULL;
}

/* Turns to the leader that the answer names, else to the next controller. */
static void follow_hint(struct controllers *controllers, struct bytes body)
{
    unsigned next = (controllers->leader + 1) % controllers->count;
    struct arena arena = {0};
    Trillium__V1__LeaderHint *hint = rpc_decode(&arena, &trillium__v1__leader_hint__descriptor, body);
    for (unsigned i = 0; hint && i < controllers->count; i++)
        if (strcmp(rpc_peer_address(controllers->peers[i]), hint->address) == 0) next = i;
    controllers->leader = next;
    arena_free(&arena);
}

static bool is_final(const struct controllers_call *call, enum status status)
{
    enum status_class class = status_class(status);
    if (class == STATUS_CLASS_RETRY) return false;
    if (class == STATUS_CLASS_UNKNOWN) return call->once;
    return true;
}

enum status controllers_call_wait(struct controllers *controllers, const struct controllers_call *call,
    const struct rpc_body *body, struct arena *arena, struct rpc_reply *reply)
{
    struct reactor *reactor = rpc_reactor(controllers->rpc);
    uint64_t pause_ms = PAUSE_MS_MIN;
    for (;;) {
        struct rpc_peer *peer = choose(controllers);
        *reply = (struct rpc_reply){.status = STATUS_UNAVAILABLE};
        if (peer) {
            struct rpc_call attempt = {.method = call->method, .budget_us = call->budget_us};
            rpc_call_wait(peer, &attempt, body, arena, reply);
            if (is_final(call, reply->status) || controllers->count == 0) return reply->status;
            if (reply->status == STATUS_NOT_OWNER)
                follow_hint(controllers, reply->body);
            else
                controllers->leader = (controllers->leader + 1) % controllers->count;
        }
        uint64_t now = reactor_now_ns(reactor);
        if (now >= call->deadline_ns || controllers->count == 0 || (call->stop && *call->stop)) return reply->status;
        uint64_t until = now + prng_between(reactor_prng(reactor), pause_ms / 2, pause_ms) * 1000000;
        fiber_sleep_until(reactor, until < call->deadline_ns ? until : call->deadline_ns);
        pause_ms = pause_ms * 2 > PAUSE_MS_MAX ? PAUSE_MS_MAX : pause_ms * 2;
        if (controllers->count == 0 || (call->stop && *call->stop)) return reply->status;
    }
}
