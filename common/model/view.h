/*
 * view: a versioned copy of what a daemon needs to know of the cluster: who is there, which tables, who owns what.
 *
 * Everybody gets the same view; readers allow one that leaves ranges out. Arrays live in the arena that view_decode was
 * given, or wherever the one who builds a view keeps them. A view is never changed after it is published. Pure
 * functions. Encoded form: docs/formats/view.md; the file or frame that carries it has the checksum.
 */
#ifndef TRILLIUM_COMMON_MODEL_VIEW_H
#define TRILLIUM_COMMON_MODEL_VIEW_H

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/limits.h"
#include "common/base/status.h"
#include "common/model/ids.h"
#include "common/model/schema.h"

enum {
    ADDRESS_BYTES = 72,
    ZONE_BYTES = 40,
    ROUTERS_MAX = 1024,
    CONTROLLERS_MAX = 7,
    TABLES_MAX = 1024,
    IMPORTS_MAX = 1024,
};

/* Numbers are on disk and on the wire. */
enum node_state { NODE_JOINING = 1, NODE_SERVING = 2, NODE_DRAINING = 3, NODE_GONE = 4, NODE_STATES_END };

struct view_node {
    struct node_id id;
    struct uuid uuid;
    uint64_t boot;
    char address[ADDRESS_BYTES]; /* host:base port (docs/protocols/ports.md) */
    char zone[ZONE_BYTES];
    uint16_t shards;
    uint8_t state;
};

struct view_router {
    struct router_id id;
    struct uuid uuid;
    char address[ADDRESS_BYTES];
    uint16_t workers;
};

struct view_controller {
    struct controller_id id;
    char address[ADDRESS_BYTES];
};

/* A live import session: its creates are taken below H. */
struct view_import {
    uint64_t id;
    struct table_id table;
    int64_t deadline_us;
};

#define HORIZON_NONE INT64_MIN

struct view_range {
    struct range_id id;
    struct table_id table;
    uint8_t replicas_count, next_count; /* next: the set that a joint phase moves to; 0 outside one */
    int64_t lo, hi;                     /* tokens in (lo, hi]; lo INT64_MIN: from the first */
    uint64_t epoch;
    int64_t horizon_ms; /* H: creates with an older id time are refused; HORIZON_NONE */
    struct node_id replicas[REPLICAS_MAX];
    struct node_id next[REPLICAS_MAX];
    /* By position in replicas: the epoch that told of a replica's newest lapse, and the one since which it counts
       again; 0: never. What a replica said before lapsed_at, or between lapsed_at and rebuilt_at, counts nowhere. */
    uint64_t lapsed_at[REPLICAS_MAX], rebuilt_at[REPLICAS_MAX];
};

struct view {
    struct uuid cluster;
    uint64_t version;
    unsigned nodes_count, routers_count, controllers_count, tables_count, ranges_count, imports_count;
    struct view_node *nodes;             /* ascending by id */
    struct view_router *routers;         /* ascending by id */
    struct view_controller *controllers; /* ascending by id */
    struct table *tables;                /* ascending by id */
    struct view_range *ranges;           /* ascending by (table, hi), disjoint */
    struct view_import *imports;         /* ascending by id */
    uint32_t *ranges_by_id;              /* positions in ranges, ascending by id; NULL: view_range_by_id searches all */
};

/* The order and the limits above hold (CHECKed). */
void view_encode(const struct view *view, struct buffer *out);
/* BAD_REQUEST when malformed, out of order, overlapping or of a newer version. */
enum status view_decode(struct bytes bytes, struct arena *arena, struct view *out) MUST_CHECK;
/* Makes ranges_by_id of a view that was built by hand; false when two ranges have one id. */
bool view_index(struct view *view, struct arena *arena) MUST_CHECK;
/* A copy whose arrays live in the arena. */
void view_copy(const struct view *view, struct arena *arena, struct view *out);

/* All NULL when absent. view_range_of: the range that owns the token. */
const struct view_range *view_range_of(const struct view *view, struct table_id table, int64_t token);
const struct view_range *view_range_by_id(const struct view *view, struct range_id range);
const struct view_node *view_node_by_id(const struct view *view, struct node_id node);
const struct view_router *view_router_by_id(const struct view *view, struct router_id router);
const struct view_controller *view_controller_by_id(const struct view *view, struct controller_id controller);
const struct table *view_table_by_id(const struct view *view, struct table_id table);
const struct table *view_table_named(const struct view *view, struct bytes name);
const struct view_import *view_import_by_id(const struct view *view, uint64_t import);

/* Ownership records travel alone too: in STALE_EPOCH answers and in logs. */
void view_range_encode(const struct view_range *range, struct buffer *out);
enum status view_range_decode(struct reader *reader, struct view_range *out) MUST_CHECK;

/* As replica, or as member of the set that a joint phase moves to. */
bool view_range_has(const struct view_range *range, struct node_id node);
/* The position in replicas; replicas_count when it is none. */
unsigned view_range_place(const struct view_range *range, struct node_id node);
/* This replica lost something and is not rebuilt yet: it counts in no quorum. */
static inline bool view_range_is_lapsed(const struct view_range *range, unsigned place)
{
    return range->lapsed_at[place] > range->rebuilt_at[place];
}
/* What this replica answered at the epoch counts under this record: it does not lapse, nor did it since. */
static inline bool view_range_counts(const struct view_range *range, unsigned place, uint64_t epoch)
{
    return !view_range_is_lapsed(range, place) && epoch >= range->rebuilt_at[place];
}
/* The shard of a node that holds the range; shards > 0. */
uint16_t view_shard_of(struct range_id range, uint16_t shards);

#endif
