/*
 * memtable: the changes of one tree that are not in files yet, as merged rows in memory.
 *
 * A hash of partitions; each is a list of leaves of entries ascending by id. Ids that arrive in order go to the end of
 * the last leaf; late ids, edits and deletes find their leaf by binary search. Row bytes and leaves live in chunks that
 * are freed with the memtable and never move or change, so a reader that holds a reference may keep pointers to rows.
 * Rows of a busy partition lie together, so that a page of it touches few pages of memory.
 * It does not know files, spans (beyond "this partition's spans changed") or logs' meaning. One thread.
 */
#ifndef TRILLIUM_NODED_LSM_MEMTABLE_H
#define TRILLIUM_NODED_LSM_MEMTABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/model/page.h"

struct memtable;

struct mem_entry {
    uint64_t id;
    const uint8_t *row; /* canonical bytes; size 0: only the closed mark is known */
    uint32_t size;
    bool closed; /* a delete of the id is held by a quorum */
};

struct mem_leaf;
struct mem_partition {
    struct bytes key;
    uint64_t hash;
    uint64_t newest;  /* the owner's: newest id of the whole tree's partition */
    bool spans_dirty; /* the owner's: the partition's spans changed since the last freeze */
    uint32_t version; /* changes when entries move */
    uint64_t rows;
    uint64_t last_id; /* highest in the leaves, when there are any */
    uint8_t *tail;    /* where its next rows go, downwards; NULL while it has few */
    uint32_t tail_bytes;
    uint32_t leaves_count, leaves_capacity;
    struct mem_leaf **leaves; /* ascending */
    struct mem_leaf *first_leaf[1];
};

/* bytes_total is raised by what the memtable holds and lowered when it is freed. One reference is the caller's. */
struct memtable *memtable_create(uint64_t *bytes_total);
void memtable_ref(struct memtable *memtable);
/* Frees it with the last reference. */
void memtable_release(struct memtable *memtable);

/* NULL when the partition was never touched. */
struct mem_partition *memtable_find(struct memtable *memtable, struct bytes key);
/* Finds or makes; a made one has newest 0. */
struct mem_partition *memtable_touch(struct memtable *memtable, struct bytes key, bool *made);
/* Merges the row (size 0: the mark alone) into what is held of the id. scratch is working memory. */
void memtable_put(
    struct memtable *memtable, struct mem_partition *partition, const struct mem_entry *entry, struct buffer *scratch);
/* NULL when absent. Valid until the next put to the partition. */
const struct mem_entry *mem_partition_get(const struct mem_partition *partition, uint64_t id);

/* Partitions in key order, valid until the next touch. */
struct mem_partition *const *memtable_sorted(struct memtable *memtable, uint32_t *count);

uint64_t memtable_bytes(const struct memtable *memtable);
uint64_t memtable_rows(const struct memtable *memtable);

/* Walks a partition from a bound; tolerates puts in between (ids that were passed do not come again). The memtable is
   kept alive by the caller. */
struct mem_cursor {
    const struct mem_partition *partition;
    enum page_direction direction;
    uint64_t bound; /* the next id is this or beyond */
    bool ended;     /* nothing lies beyond the bound */
    bool placed;
    uint32_t version, leaf, at;
};
void mem_cursor_init(
    struct mem_cursor *cursor, const struct mem_partition *partition, uint64_t bound, enum page_direction direction);
/* The next entry, again and again; NULL at the end. */
const struct mem_entry *mem_cursor_peek(struct mem_cursor *cursor);
/* Passes this id and everything before it. */
void mem_cursor_pass(struct mem_cursor *cursor, uint64_t id);

#endif
