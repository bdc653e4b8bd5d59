/*
 * snapshots: the files snapshot-INDEX (docs/formats/snapshot.md): the applied state as it was after an entry, as
 * records.
 *
 * Knows nothing of what the records mean. Files are written whole and atomically, and verified when read.
 * Threads: the reactor's; functions marked (fiber) wait.
 */
#ifndef TRILLIUM_CONTROLD_API_SNAPSHOTS_H
#define TRILLIUM_CONTROLD_API_SNAPSHOTS_H

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "controld/raft/raft_types.h"

struct reactor;

enum { SNAPSHOT_BYTES_MAX = 64 << 20, SNAPSHOT_WHY_BYTES = 256 };

/* Begins a file's bytes; records are added, then it is sealed. */
void snapshot_begin(struct buffer *file, const struct uuid *cluster, struct raft_snapshot place);
void snapshot_add(struct buffer *file, struct bytes key, struct bytes value);
void snapshot_seal(struct buffer *file);

/* Judges a whole file: *place is where it stands, *records what snapshot_next reads. CORRUPT or CONFLICT with a
   sentence in why. */
enum status snapshot_check(struct bytes file, const struct uuid *cluster, struct raft_snapshot *place,
    struct reader *records, char why[SNAPSHOT_WHY_BYTES]) MUST_CHECK;
/* False at the end, or when the records are malformed (then reader_done is false). */
bool snapshot_next(struct reader *records, struct bytes *key, struct bytes *value);

/* (fiber) Durable when OK. */
enum status snapshot_write(struct reactor *reactor, uint64_t index, struct bytes file) MUST_CHECK;
/* (fiber) Reads and checks; tries again when the disk shows something damaged, since that may be a misread. NOT_FOUND,
   CORRUPT, CONFLICT, IO with a sentence in why. */
enum status snapshot_read(struct reactor *reactor, const struct uuid *cluster, uint64_t index, struct buffer *file,
    char why[SNAPSHOT_WHY_BYTES]) MUST_CHECK;
/* (fiber) Removes the files of snapshots before index, and unfinished ones. */
void snapshot_remove_before(struct reactor *reactor, uint64_t index);

#endif
