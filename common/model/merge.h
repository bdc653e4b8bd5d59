/*
 * merge: how two states of one row of a messages table become one (docs/formats/row.md).
 *
 *   create   one unit; of two different creates of one id the one with the larger digest wins whole
 *   edit     beats the create; per column the newest wins, a clear before a value, then the larger value
 *   delete   final: nothing but the newest stamp remains
 * Commutative, associative, idempotent; the empty row is neutral. Pure functions.
 */
#ifndef TRILLIUM_COMMON_MODEL_MERGE_H
#define TRILLIUM_COMMON_MODEL_MERGE_H

#include "common/model/row.h"

/* a and b come from row_decode or row_merge (or are empty); out is neither of them and points into the bytes of both.
 */
void row_merge(const struct row *a, const struct row *b, struct row *out);

/* The same on encoded rows: appends the merged bytes to out. Equal inputs are copied.
   BAD_REQUEST when either is malformed; out is then unchanged. a and b do not lie in out. */
enum status row_merge_bytes(struct bytes a, struct bytes b, struct buffer *out) MUST_CHECK;

/*
 * What a replica answers to a create, edit or delete that it applies over what it holds (empty: nothing):
 *   DEAD       held is deleted (a span that covers the id counts as well: the caller asks it first)
 *   ID_TAKEN   held has another create; the larger digest stays
 *   DOMINATED  a cell of the edit loses to a held edit
 *   PENDING    the edit waits for its create
 *   OK         otherwise
 */
enum status row_apply_status(const struct row *held, const struct row *incoming);

/* Negative, 0, positive: which of two edits of one column loses, is equal, wins. */
int cell_compare(const struct cell *a, const struct cell *b);

#endif
