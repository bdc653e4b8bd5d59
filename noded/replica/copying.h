/*
 * copying: what a replica holds, piece by piece, as raw pages: for the rebuild of another one. Two replicas that hold
 * the same give the same pieces for the same position.
 */
#ifndef TRILLIUM_NODED_REPLICA_COPYING_H
#define TRILLIUM_NODED_REPLICA_COPYING_H

#include "common/base/arena.h"
#include "noded/replica/replica.h"

struct reactor;

enum { COPYING_PARTS_MAX = 512, COPYING_BYTES_MAX = 256 << 10 };

struct copying_part {
    struct bytes partition, page;
};

struct copying {
    const struct copy_position *from; /* an empty partition: from the first */
    uint32_t bytes_max;               /* of this piece; a single larger page excepted */
    uint64_t deadline_ns;
    /* Results; they live in the arena. */
    struct copying_part parts[COPYING_PARTS_MAX];
    uint32_t count;
    struct bytes next_partition; /* where the next piece begins; size 0: nothing is left */
    uint64_t next_hi;
};

/* (fiber) CORRUPT, IO, TIMEOUT. */
enum status copying_run(
    struct copying *copying, struct replica *replica, struct reactor *reactor, struct arena *arena) MUST_CHECK;

/* What a source answered: parts and next, which lie in the arena. BAD_REQUEST: malformed, or a page or partition that
   may not be; TOO_BIG. */
enum status copying_decode(struct bytes body, struct copying *out, struct arena *arena) MUST_CHECK;
/* Where the answer ended. */
void copying_position_after(const struct copying *copying, struct copy_position *out);

#endif
