/*
 * sp_pipe: one accepted connection of a listener: its socket, what was read of it, what waits to leave. Internal to
 * common/rpc/sp.
 *
 * Life: accepted -> greeted (up) -> ended -> gone. It ends at most once, wherever that is noticed, and nothing is read,
 * sent or told of it from then on but down, which comes from a task of its own: so any of the door's functions may be
 * called inside any of the handler's. One reactor's thread.
 */
#ifndef TRILLIUM_COMMON_RPC_SP_SP_PIPE_H
#define TRILLIUM_COMMON_RPC_SP_SP_PIPE_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/rpc/sp/link_sp.h"
#include "common/rpc/sp/sp_pool.h"
#include "common/rpc/sp/sp_wire.h"
#include "common/runtime/net.h"
#include "common/runtime/reactor.h"
#include "common/runtime/watch.h"

enum { SP_REMOTE_BYTES = 64, SP_SCRATCH_BYTES = 64 << 10 };

struct link_sp {
    struct net net;
    struct env *env;
    struct sp_pool pool;
    _Atomic uint64_t next_pipe;
    /* As struct link_sp_counters. */
    _Atomic uint64_t accepted, added, down, full, late, displaced, broken, slow, shed, accepts_held;
};

/* A listener. Its reactor's thread. */
struct link_end {
    struct link_sp *net;
    struct reactor *reactor;
    struct link_options options;
    const struct link_handler *handler;
    void *context;
    uint16_t port;
    struct watch watch; /* its socket */
    struct timer rest;  /* until there may be a descriptor again */
    struct task bury;
    bool closed;
    struct list greeting; /* pipes that have not greeted, oldest first */
    struct list up;
    struct list ended; /* pipes whose down is owed */
    uint32_t greeting_count, up_count;
    uint64_t held_bytes; /* of all pipes */
    /* Where bytes of any pipe are read to, before they belong to a frame. */
    uint8_t scratch[SP_SCRATCH_BYTES];
};

struct sp_pipe {
    struct link_pipe base;
    struct link_end *end;
    struct list link; /* one of the end's three lists */
    struct watch watch;
    struct timer deadline; /* of the greeting; or of a peer that does not read */
    struct task flush, gone;
    bool accepted; /* the handler was told up and not down */
    bool ended;
    bool blocked; /* the kernel takes no more for now */
    struct sp_reader reader;
    struct sp_buffer *incoming; /* a frame that is being received */
    uint32_t incoming_have;
    struct list queue; /* frames to leave, oldest first */
    uint32_t queue_frames;
    uint32_t first_sent; /* bytes of the oldest that left, its head included */
    uint64_t held_bytes; /* incoming and queue, by their memory */
    uint64_t sent_ns;    /* when the kernel last took something of a blocked pipe */
    char remote[SP_REMOTE_BYTES];
};

_Static_assert(sizeof(struct sp_pipe) <= 1024, "a connection that has not greeted is a small record");

/* Takes an accepted descriptor that does not block; greets, and reads what is there. */
void sp_pipe_create(struct link_end *end, int fd, const struct sockaddr *from);
/* As the door's send. */
void sp_pipe_send(struct sp_pipe *pipe, struct link_buffer *buffer);
/* Gives the kernel what it still takes, then ends. No-op when it has ended. */
void sp_pipe_close(struct sp_pipe *pipe);
/* "127.0.0.1:51234" */
void sp_address_write(const struct sockaddr *address, char out[SP_REMOTE_BYTES]);
/* Closes a socket at once, also towards a kernel that still holds it for a watch. */
void sp_socket_close(int fd);

#endif
