/*
 * cache: decoded blocks of a shard's SSTables under one byte budget (2Q: a block must be asked for again after it left
 * the first queue before it may push out others, so one long scan cannot empty the cache). Keys are (file id, number);
 * file ids are never reused, so nothing is ever invalidated. One thread.
 */
#ifndef TRILLIUM_NODED_LSM_CACHE_H
#define TRILLIUM_NODED_LSM_CACHE_H

#include <stdint.h>

#include "noded/lsm/block.h"

struct cache;

struct cache *cache_create(uint64_t bytes_max);
/* No block is referenced. */
void cache_destroy(struct cache *cache);
/* A reference for the caller, or NULL when it is not there. */
struct block *cache_get(struct cache *cache, uint64_t file_id, uint32_t number);
/* As cache_get, but counts neither as a hit nor as a use. */
bool cache_has(const struct cache *cache, uint64_t file_id, uint32_t number);
/* Takes the block; returns a reference to it, or to the one that was there already (then the given one is freed). */
struct block *cache_put(struct cache *cache, struct block *block, uint64_t file_id, uint32_t number);
void cache_release(struct cache *cache, struct block *block);

struct cache_stats {
    uint64_t bytes, hits, misses;
};
struct cache_stats cache_stats(const struct cache *cache);

#endif
