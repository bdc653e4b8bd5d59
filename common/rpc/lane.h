/*
 * lane: frames being filled with entries that wait to leave: natural batching. A talk has one lane for answers and
 * one for calls. Entries are written once, into the buffer that is handed to the door.
 *
 * Does not judge limits: who appends knows them. Reactor's thread.
 */
#ifndef TRILLIUM_COMMON_RPC_LANE_H
#define TRILLIUM_COMMON_RPC_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/runtime/net.h"

struct rpc_lane {
    struct net *net;
    struct list frames;   /* by link, oldest first; each has room for the header, then count whole entries */
    uint64_t bytes;       /* of all frames */
    uint32_t close_bytes; /* a frame that would grow above it is closed, single entries excepted */
    uint32_t usual_bytes; /* capacity to begin a frame with */
};

void rpc_lane_init(struct rpc_lane *lane, struct net *net, uint32_t close_bytes);
/* Frees what waits. The lane stays usable. */
void rpc_lane_clear(struct rpc_lane *lane);
static inline bool rpc_lane_is_empty(const struct rpc_lane *lane)
{
    return list_is_empty(&lane->frames);
}
/* Room for one entry of exactly this many bytes, which the caller writes at once. */
uint8_t *rpc_lane_append(struct rpc_lane *lane, uint32_t entry_bytes);
/* NULL when empty. */
struct link_buffer *rpc_lane_first(const struct rpc_lane *lane);
/* Removes the first frame and hands it out. */
struct link_buffer *rpc_lane_take(struct rpc_lane *lane);
/* Shortens a frame to kept_bytes with kept_count entries. The entries from rest_at on, if any, become a frame of their
   own behind it. */
void rpc_lane_cut(
    struct rpc_lane *lane, struct link_buffer *frame, uint32_t kept_bytes, uint16_t kept_count, const uint8_t *rest_at);

#endif
