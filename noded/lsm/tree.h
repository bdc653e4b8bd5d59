/*
 * tree: the inside of struct lsm, for the files of noded/lsm only; lsm.h has the contract. One thread.
 *
 * Where a row may be: active memtable, frozen memtable (being flushed), files. Merging is commutative, so no order
 * among them matters. The file list and the manifest change together, in tree_install, one change at a time.
 */
#ifndef TRILLIUM_NODED_LSM_TREE_H
#define TRILLIUM_NODED_LSM_TREE_H

#include "noded/lsm/memtable.h"
#include "noded/lsm/span_index.h"
#include "noded/lsm/sstable.h"
#include "noded/lsm/store.h"

/* Positions of several logs: per log the lowest and the highest sequence. */
struct log_span {
    uint32_t log;
    uint64_t first, last;
};
struct log_spans {
    uint32_t count;
    struct log_span spans[LSM_LOGS_MAX];
};
void log_spans_add(struct log_spans *spans, struct lsm_position position);
const struct log_span *log_spans_find(const struct log_spans *spans, uint32_t log);

struct lsm {
    struct list link; /* in the store's trees */
    struct lsm_store *store;
    uint64_t range;
    char directory[LSM_DIRECTORY_BYTES];
    struct table table; /* embedded in new files */

    struct memtable *active, *frozen; /* frozen: NULL, or being flushed (or waiting for the next try) */
    struct log_spans active_logs;     /* what active has */
    struct log_spans frozen_logs;     /* what frozen has */
    struct log_spans flushed;         /* last: what the manifest says */
    struct log_spans frozen_flushed;  /* last: what it will say once frozen is in files */
    struct list holds;                /* struct lsm_hold */
    struct span_index spans;
    struct buffer state;
    bool state_dirty; /* changed since the freeze or the last manifest */

    struct sstable **files; /* ascending by file id */
    uint32_t files_count;
    uint64_t manifest_number;
    bool installing, flushing, compacting, clearing;
    bool compaction_failed; /* wait for the next flush before trying again */
    struct gate changed;    /* one of the four above became false */
    uint32_t cursors;       /* open */
};

/* Tree's newest id outside the active memtable. */
uint64_t tree_newest_below(const struct lsm *lsm, struct bytes key);
/* Nothing is unflushed. */
bool tree_is_clean(const struct lsm *lsm);
bool tree_is_damaged(const struct lsm *lsm);

/* A change of the tree's files. */
struct tree_edit {
    struct sstable *add;           /* NULL: none */
    struct sstable *const *remove; /* remove_count of them, all in the tree */
    uint32_t remove_count;
    const struct log_spans *flushed; /* raises what is flushed; NULL: as it was */
    const struct lsm_position *only; /* after that, of its log this is what is flushed; NULL: nothing changes */
};
/* (fiber) Writes the manifest with the edit applied; then, and only then, changes the file list. The add reference
   becomes the tree's; removed files are released. Does not suspend after the file list has changed. */
enum status tree_install(struct lsm *lsm, const struct tree_edit *edit) MUST_CHECK;

/* (fiber) One flush of what is frozen, or of what is active when nothing is. */
enum status tree_flush_once(struct lsm *lsm) MUST_CHECK;

/* (fiber) Merges the chosen files (all unmarked, marks them meanwhile). */
enum status tree_compact(struct lsm *lsm, struct sstable *const *inputs, uint32_t count) MUST_CHECK;

#endif
