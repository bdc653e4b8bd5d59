#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/runtime/reactor.h"
#include "noded/lsm/compaction.h"
#include "noded/lsm/cursor.h"
#include "noded/lsm/tree.h"

enum { DEFAULT_BYTES = 64 << 20, RETRY_MS = 1000 };

struct lsm_store *lsm_store_create(const struct lsm_store_options *options)
{
    CHECK(options->reactor && options->next_file_id);
    struct lsm_store *store = mem_zalloc(sizeof *store);
    store->options = *options;
    if (store->options.cache_bytes == 0) store->options.cache_bytes = DEFAULT_BYTES;
    if (store->options.memtable_bytes == 0) store->options.memtable_bytes = DEFAULT_BYTES;
    if (store->options.flush_bytes == 0) {
        uint64_t quarter = store->options.memtable_bytes / 4;
        store->options.flush_bytes = quarter < UINT32_MAX ? (uint32_t)quarter : UINT32_MAX;
    }
    store->reactor = options->reactor;
    store->cache = cache_create(store->options.cache_bytes);
    store->compressor = compressor_create();
    store->codec = block_codec_create();
    list_init(&store->trees);
    list_init(&store->garbage);
    list_init(&store->free_cursors);
    gate_init(&store->work);
    gate_init(&store->stopped);
    return store;
}

void lsm_store_destroy(struct lsm_store *store)
{
    CHECK(store->background == 0 && list_is_empty(&store->trees) && list_is_empty(&store->garbage));
    cursor_pool_free(store);
    cache_destroy(store->cache);
    compressor_destroy(store->compressor);
    block_codec_destroy(store->codec);
    buffer_free(&store->scratch);
    mem_free(store);
}

void store_sweep(struct lsm_store *store)
{
    for (struct list *link; (link = list_pop_front(&store->garbage));)
        sstable_destroy(CONTAINER_OF(link, struct sstable, link), true);
}

void store_kick(struct lsm_store *store)
{
    gate_open(&store->work);
}

bool lsm_store_is_full(const struct lsm_store *store)
{
    return store->memtable_bytes > store->options.memtable_bytes;
}

void lsm_store_stats(const struct lsm_store *store, struct lsm_store_stats *out)
{
    struct cache_stats cache = cache_stats(store->cache);
    *out = store->stats;
    out->memtable_bytes = store->memtable_bytes;
    out->cache_bytes = cache.bytes;
    out->cache_hits = cache.hits;
    out->cache_misses = cache.misses;
}

/* ---- Background ---- */

/* The tree with the largest memtable, when it or all together are large enough. */
static struct lsm *due_for_flush(struct lsm_store *store)
{
    struct lsm *largest = NULL;
    uint64_t largest_bytes = 0;
    LIST_FOR_EACH (link, &store->trees) {
        struct lsm *lsm = CONTAINER_OF(link, struct lsm, link);
        if (lsm->flushing || lsm->clearing || tree_is_clean(lsm)) continue;
        if (lsm->frozen) return lsm; /* an earlier try failed */
        uint64_t bytes = memtable_bytes(lsm->active);
        if (largest && bytes <= largest_bytes) continue;
        largest = lsm;
        largest_bytes = bytes;
    }
    bool due = largest_bytes >= store->options.flush_bytes || store->memtable_bytes > store->options.memtable_bytes / 2;
    return due ? largest : NULL;
}

static void wait_for_work(struct lsm_store *store, bool failed)
{
    if (store->stopping) return;
    uint64_t until = failed ? reactor_now_ns(store->reactor) + (uint64_t)RETRY_MS * 1000000 : REACTOR_NEVER;
    if (!failed) {
        (void)gate_wait(store->reactor, &store->work, until);
        return;
    }
    while (!store->stopping && gate_wait(store->reactor, &store->work, until)) /* kicks do not shorten it */
        ;
}

static void background_end(struct lsm_store *store)
{
    CHECK(store->background > 0);
    if (--store->background == 0) gate_open(&store->stopped);
}

static void flush_fiber(void *argument)
{
    struct lsm_store *store = argument;
    while (!store->stopping) {
        store_sweep(store);
        struct lsm *lsm = due_for_flush(store);
        enum status status = lsm ? tree_flush_once(lsm) : STATUS_OK;
        if (!lsm) store->flush_due = false;
        if (!lsm || status != STATUS_OK) wait_for_work(store, status != STATUS_OK);
    }
    background_end(store);
}

static void compact_fiber(void *argument)
{
    struct lsm_store *store = argument;
    while (!store->stopping) {
        struct sstable *inputs[COMPACTION_FILES_MAX];
        uint32_t count = 0;
        struct lsm *due = NULL;
        LIST_FOR_EACH (link, &store->trees) {
            struct lsm *lsm = CONTAINER_OF(link, struct lsm, link);
            if (lsm->compacting || lsm->clearing || lsm->compaction_failed) continue;
            count = tree_choose(lsm, inputs);
            if (count == 0) continue;
            due = lsm;
            break;
        }
        enum status status = due ? tree_compact(due, inputs, count) : STATUS_OK;
        if (!due || status != STATUS_OK) wait_for_work(store, status != STATUS_OK);
    }
    background_end(store);
}

void lsm_store_start(struct lsm_store *store)
{
    CHECK(store->background == 0);
    store->stopping = false;
    store->background = 2;
    fiber_start(store->reactor, "lsm.flush", flush_fiber, store);
    fiber_start(store->reactor, "lsm.compact", compact_fiber, store);
}

void lsm_store_stop(struct lsm_store *store)
{
    store->stopping = true;
    while (store->background > 0) {
        gate_open(&store->work);
        (void)gate_wait(store->reactor, &store->stopped, REACTOR_NEVER);
    }
    store_sweep(store);
}
