/* What a test does to the network from outside: cuts, partitions and resets. */
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_pipes.h"

/* What waited sets out again, in its order. */
static void resume_notes(struct sim_net *net, uint32_t from, uint32_t to)
{
    LIST_FOR_EACH (link, &net->pipes) {
        struct pipe *pipe = CONTAINER_OF(link, struct pipe, link);
        for (int i = 0; i < 2; i++) {
            struct side *side = &pipe->sides[i], *sender = other(side);
            if (side->host->index != to || sender->host->index != from) continue;
            side->last_arrival_ns = world_now(net->world) + prng_below(chance(net), WORLD_S);
            LIST_FOR_EACH (item, &side->notes) {
                struct note *note = CONTAINER_OF(item, struct note, link);
                if (!note->local && list_is_empty(&note->delivery.link)) note_launch(note, true);
            }
        }
    }
}

void sim_net_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut)
{
    struct direction *direction = &net->directions[from][to];
    if (direction->cut == cut || from == to) return;
    direction->cut = cut;
    world_trace(
        net->world, process_name(net->hosts[from]->process), cut ? "is cut from host" : "is healed to host", to, 0);
    if (!cut) resume_notes(net, from, to);
}

bool sim_net_is_cut(const struct sim_net *net, uint32_t from, uint32_t to)
{
    return net->directions[from][to].cut;
}

void sim_net_partition(struct sim_net *net, uint64_t hosts_on_one_side)
{
    for (uint32_t a = 0; a < net->hosts_count; a++)
        for (uint32_t b = 0; b < net->hosts_count; b++)
            sim_net_cut(net, a, b, (hosts_on_one_side >> a & 1) != (hosts_on_one_side >> b & 1));
}

/* What crawls through a direction that was slow does the rest of its way at the usual speed. */
static void hurry_notes(struct sim_net *net, uint32_t from, uint32_t to)
{
    LIST_FOR_EACH (link, &net->pipes) {
        struct pipe *pipe = CONTAINER_OF(link, struct pipe, link);
        for (int i = 0; i < 2; i++) {
            struct side *side = &pipe->sides[i], *sender = other(side);
            if (side->host->index != to || sender->host->index != from) continue;
            side->last_arrival_ns = world_now(net->world);
            LIST_FOR_EACH (item, &side->notes) {
                struct note *note = CONTAINER_OF(item, struct note, link);
                if (!note->local && world_event_is_set(&note->arrive)) note_launch(note, true);
            }
        }
    }
}

void sim_net_slow(struct sim_net *net, uint32_t from, uint32_t to, uint32_t factor)
{
    struct direction *direction = &net->directions[from][to];
    bool was_slow = direction->slow > 1;
    direction->slow = factor;
    if (was_slow && factor <= 1) hurry_notes(net, from, to);
}

void sim_net_heal(struct sim_net *net)
{
    sim_net_partition(net, 0);
    for (uint32_t a = 0; a < net->hosts_count; a++)
        for (uint32_t b = 0; b < net->hosts_count; b++)
            sim_net_slow(net, a, b, 1);
}

void sim_net_reset(struct sim_net *net, uint32_t a, uint32_t b)
{
    LIST_FOR_EACH (link, &net->pipes) {
        struct pipe *pipe = CONTAINER_OF(link, struct pipe, link);
        struct host *dialer = pipe->sides[0].host, *listener = pipe->sides[1].host;
        if ((dialer->index == a && listener->index == b) || (dialer->index == b && listener->index == a)) {
            world_trace(net->world, host_name(dialer), "pipe is reset", pipe->sides[0].base.id, 0);
            pipe_break(pipe);
        }
    }
}
