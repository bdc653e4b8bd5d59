/*
 * wal: the one log: noded's commit log of a shard, controld's Raft log, hints (docs/formats/log.md).
 *
 * A log is a row of segment files in one directory. It takes opaque records, gives them consecutive sequences from 1,
 * writes them in groups (what arrived while earlier commits were in flight) and tells each waiter, in order, once its
 * record is on stable storage. It knows nothing of what records mean, keeps no index of them, and never takes one
 * back: a caller that must cut a suffix (Raft) appends a record that says so.
 *
 * Invariants: a waiter is told only after its record, and every record before it, is durable. Recovery yields every
 * record whose waiter was told, then a prefix of the others, in order, nothing else; or says CORRUPT. A failed write or
 * sync ends the process (env_die) before anybody is told anything.
 *
 * Threads: a wal belongs to one reactor. Functions marked (fiber) suspend the calling fiber, the others never do.
 */
#ifndef TRILLIUM_COMMON_WAL_WAL_H
#define TRILLIUM_COMMON_WAL_WAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/list.h"
#include "common/base/status.h"
#include "common/base/uuid.h"

struct reactor;
struct wal;

enum {
    WAL_LOGS_MAX = 256,
    WAL_GROUP_BYTES_DEFAULT = 256 << 10,
    WAL_SEGMENT_BYTES_DEFAULT = 32 << 20,
    WAL_COMMITS_IN_FLIGHT_DEFAULT = 2,
    WAL_COMMITS_IN_FLIGHT_MAX = 4,
    WAL_BUFFERS_DEFAULT = 8,
    WAL_SPARES_DEFAULT = 2,
    /* What a group of one record spends beside the record's payload. */
    WAL_RECORD_OVERHEAD_BYTES = 80,
};

/* A record as recovery hands it out; payload is valid during the call only. */
struct wal_record {
    uint64_t sequence;
    uint8_t kind; /* the caller's */
    uint8_t log;  /* number of the log it came from */
    struct bytes payload;
};

struct wal_replay {
    /* In order of sequence, in the fiber that opened or recovered; it may suspend. Anything but OK ends the recovery
       with that status. */
    enum status (*record)(void *context, const struct wal_record *record);
    void *context;
    /* Only records above it are handed out, and none up to it is missed when absent. */
    uint64_t after;
    /* Damage: go on with what can still be read instead of ending with CORRUPT. The caller then treats what the log
       stood for as lapsed. */
    bool accept_damage;
};

/* What recovery found. */
struct wal_recovery {
    uint64_t last_sequence; /* of the last record that survives; 0: none ever */
    uint64_t records;       /* handed out */
    /* A crash cut the tail: groups that nobody was told of were dropped. */
    bool torn;
    /* Records that were provably durable cannot be read: at least one of lost_first..lost_last. The position is where
       reading stopped first. */
    bool damaged;
    uint64_t lost_first, lost_last;
    uint32_t damaged_segment;
    uint64_t damaged_offset;
    char why[280]; /* one sentence for the log, "" when all is well */
};

struct wal_config {
    const char *dir;     /* of the data directory: "log", "raft"; made when missing */
    uint8_t log;         /* number, unique in dir */
    struct uuid cluster; /* not zero */
    /* Zeros mean the defaults above. */
    uint32_t segment_bytes; /* at least 2 * group_bytes + 4096; a multiple of 4096 */
    uint32_t group_bytes;   /* at least the largest record + WAL_RECORD_OVERHEAD_BYTES; a multiple of 4096 */
    uint32_t buffers;       /* groups of unsynced records held in memory, beyond which BUSY */
    uint32_t commits_in_flight;
    uint32_t spares; /* released segments kept for reuse */
    struct wal_replay replay;
};

/* (fiber) Recovers the log, replays it, makes durable what it replayed, and opens it for appending (a missing log is an
   empty one). recovery is filled in any case. CORRUPT: damage below what was synced (and not accept_damage), nothing
   was opened. CONFLICT: another cluster's files or a newer format. NO_SPACE, IO, or the callback's status. */
enum status wal_open(struct reactor *reactor, const struct wal_config *config, struct wal_recovery *recovery,
    struct wal **out) MUST_CHECK;
/* (fiber) Waits until everything appended is durable, leaves a marker, and frees the wal. */
void wal_close(struct wal *wal);

/* Told once, on the reactor, in order of sequence, when the record is durable. It may append. Lives in the caller until
   then. */
struct wal_waiter {
    struct list link;
    uint64_t sequence; /* set by wal_append */
    void (*done)(struct wal_waiter *waiter);
};

/* Copies the record (the concatenation of parts) into the log and gives it the next sequence; waiter may be NULL.
   Starts no fiber, never waits. Refusals have no effect: BUSY (buffers are full: try after the next done), NO_SPACE
   (the disk is full), TOO_BIG. */
enum status wal_append(
    struct wal *wal, uint8_t kind, const struct bytes *parts, unsigned count, struct wal_waiter *waiter) MUST_CHECK;
/* (fiber) Appends, waiting while BUSY, and returns when the record is durable. NO_SPACE, TOO_BIG. sequence may be NULL.
 */
enum status wal_append_wait(
    struct wal *wal, uint8_t kind, const struct bytes *parts, unsigned count, uint64_t *sequence) MUST_CHECK;
/* (fiber) Returns when everything appended so far is durable. */
void wal_sync(struct wal *wal);

/* Of the last appended record; after wal_append returned OK, the record's own. 0: none ever. */
uint64_t wal_last_sequence(const struct wal *wal);
/* Everything up to it is durable and was told. */
uint64_t wal_synced_sequence(const struct wal *wal);
/* The disk has no room for another segment; it is tried again by itself. */
bool wal_lacks_space(const struct wal *wal);
/* Of its segments on the disk, spares not counted. */
uint64_t wal_bytes(const struct wal *wal);

/* Nothing up to sequence is needed any more. Segments wholly below are reused or deleted, once a durable group says
   so. Never goes back. */
void wal_release(struct wal *wal, uint64_t sequence);
uint64_t wal_released_sequence(const struct wal *wal);

/* For metrics. */
struct wal_counters {
    uint64_t groups, records, record_bytes, written_bytes, markers, busy, no_space;
    uint64_t segments_made, segments_reused, segments_deleted;
};
const struct wal_counters *wal_counters(const struct wal *wal);

/* Any number of shards can replay any log. (fiber) Replays a log that is not open and syncs what it replayed; changes
   nothing. Of config, dir, log, cluster (zero: any) and replay count. NOT_FOUND: no such log; the rest as wal_open. */
enum status wal_recover(
    struct reactor *reactor, const struct wal_config *config, struct wal_recovery *recovery) MUST_CHECK;

struct wal_logs {
    unsigned count;
    uint8_t numbers[WAL_LOGS_MAX]; /* ascending */
};
/* (fiber) The logs in dir; a missing dir has none. */
enum status wal_list(struct reactor *reactor, const char *dir, struct wal_logs *out) MUST_CHECK;
/* (fiber) Deletes a log that is not open and whose records are held elsewhere durably. */
enum status wal_delete(struct reactor *reactor, const char *dir, uint8_t log, const struct uuid *cluster) MUST_CHECK;

#endif
