/*
 * row: one logical row and its one byte string (docs/formats/row.md).
 *
 * A row of a messages table is one of: a create; a create with edits; pending edits (no create yet: kept, invisible);
 * a delete (final, no cells). Equal rows have equal bytes, and only canonical bytes are accepted. The struct is a view:
 * values point into the bytes that it was decoded from, or wherever the builder's caller keeps them.
 * Columns are 1..COLUMNS_MAX; those that no schema knows are carried along. A row does not know its key; a create's
 * cells carry the id's time (cell_timestamp). Pure functions.
 */
#ifndef TRILLIUM_COMMON_MODEL_ROW_H
#define TRILLIUM_COMMON_MODEL_ROW_H

#include "common/base/hash.h"
#include "common/model/schema.h"

struct cell {
    uint16_t column;
    bool edit;         /* written by an edit: has a timestamp of its own */
    bool deleted;      /* an edit that clears the column: no value */
    int64_t timestamp; /* microseconds since 1970; 0 in a create's cell */
    struct bytes value;
};

struct row {
    bool has_create;
    bool is_deleted;
    unsigned cells_count;
    uint64_t create_digest;         /* of the create's bytes; not 0 when has_create, else 0 */
    int64_t deleted_at;             /* newest delete stamp, when is_deleted */
    struct cell cells[COLUMNS_MAX]; /* ascending by column; create cells that an edit shadows are gone */
};

/* A row of nothing: the neutral element of merge. It has no bytes: row_decode never gives it, row_encode refuses it. */
static inline bool row_is_empty(const struct row *row)
{
    return !row->has_create && !row->is_deleted && row->cells_count == 0;
}

/* A reader sees the row: its create is known and no delete is. Deletes by spans are the caller's to ask about. */
static inline bool row_is_visible(const struct row *row)
{
    return row->has_create && !row->is_deleted;
}

/* BAD_REQUEST when the bytes are not a canonical row, or of a newer version (whoever reads a disk calls that CORRUPT).
   The view lives as long as the bytes; out is undefined on error. No limit of size: ROW_BYTES_MAX binds calls
   (row_check_create, row_check_edit), what merges made of them may be longer, and merging must never fail. */
enum status row_decode(struct bytes bytes, struct row *out) MUST_CHECK;
/* The row is not empty and well-formed (CHECKed); the writer fails when it has too little room. */
void row_encode(const struct row *row, struct writer *out);
/* What row_encode will write. */
size_t row_encoded_size(const struct row *row);
/* Appends the encoded row; returns the view of it, valid until the buffer grows. */
struct bytes row_encode_buffer(const struct row *row, struct buffer *out);

/* What the flag bytes alone tell, without decoding; false for malformed bytes. */
bool row_bytes_is_delete(struct bytes bytes);
bool row_bytes_is_visible(struct bytes bytes);

/* Equal on every replica that holds the row, wherever it lies: xxh3-128 of the bytes, seeded by that of the key. */
struct digest row_digest(struct bytes key, struct bytes bytes);

/*
 * Builders. row_put and row_put_edit keep the order; a column is put once. The finished row is for row_encode; decode
 * the result before merging it, since a built create does not know its digest yet.
 */
void row_begin_create(struct row *row);
void row_put(struct row *row, uint16_t column, struct bytes value);
void row_begin_edit(struct row *row);
void row_put_edit(struct row *row, uint16_t column, int64_t timestamp, struct bytes value);
void row_put_clear(struct row *row, uint16_t column, int64_t timestamp);
void row_make_delete(struct row *row, int64_t stamp);

/* NULL when the row has no cell of the column. A cell that is deleted has no value. */
const struct cell *row_find(const struct row *row, uint16_t column);
/* The value, or an empty view with data NULL when absent or cleared (an empty value has data not NULL). */
struct bytes row_value(const struct row *row, uint16_t column);
/* The timestamp that counts: the edit's own, or the id's time. */
int64_t cell_timestamp(const struct cell *cell, uint64_t id);
/* Newest timestamp of an edit in the row, INT64_MIN when it has none. */
int64_t row_newest_edit(const struct row *row);

/* What a caller may send: BAD_REQUEST or TOO_BIG otherwise. Columns that the table does not know are carried.
   A create: has_create, no edit cells, author present, values valid. An edit: no create, at least one cell, none of
   the author's. */
enum status row_check_create(const struct table *table, const struct row *row) MUST_CHECK;
enum status row_check_edit(const struct table *table, const struct row *row) MUST_CHECK;

#endif
