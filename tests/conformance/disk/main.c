/* The disk suite on the real backends, in a directory of its own that is removed afterwards. */
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/daemon/env_real.h"
#include "common/runtime/backend.h"
#include "common/runtime/reactor.h"
#include "common/runtime/uring/uring_backend.h"
#include "tests/conformance/disk/disk_suite.h"

struct real_place {
    enum env_backend backend;
    char directory[64];
    struct env_real *real;
};

static struct env *place_open(void *context)
{
    struct real_place *place = context;
    char why[ENV_WHY_BYTES];
    snprintf(place->directory, sizeof place->directory, "conformance.XXXXXX");
    CHECK(mkdtemp(place->directory) != NULL);
    struct env_real_options options = {.name = "disk", .directory = place->directory, .backend = place->backend};
    CHECK(env_real_open(&options, &place->real, why) == STATUS_OK);
    return env_real_env(place->real);
}

static int remove_entry(const char *path, const struct stat *stat, int kind, struct FTW *at)
{
    (void)stat;
    (void)kind;
    (void)at;
    return remove(path);
}

static void place_close(void *context, struct env *env)
{
    struct real_place *place = context;
    (void)env;
    env_real_close(place->real);
    CHECK(nftw(place->directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static void place_step(void *context, struct reactor *reactor)
{
    (void)context;
    reactor_step(reactor);
}

/* As a caller with a loop of its own does it. */
static void caller_step(void *context, struct reactor *reactor)
{
    struct real_place *place = context;
    uint64_t until = reactor_turn(reactor);
    struct pollfd waiting = {.fd = reactor_fd(reactor), .events = POLLIN};
    uint64_t now = env_mono_ns(env_real_env(place->real));
    if (until == REACTOR_NEVER)
        CHECK(poll(&waiting, 1, -1) == 1);
    else if (until > now)
        CHECK(poll(&waiting, 1, (int)((until - now) / 1000000) + 1) >= 0);
}

int main(void)
{
    char why[URING_WHY_BYTES];
    struct real_place uv = {.backend = ENV_BACKEND_UV}, uring = {.backend = ENV_BACKEND_URING};
    struct disk_place place = {"uv", &uv, place_open, place_close, place_step};
    unsigned failed = disk_suite_run(&place);
    place.step = caller_step;
    failed += disk_suite_run(&place);
    place.step = place_step;
    place.name = "uring";
    place.context = &uring;
    if (uring_is_available(why))
        failed += disk_suite_run(&place);
    else
        printf("disk(uring): 0 passed, 0 failed, 1 skipped: %s\n", why);
    return failed ? 1 : 0;
}
