#include "tests/sim/cluster/node_ledger.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/model/page.h"
#include "common/model/row.h"
#include "common/model/view.h"
#include "noded/replica/record.h"
#include "noded/replica/replica.h"
#include "noded/shard/shard.h"
#include "tests/sim/sim_mem.h"

enum { LEDGER_LOGS = 4 }; /* simulated nodes have three shards at most */

struct ledger_log {
    struct node_ledger *ledger;
    uint8_t number;
    struct synced_log *synced;
    struct buffer entries; /* struct ledger_entry by sequence, from 1 on */
    uint64_t seen;         /* the highest sequence ever */
};

/* A span that is deleted. */
struct ledger_span {
    uint64_t partition; /* its hash */
    uint64_t lo, hi;
};

struct node_ledger {
    struct world *world;
    const char *name;
    struct map *owners;
    struct ledger_log logs[LEDGER_LOGS];
    struct map contents; /* by content hash: the ledger itself */
    struct map epochs;   /* by range: the newest, as a pointer */
    struct buffer spans;
};

uint64_t ledger_content_hash(
    enum ledger_content kind, struct bytes partition, uint64_t id, uint64_t id2, struct bytes row)
{
    uint64_t head[4] = {hash64(partition.data, partition.size, 0), id, id2, (uint64_t)kind};
    return hash64(row.data, row.size, hash64(head, sizeof head, 0));
}

void ledger_judge_recovery(
    struct world *world, const char *name, const char *dir, uint32_t log, const struct synced_recovery *recovery)
{
    if (recovery->last < recovery->synced && !recovery->reads_failed)
        world_fail(world, "I14", "%s: %s/%02x goes on behind record %" PRIu64 " although %" PRIu64 " were synced", name,
            dir, log, recovery->last, recovery->synced);
    else if (recovery->last > recovery->written)
        world_fail(world, "I14", "%s: %s/%02x goes on behind record %" PRIu64 " although %" PRIu64 " can be read", name,
            dir, log, recovery->last, recovery->written);
    else if (recovery->differs)
        world_fail(world, "I14", "%s: %s/%02x: records %" PRIu64 "..%" PRIu64 " came back as others", name, dir, log,
            recovery->first, recovery->last);
}

/* Records. */

static void note_content(
    struct node_ledger *ledger, enum ledger_content kind, struct bytes partition, uint64_t id, struct bytes row)
{
    map_put(&ledger->contents, ledger_content_hash(kind, partition, id, 0, row), ledger);
}

static void note_span(struct node_ledger *ledger, struct bytes partition, uint64_t lo, uint64_t hi)
{
    struct ledger_span span = {hash64(partition.data, partition.size, 0), lo, hi};
    buffer_append(&ledger->spans, &span, sizeof span);
    map_put(&ledger->contents, ledger_content_hash(LEDGER_SPAN, partition, lo, hi, bytes_of(NULL, 0)), ledger);
}

static void note_row(struct node_ledger *ledger, struct bytes partition, uint64_t id, struct bytes bytes)
{
    struct row row;
    if (row_decode(bytes, &row) != STATUS_OK) return;
    if (row.is_deleted) note_content(ledger, LEDGER_DELETE, partition, id, bytes_of(NULL, 0));
    note_content(ledger, LEDGER_ROW, partition, id, bytes);
}

static void note_page(struct node_ledger *ledger, struct bytes partition, struct bytes page)
{
    struct page_reader reader;
    struct page_entry entry;
    if (page_open(page, &reader) != STATUS_OK) return;
    while (page_next(&reader, &entry)) {
        if (entry.kind == PAGE_ROW) note_row(ledger, partition, entry.id, entry.row);
        if (entry.kind == PAGE_DELETE) note_content(ledger, LEDGER_DELETE, partition, entry.id, bytes_of(NULL, 0));
        if (entry.kind == PAGE_SPAN) note_span(ledger, partition, entry.span.lo, entry.span.hi);
    }
}

/* Everything of an ownership record but the horizon, which may rise within an epoch. */
static uint64_t owner_hash(const struct view_range *record)
{
    struct view_range plain = *record;
    struct buffer bytes = {0};
    plain.horizon_ms = 0;
    view_range_encode(&plain, &bytes);
    uint64_t hash = hash64(bytes.data, bytes.size, 0);
    buffer_free(&bytes);
    return hash ? hash : 1;
}

/* again: the record was written before, and a recovery wrote it once more. */
static void note_state(struct node_ledger *ledger, uint64_t range, struct bytes state, bool again)
{
    struct replica replica = {0};
    if (replica_state_take(&replica, state) != STATUS_OK || replica.record.epoch == 0) return;
    uint64_t epoch = replica.record.epoch, newest = node_ledger_epoch(ledger, range), key[2] = {range, epoch};
    if (epoch < newest && again) return;
    /* Whose manifest is lost begins anew with the node's cached view, which may be older. It has lapsed, and I14 holds
       that nothing lapses while no disk failed: it serves nothing and counts nowhere until a newer record tells of its
       lapse. */
    if (epoch < newest && !replica.lapsed)
        world_fail(ledger->world, "I9",
            "%s: ownership of range %016" PRIx64 " goes back from epoch %" PRIu64 " to %" PRIu64, ledger->name, range,
            newest, epoch);
    map_put(&ledger->epochs, range, (void *)(uintptr_t)epoch);
    void *owner = (void *)(uintptr_t)owner_hash(&replica.record);
    void *known = map_put(ledger->owners, hash64(key, sizeof key, 0), owner);
    if (known && known != owner)
        world_fail(ledger->world, "I9", "epoch %" PRIu64 " of range %016" PRIx64 " has two owners", epoch, range);
}

static void take_record(void *context, uint64_t sequence, uint8_t kind, struct bytes payload)
{
    struct ledger_log *log = context;
    struct node_ledger *ledger = log->ledger;
    struct record record;
    struct ledger_entry entry = {0};
    if (record_decode(kind, payload, &record) != STATUS_OK) {
        world_fail(ledger->world, "I14", "%s: log %u has a record that is none, %" PRIu64, ledger->name, log->number,
            sequence);
        return;
    }
    entry.range = record.range.value;
    entry.epoch = node_ledger_epoch(ledger, entry.range);
    while (log->entries.size / sizeof entry < sequence - 1)
        buffer_append(&log->entries, &(struct ledger_entry){0}, sizeof entry);
    buffer_append(&log->entries, &entry, sizeof entry);
    if (record.kind == RECORD_ROW) note_row(ledger, record.partition, record.lo, record.body);
    if (record.kind == RECORD_SPAN) note_span(ledger, record.partition, record.lo, record.hi);
    if (record.kind == RECORD_PAGE) note_page(ledger, record.partition, record.body);
    if (record.kind == RECORD_STATE) note_state(ledger, record.range.value, record.body, sequence <= log->seen);
    if (sequence > log->seen) log->seen = sequence;
}

static void take_recovery(void *context, const struct synced_recovery *recovery)
{
    struct ledger_log *log = context;
    ledger_judge_recovery(log->ledger->world, log->ledger->name, SHARD_LOG_DIRECTORY, log->number, recovery);
    size_t keep = (size_t)(recovery->first - 1) * sizeof(struct ledger_entry);
    if (log->entries.size > keep) log->entries.size = keep;
}

/* Life. */

struct node_ledger *node_ledger_create(
    struct world *world, const char *name, const struct sim_disk *disk, struct map *owners)
{
    struct node_ledger *ledger = sim_alloc(sizeof *ledger);
    ledger->world = world;
    ledger->name = name;
    ledger->owners = owners;
    for (int i = 0; i < LEDGER_LOGS; i++) {
        struct ledger_log *log = &ledger->logs[i];
        struct synced_log_sink sink = {take_recovery, take_record, log};
        log->ledger = ledger;
        log->number = (uint8_t)i;
        log->synced = synced_log_create(disk, SHARD_LOG_DIRECTORY, (uint8_t)i, &sink);
    }
    return ledger;
}

void node_ledger_destroy(struct node_ledger *ledger)
{
    for (int i = 0; i < LEDGER_LOGS; i++) {
        synced_log_destroy(ledger->logs[i].synced);
        buffer_free(&ledger->logs[i].entries);
    }
    map_free(&ledger->contents);
    map_free(&ledger->epochs);
    buffer_free(&ledger->spans);
    mem_free(ledger);
}

void node_ledger_follow(struct node_ledger *ledger, bool names)
{
    for (int i = 0; i < LEDGER_LOGS; i++)
        synced_log_follow(ledger->logs[i].synced, names);
}

void node_ledger_reboot(struct node_ledger *ledger)
{
    node_ledger_follow(ledger, true);
    for (int i = 0; i < LEDGER_LOGS; i++)
        synced_log_reboot(ledger->logs[i].synced);
}

/* Questions. */

uint64_t node_ledger_last(const struct node_ledger *ledger, uint32_t log)
{
    CHECK(log < LEDGER_LOGS);
    return synced_log_last(ledger->logs[log].synced);
}

const struct ledger_entry *node_ledger_entry(const struct node_ledger *ledger, uint32_t log, uint64_t sequence)
{
    const struct buffer *entries = &ledger->logs[log].entries;
    if (sequence == 0 || sequence > entries->size / sizeof(struct ledger_entry)) return NULL;
    return (const struct ledger_entry *)(const void *)entries->data + (sequence - 1);
}

bool node_ledger_holds(const struct node_ledger *ledger, uint64_t content)
{
    return map_get(&ledger->contents, content) != NULL;
}

bool node_ledger_deletes(const struct node_ledger *ledger, struct bytes partition, uint64_t id)
{
    if (node_ledger_holds(ledger, ledger_content_hash(LEDGER_DELETE, partition, id, 0, bytes_of(NULL, 0)))) return true;
    const struct ledger_span *spans = (const struct ledger_span *)(const void *)ledger->spans.data;
    uint64_t hash = hash64(partition.data, partition.size, 0);
    for (size_t i = ledger->spans.size / sizeof *spans; i > 0; i--)
        if (spans[i - 1].partition == hash && spans[i - 1].lo <= id && id <= spans[i - 1].hi) return true;
    return false;
}

uint64_t node_ledger_epoch(const struct node_ledger *ledger, uint64_t range)
{
    return (uint64_t)(uintptr_t)map_get(&ledger->epochs, range);
}
