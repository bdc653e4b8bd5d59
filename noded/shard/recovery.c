/*
 * recovery: how a shard comes back to what it had: trees from ranges/, then what the logs have beyond them.
 *
 * Damage is never passed over: a replica that may have lost something is marked lapsed, durably, before anything is
 * done that would make the loss invisible. But a disk that fails a read may give the bytes a moment later, and a lapse
 * costs a rebuild: so what looks damaged is read again, for PATIENCE_MS of a start in all.
 */
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/runtime/disk.h"
#include "noded/shard/shard.h"

enum {
    PATIENCE_MS = 6000,
    PAUSE_MS = 500,
    FOREIGN_SEGMENT_BYTES = 1 << 20,
};

/* ---- trees ---- */

static bool parse_range(const char *name, uint64_t *range)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 16; i++) {
        char c = name[i];
        bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        if (!digit && !letter) return false;
        value = value << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    *range = value;
    return true;
}

static bool is_ours(const struct shard *shard, uint64_t range)
{
    return view_shard_of((struct range_id){range}, shard->options.count) == shard->options.index;
}

/* Whether to read again what ended with status; pauses first. */
static bool reads_again(struct shard *shard, enum status status, const char *what)
{
    if (status != STATUS_CORRUPT && status != STATUS_IO) return false;
    if (shard->patience_ns == 0) return false;
    uint64_t pause = (uint64_t)PAUSE_MS * 1000000;
    LOG(reactor_log(shard->reactor), WARN, "recovery.again", "what=%s status=%s", what, status_name(status));
    fiber_sleep_until(shard->reactor, reactor_now_ns(shard->reactor) + pause);
    shard->patience_ns = shard->patience_ns > pause ? shard->patience_ns - pause : 0;
    return true;
}

static void lose_state(struct replica *replica)
{
    replica->lapsed = true;
    replica->state_lost = true;
}

static struct lsm *open_tree(struct shard *shard, struct replica *replica)
{
    struct lsm *lsm;
    uint64_t range = replica->id.value;
    enum status status;
    do
        status = lsm_open(shard->store, range, &lsm);
    while (reads_again(shard, status, "files"));
    if (status == STATUS_CORRUPT) {
        LOG(reactor_log(shard->reactor), ERROR, "range.lapsed", "range=%016llx why=\"its files are damaged\"",
            (unsigned long long)range);
        lose_state(replica);
        shard->counters.lapses++;
        status = lsm_quarantine(shard->store, range);
        if (status == STATUS_OK) status = lsm_open(shard->store, range, &lsm);
    }
    if (status != STATUS_OK)
        shard_die(
            shard, status, "ranges/%016llx: cannot be opened: %s", (unsigned long long)range, status_text(status));
    return lsm;
}

enum status shard_make_replica(struct shard *shard, struct range_id range, struct replica **out)
{
    while (shard->making)
        gate_wait(shard->reactor, &shard->made, REACTOR_NEVER);
    struct replica *replica = shard_replica(shard, range);
    if (!replica) {
        shard->making = true;
        replica = mem_zalloc(sizeof *replica);
        replica->id = range;
        list_init(&replica->pending);
        replica->lsm = open_tree(shard, replica);
        struct bytes state = lsm_state(replica->lsm);
        bool quarantined = map_get(&shard->quarantined, range.value);
        if (state.size == 0 && quarantined) lose_state(replica);
        if (state.size > 0 && replica_state_take(replica, state) != STATUS_OK) {
            LOG(reactor_log(shard->reactor), ERROR, "range.lapsed", "range=%016llx why=\"its state is unreadable\"",
                (unsigned long long)range.value);
            lose_state(replica);
        }
        if (replica->lapsed && quarantined) lose_state(replica); /* what the state says may be from the log alone */
        replica_judge_health(replica);
        map_put(&shard->replicas, range.value, replica);
        shard->making = false;
        gate_open(&shard->made);
    }
    *out = replica;
    return STATUS_OK;
}

static struct disk_names list_or_die(struct shard *shard, const char *directory)
{
    struct disk_names names = {0};
    enum status status = disk_list(shard->reactor, directory, &names);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        shard_die(shard, status, "%s: cannot be listed: %s", directory, status_text(status));
    return names;
}

void shard_open_trees(struct shard *shard)
{
    shard->patience_ns = (uint64_t)PATIENCE_MS * 1000000;
    uint64_t range;
    struct disk_names names = list_or_die(shard, "quarantine");
    for (uint32_t i = 0; i < names.count; i++)
        if (parse_range(names.names[i], &range)) map_put(&shard->quarantined, range, shard);
    disk_names_free(&names);
    names = list_or_die(shard, "ranges");
    for (uint32_t i = 0; i < names.count; i++) {
        struct replica *unused;
        if (!parse_range(names.names[i], &range) || names.names[i][16] != '\0' || !is_ours(shard, range)) continue;
        enum status status = shard_make_replica(shard, (struct range_id){range}, &unused);
        CHECK(status == STATUS_OK);
    }
    disk_names_free(&names);
}

/* ---- replay ---- */

static void make_room(struct shard *shard)
{
    while (lsm_store_is_full(shard->store)) {
        struct replica *largest = shard_largest(shard);
        CHECK(largest != NULL);
        enum status status = lsm_flush(largest->lsm);
        if (status != STATUS_OK)
            shard_die(shard, status, "ranges/%016llx: cannot be flushed while the log is replayed: %s",
                (unsigned long long)largest->id.value, status_text(status));
    }
}

static enum status replay_record(void *context, const struct wal_record *from)
{
    struct shard *shard = context;
    struct record record;
    enum status status = record_decode(from->kind, from->payload, &record);
    if (status == STATUS_OK) {
        if (!is_ours(shard, record.range.value)) return STATUS_OK;
        struct replica *replica;
        struct lsm_position position = {from->log, from->sequence};
        status = shard_make_replica(shard, record.range, &replica);
        if (status != STATUS_OK || lsm_is_flushed(replica->lsm, position)) return status;
        status = replica_apply(replica, &record, position);
    }
    if (status != STATUS_OK)
        shard_die(shard, STATUS_CONFLICT,
            "%s/%02x: record %llu of kind %u cannot be read by this program; was it written by a newer one?",
            SHARD_LOG_DIRECTORY, from->log, (unsigned long long)from->sequence, from->kind);
    make_room(shard);
    return STATUS_OK;
}

static enum status skip_record(void *context, const struct wal_record *record)
{
    (void)context;
    (void)record;
    return STATUS_OK;
}

/* Marks, durably, every replica whose rows may be among what the log lost. All up to lost_first was replayed. */
static void lapse(struct shard *shard, uint8_t log, uint64_t lost_first, uint64_t lost_last, const char *why)
{
    LOG(reactor_log(shard->reactor), ERROR, "log.damaged", "log=%u lost=%llu..%llu why=\"%s\"", log,
        (unsigned long long)lost_first, (unsigned long long)lost_last, why);
    size_t at = 0;
    struct buffer state = {0};
    for (struct replica *replica; (replica = map_next(&shard->replicas, &at, NULL));) {
        if (lsm_is_flushed(replica->lsm, (struct lsm_position){log, lost_last})) continue;
        LOG(reactor_log(shard->reactor), ERROR, "range.lapsed", "range=%016llx why=\"its log is damaged\"",
            (unsigned long long)replica->id.value);
        replica->lapsed = true;
        replica_judge_health(replica);
        shard->counters.lapses++;
        buffer_clear(&state);
        replica_state_encode(replica, &state);
        struct lsm_position position = {log, lost_first > 1 ? lost_first - 1 : 1};
        lsm_set_state(replica->lsm, buffer_bytes(&state), position);
        enum status status = lsm_flush(replica->lsm);
        if (status != STATUS_OK)
            shard_die(shard, status, "ranges/%016llx: cannot be marked as lapsed: %s",
                (unsigned long long)replica->id.value, status_text(status));
    }
    buffer_free(&state);
}

/* A manifest that knows of records which the log does not have: the log lost its end. */
static void check_end(struct shard *shard, uint8_t log, uint64_t last)
{
    size_t at = 0;
    bool lost = false;
    for (struct replica *replica; (replica = map_next(&shard->replicas, &at, NULL));)
        lost |= lsm_is_flushed(replica->lsm, (struct lsm_position){log, last + 1});
    if (lost) lapse(shard, log, last + 1, UINT64_MAX, "it ends before what the files say it had");
}

static struct wal_config log_config(const struct shard *shard)
{
    return (struct wal_config){.dir = SHARD_LOG_DIRECTORY,
        .log = shard->log,
        .cluster = shard->options.cluster,
        .segment_bytes = (uint32_t)shard_segment_bytes(shard),
        .replay = {.record = replay_record, .context = (void *)(uintptr_t)shard}};
}

static void die_of_log(struct shard *shard, uint8_t log, enum status status, const struct wal_recovery *recovery)
{
    shard_die(shard, status, "%s/%02x: cannot be opened: %s", SHARD_LOG_DIRECTORY, log,
        recovery->why[0] ? recovery->why : status_text(status));
}

static void log_is_open(struct shard *shard, const struct wal_recovery *recovery)
{
    shard->told = wal_synced_sequence(shard->wal);
    shard->log_segment_bytes = log_config(shard).segment_bytes;
    shard->log_bytes_max = shard->log_segment_bytes * SHARD_LOG_SEGMENTS_MAX;
    LOG(reactor_log(shard->reactor), INFO, "log.open", "log=%u records=%llu last=%llu torn=%d ranges=%zu", shard->log,
        (unsigned long long)recovery->records, (unsigned long long)recovery->last_sequence, recovery->torn,
        shard->replicas.count);
}

static bool log_exists(struct shard *shard)
{
    struct wal_logs logs;
    enum status status = wal_list(shard->reactor, SHARD_LOG_DIRECTORY, &logs);
    if (status != STATUS_OK) shard_die(shard, status, "%s: cannot be listed", SHARD_LOG_DIRECTORY);
    for (unsigned i = 0; i < logs.count; i++)
        if (logs.numbers[i] == shard->log) return true;
    return false;
}

void shard_open_log(struct shard *shard)
{
    struct wal_config config = log_config(shard);
    struct wal_recovery recovery;
    if (!log_exists(shard)) lapse(shard, shard->log, 1, UINT64_MAX, "all its segments are gone");
    enum status status;
    do
        status = wal_open(shard->reactor, &config, &recovery, &shard->wal);
    while (reads_again(shard, status, "log"));
    if (status == STATUS_CORRUPT && recovery.damaged) {
        lapse(shard, shard->log, recovery.lost_first, recovery.lost_last, recovery.why);
        config.replay.accept_damage = true;
        status = wal_open(shard->reactor, &config, &recovery, &shard->wal);
    }
    if (status != STATUS_OK) die_of_log(shard, shard->log, status, &recovery);
    check_end(shard, shard->log, recovery.last_sequence);
    log_is_open(shard, &recovery);
}

void shard_recover_all(struct shard *shard)
{
    struct wal_logs logs;
    enum status status = wal_list(shard->reactor, SHARD_LOG_DIRECTORY, &logs);
    if (status != STATUS_OK) shard_die(shard, status, "%s: cannot be listed", SHARD_LOG_DIRECTORY);
    for (unsigned i = 0; i < logs.count; i++) {
        uint8_t log = logs.numbers[i];
        struct wal_config config = log_config(shard);
        struct wal_recovery recovery = {0};
        config.log = log;
        do
            status = wal_recover(shard->reactor, &config, &recovery);
        while (reads_again(shard, status, "log"));
        if (status == STATUS_CORRUPT && recovery.damaged) {
            lapse(shard, log, recovery.lost_first, recovery.lost_last, recovery.why);
            config.replay.accept_damage = true;
            status = wal_recover(shard->reactor, &config, &recovery);
        }
        if (status != STATUS_OK) die_of_log(shard, log, status, &recovery);
        check_end(shard, log, recovery.last_sequence);
    }
}

void shard_flush_all(struct shard *shard)
{
    size_t at = 0;
    for (struct replica *replica; (replica = map_next(&shard->replicas, &at, NULL));) {
        enum status status = lsm_flush(replica->lsm);
        if (status != STATUS_OK)
            shard_die(shard, status, "ranges/%016llx: cannot be flushed: %s", (unsigned long long)replica->id.value,
                status_text(status));
    }
}

void shard_take_log(struct shard *shard)
{
    struct wal_config config = log_config(shard);
    struct wal_recovery recovery;
    config.replay = (struct wal_replay){.record = skip_record, .accept_damage = true};
    enum status status = wal_open(shard->reactor, &config, &recovery, &shard->wal);
    if (status != STATUS_OK) die_of_log(shard, shard->log, status, &recovery);
    wal_release(shard->wal, wal_synced_sequence(shard->wal));
    log_is_open(shard, &recovery);
}

void shard_release_foreign(struct shard *shard, uint8_t log)
{
    struct wal_config config = log_config(shard);
    struct wal_recovery recovery;
    struct wal *wal;
    config.log = log;
    config.segment_bytes = FOREIGN_SEGMENT_BYTES; /* what stays behind */
    config.replay = (struct wal_replay){.record = skip_record, .accept_damage = true};
    enum status status = wal_open(shard->reactor, &config, &recovery, &wal);
    if (status != STATUS_OK) die_of_log(shard, log, status, &recovery);
    wal_release(wal, wal_synced_sequence(wal));
    wal_close(wal);
}
