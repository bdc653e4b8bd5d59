/*
 * span: deletes of intervals of ids, and the set of them that a partition has.
 *
 * A span delete covers the ids [lo, hi] for ever. A set is kept in one normal form - disjoint, ascending, neighbours
 * with equal stamp and flag joined - which says for every id: covered or not, newest stamp, open or closed. Merging
 * is pointwise: newest stamp, closed wins over open. So a set is a value: equal sets have equal bytes.
 * A delete is *open* at a replica until it is told that a quorum has acked it; when to close one is the caller's rule.
 * Memory by mem_alloc; zero-initialised is empty.
 */
#ifndef TRILLIUM_COMMON_MODEL_SPAN_H
#define TRILLIUM_COMMON_MODEL_SPAN_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/status.h"

struct span {
    uint64_t lo, hi; /* both included, lo <= hi */
    int64_t stamp;   /* microseconds since 1970 */
    bool open;
};

struct span_set {
    struct span *spans; /* normal form, ascending */
    size_t count, capacity;
};

/* More pieces than this are refused by span_set_decode. */
enum { SPANS_MAX = 16384 };

void span_set_free(struct span_set *set);
void span_set_add(struct span_set *set, struct span span);
void span_set_merge(struct span_set *set, const struct span_set *other);
/* The piece that covers the id, or NULL. */
const struct span *span_set_find(const struct span_set *set, uint64_t id);
static inline bool span_set_covers(const struct span_set *set, uint64_t id)
{
    return set->count > 0 && span_set_find(set, id);
}
/* A quorum holds deletes of all ids in [lo, hi]: whatever is open there closes. */
void span_set_close(struct span_set *set, uint64_t lo, uint64_t hi);
/* Adds to out the parts of set that lie in [lo, hi]. */
void span_set_clip(const struct span_set *set, uint64_t lo, uint64_t hi, struct span_set *out);
bool span_set_equal(const struct span_set *a, const struct span_set *b);

void span_set_encode(const struct span_set *set, struct buffer *out);
/* Merges the encoded set into out; takes it from the reader. BAD_REQUEST when it is not in normal form or too large. */
enum status span_set_decode(struct reader *reader, struct span_set *out) MUST_CHECK;

#endif
