/*
 * meta_store: the door to the applied metadata: an ordered map of byte strings with atomic batches.
 *
 * Two backends stand behind it: memory (meta_memory.h; simulator and tests) and RocksDB (rocks/meta_rocks.h). What lies
 * in a store is disposable: it can be wiped and rebuilt from the Raft snapshot and log at any start.
 *
 * A batch is applied whole or not at all, together with the Raft index that it brings the state to, so that state and
 * applied index never disagree. Keys are non-empty, at most META_KEY_BYTES_MAX, ordered as memcmp orders them, a prefix
 * first. Keys that begin with META_OWN_BYTE are the store's own.
 *
 * Threads: calls to one store come from one thread at a time, and may block on the disk.
 */
#ifndef TRILLIUM_CONTROLD_STORE_META_STORE_H
#define TRILLIUM_CONTROLD_STORE_META_STORE_H

#include "common/base/bytes.h"
#include "common/base/status.h"

enum {
    META_KEY_BYTES_MAX = 1 << 10,
    META_VALUE_BYTES_MAX = 1 << 20,
    META_OWN_BYTE = 0xff,
};

/* A list of changes, in order: a later one wins over an earlier one of the same key. Zero-initialised is empty;
   reusable after meta_batch_clear, freed by meta_batch_free. The bytes are copied in. */
struct meta_batch {
    struct buffer changes;
    size_t count;
};

void meta_batch_put(struct meta_batch *batch, struct bytes key, struct bytes value);
void meta_batch_delete(struct meta_batch *batch, struct bytes key);
void meta_batch_clear(struct meta_batch *batch);
void meta_batch_free(struct meta_batch *batch);

/* One change of a batch; for backends. */
struct meta_change {
    bool is_delete;
    struct bytes key, value;
};

/* Reads the change at *position (0 at first) and moves on; false after the last. */
bool meta_batch_next(const struct meta_batch *batch, size_t *position, struct meta_change *out);

struct meta_store;

/* A walk over the keys in [from, to) as they are at its creation; later commits do not show. */
struct meta_cursor;

struct meta_store_operations {
    enum status (*get)(struct meta_store *store, struct bytes key, struct buffer *value);
    enum status (*commit)(struct meta_store *store, const struct meta_batch *batch, uint64_t applied);
    enum status (*wipe)(struct meta_store *store);
    uint64_t (*applied)(struct meta_store *store);
    struct meta_cursor *(*cursor_create)(struct meta_store *store, struct bytes from, struct bytes to);
    bool (*cursor_next)(struct meta_cursor *cursor, struct bytes *key, struct bytes *value);
    enum status (*cursor_status)(const struct meta_cursor *cursor);
    void (*cursor_destroy)(struct meta_cursor *cursor);
    void (*destroy)(struct meta_store *store);
};

/* The head of every backend's own struct. */
struct meta_store {
    const struct meta_store_operations *operations;
};
struct meta_cursor {
    const struct meta_store_operations *operations;
};

/* Replaces *value by the key's value (NULL: only asks). NOT_FOUND, or IO / CORRUPT from the disk. */
enum status meta_get(struct meta_store *store, struct bytes key, struct buffer *value) MUST_CHECK;

/*
 * Applies the batch and makes applied the store's applied index, durably, all or nothing; the batch is unchanged.
 * applied is not below the current one. IO, NO_SPACE, CORRUPT: unknown what is on disk; the process stops.
 */
enum status meta_commit(struct meta_store *store, const struct meta_batch *batch, uint64_t applied) MUST_CHECK;

/* Deletes everything; applied becomes 0. */
enum status meta_wipe(struct meta_store *store) MUST_CHECK;

/* The index given with the last commit; 0 when there was none. */
uint64_t meta_applied(struct meta_store *store);

/* to empty: no upper bound. The store's own keys are not shown. Destroy before the store. */
struct meta_cursor *meta_cursor_create(struct meta_store *store, struct bytes from, struct bytes to);
/* False at the end or after a failure (ask meta_cursor_status). Views are good until the next call. */
bool meta_cursor_next(struct meta_cursor *cursor, struct bytes *key, struct bytes *value);
enum status meta_cursor_status(const struct meta_cursor *cursor);
void meta_cursor_destroy(struct meta_cursor *cursor);

/* store may be NULL. */
void meta_store_destroy(struct meta_store *store);

#endif
