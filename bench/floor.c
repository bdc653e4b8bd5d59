/*
 * floor: what an acknowledged write costs when nobody does any work: a client, a router and nodes over the doors that
 * the daemons use, in processes of their own. A node appends the body to a synced log and answers, the router hands a
 * call to all nodes and answers when a majority did, the client starts calls at a fixed rate and measures from the
 * moment that each was due. No keys, no merge, no memtable, no coalescing, no budgets. docs/benchmarks/method.md.
 *
 * Prints one JSON object: the client's latencies.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/env_real.h"
#include "common/obs/histogram.h"
#include "common/rpc/nng/link_nng.h"
#include "common/rpc/sp/link_sp.h"
#include "common/rpc/rpc.h"
#include "common/runtime/fiber.h"
#include "common/wal/wal.h"

enum { COPIES_MAX = 5, BODY_BYTES = 200, BASE_PORT = 7180, WARMUP_MS = 1000, CONNECT_MS = 1500 };

struct settings {
    const char *directory;
    unsigned nodes;
    double rate, seconds;
};

/* One process. */
struct place {
    const struct settings *settings;
    struct env *env;
    struct reactor *reactor;
    struct rpc *rpc;
};

static const char *address_of(unsigned index, char out[32])
{
    snprintf(out, 32, "127.0.0.1:%u", BASE_PORT + index);
    return out;
}

static void place_open(struct place *place, const struct settings *settings, enum rpc_role role, unsigned index)
{
    static char name[32], directory[512];
    char why[ENV_WHY_BYTES];
    snprintf(name, sizeof name, "floor%u", index);
    snprintf(directory, sizeof directory, "%s/%s", settings->directory, name);
    bool is_node = role == RPC_ROLE_NODE;
    struct env_real_options options = {
        .name = name, .directory = is_node ? directory : NULL, .backend = is_node ? ENV_BACKEND_AUTO : ENV_BACKEND_UV};
    struct env_real *real;
    if (env_real_open(&options, &real, why) != STATUS_OK) {
        fprintf(stderr, "bench_floor: %s\n", why);
        exit(1);
    }
    place->settings = settings;
    place->env = env_real_env(real);
    place->env->net = link_nng_create(place->env);
    place->env->listen_net = link_sp_create(place->env); /* as daemons do by default */
    place->reactor = reactor_create(place->env, name, 0);
    struct rpc_options rpc = {.reactor = place->reactor, .self = {.role = role, .instance = {(uint8_t)(index + 1)}}};
    place->rpc = rpc_create(&rpc);
}

static void place_listen(struct place *place, unsigned index, enum rpc_kind kind, const struct rpc_handler *handler)
{
    char address[32];
    struct rpc_listener *listener;
    struct rpc_listen_options options = {
        .address = address_of(index, address), .kind = kind, .handlers = handler, .handlers_count = 1};
    if (rpc_listen(place->rpc, &options, &listener) != STATUS_OK) {
        fprintf(stderr, "bench_floor: %s is taken\n", address);
        exit(1);
    }
}

static struct rpc_peer *place_dial(struct place *place, unsigned index, enum rpc_kind kind)
{
    char address[32];
    struct rpc_peer *peer;
    struct rpc_peer_options options = {.address = address_of(index, address), .kind = kind};
    CHECK(rpc_peer_create(place->rpc, &options, &peer) == STATUS_OK);
    return peer;
}

/* ---- a node ---- */

struct node {
    struct place place;
    struct wal *wal;
};

struct append {
    struct wal_waiter waiter;
    struct rpc_request *request;
};

static void appended(struct wal_waiter *waiter)
{
    struct append *append = CONTAINER_OF(waiter, struct append, waiter);
    rpc_answer(append->request, STATUS_OK, NULL);
    mem_free(append);
}

static void take_write(void *context, struct rpc_request *request)
{
    struct node *node = context;
    struct append *append = mem_alloc(sizeof *append);
    *append = (struct append){.waiter.done = appended, .request = request};
    if (wal_append(node->wal, 1, &request->body, 1, &append->waiter) == STATUS_OK) {
        wal_release(node->wal, wal_synced_sequence(node->wal));
        return;
    }
    rpc_answer(request, STATUS_BUSY, NULL);
    mem_free(append);
}

static void open_wal(void *argument)
{
    struct node *node = argument;
    struct wal_config config = {.dir = "log", .cluster = {{1}}};
    struct wal_recovery recovery;
    CHECK(wal_open(node->place.reactor, &config, &recovery, &node->wal) == STATUS_OK);
}

static void run_node(const struct settings *settings, unsigned index)
{
    static struct node node;
    place_open(&node.place, settings, RPC_ROLE_NODE, index);
    struct rpc_handler handler = {METHOD_REPLICA_WRITE, RPC_ROLES_ALL, take_write, &node};
    fiber_start(node.place.reactor, "open", open_wal, &node);
    while (!node.wal)
        reactor_step(node.place.reactor);
    place_listen(&node.place, index, RPC_INTERNAL, &handler);
    reactor_run(node.place.reactor);
}

/* ---- the router ---- */

struct router {
    struct place place;
    struct rpc_peer *nodes[COPIES_MAX];
};

struct fan {
    struct leg {
        struct rpc_call call;
        struct fan *fan;
    } legs[COPIES_MAX];
    struct router *router;
    struct rpc_request *request; /* NULL: answered */
    unsigned open, good;
};

static void fan_done(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct fan *fan = CONTAINER_OF(call, struct leg, call)->fan;
    unsigned nodes = fan->router->place.settings->nodes;
    fan->good += reply->status == STATUS_OK;
    fan->open--;
    if (fan->request && (fan->good == nodes / 2 + 1 || fan->open == 0)) {
        rpc_answer(fan->request, fan->good == nodes / 2 + 1 ? STATUS_OK : STATUS_UNAVAILABLE, NULL);
        fan->request = NULL;
    }
    if (fan->open == 0) mem_free(fan);
}

static void take_create(void *context, struct rpc_request *request)
{
    struct router *router = context;
    unsigned nodes = router->place.settings->nodes;
    struct fan *fan = mem_zalloc(sizeof *fan);
    *fan = (struct fan){.router = router, .request = request, .open = nodes};
    for (unsigned i = 0; i < nodes; i++) {
        struct leg *leg = &fan->legs[i];
        *leg = (struct leg){.call = {.done = fan_done, .method = METHOD_REPLICA_WRITE}, .fan = fan};
        rpc_call_start(router->nodes[i], &leg->call, RPC_BYTES(request->body));
    }
}

static void run_router(const struct settings *settings)
{
    static struct router router;
    place_open(&router.place, settings, RPC_ROLE_ROUTER, settings->nodes);
    for (unsigned i = 0; i < settings->nodes; i++)
        router.nodes[i] = place_dial(&router.place, i, RPC_INTERNAL);
    struct rpc_handler handler = {METHOD_MESSAGE_CREATE, RPC_ROLES_ALL, take_create, &router};
    place_listen(&router.place, settings->nodes, RPC_CLIENT, &handler);
    reactor_run(router.place.reactor);
}

/* ---- the client ---- */

struct client {
    struct place place;
    struct rpc_peer *router;
    struct timer next;
    uint64_t started, from_ns, measure_ns, end_ns;
    uint64_t done, failed, open;
    bool all_started;
    struct histogram latency;
};

struct one {
    struct rpc_call call;
    struct client *client;
    uint64_t due_ns;
};

static void one_done(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct one *one = CONTAINER_OF(call, struct one, call);
    struct client *client = one->client;
    uint64_t now = env_mono_ns(client->place.env);
    if (one->due_ns >= client->measure_ns) {
        histogram_record(&client->latency, (now - one->due_ns) / 1000);
        client->done++;
        client->failed += reply->status != STATUS_OK;
    }
    client->open--;
    mem_free(one);
    if (client->open == 0 && client->all_started) reactor_stop(client->place.reactor);
}

static void start_due(struct timer *timer)
{
    struct client *client = CONTAINER_OF(timer, struct client, next);
    static const uint8_t body[BODY_BYTES];
    uint64_t due;
    while ((due = client->from_ns + (uint64_t)((double)client->started * 1e9 / client->place.settings->rate)) <=
           reactor_now_ns(client->place.reactor)) {
        if (due >= client->end_ns) {
            client->all_started = true;
            if (client->open == 0) reactor_stop(client->place.reactor);
            return;
        }
        struct one *one = mem_zalloc(sizeof *one);
        *one =
            (struct one){.call = {.done = one_done, .method = METHOD_MESSAGE_CREATE}, .client = client, .due_ns = due};
        client->started++;
        client->open++;
        rpc_call_start(client->router, &one->call, RPC_BYTES(bytes_of(body, sizeof body)));
    }
    timer_start_at(timer, due);
}

static int run_client(const struct settings *settings)
{
    static struct client client;
    place_open(&client.place, settings, RPC_ROLE_CLIENT, settings->nodes + 1);
    client.router = place_dial(&client.place, settings->nodes, RPC_CLIENT);
    client.from_ns = env_mono_ns(client.place.env) + (uint64_t)CONNECT_MS * 1000000;
    client.measure_ns = client.from_ns + (uint64_t)WARMUP_MS * 1000000;
    client.end_ns = client.measure_ns + (uint64_t)(settings->seconds * 1e9);
    timer_init(&client.next, client.place.reactor, start_due);
    timer_start_at(&client.next, client.from_ns);
    reactor_run(client.place.reactor);
    printf("{\"mode\":\"floor\",\"nodes\":%u,\"offered_per_s\":%.0f,\"ops\":%llu,\"failed\":%llu,\"p50_us\":%llu,"
           "\"p99_us\":%llu,\"p999_us\":%llu,\"max_us\":%llu}\n",
        settings->nodes, settings->rate, (unsigned long long)client.done, (unsigned long long)client.failed,
        (unsigned long long)histogram_quantile(&client.latency, 0.5),
        (unsigned long long)histogram_quantile(&client.latency, 0.99),
        (unsigned long long)histogram_quantile(&client.latency, 0.999), (unsigned long long)client.latency.max);
    return client.failed > 0 || client.done == 0;
}

/* ---- all of them ---- */

/* Child processes end with this one. */
static bool is_child(pid_t *pid)
{
    *pid = fork();
    if (*pid == 0) prctl(PR_SET_PDEATHSIG, SIGKILL);
    return *pid == 0;
}

int main(int argc, char **argv)
{
    struct settings settings = {
        .nodes = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 3,
        .rate = argc > 3 ? strtod(argv[3], NULL) : 1000,
        .seconds = argc > 4 ? strtod(argv[4], NULL) : 3,
    };
    if (argc < 2 || argc > 5 || settings.nodes < 1 || settings.nodes > COPIES_MAX || settings.rate <= 0) {
        fprintf(stderr, "usage: bench_floor DIRECTORY [NODES [RATE [SECONDS]]]\n");
        return 2;
    }
    settings.directory = argv[1];
    pid_t pids[COPIES_MAX + 1];
    for (unsigned i = 0; i < settings.nodes; i++)
        if (is_child(&pids[i])) run_node(&settings, i);
    if (is_child(&pids[settings.nodes])) run_router(&settings);
    int result = run_client(&settings);
    for (unsigned i = 0; i <= settings.nodes; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    return result;
}
