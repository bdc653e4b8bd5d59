/* The link suite on the simulated network. */
#include <stdio.h>

#include "common/base/check.h"
#include "common/runtime/reactor.h"
#include "tests/conformance/link/link_suite.h"
#include "tests/sim/process.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/world.h"

struct sim_place {
    struct world *world;
    struct sim_net *net;
    struct process *processes[2];
    struct reactor *reactors[2];
};

static void boot(struct env *env, void *context)
{
    struct reactor **reactor = context;
    *reactor = reactor_create(env, "link", 0);
}

static void place_open(void *context)
{
    struct sim_place *place = context;
    place->world = world_create(1);
    place->net = sim_net_create(place->world);
    for (int side = 0; side < 2; side++) {
        place->processes[side] = process_create(place->world, side == LINK_LISTENER ? "listener" : "dialer", NULL);
        sim_net_attach(place->net, place->processes[side]);
        process_start(place->processes[side], boot, &place->reactors[side]);
    }
}

static void destroy(struct env *env, void *argument)
{
    (void)env;
    reactor_destroy(argument);
}

static void place_close(void *context)
{
    struct sim_place *place = context;
    for (int side = 0; side < 2; side++) {
        process_call(place->processes[side], destroy, place->reactors[side]);
        process_end(place->processes[side]);
    }
    CHECK(world_failure(place->world) == NULL);
    for (int side = 0; side < 2; side++)
        process_destroy(place->processes[side]);
    sim_net_destroy(place->net);
    world_destroy(place->world);
}

struct act {
    void (*act)(struct reactor *reactor, void *argument);
    struct reactor *reactor;
    void *argument;
};

static void inside(struct env *env, void *argument)
{
    (void)env;
    struct act *act = argument;
    act->act(act->reactor, act->argument);
}

static void place_call(
    void *context, enum link_side side, void (*function)(struct reactor *reactor, void *argument), void *argument)
{
    struct sim_place *place = context;
    struct act act = {function, place->reactors[side], argument};
    CHECK(process_call(place->processes[side], inside, &act));
}

static void place_address(void *context, const struct link_end *end, char out[LINK_ADDRESS_BYTES])
{
    (void)context;
    (void)end;
    snprintf(out, LINK_ADDRESS_BYTES, "127.0.0.1:7300");
}

static uint64_t place_now_ms(void *context)
{
    struct sim_place *place = context;
    return world_now(place->world) / WORLD_MS;
}

static void place_step(void *context)
{
    struct sim_place *place = context;
    world_run_until(place->world, world_now(place->world) + WORLD_MS);
}

static void place_pause(void *context, enum link_side side, uint64_t ms)
{
    struct sim_place *place = context;
    process_pause_until(place->processes[side], world_now(place->world) + ms * WORLD_MS);
}

int main(void)
{
    static struct sim_place sim;
    struct link_place place = {
        .name = "sim",
        .context = &sim,
        .open = place_open,
        .close = place_close,
        .call = place_call,
        .listen_address = "127.0.0.1:7300",
        .address = place_address,
        .step = place_step,
        .now_ms = place_now_ms,
        .pause = place_pause,
    };
    return link_suite_run(&place) ? 1 : 0;
}
