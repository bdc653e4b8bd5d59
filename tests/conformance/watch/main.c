/*
 * Watches on both kinds of reactor: what common/runtime/watch.h promises, on pairs of sockets. No descriptor blocks and
 * nothing is waited for: a byte written before a turn is there in it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/daemon/env_real.h"
#include "common/runtime/reactor.h"
#include "common/runtime/uring/uring_backend.h"
#include "common/runtime/watch.h"

enum { CROWD = 1200, TURNS = 5 };

/* One end is watched, the other one is the world. */
struct ear {
    struct watch watch;
    int other;
    unsigned told, events;
    bool take;          /* reads what is there */
    struct ear *forget; /* unwatches this one when told */
    unsigned then;      /* what it wants from then on */
    bool changes;
};

static const char *backend_name, *name;
static bool ok;
static struct reactor *reactor;

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("watch(%s): %s: line %d: expected %s\n", backend_name, name, __LINE__, #condition);                 \
            ok = false;                                                                                                \
        }                                                                                                              \
    } while (0)

static void on_ready(struct watch *watch, unsigned events)
{
    struct ear *ear = CONTAINER_OF(watch, struct ear, watch);
    char bytes[64];
    ear->told++;
    ear->events |= events;
    if (ear->take) (void)!read(watch->fd, bytes, sizeof bytes);
    if (ear->changes) reactor_watch(reactor, watch, ear->then);
    if (ear->forget) reactor_unwatch(reactor, &ear->forget->watch);
}

static void ear_open(struct ear *ear, unsigned wanted)
{
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    *ear = (struct ear){.other = fds[1]};
    watch_init(&ear->watch, fds[0], on_ready);
    reactor_watch(reactor, &ear->watch, wanted);
}

static void ear_close(struct ear *ear)
{
    reactor_unwatch(reactor, &ear->watch);
    close(ear->watch.fd);
    close(ear->other);
}

static void speak(struct ear *ear)
{
    CHECK(write(ear->other, "x", 1) == 1);
}

static void turns(void)
{
    for (int i = 0; i < TURNS; i++)
        reactor_turn(reactor);
}

static void what_is_there_is_told_until_it_is_taken(void)
{
    struct ear ear;
    ear_open(&ear, WATCH_READ);
    turns();
    EXPECT(ear.told == 0);
    speak(&ear);
    turns();
    EXPECT(ear.told >= 2 && ear.told <= TURNS && ear.events == WATCH_READ);
    ear.take = true;
    turns();
    ear.told = 0;
    turns();
    EXPECT(ear.told == 0);
    speak(&ear);
    turns();
    EXPECT(ear.told == 1);
    ear_close(&ear);
}

static void only_what_is_wanted_is_told(void)
{
    struct ear ear;
    ear_open(&ear, WATCH_WRITE);
    speak(&ear);
    turns();
    EXPECT(ear.told > 0 && ear.events == WATCH_WRITE);
    reactor_watch(reactor, &ear.watch, 0);
    turns(); /* the kernel may have said it already */
    ear.told = ear.events = 0;
    turns();
    EXPECT(ear.told == 0);
    reactor_watch(reactor, &ear.watch, WATCH_READ | WATCH_WRITE);
    turns();
    EXPECT(ear.events == (WATCH_READ | WATCH_WRITE));
    reactor_watch(reactor, &ear.watch, WATCH_READ);
    turns();
    ear.told = ear.events = 0;
    turns();
    EXPECT(ear.told > 0 && ear.events == WATCH_READ);
    ear_close(&ear);
}

static void a_wish_may_change_while_it_is_told(void)
{
    struct ear ear;
    ear_open(&ear, WATCH_WRITE);
    ear.changes = true;
    ear.then = WATCH_READ;
    turns();
    EXPECT(ear.told == 1);
    speak(&ear);
    turns();
    EXPECT(ear.told > 1 && ear.events == (WATCH_READ | WATCH_WRITE));
    ear_close(&ear);
}

static void the_end_of_the_other_side_is_told(void)
{
    struct ear ear;
    ear_open(&ear, WATCH_READ);
    turns();
    close(ear.other);
    turns();
    EXPECT(ear.told > 0 && ear.events == WATCH_READ);
    ear.other = -1;
    ear_close(&ear);
}

static void who_is_forgotten_hears_nothing_more(void)
{
    struct ear ears[2];
    ear_open(&ears[0], WATCH_READ);
    ear_open(&ears[1], WATCH_READ);
    turns();
    /* Both are ready in the same turn; whichever is told first has the other forgotten. */
    ears[0].forget = &ears[1];
    ears[1].forget = &ears[0];
    speak(&ears[0]);
    speak(&ears[1]);
    turns();
    EXPECT((ears[0].told == 0) != (ears[1].told == 0));
    /* Its descriptor may serve another watch at once. */
    struct ear *forgotten = ears[0].told ? &ears[1] : &ears[0];
    forgotten->forget = NULL;
    reactor_watch(reactor, &forgotten->watch, WATCH_READ);
    (forgotten == &ears[0] ? &ears[1] : &ears[0])->forget = NULL;
    turns();
    EXPECT(forgotten->told > 0);
    ear_close(&ears[0]);
    ear_close(&ears[1]);
}

static void one_may_forget_itself_while_it_is_told(void)
{
    struct ear ear;
    ear_open(&ear, WATCH_READ);
    ear.forget = &ear;
    speak(&ear);
    turns();
    EXPECT(ear.told == 1);
    ear_close(&ear);
}

/* More at once than io_uring's submission queue takes. */
static void a_crowd_is_heard(void)
{
    static struct ear ears[CROWD];
    unsigned heard = 0;
    for (int i = 0; i < CROWD; i++)
        ear_open(&ears[i], WATCH_READ);
    turns();
    for (int i = 0; i < CROWD; i++) {
        ears[i].take = true;
        speak(&ears[i]);
    }
    turns();
    for (int i = 0; i < CROWD; i++)
        if (ears[i].told) heard++;
    EXPECT(heard == CROWD);
    for (int i = 0; i < CROWD; i++)
        ear_close(&ears[i]);
}

#define CASE(function)                                                                                                 \
    {                                                                                                                  \
#function, function                                                                                            \
    }
static const struct {
    const char *name;
    void (*body)(void);
} CASES[] = {
    CASE(what_is_there_is_told_until_it_is_taken),
    CASE(only_what_is_wanted_is_told),
    CASE(a_wish_may_change_while_it_is_told),
    CASE(the_end_of_the_other_side_is_told),
    CASE(who_is_forgotten_hears_nothing_more),
    CASE(one_may_forget_itself_while_it_is_told),
    CASE(a_crowd_is_heard),
};

static unsigned run(const char *on, enum env_backend backend)
{
    unsigned passed = 0, failed = 0;
    struct env_real *real;
    char why[ENV_WHY_BYTES];
    struct env_real_options options = {.name = "watch", .backend = backend};
    CHECK(env_real_open(&options, &real, why) == STATUS_OK);
    backend_name = on;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        reactor = reactor_create(env_real_env(real), "watch", 0);
        name = CASES[i].name;
        ok = true;
        CASES[i].body();
        reactor_turn(reactor);
        reactor_destroy(reactor);
        if (ok)
            passed++;
        else
            failed++;
    }
    env_real_close(real);
    printf("watch(%s): %u passed, %u failed\n", on, passed, failed);
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
        printf("watch(uring): 0 passed, 0 failed, %zu skipped: %s\n", sizeof CASES / sizeof *CASES, why);
    return failed ? 1 : 0;
}
