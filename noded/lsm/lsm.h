/*
 * lsm: the store of one range replica: memtable, sorted files, manifest, flush and compaction.
 *
 * Keys: a *partition* is the opaque bytes token | partition key (key_channel), at most KEY_BYTES_MAX - 8; within it
 * rows have 64-bit ids. Rows are canonical row bytes (common/model/row.h) that the caller has checked; what is applied
 * twice or in another order gives the same state. The tree knows nothing of epochs, seals or quorums: the replica
 * layer's own *state* is opaque bytes that ride in the manifest.
 *
 * Durability: the caller applies only what its log has synced, names the log position of every change, and keeps each
 * log record until lsm_first_unflushed has passed it. After a restart it applies again every record for which
 * lsm_is_flushed is false (applying more than that is harmless).
 *
 * Waiting: functions marked (fiber) suspend the calling fiber for disk. Functions marked (try) do so only when called
 * from a fiber; called outside of one they answer BUSY, with nothing changed, when a block would have to be read, and
 * the caller starts a fiber and repeats the same call. All others never wait.
 *
 * Damage: a block or file that fails its checksum answers CORRUPT, always; nothing is skipped or dropped. A failed sync
 * ends the process through env_die. Everything belongs to the reactor's thread.
 */
#ifndef TRILLIUM_NODED_LSM_LSM_H
#define TRILLIUM_NODED_LSM_LSM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/list.h"
#include "common/base/status.h"
#include "common/model/ids.h"
#include "common/model/page.h"
#include "common/model/row.h"
#include "common/model/span.h"

struct lsm;
struct lsm_cursor;
struct lsm_store;
struct reactor;

/* ---- What the trees of one shard share: cache, memory budget, compression memory, the background fiber. ---- */

struct lsm_store_options {
    struct reactor *reactor;
    struct uuid cluster;
    uint64_t cache_bytes;    /* blocks in memory; 0: 64 MiB */
    uint64_t memtable_bytes; /* all memtables, those being flushed included; 0: 64 MiB */
    uint32_t flush_bytes;    /* a memtable of this size is flushed; 0: a quarter of memtable_bytes */
    /* A number never given before in this data directory, across restarts; from any shard's thread. */
    uint64_t (*next_file_id)(void *context);
    /* A tree's flushed positions moved, so log segments may have become free. May be NULL. */
    void (*released)(void *context, struct lsm *lsm);
    void *context;
};

struct lsm_store *lsm_store_create(const struct lsm_store_options *options);
/* All trees are closed and the background fiber is stopped. */
void lsm_store_destroy(struct lsm_store *store);
/* The background fiber flushes and compacts whatever is due. Without it nothing happens but by explicit calls. */
void lsm_store_start(struct lsm_store *store);
/* (fiber) Returns when the background fiber has ended; a compaction is given up. */
void lsm_store_stop(struct lsm_store *store);
/* Memtables are above their budget: refuse new writes with BUSY until it is false again. */
bool lsm_store_is_full(const struct lsm_store *store);

struct lsm_store_stats {
    uint64_t memtable_bytes, cache_bytes, cache_hits, cache_misses;
    uint64_t flushes, flushed_bytes, compactions, compacted_bytes_read, compacted_bytes_written;
    uint64_t corrupt_blocks, failed_flushes, failed_compactions;
    uint64_t no_space; /* of these, for want of disk space */
};
void lsm_store_stats(const struct lsm_store *store, struct lsm_store_stats *out);

/* ---- One tree ---- */

/* (fiber) Opens or makes the tree in ranges/R: reads the newest manifest, checks that every file it names is there and
   whole at its ends, removes files that it does not name. CORRUPT: manifest or a file is damaged or missing (the
   replica has lapsed); IO. */
enum status lsm_open(struct lsm_store *store, uint64_t range, struct lsm **out) MUST_CHECK;
/* (fiber) After lsm_open said CORRUPT: moves what is there to quarantine/, so that the next lsm_open makes an empty
   tree (the replica has lapsed and is rebuilt). */
enum status lsm_quarantine(struct lsm_store *store, uint64_t range) MUST_CHECK;
/* The schema to embed in new files; chat.messages until told. */
void lsm_set_table(struct lsm *lsm, const struct table *table);
/* (fiber) Waits for its flush, gives up its compaction; does not flush. Cursors are closed, and no other fiber is in a
   call on this tree (the store's own may be). */
void lsm_close(struct lsm *lsm);
uint64_t lsm_range(const struct lsm *lsm);
/* Where a change stands in a log; sequence numbers of one log rise, from 1. */
struct lsm_position {
    uint32_t log;
    uint64_t sequence;
};
enum { LSM_LOGS_MAX = 64 };

/* (fiber) Drops all rows and spans, from memory and files, in one manifest edit that also takes the state. For a
   lapsed replica and for a range that moved away. No cursor is open, nothing is held, nothing is applied meanwhile.
   From then on, exactly what stands in the log up to position counts as being in files. */
enum status lsm_clear(struct lsm *lsm, struct bytes state, struct lsm_position position) MUST_CHECK;
/* No cursor is open and nothing is held. */
bool lsm_is_idle(const struct lsm *lsm);

/* A record that will be applied after records that follow it in its log (its lookup waits for a block). From begin to
   end, flushes count neither it nor what follows as flushed. End comes in the same turn as the apply. The hold is the
   caller's memory. Without holds, positions of one log are applied in order. */
struct lsm_hold {
    struct list link;
    struct lsm_position position;
};
void lsm_hold_begin(struct lsm *lsm, struct lsm_hold *hold, struct lsm_position position);
void lsm_hold_end(struct lsm_hold *hold);

/* The lowest sequence of this log that is not in files yet, held ones included; false when there is none. */
bool lsm_first_unflushed(const struct lsm *lsm, uint32_t log, uint64_t *sequence);
/* True: this record's changes of this range are in files; a replay may leave them out. */
bool lsm_is_flushed(const struct lsm *lsm, struct lsm_position position);

/* The replica layer's state: at most LSM_STATE_BYTES_MAX. Set like a row (the log has it already); it reaches the
   manifest with the next flush. The view is valid until the next set. */
enum { LSM_STATE_BYTES_MAX = 16 << 10 };
void lsm_set_state(struct lsm *lsm, struct bytes state, struct lsm_position position);
struct bytes lsm_state(const struct lsm *lsm);

/* ---- Changes: never wait, never fail ---- */

/* What merges make of rows may be longer than any that was sent. */
enum { LSM_ROW_BYTES_MAX = COLUMNS_MAX * (ROW_BYTES_MAX + 16) };

struct lsm_change {
    uint64_t id;
    struct bytes row; /* canonical bytes of a create, edit, delete, or any merged row; copied */
    bool open;        /* a delete that is not known to be held by a quorum (ignored for rows that are not deletes) */
};
void lsm_apply(struct lsm *lsm, struct bytes partition, const struct lsm_change *change, struct lsm_position position);
/* Deletes [span.lo, span.hi] for ever. */
void lsm_apply_span(struct lsm *lsm, struct bytes partition, struct span span, struct lsm_position position);
/* A quorum holds a delete of the id: the delete here, if any, is no longer open. */
void lsm_close_delete(struct lsm *lsm, struct bytes partition, uint64_t id, struct lsm_position position);
/* A quorum holds deletes of all ids in [lo, hi]: spans here that lie in it are no longer open. */
void lsm_close_span(struct lsm *lsm, struct bytes partition, uint64_t lo, uint64_t hi, struct lsm_position position);

/* ---- Reads ---- */

/* What is known of one id. */
struct lsm_row {
    uint64_t id;
    struct bytes row; /* merged canonical bytes; size 0: nothing but the span */
    bool open;        /* row is a delete and still open */
    bool covered;     /* by a span delete, which then is in span (row may be there or not) */
    struct span span; /* the piece of the partition's span set around the id, when covered */
};

static inline bool lsm_row_is_visible(const struct lsm_row *row)
{
    return !row->covered && row->row.size > 0 && row_bytes_is_visible(row->row);
}

/* (try) The merged raw state of one id; row bytes live in the arena. NOT_FOUND when nothing is known of it, not even
   a covering span; BUSY, CORRUPT, IO. */
enum status lsm_lookup(
    struct lsm *lsm, struct bytes partition, uint64_t id, struct arena *arena, struct lsm_row *out) MUST_CHECK;

/* The newest id that is known in the partition, counting creates, pending edits, deletes and ends of spans; 0: none. */
uint64_t lsm_newest(struct lsm *lsm, struct bytes partition);

/* The deletes by span in the partition; NULL: none. Valid until the next change of the tree. */
const struct span_set *lsm_spans(struct lsm *lsm, struct bytes partition);

/* Walks the ids of a partition from bound (included) in one direction. Flushes, compactions and changes may go on
   meanwhile: each id comes at most once, in strict order; what was applied before the open is seen, what is applied
   later may be. Never fails, never waits. */
struct lsm_cursor *lsm_cursor_open(
    struct lsm *lsm, struct bytes partition, uint64_t bound, enum page_direction direction);
/* (try) The next id of which a row is known: visible, pending, deleted or covered; ids known only through a span do
   not come. Row bytes are valid until the next call on this cursor. NOT_FOUND at the end; BUSY; after CORRUPT or IO
   every further call answers the same. */
enum status lsm_cursor_next(struct lsm_cursor *cursor, struct lsm_row *out) MUST_CHECK;
void lsm_cursor_close(struct lsm_cursor *cursor);

struct lsm_partition {
    struct bytes key; /* in the arena */
    uint64_t newest;
    bool visible; /* may hold a row that is visible: there are rows, and no one span covers all of them */
};
/* The first partitions above after (empty: from the start), in key order, which is token order; returns how many of
   limit were filled. A partition whose rows are all deleted comes too. */
uint32_t lsm_partitions(
    struct lsm *lsm, struct bytes after, uint32_t limit, struct arena *arena, struct lsm_partition *out);

/* ---- Flush and compaction ---- */

/* (fiber) All changes applied before the call are in files when it returns OK. NO_SPACE, IO: nothing is lost, the
   changes stay in memory and unflushed. */
enum status lsm_flush(struct lsm *lsm) MUST_CHECK;
/* (fiber) Merges all files into one, whatever the tiers say. CORRUPT: an input is damaged, and all files stay. BUSY:
   the tree is being closed, or the store was stopped. */
enum status lsm_compact(struct lsm *lsm) MUST_CHECK;

struct lsm_stats {
    uint64_t memtable_bytes, memtable_rows;
    uint64_t file_bytes;
    uint32_t files;
    bool damaged; /* a read met CORRUPT since open */
};
void lsm_stats(const struct lsm *lsm, struct lsm_stats *out);
/* For tests: open cursors; the n-th file that the tree reads from (false: there are fewer), and whether a manifest of
   others is being written. */
uint32_t lsm_cursors(const struct lsm *lsm);
bool lsm_file(const struct lsm *lsm, uint32_t n, uint64_t *file_id, bool *changing);

#endif
