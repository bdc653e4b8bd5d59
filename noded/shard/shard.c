#include "noded/shard/shard.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "noded/shard/change.h"

/* Of the shard's memory: the rest is for calls under way, the log's buffers and what allocators waste. */
enum { CACHE_SHARE = 4 };

static void log_is_free(void *context, struct lsm *lsm)
{
    (void)lsm;
    shard_release_log(context);
}

static uint64_t next_file_id(void *context)
{
    struct shard *shard = context;
    return shard->options.next_file_id(shard->options.context);
}

struct shard *shard_create(const struct shard_options *options)
{
    CHECK(options->reactor && options->index < options->count && options->count <= SHARDS_MAX);
    struct shard *shard = mem_zalloc(sizeof *shard);
    shard->options = *options;
    shard->reactor = options->reactor;
    shard->log = (uint8_t)options->index;
    gate_init(&shard->wake);
    gate_init(&shard->settled);
    gate_init(&shard->made);
    gate_init(&shard->lapsed);
    list_init(&shard->ready);
    struct lsm_store_options store = {.reactor = options->reactor,
        .cluster = options->cluster,
        .cache_bytes = options->memory_bytes / CACHE_SHARE,
        .memtable_bytes = options->memory_bytes / SHARD_MEMTABLE_SHARE,
        .next_file_id = next_file_id,
        .released = log_is_free,
        .context = shard};
    shard->store = lsm_store_create(&store);
    return shard;
}

void shard_destroy(struct shard *shard)
{
    CHECK(!shard->started && shard->fibers == 0 && shard->changes_open == 0);
    size_t position = 0;
    for (struct replica *replica; (replica = map_next(&shard->replicas, &position, NULL));) {
        CHECK(!replica->lsm && list_is_empty(&replica->pending));
        copy_position_free(&replica->copied);
        mem_free(replica);
    }
    map_free(&shard->replicas);
    map_free(&shard->quarantined);
    shared_view_release(shard->view);
    shared_view_release(shard->next_view);
    lsm_store_destroy(shard->store);
    mem_free(shard);
}

void shard_die(struct shard *shard, enum status status, const char *format, ...)
{
    char why[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    env_die(reactor_env(shard->reactor), status, why);
}

void shard_start(struct shard *shard)
{
    CHECK(shard->wal && !shard->started);
    shard->started = true;
    lsm_store_start(shard->store);
    shard->fibers = 2;
    gate_open(&shard->lapsed);
    fiber_start(shard->reactor, "shard.view", shard_follow_view, shard);
    fiber_start(shard->reactor, "shard.log", shard_keep_log, shard);
}

void shard_stop(struct shard *shard)
{
    CHECK(shard->started);
    shard->stopping = true;
    while (shard->fibers > 0 || shard->lookups > 0) {
        gate_open(&shard->wake);
        gate_wait(shard->reactor, &shard->wake, reactor_now_ns(shard->reactor) + 1000000);
    }
    wal_sync(shard->wal);
    CHECK(shard->changes_open == 0);
    lsm_store_stop(shard->store);
    size_t position = 0;
    for (struct replica *replica; (replica = map_next(&shard->replicas, &position, NULL));) {
        lsm_close(replica->lsm);
        replica->lsm = NULL;
    }
    wal_close(shard->wal);
    shard->wal = NULL;
    shard->started = false;
}

/* ---- replicas ---- */

struct replica *shard_replica(const struct shard *shard, struct range_id range)
{
    return map_get(&shard->replicas, range.value);
}

enum status shard_admit(
    struct shard *shard, struct range_id range, uint64_t epoch, enum replica_call call, struct replica **out)
{
    struct replica *replica = shard_replica(shard, range);
    if (!replica) return shard->view ? STATUS_NOT_OWNER : STATUS_UNAVAILABLE;
    *out = replica;
    return replica_admit(replica, epoch, call);
}

bool shard_is_settled(const struct shard *shard, const struct replica *replica)
{
    return shard->told >= replica->state_sequence;
}

void shard_settle(struct shard *shard, const struct replica *replica)
{
    while (!shard_is_settled(shard, replica))
        gate_wait(shard->reactor, &shard->settled, REACTOR_NEVER);
}

void shard_told(struct shard *shard, uint64_t sequence)
{
    shard->told = sequence;
    if (!list_is_empty(&shard->settled.waiters)) gate_open(&shard->settled);
    if (shard->options.synced) shard->options.synced(shard->options.context, shard->options.index, sequence);
}

struct replica *shard_largest(const struct shard *shard)
{
    struct replica *largest = NULL;
    uint64_t most = 0;
    size_t position = 0;
    for (struct replica *replica; (replica = map_next(&shard->replicas, &position, NULL));) {
        struct lsm_stats stats;
        lsm_stats(replica->lsm, &stats);
        if (largest && stats.memtable_bytes <= most) continue;
        largest = replica;
        most = stats.memtable_bytes;
    }
    return largest;
}
