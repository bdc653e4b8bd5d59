/*
 * space_level: how full a node's disk is, in steps, and what is still taken at each: nodes judge it, routers and msgctl
 * are told (docs/operating/disk-full.md). A *reserve* of bytes is left out of the account: it belongs to log, flush and
 * compaction of what was acknowledged, and to deletes, which are never refused because of a level.
 *
 * Pure: no state, no clock, no disk; any thread.
 */
#ifndef TRILLIUM_COMMON_CLUSTER_SPACE_LEVEL_H
#define TRILLIUM_COMMON_CLUSTER_SPACE_LEVEL_H

#include <stdbool.h>
#include <stdint.h>

/* Each refuses what those before it refuse. Numbers are the wire's. */
enum space_level {
    SPACE_LEVEL_OPEN = 0,
    SPACE_LEVEL_NO_RANGES = 1,  /* from 85 % on */
    SPACE_LEVEL_NO_IMPORTS = 2, /* 92 % */
    SPACE_LEVEL_NO_WRITES = 3,  /* 96 %: creates and edits */
    SPACE_LEVEL_NO_REPAIR = 4,  /* 98 %: write-backs and rebuilding */
    SPACE_LEVELS
};

/* What space is wanted for; the last is refused first. */
enum space_use {
    SPACE_USE_DELETE,
    SPACE_USE_REPAIR,
    SPACE_USE_WRITE,
    SPACE_USE_IMPORT,
    SPACE_USE_RANGE,
};

struct space {
    uint64_t free_bytes, total_bytes; /* of the file system, as it says */
    uint64_t reserve_bytes;           /* to be left out of the account */
    uint64_t held_bytes;              /* of the reserve, by a file: not among the free */
};

/* Free beyond the reserve; 0 when the reserve itself is in use. */
uint64_t space_available(const struct space *space);
/* In percent of what is there beyond the reserve; rounded down, so 100 means that nothing is left. */
unsigned space_used_percent(const struct space *space);

/* The level now. It rises at once and falls only when 2 % more are free than it rose at. A share of a huge disk is more
   than anybody needs, so a level also wants less than so many bytes to be free: 16 GiB, 8, 4, 2. */
enum space_level space_level_judge(enum space_level before, const struct space *space);

static inline bool space_level_allows(enum space_level level, enum space_use use)
{
    return (unsigned)level + (unsigned)use < SPACE_LEVELS;
}

/* From the wire: numbers above the last are the last. */
enum space_level space_level_of(uint32_t number);
/* "open", "no_ranges", ... for logs. */
const char *space_level_name(enum space_level level);
/* "refuses new ranges, imports, creates and edits", for people; "refuses nothing". */
const char *space_level_text(enum space_level level);

#endif
