#include "client/id_maker.h"

#include <string.h>

#include "common/base/check.h"
#include "common/model/snowflake.h"

void id_maker_lease(struct id_maker *ids, uint16_t maker, uint64_t until_ns, int64_t floor_ms)
{
    if (!ids->leased || ids->maker != maker) {
        ids->floor_ms = floor_ms;
        ids->sequence = SNOWFLAKE_SEQUENCES;
    }
    ids->leased = true;
    ids->maker = maker;
    ids->lease_until_ns = until_ns;
}

void id_maker_reserve(struct id_maker *ids, const uint64_t *reserved, unsigned count, uint64_t now_ns)
{
    CHECK(count <= ID_RESERVED_MAX);
    memcpy(ids->reserved, reserved, count * sizeof *reserved);
    ids->reserved_at = 0;
    ids->reserved_count = count;
    ids->reserved_until_ns = now_ns + (uint64_t)ID_RESERVED_KEEP_MS * 1000000;
}

static bool has_lease(const struct id_maker *ids, uint64_t now_ns)
{
    return ids->leased && now_ns < ids->lease_until_ns;
}

static bool has_reserved(const struct id_maker *ids, uint64_t now_ns)
{
    return ids->reserved_at < ids->reserved_count && now_ns < ids->reserved_until_ns;
}

bool id_maker_is_ready(const struct id_maker *ids, uint64_t now_ns)
{
    return has_lease(ids, now_ns) || has_reserved(ids, now_ns);
}

static bool next_leased(struct id_maker *ids, int64_t wall_ms, uint64_t *id, unsigned *wait_ms)
{
    if (wall_ms <= ids->floor_ms) {
        *wait_ms = ids->floor_ms - wall_ms > 1000 ? 1000 : (unsigned)(ids->floor_ms - wall_ms) + 1;
        return false;
    }
    if (wall_ms > ids->last_ms) {
        ids->last_ms = wall_ms;
        ids->sequence = 0;
    }
    if (ids->sequence >= SNOWFLAKE_SEQUENCES) {
        *wait_ms = 1;
        return false;
    }
    *id = snowflake_make(ids->last_ms, ids->maker, (uint8_t)ids->sequence++);
    return true;
}

bool id_maker_next(struct id_maker *ids, uint64_t now_ns, int64_t wall_ms, uint64_t *id, unsigned *wait_ms)
{
    *wait_ms = 0;
    if (has_lease(ids, now_ns)) return next_leased(ids, wall_ms, id, wait_ms);
    if (!has_reserved(ids, now_ns)) return false;
    *id = ids->reserved[ids->reserved_at++];
    return true;
}
