/*
 * write: one create, edit, delete or span delete, sent to every replica of its range and judged (tally.h).
 *
 * A replica that refuses the epoch is told or tells the newer record and is asked again; acks are kept, but those that
 * the newer record rules out: a replica that lapsed has forgotten what it acknowledged before. It is sent the write
 * while it is being rebuilt, and counts as one that may have stored it. When a replica answers DEAD, the delete that it
 * told of is first made known to a quorum, then the answer is DELETED. Deletes that a quorum has acked are closed at
 * every holder afterwards; nobody waits for that.
 */
#ifndef TRILLIUM_ROUTERD_COORDINATOR_WRITE_H
#define TRILLIUM_ROUTERD_COORDINATOR_WRITE_H

#include "routerd/coordinator/coordinator.h"
#include "routerd/coordinator/tally.h"

struct write_spec {
    enum tally_kind kind;
    enum level level;
    struct table_id table;
    struct bytes partition; /* token | partition key */
    int64_t token;
    uint64_t id;      /* of the message; a span: unused */
    struct bytes row; /* canonical; a span: empty */
    bool is_span;
    uint64_t lo, hi; /* the span */
    int64_t stamp;   /* the span's */
    uint64_t import_session;
    uint64_t trace;
    uint32_t budget_us;
};

struct write_result {
    enum status status;
    bool all_dominated; /* an edit: every replica answered, and answered DOMINATED */
};

/* Everything in spec is copied. done is called once, never from inside. UNAVAILABLE when too few replicas can be
   reached: nothing was sent then. */
void write_start(struct coordinator *coordinator, const struct write_spec *spec,
    void (*done)(void *context, const struct write_result *result), void *context);

/* Tells the replicas that a quorum holds these deletes. Fire and forget. */
struct closed_notice {
    struct range_id range;
    uint64_t epoch;
    struct bytes partition;
    const uint64_t *ids;
    uint32_t ids_count;
    const struct span_set *spans; /* may be NULL */
};
void write_closed_notice(struct coordinator *coordinator, struct replica *replica, const struct closed_notice *notice);

/* Frees what finished writes left for reuse. */
void write_pool_free(struct coordinator *coordinator);

#endif
