#include "tests/unit/common/rpc/pair.h"

#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/runtime/reactor.h"

struct link_end {
    struct list link;
    struct pair_net *net;
    struct reactor *reactor;
    struct link_options options;
    const struct link_handler *handler;
    void *context;
    char *address;
    uint64_t redial_ns; /* not before */
};

enum { REDIAL_MS = 100 };

/* One side of a connection. */
struct pipe_half {
    struct link_pipe base;
    struct list link;
    struct link_end *end;
    struct pipe_half *other;
    bool told_up, dead;
    enum pair_side side;
};

struct flying {
    struct list link;
    struct pipe_half *to;
    struct link_buffer *buffer;
};

static struct link_buffer *door_buffer_create(struct net *net, uint32_t capacity)
{
    (void)net;
    struct link_buffer *buffer = mem_zalloc(sizeof *buffer);
    buffer->data = mem_alloc(capacity);
    buffer->capacity = capacity;
    return buffer;
}

static void door_buffer_free(struct link_buffer *buffer)
{
    mem_free(buffer->data);
    mem_free(buffer);
}

static void fly(struct pair_net *net, struct pipe_half *to, struct link_buffer *buffer)
{
    struct flying *flying = mem_alloc(sizeof *flying);
    *flying = (struct flying){.to = to, .buffer = buffer};
    list_push_back(&net->undelivered, &flying->link);
}

static struct link_buffer *copy(struct link_buffer *buffer)
{
    struct link_buffer *other = door_buffer_create(NULL, buffer->size);
    memcpy(other->data, buffer->data, buffer->size);
    other->size = buffer->size;
    other->reply_to = buffer->reply_to;
    return other;
}

static void pipe_send(struct link_pipe *pipe, struct link_buffer *buffer)
{
    struct pipe_half *half = CONTAINER_OF(pipe, struct pipe_half, base);
    struct pair_net *net = half->end->net;
    struct pair_way *way = &net->ways[half->side];
    way->frames++;
    if (half->dead || !half->other || way->lose > 0) {
        if (way->lose > 0) way->lose--;
        door_buffer_free(buffer);
        return;
    }
    if (way->repeat > 0) {
        way->repeat--;
        fly(net, half->other, copy(buffer));
    }
    fly(net, half->other, buffer);
    way->waiting++;
}

static void drop_flying(struct pair_net *net, struct pipe_half *half)
{
    LIST_FOR_EACH (node, &net->undelivered) {
        struct flying *flying = CONTAINER_OF(node, struct flying, link);
        if (flying->to != half) continue;
        list_remove(node);
        door_buffer_free(flying->buffer);
        mem_free(flying);
    }
}

static void half_free(struct pipe_half *half)
{
    half->end->redial_ns = env_mono_ns(reactor_env(half->end->reactor)) + REDIAL_MS * PAIR_MS;
    drop_flying(half->end->net, half);
    if (half->other) half->other->other = NULL;
    list_remove(&half->link);
    mem_free(half);
}

static void pipe_close(struct link_pipe *pipe)
{
    struct pipe_half *half = CONTAINER_OF(pipe, struct pipe_half, base);
    half->end->net->closed++;
    half->dead = true;
    if (half->other) half->other->dead = true;
}

static enum status end_open(
    struct net *net, const char *address, const struct link_options *options, struct link_end **out)
{
    struct pair_net *pair_net = CONTAINER_OF(net, struct pair_net, net);
    struct link_end *end = mem_zalloc(sizeof *end);
    end->net = pair_net;
    end->reactor = options->reactor;
    end->options = *options;
    end->handler = options->handler;
    end->context = options->context;
    end->address = mem_strdup(address);
    list_push_back(&pair_net->ends, &end->link);
    *out = end;
    return STATUS_OK;
}

static void end_close(struct link_end *end)
{
    LIST_FOR_EACH (node, &end->net->pipes) {
        struct pipe_half *half = CONTAINER_OF(node, struct pipe_half, link);
        if (half->end != end) continue;
        if (half->other) half->other->dead = true;
        half_free(half);
    }
    list_remove(&end->link);
    mem_free(end->address);
    mem_free(end);
}

static const struct net_ops OPS = {end_open, end_close, door_buffer_create, door_buffer_free, pipe_send, pipe_close};

static struct pipe_half *half_create(struct link_end *end, enum pair_side side)
{
    struct pipe_half *half = mem_zalloc(sizeof *half);
    half->base.ops = &OPS;
    half->base.id = end->net->next_id++;
    half->base.remote = side == PAIR_DIALER ? end->address : "127.0.0.1:50000";
    half->end = end;
    half->side = side;
    list_push_back(&end->net->pipes, &half->link);
    return half;
}

static bool end_has_pipe(const struct link_end *end)
{
    LIST_FOR_EACH (node, &end->net->pipes) {
        if (CONTAINER_OF(node, struct pipe_half, link)->end == end) return true;
    }
    return false;
}

/* Connects dialers that have no pipe. */
static bool connect_ends(struct pair_net *net)
{
    bool moved = false;
    LIST_FOR_EACH (node, &net->ends) {
        struct link_end *dialer = CONTAINER_OF(node, struct link_end, link);
        if (!dialer->options.dial || end_has_pipe(dialer)) continue;
        if (env_mono_ns(reactor_env(dialer->reactor)) < dialer->redial_ns) continue;
        LIST_FOR_EACH (other, &net->ends) {
            struct link_end *listener = CONTAINER_OF(other, struct link_end, link);
            if (listener->options.dial || strcmp(listener->address, dialer->address) != 0) continue;
            struct pipe_half *near = half_create(dialer, PAIR_DIALER), *far = half_create(listener, PAIR_LISTENER);
            near->other = far;
            far->other = near;
            moved = true;
            break;
        }
    }
    return moved;
}

static bool tell_ups_and_downs(struct pair_net *net)
{
    LIST_FOR_EACH (node, &net->pipes) {
        struct pipe_half *half = CONTAINER_OF(node, struct pipe_half, link);
        if (half->dead) {
            if (half->told_up) half->end->handler->down(half->end->context, &half->base);
            half_free(half);
            return true;
        }
        if (!half->told_up) {
            half->told_up = true;
            if (!half->end->handler->up(half->end->context, &half->base)) {
                half->told_up = false;
                half->dead = true;
                if (half->other) half->other->dead = true;
            }
            return true;
        }
    }
    return false;
}

static bool deliver_one(struct pair_net *net)
{
    LIST_FOR_EACH (node, &net->undelivered) {
        struct flying *flying = CONTAINER_OF(node, struct flying, link);
        struct pipe_half *to = flying->to;
        struct pair_way *way = &net->ways[to->side == PAIR_DIALER ? PAIR_LISTENER : PAIR_DIALER];
        if (way->hold || !to->told_up) continue;
        if (way->waiting > 0) way->waiting--;
        list_remove(node);
        struct link_buffer *buffer = flying->buffer;
        mem_free(flying);
        if (to->dead)
            door_buffer_free(buffer);
        else
            to->end->handler->frame(to->end->context, &to->base, buffer);
        return true;
    }
    return false;
}

struct rpc_info pair_info(enum pair_side side)
{
    struct rpc_info info = {.role = side == PAIR_DIALER ? RPC_ROLE_ROUTER : RPC_ROLE_NODE, .daemon_id = side + 1u};
    memset(info.cluster, 9, sizeof info.cluster);
    memset(info.instance, (int)side + 1, sizeof info.instance);
    return info;
}

void pair_init(struct pair *pair)
{
    memset(pair, 0, sizeof *pair);
    pair->net.net.ops = &OPS;
    pair->net.next_id = 1;
    list_init(&pair->net.ends);
    list_init(&pair->net.pipes);
    list_init(&pair->net.undelivered);
    for (int side = 0; side < 2; side++) {
        fake_init(&pair->fakes[side]);
        pair->fakes[side].mono_ns = 1000 * PAIR_MS;
        pair->fakes[side].wall_us = (int64_t)1700000000 * 1000000;
        pair->fakes[side].env.net = &pair->net.net;
        reactor_turn(pair->fakes[side].reactor);
    }
    struct rpc_options options = {.reactor = pair->fakes[PAIR_DIALER].reactor, .self = pair_info(PAIR_DIALER)};
    pair->dialer = rpc_create(&options);
    options.reactor = pair->fakes[PAIR_LISTENER].reactor;
    options.self = pair_info(PAIR_LISTENER);
    pair->listener = rpc_create(&options);
}

void pair_fini(struct pair *pair)
{
    rpc_destroy(pair->dialer);
    rpc_destroy(pair->listener);
    CHECK(list_is_empty(&pair->net.pipes) && list_is_empty(&pair->net.undelivered));
    fake_fini(&pair->fakes[PAIR_DIALER]);
    fake_fini(&pair->fakes[PAIR_LISTENER]);
}

void pair_connect(struct pair *pair, const struct rpc_handler *handlers, uint32_t count)
{
    struct rpc_listen_options listen = {.address = PAIR_ADDRESS, .handlers = handlers, .handlers_count = count};
    CHECK(rpc_listen(pair->listener, &listen, &pair->listening) == STATUS_OK);
    struct rpc_peer_options peer = {.address = PAIR_ADDRESS};
    CHECK(rpc_peer_create(pair->dialer, &peer, &pair->peer) == STATUS_OK);
    pair_settle(pair);
    CHECK(rpc_peer_is_up(pair->peer));
}

static bool something_is_deliverable(const struct pair_net *net)
{
    LIST_FOR_EACH (node, &net->undelivered) {
        const struct pipe_half *to = CONTAINER_OF(node, struct flying, link)->to;
        if (!net->ways[to->side == PAIR_DIALER ? PAIR_LISTENER : PAIR_DIALER].hold) return true;
    }
    return false;
}

void pair_settle(struct pair *pair)
{
    for (unsigned rounds = 0; rounds < 100000; rounds++) {
        bool moved = false;
        for (int side = 0; side < 2; side++)
            if (reactor_turn(pair->fakes[side].reactor) <= pair->fakes[side].mono_ns) moved = true;
        while (connect_ends(&pair->net) || tell_ups_and_downs(&pair->net) || deliver_one(&pair->net))
            moved = true;
        if (!moved && !something_is_deliverable(&pair->net)) return;
    }
    CHECK(!"the pair never comes to rest");
}

void pair_pass(struct pair *pair, uint64_t ns)
{
    uint64_t end = pair->fakes[0].mono_ns + ns;
    pair_settle(pair);
    while (pair->fakes[0].mono_ns < end) {
        uint64_t next = end;
        for (int side = 0; side < 2; side++) {
            uint64_t due = reactor_turn(pair->fakes[side].reactor);
            if (due < next) next = due;
        }
        if (next > pair->fakes[0].mono_ns + REDIAL_MS * PAIR_MS / 2)
            next = pair->fakes[0].mono_ns + REDIAL_MS * PAIR_MS / 2;
        if (next < pair->fakes[0].mono_ns) next = pair->fakes[0].mono_ns;
        uint64_t step = next - pair->fakes[0].mono_ns;
        for (int side = 0; side < 2; side++) {
            pair->fakes[side].mono_ns += step;
            pair->fakes[side].wall_us += (int64_t)(step / 1000);
        }
        pair_settle(pair);
    }
}

void pair_reset(struct pair *pair)
{
    LIST_FOR_EACH (node, &pair->net.pipes)
        CONTAINER_OF(node, struct pipe_half, link)->dead = true;
    pair_settle(pair);
}

static bool raw_up(void *context, struct link_pipe *pipe)
{
    struct pair_raw *raw = context;
    raw->pipe = pipe;
    return true;
}

static void raw_frame(void *context, struct link_pipe *pipe, struct link_buffer *buffer)
{
    (void)pipe;
    struct pair_raw *raw = context;
    raw->received++;
    raw->last_size = buffer->size < sizeof raw->last ? buffer->size : (uint32_t)sizeof raw->last;
    memcpy(raw->last, buffer->data, raw->last_size);
    raw->last_reply_to = buffer->reply_to;
    door_buffer_free(buffer);
}

static void raw_down(void *context, struct link_pipe *pipe)
{
    (void)pipe;
    struct pair_raw *raw = context;
    raw->pipe = NULL;
    raw->downs++;
}

static const struct link_handler RAW_HANDLER = {raw_up, raw_frame, raw_down};

void pair_raw_dial(struct pair *pair, struct pair_raw *raw)
{
    memset(raw, 0, sizeof *raw);
    struct link_options options = {
        .reactor = pair->fakes[PAIR_DIALER].reactor, .handler = &RAW_HANDLER, .context = raw, .dial = true};
    CHECK(link_open(&pair->net.net, PAIR_ADDRESS, &options, &raw->end) == STATUS_OK);
    pair_settle(pair);
    CHECK(raw->pipe);
}

void pair_raw_send(struct pair *pair, struct pair_raw *raw, const void *data, uint32_t size, uint64_t reply_to)
{
    CHECK(raw->pipe);
    struct link_buffer *buffer = door_buffer_create(&pair->net.net, size ? size : 1);
    if (size) memcpy(buffer->data, data, size);
    buffer->size = size;
    buffer->reply_to = reply_to;
    link_send(raw->pipe, buffer);
    pair_settle(pair);
}
