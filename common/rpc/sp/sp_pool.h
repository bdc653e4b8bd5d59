/*
 * sp_pool: frames' memory, kept for the next frame: in steady state nothing is allocated. Sizes are powers of two from
 * 1 KiB; at most 4 MiB lie idle.
 *
 * Threads: any; one lock, held for a few instructions.
 */
#ifndef TRILLIUM_COMMON_RPC_SP_SP_POOL_H
#define TRILLIUM_COMMON_RPC_SP_SP_POOL_H

#include <pthread.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/rpc/sp/sp_wire.h"
#include "common/runtime/net.h"

enum { SP_POOL_CLASSES = 12, SP_POOL_IDLE_BYTES_MAX = 4 << 20 };

struct sp_pool {
    pthread_mutex_t mutex;
    struct list idle[SP_POOL_CLASSES];
    uint64_t idle_bytes;
    uint64_t out; /* buffers handed out */
};

/* A frame with room for its head in front of it, so that both leave as one piece. */
struct sp_buffer {
    struct link_buffer base;
    struct list link; /* a pool's, or a pipe's queue */
    struct sp_pool *pool;
    uint8_t size_class;
    uint8_t head[SP_HEAD_BYTES];
    uint8_t body[];
};
_Static_assert(offsetof(struct sp_buffer, body) == offsetof(struct sp_buffer, head) + SP_HEAD_BYTES, "no gap");

void sp_pool_init(struct sp_pool *pool);
/* All buffers are back. */
void sp_pool_fini(struct sp_pool *pool);
/* At least capacity bytes; size and reply_to are 0. */
struct sp_buffer *sp_pool_take(struct sp_pool *pool, uint32_t capacity);
void sp_pool_give(struct sp_buffer *buffer);

#endif
