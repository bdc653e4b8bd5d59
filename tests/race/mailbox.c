/*
 * Mail between reactors on threads of their own: everything arrives once and in order per sender, a sleeping reactor is
 * woken, and nobody touches what belongs to another thread. Run under ThreadSanitizer.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/runtime/backend.h"
#include "common/runtime/env.h"
#include "common/runtime/reactor.h"
#include "common/runtime/uring/uring_backend.h"
#include "common/runtime/uv/uv_backend.h"

enum { REACTORS = 3, ROUNDS = 20000, LETTERS = 16 };

static bool with_uring;

static uint64_t mono_ns(struct env *env)
{
    (void)env;
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int64_t wall_us(struct env *env)
{
    (void)env;
    return 0;
}

static void entropy(struct env *env, void *out, size_t size)
{
    (void)env;
    memset(out, 1, size);
}

static void die(struct env *env, enum status status, const char *why) __attribute__((noreturn));
static void die(struct env *env, enum status status, const char *why)
{
    (void)env;
    (void)status;
    (void)why;
    abort();
}

static struct backend *backend_create(struct env *env, struct reactor *reactor)
{
    (void)env;
    return with_uring ? uring_backend_create(reactor, -1) : uv_backend_create(reactor, -1);
}

static const struct env_ops ops = {mono_ns, wall_us, entropy, die, backend_create};

/* A letter goes from its home to a peer and back until it has made its rounds. */
struct letter {
    struct mail mail;
    struct post *home, *peer;
    bool at_peer;
    unsigned rounds;
};

struct post {
    struct reactor *reactor;
    struct letter letters[LETTERS];
    unsigned back; /* letters that have made all rounds; the home's thread only */
    unsigned next; /* which letter comes next: they return in the order in which they left */
    uint64_t handled;
    struct timer timer;
};

static struct post posts[REACTORS];
static _Atomic unsigned finished;

static void all_home(struct post *post)
{
    timer_stop(&post->timer);
    if (++finished < REACTORS) return;
    for (unsigned i = 0; i < REACTORS; i++)
        reactor_stop(posts[i].reactor);
}

static void deliver(struct mail *mail)
{
    struct letter *letter = CONTAINER_OF(mail, struct letter, mail);
    letter->at_peer = !letter->at_peer;
    if (letter->at_peer) {
        letter->peer->handled++;
        reactor_post(letter->home->reactor, mail);
        return;
    }
    struct post *home = letter->home;
    CHECK(letter == &home->letters[home->next]);
    home->next = (home->next + 1) % LETTERS;
    home->handled++;
    if (++letter->rounds < ROUNDS)
        reactor_post(letter->peer->reactor, mail);
    else if (++home->back == LETTERS)
        all_home(home);
}

/* Timers run beside the mail. */
static void tick(struct timer *timer)
{
    timer_start_in(timer, 200000);
}

static void *run(void *argument)
{
    reactor_run(argument);
    return NULL;
}

static void play(struct env *env)
{
    pthread_t threads[REACTORS];
    memset(posts, 0, sizeof posts);
    finished = 0;
    for (unsigned i = 0; i < REACTORS; i++) {
        posts[i].reactor = reactor_create(env, "race", i);
        timer_init(&posts[i].timer, posts[i].reactor, tick);
        timer_start_in(&posts[i].timer, 0);
    }
    /* Before the threads run: a letter that is back early must not overtake one that has not left. */
    for (unsigned i = 0; i < REACTORS; i++) {
        for (unsigned j = 0; j < LETTERS; j++) {
            struct post *peer = &posts[(i + 1) % REACTORS];
            posts[i].letters[j] = (struct letter){.mail.deliver = deliver, .home = &posts[i], .peer = peer};
            reactor_post(peer->reactor, &posts[i].letters[j].mail);
        }
    }
    for (unsigned i = 0; i < REACTORS; i++)
        CHECK(pthread_create(&threads[i], NULL, run, posts[i].reactor) == 0);
    for (unsigned i = 0; i < REACTORS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (unsigned i = 0; i < REACTORS; i++) {
        CHECK(posts[i].handled == 2 * (uint64_t)LETTERS * ROUNDS);
        reactor_destroy(posts[i].reactor);
    }
}

int main(void)
{
    struct env env = {.ops = &ops, .name = "race"};
    char why[URING_WHY_BYTES];
    play(&env);
    bool uring = uring_is_available(why);
    with_uring = true;
    if (uring) play(&env);
    printf("mailbox: %u passed, 0 failed, %u skipped%s%s\n", 1 + uring, !uring, uring ? "" : ": ", uring ? "" : why);
    return 0;
}
