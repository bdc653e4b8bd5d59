#include "common/base/check.h"
#include "common/base/log.h"
#include "common/runtime/reactor.h"
#include "noded/lsm/sstable_writer.h"
#include "noded/lsm/tree.h"

enum { BYTES_PER_TURN = 16 << 10 }; /* of rows: about 100 us of encoding */

/* What the manifest may say once active's changes are in files: nothing at or above a held record. */
static void limit_by_holds(struct lsm *lsm, struct log_spans *flushed)
{
    LIST_FOR_EACH (link, &lsm->holds) {
        const struct lsm_hold *hold = CONTAINER_OF(link, struct lsm_hold, link);
        for (uint32_t i = 0; i < flushed->count; i++) {
            struct log_span *span = &flushed->spans[i];
            if (span->log == hold->position.log && span->last >= hold->position.sequence)
                span->last = hold->position.sequence - 1;
        }
    }
}

static void freeze(struct lsm *lsm)
{
    CHECK(!lsm->frozen);
    lsm->frozen = lsm->active;
    lsm->frozen_logs = lsm->active_logs;
    lsm->frozen_flushed = lsm->active_logs;
    limit_by_holds(lsm, &lsm->frozen_flushed);
    lsm->active = memtable_create(&lsm->store->memtable_bytes);
    lsm->active_logs.count = 0;
}

/* Writes one partition, newest first, without rows that a span delete covers for good. */
static enum status write_partition(
    struct lsm *lsm, struct sstable_writer *writer, const struct mem_partition *partition, uint32_t *bytes)
{
    struct reactor *reactor = lsm->store->reactor;
    const struct span_set *spans = lsm_spans(lsm, partition->key);
    struct mem_cursor cursor;
    const struct mem_entry *entry;
    enum status status = STATUS_OK;
    sstable_writer_partition(writer, partition->key, partition->spans_dirty ? spans : NULL);
    mem_cursor_init(&cursor, partition, UINT64_MAX, PAGE_NEWEST_FIRST);
    while (status == STATUS_OK && (entry = mem_cursor_peek(&cursor))) {
        struct bytes row = {entry->row, entry->size};
        mem_cursor_pass(&cursor, entry->id);
        /* Asked anew each time: the set may change while this fiber waits. Covered rows are dead for ever, and the
           span itself is in the log or in a file. */
        if (row.size > 0 && !row_bytes_is_delete(row) && spans && span_set_covers(spans, entry->id)) row.size = 0;
        if (row.size == 0 && !entry->closed) continue;
        status = sstable_writer_add(writer, entry->id, row, entry->closed);
        *bytes += entry->size + 16;
        if (*bytes < BYTES_PER_TURN) continue;
        *bytes = 0;
        fiber_sleep_until(reactor, reactor_now_ns(reactor)); /* a turn for everybody else */
    }
    return status;
}

/* Writes frozen to a new file; *out is NULL when there is nothing to write. */
static enum status write_frozen(struct lsm *lsm, struct sstable **out)
{
    uint32_t count, bytes = 0;
    struct mem_partition *const *partitions = memtable_sorted(lsm->frozen, &count);
    *out = NULL;
    if (count == 0) return STATUS_OK;
    struct sstable_writer *writer = sstable_writer_create(lsm->store, lsm->directory, &lsm->table);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++)
        status = write_partition(lsm, writer, partitions[i], &bytes);
    if (status != STATUS_OK || sstable_writer_is_empty(writer)) {
        sstable_writer_abort(writer);
        return status;
    }
    status = sstable_writer_finish(writer, out);
    return status;
}

static enum status flush_frozen(struct lsm *lsm)
{
    struct lsm_store *store = lsm->store;
    struct sstable *table;
    enum status status = write_frozen(lsm, &table);
    if (status != STATUS_OK) return status;
    struct tree_edit edit = {.add = table, .flushed = &lsm->frozen_flushed};
    status = tree_install(lsm, &edit);
    if (status != STATUS_OK) {
        if (table) sstable_destroy(table, true);
        return status;
    }
    memtable_release(lsm->frozen);
    lsm->frozen = NULL;
    lsm->frozen_logs.count = 0;
    lsm->compaction_failed = false;
    store->stats.flushes++;
    if (table) store->stats.flushed_bytes += sstable_info(table)->file_bytes;
    return STATUS_OK;
}

enum status tree_flush_once(struct lsm *lsm)
{
    struct lsm_store *store = lsm->store;
    while (lsm->flushing || lsm->clearing)
        (void)gate_wait(store->reactor, &lsm->changed, REACTOR_NEVER);
    if (tree_is_clean(lsm)) return STATUS_OK;
    lsm->flushing = true;
    if (!lsm->frozen) freeze(lsm);
    enum status status = flush_frozen(lsm);
    lsm->flushing = false;
    gate_open(&lsm->changed);
    if (status != STATUS_OK) {
        store->stats.failed_flushes++;
        store->stats.no_space += status == STATUS_NO_SPACE;
        LOG(reactor_log(store->reactor), ERROR, "flush.failed", "range=%016llx status=%s",
            (unsigned long long)lsm->range, status_name(status));
        return status;
    }
    store_kick(store);
    if (store->options.released) store->options.released(store->options.context, lsm);
    return STATUS_OK;
}

enum status lsm_flush(struct lsm *lsm)
{
    bool all = false;
    while (!all && !tree_is_clean(lsm)) {
        while (lsm->flushing)
            (void)gate_wait(lsm->store->reactor, &lsm->changed, REACTOR_NEVER);
        all = !lsm->frozen; /* then active is frozen now, and with it all that came before this call */
        enum status status = tree_flush_once(lsm);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}
