/*
 * pair: two endpoints over a link door in memory, on one clock that stands still until a test moves it. The door can
 * lose, repeat and hold frames of one direction.
 */
#ifndef TRILLIUM_TESTS_UNIT_COMMON_RPC_PAIR_H
#define TRILLIUM_TESTS_UNIT_COMMON_RPC_PAIR_H

#include "common/base/list.h"
#include "common/rpc/rpc.h"
#include "common/runtime/net.h"
#include "tests/unit/common/runtime/fake.h"

#define PAIR_MS ((uint64_t)1000000)
#define PAIR_ADDRESS "127.0.0.1:7300"

enum pair_side { PAIR_DIALER, PAIR_LISTENER };

/* What the door does to frames sent by one side. */
struct pair_way {
    uint32_t lose, repeat; /* so many of the next frames */
    bool hold;             /* nothing arrives, it waits */
    uint32_t frames;       /* given to the door so far */
    uint32_t waiting;      /* of them, not delivered */
};

struct pair_net {
    struct net net;
    struct list ends, pipes;
    struct list undelivered; /* frames that are held, per sending order */
    uint64_t next_id;
    struct pair_way ways[2]; /* by sending side */
    uint32_t closed;         /* pipe_close calls */
};

struct pair {
    struct fake fakes[2];
    struct pair_net net;
    struct rpc *dialer, *listener;
    struct rpc_peer *peer;
    struct rpc_listener *listening;
};

/* The endpoints' selves: a router and a node of one cluster. */
struct rpc_info pair_info(enum pair_side side);

/* Clocks, door, and both rpc endpoints; nothing dials or listens yet. */
void pair_init(struct pair *pair);
void pair_fini(struct pair *pair);
/* Listens with the handlers and dials, then settles: the peer is up. */
void pair_connect(struct pair *pair, const struct rpc_handler *handlers, uint32_t count);
/* Delivers and turns until nothing moves. */
void pair_settle(struct pair *pair);
/* Moves time step by step through all timers, settling at each. */
void pair_pass(struct pair *pair, uint64_t ns);
/* Ends all pipes as a reset does. */
void pair_reset(struct pair *pair);

/* A dialer that is not ours: it says what the test says. */
struct pair_raw {
    struct link_end *end;
    struct link_pipe *pipe;
    uint32_t received, downs;
    uint8_t last[4096];
    uint32_t last_size;
    uint64_t last_reply_to;
};
void pair_raw_dial(struct pair *pair, struct pair_raw *raw);
void pair_raw_send(struct pair *pair, struct pair_raw *raw, const void *data, uint32_t size, uint64_t reply_to);

#endif
