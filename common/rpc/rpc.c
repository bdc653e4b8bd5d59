/* rpc: the endpoint of one reactor, its peers and listeners, and its goodbye. */
#include "common/rpc/rpc.h"

#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/rpc/talk.h"

enum { PIPES_MAX_DEFAULT = 1024, ANSWER_BUDGET_INTERNAL = 256 << 20, ANSWER_BUDGET_CLIENT = 64 << 20 };

/* ---- the endpoint ---- */

static void on_finish(struct task *task)
{
    struct rpc *rpc = CONTAINER_OF(task, struct rpc, finish);
    rpc_calls_finish_now(rpc);
}

static void on_bury(struct task *task)
{
    rpc_talks_bury(CONTAINER_OF(task, struct rpc, bury));
}

static void on_goodbye_look(struct task *task);

struct rpc_info rpc_info_of_start(struct env *env, enum rpc_role role, const uint8_t *cluster)
{
    struct rpc_info self = {.role = role};
    if (cluster) memcpy(self.cluster, cluster, sizeof self.cluster);
    env_entropy(env, self.instance, sizeof self.instance);
    return self;
}

struct rpc *rpc_create(const struct rpc_options *options)
{
    struct rpc *rpc = mem_zalloc(sizeof *rpc);
    rpc->reactor = options->reactor;
    struct env *env = reactor_env(options->reactor);
    rpc->net = env->net;
    rpc->listen_net = env->listen_net ? env->listen_net : env->net;
    CHECK(rpc->net && options->self.role != RPC_ROLE_NONE);
    rpc->self = options->self;
    rpc->refresh = options->refresh;
    rpc->context = options->context;
    /* Pipes of several reactors of one process are told apart. */
    rpc->next_connection = (uint64_t)(reactor_index(options->reactor) + 1) << 32;
    list_init(&rpc->peers);
    list_init(&rpc->listeners);
    list_init(&rpc->talks);
    list_init(&rpc->finished);
    list_init(&rpc->dead);
    list_init(&rpc->free_requests);
    task_init(&rpc->finish, on_finish);
    task_init(&rpc->bury, on_bury);
    timer_init(&rpc->tick, rpc->reactor, NULL);
    task_init(&rpc->goodbye_look, on_goodbye_look);
    timer_init(&rpc->goodbye_timer, rpc->reactor, NULL);
    return rpc;
}

void rpc_identify(struct rpc *rpc, const struct rpc_info *self)
{
    CHECK(self->role != RPC_ROLE_NONE && self->shards_count <= SHARDS_MAX);
    rpc->self = *self;
}

struct reactor *rpc_reactor(const struct rpc *rpc)
{
    return rpc->reactor;
}

const struct rpc_counters *rpc_counters(const struct rpc *rpc)
{
    struct rpc_counters *counters = &((struct rpc *)rpc)->counters;
    counters->queued_bytes = 0;
    LIST_FOR_EACH (node, &rpc->talks) {
        const struct rpc_talk *talk = CONTAINER_OF(node, struct rpc_talk, link);
        counters->queued_bytes += talk->calls.bytes + talk->answers.bytes;
    }
    return counters;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void rpc_sight(const struct rpc *rpc, struct rpc_sight *out)
{
    uint64_t now = env_mono_ns(reactor_env(rpc->reactor));
    LIST_FOR_EACH (link, &rpc->talks) {
        const struct rpc_talk *talk = CONTAINER_OF(link, struct rpc_talk, link);
        out->talks++;
        out->calls += talk->calls_open;
        out->requests += talk->requests_kept;
        out->call_late_ns = later(out->call_late_ns, rpc_calls_late_ns(talk, now));
        out->request_late_ns = later(out->request_late_ns, rpc_serve_late_ns(talk, now));
    }
}

static void listener_destroy(struct rpc_listener *listener)
{
    link_close(listener->rpc->listen_net, listener->end);
    list_remove(&listener->link);
    mem_free(listener->address);
    mem_free(listener);
}

void rpc_destroy(struct rpc *rpc)
{
    rpc->stopping = true;
    rpc->goodbye_told = true;
    LIST_FOR_EACH (node, &rpc->peers)
        rpc_peer_destroy(CONTAINER_OF(node, struct rpc_peer, link));
    LIST_FOR_EACH (node, &rpc->talks)
        rpc_talk_drop(CONTAINER_OF(node, struct rpc_talk, link));
    LIST_FOR_EACH (node, &rpc->listeners)
        listener_destroy(CONTAINER_OF(node, struct rpc_listener, link));
    LIST_FOR_EACH (node, &rpc->talks) {
        struct rpc_talk *talk = CONTAINER_OF(node, struct rpc_talk, link);
        rpc_serve_forget(talk);
        rpc_talk_release(talk);
    }
    rpc_calls_finish_now(rpc);
    CHECK(list_is_empty(&rpc->talks) && list_is_empty(&rpc->peers) && list_is_empty(&rpc->finished));
    rpc_talks_bury(rpc);
    task_cancel(&rpc->finish);
    task_cancel(&rpc->bury);
    task_cancel(&rpc->goodbye_look);
    timer_stop(&rpc->tick);
    timer_stop(&rpc->goodbye_timer);
    rpc_serve_free_pool(rpc);
    mem_free(rpc);
}

/* ---- goodbye ---- */

static bool serves_requests(const struct rpc *rpc)
{
    LIST_FOR_EACH (node, &rpc->talks) {
        const struct rpc_talk *talk = CONTAINER_OF(node, struct rpc_talk, link);
        if (talk->requests_open > 0) return true;
    }
    return false;
}

static bool waits_for_peers(const struct rpc *rpc)
{
    LIST_FOR_EACH (node, &rpc->talks) {
        const struct rpc_talk *talk = CONTAINER_OF(node, struct rpc_talk, link);
        /* A listener waits for its dialers to close: frames given to the door are not flushed by a close of ours. */
        if (talk->dialed ? !rpc_talk_is_quiet(talk) : talk->state == RPC_TALK_OPEN) return true;
    }
    return false;
}

/* The second half: what was being served is served, or has had its time; now our own calls end too. */
static void leave_peers(struct rpc *rpc)
{
    if (rpc->goodbye_left) return;
    rpc->goodbye_left = true;
    LIST_FOR_EACH (node, &rpc->talks) {
        struct rpc_talk *talk = CONTAINER_OF(node, struct rpc_talk, link);
        if (talk->dialed) rpc_talk_goodbye(talk);
    }
    LIST_FOR_EACH (node, &rpc->peers) {
        struct rpc_peer *peer = CONTAINER_OF(node, struct rpc_peer, link);
        if (!peer->up) continue;
        peer->up = false;
        if (peer->options.down) peer->options.down(peer->options.context, peer);
    }
}

static void on_goodbye_look(struct task *task)
{
    struct rpc *rpc = CONTAINER_OF(task, struct rpc, goodbye_look);
    if (rpc->goodbye_told || !rpc->goodbye_done) return;
    if (!serves_requests(rpc)) leave_peers(rpc);
    if (!rpc->goodbye_left || waits_for_peers(rpc)) return;
    rpc->goodbye_told = true;
    timer_stop(&rpc->goodbye_timer);
    rpc->goodbye_done(rpc->goodbye_context);
}

static void on_goodbye_timer(struct timer *timer)
{
    struct rpc *rpc = CONTAINER_OF(timer, struct rpc, goodbye_timer);
    if (!rpc->goodbye_left) {
        leave_peers(rpc);
        timer_start_in(&rpc->goodbye_timer, (uint64_t)(RPC_GOODBYE_MS - RPC_GOODBYE_SERVE_MS) * 1000000);
        rpc_goodbye_check(rpc);
        return;
    }
    rpc->goodbye_told = true;
    rpc->goodbye_done(rpc->goodbye_context);
}

void rpc_goodbye_check(struct rpc *rpc)
{
    if (rpc->goodbye_done && !rpc->goodbye_told) reactor_defer(rpc->reactor, &rpc->goodbye_look);
}

void rpc_goodbye(struct rpc *rpc, void (*done)(void *context), void *context)
{
    CHECK(done && !rpc->stopping);
    rpc->stopping = true;
    rpc->goodbye_done = done;
    rpc->goodbye_context = context;
    timer_init(&rpc->goodbye_timer, rpc->reactor, on_goodbye_timer);
    timer_start_in(&rpc->goodbye_timer, (uint64_t)RPC_GOODBYE_SERVE_MS * 1000000);
    LIST_FOR_EACH (node, &rpc->talks) {
        struct rpc_talk *talk = CONTAINER_OF(node, struct rpc_talk, link);
        if (!talk->dialed) rpc_talk_goodbye(talk);
    }
    rpc_goodbye_check(rpc);
}

/* ---- events of the door ---- */

static bool peer_pipe_up(void *context, struct link_pipe *pipe)
{
    struct rpc_peer *peer = context;
    if (peer->rpc->stopping) return false;
    if (peer->talk) rpc_talk_end(peer->talk, RPC_END_SUPERSEDED, "its dialer has a newer pipe");
    struct rpc_talk *talk = rpc_talk_create(peer->rpc, pipe, peer, NULL);
    pipe->user = talk;
    peer->talk = talk;
    return true;
}

static bool listener_pipe_up(void *context, struct link_pipe *pipe)
{
    struct rpc_listener *listener = context;
    if (listener->rpc->stopping) return false;
    pipe->user = rpc_talk_create(listener->rpc, pipe, NULL, listener);
    return true;
}

static void pipe_frame(void *context, struct link_pipe *pipe, struct link_buffer *buffer)
{
    (void)context;
    rpc_talk_frame(pipe->user, buffer);
}

static void pipe_down(void *context, struct link_pipe *pipe)
{
    (void)context;
    rpc_talk_down(pipe->user);
}

static const struct link_handler PEER_HANDLER = {peer_pipe_up, pipe_frame, pipe_down};
static const struct link_handler LISTENER_HANDLER = {listener_pipe_up, pipe_frame, pipe_down};

static uint32_t frame_bytes_max(enum rpc_kind kind)
{
    return kind == RPC_CLIENT ? FRAME_BYTES_MAX_CLIENT : FRAME_BYTES_MAX;
}

/* ---- peers ---- */

enum status rpc_peer_create(struct rpc *rpc, const struct rpc_peer_options *options, struct rpc_peer **out)
{
    struct rpc_peer *peer = mem_zalloc(sizeof *peer);
    peer->rpc = rpc;
    peer->options = *options;
    peer->address = mem_strdup(options->address);
    peer->options.address = peer->address;
    peer->connection = rpc->next_connection++;
    struct link_options link = {.reactor = rpc->reactor,
        .handler = &PEER_HANDLER,
        .context = peer,
        .frame_bytes_max = frame_bytes_max(options->kind),
        .dial = true};
    enum status status = link_open(rpc->net, peer->address, &link, &peer->end);
    if (status != STATUS_OK) {
        mem_free(peer->address);
        mem_free(peer);
        return status;
    }
    list_push_back(&rpc->peers, &peer->link);
    *out = peer;
    return STATUS_OK;
}

void rpc_peer_destroy(struct rpc_peer *peer)
{
    struct rpc *rpc = peer->rpc;
    peer->options.up = NULL;
    peer->options.down = NULL;
    /* The talks of this peer: the newest, and those that are lame. */
    LIST_FOR_EACH (node, &rpc->talks) {
        struct rpc_talk *talk = CONTAINER_OF(node, struct rpc_talk, link);
        if (talk->peer == peer) rpc_talk_drop(talk);
    }
    link_close(rpc->net, peer->end);
    list_remove(&peer->link);
    mem_free(peer->address);
    mem_free(peer);
}

bool rpc_peer_is_up(const struct rpc_peer *peer)
{
    return peer->up;
}

const struct rpc_info *rpc_peer_info(const struct rpc_peer *peer)
{
    return peer->up ? &peer->talk->info : NULL;
}

const char *rpc_peer_address(const struct rpc_peer *peer)
{
    return peer->address;
}

bool rpc_peer_clock(const struct rpc_peer *peer, int64_t *wall_us, uint64_t *at_ns)
{
    if (!peer->up) return false;
    *wall_us = peer->talk->peer_wall_us;
    *at_ns = peer->talk->heard_ns;
    return true;
}

uint64_t rpc_peer_heard_ns(const struct rpc_peer *peer)
{
    return peer->up ? peer->talk->heard_ns : 0;
}

uint32_t rpc_peer_open(const struct rpc_peer *peer)
{
    return peer->talk ? peer->talk->calls_open : 0;
}

/* ---- listeners ---- */

static void fill_defaults(struct rpc_listen_options *options)
{
    bool client = options->kind == RPC_CLIENT;
    if (!options->pipes_max) options->pipes_max = PIPES_MAX_DEFAULT;
    if (!options->answer_bytes_max) options->answer_bytes_max = client ? PAGE_BYTES_MAX_CLIENT : PAGE_BYTES_MAX;
    if (!options->answer_budget_bytes)
        options->answer_budget_bytes = client ? ANSWER_BUDGET_CLIENT : ANSWER_BUDGET_INTERNAL;
    if (!options->calls_max) {
        uint64_t calls = options->answer_budget_bytes / options->answer_bytes_max;
        options->calls_max = calls < 1 ? 1 : calls > RPC_SLOTS_MAX / 2 ? RPC_SLOTS_MAX / 2 : (uint32_t)calls;
    }
}

enum status rpc_listen(struct rpc *rpc, const struct rpc_listen_options *options, struct rpc_listener **out)
{
    struct rpc_listener *listener = mem_zalloc(sizeof *listener);
    listener->rpc = rpc;
    listener->options = *options;
    listener->options.handlers = NULL;
    listener->address = mem_strdup(options->address);
    listener->options.address = listener->address;
    fill_defaults(&listener->options);
    for (uint32_t i = 0; i < options->handlers_count; i++)
        rpc_listener_handle(listener, &options->handlers[i]);
    struct link_options link = {.reactor = rpc->reactor,
        .handler = &LISTENER_HANDLER,
        .context = listener,
        .frame_bytes_max = frame_bytes_max(options->kind),
        .pipes_max = listener->options.pipes_max};
    enum status status = link_open(rpc->listen_net, listener->address, &link, &listener->end);
    if (status != STATUS_OK) {
        mem_free(listener->address);
        mem_free(listener);
        return status;
    }
    list_push_back(&rpc->listeners, &listener->link);
    *out = listener;
    return STATUS_OK;
}

void rpc_listener_handle(struct rpc_listener *listener, const struct rpc_handler *handler)
{
    CHECK(handler->method > 0 && handler->method < METHODS_MAX && handler->handle);
    listener->handlers[handler->method] = *handler;
}

void rpc_listener_handle_all(
    struct rpc_listener *listener, const struct rpc_handlers *const *files, uint32_t count, void *context)
{
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < files[i]->count; k++) {
            struct rpc_handler handler = files[i]->handlers[k];
            handler.context = context;
            rpc_listener_handle(listener, &handler);
        }
}

struct link_end *rpc_listener_end(const struct rpc_listener *listener)
{
    return listener->end;
}
