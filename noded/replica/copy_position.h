/*
 * copy_position: how far a copy of a range has come: partitions in the order of their keys, each from its newest id
 * down. Zero-initialised is the beginning. Pure.
 */
#ifndef TRILLIUM_NODED_REPLICA_COPY_POSITION_H
#define TRILLIUM_NODED_REPLICA_COPY_POSITION_H

#include "common/base/bytes.h"

struct copy_position {
    struct buffer partition; /* to go on with; empty: the first that there is */
    uint64_t hi;             /* the highest id of it that is not copied yet */
    bool done;               /* nothing is left */
};

void copy_position_set(struct copy_position *position, struct bytes partition, uint64_t hi);
void copy_position_set_done(struct copy_position *position);
void copy_position_assign(struct copy_position *position, const struct copy_position *from);
void copy_position_reset(struct copy_position *position);
void copy_position_free(struct copy_position *position);
/* Below 0: a has come less far than b. */
int copy_position_compare(const struct copy_position *a, const struct copy_position *b);

/* As it lies in a replica's state. Decoding fails the reader when malformed; else copy_position_free releases. */
void copy_position_encode(const struct copy_position *position, struct buffer *out);
void copy_position_decode(struct reader *reader, struct copy_position *out);

#endif
