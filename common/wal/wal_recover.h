/*
 * wal_recover: reads a log from its files and decides what of it is true (docs/formats/log.md, "Recovery"). Changes
 * nothing. Used by wal.c and by the public wal_recover; runs in a fiber.
 */
#ifndef TRILLIUM_COMMON_WAL_WAL_RECOVER_H
#define TRILLIUM_COMMON_WAL_WAL_RECOVER_H

#include "common/runtime/disk.h"
#include "common/wal/wal.h"
#include "common/wal/wal_format.h"

enum { WAL_PATH_BYTES = 128, WAL_DIR_BYTES_MAX = 100 };

/* DIR/LL-SSSSSSSS */
void wal_path(const char *dir, uint8_t log, uint32_t segment, char out[WAL_PATH_BYTES]);

struct wal_scan_segment {
    uint32_t number;
    uint64_t bytes; /* of the file */
    uint64_t last;  /* no record of it is above; 0: nothing in it is needed */
    bool hold;      /* not needed once a later segment's first group is durable */
};

/* What the files say beyond struct wal_recovery; wal_scan_free releases. */
struct wal_scan {
    struct wal_scan_segment *segments; /* ascending */
    uint32_t count;
    uint32_t next_number; /* above every number seen */
    uint64_t released;
    uint64_t next_sequence;
    /* Records that survive but that no mark proves to have been synced, as a group holds them: they must be written
       again, since a disk that failed a sync may show what it will lose. Sequences tail_first..next_sequence - 1. */
    struct buffer tail;
    uint64_t tail_first;
};

/* Replays. Of config, dir, log, cluster (zero: any) and replay count. Returns as wal_open; out is filled when OK. */
enum status wal_scan(struct reactor *reactor, const struct wal_config *config, struct wal_recovery *recovery,
    struct wal_scan *out) MUST_CHECK;
void wal_scan_free(struct wal_scan *scan);

#endif
