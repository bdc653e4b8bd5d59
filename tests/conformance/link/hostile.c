/*
 * rpc over the real link door, its listeners nng's or our own: load with resets in the middle, and peers that are not
 * ours: silent ones, half frames, garbage, frames above the limit, more than may be, plain REQ clients. One thread
 * turns both endpoints; nng's threads work beside it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/prng.h"
#include "common/daemon/env_real.h"
#include "common/rpc/frame.h"
#include "common/rpc/nng/link_nng.h"
#include "common/rpc/rpc.h"
#include "common/rpc/sp/link_sp.h"
#include "common/runtime/uring/uring_backend.h"

enum { ECHO = METHOD_REPLICA_WRITE, FLIGHT = 300, CALLS = 20000, PATIENCE_MS = 15000 };

/* Who listens, on which reactor. */
struct place {
    const char *name;
    bool sp;
    enum env_backend backend;
};
static const struct place PLACES[] = {
    {"nng", false, ENV_BACKEND_UV}, {"sp on uv", true, ENV_BACKEND_UV}, {"sp on uring", true, ENV_BACKEND_URING}};

static const struct place *place;
static const char *name;
static bool ok;

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("rpc(%s): %s: line %d: expected %s\n", place->name, name, __LINE__, #condition);                    \
            ok = false;                                                                                                \
        }                                                                                                              \
    } while (0)

/* ---- the two endpoints ---- */

static struct env_real *real;
static struct env *env;
static struct reactor *reactors[2];
static struct rpc *server, *client;
static struct rpc_listener *listener, *client_port;
static struct rpc_peer *peer;
static char address[64];

static uint16_t port_of(const struct rpc_listener *of)
{
    const struct link_end *at = rpc_listener_end(of);
    return place->sp ? link_sp_port(at) : link_nng_port(at);
}

/* Pipes of both sides that are there still. */
static uint64_t pipes_left(void)
{
    struct link_nng_counters nng = link_nng_counters(env->net);
    uint64_t left = nng.pipes_added - nng.pipes_removed;
    if (!place->sp) return left;
    struct link_sp_counters sp = link_sp_counters(env->listen_net);
    return left + sp.pipes_added - sp.pipes_down;
}

static uint64_t pipes_full(void)
{
    return place->sp ? link_sp_counters(env->listen_net).pipes_full : link_nng_counters(env->net).pipes_full;
}

static void echo(void *context, struct rpc_request *request)
{
    (void)context;
    struct rpc_answer answer = {.body = RPC_BYTES(request->body)};
    rpc_answer(request, STATUS_OK, &answer);
}

static uint64_t now_ms(void)
{
    return env_mono_ns(env) / 1000000;
}

static void step(void)
{
    for (int i = 0; i < 2; i++)
        reactor_turn(reactors[i]);
    poll(NULL, 0, 1);
}

/* Evaluates the condition until it holds; not once more. */
#define AWAIT(condition)                                                                                               \
    do {                                                                                                               \
        uint64_t until_ = now_ms() + PATIENCE_MS;                                                                      \
        bool holds_;                                                                                                   \
        while (!(holds_ = (condition)) && now_ms() < until_)                                                           \
            step();                                                                                                    \
        if (!holds_) {                                                                                                 \
            printf("rpc(%s): %s: line %d: awaited %s\n", place->name, name, __LINE__, #condition);                     \
            ok = false;                                                                                                \
        }                                                                                                              \
    } while (0)

static void dial(void)
{
    struct rpc_peer_options options = {.address = address};
    CHECK(rpc_peer_create(client, &options, &peer) == STATUS_OK);
    AWAIT(rpc_peer_is_up(peer));
}

static void begin(void)
{
    char why[ENV_WHY_BYTES];
    struct env_real_options real_options = {.name = "rpc", .backend = place->backend};
    CHECK(env_real_open(&real_options, &real, why) == STATUS_OK);
    env = env_real_env(real);
    env->net = link_nng_create(env);
    if (place->sp) env->listen_net = link_sp_create(env);
    for (unsigned i = 0; i < 2; i++)
        reactors[i] = reactor_create(env, i ? "client" : "server", i);
    struct rpc_options options = {.reactor = reactors[0], .self = {.role = RPC_ROLE_NODE, .instance = {1}}};
    server = rpc_create(&options);
    options = (struct rpc_options){.reactor = reactors[1], .self = {.role = RPC_ROLE_ROUTER, .instance = {2}}};
    client = rpc_create(&options);
    struct rpc_handler handlers[] = {{ECHO, RPC_ROLES_ALL, echo, NULL}};
    struct rpc_listen_options listen = {.address = "127.0.0.1:0", .handlers = handlers, .handlers_count = 1};
    CHECK(rpc_listen(server, &listen, &listener) == STATUS_OK);
    listen.kind = RPC_CLIENT;
    listen.pipes_max = 16;
    CHECK(rpc_listen(server, &listen, &client_port) == STATUS_OK);
    snprintf(address, sizeof address, "127.0.0.1:%u", port_of(listener));
}

static void on_goodbye(void *context)
{
    *(bool *)context = true;
}

static void end(void)
{
    bool done[2] = {false, false};
    rpc_goodbye(server, on_goodbye, &done[0]);
    rpc_goodbye(client, on_goodbye, &done[1]);
    AWAIT(done[0] && done[1]);
    rpc_destroy(client);
    rpc_destroy(server);
    for (int i = 0; i < 2; i++) {
        reactor_turn(reactors[i]);
        reactor_destroy(reactors[i]);
    }
    if (env->listen_net) link_sp_destroy(env->listen_net);
    link_nng_destroy(env->net);
    env_real_close(real);
}

/* ---- load ---- */

static struct prng prng;
static uint8_t body[60000];
static struct rpc_call calls[FLIGHT];
static uint32_t started, done_ok, done_lost, done_unavailable, done_other, in_flight;

static void on_done(struct rpc_call *call, const struct rpc_reply *reply)
{
    (void)call;
    in_flight--;
    switch (reply->status) {
    case STATUS_OK:
        done_ok++;
        break;
    case STATUS_LOST:
        done_lost++;
        break;
    case STATUS_UNAVAILABLE:
        done_unavailable++;
        break;
    default:
        done_other++;
        break;
    }
}

static void start_calls(void)
{
    for (int i = 0; i < FLIGHT && started < CALLS; i++) {
        if (rpc_call_is_open(&calls[i])) continue;
        uint32_t bytes = prng_chance(&prng, 20000) ? (uint32_t)prng_below(&prng, sizeof body) : 200;
        calls[i] = (struct rpc_call){.done = on_done, .method = ECHO, .budget_us = 20000000};
        started++;
        in_flight++;
        rpc_call_start(peer, &calls[i], RPC_BYTES(bytes_of(body, bytes)));
    }
}

static void calls_survive_load(void)
{
    dial();
    uint64_t until = now_ms() + PATIENCE_MS;
    while (done_ok < CALLS && now_ms() < until) {
        start_calls();
        step();
    }
    EXPECT(done_ok == CALLS && done_other == 0 && done_lost == 0);
    EXPECT(rpc_counters(client)->pipes_up == 1);
}

static void every_call_ends_once_when_its_peer_is_dropped_under_load(void)
{
    started = done_ok = done_lost = done_unavailable = done_other = 0;
    for (int round = 0; round < 8; round++) {
        for (int turns = 0; turns < 15; turns++) {
            start_calls();
            step();
        }
        start_calls();
        reactor_turn(reactors[1]);
        rpc_peer_destroy(peer);
        dial();
    }
    AWAIT(in_flight == 0);
    EXPECT(done_ok + done_lost + done_unavailable == started && done_other == 0);
    EXPECT(done_lost > 0);
    /* nng's reaper is alive: all pipes but the newest, with its two sides, are gone. */
    AWAIT(pipes_left() == 2);
}

/* ---- hostile peers ---- */

static int connect_raw(struct rpc_listener *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port_of(to))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

/* SP's greeting of a REQ, and the answer to it awaited. */
static int connect_sp(struct rpc_listener *to)
{
    static const uint8_t greeting[8] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
    int fd = connect_raw(to);
    uint8_t got[8];
    ssize_t size = 0;
    CHECK(write(fd, greeting, sizeof greeting) == sizeof greeting);
    AWAIT((size = recv(fd, got, sizeof got, 0)) > 0);
    EXPECT(size == sizeof got);
    return fd;
}

/* u64 length (which counts the request word), the word, and as many bytes of the message as are given. */
static void write_sp(int fd, uint64_t length, uint32_t word, const void *data, size_t size)
{
    uint8_t head[12];
    length += 4;
    for (int i = 0; i < 8; i++)
        head[i] = (uint8_t)(length >> (56 - 8 * i));
    for (int i = 0; i < 4; i++)
        head[8 + i] = (uint8_t)(word >> (24 - 8 * i));
    CHECK(send(fd, head, sizeof head, MSG_NOSIGNAL) == sizeof head);
    /* The other side may have closed by now. */
    if (size && send(fd, data, size, MSG_NOSIGNAL) < 0) CHECK(errno == EPIPE || errno == ECONNRESET);
}

static bool is_closed(int fd)
{
    uint8_t byte;
    ssize_t size;
    while ((size = recv(fd, &byte, 1, 0)) > 0)
        ;
    return size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

static void a_silent_peer_is_closed(void)
{
    uint64_t before = rpc_counters(server)->pipes_no_hello;
    int fd = connect_sp(listener);
    AWAIT(is_closed(fd));
    EXPECT(rpc_counters(server)->pipes_no_hello == before + 1);
    close(fd);
}

static void half_a_frame_is_closed(void)
{
    uint8_t half[1000] = {0};
    int fd = connect_sp(listener);
    write_sp(fd, 5000, 0x80000000u, half, sizeof half);
    AWAIT(is_closed(fd));
    close(fd);
}

static void garbage_is_closed(void)
{
    uint64_t before = rpc_counters(server)->pipes_malformed;
    uint8_t junk[2000];
    prng_fill(&prng, junk, sizeof junk);
    int fds[10];
    for (int i = 0; i < 10; i++) {
        fds[i] = connect_sp(listener);
        write_sp(fds[i], (uint64_t)i * 100, 0x80000000u, junk, (size_t)i * 100);
    }
    for (int i = 0; i < 10; i++) {
        AWAIT(is_closed(fds[i]));
        close(fds[i]);
    }
    EXPECT(rpc_counters(server)->pipes_malformed == before + 10);
}

static void an_oversized_frame_is_closed_at_once(void)
{
    uint8_t some[100] = {0};
    int fd = connect_sp(client_port);
    uint64_t from = now_ms();
    write_sp(fd, FRAME_BYTES_MAX_CLIENT + 1, 0x80000000u, some, sizeof some);
    AWAIT(is_closed(fd));
    EXPECT(now_ms() - from < 1500); /* not by the HELLO's time, which is 2 s */
    close(fd);
    fd = connect_sp(listener);
    write_sp(fd, UINT64_MAX / 2, 0x80000000u, some, sizeof some);
    AWAIT(is_closed(fd));
    close(fd);
}

static void what_does_not_speak_sp_hurts_nobody(void)
{
    int fd = connect_raw(listener);
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    CHECK(write(fd, request, sizeof request - 1) == sizeof request - 1);
    AWAIT(is_closed(fd));
    close(fd);
}

static void pipes_above_the_limit_are_refused(void)
{
    int fds[20], closed = 0;
    uint64_t before = pipes_full();
    for (int i = 0; i < 20; i++)
        fds[i] = connect_sp(client_port);
    AWAIT(pipes_full() >= before + 4);
    for (int i = 0; i < 20; i++) {
        if (is_closed(fds[i])) closed++;
        close(fds[i]);
    }
    EXPECT(closed == 4);
    AWAIT(pipes_left() == 2);
}

/* A plain client's request; returns its size. */
static uint32_t write_plain(uint8_t frame[256])
{
    struct frame_entry entry = {
        .id = 5, .kind = FRAME_CALL, .code = ECHO, .time_us = 1000000, .body = bytes_text("hi")};
    uint8_t *at = frame_entry_write(frame + FRAME_HEADER_BYTES, &entry);
    memcpy(at, entry.body.data, entry.body.size);
    uint32_t size = (uint32_t)(at + 2 - frame);
    struct frame_header header = {.flags = FRAME_ONE_ANSWER, .count = 1};
    frame_seal(frame, size, &header);
    return size;
}

static void a_plain_client_gets_its_answer_under_its_own_word(void)
{
    uint8_t frame[256], got[512];
    uint32_t size = write_plain(frame);
    int fd = connect_sp(client_port);
    write_sp(fd, size, 0x80001234u, frame, size);
    ssize_t received = 0;
    AWAIT((received = recv(fd, got, sizeof got, 0)) > 0);
    static const uint8_t word[4] = {0x80, 0x00, 0x12, 0x34};
    EXPECT(received > 12 && memcmp(got + 8, word, 4) == 0);
    struct frame_header answer;
    EXPECT(received > 12 && frame_check(bytes_of(got + 12, (size_t)received - 12), &answer) == FRAME_FINE);
    EXPECT(answer.flags == FRAME_ONE_ANSWER && answer.count == 1);
    close(fd);
}

static void plain_clients_of_nng_are_answered(void)
{
    enum { CLIENTS = 4, ROUNDS = 20 };
    uint8_t frame[256];
    uint32_t size = write_plain(frame), answered = 0;
    nng_socket sockets[CLIENTS];
    char url[80];
    snprintf(url, sizeof url, "tcp://127.0.0.1:%u", port_of(client_port));
    for (int i = 0; i < CLIENTS; i++)
        CHECK(nng_req0_open(&sockets[i]) == 0 && nng_dial(sockets[i], url, NULL, NNG_FLAG_NONBLOCK) == 0);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CLIENTS; i++)
            AWAIT(nng_send(sockets[i], frame, size, NNG_FLAG_NONBLOCK) == 0);
        for (int i = 0; i < CLIENTS; i++) {
            uint8_t got[512];
            size_t got_size = sizeof got;
            struct frame_header answer;
            AWAIT(nng_recv(sockets[i], got, &got_size, NNG_FLAG_NONBLOCK) == 0);
            EXPECT(frame_check(bytes_of(got, got_size), &answer) == FRAME_FINE && answer.flags == FRAME_ONE_ANSWER);
            answered++;
        }
    }
    EXPECT(answered == CLIENTS * ROUNDS);
    for (int i = 0; i < CLIENTS; i++)
        nng_close(sockets[i]);
    AWAIT(pipes_left() == 2);
}

static void after_all_that_calls_are_answered(void)
{
    started = CALLS - 500;
    done_ok = 0;
    while (started < CALLS) {
        start_calls();
        step();
    }
    AWAIT(in_flight == 0);
    EXPECT(done_ok == 500);
    EXPECT(rpc_peer_is_up(peer));
    /* Every pipe that was to be closed is. */
    AWAIT(pipes_left() == 2);
}

#define CASE(function)                                                                                                 \
    {                                                                                                                  \
#function, function                                                                                            \
    }
static const struct {
    const char *name;
    void (*body)(void);
} CASES[] = {
    CASE(calls_survive_load),
    CASE(every_call_ends_once_when_its_peer_is_dropped_under_load),
    CASE(a_silent_peer_is_closed),
    CASE(half_a_frame_is_closed),
    CASE(garbage_is_closed),
    CASE(an_oversized_frame_is_closed_at_once),
    CASE(what_does_not_speak_sp_hurts_nobody),
    CASE(pipes_above_the_limit_are_refused),
    CASE(a_plain_client_gets_its_answer_under_its_own_word),
    CASE(plain_clients_of_nng_are_answered),
    CASE(after_all_that_calls_are_answered),
};

static unsigned run(const struct place *at)
{
    unsigned passed = 0, failed = 0;
    place = at;
    prng = prng_seeded(1);
    prng_fill(&prng, body, sizeof body);
    started = done_ok = done_lost = done_unavailable = done_other = 0;
    begin();
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        name = CASES[i].name;
        ok = true;
        CASES[i].body();
        if (ok)
            passed++;
        else
            failed++;
    }
    name = "goodbye";
    end();
    printf("rpc(%s): %u passed, %u failed\n", place->name, passed, failed);
    return failed;
}

int main(void)
{
    unsigned failed = 0;
    char why[URING_WHY_BYTES];
    for (size_t i = 0; i < sizeof PLACES / sizeof *PLACES; i++) {
        if (PLACES[i].backend == ENV_BACKEND_URING && !uring_is_available(why)) {
            printf("rpc(%s): 0 passed, 0 failed, %zu skipped: %s\n", PLACES[i].name, sizeof CASES / sizeof *CASES, why);
            continue;
        }
        failed += run(&PLACES[i]);
    }
    return failed ? 1 : 0;
}
