#include "tests/sim/cluster/trio.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/runtime/fiber.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_net.h"

enum { ROLES = RPC_ROLE_ADMIN + 1, PEERS_MAX = 16, ENDS_MAX = 8 };

struct stranger_peer {
    struct rpc_peer *peer;
    enum rpc_role role;
    uint32_t number;
    char address[32];
};

/* Inside the process. */
struct stranger {
    struct reactor *reactor;
    struct rpc *rpcs[ROLES][TRIO_NUMBERS]; /* made when first needed */
    struct stranger_peer peers[PEERS_MAX];
    uint32_t peers_count;
};

/* ---- daemons ---- */

static void make_daemon(struct trio *trio, const struct trio_options *options, enum trio_daemon which)
{
    static const struct daemon_kind *const kinds[] = {&KIND_CONTROLD, &KIND_NODED, &KIND_ROUTERD};
    struct daemon *daemon = &trio->daemons[which];
    *daemon = (struct daemon){.kind = kinds[which], .reactors_count = 1};
    snprintf(daemon->name, sizeof daemon->name, "%s", kinds[which]->name);
    snprintf(daemon->address, sizeof daemon->address, "127.0.%d.1", which + 1);
    if (options->missing >> which & 1) return;
    daemon->disk = options->disks[which];
    if (daemon->disk == NULL) daemon->disk = sim_disk_create(world_seed_for(trio->world, daemon->name));
    daemon->process = process_create(trio->world, daemon->name, daemon->disk);
    process_log_level(daemon->process, LOG_LEVEL_ERROR);
    daemon->host = sim_net_attach(trio->net, daemon->process);
    const char *controllers = options->missing >> TRIO_CONTROLLER & 1 ? TRIO_STRANGER : "127.0.1.1";
    daemon_override(daemon, "cluster.uuid=5eed0000-0000-4000-8000-000000000001");
    daemon_override(daemon, "listen.address=%s", daemon->address);
    daemon_override(daemon, "storage.directory=data");
    switch (which) {
    case TRIO_CONTROLLER:
        daemon_override(daemon, "raft.id=1");
        daemon_override(daemon, "raft.members=1=127.0.1.1%s", options->two_controllers ? ",2=" TRIO_STRANGER : "");
        daemon_override(daemon, "bootstrap.nodes=%u", options->nodes ? options->nodes : 1);
        daemon_override(daemon, "raft.snapshot_entries=16");
        break;
    case TRIO_NODE:
        daemon->reactors_count = options->shards ? options->shards : 1;
        daemon_override(daemon, "node.controllers=%s", controllers);
        daemon_override(daemon, "node.shards=%u", daemon->reactors_count);
        daemon_override(daemon, "memory.max=16MiB");
        break;
    default:
        daemon_override(daemon, "router.controllers=%s", controllers);
        daemon_override(daemon, "router.workers=1");
    }
}

void trio_start(struct trio *trio)
{
    for (int i = 0; i < TRIO_DAEMONS; i++)
        if (trio->daemons[i].process && !process_is_running(trio->daemons[i].process)) daemon_start(&trio->daemons[i]);
}

bool trio_is_running(const struct trio *trio, enum trio_daemon which)
{
    return trio->daemons[which].process && process_is_running(trio->daemons[which].process);
}

bool trio_is_ready(struct trio *trio)
{
    for (int i = 0; i < TRIO_DAEMONS; i++)
        if (trio->daemons[i].process && !daemon_is_ready(&trio->daemons[i])) return false;
    return true;
}

bool trio_pass(struct trio *trio, uint64_t limit_ns, bool (*condition)(struct trio *trio))
{
    uint64_t end = world_now(trio->world) + limit_ns;
    while (world_now(trio->world) < end && world_failure(trio->world) == NULL) {
        if (condition && condition(trio)) return true;
        world_run_until(trio->world, world_now(trio->world) + WORLD_MS);
    }
    return condition && condition(trio);
}

static bool all_stopped(struct trio *trio)
{
    for (int i = 0; i < TRIO_DAEMONS; i++) {
        struct daemon *daemon = &trio->daemons[i];
        if (daemon->stopping && daemon->stopped && trio_is_running(trio, i)) daemon_finish(daemon);
        if (daemon->stopping && trio_is_running(trio, i)) return false;
    }
    return true;
}

bool trio_stop(struct trio *trio)
{
    for (int i = TRIO_DAEMONS; i-- > 0;) {
        if (!trio_is_running(trio, i)) continue;
        daemon_stop(&trio->daemons[i]);
        if (!trio_pass(trio, 20 * WORLD_S, all_stopped)) return false;
    }
    return world_failure(trio->world) == NULL;
}

/* ---- the stranger ---- */

static void boot_stranger(struct env *env, void *context)
{
    struct trio *trio = context;
    trio->stranger = mem_zalloc(sizeof *trio->stranger);
    trio->stranger->reactor = reactor_create(env, "stranger", 0);
}

static struct rpc *rpc_as(struct trio *trio, const struct trio_call *as)
{
    struct stranger *stranger = trio->stranger;
    struct rpc **rpc = &stranger->rpcs[as->role][as->number];
    if (*rpc == NULL) {
        struct rpc_options options = {
            .reactor = stranger->reactor, .self = {.role = as->role, .daemon_id = as->number, .boot = 1}};
        env_entropy(reactor_env(stranger->reactor), options.self.instance, sizeof options.self.instance);
        *rpc = rpc_create(&options);
    }
    return *rpc;
}

static struct rpc_peer *peer_of(struct trio *trio, const struct trio_call *call)
{
    struct stranger *stranger = trio->stranger;
    for (uint32_t i = 0; i < stranger->peers_count; i++)
        if (stranger->peers[i].role == call->role && stranger->peers[i].number == call->number &&
            strcmp(stranger->peers[i].address, call->address) == 0)
            return stranger->peers[i].peer;
    CHECK(stranger->peers_count < PEERS_MAX);
    struct stranger_peer *new = &stranger->peers[stranger->peers_count++];
    new->role = call->role;
    new->number = call->number;
    snprintf(new->address, sizeof new->address, "%s", call->address);
    struct rpc_peer_options options = {.address = new->address, .kind = call->kind};
    CHECK(rpc_peer_create(rpc_as(trio, call), &options, &new->peer) == STATUS_OK);
    return new->peer;
}

struct sending {
    struct rpc_call call;
    struct trio_call *of;
};

static void answered(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct trio_call *of = CONTAINER_OF(call, struct sending, call)->of;
    struct mem_scope *entered = mem_scope_enter(NULL);
    buffer_append(&of->answer, reply->body.data, reply->body.size);
    mem_scope_enter(entered);
    of->status = reply->status;
    of->is_done = true;
    mem_free(CONTAINER_OF(call, struct sending, call));
}

struct asking {
    struct trio *trio;
    struct trio_call *calls;
    uint32_t count;
};

static void dial(struct env *env, void *argument)
{
    (void)env;
    struct asking *asking = argument;
    for (uint32_t i = 0; i < asking->count; i++)
        (void)peer_of(asking->trio, &asking->calls[i]);
}

static void send(struct env *env, void *argument)
{
    (void)env;
    struct asking *asking = argument;
    for (uint32_t i = 0; i < asking->count; i++) {
        struct trio_call *call = &asking->calls[i];
        struct sending *sending = mem_zalloc(sizeof *sending);
        sending->of = call;
        sending->call = (struct rpc_call){.done = answered,
            .range = call->range,
            .epoch = call->epoch,
            .stamp = call->stamp,
            .budget_us = 5000000,
            .method = call->method,
            .routed = call->routed};
        rpc_call_start(peer_of(asking->trio, call), &sending->call, RPC_BYTES(call->body));
    }
}

static bool all_up(const struct asking *asking)
{
    const struct stranger *stranger = asking->trio->stranger;
    for (uint32_t i = 0; i < stranger->peers_count; i++)
        if (!rpc_peer_is_up(stranger->peers[i].peer)) return false;
    return true;
}

static bool all_done(const struct asking *asking)
{
    for (uint32_t i = 0; i < asking->count; i++)
        if (!asking->calls[i].is_done) return false;
    return true;
}

bool trio_ask(struct trio *trio, struct trio_call *calls, uint32_t count, uint64_t limit_ns)
{
    struct asking asking = {trio, calls, count};
    uint64_t end = world_now(trio->world) + limit_ns;
    CHECK(process_call(trio->process, dial, &asking));
    for (int i = 0; i < 100 && !all_up(&asking); i++)
        trio_pass(trio, 5 * WORLD_MS, NULL);
    CHECK(process_call(trio->process, send, &asking));
    while (!all_done(&asking) && world_now(trio->world) < end && world_failure(trio->world) == NULL)
        world_run_until(trio->world, world_now(trio->world) + WORLD_MS);
    return all_done(&asking);
}

struct running {
    struct trio *trio;
    struct rpc_peer *peer;
    void (*function)(struct rpc_peer *peer, void *argument);
    void *argument;
    bool returned;
};

static void running_main(void *argument)
{
    struct running *running = argument;
    running->function(running->peer, running->argument);
    running->returned = true;
}

static void start_running(struct env *env, void *argument)
{
    (void)env;
    struct running *running = argument;
    fiber_start(running->trio->stranger->reactor, "running", running_main, running);
}

bool trio_run(struct trio *trio, const struct trio_call *as, void (*function)(struct rpc_peer *peer, void *argument),
    void *argument, uint64_t limit_ns)
{
    struct trio_call call = *as;
    struct asking asking = {trio, &call, 1};
    struct running running = {.trio = trio, .function = function, .argument = argument};
    uint64_t end = world_now(trio->world) + limit_ns;
    CHECK(process_call(trio->process, dial, &asking));
    for (int i = 0; i < 100 && !all_up(&asking); i++)
        trio_pass(trio, 5 * WORLD_MS, NULL);
    running.peer = peer_of(trio, &call);
    CHECK(process_call(trio->process, start_running, &running));
    while (!running.returned && world_now(trio->world) < end && world_failure(trio->world) == NULL)
        world_run_until(trio->world, world_now(trio->world) + WORLD_MS);
    return running.returned;
}

static void serve(void *context, struct rpc_request *request)
{
    struct trio *trio = context;
    struct buffer body = {0};
    struct rpc_answer answer = {0};
    enum status status = trio->answer(trio->context, request, &body, &answer);
    answer.body = RPC_BYTES(buffer_bytes(&body));
    rpc_answer(request, status, &answer);
    buffer_free(&body);
}

struct serving {
    struct trio *trio;
    const struct trio_call *as;
};

static void listen(struct env *env, void *argument)
{
    (void)env;
    const struct serving *serving = argument;
    static const uint16_t methods[] = {
#define METHOD(number, name) METHOD_##name,
#include "common/rpc/methods.def"
#undef METHOD
    };
    enum { METHODS = sizeof methods / sizeof *methods };
    struct rpc_handler handlers[METHODS];
    unsigned count = 0;
    for (unsigned i = 0; i < METHODS; i++)
        if (methods[i] != METHOD_LINK_HELLO)
            handlers[count++] = (struct rpc_handler){methods[i], RPC_ROLES_ALL, serve, serving->trio};
    struct rpc_listen_options options = {
        .address = serving->as->address, .kind = serving->as->kind, .handlers = handlers, .handlers_count = count};
    struct rpc_listener *listener;
    CHECK(rpc_listen(rpc_as(serving->trio, serving->as), &options, &listener) == STATUS_OK);
}

void trio_serve(struct trio *trio, const struct trio_call *as)
{
    struct serving serving = {trio, as};
    CHECK(process_call(trio->process, listen, &serving));
}

/* ---- beginning and end ---- */

void trio_init(struct trio *trio, const struct trio_options *options)
{
    *trio = (struct trio){.world = world_create(options->seed)};
    trio->net = sim_net_create(trio->world);
    for (int i = 0; i < TRIO_DAEMONS; i++)
        make_daemon(trio, options, i);
    trio->process = process_create(trio->world, "stranger", NULL);
    process_log_level(trio->process, LOG_LEVEL_ERROR);
    sim_net_attach(trio->net, trio->process);
    process_start(trio->process, boot_stranger, trio);
}

void trio_fini(struct trio *trio)
{
    for (int i = 0; i < TRIO_DAEMONS; i++)
        if (trio->daemons[i].process) process_destroy(trio->daemons[i].process);
    process_destroy(trio->process);
    sim_net_destroy(trio->net);
    for (int i = 0; i < TRIO_DAEMONS; i++)
        if (trio->daemons[i].disk) sim_disk_destroy(trio->daemons[i].disk);
    world_destroy(trio->world);
}
