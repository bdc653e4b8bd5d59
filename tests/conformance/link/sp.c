/*
 * Our own listeners (common/rpc/sp) towards peers that are not ours, byte by byte: what a listener of the link door
 * does beyond the suite's promise, on both kinds of reactor. Time is moved, not waited for.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/daemon/env_real.h"
#include "common/rpc/sp/link_sp.h"
#include "common/rpc/sp/sp_wire.h"
#include "common/runtime/reactor.h"
#include "common/runtime/uring/uring_backend.h"

enum { PATIENCE_STEPS = 20000, FRAME_MAX = 64 << 10, NS_PER_MS = 1000000, CROWD = LINK_SP_GREETINGS_MAX + 300 };

static const char *backend_name, *name;
static bool ok;

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("sp(%s): %s: line %d: expected %s\n", backend_name, name, __LINE__, #condition);                    \
            ok = false;                                                                                                \
        }                                                                                                              \
    } while (0)
/* Turns until the condition holds, with patience. */
#define AWAIT(condition)                                                                                               \
    do {                                                                                                               \
        bool holds_ = false;                                                                                           \
        for (int i_ = 0; i_ < PATIENCE_STEPS && !(holds_ = (condition)); i_++)                                         \
            step();                                                                                                    \
        if (!holds_) {                                                                                                 \
            printf("sp(%s): %s: line %d: awaited %s\n", backend_name, name, __LINE__, #condition);                     \
            ok = false;                                                                                                \
        }                                                                                                              \
    } while (0)

/* ---- the listener, and the world whose time we move ---- */

static struct env_real *real;
static struct env env; /* the real one's, but for its time */
static uint64_t leapt_ns;
static struct reactor *reactor;
static struct link_end *end;

static struct {
    uint32_t ups, downs, frames, bytes, refuse;
    uint64_t last_word;
    bool echo, close_pipe, close_end;
    struct link_pipe *pipe; /* newest that is up */
} heard;

static uint64_t moved_mono_ns(struct env *of)
{
    (void)of;
    struct env *under = env_real_env(real);
    return under->ops->mono_ns(under) + leapt_ns;
}

static struct backend *moved_backend(struct env *of, struct reactor *for_reactor)
{
    (void)of;
    struct env *under = env_real_env(real);
    return under->ops->backend_create(under, for_reactor);
}

static void step(void)
{
    reactor_turn(reactor);
    poll(NULL, 0, 1);
}

static void leap_ms(uint64_t ms)
{
    leapt_ns += ms * NS_PER_MS;
    for (int i = 0; i < 5; i++)
        step();
}

static void close_end(void)
{
    if (end) link_close(env.listen_net, end);
    end = NULL;
}

static bool on_up(void *context, struct link_pipe *pipe)
{
    (void)context;
    if (heard.refuse > 0) {
        heard.refuse--;
        return false;
    }
    heard.ups++;
    heard.pipe = pipe;
    return true;
}

static void on_frame(void *context, struct link_pipe *pipe, struct link_buffer *buffer)
{
    (void)context;
    heard.frames++;
    heard.bytes += buffer->size;
    heard.last_word = buffer->reply_to;
    if (heard.echo)
        link_send(pipe, buffer);
    else
        link_buffer_free(env.listen_net, buffer);
    if (heard.close_pipe) link_pipe_close(pipe);
    if (heard.close_end) close_end();
}

static void on_down(void *context, struct link_pipe *pipe)
{
    (void)context;
    heard.downs++;
    if (heard.pipe == pipe) heard.pipe = NULL;
}

static const struct link_handler HANDLER = {on_up, on_frame, on_down};

static void open_with(uint32_t frame_bytes_max, uint32_t pipes_max)
{
    struct link_options options = {
        .reactor = reactor, .handler = &HANDLER, .frame_bytes_max = frame_bytes_max, .pipes_max = pipes_max};
    CHECK(link_open(env.listen_net, "127.0.0.1:0", &options, &end) == STATUS_OK);
}

static struct link_sp_counters counters(void)
{
    return link_sp_counters(env.listen_net);
}

static void send_frame(uint32_t bytes, int fill)
{
    if (heard.pipe == NULL) return;
    struct link_buffer *buffer = link_buffer_create(env.listen_net, bytes);
    memset(buffer->data, fill, bytes);
    buffer->size = bytes;
    link_send(heard.pipe, buffer);
}

/* ---- peers ---- */

static int dial_raw(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(link_sp_port(end))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

static void say(int fd, const void *data, size_t size)
{
    if (size && send(fd, data, size, MSG_NOSIGNAL) < 0) CHECK(errno == EPIPE || errno == ECONNRESET);
}

static void say_greeting(int fd)
{
    uint8_t greeting[SP_GREETING_BYTES];
    sp_greeting_write(greeting, SP_REQ);
    say(fd, greeting, sizeof greeting);
}

static void say_head(int fd, uint32_t bytes)
{
    uint8_t head[SP_HEAD_BYTES];
    sp_head_write(head, bytes, SP_WORD_LAST | 77);
    say(fd, head, sizeof head);
}

/* So many bytes came, at last. */
static bool hears(int fd, uint8_t *out, size_t size, size_t *have)
{
    ssize_t got;
    while (*have < size && (got = recv(fd, out + *have, size - *have, 0)) > 0)
        *have += (size_t)got;
    return *have == size;
}

static int dial(void)
{
    uint8_t greeting[SP_GREETING_BYTES], right[SP_GREETING_BYTES];
    size_t have = 0;
    int fd = dial_raw();
    sp_greeting_write(right, SP_REP);
    say_greeting(fd);
    AWAIT(hears(fd, greeting, sizeof greeting, &have));
    EXPECT(memcmp(greeting, right, sizeof right) == 0);
    return fd;
}

static bool is_closed(int fd)
{
    uint8_t bytes[4096];
    ssize_t size;
    while ((size = recv(fd, bytes, sizeof bytes, 0)) > 0)
        ;
    return size == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

/* ---- cases ---- */

static void a_frame_goes_there_and_back_under_its_word(void)
{
    open_with(FRAME_MAX, 4);
    heard.echo = true;
    int fd = dial();
    say_head(fd, 5);
    say(fd, "hello", 5);
    uint8_t got[SP_HEAD_BYTES + 5], head[SP_HEAD_BYTES];
    size_t have = 0;
    AWAIT(hears(fd, got, sizeof got, &have));
    sp_head_write(head, 5, SP_WORD_LAST | 77);
    EXPECT(memcmp(got, head, sizeof head) == 0 && memcmp(got + sizeof head, "hello", 5) == 0);
    EXPECT(heard.ups == 1 && heard.last_word == (SP_WORD_LAST | 77));
    close(fd);
    AWAIT(heard.downs == 1);
}

static void frames_arrive_however_they_are_cut(void)
{
    static uint8_t stream[3 * (SP_HEAD_BYTES + 700) + SP_HEAD_BYTES];
    open_with(FRAME_MAX, 4);
    uint8_t *at = stream;
    for (int i = 0; i < 3; i++) {
        sp_head_write(at, 700, SP_WORD_LAST);
        at += SP_HEAD_BYTES + 700;
    }
    sp_head_write(at, 0, SP_WORD_LAST);
    for (size_t piece = 1; piece <= sizeof stream; piece = piece * 3 + 1) {
        uint32_t before = heard.frames;
        int fd = dial();
        for (size_t done = 0; done < sizeof stream; done += piece) {
            say(fd, stream + done, sizeof stream - done < piece ? sizeof stream - done : piece);
            reactor_turn(reactor);
        }
        AWAIT(heard.frames == before + 4);
        close(fd);
    }
    AWAIT(heard.downs == heard.ups);
    EXPECT(heard.bytes == heard.frames / 4 * 2100);
}

static void the_largest_frame_passes_and_a_larger_one_ends_its_pipe_unread(void)
{
    static uint8_t body[FRAME_MAX];
    open_with(FRAME_MAX, 4);
    int fd = dial();
    say_head(fd, FRAME_MAX);
    say(fd, body, sizeof body);
    AWAIT(heard.frames == 1);
    say_head(fd, FRAME_MAX + 1);
    AWAIT(is_closed(fd));
    EXPECT(heard.bytes == FRAME_MAX && counters().pipes_broken == 1);
    AWAIT(heard.downs == 1);
    close(fd);
}

static void who_does_not_greet_in_time_is_closed(void)
{
    open_with(FRAME_MAX, 4);
    int silent = dial_raw(), half = dial_raw(), fine = dial();
    say(half, "\0SP", 3);
    leap_ms(LINK_SP_GREETING_MS - 500);
    EXPECT(!is_closed(silent) && !is_closed(half));
    leap_ms(501);
    AWAIT(is_closed(silent) && is_closed(half));
    EXPECT(!is_closed(fine) && counters().greetings_late == 2 && heard.ups == 1);
    close(silent);
    close(half);
    close(fine);
}

static void who_greets_wrongly_is_closed_at_once(void)
{
    open_with(FRAME_MAX, 4);
    static const char *const wrong[] = {"GET / HTTP/1.1\r\n\r\n", "\1", "\0SX", "\x16\x03\x01"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int fd = dial_raw();
        say(fd, wrong[i], i == 2 ? 3 : strlen(wrong[i]));
        AWAIT(is_closed(fd));
        close(fd);
    }
    EXPECT(heard.ups == 0 && counters().pipes_broken == 4);
}

static void a_silent_crowd_is_bounded_and_keeps_nobody_out(void)
{
    static int fds[CROWD];
    open_with(FRAME_MAX, 4);
    int served = dial();
    heard.echo = true;
    uint64_t before = mem_allocations();
    for (int i = 0; i < CROWD; i++) {
        fds[i] = dial_raw();
        if (i % 4 == 0) reactor_turn(reactor); /* the kernel's own queue is bounded too */
    }
    AWAIT(counters().greetings_displaced == CROWD - LINK_SP_GREETINGS_MAX);
    EXPECT(mem_allocations() - before < 3 * CROWD);
    int fine = dial();
    EXPECT(heard.ups == 2 && is_closed(fds[0]) && !is_closed(fds[CROWD - 1]));
    say_head(served, 0);
    AWAIT(heard.frames == 1);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
    close(fine);
    close(served);
    AWAIT(heard.downs == 2);
}

static void a_full_listener_refuses_at_once_and_takes_the_next_when_one_left(void)
{
    open_with(FRAME_MAX, 2);
    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = dial();
    AWAIT(is_closed(fds[2]));
    EXPECT(heard.ups == 2 && counters().pipes_full == 1);
    close(fds[0]);
    close(fds[2]);
    AWAIT(heard.downs == 1);
    int next = dial();
    AWAIT(heard.ups == 3);
    close(next);
    close(fds[1]);
}

/* Far more than the kernel takes at once. */
static void a_peer_that_reads_late_gets_all_in_order(void)
{
    enum { FRAMES = 24 };
    static uint8_t got[SP_HEAD_BYTES + FRAME_BYTES_MAX];
    open_with(FRAME_BYTES_MAX, 4);
    int fd = dial();
    AWAIT(heard.pipe != NULL);
    for (int i = 0; i < FRAMES; i++)
        send_frame(FRAME_BYTES_MAX - (uint32_t)i, i);
    leap_ms(LINK_SP_STALL_MS / 2);
    for (int i = 0; i < FRAMES && ok; i++) {
        size_t have = 0, size = SP_HEAD_BYTES + FRAME_BYTES_MAX - (size_t)i;
        AWAIT(hears(fd, got, size, &have));
        EXPECT(got[SP_HEAD_BYTES] == i && got[size - 1] == i);
        leap_ms(LINK_SP_STALL_MS / 4); /* it takes long, but it takes */
    }
    EXPECT(heard.downs == 0 && counters().pipes_slow == 0);
    close(fd);
}

static void a_peer_that_reads_nothing_is_closed_in_time(void)
{
    enum { FRAMES = LINK_NNG_QUEUE_FRAMES };
    open_with(FRAME_BYTES_MAX, 4);
    int fd = dial();
    AWAIT(heard.pipe != NULL);
    for (int i = 0; i < FRAMES; i++)
        send_frame(FRAME_BYTES_MAX, i);
    leap_ms(LINK_SP_STALL_MS - 100);
    EXPECT(heard.downs == 0);
    leap_ms(LINK_SP_STALL_MS);
    AWAIT(heard.downs == 1);
    EXPECT(counters().pipes_slow == 1);
    close(fd);
}

static void more_frames_than_may_wait_end_their_pipe(void)
{
    open_with(FRAME_BYTES_MAX, 4);
    int fd = dial();
    AWAIT(heard.pipe != NULL);
    for (int i = 0; i < 2 * LINK_NNG_QUEUE_FRAMES; i++)
        send_frame(100, i);
    AWAIT(heard.downs == 1);
    EXPECT(counters().pipes_slow == 1);
    close(fd);
}

/* Many small answers in one turn are no flood. */
static void what_a_window_holds_may_be_sent_in_one_turn(void)
{
    open_with(FRAME_MAX, 4);
    int fd = dial();
    uint8_t got[LINK_QUEUE_FRAMES_MAX * (SP_HEAD_BYTES + 100)];
    size_t have = 0;
    AWAIT(heard.pipe != NULL);
    for (int i = 0; i < LINK_QUEUE_FRAMES_MAX; i++)
        send_frame(100, i);
    AWAIT(hears(fd, got, sizeof got, &have));
    EXPECT(heard.downs == 0);
    close(fd);
}

static void what_all_hold_together_is_bounded_and_the_largest_goes_first(void)
{
    enum { PEERS = LINK_SP_HELD_FRAMES_MAX + 20, SMALL = 1024 };
    static int fds[PEERS];
    uint8_t half[SMALL / 2] = {0};
    open_with(SMALL, PEERS + 10);
    for (int i = 0; i < PEERS; i++) {
        fds[i] = dial();
        say_head(fds[i], SMALL);
        say(fds[i], half, sizeof half);
    }
    AWAIT(counters().pipes_shed == PEERS - LINK_SP_HELD_FRAMES_MAX);
    AWAIT(heard.downs == PEERS - LINK_SP_HELD_FRAMES_MAX);
    for (int i = 0; i < PEERS; i++)
        close(fds[i]);
    AWAIT(heard.downs == PEERS);
}

static void handlers_may_close_pipes_and_ends(void)
{
    open_with(FRAME_MAX, 4);
    heard.close_pipe = true;
    int fd = dial();
    for (int i = 0; i < 3; i++)
        say_head(fd, 0);
    AWAIT(heard.downs == 1);
    EXPECT(heard.frames == 1 && is_closed(fd));
    close(fd);
    heard.close_pipe = false;
    heard.close_end = true;
    fd = dial();
    for (int i = 0; i < 3; i++)
        say_head(fd, 0);
    AWAIT(end == NULL);
    for (int i = 0; i < 10; i++)
        step();
    EXPECT(heard.frames == 2 && heard.downs == 1 && is_closed(fd));
    close(fd);
}

static void what_was_sent_before_a_close_arrives(void)
{
    open_with(FRAME_MAX, 4);
    int fd = dial();
    AWAIT(heard.pipe != NULL);
    send_frame(1000, 9);
    link_pipe_close(heard.pipe);
    uint8_t got[SP_HEAD_BYTES + 1000];
    size_t have = 0;
    AWAIT(hears(fd, got, sizeof got, &have));
    AWAIT(is_closed(fd));
    close(fd);
}

static void a_listener_without_descriptors_rests_and_goes_on(void)
{
    struct rlimit before, none;
    open_with(FRAME_MAX, 4);
    int fds[2] = {dial_raw(), dial_raw()};
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = (struct rlimit){.rlim_cur = (rlim_t)fds[1], .rlim_max = before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    AWAIT(counters().accepts_held > 0);
    leap_ms(200);
    EXPECT(counters().accepted == 0);
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    leap_ms(200);
    AWAIT(counters().accepted == 2);
    close(fds[0]);
    close(fds[1]);
}

static void addresses_may_be_of_either_version(void)
{
    struct link_options options = {.reactor = reactor, .handler = &HANDLER, .frame_bytes_max = FRAME_MAX};
    enum status status = link_open(env.listen_net, "[::1]:0", &options, &end);
    EXPECT(status == STATUS_OK || status == STATUS_BAD_REQUEST || status == STATUS_IO); /* a host without version 6 */
    close_end();
    static const char *const malformed[] = {"localhost:7300", "[::1:7300", "::1:7300", "127.0.0.1:7300/x", "[]:1"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++)
        EXPECT(link_open(env.listen_net, malformed[i], &options, &end) == STATUS_BAD_REQUEST);
    end = NULL;
}

static void frames_cost_no_allocation(void)
{
    open_with(FRAME_MAX, 4);
    heard.echo = true;
    int fd = dial();
    uint8_t body[2000] = {0};
    uint64_t before = 0;
    for (uint32_t i = 1; i <= 200; i++) {
        if (i == 100) before = mem_allocations();
        say_head(fd, sizeof body);
        say(fd, body, sizeof body);
        AWAIT(heard.frames == i);
        uint8_t got[SP_HEAD_BYTES + sizeof body];
        size_t have = 0;
        AWAIT(hears(fd, got, sizeof got, &have));
    }
    EXPECT(mem_allocations() == before);
    close(fd);
}

#define CASE(function)                                                                                                 \
    {                                                                                                                  \
#function, function                                                                                            \
    }
static const struct {
    const char *name;
    void (*body)(void);
} CASES[] = {
    CASE(a_frame_goes_there_and_back_under_its_word),
    CASE(frames_arrive_however_they_are_cut),
    CASE(the_largest_frame_passes_and_a_larger_one_ends_its_pipe_unread),
    CASE(who_does_not_greet_in_time_is_closed),
    CASE(who_greets_wrongly_is_closed_at_once),
    CASE(a_silent_crowd_is_bounded_and_keeps_nobody_out),
    CASE(a_full_listener_refuses_at_once_and_takes_the_next_when_one_left),
    CASE(a_peer_that_reads_late_gets_all_in_order),
    CASE(a_peer_that_reads_nothing_is_closed_in_time),
    CASE(more_frames_than_may_wait_end_their_pipe),
    CASE(what_a_window_holds_may_be_sent_in_one_turn),
    CASE(what_all_hold_together_is_bounded_and_the_largest_goes_first),
    CASE(handlers_may_close_pipes_and_ends),
    CASE(what_was_sent_before_a_close_arrives),
    CASE(a_listener_without_descriptors_rests_and_goes_on),
    CASE(addresses_may_be_of_either_version),
    CASE(frames_cost_no_allocation),
};

static void run_case(void (*body)(void))
{
    static struct env_ops ops;
    ops = *env_real_env(real)->ops;
    ops.mono_ns = moved_mono_ns;
    ops.backend_create = moved_backend;
    env = *env_real_env(real);
    env.ops = &ops;
    env.listen_net = link_sp_create(&env);
    reactor = reactor_create(&env, "listener", 0);
    memset(&heard, 0, sizeof heard);
    body();
    close_end();
    step();
    reactor_destroy(reactor);
    link_sp_destroy(env.listen_net);
}

static unsigned run(const char *on, enum env_backend backend)
{
    unsigned passed = 0, failed = 0;
    char why[ENV_WHY_BYTES];
    struct env_real_options options = {.name = "sp", .backend = backend};
    CHECK(env_real_open(&options, &real, why) == STATUS_OK);
    backend_name = on;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        name = CASES[i].name;
        ok = true;
        run_case(CASES[i].body);
        if (ok)
            passed++;
        else
            failed++;
    }
    env_real_close(real);
    printf("sp(%s): %u passed, %u failed\n", on, passed, failed);
    return failed;
}

int main(void)
{
    char why[URING_WHY_BYTES];
    struct rlimit files;
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
    unsigned failed = run("uv", ENV_BACKEND_UV);
    if (uring_is_available(why))
        failed += run("uring", ENV_BACKEND_URING);
    else
        printf("sp(uring): 0 passed, 0 failed, %zu skipped: %s\n", sizeof CASES / sizeof *CASES, why);
    return failed ? 1 : 0;
}
