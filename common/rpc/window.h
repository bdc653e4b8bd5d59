/*
 * window: the counters of one pipe, both directions: which frames were sent, seen, received and acknowledged
 * (docs/protocols/link.md, Window and Acknowledgement).
 *
 * Pure: no clock, no I/O. Numbers are absolute, modulo 2^32. Invariant: at most LINK_WINDOW_FRAMES frames are unseen,
 * and more than bytes_max bytes only when a single frame is.
 */
#ifndef TRILLIUM_COMMON_RPC_WINDOW_H
#define TRILLIUM_COMMON_RPC_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/limits.h"
#include "common/rpc/frame.h"

enum {
    RPC_WINDOW_RING = 2 * LINK_WINDOW_FRAMES,
    RPC_WINDOW_ACK_FRAMES = 8, /* due at the latest */
};

struct rpc_window {
    uint64_t bytes_max;
    /* Ours. */
    uint32_t sent;      /* number of the newest counted frame */
    uint32_t peer_seen; /* the peer's newest frames_seen */
    uint64_t unseen_bytes;
    uint32_t sizes[RPC_WINDOW_RING];
    /* The peer's. */
    uint32_t received;  /* number of its newest counted frame */
    uint32_t said_seen; /* the frames_seen that was sent last */
    uint64_t unsaid_bytes;
};

enum rpc_window_verdict {
    RPC_WINDOW_FINE,
    RPC_WINDOW_GAP,     /* frames are missing */
    RPC_WINDOW_REPEAT,  /* a frame came twice or late */
    RPC_WINDOW_OVERRUN, /* more frames unacknowledged than the window holds */
    RPC_WINDOW_LIE,     /* frames_seen that were never sent, or that went back */
};

/* "frames are missing" */
const char *rpc_window_verdict_text(enum rpc_window_verdict verdict);

void rpc_window_init(struct rpc_window *window, uint64_t bytes_max);
/* May a counted frame of this size leave now? */
bool rpc_window_may_send(const struct rpc_window *window, uint32_t size);
/* Counts a frame that leaves (it may) and returns its number. */
uint32_t rpc_window_send(struct rpc_window *window, uint32_t size);
/* Every frame that leaves says what was seen: returns frames_seen for its header. */
uint32_t rpc_window_say(struct rpc_window *window);
/* Judges a received frame of this size and takes its counters when FINE. */
enum rpc_window_verdict rpc_window_receive(struct rpc_window *window, const struct frame_header *header, uint32_t size);
/* Does the peer wait for an acknowledgement? */
bool rpc_window_ack_is_due(const struct rpc_window *window);
static inline uint32_t rpc_window_unseen(const struct rpc_window *window)
{
    return window->sent - window->peer_seen;
}

#endif
