/*
 * shard: one thread's part of a node: a commit log, a store, and the replicas of the ranges that the node's number of
 * shards gives it (view_shard_of). It orders changes through the log, follows the view, releases and recovers the log.
 * It does not speak to anybody: noded/api translates calls into what is here.
 *
 * Start, all in a fiber, in this order: shard_open_trees; then either shard_open_log (the data directory was last used
 * with this number of shards: the own log has all that the trees lack) or, all shards in step, shard_recover_all,
 * shard_flush_all, shard_take_log; then shard_start. Failures end the process, with a sentence.
 *
 * Everything belongs to one reactor (in tests several shards may share one). No function waits but those marked
 * (fiber).
 */
#ifndef TRILLIUM_NODED_SHARD_SHARD_H
#define TRILLIUM_NODED_SHARD_SHARD_H

#include "common/base/map.h"
#include "common/cluster/space_level.h"
#include "common/cluster/shared_view.h"
#include "common/runtime/fiber.h"
#include "common/runtime/reactor.h"
#include "common/wal/wal.h"
#include "noded/replica/replica.h"

#define SHARD_LOG_DIRECTORY "log"

enum {
    SHARD_MEMTABLE_SHARE = 6,   /* of the shard's memory */
    SHARD_LOG_SEGMENTS_MAX = 8, /* beyond so many, trees are flushed to free the oldest */
};

struct shard_options {
    struct reactor *reactor;
    uint16_t index, count;
    struct uuid cluster;
    uint64_t memory_bytes; /* of this shard, for everything */
    uint64_t disk_bytes;   /* of all shards; 0: plenty. May be set until the log is opened */
    /* As in struct lsm_store_options. */
    uint64_t (*next_file_id)(void *context);
    /* Optional, on the shard's reactor: the log's synced sequence rose; the view was taken over. */
    void (*synced)(void *context, uint16_t index, uint64_t sequence);
    void (*followed)(void *context, uint16_t index);
    void *context;
};

struct shard_counters {
    uint64_t writes, reads;        /* calls that were let in */
    uint64_t lookups_waited;       /* writes whose lookup needed a block */
    uint64_t orders_waited;        /* changes that waited behind such a one */
    uint64_t busy, stale, damaged; /* refused: overload, epochs; local faults met */
    uint64_t full;                 /* refused for want of disk space */
    uint64_t adoptions, forced_flushes;
    uint64_t lapses, rebuilt, copied_bytes; /* replicas that lapsed, that are whole again; what was fetched for them */
};

struct shard {
    struct shard_options options;
    struct reactor *reactor;
    struct lsm_store *store;
    struct wal *wal; /* NULL until it is open */
    uint8_t log;     /* its number */
    uint64_t log_segment_bytes, log_bytes_max;
    uint64_t told;                 /* every record up to it is durable and was given to its replica (or waits there) */
    struct map replicas;           /* by range id */
    struct shared_view *view;      /* the newest that was taken over; NULL until then */
    struct node_id node;           /* 0: not known yet */
    struct shared_view *next_view; /* to take over; NULL: none */
    struct node_id next_node;
    struct gate wake;    /* for the background fibers, and for who waits for their end */
    struct gate settled; /* told rose */
    struct gate made;    /* a replica was made */
    struct gate lapsed;  /* the health of a replica changed */
    bool making;
    struct map quarantined; /* ranges of which something lies in quarantine/ */
    uint64_t patience_ns;   /* left at the start for reads that fail, see recovery.c */
    uint32_t fibers;        /* background fibers that live */
    uint32_t lookups;       /* fibers that serve waiting changes */
    struct list ready;      /* struct change that may look up and wait for such a fiber */
    uint32_t changes_open;  /* appended and not done */
    enum space_level space; /* of the node's disk */
    bool ranges_refused;    /* ranges of the view were, because of it */
    bool started, stopping;
    struct shard_counters counters;
};

struct shard *shard_create(const struct shard_options *options);
/* Stopped, or never started. */
void shard_destroy(struct shard *shard);

/* ---- Start (fiber); they end the process when they fail ---- */

/* Opens the trees in ranges/ that this shard owns. A damaged one is put into quarantine and its replica lapses. */
void shard_open_trees(struct shard *shard);
/* Replays the own log and opens it. Damage in it lets the replicas lapse that it may concern. */
void shard_open_log(struct shard *shard);
/* Applies what all logs in log/ have for this shard's ranges; opens none. */
void shard_recover_all(struct shard *shard);
/* Everything in memory goes to files. */
void shard_flush_all(struct shard *shard);
/* Opens the own log, from which nothing is needed any more. */
void shard_take_log(struct shard *shard);
/* (any shard) Releases everything in a log that no shard has. It stays, so that its sequences go on if a shard has it
   again. */
void shard_release_foreign(struct shard *shard, uint8_t log);
/* Background work begins. */
void shard_start(struct shard *shard);
/* (fiber) No change or reading is under way or will come. Ends background work, closes trees and log. */
void shard_stop(struct shard *shard);

/* ---- Disk space ---- */

/* The node's disk is so full now: what the level does not allow is refused with FULL. When it falls, ranges that were
   refused are taken. */
void shard_use_space(struct shard *shard, enum space_level level);
/* What the shard must be able to write although everybody else's space is used up: its memtables as files, and log
   segments for deletes. The same from start to end; set disk_bytes first. */
uint64_t shard_reserve_bytes(const struct shard *shard);
/* The log cannot grow. */
bool shard_log_lacks_space(const struct shard *shard);

/* ---- Replicas ---- */

/* NULL: the shard has no replica of the range. */
struct replica *shard_replica(const struct shard *shard, struct range_id range);
/* Of the range that a call names: as replica_admit; NOT_OWNER or UNAVAILABLE when there is none. out is set on
   STALE_EPOCH too. */
enum status shard_admit(struct shard *shard, struct range_id range, uint64_t epoch, enum replica_call call,
    struct replica **out) MUST_CHECK;
/* What was adopted last is durable, so reads may be served at its epoch. */
bool shard_is_settled(const struct shard *shard, const struct replica *replica);
/* (fiber) Returns when it is. */
void shard_settle(struct shard *shard, const struct replica *replica);

/* Takes a view over in a fiber, soon. Holds the view. */
void shard_use_view(struct shard *shard, struct shared_view *view, struct node_id node);
/* Takes a newer record of a known replica over at once, if the log has room, so that calls which follow in the same
   turn are judged by it; shard_adopt still has to wait for it. */
void shard_adopt_soon(struct shard *shard, const struct view_range *record);
/* (fiber) Adopts a newer ownership record durably, making the replica if need be; older ones are ignored. NOT_OWNER: it
   is not for this node and shard; FULL, UNAVAILABLE. out is the replica. */
enum status shard_adopt(struct shard *shard, const struct view_range *record, struct replica **out) MUST_CHECK;

/* ---- Lapse and rebuild (docs/protocols/rebuild.md); all (fiber) ---- */

/* Returns when everything that stands in the log before the replica's newest record is applied. */
void shard_drain(struct shard *shard, const struct replica *replica);
/* Marks every replica as lapsed, durably: the data directory is not what it was taken for. UNAVAILABLE: stopping. */
enum status shard_lapse_all(struct shard *shard) MUST_CHECK;
/* Drops all rows of a DOOMED replica: it is REBUILDING then. NO_SPACE, IO: it is DOOMED still. */
enum status shard_clear(struct shard *shard, struct replica *replica) MUST_CHECK;
/* Makes durable how far a REBUILDING replica has come; whatever was applied before stands before it in the log.
   UNAVAILABLE, NO_SPACE. */
enum status shard_note_copied(
    struct shard *shard, struct replica *replica, const struct copy_position *copied) MUST_CHECK;

/* ---- Inside noded/shard ---- */

/* Appends a STATE record that makes the replica's state this one, and takes it over in the same step. As wal_append.
   next is a changed copy of *replica; its position may be another one. */
enum status shard_change_state(struct shard *shard, struct replica *replica, const struct replica *next) MUST_CHECK;

/* (fiber) The replica of a range, its tree opened or made. NO_SPACE. */
enum status shard_make_replica(struct shard *shard, struct range_id range, struct replica **out) MUST_CHECK;
/* This record is durable, and so are all before it. */
void shard_told(struct shard *shard, uint64_t sequence);
/* Size of a segment of the log. */
uint64_t shard_segment_bytes(const struct shard *shard);
/* Frees what of the log is in files. */
void shard_release_log(struct shard *shard);
/* The one with the most in memory; NULL: there is none. */
struct replica *shard_largest(const struct shard *shard);
/* The background fibers. */
void shard_follow_view(void *shard);
void shard_keep_log(void *shard);
__attribute__((noreturn, format(printf, 3, 4))) void shard_die(
    struct shard *shard, enum status status, const char *format, ...);

#endif
