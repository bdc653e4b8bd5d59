/*
 * link_sp: the listening side of the link door (common/runtime/net.h), on the reactor itself: it speaks SP over TCP to
 * nng's dialers, as a REP socket does, without nng (docs/protocols/sp.md). It does not dial and knows no TLS: both are
 * nng's (common/rpc/nng), which may listen too.
 *
 * A pipe belongs to the reactor whose listener accepted it. Reading, parsing and the door's events happen in that
 * reactor's turn; what a turn sent on a pipe leaves in one system call at its end. No threads of its own.
 *
 * What a peer can make us hold is bounded: a connection costs a record of a few hundred bytes until it has greeted, a
 * frame is refused by its announced length, and the bytes held for all pipes of a listener (frames half received,
 * frames that the peer does not read) are 256 of its largest frames; beyond that the pipe that holds most ends.
 */
#ifndef TRILLIUM_COMMON_RPC_SP_LINK_SP_H
#define TRILLIUM_COMMON_RPC_SP_LINK_SP_H

#include <stdint.h>

#include "common/runtime/env.h"
#include "common/runtime/net.h"

enum {
    LINK_SP_GREETING_MS = 2000,   /* a connection that has not greeted ends */
    LINK_SP_STALL_MS = 10000,     /* a pipe whose peer takes no byte of what waits ends */
    LINK_SP_GREETINGS_MAX = 1024, /* connections of a listener that have not greeted; the oldest gives way */
    LINK_SP_HELD_FRAMES_MAX = 256,
};

struct link_sp_counters {
    uint64_t accepted;                /* connections */
    uint64_t pipes_added, pipes_down; /* they greeted; they ended */
    uint64_t pipes_full;              /* refused: the listener had its most */
    uint64_t greetings_late, greetings_displaced;
    uint64_t pipes_broken; /* did not speak SP to us, or announced too large a frame */
    uint64_t pipes_slow;   /* did not read what we sent, or more waited than may */
    uint64_t pipes_shed;   /* ended because all together held too much */
    uint64_t accepts_held; /* times that no descriptor was left */
};

/* env gives time and log. Never NULL. Opens listeners only. */
struct net *link_sp_create(struct env *env);
/* Every end was closed, its reactor turned once since, and all buffers were freed. */
void link_sp_destroy(struct net *net);
/* A copy; from any thread. */
struct link_sp_counters link_sp_counters(struct net *net);
/* The port that a listener of port 0 was given. */
uint16_t link_sp_port(const struct link_end *end);

#endif
