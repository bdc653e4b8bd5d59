#include "controld/raft/raft_log.h"

#include "common/base/check.h"
#include "common/base/mem.h"

enum { CAPACITY_MIN = 64 };

void raft_log_init(struct raft_log *log, struct raft_snapshot start)
{
    *log = (struct raft_log){.start = start};
    log->commit = log->applying = log->applied = log->submitted = log->durable = log->disk_last = start.index;
}

static size_t slot_of(const struct raft_log *log, uint64_t index)
{
    return (log->head + (size_t)(index - raft_log_first(log))) & (log->capacity - 1);
}

static void drop_all(struct raft_log *log)
{
    for (uint64_t index = raft_log_first(log); index <= raft_log_last(log); index++)
        raft_entry_unref(log->entries[slot_of(log, index)]);
    log->count = log->head = 0;
}

void raft_log_fini(struct raft_log *log)
{
    drop_all(log);
    mem_free(log->entries);
    log->entries = NULL;
}

struct raft_entry *raft_log_entry(const struct raft_log *log, uint64_t index)
{
    CHECK(index >= raft_log_first(log) && index <= raft_log_last(log));
    struct raft_entry *entry = log->entries[slot_of(log, index)];
    CHECK(entry->index == index);
    return entry;
}

bool raft_log_term(const struct raft_log *log, uint64_t index, uint64_t *term)
{
    if (index == log->start.index) {
        *term = log->start.term;
        return true;
    }
    if (index < log->start.index || index > raft_log_last(log)) return false;
    *term = raft_log_entry(log, index)->term;
    return true;
}

uint64_t raft_log_last_term(const struct raft_log *log)
{
    return log->count ? raft_log_entry(log, raft_log_last(log))->term : log->start.term;
}

bool raft_log_matches(const struct raft_log *log, uint64_t index, uint64_t term)
{
    uint64_t ours;
    return raft_log_term(log, index, &ours) && ours == term;
}

static void grow(struct raft_log *log)
{
    size_t capacity = log->capacity ? log->capacity * 2 : CAPACITY_MIN;
    struct raft_entry **entries = mem_alloc(capacity * sizeof *entries);
    for (size_t i = 0; i < log->count; i++)
        entries[i] = log->entries[(log->head + i) & (log->capacity - 1)];
    mem_free(log->entries);
    log->entries = entries;
    log->capacity = capacity;
    log->head = 0;
}

void raft_log_append(struct raft_log *log, struct raft_entry *entry)
{
    CHECK(entry->index == raft_log_last(log) + 1);
    CHECK(entry->term >= raft_log_last_term(log));
    if (log->count == log->capacity) grow(log);
    log->entries[(log->head + log->count) & (log->capacity - 1)] = raft_entry_ref(entry);
    log->count++;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void raft_log_truncate(struct raft_log *log, uint64_t index)
{
    CHECK(index > log->commit && index > log->start.index);
    for (uint64_t last = raft_log_last(log); last >= index; last--, log->count--)
        raft_entry_unref(log->entries[slot_of(log, last)]);
    log->submitted = smaller(log->submitted, index - 1);
    log->durable = smaller(log->durable, index - 1);
}

void raft_log_compact(struct raft_log *log, uint64_t index)
{
    if (index <= log->start.index) return;
    CHECK(index <= log->applied);
    struct raft_snapshot start = {index, raft_log_entry(log, index)->term};
    while (raft_log_first(log) <= index) {
        raft_entry_unref(log->entries[log->head]);
        log->head = (log->head + 1) & (log->capacity - 1);
        log->count--;
        log->start.index++;
    }
    log->start = start;
}

void raft_log_reset(struct raft_log *log, struct raft_snapshot start)
{
    CHECK(start.index > log->commit);
    drop_all(log);
    log->start = start;
    log->commit = log->applying = log->applied = log->submitted = log->durable = log->disk_last = start.index;
}

bool raft_log_is_behind_or_equal(const struct raft_log *log, uint64_t index, uint64_t term)
{
    uint64_t ours = raft_log_last_term(log);
    return term > ours || (term == ours && index >= raft_log_last(log));
}

uint64_t raft_log_find_at_most(const struct raft_log *log, uint64_t index, uint64_t term, uint64_t *found)
{
    for (; index > 0; index--) {
        uint64_t ours;
        if (!raft_log_term(log, index, &ours)) break;
        if (ours <= term) {
            *found = ours;
            return index;
        }
    }
    *found = 0;
    return index;
}

void raft_log_check(const struct raft_log *log)
{
    uint64_t last = raft_log_last(log);
    CHECK(log->start.index <= log->applied && log->applied <= log->applying);
    CHECK(log->applying <= log->commit && log->commit <= last);
    CHECK(log->applying <= log->durable && log->durable <= log->submitted && log->submitted <= last);
}
