#include "common/cluster/space_level.h"

#include "common/base/check.h"

#define GIB (UINT64_C(1) << 30)

/* So much more, in parts of a thousand, must be free than a level rose at, before it falls. */
enum { FALL_PER_MILLE = 20 };

struct threshold {
    unsigned used_percent;
    uint64_t free_bytes; /* at least this much free: the level does not count */
};

static const struct threshold thresholds[SPACE_LEVELS] = {
    [SPACE_LEVEL_NO_RANGES] = {85, 16 * GIB},
    [SPACE_LEVEL_NO_IMPORTS] = {92, 8 * GIB},
    [SPACE_LEVEL_NO_WRITES] = {96, 4 * GIB},
    [SPACE_LEVEL_NO_REPAIR] = {98, 2 * GIB},
};

_Static_assert((unsigned)SPACE_LEVEL_NO_RANGES + SPACE_USE_RANGE == SPACE_LEVELS, "the first level refuses ranges");
_Static_assert((unsigned)SPACE_LEVEL_NO_REPAIR + SPACE_USE_REPAIR == SPACE_LEVELS, "the last one refuses repair");

uint64_t space_available(const struct space *space)
{
    uint64_t all = space->free_bytes + space->held_bytes;
    return all > space->reserve_bytes ? all - space->reserve_bytes : 0;
}

static uint64_t usable(const struct space *space)
{
    return space->total_bytes > space->reserve_bytes ? space->total_bytes - space->reserve_bytes : 0;
}

unsigned space_used_percent(const struct space *space)
{
    uint64_t available = space_available(space), all = usable(space);
    if (available >= all) return all ? 0 : 100;
    return (unsigned)((double)(all - available) * 100 / (double)all);
}

static enum space_level level_at(uint64_t available, uint64_t all)
{
    enum space_level level = SPACE_LEVEL_OPEN;
    for (unsigned i = SPACE_LEVEL_NO_RANGES; i < SPACE_LEVELS; i++) {
        uint64_t free_at = (uint64_t)((double)all * (100 - thresholds[i].used_percent) / 100);
        if (free_at > thresholds[i].free_bytes) free_at = thresholds[i].free_bytes;
        if (available <= free_at) level = (enum space_level)i;
    }
    return level;
}

enum space_level space_level_judge(enum space_level before, const struct space *space)
{
    CHECK((unsigned)before < SPACE_LEVELS);
    uint64_t available = space_available(space), all = usable(space);
    enum space_level now = level_at(available, all);
    if (now >= before) return now;
    uint64_t more = (uint64_t)((double)all * FALL_PER_MILLE / 1000);
    if (more > GIB / 2) more = GIB / 2;
    enum space_level kept = level_at(available > more ? available - more : 0, all);
    return kept < before ? kept : before;
}

enum space_level space_level_of(uint32_t number)
{
    return number < SPACE_LEVELS ? (enum space_level)number : SPACE_LEVEL_NO_REPAIR;
}

const char *space_level_name(enum space_level level)
{
    static const char *const names[SPACE_LEVELS] = {"open", "no_ranges", "no_imports", "no_writes", "no_repair"};
    return names[level];
}

const char *space_level_text(enum space_level level)
{
    static const char *const texts[SPACE_LEVELS] = {"refuses nothing", "refuses new ranges",
        "refuses new ranges and imports", "refuses all but deletes and repair", "refuses all but deletes"};
    return texts[level];
}
