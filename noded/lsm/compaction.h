/*
 * compaction: which files of a tree to merge into one (a pure choice), and the merge. Private to noded/lsm.
 *
 * Size-tiered within the one window that a range has for now: files of like size are merged when there are enough, so a
 * row is rewritten about once per factor of four. Verified and unverified files are never merged with each other.
 * Merging drops rows under span deletes and cells under deletes (row_merge does), never a delete or a span.
 */
#ifndef TRILLIUM_NODED_LSM_COMPACTION_H
#define TRILLIUM_NODED_LSM_COMPACTION_H

#include "noded/lsm/tree.h"

enum {
    COMPACTION_FILES_MIN = 4,  /* of like size, to be worth a merge */
    COMPACTION_FILES_MAX = 16, /* in one merge */
    COMPACTION_FACTOR = 4,     /* like size: the largest is at most this times the smallest */
    TREE_FILES_HIGH = 24,      /* above it the smallest are merged whatever their sizes */
};

struct compaction_file {
    uint64_t bytes;
    bool verified, excluded;
};
/* Marks the files to merge in chosen[count] and returns how many: 0, or 2 to COMPACTION_FILES_MAX. Pure. */
uint32_t compaction_choose(const struct compaction_file *files, uint32_t count, bool *chosen);

/* The files of the tree that are due, with compaction_choose. */
uint32_t tree_choose(struct lsm *lsm, struct sstable *inputs[COMPACTION_FILES_MAX]);

#endif
