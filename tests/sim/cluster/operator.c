#include "tests/sim/cluster/operator.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/cluster/controllers.h"
#include "common/runtime/fiber.h"
#include "proto/control.pb-c.h"
#include "tests/sim/process.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_net.h"

struct operator
{
    struct process *process;
    struct reactor *reactor;
    struct controllers *controllers;
    uint32_t controllers_count;
};

struct errand {
    struct operator* operator;
    uint64_t range;
};

static void boot(struct env *env, void *context)
{
    struct operator* operator= context;
    operator->reactor = reactor_create(env, "operator", 0);
    struct rpc_options options = {.reactor = operator->reactor, .self = {.role = RPC_ROLE_ADMIN}};
    env_entropy(env, options.self.instance, sizeof options.self.instance);
    char texts[8][24];
    const char *addresses[8];
    for (uint32_t i = 0; i < operator->controllers_count; i++) {
        snprintf(texts[i], sizeof texts[i], "127.0.1.%u:7100", i + 1);
        addresses[i] = texts[i];
    }
    CHECK(controllers_create(rpc_create(&options), addresses, operator->controllers_count, &operator->controllers) ==
          STATUS_OK);
}

struct operator* operator_create(struct world *world, struct sim_net *net, uint32_t controllers)
{
    struct operator* operator= sim_alloc(sizeof *operator);
    operator->controllers_count = controllers;
    operator->process = process_create(world, "operator", NULL);
    sim_net_attach(net, operator->process);
    process_start(operator->process, boot, operator);
    return operator;
}

void operator_destroy(struct operator* operator)
{
    process_destroy(operator->process);
    mem_free(operator);
}

static void bump_main(void *argument)
{
    struct errand *errand = argument;
    struct arena arena = {0};
    struct rpc_reply reply;
    Trillium__V1__EpochCall body = TRILLIUM__V1__EPOCH_CALL__INIT;
    body.range = errand->range;
    struct controllers_call call = {.method = METHOD_CONTROL_EPOCH,
        .leader = true,
        .once = true,
        .deadline_ns = reactor_now_ns(errand->operator->reactor) + 10000000000ull};
    enum status status =
        controllers_call_wait(errand->operator->controllers, &call, RPC_MESSAGE(&body), &arena, &reply);
    (void)status; /* under faults anything may be the answer */
    arena_free(&arena);
    mem_free(errand);
}

static void bump(struct env *env, void *argument)
{
    (void)env;
    struct errand *errand = mem_alloc(sizeof *errand);
    *errand = *(const struct errand *)argument;
    fiber_start(errand->operator->reactor, "bump", bump_main, errand);
}

void operator_bump_epoch(struct operator* operator, uint64_t range)
{
    struct errand errand = {operator, range };
    process_call(operator->process, bump, &errand);
}
