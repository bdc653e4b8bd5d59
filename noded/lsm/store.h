/*
 * store: what the trees of one shard share. Private to noded/lsm; lsm.h has the contract. One thread.
 */
#ifndef TRILLIUM_NODED_LSM_STORE_H
#define TRILLIUM_NODED_LSM_STORE_H

#include "common/base/list.h"
#include "common/runtime/fiber.h"
#include "noded/lsm/block.h"
#include "noded/lsm/cache.h"
#include "noded/lsm/compress.h"
#include "noded/lsm/lsm.h"

enum { LSM_DIRECTORY_BYTES = 32, LSM_PATH_BYTES = 64 };

struct lsm_store {
    struct lsm_store_options options;
    struct reactor *reactor;
    struct cache *cache;
    struct compressor *compressor;
    struct block_codec *codec; /* for decoding; writers have their own */
    struct buffer scratch;     /* between two suspensions only */
    uint64_t memtable_bytes;
    struct list trees;
    struct list garbage;      /* files that no manifest names and nobody reads: to be closed and unlinked */
    struct list free_cursors; /* kept for the next open */
    uint32_t free_cursors_count;
    struct gate work;    /* opened when something may be due */
    uint32_t background; /* fibers alive */
    bool stopping, flush_due;
    struct gate stopped;
    struct lsm_store_stats stats;
};

/* (fiber) Closes and unlinks the garbage. */
void store_sweep(struct lsm_store *store);
/* The background fibers look for work. */
void store_kick(struct lsm_store *store);

#endif
