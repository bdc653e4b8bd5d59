#include "msgctl/admin.h"

#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/cluster/address.h"
#include "common/cluster/controllers.h"
#include "common/rpc/nng/link_nng.h"
#include "common/rpc/rpc.h"
#include "common/runtime/fiber.h"
#include "common/runtime/posix/posix_env.h"
#include "common/runtime/reactor.h"
#include "common/runtime/uv/uv_backend.h"
#include "proto/control.pb-c.h"

enum { BUDGET_MS = 2000, POLL_NS = 3000000, VIEW_CHUNKS_MAX = 1024 };

struct admin {
    const struct cli *cli;
    struct env env;
    struct reactor *reactor;
    struct rpc *rpc;
    struct controllers *controllers; /* NULL: none is named */
    struct arena arena;
    unsigned asking; /* fibers under way */
    bool said_goodbye;
};

__attribute__((noreturn)) static void admin_die(struct env *env, enum status status, const char *why)
{
    (void)env;
    (void)status;
    check_failed("msgctl", 0, why);
}

static struct backend *admin_backend(struct env *env, struct reactor *reactor)
{
    (void)env;
    return uv_backend_create(reactor, -1);
}

static const struct env_ops admin_ops = {posix_mono_ns, posix_wall_us, posix_entropy, admin_die, admin_backend};

static enum status create_controllers(struct admin *admin)
{
    const struct config_list *list = &admin->cli->settings.controllers;
    const char *addresses[16];
    char(*complete)[ADDRESS_BYTES] = mem_alloc(16 * sizeof *complete);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < list->count && status == STATUS_OK; i++) {
        addresses[i] = complete[i];
        status = address_complete(list->items[i], PORT_CONTROLLER, complete[i]);
        if (status != STATUS_OK) cli_say(admin->cli, "controller '%s': not host or host:port", list->items[i]);
    }
    if (status == STATUS_OK && list->count > 0)
        status = controllers_create(admin->rpc, addresses, (unsigned)list->count, &admin->controllers);
    mem_free(complete);
    return status;
}

struct admin *admin_open(const struct cli *cli)
{
    if (cli->settings.controllers.count == 0 && cli->settings.routers.count == 0) {
        cli_say(cli, "no cluster is named: start one (./dev up), or set TRILLIUM_CONTROLLERS and TRILLIUM_ROUTERS");
        return NULL;
    }
    struct admin *admin = mem_zalloc(sizeof *admin);
    admin->cli = cli;
    admin->env = (struct env){.ops = &admin_ops, .guarded_stacks = true, .name = "msgctl"};
    admin->env.net = link_nng_create(&admin->env);
    admin->reactor = reactor_create(&admin->env, "msgctl", 0);
    struct rpc_options options = {
        .reactor = admin->reactor, .self = rpc_info_of_start(&admin->env, RPC_ROLE_ADMIN, cli->settings.cluster.bytes)};
    admin->rpc = rpc_create(&options);
    if (create_controllers(admin) != STATUS_OK) {
        admin_close(admin);
        return NULL;
    }
    return admin;
}

static void goodbye_done(void *context)
{
    struct admin *admin = context;
    admin->said_goodbye = true;
    reactor_wake(admin->reactor); /* the step that this turn belongs to does not wait */
}

void admin_close(struct admin *admin)
{
    if (admin->controllers) controllers_destroy(admin->controllers);
    rpc_goodbye(admin->rpc, goodbye_done, admin);
    while (!admin->said_goodbye)
        reactor_step(admin->reactor);
    rpc_destroy(admin->rpc);
    reactor_turn(admin->reactor);
    reactor_turn(admin->reactor);
    link_nng_release(admin->env.net);
    reactor_turn(admin->reactor);
    reactor_destroy(admin->reactor);
    arena_free(&admin->arena);
    mem_free(admin);
}

struct arena *admin_arena(struct admin *admin)
{
    return &admin->arena;
}

const struct config_list *admin_routers(const struct admin *admin)
{
    return &admin->cli->settings.routers;
}

/* ---- one question, in a fiber ---- */

/* A question with a budget of its own is about who is alive: it is not repeated until the command's deadline. */
static uint64_t deadline_ns(const struct admin_ask *ask)
{
    uint64_t ms = ask->admin->cli->deadline_ms;
    if (ask->budget_ms && ask->budget_ms < ms) ms = ask->budget_ms;
    return reactor_now_ns(ask->admin->reactor) + ms * 1000000;
}

static uint32_t budget_us(const struct admin_ask *ask)
{
    unsigned ms = ask->budget_ms ? ask->budget_ms : BUDGET_MS;
    if (ms > ask->admin->cli->deadline_ms) ms = ask->admin->cli->deadline_ms;
    return ms * 1000;
}

static enum status ask_controllers(struct admin_ask *ask, struct rpc_reply *reply)
{
    struct admin *admin = ask->admin;
    if (!admin->controllers) return STATUS_UNAVAILABLE;
    struct controllers_call call = {.method = ask->method,
        .leader = ask->target == ADMIN_CONTROLLER_LEADER,
        .budget_us = budget_us(ask),
        .deadline_ns = deadline_ns(ask)};
    struct rpc_part part = {.message = ask->call};
    return controllers_call_wait(admin->controllers, &call, &(struct rpc_body){&part, 1}, &admin->arena, reply);
}

/* Dials, waits for the pipe no longer than a connection takes, and asks. */
static enum status ask_peer(
    struct admin_ask *ask, const char *address, const struct rpc_peer_options *how, struct rpc_reply *reply)
{
    struct admin *admin = ask->admin;
    struct rpc_peer_options options = *how;
    struct rpc_peer *peer;
    options.address = address;
    enum status status = rpc_peer_create(admin->rpc, &options, &peer);
    if (status != STATUS_OK) return status;
    uint64_t until = reactor_now_ns(admin->reactor) + (uint64_t)budget_us(ask) * 1000;
    while (!rpc_peer_is_up(peer) && reactor_now_ns(admin->reactor) < until)
        fiber_sleep_until(admin->reactor, reactor_now_ns(admin->reactor) + POLL_NS);
    struct rpc_call call = {.method = ask->method, .budget_us = budget_us(ask)};
    struct rpc_part part = {.message = ask->call};
    status = STATUS_UNAVAILABLE;
    if (rpc_peer_is_up(peer)) status = rpc_call_wait(peer, &call, &(struct rpc_body){&part, 1}, &admin->arena, reply);
    rpc_peer_destroy(peer);
    return status;
}

static enum status ask_node(struct admin_ask *ask, struct rpc_reply *reply)
{
    static const struct rpc_peer_options how = {.kind = RPC_INTERNAL, .roles = RPC_ROLE_BIT(RPC_ROLE_NODE)};
    char complete[ADDRESS_BYTES], address[ADDRESS_BYTES];
    enum status status = address_complete(ask->address, PORT_NODE, complete);
    if (status == STATUS_OK) status = address_shift(complete, PORT_RPC + ask->shard, address);
    return status == STATUS_OK ? ask_peer(ask, address, &how, reply) : status;
}

static enum status ask_router(struct admin_ask *ask, const char *router, struct rpc_reply *reply)
{
    static const struct rpc_peer_options how = {.kind = RPC_CLIENT, .roles = RPC_ROLE_BIT(RPC_ROLE_ROUTER)};
    char complete[ADDRESS_BYTES], address[ADDRESS_BYTES];
    enum status status = address_complete(router, PORT_ROUTER, complete);
    if (status == STATUS_OK) status = address_shift(complete, PORT_CLIENTS + ask->shard, address);
    return status == STATUS_OK ? ask_peer(ask, address, &how, reply) : status;
}

static enum status ask_any_router(struct admin_ask *ask, struct rpc_reply *reply)
{
    const struct config_list *routers = &ask->admin->cli->settings.routers;
    enum status status = STATUS_UNAVAILABLE;
    for (size_t i = 0; i < routers->count; i++) {
        status = ask_router(ask, routers->items[i], reply);
        enum status_class class = status_class(status);
        if (class != STATUS_CLASS_RETRY && class != STATUS_CLASS_UNKNOWN) break;
    }
    return status;
}

static void ask_fiber(void *argument)
{
    struct admin_ask *ask = argument;
    struct admin *admin = ask->admin;
    struct rpc_reply reply = {0};
    switch (ask->target) {
    case ADMIN_CONTROLLERS:
    case ADMIN_CONTROLLER_LEADER:
        ask->status = ask_controllers(ask, &reply);
        break;
    case ADMIN_NODE:
        ask->status = ask_node(ask, &reply);
        break;
    case ADMIN_ROUTER:
        ask->status = ask_router(ask, ask->address, &reply);
        break;
    case ADMIN_ANY_ROUTER:
        ask->status = ask_any_router(ask, &reply);
        break;
    }
    ask->answer = NULL;
    if (status_is_done(ask->status)) {
        ask->answer = rpc_decode(&admin->arena, ask->answer_type, reply.body);
        if (!ask->answer) ask->status = STATUS_CORRUPT;
    }
    if (--admin->asking == 0) reactor_wake(admin->reactor); /* the step that this turn belongs to does not wait */
}

void admin_ask(struct admin *admin, struct admin_ask *asks, unsigned count)
{
    CHECK(admin->asking == 0);
    reactor_turn(admin->reactor); /* reads the clocks */
    for (unsigned i = 0; i < count; i++) {
        asks[i].admin = admin;
        admin->asking++;
        fiber_start(admin->reactor, "ask", ask_fiber, &asks[i]);
    }
    while (admin->asking > 0)
        reactor_step(admin->reactor);
}

enum exit_code admin_control(struct admin *admin, struct admin_ask *ask)
{
    admin_ask(admin, ask, 1);
    if (status_is_done(ask->status)) return EXIT_DONE;
    char *list = settings_join(&admin->cli->settings.controllers);
    if (ask->status == STATUS_UNAVAILABLE || ask->status == STATUS_TIMEOUT || ask->status == STATUS_LOST)
        cli_say(admin->cli, "no controller answers (%s): %s", list, status_name(ask->status));
    else
        cli_say(admin->cli, "the controllers answer %s: %s", status_name(ask->status), status_text(ask->status));
    mem_free(list);
    return ask->status == STATUS_TIMEOUT || ask->status == STATUS_LOST ? EXIT_UNREACHABLE : cli_exit_of(ask->status);
}

enum status admin_view(struct admin *admin, struct view *out)
{
    struct buffer data = {0};
    enum status status = STATUS_OK;
    Trillium__V1__ViewCall call = TRILLIUM__V1__VIEW_CALL__INIT;
    for (unsigned chunks = 0; chunks < VIEW_CHUNKS_MAX; chunks++) {
        call.offset = data.size;
        struct admin_ask ask = {.target = ADMIN_CONTROLLERS,
            .method = METHOD_CONTROL_VIEW,
            .call = &call.base,
            .answer_type = &trillium__v1__view_answer__descriptor};
        admin_ask(admin, &ask, 1);
        status = ask.status;
        if (!status_is_done(status)) break;
        const Trillium__V1__ViewAnswer *answer = ask.answer;
        buffer_append(&data, answer->data.data, answer->data.len);
        call.version = answer->version;
        if (data.size >= answer->total || answer->data.len == 0) break;
    }
    if (status_is_done(status)) {
        void *copy = arena_copy(&admin->arena, data.data, data.size);
        status = view_decode(bytes_of(copy, data.size), &admin->arena, out);
    }
    buffer_free(&data);
    return status;
}
