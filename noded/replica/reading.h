/*
 * reading: one read of one partition of a replica: visible rows with their digest, the digest alone, or raw state.
 *
 * It runs as far as memory allows; when a block must be read outside of a fiber it stops with BUSY, and goes on in a
 * fiber where it stood. All replicas that hold the same state give the same answer for the same question, so that
 * digests can be compared: limits count what is answered, never what was skipped.
 */
#ifndef TRILLIUM_NODED_REPLICA_READING_H
#define TRILLIUM_NODED_REPLICA_READING_H

#include "common/base/arena.h"
#include "noded/replica/replica.h"

struct reactor;

enum reading_mode { READING_DATA = 1, READING_DIGEST = 2, READING_RAW = 3 };

struct reading_spec {
    struct bytes partition; /* lives until reading_end */
    uint64_t lo, hi;        /* both included, lo <= hi */
    enum page_direction direction;
    enum reading_mode mode;
    uint32_t limit;     /* visible rows; RAW: unused */
    uint32_t bytes_max; /* of the page; a single larger row excepted */
};

struct reading {
    struct replica *replica;
    struct reactor *reactor;
    struct reading_spec spec;
    struct lsm_cursor *cursor;
    struct lsm_row row; /* the cursor's last */
    uint64_t end;       /* the last id of what is covered in this call */
    bool cut;           /* end is short of what was asked: too many spans */
    uint32_t rows;
    size_t bytes; /* of the page as DATA would have it */
    bool any;     /* an id was considered */
    /* Results. */
    struct page_builder page; /* DATA, RAW */
    struct bytes finished;    /* the page; lives until reading_end */
    struct digest digest;     /* DATA, DIGEST */
    uint64_t through;
    bool more;
};

/* The tree of the replica outlives the reading. */
void reading_begin(
    struct reading *reading, struct replica *replica, struct reactor *reactor, const struct reading_spec *spec);
/* OK: done. BUSY: call again in a fiber (outside of one a long walk says so too). CORRUPT, IO. In a fiber it yields now
   and then, and gives up with TIMEOUT after deadline_ns. */
enum status reading_run(struct reading *reading, uint64_t deadline_ns) MUST_CHECK;
void reading_end(struct reading *reading);

/* (fiber) Counts and digests all visible rows of a partition, newest first. */
struct inspection {
    uint64_t rows;
    struct digest digest;
};
enum status replica_inspect(struct replica *replica, struct reactor *reactor, struct bytes partition,
    uint64_t deadline_ns, struct inspection *out) MUST_CHECK;

#endif
