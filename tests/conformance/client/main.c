/*
 * libtrillium over real nng, against a router of a few handlers on a thread of its own: instances that the caller
 * drives, with a poll loop that is not ours, by functions that wait, and at their end. The router's clock is an hour
 * behind the host's.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "client/trillium.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/cluster/address.h"
#include "common/model/snowflake.h"
#include "common/rpc/nng/link_nng.h"
#include "common/rpc/rpc.h"
#include "common/runtime/posix/posix_env.h"
#include "common/runtime/reactor.h"
#include "common/runtime/uv/uv_backend.h"
#include "proto/client.pb-c.h"

enum { SENDS = 200, PATIENCE_MS = 15000, CHANNEL = 42, ROUTER_BEHIND_S = 3600 };

static unsigned passed, failed;
static const char *name;
static bool ok;

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("client(nng): %s: line %d: expected %s\n", name, __LINE__, #condition);                             \
            ok = false;                                                                                                \
        }                                                                                                              \
    } while (0)

/* ---- the router ---- */

static struct {
    struct env env;
    struct reactor *reactor;
    struct rpc *rpc;
    struct rpc_listener *listener;
    pthread_t thread;
    char address[ADDRESS_BYTES]; /* its base, as clients are told it */
    uint64_t last_id;
    atomic_uint creates, reserves, gone;
    _Atomic int64_t stamp; /* of the last edit */
    atomic_bool is_deaf;   /* creates are never answered */
    struct rpc_request *unanswered;
} router;

static int64_t router_wall_us(struct env *env)
{
    return posix_wall_us(env) - (int64_t)ROUTER_BEHIND_S * 1000000;
}

__attribute__((noreturn)) static void router_die(struct env *env, enum status status, const char *why)
{
    (void)env;
    (void)status;
    check_failed("router", 0, why);
}

static struct backend *router_backend(struct env *env, struct reactor *reactor)
{
    (void)env;
    return uv_backend_create(reactor, -1);
}

static const struct env_ops router_ops = {posix_mono_ns, router_wall_us, posix_entropy, router_die, router_backend};

static void handle_ring(void *context, struct rpc_request *request)
{
    (void)context;
    Trillium__V1__RingAnswer answer = TRILLIUM__V1__RING_ANSWER__INIT;
    Trillium__V1__RouterEntry entry = TRILLIUM__V1__ROUTER_ENTRY__INIT, *entries = &entry;
    entry.id = 1;
    entry.address = router.address;
    entry.workers = 1;
    answer.version = 1;
    answer.n_routers = 1;
    answer.routers = &entries;
    rpc_answer(request, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&answer)});
}

static void handle_lease(void *context, struct rpc_request *request)
{
    (void)context;
    rpc_answer(request, STATUS_UNAVAILABLE, NULL);
}

static void handle_reserve(void *context, struct rpc_request *request)
{
    (void)context;
    Trillium__V1__ReserveCall *call =
        rpc_decode(&request->arena, &trillium__v1__reserve_call__descriptor, request->body);
    Trillium__V1__ReserveAnswer answer = TRILLIUM__V1__RESERVE_ANSWER__INIT;
    answer.n_ids = call->count;
    answer.ids = arena_alloc(&request->arena, call->count * sizeof *answer.ids);
    uint64_t first = snowflake_first_of_ms(reactor_wall_us(router.reactor) / 1000);
    if (first > router.last_id) router.last_id = first;
    for (size_t i = 0; i < answer.n_ids; i++)
        answer.ids[i] = ++router.last_id;
    atomic_fetch_add(&router.reserves, 1);
    rpc_answer(request, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&answer)});
}

static void handle_create(void *context, struct rpc_request *request)
{
    (void)context;
    atomic_fetch_add(&router.creates, 1);
    if (atomic_load(&router.is_deaf))
        router.unanswered = request;
    else
        rpc_answer(request, STATUS_OK, NULL);
}

static void handle_edit(void *context, struct rpc_request *request)
{
    (void)context;
    Trillium__V1__MessageEditCall *call =
        rpc_decode(&request->arena, &trillium__v1__message_edit_call__descriptor, request->body);
    atomic_store(&router.stamp, call->stamp_us);
    rpc_answer(request, STATUS_OK, NULL);
}

static void handle_gone(void *context, const struct rpc_info *info)
{
    (void)context;
    (void)info;
    atomic_fetch_add(&router.gone, 1);
}

static void *router_run(void *unused)
{
    (void)unused;
    reactor_run(router.reactor);
    return NULL;
}

static void router_start(void)
{
    static const struct rpc_handler handlers[] = {
        {METHOD_RING, RPC_ROLES_ALL, handle_ring, NULL},
        {METHOD_LEASE, RPC_ROLES_ALL, handle_lease, NULL},
        {METHOD_RESERVE, RPC_ROLES_ALL, handle_reserve, NULL},
        {METHOD_MESSAGE_CREATE, RPC_ROLES_ALL, handle_create, NULL},
        {METHOD_MESSAGE_EDIT, RPC_ROLES_ALL, handle_edit, NULL},
    };
    router.env = (struct env){.ops = &router_ops, .guarded_stacks = true, .name = "router"};
    router.env.net = link_nng_create(&router.env);
    router.reactor = reactor_create(&router.env, "router", 0);
    struct rpc_options options = {.reactor = router.reactor, .self = {.role = RPC_ROLE_ROUTER, .instance = {1}}};
    router.rpc = rpc_create(&options);
    struct rpc_listen_options listen = {.address = "127.0.0.1:0",
        .kind = RPC_CLIENT,
        .handlers = handlers,
        .handlers_count = sizeof handlers / sizeof *handlers,
        .gone = handle_gone};
    CHECK(rpc_listen(router.rpc, &listen, &router.listener) == STATUS_OK);
    snprintf(router.address, sizeof router.address, "127.0.0.1:%u",
        link_nng_port(rpc_listener_end(router.listener)) - PORT_CLIENTS);
    CHECK(pthread_create(&router.thread, NULL, router_run, NULL) == 0);
}

static void router_left(void *unused)
{
    (void)unused;
    reactor_stop(router.reactor);
}

static void router_leave(struct mail *mail)
{
    (void)mail;
    if (router.unanswered) rpc_answer(router.unanswered, STATUS_OK, NULL);
    rpc_goodbye(router.rpc, router_left, NULL);
}

static void router_stop(void)
{
    struct mail mail = {.deliver = router_leave};
    reactor_post(router.reactor, &mail);
    pthread_join(router.thread, NULL);
    rpc_destroy(router.rpc);
    reactor_turn(router.reactor);
    link_nng_destroy(router.env.net);
    reactor_turn(router.reactor);
    reactor_destroy(router.reactor);
}

/* ---- the application ---- */

static struct trillium *open_driven(bool is_short_lived)
{
    char error[256];
    struct trillium_options options = {
        .routers = router.address, .deadline_ms = PATIENCE_MS, .is_driven = true, .is_short_lived = is_short_lived};
    struct trillium *trillium = trillium_open(&options, error, sizeof error);
    CHECK(trillium);
    return trillium;
}

static struct trillium_message message(void)
{
    return (struct trillium_message){.channel_id = CHANNEL, .author_id = 7, .content = {"hello", 5}};
}

struct tally {
    struct trillium *trillium;
    unsigned told, done, more; /* more: sends to be started from callbacks */
    int status;
};

static void told(void *context, int status, uint64_t id)
{
    struct tally *tally = context;
    tally->told++;
    tally->done += trillium_class_of(status) == TRILLIUM_DONE && id != 0;
    tally->status = status;
    if (tally->more == 0) return;
    tally->more--;
    struct trillium_message next = message();
    trillium_send_async(tally->trillium, &next, TRILLIUM_QUORUM, told, tally);
}

static uint64_t now_ms(void)
{
    return posix_mono_ns(NULL) / 1000000;
}

/* The loop of a program that knows of a descriptor and a time, and nothing else. Returns how often it came round. */
static unsigned drive(struct trillium *trillium, const struct tally *tally, unsigned until)
{
    unsigned rounds = 0;
    uint64_t end = now_ms() + PATIENCE_MS;
    int timeout = 0;
    while (tally->told < until && now_ms() < end) {
        struct pollfd fd = {.fd = trillium_fd(trillium), .events = POLLIN};
        CHECK(poll(&fd, 1, timeout) >= 0);
        timeout = trillium_turn(trillium);
        rounds++;
    }
    EXPECT(tally->told == until);
    return rounds;
}

static void a_foreign_loop_drives_calls(void)
{
    struct tally tally = {.trillium = open_driven(false)};
    struct trillium_message one = message();
    for (unsigned i = 0; i < SENDS; i++)
        trillium_send_async(tally.trillium, &one, TRILLIUM_QUORUM, told, &tally);
    EXPECT(tally.told == 0);
    drive(tally.trillium, &tally, SENDS);
    EXPECT(tally.done == SENDS);
    EXPECT(trillium_is_up(tally.trillium));
    trillium_close(tally.trillium);
}

/* A call started between turns must end the wait of a loop that polls without a timeout. */
static void a_call_makes_the_descriptor_readable(void)
{
    struct tally tally = {.trillium = open_driven(false)};
    struct trillium_message one = message();
    struct pollfd fd = {.fd = trillium_fd(tally.trillium), .events = POLLIN};
    trillium_send_async(tally.trillium, &one, TRILLIUM_QUORUM, told, &tally);
    EXPECT(poll(&fd, 1, PATIENCE_MS) == 1); /* before the first turn */
    drive(tally.trillium, &tally, 1);
    while (poll(&fd, 1, 0) == 1 || trillium_turn(tally.trillium) == 0)
        trillium_turn(tally.trillium);
    trillium_send_async(tally.trillium, &one, TRILLIUM_QUORUM, told, &tally);
    EXPECT(poll(&fd, 1, PATIENCE_MS) == 1); /* between turns */
    drive(tally.trillium, &tally, 2);
    EXPECT(tally.done == 2);
    trillium_close(tally.trillium);
}

/* Nothing to do: the loop sleeps. Timers of leases and parked calls come round a few times a second. */
static void an_idle_instance_is_turned_rarely(void)
{
    struct tally tally = {.trillium = open_driven(false)};
    struct trillium_message one = message();
    trillium_send_async(tally.trillium, &one, TRILLIUM_QUORUM, told, &tally);
    drive(tally.trillium, &tally, 1);
    unsigned rounds = 0;
    int timeout = 0;
    for (uint64_t end = now_ms() + 1000, now; (now = now_ms()) < end; rounds++) {
        struct pollfd fd = {.fd = trillium_fd(tally.trillium), .events = POLLIN};
        int left = (int)(end - now);
        CHECK(poll(&fd, 1, timeout < 0 || timeout > left ? left : timeout) >= 0);
        timeout = trillium_turn(tally.trillium);
    }
    EXPECT(rounds < 60);
    trillium_close(tally.trillium);
}

static void functions_that_wait_turn_by_themselves(void)
{
    struct trillium *trillium = open_driven(false);
    unsigned before = atomic_load(&router.creates);
    uint64_t last = 0;
    for (unsigned i = 0; i < 20; i++) {
        struct trillium_message one = message();
        EXPECT(trillium_send(trillium, &one, TRILLIUM_QUORUM) == TRILLIUM_OK);
        EXPECT(one.message_id > last);
        last = one.message_id;
    }
    EXPECT(atomic_load(&router.creates) == before + 20);
    EXPECT(trillium_is_up(trillium));
    trillium_close(trillium);
}

static void callbacks_may_start_calls(void)
{
    struct tally tally = {.trillium = open_driven(false), .more = 50};
    struct trillium_message one = message();
    trillium_send_async(tally.trillium, &one, TRILLIUM_QUORUM, told, &tally);
    drive(tally.trillium, &tally, 51);
    EXPECT(tally.done == 51);
    trillium_close(tally.trillium);
}

static void a_close_tells_every_call(void)
{
    struct tally tally = {.trillium = open_driven(false), .more = 3};
    struct trillium_message one = message();
    unsigned before = atomic_load(&router.creates);
    atomic_store(&router.is_deaf, true);
    trillium_send_async(tally.trillium, &one, TRILLIUM_QUORUM, told, &tally);
    uint64_t end = now_ms() + PATIENCE_MS;
    while (atomic_load(&router.creates) == before && now_ms() < end) {
        struct pollfd fd = {.fd = trillium_fd(tally.trillium), .events = POLLIN};
        CHECK(poll(&fd, 1, trillium_turn(tally.trillium)) >= 0);
    }
    EXPECT(tally.told == 0);
    /* One that arrived, one that was not even turned, and what their callbacks start. */
    trillium_send_async(tally.trillium, &one, TRILLIUM_QUORUM, told, &tally);
    trillium_close(tally.trillium);
    EXPECT(tally.told == 5 && tally.done == 0);
    atomic_store(&router.is_deaf, false);
}

static void an_instance_that_was_never_turned_closes(void)
{
    trillium_close(open_driven(false));
}

/* A pipe is closed only after a moment of quiet; that moment is not the program's, which may end now. */
static void a_close_does_not_wait_for_its_pipes(void)
{
    bool did_not_wait = false;
    for (unsigned tries = 0; tries < 5 && !did_not_wait; tries++) {
        struct trillium *trillium = open_driven(true);
        struct trillium_message one = message();
        EXPECT(trillium_send(trillium, &one, TRILLIUM_QUORUM) == TRILLIUM_OK);
        unsigned before = atomic_load(&router.gone);
        trillium_close(trillium);
        did_not_wait = atomic_load(&router.gone) == before;
        for (uint64_t end = now_ms() + PATIENCE_MS; atomic_load(&router.gone) == before && now_ms() < end;)
            poll(NULL, 0, 1);
        EXPECT(atomic_load(&router.gone) == before + 1); /* they are closed all the same */
    }
    EXPECT(did_not_wait);
}

/* The first call of a program: no router was heard yet when it was started, and this host's clock says nothing. */
static void an_edit_is_stamped_on_the_routers_clock(void)
{
    for (int is_short_lived = 0; is_short_lived <= 1; is_short_lived++) {
        struct trillium *trillium = open_driven(is_short_lived);
        struct trillium_ref ref = {CHANNEL, snowflake_first_of_ms(posix_wall_us(NULL) / 1000), TRILLIUM_QUORUM};
        EXPECT(trillium_edit(trillium, &ref, (struct trillium_bytes){"edited", 6}) == TRILLIUM_OK);
        int64_t ahead_us = atomic_load(&router.stamp) - router_wall_us(NULL);
        EXPECT(ahead_us < 1000000 && ahead_us > -60000000);
        trillium_close(trillium);
    }
}

#define CASE(function)                                                                                                 \
    {                                                                                                                  \
#function, function                                                                                            \
    }
static const struct {
    const char *name;
    void (*body)(void);
} CASES[] = {
    CASE(a_close_does_not_wait_for_its_pipes),
    CASE(an_instance_that_was_never_turned_closes),
    CASE(a_foreign_loop_drives_calls),
    CASE(a_call_makes_the_descriptor_readable),
    CASE(an_idle_instance_is_turned_rarely),
    CASE(functions_that_wait_turn_by_themselves),
    CASE(callbacks_may_start_calls),
    CASE(an_edit_is_stamped_on_the_routers_clock),
    CASE(a_close_tells_every_call),
};

int main(void)
{
    router_start();
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        name = CASES[i].name;
        ok = true;
        CASES[i].body();
        if (ok)
            passed++;
        else
            failed++;
    }
    router_stop();
    printf("client(nng): %u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
