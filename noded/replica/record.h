/*
 * record: the payloads of a shard's commit log (docs/formats/commit_log.md). Every record names its range, so that any
 * shard can replay any log; all but the range's own state name table and partition too.
 *
 * A pure codec. A decoded record is a view of the payload.
 */
#ifndef TRILLIUM_NODED_REPLICA_RECORD_H
#define TRILLIUM_NODED_REPLICA_RECORD_H

#include "common/base/bytes.h"
#include "common/base/limits.h"
#include "common/base/status.h"
#include "common/model/ids.h"
#include "common/model/span.h"

/* The log's record kinds; numbers are on disks and never reused. */
enum record_kind {
    RECORD_ROW = 1,    /* one create, edit or delete */
    RECORD_SPAN = 2,   /* deletes an interval of ids */
    RECORD_PAGE = 3,   /* a raw page written back: rows, deletes, spans */
    RECORD_CLOSED = 4, /* deletes that a quorum holds */
    RECORD_STATE = 5,  /* the replica's own state: ownership record and flags */
};

/* range 8, table 5, partition 2 + its bytes, ids 16, stamp 10 */
enum { RECORD_HEAD_BYTES_MAX = 48 + KEY_BYTES_MAX };

struct record {
    enum record_kind kind;
    struct range_id range;
    struct table_id table;
    struct bytes partition; /* token | partition key; empty: STATE */
    uint64_t lo, hi;        /* ROW: both the id; SPAN: the interval; else not on disk: the ids that it speaks of */
    int64_t stamp;          /* SPAN */
    struct bytes body;      /* ROW: the row; PAGE: the page; CLOSED: see closed_encode; STATE: replica_state_encode */
};

/* The payload is the head followed by record->body. */
struct bytes record_encode_head(const struct record *record, uint8_t out[RECORD_HEAD_BYTES_MAX]);
/* CORRUPT when malformed or of an unknown kind. Bodies are not looked at. */
enum status record_decode(uint8_t kind, struct bytes payload, struct record *out) MUST_CHECK;

/* What a CLOSED record lists. */
struct closed {
    uint32_t ids_count;
    const uint8_t *ids; /* little-endian u64, not aligned */
    struct span_set spans;
};
void closed_encode(const uint64_t *ids, uint32_t ids_count, const struct span_set *spans, struct buffer *out);
/* CORRUPT when malformed; else closed_free releases. */
enum status closed_decode(struct bytes body, struct closed *out) MUST_CHECK;
uint64_t closed_id(const struct closed *closed, uint32_t i);
void closed_free(struct closed *closed);

#endif
