#include "common/rpc/nng/link_nng.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/rpc/nng/closer.h"
#include "common/runtime/reactor.h"

enum {
    RECONNECT_MS_MIN = 100,
    RECONNECT_MS_MAX = 2000,
    INBOX_FRAMES_MAX =
        2 * LINK_NNG_QUEUE_FRAMES, /* of one pipe, not yet taken by its reactor; honest peers stay below */
    QUIET_MS = 300,
    URL_BYTES = 128,
};
/* The last word of nng's header; its top bit says that no more words follow. */
#define REQUEST_WORD 0x80000000u
_Static_assert((int)LINK_QUEUE_FRAMES_MAX < (int)INBOX_FRAMES_MAX, "who keeps the window is never dropped");

struct link_nng {
    struct net net;
    struct env *env;
    struct closer *closer;
    _Atomic uint64_t next_pipe;
    _Atomic uint64_t added, removed, full, closes, strange;
};

/* What the threads share of an end is under its mutex. It also orders sends with REM_POST. */
struct link_end {
    struct link_nng *net;
    struct reactor *reactor;
    struct link_options options;
    const struct link_handler *handler;
    void *context;
    bool closed; /* the reactor's: no event any more */
    uint16_t port;
    nng_socket socket;
    nng_aio *send_aio, *receive_aio;
    struct closing closing;
    _Atomic uint32_t references; /* mail on its way, the open end or its closer */

    pthread_mutex_t mutex;
    bool closing_asked;
    struct map pipes;    /* by nng's id: those that nng has */
    struct list all;     /* every nng_pipe_state not freed */
    struct list queue;   /* frames that wait for the send aio */
    bool sending;        /* the send aio has a frame */
    uint32_t sending_to; /* of this pipe */
    uint64_t traffic_ns; /* when a frame last came or went */
};

struct pipe_state {
    struct link_pipe base;
    struct list link; /* end->all */
    struct link_end *end;
    uint32_t nng_id;
    bool up; /* under the mutex: nng has it */
    _Atomic uint32_t inbox;
    bool accepted; /* the reactor's */
    _Atomic uint64_t heard_ns;
    struct timer quiet; /* a refused pipe is closed when it is quiet */
    struct mail up_mail, down_mail;
    char remote[64];
};

/* A frame: nng's message, and what carries it to the reactor or in the queue. */
struct message {
    struct link_buffer base;
    nng_msg *msg;
    struct pipe_state *pipe;
    struct mail mail;
    struct list link;
};

static struct link_nng *net_of(struct net *net)
{
    return CONTAINER_OF(net, struct link_nng, net);
}

static struct pipe_state *state_of(struct link_pipe *pipe)
{
    return CONTAINER_OF(pipe, struct pipe_state, base);
}

/* ---- buffers ---- */

static struct link_buffer *door_buffer_create(struct net *net, uint32_t capacity)
{
    (void)net;
    struct message *message = mem_zalloc(sizeof *message);
    CHECK(nng_msg_alloc(&message->msg, capacity) == 0);
    message->base.data = nng_msg_body(message->msg);
    message->base.capacity = capacity;
    list_init(&message->link);
    return &message->base;
}

static void door_buffer_free(struct link_buffer *buffer)
{
    struct message *message = CONTAINER_OF(buffer, struct message, base);
    if (message->msg) nng_msg_free(message->msg);
    mem_free(message);
}

/* ---- references ---- */

static void end_free(struct link_end *end)
{
    struct list *node;
    while ((node = list_pop_front(&end->all)))
        mem_free(CONTAINER_OF(node, struct pipe_state, link));
    map_free(&end->pipes);
    pthread_mutex_destroy(&end->mutex);
    mem_free(end);
}

static void end_release(struct link_end *end)
{
    if (atomic_fetch_sub(&end->references, 1) == 1) end_free(end);
}

/* Under the mutex, so that the order of mail is the order of events. */
static void end_post(struct link_end *end, struct mail *mail)
{
    atomic_fetch_add(&end->references, 1);
    reactor_post(end->reactor, mail);
}

/* ---- sending ---- */

static void set_header(struct message *message)
{
    struct pipe_state *pipe = message->pipe;
    uint32_t word = message->base.reply_to ? (uint32_t)message->base.reply_to : REQUEST_WORD;
    nng_msg_header_clear(message->msg);
    if (!pipe->end->options.dial) CHECK(nng_msg_header_append_u32(message->msg, pipe->nng_id) == 0);
    CHECK(nng_msg_header_append_u32(message->msg, word) == 0);
}

/* Under the mutex. One frame at a time: two send operations would lose their order. */
static void send_next(struct link_end *end)
{
    struct list *node;
    while (!end->sending && (node = list_pop_front(&end->queue))) {
        struct message *message = CONTAINER_OF(node, struct message, link);
        if (message->pipe->up) {
            end->sending = true;
            end->sending_to = message->pipe->nng_id;
            nng_aio_set_msg(end->send_aio, message->msg);
            message->msg = NULL;
            nng_send_aio(end->socket, end->send_aio);
        }
        door_buffer_free(&message->base);
    }
}

static void on_sent(void *argument)
{
    struct link_end *end = argument;
    if (nng_aio_result(end->send_aio) != 0) {
        nng_msg *msg = nng_aio_get_msg(end->send_aio);
        if (msg) nng_msg_free(msg);
        nng_aio_set_msg(end->send_aio, NULL);
    }
    pthread_mutex_lock(&end->mutex);
    end->sending = false;
    send_next(end);
    pthread_mutex_unlock(&end->mutex);
}

static void door_send(struct link_pipe *pipe, struct link_buffer *buffer)
{
    struct pipe_state *state = state_of(pipe);
    struct link_end *end = state->end;
    struct message *message = CONTAINER_OF(buffer, struct message, base);
    CHECK(buffer->size <= buffer->capacity && message->msg);
    if (nng_msg_len(message->msg) > buffer->size)
        CHECK(nng_msg_chop(message->msg, nng_msg_len(message->msg) - buffer->size) == 0);
    message->pipe = state;
    set_header(message);
    pthread_mutex_lock(&end->mutex);
    end->traffic_ns = closer_now_ns();
    bool up = state->up && !end->closing_asked;
    if (up) {
        list_push_back(&end->queue, &message->link);
        send_next(end);
    }
    pthread_mutex_unlock(&end->mutex);
    if (!up) door_buffer_free(buffer);
}

/* ---- events on the reactor's thread ---- */

static void close_nng_pipe(struct pipe_state *pipe)
{
    nng_pipe id = {.id = pipe->nng_id};
    if (nng_pipe_close(id) == 0) atomic_fetch_add(&pipe->end->net->closes, 1);
}

static void on_quiet(struct timer *timer)
{
    struct pipe_state *pipe = CONTAINER_OF(timer, struct pipe_state, quiet);
    uint64_t quiet_ns = (uint64_t)QUIET_MS * 1000000, now = closer_now_ns();
    if (now - atomic_load(&pipe->heard_ns) < quiet_ns)
        timer_start_in(timer, quiet_ns);
    else
        close_nng_pipe(pipe);
}

static void deliver_up(struct mail *mail)
{
    struct pipe_state *pipe = CONTAINER_OF(mail, struct pipe_state, up_mail);
    struct link_end *end = pipe->end;
    if (!end->closed) {
        timer_init(&pipe->quiet, end->reactor, on_quiet);
        pipe->accepted = end->handler->up(end->context, &pipe->base);
        if (!pipe->accepted) timer_start_in(&pipe->quiet, (uint64_t)QUIET_MS * 1000000);
    }
    end_release(end);
}

static void deliver_frame(struct mail *mail)
{
    struct message *message = CONTAINER_OF(mail, struct message, mail);
    struct pipe_state *pipe = message->pipe;
    struct link_end *end = pipe->end;
    atomic_fetch_sub(&pipe->inbox, 1);
    if (!end->closed && pipe->accepted)
        end->handler->frame(end->context, &pipe->base, &message->base);
    else
        door_buffer_free(&message->base);
    end_release(end);
}

static void deliver_down(struct mail *mail)
{
    struct pipe_state *pipe = CONTAINER_OF(mail, struct pipe_state, down_mail);
    struct link_end *end = pipe->end;
    if (!end->closed) {
        timer_stop(&pipe->quiet);
        if (pipe->accepted) end->handler->down(end->context, &pipe->base);
        pthread_mutex_lock(&end->mutex);
        list_remove(&pipe->link);
        pthread_mutex_unlock(&end->mutex);
        mem_free(pipe);
    }
    end_release(end);
}

/* ---- events on nng's threads ---- */

static struct message *message_of(struct pipe_state *pipe, nng_msg *msg)
{
    struct message *message = mem_zalloc(sizeof *message);
    message->msg = msg;
    message->pipe = pipe;
    message->mail.deliver = deliver_frame;
    list_init(&message->link);
    message->base.data = nng_msg_body(msg);
    message->base.size = message->base.capacity = (uint32_t)nng_msg_len(msg);
    /* A listener's message carries the pipe's id and the request's word; a plain client wants that word back. */
    if (!pipe->end->options.dial && nng_msg_header_len(msg) == 2 * sizeof(uint32_t)) {
        const uint8_t *word = (const uint8_t *)nng_msg_header(msg) + sizeof(uint32_t);
        message->base.reply_to = (uint64_t)word[0] << 24 | (uint64_t)word[1] << 16 | (uint64_t)word[2] << 8 | word[3];
    }
    return message;
}

static void take_message(struct link_end *end, nng_msg *msg)
{
    nng_pipe from = nng_msg_get_pipe(msg);
    pthread_mutex_lock(&end->mutex);
    struct pipe_state *pipe = map_get(&end->pipes, from.id);
    if (pipe && !end->closing_asked && atomic_load(&pipe->inbox) < INBOX_FRAMES_MAX) {
        atomic_fetch_add(&pipe->inbox, 1);
        atomic_store(&pipe->heard_ns, closer_now_ns());
        end_post(end, &message_of(pipe, msg)->mail);
        msg = NULL;
    }
    end->traffic_ns = closer_now_ns();
    pthread_mutex_unlock(&end->mutex);
    if (!msg) return;
    atomic_fetch_add(&end->net->strange, 1);
    nng_msg_free(msg);
}

static void on_received(void *argument)
{
    struct link_end *end = argument;
    int error = nng_aio_result(end->receive_aio);
    if (error == NNG_ECLOSED || error == NNG_ECANCELED) return;
    if (error == 0) {
        nng_msg *msg = nng_aio_get_msg(end->receive_aio);
        nng_aio_set_msg(end->receive_aio, NULL);
        take_message(end, msg);
    }
    nng_recv_aio(end->socket, end->receive_aio);
}

static void write_remote(nng_pipe id, char *out, size_t size)
{
    nng_sockaddr address;
    char host[INET_ADDRSTRLEN] = "";
    out[0] = 0;
    if (nng_pipe_get_addr(id, NNG_OPT_REMADDR, &address) != 0 || address.s_family != NNG_AF_INET) return;
    inet_ntop(AF_INET, &address.s_in.sa_addr, host, sizeof host);
    snprintf(out, size, "%s:%u", host, ntohs(address.s_in.sa_port));
}

/* Under the mutex: nothing is sent to it any more, and its down is the last that its reactor hears. */
static void take_down(struct link_end *end, struct pipe_state *pipe)
{
    pipe->up = false;
    atomic_fetch_add(&end->net->removed, 1);
    map_remove(&end->pipes, pipe->nng_id);
    LIST_FOR_EACH (node, &end->queue) {
        struct message *message = CONTAINER_OF(node, struct message, link);
        if (message->pipe != pipe) continue;
        list_remove(node);
        door_buffer_free(&message->base);
    }
    /* A dialer's pending send would go to the next pipe. A listener's never waits. */
    if (end->options.dial && end->sending && end->sending_to == pipe->nng_id) nng_aio_cancel(end->send_aio);
    if (!end->closing_asked) end_post(end, &pipe->down_mail);
}

/* Under the mutex. */
static void take_up(struct link_end *end, nng_pipe id)
{
    /* A dialer has one pipe: what is left of an older one whose removal has not come yet is over. */
    if (end->options.dial) {
        size_t position = 0;
        struct pipe_state *older = map_next(&end->pipes, &position, NULL);
        if (older) take_down(end, older);
    }
    struct pipe_state *pipe = mem_zalloc(sizeof *pipe);
    pipe->base = (struct link_pipe){
        .ops = end->net->net.ops, .id = atomic_fetch_add(&end->net->next_pipe, 1) + 1, .remote = pipe->remote};
    pipe->end = end;
    pipe->nng_id = (uint32_t)id.id;
    pipe->up = true;
    pipe->up_mail.deliver = deliver_up;
    pipe->down_mail.deliver = deliver_down;
    pipe->heard_ns = closer_now_ns();
    write_remote(id, pipe->remote, sizeof pipe->remote);
    end->traffic_ns = pipe->heard_ns;
    list_push_back(&end->all, &pipe->link);
    map_put(&end->pipes, pipe->nng_id, pipe);
    end_post(end, &pipe->up_mail);
}

/* Registering is in ADD_PRE: messages may come before ADD_POST, and ADD_POST after REM_POST. */
static void on_pipe(nng_pipe id, nng_pipe_ev event, void *argument)
{
    struct link_end *end = argument;
    bool refused = false;
    pthread_mutex_lock(&end->mutex);
    if (event == NNG_PIPE_EV_ADD_PRE) {
        bool full = end->options.pipes_max > 0 && end->pipes.count >= end->options.pipes_max;
        if (full) atomic_fetch_add(&end->net->full, 1);
        refused = full || end->closing_asked;
        if (!refused) {
            atomic_fetch_add(&end->net->added, 1);
            take_up(end, id);
        }
    } else if (event == NNG_PIPE_EV_REM_POST) {
        /* It comes for refused pipes too. */
        struct pipe_state *pipe = map_get(&end->pipes, (uint32_t)id.id);
        if (pipe) take_down(end, pipe);
    }
    pthread_mutex_unlock(&end->mutex);
    if (refused) nng_pipe_close(id);
}

/* ---- closing ---- */

/* Nothing is sent to it from here on: nng's close of a pipe with traffic can hang its reaper. */
static void door_pipe_close(struct link_pipe *pipe)
{
    struct pipe_state *state = state_of(pipe);
    pthread_mutex_lock(&state->end->mutex);
    state->up = false;
    pthread_mutex_unlock(&state->end->mutex);
    close_nng_pipe(state);
}

static void close_socket(struct link_end *end)
{
    nng_close(end->socket);
    nng_aio_stop(end->send_aio);
    nng_aio_stop(end->receive_aio);
    nng_aio_free(end->send_aio);
    nng_aio_free(end->receive_aio);
    struct list *node;
    while ((node = list_pop_front(&end->queue)))
        door_buffer_free(&CONTAINER_OF(node, struct message, link)->base);
}

static bool closing_is_quiet(struct closing *closing, uint64_t now_ns)
{
    struct link_end *end = CONTAINER_OF(closing, struct link_end, closing);
    pthread_mutex_lock(&end->mutex);
    bool quiet = end->pipes.count == 0 || now_ns - end->traffic_ns > (uint64_t)QUIET_MS * 1000000;
    pthread_mutex_unlock(&end->mutex);
    return quiet;
}

static void closing_close(struct closing *closing)
{
    struct link_end *end = CONTAINER_OF(closing, struct link_end, closing);
    close_socket(end);
    end_release(end);
}

static void door_close(struct link_end *end)
{
    CHECK(!end->closed);
    end->closed = true;
    pthread_mutex_lock(&end->mutex);
    end->closing_asked = true;
    end->traffic_ns = closer_now_ns(); /* a pipe may be about to hear its first frame */
    bool idle = end->pipes.count == 0;
    LIST_FOR_EACH (node, &end->all)
        timer_stop(&CONTAINER_OF(node, struct pipe_state, link)->quiet);
    pthread_mutex_unlock(&end->mutex);
    if (idle) {
        /* At once, so that the address is free when this returns. */
        close_socket(end);
        end_release(end);
    } else {
        closer_add(end->net->closer, &end->closing);
    }
}

/* ---- opening ---- */

static enum status status_of(int error)
{
    switch (error) {
    case 0:
        return STATUS_OK;
    case NNG_EADDRINVAL:
    case NNG_EINVAL:
        return STATUS_BAD_REQUEST;
    case NNG_EADDRINUSE:
        return STATUS_CONFLICT;
    default:
        return STATUS_IO;
    }
}

/* "HOST:PORT" and nothing else: nng would take much more. */
static bool address_is_sound(const char *address)
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || strlen(address) > 80 || strpbrk(address, "/?#@ ")) return false;
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits] != 0) return false;
    unsigned port = 0;
    for (const char *at = colon + 1; *at; at++)
        port = port * 10 + (unsigned)(*at - '0');
    return port <= 65535;
}

static int start_dialer(struct link_end *end, const char *url)
{
    nng_dialer dialer;
    int error = nng_dialer_create(&dialer, end->socket, url);
    if (!error) error = nng_dialer_set_size(dialer, NNG_OPT_RECVMAXSZ, end->options.frame_bytes_max + NNG_HEADER_BYTES);
    if (!error) error = nng_dialer_set_ms(dialer, NNG_OPT_RECONNMINT, RECONNECT_MS_MIN);
    if (!error) error = nng_dialer_set_ms(dialer, NNG_OPT_RECONNMAXT, RECONNECT_MS_MAX);
    if (!error) error = nng_dialer_start(dialer, NNG_FLAG_NONBLOCK);
    return error;
}

static int start_listener(struct link_end *end, const char *url)
{
    nng_listener listener;
    int port = 0;
    int error = nng_listener_create(&listener, end->socket, url);
    if (!error)
        error = nng_listener_set_size(listener, NNG_OPT_RECVMAXSZ, end->options.frame_bytes_max + NNG_HEADER_BYTES);
    if (!error) error = nng_listener_start(listener, 0);
    if (!error) error = nng_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port);
    end->port = (uint16_t)port;
    return error;
}

static int start(struct link_end *end, const char *address)
{
    char url[URL_BYTES];
    snprintf(url, sizeof url, "tcp://%s", address);
    int error = end->options.dial ? nng_req0_open_raw(&end->socket) : nng_rep0_open_raw(&end->socket);
    if (error) return error;
    error = nng_socket_set_int(end->socket, NNG_OPT_SENDBUF, 0);
    for (int event = NNG_PIPE_EV_ADD_PRE; event < NNG_PIPE_EV_NUM && !error; event++)
        error = nng_pipe_notify(end->socket, (nng_pipe_ev)event, on_pipe, end);
    if (!error) error = nng_aio_alloc(&end->send_aio, on_sent, end);
    if (!error) error = nng_aio_alloc(&end->receive_aio, on_received, end);
    if (!error) {
        nng_recv_aio(end->socket, end->receive_aio);
        error = end->options.dial ? start_dialer(end, url) : start_listener(end, url);
    }
    if (error) {
        nng_close(end->socket);
        if (end->send_aio) nng_aio_free(end->send_aio);
        if (end->receive_aio) nng_aio_free(end->receive_aio);
    }
    return error;
}

static enum status door_open(
    struct net *net, const char *address, const struct link_options *options, struct link_end **out)
{
    if (!address_is_sound(address)) return STATUS_BAD_REQUEST;
    struct link_end *end = mem_zalloc(sizeof *end);
    end->net = net_of(net);
    end->reactor = options->reactor;
    end->options = *options;
    end->handler = options->handler;
    end->context = options->context;
    end->closing.is_quiet = closing_is_quiet;
    end->closing.close = closing_close;
    end->references = 1;
    CHECK(pthread_mutex_init(&end->mutex, NULL) == 0);
    list_init(&end->all);
    list_init(&end->queue);
    int error = start(end, address);
    if (error) {
        end_release(end);
        return status_of(error);
    }
    *out = end;
    return STATUS_OK;
}

static const struct net_ops OPS = {
    .open = door_open,
    .close = door_close,
    .buffer_create = door_buffer_create,
    .buffer_free = door_buffer_free,
    .send = door_send,
    .pipe_close = door_pipe_close,
};

struct net *link_nng_create(struct env *env)
{
    struct link_nng *net = mem_zalloc(sizeof *net);
    net->net.ops = &OPS;
    net->env = env;
    net->closer = closer_create();
    /* nng's threads start with its first socket, with the affinity of this thread. */
    nng_socket first;
    if (nng_req0_open_raw(&first) == 0) nng_close(first);
    return &net->net;
}

void link_nng_destroy(struct net *net)
{
    struct link_nng *link = net_of(net);
    if (!closer_destroy(link->closer)) {
        LOG(link->env->log, ERROR, "link.stuck", "closes=%" PRIu64 " why=\"a socket of nng does not close\"",
            atomic_load(&link->closes));
        return;
    }
    mem_free(link);
}

static void free_link(void *context)
{
    mem_free(context);
}

void link_nng_release(struct net *net)
{
    struct link_nng *link = net_of(net);
    closer_release(link->closer, free_link, link);
}

struct link_nng_counters link_nng_counters(struct net *net)
{
    struct link_nng *link = net_of(net);
    return (struct link_nng_counters){
        .pipes_added = link->added,
        .pipes_removed = link->removed,
        .pipes_full = link->full,
        .closes = link->closes,
        .frames_strange = link->strange,
    };
}

uint16_t link_nng_port(const struct link_end *end)
{
    return end->port;
}
