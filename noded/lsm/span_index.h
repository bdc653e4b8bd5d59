/*
 * span_index: the deletes by span of all partitions of one tree, in memory: flushed and unflushed ones alike.
 * Partitions are never removed, so a set's address holds until span_index_fini. One thread.
 */
#ifndef TRILLIUM_NODED_LSM_SPAN_INDEX_H
#define TRILLIUM_NODED_LSM_SPAN_INDEX_H

#include "common/base/bytes.h"
#include "common/base/map.h"
#include "common/model/span.h"

/* Zero-initialised is empty. */
struct span_index {
    struct map entries; /* by hash of the key; entries of one hash are chained */
    uint64_t count;     /* partitions; grows only */
};

void span_index_fini(struct span_index *index);
/* NULL when the partition never had a span. */
struct span_set *span_index_find(const struct span_index *index, struct bytes key);
struct span_set *span_index_touch(struct span_index *index, struct bytes key);
/* Empties every set and keeps them. */
void span_index_clear(struct span_index *index);

/* The highest id that a span covers; 0 when set is NULL or empty. */
static inline uint64_t span_set_newest(const struct span_set *set)
{
    return set && set->count > 0 ? set->spans[set->count - 1].hi : 0;
}

#endif
