/* wal_logs: the logs of a directory that are not open: found, replayed, deleted (wal.h). */
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/runtime/disk.h"
#include "common/wal/wal.h"
#include "common/wal/wal_format.h"
#include "common/wal/wal_recover.h"

enum status wal_recover(struct reactor *reactor, const struct wal_config *config, struct wal_recovery *recovery)
{
    struct wal_scan scan = {0};
    enum status status = wal_scan(reactor, config, recovery, &scan);
    if (status == STATUS_OK && scan.count == 0) status = STATUS_NOT_FOUND;
    wal_scan_free(&scan);
    return status;
}

enum status wal_list(struct reactor *reactor, const char *dir, struct wal_logs *out)
{
    struct disk_names names;
    enum status status = disk_list(reactor, dir, &names);
    if (status == STATUS_NOT_FOUND) {
        out->count = 0;
        return STATUS_OK;
    }
    if (status != STATUS_OK) return status;
    out->count = 0;
    for (uint32_t i = 0; i < names.count; i++) {
        uint8_t log;
        uint32_t segment;
        bool unfinished;
        if (!wal_name_parse(names.names[i], &log, &segment, &unfinished) || unfinished) continue;
        /* Names come sorted, so equal numbers are neighbours. */
        if (out->count == 0 || out->numbers[out->count - 1] != log) out->numbers[out->count++] = log;
    }
    disk_names_free(&names);
    return STATUS_OK;
}

/* Releases everything durably and leaves a log whose last group says so. */
static enum status release_all(struct reactor *reactor, const char *dir, uint8_t log, const struct uuid *cluster)
{
    struct wal_config config = {.dir = dir,
        .log = log,
        .cluster = *cluster,
        .segment_bytes = 4 * WAL_BLOCK_BYTES,
        .group_bytes = WAL_BLOCK_BYTES,
        .replay = {.accept_damage = true}};
    struct wal_recovery recovery;
    struct wal *wal;
    enum status status = wal_open(reactor, &config, &recovery, &wal);
    if (status != STATUS_OK) return status;
    wal_release(wal, wal_synced_sequence(wal));
    wal_close(wal);
    return STATUS_OK;
}

enum status wal_delete(struct reactor *reactor, const char *dir, uint8_t log, const struct uuid *cluster)
{
    CHECK(strlen(dir) <= WAL_DIR_BYTES_MAX);
    enum status status = release_all(reactor, dir, log, cluster);
    if (status != STATUS_OK) return status;
    struct disk_names names;
    status = disk_list(reactor, dir, &names);
    if (status != STATUS_OK) return status;
    /* From the oldest on, each made durable: what a crash leaves is a log of which nothing is needed. */
    for (uint32_t i = 0; i < names.count && status == STATUS_OK; i++) {
        uint8_t found;
        uint32_t segment;
        bool unfinished;
        if (!wal_name_parse(names.names[i], &found, &segment, &unfinished) || found != log) continue;
        char path[WAL_PATH_BYTES];
        snprintf(path, sizeof path, "%.100s/%.20s", dir, names.names[i]);
        status = disk_unlink(reactor, path);
        if (status == STATUS_OK) status = disk_sync_dir(reactor, dir);
    }
    disk_names_free(&names);
    return status;
}
