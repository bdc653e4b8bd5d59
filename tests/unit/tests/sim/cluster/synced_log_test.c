/* A real log is written on a simulated disk, cut down at every operation, and read by the simulator's own reader. */
#include <criterion/criterion.h>

#include "common/base/check.h"
#include "common/wal/wal.h"
#include "tests/sim/cluster/synced_log.h"
#include "tests/sim/solo.h"

TestSuite(synced_log, .timeout = 60);

enum { RECORDS = 40, CUTS = 260, KIND = 7 };

/* What a life of the log did, kept outside of it. */
struct life {
    uint64_t appended, acked; /* sequences */
    enum status opened;
};

/* What the reader told. */
struct heard {
    uint64_t last; /* sequence */
    unsigned wrong, recoveries;
    struct synced_recovery recovery; /* the newest */
};

static uint64_t payload_of(uint64_t sequence)
{
    return sequence * 0x9e3779b97f4a7c15ull;
}

/* Three records that nobody waits for, then one that is waited for, and so on. */
static void write_log(struct reactor *reactor, void *argument)
{
    struct life *life = argument;
    struct wal_config config = {
        .dir = "log", .cluster = {{1}}, .group_bytes = 16 << 10, .segment_bytes = 64 << 10, .spares = 1};
    struct wal_recovery recovery;
    struct wal *wal;
    life->opened = wal_open(reactor, &config, &recovery, &wal);
    if (life->opened != STATUS_OK) return;
    for (int i = 0; i < RECORDS; i++) {
        uint64_t payload = payload_of(wal_last_sequence(wal) + 1), sequence = wal_last_sequence(wal) + 1;
        struct bytes part = bytes_of(&payload, sizeof payload);
        enum status status =
            i % 4 < 3 ? wal_append(wal, KIND, &part, 1, NULL) : wal_append_wait(wal, KIND, &part, 1, &life->acked);
        CHECK(status == STATUS_OK);
        life->appended = sequence;
    }
    wal_close(wal);
}

static void hear_recovery(void *context, const struct synced_recovery *recovery)
{
    struct heard *heard = context;
    heard->recovery = *recovery;
    heard->recoveries++;
    heard->last = recovery->first - 1;
}

static void hear_record(void *context, uint64_t sequence, uint8_t kind, struct bytes payload)
{
    struct heard *heard = context;
    uint64_t expected = payload_of(sequence);
    bool right = sequence == heard->last + 1 && kind == KIND && payload.size == sizeof expected &&
                 memcmp(payload.data, &expected, sizeof expected) == 0;
    if (!right) heard->wrong++;
    heard->last = sequence;
}

/* The outcome of one cut, then a power cut, then a life without one. */
struct outcome {
    struct life cut, after;
    struct heard before, heard;
    uint64_t last_before, last_after;
};

static void run(uint64_t operations, struct outcome *out)
{
    *out = (struct outcome){0};
    struct solo *solo = solo_create(operations, NULL);
    struct synced_log_sink sink = {hear_recovery, hear_record, &out->heard};
    struct synced_log *log = synced_log_create(solo_disk(solo), "log", 0, &sink);
    solo_run(solo, write_log, &out->cut, operations);
    synced_log_follow(log, true);
    out->last_before = synced_log_last(log);
    out->before = out->heard;
    sim_disk_crash(solo_disk(solo));
    synced_log_follow(log, true);
    synced_log_reboot(log);
    cr_assert_eq(solo_run(solo, write_log, &out->after, SOLO_TO_THE_END), SOLO_RETURNED);
    synced_log_follow(log, true);
    out->last_after = synced_log_last(log);
    synced_log_destroy(log);
    solo_destroy(solo);
}

Test(synced_log, tells_what_is_synced_and_no_less_than_what_was_acknowledged)
{
    struct outcome outcome;
    unsigned between = 0;
    for (uint64_t cut = 1; cut <= CUTS; cut++) {
        run(cut, &outcome);
        cr_assert_eq(outcome.heard.wrong, 0, "cut %lu", (unsigned long)cut);
        cr_assert_geq(outcome.last_before, outcome.cut.acked, "cut %lu", (unsigned long)cut);
        cr_assert_leq(outcome.last_before, outcome.cut.appended + 1, "cut %lu", (unsigned long)cut);
        between += outcome.last_before < outcome.cut.appended;
        cr_assert_eq(outcome.last_after, outcome.after.appended, "cut %lu", (unsigned long)cut);
    }
    cr_assert_gt(between, 0, "no cut fell between a write and its sync");
}

Test(synced_log, finds_nothing_wrong_with_the_recovery_of_any_image)
{
    struct outcome outcome;
    for (uint64_t cut = 1; cut <= CUTS; cut++) {
        run(cut, &outcome);
        const struct synced_recovery *recovery = &outcome.heard.recovery;
        cr_assert_gt(outcome.heard.recoveries, outcome.before.recoveries, "cut %lu", (unsigned long)cut);
        cr_assert_geq(recovery->last, recovery->synced, "cut %lu", (unsigned long)cut);
        cr_assert_leq(recovery->last, recovery->written, "cut %lu", (unsigned long)cut);
        cr_assert(!recovery->differs, "cut %lu", (unsigned long)cut);
    }
}

#ifdef TRILLIUM_PLANT
Test(synced_log, sees_a_recovery_that_forgets_what_was_synced)
{
    struct outcome outcome;
    unsigned found = 0;
    plant_set("wal_forgets_the_unmarked");
    for (uint64_t cut = 1; cut <= CUTS; cut++) {
        run(cut, &outcome);
        found += outcome.heard.recovery.last < outcome.heard.recovery.synced;
    }
    plant_set(NULL);
    cr_assert_gt(found, 0);
}
#endif
