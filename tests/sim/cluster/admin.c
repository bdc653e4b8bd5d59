#include "tests/sim/cluster/admin.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/cluster/controllers.h"
#include "common/model/schema.h"
#include "common/runtime/fiber.h"
#include "proto/control.pb-c.h"
#include "tests/sim/process.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_net.h"

struct admin {
    struct process *process;
    struct reactor *reactor;
    struct rpc *rpc;
    struct controllers *controllers;
    uint32_t controllers_count;
    int64_t horizon_ms;
};

struct errand {
    struct admin *admin;
    uint64_t range;
    uint16_t method; /* 0: a new epoch of the range, or a horizon */
    int64_t horizon_ms;
    char address[32];
};

static void boot(struct env *env, void *context)
{
    struct admin *admin = context;
    admin->reactor = reactor_create(env, "admin", 0);
    struct rpc_options options = {.reactor = admin->reactor, .self = {.role = RPC_ROLE_ADMIN}};
    env_entropy(env, options.self.instance, sizeof options.self.instance);
    char texts[8][24];
    const char *addresses[8];
    for (uint32_t i = 0; i < admin->controllers_count; i++) {
        snprintf(texts[i], sizeof texts[i], "127.0.1.%u:7100", i + 1);
        addresses[i] = texts[i];
    }
    admin->rpc = rpc_create(&options);
    CHECK(controllers_create(admin->rpc, addresses, admin->controllers_count, &admin->controllers) == STATUS_OK);
}

struct admin *admin_create(struct world *world, struct sim_net *net, uint32_t controllers)
{
    struct admin *admin = sim_alloc(sizeof *admin);
    admin->controllers_count = controllers;
    admin->horizon_ms = INT64_MIN;
    admin->process = process_create(world, "admin", NULL);
    sim_net_attach(net, admin->process);
    process_start(admin->process, boot, admin);
    return admin;
}

void admin_destroy(struct admin *admin)
{
    process_destroy(admin->process);
    mem_free(admin);
}

static void bump_main(void *argument)
{
    struct errand *errand = argument;
    struct arena arena = {0};
    struct rpc_reply reply;
    Trillium__V1__EpochCall epoch = TRILLIUM__V1__EPOCH_CALL__INIT;
    Trillium__V1__HorizonCall horizon = TRILLIUM__V1__HORIZON_CALL__INIT;
    epoch.range = errand->range;
    horizon.table = CHAT_MESSAGES_ID;
    horizon.unix_ms = errand->horizon_ms;
    struct controllers_call call = {.method = errand->range ? METHOD_CONTROL_EPOCH : METHOD_CONTROL_HORIZON,
        .leader = true,
        .once = true,
        .deadline_ns = reactor_now_ns(errand->admin->reactor) + 10000000000ull};
    const struct rpc_body *body = errand->range ? RPC_MESSAGE(&epoch) : RPC_MESSAGE(&horizon);
    /* Under faults anything may be the answer. */
    enum status status = controllers_call_wait(errand->admin->controllers, &call, body, &arena, &reply);
    if (status == STATUS_OK && !errand->range && errand->horizon_ms > errand->admin->horizon_ms)
        errand->admin->horizon_ms = errand->horizon_ms;
    arena_free(&arena);
    mem_free(errand);
}

/* A shard's own peer, for one call. */
static void shard_main(void *argument)
{
    struct errand *errand = argument;
    struct reactor *reactor = errand->admin->reactor;
    struct rpc_peer_options options = {.address = errand->address, .kind = RPC_INTERNAL};
    struct rpc_peer *peer;
    struct arena arena = {0};
    struct rpc_reply reply;
    struct rpc_call call = {.method = errand->method, .budget_us = 5000000};
    CHECK(rpc_peer_create(errand->admin->rpc, &options, &peer) == STATUS_OK);
    for (int i = 0; i < 50 && !rpc_peer_is_up(peer); i++)
        fiber_sleep_until(reactor, reactor_now_ns(reactor) + 20000000ull);
    enum status status = rpc_call_wait(peer, &call, RPC_EMPTY, &arena, &reply);
    (void)status;
    rpc_peer_destroy(peer);
    arena_free(&arena);
    mem_free(errand);
}

static void send_out(struct env *env, void *argument)
{
    (void)env;
    struct errand *errand = mem_alloc(sizeof *errand);
    *errand = *(const struct errand *)argument;
    fiber_start(errand->admin->reactor, "errand", errand->method ? shard_main : bump_main, errand);
}

void admin_bump_epoch(struct admin *admin, uint64_t range)
{
    struct errand errand = {admin, range};
    process_call(admin->process, send_out, &errand);
}

void admin_raise_horizon(struct admin *admin, int64_t unix_ms)
{
    struct errand errand = {.admin = admin, .horizon_ms = unix_ms};
    process_call(admin->process, send_out, &errand);
}

int64_t admin_horizon_ms(const struct admin *admin)
{
    return admin->horizon_ms;
}

static void ask_shard(struct admin *admin, uint16_t method, const char *address)
{
    struct errand errand = {.admin = admin, .method = method};
    snprintf(errand.address, sizeof errand.address, "%s", address);
    process_call(admin->process, send_out, &errand);
}

void admin_flush(struct admin *admin, const char *address)
{
    ask_shard(admin, METHOD_ADMIN_FLUSH, address);
}

void admin_compact(struct admin *admin, const char *address)
{
    ask_shard(admin, METHOD_ADMIN_COMPACT, address);
}
