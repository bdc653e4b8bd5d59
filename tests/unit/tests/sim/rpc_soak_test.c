/* Calls over a network with every fault: what common/rpc promises of a call, whatever happens to its frames. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/rpc/rpc.h"
#include "common/runtime/fiber.h"
#include "tests/sim/sim_net.h"

enum { CALLS = 4000, ECHO_METHOD = 17 };

struct soak;

struct echo_call {
    struct rpc_call call;
    struct soak *soak;
    uint32_t number;
};

/* The test's own memory: what happened to each call, over all incarnations. */
struct soak {
    struct world *world;
    struct sim_net *net;
    struct process *server, *client;
    struct rpc_peer *peer;
    struct reactor *client_reactor;
    uint32_t asked, started, done_count;
    uint8_t done[CALLS], executed[CALLS], status[CALLS];
};

static void on_call(void *context, struct rpc_request *request)
{
    struct soak *soak = context;
    uint32_t number;
    cr_assert_geq(request->body.size, sizeof number);
    memcpy(&number, request->body.data, sizeof number);
    cr_assert_lt(number, CALLS);
    soak->executed[number]++;
    struct rpc_answer answer = {.body = RPC_BYTES(request->body)};
    rpc_answer(request, STATUS_OK, &answer);
}

static void on_done(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct echo_call *echo = (struct echo_call *)(void *)((char *)call - offsetof(struct echo_call, call));
    struct soak *soak = echo->soak;
    soak->done[echo->number]++;
    soak->done_count++;
    soak->status[echo->number] = (uint8_t)reply->status;
    if (reply->status == STATUS_OK) {
        uint32_t number;
        cr_assert_geq(reply->body.size, sizeof number);
        memcpy(&number, reply->body.data, sizeof number);
        cr_assert_eq(number, echo->number, "an answer belongs to its call");
    }
    mem_free(echo);
}

static void start_in_turn(void *argument)
{
    struct soak *soak = argument;
    struct echo_call *echo = mem_zalloc(sizeof *echo);
    static uint8_t body[20000];
    uint32_t number = soak->started++, size = number % 7 == 0 ? sizeof body : 40;
    *echo = (struct echo_call){
        .call = {.done = on_done, .method = ECHO_METHOD, .budget_us = 500000}, .soak = soak, .number = number};
    memcpy(body, &number, sizeof number);
    rpc_call_start(soak->peer, &echo->call, RPC_BYTES(bytes_of(body, size)));
}

/* In a turn, since only there the reactor's clock is right. */
static void start_call(struct env *env, void *argument)
{
    (void)env;
    struct soak *soak = argument;
    soak->asked++;
    fiber_start(soak->client_reactor, "start", start_in_turn, soak);
}

static struct rpc *make_rpc(struct env *env, enum rpc_role role)
{
    struct rpc_options options = {.reactor = reactor_create(env, "soak", 0), .self = {.role = role}};
    env_entropy(env, options.self.instance, sizeof options.self.instance);
    return rpc_create(&options);
}

static void boot_server(struct env *env, void *context)
{
    static struct rpc_handler handler = {ECHO_METHOD, RPC_ROLES_ALL, on_call, NULL};
    handler.context = context;
    struct rpc_listen_options options = {
        .address = "127.0.0.1:7300", .kind = RPC_INTERNAL, .handlers = &handler, .handlers_count = 1};
    struct rpc_listener *listener;
    cr_assert_eq(rpc_listen(make_rpc(env, RPC_ROLE_NODE), &options, &listener), STATUS_OK);
}

static void boot_client(struct env *env, void *context)
{
    struct soak *soak = context;
    struct rpc_peer_options options = {.address = "127.0.0.1:7300", .kind = RPC_INTERNAL};
    struct rpc *rpc = make_rpc(env, RPC_ROLE_ROUTER);
    soak->client_reactor = rpc_reactor(rpc);
    cr_assert_eq(rpc_peer_create(rpc, &options, &soak->peer), STATUS_OK);
}

static void pass(struct soak *soak, uint64_t ns)
{
    world_run_until(soak->world, world_now(soak->world) + ns);
    cr_assert_null(world_failure(soak->world));
}

static uint64_t run(uint64_t seed)
{
    struct soak *soak = mem_zalloc(sizeof *soak);
    soak->world = world_create(seed);
    soak->net = sim_net_create(soak->world);
    struct prng prng = prng_split(seed, "soak");
    soak->server = process_create(soak->world, "server", NULL);
    soak->client = process_create(soak->world, "client", NULL);
    sim_net_attach(soak->net, soak->server);
    sim_net_attach(soak->net, soak->client);
    process_start(soak->server, boot_server, soak);
    process_start(soak->client, boot_client, soak);
    pass(soak, WORLD_S);
    uint32_t rates[6];
    for (int i = 0; i < 6; i++)
        rates[i] = prng_chance(&prng, 400000) ? (uint32_t)prng_between(&prng, 100, 20000) : 0;
    *sim_net_faults(soak->net) = (struct sim_net_faults){.loss_ppm = rates[0],
        .duplicate_ppm = rates[1],
        .reorder_ppm = rates[2],
        .spike_ppm = rates[3],
        .full_queue_ppm = rates[4],
        .reset_ppm = rates[5]};
    while (soak->asked < CALLS - 300) {
        uint32_t burst = (uint32_t)prng_between(&prng, 1, 60);
        for (uint32_t i = 0; i < burst; i++)
            process_call(soak->client, start_call, soak);
        pass(soak, prng_below(&prng, 20 * WORLD_MS));
        uint64_t event = prng_below(&prng, 200);
        if (event == 0) sim_net_cut(soak->net, 0, 1, !sim_net_is_cut(soak->net, 0, 1));
        if (event == 1) sim_net_cut(soak->net, 1, 0, !sim_net_is_cut(soak->net, 1, 0));
        if (event == 2) process_pause_until(soak->server, world_now(soak->world) + prng_below(&prng, 12 * WORLD_S));
        if (event == 3) process_pause_until(soak->client, world_now(soak->world) + prng_below(&prng, 6 * WORLD_S));
        if (event == 4) process_kill(soak->server);
        if (event == 5) process_power_cut(soak->server);
        if (!process_is_running(soak->server) && prng_chance(&prng, 50000))
            process_start(soak->server, boot_server, soak);
    }
    *sim_net_faults(soak->net) = (struct sim_net_faults){0};
    sim_net_heal(soak->net);
    process_pause_until(soak->server, world_now(soak->world));
    process_pause_until(soak->client, world_now(soak->world));
    if (!process_is_running(soak->server)) process_start(soak->server, boot_server, soak);
    pass(soak, 20 * WORLD_S);
    cr_assert_eq(soak->done_count, soak->started, "seed %d: every call is done", (int)seed);
    cr_assert_eq(soak->started, soak->asked);
    uint32_t before = soak->started;
    for (uint32_t i = 0; i < 100; i++)
        process_call(soak->client, start_call, soak);
    pass(soak, 2 * WORLD_S);
    for (uint32_t i = 0; i < soak->started; i++) {
        cr_assert_eq(soak->done[i], 1, "seed %d call %u is done %u times", (int)seed, i, soak->done[i]);
        cr_assert_leq(soak->executed[i], 1, "seed %d call %u ran twice", (int)seed, i);
        enum status_class class = status_class(soak->status[i]);
        if (soak->status[i] == STATUS_OK) cr_assert_eq(soak->executed[i], 1, "seed %d call %u", (int)seed, i);
        if (class == STATUS_CLASS_RETRY) cr_assert_eq(soak->executed[i], 0, "seed %d call %u", (int)seed, i);
        if (i >= before)
            cr_assert_eq(soak->status[i], STATUS_OK, "seed %d: healed, but call %u is %s", (int)seed, i,
                status_name(soak->status[i]));
    }
    uint64_t hash = world_trace_hash(soak->world);
    process_destroy(soak->server);
    process_destroy(soak->client);
    sim_net_destroy(soak->net);
    world_destroy(soak->world);
    mem_free(soak);
    return hash;
}

Test(rpc_soak, calls_keep_their_promises_under_every_fault_of_the_network)
{
    for (uint64_t seed = 1; seed <= 40; seed++)
        run(seed);
}

Test(rpc_soak, two_runs_of_a_seed_are_equal)
{
    cr_assert_eq(run(4), run(4));
}
