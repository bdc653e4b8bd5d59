/*
 * replica: the data rules of one range's copy on this node: who may call it, what a write means over what is held, how
 * log records change its tree. It does not write the log, wait or speak to anybody; noded/shard does.
 *
 * Invariants: the ownership record that is served was in the log before the first call at its epoch was answered; a
 * replica that has lapsed answers no read until it is rebuilt (docs/protocols/rebuild.md).
 */
#ifndef TRILLIUM_NODED_REPLICA_REPLICA_H
#define TRILLIUM_NODED_REPLICA_REPLICA_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"
#include "common/model/view.h"
#include "noded/lsm/lsm.h"
#include "noded/replica/copy_position.h"
#include "noded/replica/record.h"

/* What may be asked of it. */
enum replica_health {
    REPLICA_WHOLE,
    REPLICA_LAPSED,     /* nothing: it lost something that controld does not know of */
    REPLICA_DOOMED,     /* nothing: controld knows, and what is held must be dropped */
    REPLICA_REBUILDING, /* writes: it began anew, empty, and others fill it */
};

struct replica {
    struct range_id id;
    struct lsm *lsm;
    struct view_range record;    /* newest adopted; epoch 0: none yet */
    struct node_id self;         /* this node, as the record names it; 0: not known yet */
    bool lapsed;                 /* lost part of its log or files since cleared_at */
    bool state_lost;             /* its own state too: cleared_at is not known */
    uint64_t cleared_at;         /* the lapse (lapsed_at) for which all rows were dropped last; 0: none */
    struct copy_position copied; /* how far it is rebuilt since then */
    enum replica_health health;  /* follows from what is above; replica_judge_health */
    bool clearing;               /* its rows are being dropped; nothing may begin */
    uint32_t changes;            /* appended and not applied */
    uint64_t state_sequence;     /* of the newest STATE record in this shard's log */
    struct list pending;         /* struct change that wait for a lookup, in log order */
};

/* ---- Its state in log and manifest ---- */

/* Version, flags and ownership record (none while epoch is 0). */
void replica_state_encode(const struct replica *replica, struct buffer *out);
/* Takes over what is newer: the record by its epoch, the rest by the lapse that it belongs to. CORRUPT when malformed.
 */
enum status replica_state_take(struct replica *replica, struct bytes state) MUST_CHECK;
/* After a change of record, self, lapsed or cleared_at. */
void replica_judge_health(struct replica *replica);
/* The lapse that the record tells of; 0: none, or this node is not in the record. */
uint64_t replica_lapsed_at(const struct replica *replica);
/* How much of the range's tokens is rebuilt. */
uint32_t replica_copied_percent(const struct replica *replica);
/* The record tells more than what is held: a higher epoch, or a higher horizon in the same one. */
bool replica_would_adopt(const struct replica *replica, const struct view_range *record);

/* ---- Judging calls ---- */

enum replica_call { REPLICA_READS, REPLICA_WRITES };
/* OK; STALE_EPOCH: the epochs differ, whichever is newer; UNAVAILABLE: its health does not allow the call, or it is
   owned by nobody known yet. */
enum status replica_admit(const struct replica *replica, uint64_t epoch, enum replica_call call) MUST_CHECK;
/* The partition's token belongs to the range. */
bool replica_owns(const struct replica *replica, struct bytes partition);
/* The id's time is below the horizon: a create needs a live import session. */
bool replica_is_below_horizon(const struct replica *replica, uint64_t id);

/* What the call may carry: BAD_REQUEST, TOO_BIG. Kinds as in proto/replica.proto. */
enum replica_write { REPLICA_CREATE = 1, REPLICA_EDIT = 2, REPLICA_DELETE = 3 };
enum status replica_check_row(enum replica_write kind, struct bytes row) MUST_CHECK;
/* The same of a page to write back; sets the lowest and highest id that it speaks of (lo > hi: none). */
enum status replica_check_page(struct bytes page, uint64_t *lo, uint64_t *hi) MUST_CHECK;

/* Whether a checked page has rows that live; others are deletes alone. */
bool replica_page_has_rows(struct bytes page);

/* ---- Changes ---- */

/* What a write of one row meets. held: as lsm_lookup gave it, NULL: nothing is known of the id. DEAD, ID_TAKEN,
   DOMINATED, PENDING or OK. */
enum status replica_verdict(const struct lsm_row *held, struct bytes row) MUST_CHECK;
/* Applies a decoded record of this range. CORRUPT: its body is malformed (from a log: the log is damaged). */
enum status replica_apply(
    struct replica *replica, const struct record *record, struct lsm_position position) MUST_CHECK;

#endif
