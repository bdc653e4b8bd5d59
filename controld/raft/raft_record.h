/*
 * raft_record: the records of the Raft log file (docs/formats/raft_log.md), and what a restart makes of them.
 *
 * Pure: bytes in, bytes out. Framing, checksums, segments and the torn-tail rule are common/wal's; a record here is one
 * whole payload of it. Not thread-safe for one replay; encoding and decoding are.
 */
#ifndef TRILLIUM_CONTROLD_RAFT_RAFT_RECORD_H
#define TRILLIUM_CONTROLD_RAFT_RAFT_RECORD_H

#include "common/base/status.h"
#include "controld/raft/raft.h"

enum {
    RAFT_RECORD_HEADER_BYTES_MAX = 32,
    RAFT_RECORD_BYTES_MAX = RAFT_RECORD_HEADER_BYTES_MAX + RAFT_ENTRY_BYTES_MAX,
};

/* Numbers are on disk. */
enum raft_record_kind {
    RAFT_RECORD_ENTRY = 1,
    RAFT_RECORD_HARD_STATE = 2,
    RAFT_RECORD_TRUNCATE = 3,      /* entries after an index are void */
    RAFT_RECORD_SNAPSHOT_MARK = 4, /* a snapshot is durable */
};

struct raft_record {
    enum raft_record_kind kind;
    uint64_t index, term;            /* ENTRY, SNAPSHOT_MARK; TRUNCATE: the last index that stays */
    enum raft_entry_kind entry_kind; /* ENTRY */
    struct bytes data;               /* ENTRY; a view */
    struct raft_hard_state hard;     /* HARD_STATE */
    bool reset; /* SNAPSHOT_MARK: it came from the leader and replaces the whole log, else entries around it stay */
};

/* Appends the record's bytes. */
void raft_record_encode(const struct raft_record *record, struct buffer *out);
/* CORRUPT when the bytes are no record. data views bytes. */
enum status raft_record_decode(struct bytes bytes, struct raft_record *out) MUST_CHECK;

/* The records of a write in the order in which they must be appended. *position is 0 at first; false after the last. */
bool raft_write_next(const struct raft_write *write, uint32_t *position, struct raft_record *out);

/*
 * What the records of a log, read in order, leave behind. The log may have lost whole segments at its front after a
 * snapshot, if the snapshot's mark and a HARD_STATE lie in what is left.
 */
struct raft_replay {
    struct raft_hard_state hard;
    struct raft_snapshot snapshot;
    struct raft_entry **entries;
    size_t entries_count, entries_capacity;
};

/* Start from zero. CORRUPT: not a record, a gap, a term that falls, or a cut into the snapshot. */
enum status raft_replay_record(struct raft_replay *replay, struct bytes record) MUST_CHECK;
/* A view of the replay for raft_create, which checks it as a whole. */
struct raft_boot raft_replay_boot(const struct raft_replay *replay, uint64_t applied);
void raft_replay_free(struct raft_replay *replay);

#endif
