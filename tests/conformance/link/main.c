/* The link suite over loopback and ports that the system chooses: nng on both sides, and listeners of our own on either
   kind of reactor with nng's dialers. */
#include <poll.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/daemon/env_real.h"
#include "common/rpc/nng/link_nng.h"
#include "common/rpc/sp/link_sp.h"
#include "common/runtime/reactor.h"
#include "common/runtime/uring/uring_backend.h"
#include "tests/conformance/link/link_suite.h"

struct real_place {
    bool sp; /* who listens */
    enum env_backend backend;
    struct env_real *real;
    struct reactor *reactors[2];
    uint64_t paused_until_ms[2];
};

static void place_open(void *context)
{
    struct real_place *place = context;
    char why[ENV_WHY_BYTES];
    struct env_real_options options = {.name = "link", .backend = place->backend};
    CHECK(env_real_open(&options, &place->real, why) == STATUS_OK);
    struct env *env = env_real_env(place->real);
    env->net = link_nng_create(env);
    if (place->sp) env->listen_net = link_sp_create(env);
    for (int side = 0; side < 2; side++)
        place->reactors[side] = reactor_create(env, side == LINK_LISTENER ? "listener" : "dialer", (unsigned)side);
}

static void place_close(void *context)
{
    struct real_place *place = context;
    struct env *env = env_real_env(place->real);
    for (int side = 0; side < 2; side++) {
        reactor_turn(place->reactors[side]);
        reactor_destroy(place->reactors[side]);
    }
    if (env->listen_net) link_sp_destroy(env->listen_net);
    link_nng_destroy(env->net);
    env_real_close(place->real);
}

static void place_call(
    void *context, enum link_side side, void (*act)(struct reactor *reactor, void *argument), void *argument)
{
    struct real_place *place = context;
    act(place->reactors[side], argument);
}

static void place_address(void *context, const struct link_end *end, char out[LINK_ADDRESS_BYTES])
{
    struct real_place *place = context;
    snprintf(out, LINK_ADDRESS_BYTES, "127.0.0.1:%u", place->sp ? link_sp_port(end) : link_nng_port(end));
}

static uint64_t place_now_ms(void *context)
{
    struct real_place *place = context;
    return env_mono_ns(env_real_env(place->real)) / 1000000;
}

static void place_step(void *context)
{
    struct real_place *place = context;
    for (int side = 0; side < 2; side++)
        if (place_now_ms(context) >= place->paused_until_ms[side]) reactor_turn(place->reactors[side]);
    poll(NULL, 0, 1); /* nng's threads work meanwhile */
}

static void place_pause(void *context, enum link_side side, uint64_t ms)
{
    struct real_place *place = context;
    place->paused_until_ms[side] = place_now_ms(context) + ms;
}

static unsigned run(const char *name, bool sp, enum env_backend backend)
{
    struct real_place real = {.sp = sp, .backend = backend};
    struct link_place place = {
        .name = name,
        .context = &real,
        .open = place_open,
        .close = place_close,
        .call = place_call,
        .listen_address = "127.0.0.1:0",
        .address = place_address,
        .step = place_step,
        .now_ms = place_now_ms,
        .pause = place_pause,
    };
    return link_suite_run(&place);
}

int main(void)
{
    char why[URING_WHY_BYTES];
    unsigned failed = run("nng", false, ENV_BACKEND_UV);
    failed += run("sp on uv", true, ENV_BACKEND_UV);
    if (uring_is_available(why))
        failed += run("sp on uring", true, ENV_BACKEND_URING);
    else
        printf("link(sp on uring): 0 passed, 0 failed, 12 skipped: %s\n", why);
    return failed ? 1 : 0;
}
