/*
 * sstable: an open sorted file, read block by block through the shard's cache. Counted references: the tree has one,
 * every cursor that reads the file has one. A file that the tree has dropped goes to the store's garbage with its last
 * reference. Immutable. One thread.
 */
#ifndef TRILLIUM_NODED_LSM_SSTABLE_H
#define TRILLIUM_NODED_LSM_SSTABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/runtime/disk.h"
#include "noded/lsm/sstable_format.h"
#include "noded/lsm/store.h"

struct sstable {
    struct lsm_store *store;
    struct list link; /* in the garbage */
    uint32_t refs;
    bool dropped;    /* no manifest names it any more */
    bool damaged;    /* a read met CORRUPT */
    bool compacting; /* an input of a running compaction */
    struct disk_file file;
    char path[LSM_PATH_BYTES];
    struct sstable_map map;
    uint8_t *region; /* what map points into */
};

/* "ranges/R/F.sst" */
void sstable_path(char out[LSM_PATH_BYTES], const char *directory, uint64_t file_id);

/* (fiber) Opens and checks the header, tail and sections. expected (may be NULL) is the manifest's entry: another file
   under its name is CORRUPT. NOT_FOUND, CORRUPT, IO, CONFLICT (another cluster's or a newer version). */
enum status sstable_open(struct lsm_store *store, const char *directory, uint64_t file_id,
    const struct sstable_info *expected, struct sstable **out) MUST_CHECK;
static inline void sstable_ref(struct sstable *table)
{
    table->refs++;
}
void sstable_release(struct sstable *table);
/* (fiber) Closes the file and frees; the caller has the last reference. */
void sstable_destroy(struct sstable *table, bool unlink_file);

static inline const struct sstable_info *sstable_info(const struct sstable *table)
{
    return &table->map.properties.info;
}

/* The number of the partition in this file; false when it is not there. hash: hash64(key, 0). */
bool sstable_find(const struct sstable *table, struct bytes key, uint64_t hash, uint32_t *partition);

/* (try) A decoded block, referenced in the cache. ahead: further blocks to fetch in the same read when this one is not
   cached, after it (positive) or before it. BUSY, CORRUPT, IO. */
enum status sstable_block(struct sstable *table, uint32_t number, int ahead, struct block **out) MUST_CHECK;
/* Checks and decodes block number from its stored bytes. The caller frees the block. CORRUPT. */
enum status sstable_decode(struct sstable *table, uint32_t number, struct bytes unit, struct block **out) MUST_CHECK;
/* The file gave CORRUPT: remembers and says so. */
void sstable_mark_damaged(struct sstable *table, uint32_t number);

static inline uint64_t sstable_block_at(const struct sstable *table, uint32_t number)
{
    return (uint64_t)table->map.blocks[number].place * STORED_ALIGN;
}

#endif
