/*
 * raft_log: a member's log in memory, and how far each part of it has come: written, durable, committed, applied.
 *
 * Invariants: start.index <= applied <= applying <= commit <= last; applying <= durable <= submitted <= last.
 * Owned by one struct raft. Holds a reference to each of its entries.
 */
#ifndef TRILLIUM_CONTROLD_RAFT_RAFT_LOG_H
#define TRILLIUM_CONTROLD_RAFT_RAFT_LOG_H

#include "controld/raft/raft_types.h"

struct raft_log {
    struct raft_snapshot start;  /* the place before the first entry */
    struct raft_entry **entries; /* a ring */
    size_t head, count, capacity;
    uint64_t commit;    /* known to be committed */
    uint64_t applying;  /* handed out to be applied */
    uint64_t applied;   /* applied */
    uint64_t submitted; /* handed out to be written, as they are in memory now */
    uint64_t durable;   /* durable, as they are in memory now */
    uint64_t disk_last; /* no write has put an entry beyond this on disk since the last cut there */
};

void raft_log_init(struct raft_log *log, struct raft_snapshot start);
void raft_log_fini(struct raft_log *log);

static inline uint64_t raft_log_first(const struct raft_log *log)
{
    return log->start.index + 1;
}
static inline uint64_t raft_log_last(const struct raft_log *log)
{
    return log->start.index + log->count;
}
uint64_t raft_log_last_term(const struct raft_log *log);

/* False when the log no longer, or not yet, knows the entry's term. */
bool raft_log_term(const struct raft_log *log, uint64_t index, uint64_t *term);
bool raft_log_matches(const struct raft_log *log, uint64_t index, uint64_t term);
/* The entry; it must be in memory. Borrowed. */
struct raft_entry *raft_log_entry(const struct raft_log *log, uint64_t index);

/* Appends after the last; takes a reference. */
void raft_log_append(struct raft_log *log, struct raft_entry *entry);
/* Drops the entries from index on; none of them is committed. */
void raft_log_truncate(struct raft_log *log, uint64_t index);
/* Drops the entries up to index (<= applied). */
void raft_log_compact(struct raft_log *log, uint64_t index);
/* Drops everything: the log begins after start, which counts as durable and committed. */
void raft_log_reset(struct raft_log *log, struct raft_snapshot start);

/* The paper's "at least as up to date" (section 5.4.1): is a log that ends at (index, term)? */
bool raft_log_is_behind_or_equal(const struct raft_log *log, uint64_t index, uint64_t term);
/* The largest index <= the given one whose entry has at most this term; *found its term, 0 when unknown. */
uint64_t raft_log_find_at_most(const struct raft_log *log, uint64_t index, uint64_t term, uint64_t *found);

/* CHECKs the invariants. */
void raft_log_check(const struct raft_log *log);

#endif
