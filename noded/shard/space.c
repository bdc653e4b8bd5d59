/*
 * space: a shard on a disk that fills up: what its log and memory may take of a small one, what must be left for it,
 * and what it refuses at which level (common/cluster/space_level.h).
 */
#include "common/base/check.h"
#include "noded/shard/shard.h"

enum {
    SEGMENT_MEMORY_SHARE = 16, /* of the shard's memory */
    SEGMENT_DISK_SHARE = 128,  /* of a small disk, so that all logs of a node take a tenth of it */
    SEGMENT_BYTES_MIN = 1 << 20,
    RESERVE_SEGMENTS = 2,
    RESERVE_DISK_SHARE = 8, /* of the disk, for all shards together */
};

uint64_t shard_segment_bytes(const struct shard *shard)
{
    uint64_t segment = shard->options.memory_bytes / SEGMENT_MEMORY_SHARE;
    uint64_t share = shard->options.disk_bytes / SEGMENT_DISK_SHARE / shard->options.count;
    if (shard->options.disk_bytes && segment > share) segment = share;
    if (segment > WAL_SEGMENT_BYTES_DEFAULT) segment = WAL_SEGMENT_BYTES_DEFAULT;
    return segment < SEGMENT_BYTES_MIN ? SEGMENT_BYTES_MIN : segment / 4096 * 4096;
}

/* What is in memory only is in the log too, so it is never more than either may have. */
uint64_t shard_reserve_bytes(const struct shard *shard)
{
    uint64_t segment = shard_segment_bytes(shard), memory = shard->options.memory_bytes / SHARD_MEMTABLE_SHARE;
    uint64_t log = segment * SHARD_LOG_SEGMENTS_MAX;
    uint64_t reserve = (memory < log ? memory : log) + segment * RESERVE_SEGMENTS;
    uint64_t share = shard->options.disk_bytes / RESERVE_DISK_SHARE / shard->options.count;
    return reserve < share ? reserve : share;
}

bool shard_log_lacks_space(const struct shard *shard)
{
    return shard->wal && wal_lacks_space(shard->wal);
}

void shard_use_space(struct shard *shard, enum space_level level)
{
    shard->space = level;
    if (!shard->ranges_refused || !space_level_allows(level, SPACE_USE_RANGE)) return;
    shard->ranges_refused = false;
    if (!shard->next_view && shard->view && !shard->stopping) shard_use_view(shard, shard->view, shard->node);
}
