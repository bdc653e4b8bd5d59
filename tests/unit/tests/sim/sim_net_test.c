#include "tests/sim/sim_net.h"

#include <criterion/criterion.h>
#include <string.h>

#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/runtime/reactor.h"

/* Two hosts, a server that sends every frame back and a client that counts. All counters are the test's own memory. */
struct party {
    struct process *process;
    struct reactor *reactor;
    struct link_end *end;
    struct link_pipe *pipe; /* the newest */
    uint32_t ups, downs, frames, next, gaps;
    bool echo;
};

struct scene {
    struct world *world;
    struct sim_net *net;
    struct party server, client;
};

static bool on_up(void *context, struct link_pipe *pipe)
{
    struct party *party = context;
    party->ups++;
    party->pipe = pipe;
    party->next = 0;
    return true;
}

static void on_frame(void *context, struct link_pipe *pipe, struct link_buffer *buffer)
{
    struct party *party = context;
    uint32_t number;
    memcpy(&number, buffer->data, sizeof number);
    party->gaps += number != party->next;
    party->next = number + 1;
    party->frames++;
    if (party->echo)
        link_send(pipe, buffer);
    else
        pipe->ops->buffer_free(buffer);
}

static void on_down(void *context, struct link_pipe *pipe)
{
    struct party *party = context;
    party->downs++;
    if (party->pipe == pipe) party->pipe = NULL;
}

static const struct link_handler handler = {on_up, on_frame, on_down};

static void boot(struct env *env, void *context)
{
    struct party *party = context;
    party->pipe = NULL;
    party->reactor = reactor_create(env, "main", 0);
    struct link_options options = {.reactor = party->reactor,
        .handler = &handler,
        .context = party,
        .frame_bytes_max = 1024,
        .dial = !party->echo};
    cr_assert_eq(link_open(env->net, "127.0.0.1:7000", &options, &party->end), STATUS_OK);
}

static struct scene *scene_create(uint64_t seed)
{
    struct scene *scene = mem_zalloc(sizeof *scene);
    scene->world = world_create(seed);
    scene->net = sim_net_create(scene->world);
    scene->server.echo = true;
    scene->server.process = process_create(scene->world, "server", NULL);
    scene->client.process = process_create(scene->world, "client", NULL);
    sim_net_attach(scene->net, scene->server.process);
    sim_net_attach(scene->net, scene->client.process);
    process_start(scene->server.process, boot, &scene->server);
    process_start(scene->client.process, boot, &scene->client);
    return scene;
}

static void scene_destroy(struct scene *scene)
{
    process_destroy(scene->server.process);
    process_destroy(scene->client.process);
    sim_net_destroy(scene->net);
    world_destroy(scene->world);
    mem_free(scene);
}

static void pass(struct scene *scene, uint64_t ns)
{
    world_run_until(scene->world, world_now(scene->world) + ns);
}

struct sending {
    struct party *party;
    uint32_t first, count;
};

static void send_some(struct env *env, void *argument)
{
    struct sending *sending = argument;
    for (uint32_t i = 0; i < sending->count; i++) {
        struct link_buffer *buffer = link_buffer_create(env->net, 64);
        uint32_t number = sending->first + i;
        memset(buffer->data, 0, 64);
        memcpy(buffer->data, &number, sizeof number);
        buffer->size = 64;
        link_send(sending->party->pipe, buffer);
    }
}

static void client_sends(struct scene *scene, uint32_t first, uint32_t count)
{
    struct sending sending = {&scene->client, first, count};
    cr_assert(process_call(scene->client.process, send_some, &sending));
}

Test(sim_net, frames_of_a_pipe_arrive_in_order_and_once)
{
    struct scene *scene = scene_create(1);
    pass(scene, WORLD_S);
    client_sends(scene, 0, 50);
    pass(scene, WORLD_S);
    cr_assert_eq(scene->server.frames, 50);
    cr_assert_eq(scene->client.frames, 50);
    cr_assert_eq(scene->server.gaps + scene->client.gaps, 0);
    scene_destroy(scene);
}

Test(sim_net, a_killed_peer_is_down_and_its_successor_is_dialed)
{
    struct scene *scene = scene_create(2);
    pass(scene, WORLD_S);
    process_kill(scene->server.process);
    pass(scene, WORLD_S);
    cr_assert_eq(scene->client.downs, 1);
    process_start(scene->server.process, boot, &scene->server);
    pass(scene, 3 * WORLD_S);
    cr_assert_eq(scene->client.ups, 2);
    client_sends(scene, 0, 3);
    pass(scene, WORLD_S);
    cr_assert_eq(scene->client.frames, 3);
    scene_destroy(scene);
}

Test(sim_net, a_peer_without_power_is_silent_until_it_is_back)
{
    struct scene *scene = scene_create(3);
    pass(scene, WORLD_S);
    process_power_cut(scene->server.process);
    client_sends(scene, 0, 3);
    pass(scene, 20 * WORLD_S);
    cr_assert_eq(scene->client.downs, 0);
    process_start(scene->server.process, boot, &scene->server);
    client_sends(scene, 3, 1);
    pass(scene, 3 * WORLD_S);
    cr_assert_eq(scene->client.downs, 1);
    cr_assert_eq(scene->client.ups, 2);
    scene_destroy(scene);
}

Test(sim_net, what_waits_at_a_cut_comes_late_and_in_order)
{
    struct scene *scene = scene_create(4);
    pass(scene, WORLD_S);
    client_sends(scene, 0, 5);
    sim_net_cut(scene->net, 1, 0, true);
    client_sends(scene, 5, 5);
    pass(scene, 5 * WORLD_S);
    cr_assert_lt(scene->server.frames, 10);
    sim_net_heal(scene->net);
    client_sends(scene, 10, 5);
    pass(scene, 5 * WORLD_S);
    cr_assert_eq(scene->server.frames, 15);
    cr_assert_eq(scene->server.gaps, 0);
    scene_destroy(scene);
}

Test(sim_net, a_listeners_queue_frees_what_is_above_64)
{
    struct scene *scene = scene_create(5);
    pass(scene, WORLD_S);
    process_pause_until(scene->client.process, world_now(scene->world) + WORLD_S);
    client_sends(scene, 0, 100);
    pass(scene, 3 * WORLD_S);
    cr_assert_eq(scene->server.frames, 100);
    cr_assert_eq(scene->client.frames, SIM_QUEUE_FRAMES);
    cr_assert_gt(sim_net_counts(scene->net)->queue_drops, 0);
    scene_destroy(scene);
}

static void send_large(struct env *env, void *argument)
{
    struct party *party = argument;
    struct link_buffer *buffer = link_buffer_create(env->net, 2000);
    memset(buffer->data, 0, 2000);
    buffer->size = 2000;
    link_send(party->pipe, buffer);
}

Test(sim_net, a_frame_above_the_limit_ends_the_pipe)
{
    struct scene *scene = scene_create(6);
    pass(scene, WORLD_S);
    cr_assert(process_call(scene->client.process, send_large, &scene->client));
    pass(scene, WORLD_S);
    cr_assert_eq(scene->server.downs, 1);
    cr_assert_eq(scene->client.downs, 1);
    cr_assert_eq(scene->server.frames, 0);
    scene_destroy(scene);
}

Test(sim_net, every_fault_ends_in_gaps_or_downs_and_repeats_from_its_seed)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        uint64_t hashes[2];
        for (int run = 0; run < 2; run++) {
            struct scene *scene = scene_create(seed);
            *sim_net_faults(scene->net) = (struct sim_net_faults){.loss_ppm = 20000,
                .duplicate_ppm = 20000,
                .reorder_ppm = 20000,
                .full_queue_ppm = 20000,
                .reset_ppm = 10000,
                .spike_ppm = 10000,
                .refuse_ppm = 300000};
            for (uint32_t i = 0; i < 200; i++) {
                pass(scene, 20 * WORLD_MS);
                if (scene->client.pipe) client_sends(scene, i, 2);
                if (i % 50 == 30) process_kill(scene->server.process);
                if (i % 50 == 35) process_start(scene->server.process, boot, &scene->server);
            }
            cr_assert_gt(scene->client.downs, 0);
            hashes[run] = world_trace_hash(scene->world);
            scene_destroy(scene);
        }
        cr_assert_eq(hashes[0], hashes[1], "seed %d", (int)seed);
    }
}
