/*
 * link: nng's threads against two reactors on threads of their own, under ThreadSanitizer: calls flow while peers are
 * dropped and dialed again, to listeners of nng and to our own. The figures say only that it worked; races are what the
 * sanitizer reports.
 */
#include <pthread.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/daemon/env_real.h"
#include "common/rpc/nng/link_nng.h"
#include "common/rpc/rpc.h"
#include "common/rpc/sp/link_sp.h"

enum { CALLS = 3000, FLIGHT = 64, DROP_EVERY = 1000 };

struct side {
    struct reactor *reactor;
    struct rpc *rpc;
    pthread_t thread;
    struct mail mail;
    bool said_goodbye;
};

static struct side server, client;
static struct rpc_peer *peer;
static struct rpc_call calls[FLIGHT];
static uint32_t started, done;
static char address[64];

static void echo(void *context, struct rpc_request *request)
{
    (void)context;
    struct rpc_answer answer = {.body = RPC_BYTES(request->body)};
    rpc_answer(request, STATUS_OK, &answer);
}

static void on_goodbye(void *context)
{
    struct side *side = context;
    rpc_destroy(side->rpc);
    reactor_stop(side->reactor);
}

static void stop(struct mail *mail)
{
    struct side *side = CONTAINER_OF(mail, struct side, mail);
    rpc_goodbye(side->rpc, on_goodbye, side);
}

static void on_up(void *context, struct rpc_peer *up, const struct rpc_info *info);
static void on_done(struct rpc_call *call, const struct rpc_reply *reply);

static void dial(void)
{
    struct rpc_peer_options options = {.address = address, .up = on_up};
    CHECK(rpc_peer_create(client.rpc, &options, &peer) == STATUS_OK);
}

static void start(struct rpc_call *call)
{
    *call = (struct rpc_call){.done = on_done, .method = METHOD_REPLICA_WRITE};
    started++;
    rpc_call_start(peer, call, RPC_BYTES(bytes_text("hello")));
}

static void start_more(void)
{
    for (int i = 0; i < FLIGHT && started < CALLS && rpc_peer_is_up(peer); i++)
        if (!rpc_call_is_open(&calls[i])) start(&calls[i]);
}

static void on_done(struct rpc_call *call, const struct rpc_reply *reply)
{
    (void)call;
    (void)reply;
    done++;
    if (done == CALLS) {
        rpc_goodbye(client.rpc, on_goodbye, &client);
    } else if (done % DROP_EVERY == 0) {
        rpc_peer_destroy(peer);
        dial();
    } else {
        start_more();
    }
}

static void on_up(void *context, struct rpc_peer *up, const struct rpc_info *info)
{
    (void)context;
    (void)up;
    (void)info;
    start_more();
}

static void *run(void *argument)
{
    struct side *side = argument;
    reactor_run(side->reactor);
    reactor_turn(side->reactor);
    return NULL;
}

static void side_init(struct side *side, struct env *env, enum rpc_role role, unsigned index)
{
    *side = (struct side){0};
    side->reactor = reactor_create(env, role == RPC_ROLE_NODE ? "server" : "client", index);
    side->mail.deliver = stop;
    struct rpc_options options = {.reactor = side->reactor, .self = {.role = role, .instance = {(uint8_t)(index + 1)}}};
    side->rpc = rpc_create(&options);
}

static void run_with(bool sp)
{
    char why[ENV_WHY_BYTES];
    struct env_real *real;
    struct env_real_options options = {.name = "race", .backend = ENV_BACKEND_UV};
    CHECK(env_real_open(&options, &real, why) == STATUS_OK);
    struct env *env = env_real_env(real);
    env->net = link_nng_create(env);
    if (sp) env->listen_net = link_sp_create(env);
    started = done = 0;
    side_init(&server, env, RPC_ROLE_NODE, 0);
    side_init(&client, env, RPC_ROLE_ROUTER, 1);
    struct rpc_handler handler = {METHOD_REPLICA_WRITE, RPC_ROLES_ALL, echo, NULL};
    struct rpc_listen_options listen = {.address = "127.0.0.1:0", .handlers = &handler, .handlers_count = 1};
    struct rpc_listener *listener;
    CHECK(rpc_listen(server.rpc, &listen, &listener) == STATUS_OK);
    const struct link_end *end = rpc_listener_end(listener);
    snprintf(address, sizeof address, "127.0.0.1:%u", sp ? link_sp_port(end) : link_nng_port(end));
    dial();
    CHECK(pthread_create(&server.thread, NULL, run, &server) == 0);
    CHECK(pthread_create(&client.thread, NULL, run, &client) == 0);
    pthread_join(client.thread, NULL);
    reactor_post(server.reactor, &server.mail);
    pthread_join(server.thread, NULL);
    reactor_destroy(client.reactor);
    reactor_destroy(server.reactor);
    if (sp) link_sp_destroy(env->listen_net);
    link_nng_destroy(env->net);
    env_real_close(real);
}

int main(void)
{
    unsigned passed = 0;
    for (int sp = 0; sp < 2; sp++) {
        run_with(sp);
        if (done == CALLS) passed++;
    }
    printf("race(link): %u calls, %u passed, %u failed\n", done, passed, 2 - passed);
    return passed == 2 ? 0 : 1;
}
