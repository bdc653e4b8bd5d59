/*
 * net: the link door. It carries opaque frames in pipes and knows nothing of what is in them; header, window, HELLO,
 * pings and grants live above it in common/rpc, so that the simulator runs them too.
 *
 * A *listener* accepts pipes at an address ("127.0.2.1:7300"); a *dialer* keeps trying to have one pipe to an address
 * (again after 100 ms to 2 s). On one pipe frames arrive in order and at most once while it is up; when it goes down,
 * whatever was on its way is lost. Handlers run on the reactor that opened the end. Nothing here blocks.
 *
 * Three backends: nng (common/rpc/nng), listeners on the reactor itself (common/rpc/sp), and the simulator's.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_NET_H
#define TRILLIUM_COMMON_RUNTIME_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/base/status.h"

struct net;
struct reactor;
struct link_end; /* a listener or dialer */

/* A frame's memory, owned by whoever holds it. */
struct link_buffer {
    uint8_t *data;
    uint32_t size;     /* bytes in use; the holder sets it before sending */
    uint32_t capacity; /* bytes at data */
    uint64_t reply_to; /* 0, or what a plain REQ client's request carried; copied into its reply */
    /* The holder's own, unset when it comes from the door. */
    struct list link;
    uint32_t count;
};

struct link_pipe {
    const struct net_ops *ops;
    void *user;         /* the handler's own, NULL at up */
    uint64_t id;        /* unique per process, never reused */
    const char *remote; /* "127.0.0.1:51234", for messages; may be "" */
};

struct link_handler {
    /* A pipe exists. A dialer's side may send at once, a listener's only after it received. Return false to refuse. */
    bool (*up)(void *context, struct link_pipe *pipe);
    /* The callee owns buffer (link_buffer_free). */
    void (*frame)(void *context, struct link_pipe *pipe, struct link_buffer *buffer);
    /* The last event of an accepted pipe; the pipe is gone when this returns. */
    void (*down)(void *context, struct link_pipe *pipe);
};

/* Copied. The handler outlives the end. */
struct link_options {
    struct reactor *reactor; /* whose thread everything happens on */
    const struct link_handler *handler;
    void *context;            /* the handler's */
    uint32_t frame_bytes_max; /* larger frames from the peer end the pipe */
    uint32_t pipes_max;       /* listeners: further pipes are refused at once; 0: no bound */
    bool dial;                /* dial instead of listen */
};

struct net_ops {
    enum status (*open)(
        struct net *net, const char *address, const struct link_options *options, struct link_end **out);
    void (*close)(struct link_end *end);
    struct link_buffer *(*buffer_create)(struct net *net, uint32_t capacity);
    void (*buffer_free)(struct link_buffer *buffer);
    void (*send)(struct link_pipe *pipe, struct link_buffer *buffer);
    void (*pipe_close)(struct link_pipe *pipe);
};

struct net {
    const struct net_ops *ops;
};

/* options->dial chooses. BAD_REQUEST: malformed address; CONFLICT: address in use; IO: anything else. A dialer never
   fails because nobody listens yet. The handler's events begin in a later turn. */
static inline enum status link_open(
    struct net *net, const char *address, const struct link_options *options, struct link_end **out)
{
    return net->ops->open(net, address, options, out);
}

/* Closes a listener or dialer with its pipes; no event comes after it. Frames given to send may be lost: the layer
   above says goodbye first. */
static inline void link_close(struct net *net, struct link_end *end)
{
    net->ops->close(end);
}

static inline struct link_buffer *link_buffer_create(struct net *net, uint32_t capacity)
{
    return net->ops->buffer_create(net, capacity);
}

static inline void link_buffer_free(struct net *net, struct link_buffer *buffer)
{
    net->ops->buffer_free(buffer);
}

/* Takes the buffer in any case; a frame to a dead pipe is dropped. */
static inline void link_send(struct link_pipe *pipe, struct link_buffer *buffer)
{
    pipe->ops->send(pipe, buffer);
}

/* Ends one pipe; down follows. Only for pipes that are quiet (nng's reaper: docs/protocols/link.md; the others do not
   mind). */
static inline void link_pipe_close(struct link_pipe *pipe)
{
    pipe->ops->pipe_close(pipe);
}

#endif
