/* Tests of the log's behaviour on a disk that does as it is told. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "common/runtime/disk.h"
#include "common/runtime/fiber.h"
#include "common/runtime/reactor.h"
#include "common/wal/wal.h"
#include "common/wal/wal_recover.h"
#include "tests/sim/solo.h"

enum { RECORDS_MAX = 4000 };

struct notes {
    unsigned count;
    uint64_t sequences[RECORDS_MAX];
    char texts[RECORDS_MAX][24];
};

static enum status note(void *context, const struct wal_record *record)
{
    struct notes *notes = context;
    cr_assert_lt(notes->count, RECORDS_MAX);
    notes->sequences[notes->count] = record->sequence;
    snprintf(notes->texts[notes->count++], sizeof notes->texts[0], "%u:%.*s", record->kind, (int)record->payload.size,
        (const char *)record->payload.data);
    return STATUS_OK;
}

static struct wal_config small(struct notes *notes)
{
    memset(notes, 0, sizeof *notes);
    return (struct wal_config){.dir = "log",
        .log = 1,
        .cluster = {{7}},
        .segment_bytes = 64 << 10,
        .group_bytes = 16 << 10,
        .replay = {.record = note, .context = notes}};
}

static struct wal *open_log(struct reactor *reactor, const struct wal_config *config)
{
    struct wal_recovery recovery;
    struct wal *wal = NULL;
    enum status status = wal_open(reactor, config, &recovery, &wal);
    cr_assert_eq(status, STATUS_OK, "%s: %s", status_name(status), recovery.why);
    return wal;
}

static void append(struct wal *wal, const char *text)
{
    struct bytes part = bytes_text(text);
    cr_assert_eq(wal_append_wait(wal, 9, &part, 1, NULL), STATUS_OK);
}

static void run(void (*main)(struct reactor *reactor, void *argument), void *argument)
{
    struct solo *solo = solo_create(1, NULL);
    cr_assert_eq(solo_run(solo, main, argument, SOLO_TO_THE_END), SOLO_RETURNED);
    solo_destroy(solo);
}

static void append_and_reopen(struct reactor *reactor, void *argument)
{
    struct notes *notes = argument;
    struct wal_config config = small(notes);
    struct wal *wal = open_log(reactor, &config);
    cr_assert_eq(wal_last_sequence(wal), 0);
    append(wal, "one");
    append(wal, "two");
    cr_assert_eq(wal_synced_sequence(wal), 2);
    wal_close(wal);
    cr_assert_eq(notes->count, 0);
    wal = open_log(reactor, &config);
    cr_assert_eq(notes->count, 2);
    cr_assert_str_eq(notes->texts[0], "9:one");
    cr_assert_str_eq(notes->texts[1], "9:two");
    append(wal, "three");
    cr_assert_eq(wal_last_sequence(wal), 3);
    wal_close(wal);
    notes->count = 0;
    config.replay.after = 2;
    wal = open_log(reactor, &config);
    cr_assert_eq(notes->count, 1);
    cr_assert_eq(notes->sequences[0], 3);
    wal_close(wal);
}

Test(wal, what_was_appended_is_replayed_after_the_given_sequence)
{
    static struct notes notes;
    run(append_and_reopen, &notes);
}

struct counter {
    struct wal_waiter waiter;
    unsigned *told;
};

static void count_told(struct wal_waiter *waiter)
{
    struct counter *counter = CONTAINER_OF(waiter, struct counter, waiter);
    ++*counter->told;
    cr_assert_eq(waiter->sequence, *counter->told);
}

static void append_many(struct reactor *reactor, void *argument)
{
    struct notes *notes = argument;
    struct wal_config config = small(notes);
    struct wal *wal = open_log(reactor, &config);
    uint64_t groups = wal_counters(wal)->groups;
    static struct counter counters[50];
    unsigned told = 0;
    struct bytes part = bytes_text("x");
    for (unsigned i = 0; i < 50; i++) {
        counters[i] = (struct counter){.waiter = {.done = count_told}, .told = &told};
        cr_assert_eq(wal_append(wal, 1, &part, 1, &counters[i].waiter), STATUS_OK);
    }
    cr_assert_eq(told, 0);
    wal_sync(wal);
    cr_assert_eq(told, 50);
    cr_assert_eq(wal_counters(wal)->groups, groups + 1);
    /* Under load no marker is written; after it, one. */
    cr_assert_eq(wal_counters(wal)->markers, 0);
    fiber_sleep_until(reactor, reactor_now_ns(reactor) + 500000000);
    cr_assert_eq(wal_counters(wal)->markers, 1);
    wal_close(wal);
}

Test(wal, what_one_turn_appends_is_one_group_and_told_in_order)
{
    static struct notes notes;
    run(append_many, &notes);
}

static void append_until_busy(struct reactor *reactor, void *argument)
{
    struct notes *notes = argument;
    struct wal_config config = small(notes);
    config.buffers = 4;
    struct wal *wal = open_log(reactor, &config);
    static uint8_t data[17 << 10];
    struct bytes large = bytes_of(data, (16 << 10) - WAL_RECORD_OVERHEAD_BYTES), larger = bytes_of(data, 16 << 10);
    cr_assert_eq(wal_append(wal, 1, &larger, 1, NULL), STATUS_TOO_BIG);
    unsigned taken = 0;
    enum status status;
    while ((status = wal_append(wal, 1, &large, 1, NULL)) == STATUS_OK)
        taken++;
    cr_assert_eq(status, STATUS_BUSY);
    cr_assert_geq(taken, 3);
    cr_assert_leq(taken, 4);
    cr_assert_eq(wal_last_sequence(wal), taken);
    uint64_t sequence;
    cr_assert_eq(wal_append_wait(wal, 1, &large, 1, &sequence), STATUS_OK);
    cr_assert_eq(sequence, taken + 1);
    wal_close(wal);
}

Test(wal, more_than_the_buffers_hold_is_refused_without_an_effect)
{
    static struct notes notes;
    run(append_until_busy, &notes);
}

static void append_and_release(struct reactor *reactor, void *argument)
{
    struct notes *notes = argument;
    struct wal_config config = small(notes);
    struct wal *wal = open_log(reactor, &config);
    static uint8_t data[8 << 10];
    struct bytes part = bytes_of(data, sizeof data);
    for (unsigned i = 0; i < 100; i++) {
        cr_assert_eq(wal_append_wait(wal, 1, &part, 1, NULL), STATUS_OK);
        wal_release(wal, wal_synced_sequence(wal));
    }
    fiber_sleep_until(reactor, reactor_now_ns(reactor) + 500000000);
    cr_assert_gt(wal_counters(wal)->segments_reused, 5);
    cr_assert_leq(wal_counters(wal)->segments_made, 4);
    cr_assert_eq(wal_bytes(wal), 64 << 10);
    struct disk_names names;
    cr_assert_eq(disk_list(reactor, "log", &names), STATUS_OK);
    cr_assert_leq(names.count, 4);
    disk_names_free(&names);
    wal_close(wal);
    wal = open_log(reactor, &config);
    cr_assert_eq(wal_last_sequence(wal), 100);
    cr_assert_leq(notes->count, 8);
    wal_close(wal);
}

Test(wal, released_segments_are_used_again)
{
    static struct notes notes;
    run(append_and_release, &notes);
}

static void open_again_and_again(struct reactor *reactor, void *argument)
{
    struct notes *notes = argument;
    struct wal_config config = small(notes);
    for (unsigned i = 0; i < 20; i++) {
        struct wal *wal = open_log(reactor, &config);
        cr_assert_eq(wal_last_sequence(wal), 0);
        wal_close(wal);
    }
    struct disk_names names;
    cr_assert_eq(disk_list(reactor, "log", &names), STATUS_OK);
    cr_assert_leq(names.count, 5);
    disk_names_free(&names);
}

Test(wal, opening_again_and_again_does_not_fill_the_disk)
{
    static struct notes notes;
    run(open_again_and_again, &notes);
}

struct full {
    struct notes notes;
    struct sim_disk *disk;
};

static void fill_the_disk(struct reactor *reactor, void *argument)
{
    struct full *full = argument;
    struct wal_config config = small(&full->notes);
    struct wal *wal = open_log(reactor, &config);
    struct bytes part = bytes_text("small");
    unsigned taken = 0;
    enum status status;
    while ((status = wal_append_wait(wal, 1, &part, 1, NULL)) == STATUS_OK)
        cr_assert_lt(++taken, RECORDS_MAX);
    cr_assert_eq(status, STATUS_NO_SPACE);
    cr_assert_eq(wal_synced_sequence(wal), taken);
    cr_assert_gt(wal_counters(wal)->no_space, 0);
    /* Deleting elsewhere makes room, and nobody has to ask. */
    sim_disk_faults(full->disk)->capacity_bytes += 128 << 10;
    fiber_sleep_until(reactor, reactor_now_ns(reactor) + 2000000000);
    cr_assert_eq(wal_append_wait(wal, 1, &part, 1, NULL), STATUS_OK);
    wal_close(wal);
    wal = open_log(reactor, &config);
    cr_assert_eq(full->notes.count, taken + 1);
    wal_close(wal);
}

Test(wal, a_full_disk_refuses_appends_and_loses_nothing)
{
    static struct full full;
    struct solo *solo = solo_create(1, NULL);
    full.disk = solo_disk(solo);
    sim_disk_faults(full.disk)->capacity_bytes = 300 << 10;
    cr_assert_eq(solo_run(solo, fill_the_disk, &full, SOLO_TO_THE_END), SOLO_RETURNED);
    solo_destroy(solo);
}

static void several_logs(struct reactor *reactor, void *argument)
{
    struct notes *notes = argument;
    struct wal_config config = small(notes);
    struct wal_logs logs;
    cr_assert_eq(wal_list(reactor, "log", &logs), STATUS_OK);
    cr_assert_eq(logs.count, 0);
    for (uint8_t log = 0; log < 3; log++) {
        config.log = log;
        struct wal *wal = open_log(reactor, &config);
        for (unsigned i = 0; i < 200; i++)
            append(wal, "some text to fill up more than one segment of the log");
        wal_close(wal);
    }
    cr_assert_eq(wal_list(reactor, "log", &logs), STATUS_OK);
    cr_assert(logs.count == 3 && logs.numbers[0] == 0 && logs.numbers[2] == 2);
    struct wal_recovery recovery;
    config.log = 1;
    config.replay.after = 150;
    cr_assert_eq(wal_recover(reactor, &config, &recovery), STATUS_OK);
    cr_assert_eq(notes->count, 50);
    cr_assert_eq(recovery.last_sequence, 200);
    cr_assert_eq(wal_delete(reactor, "log", 1, &config.cluster), STATUS_OK);
    cr_assert_eq(wal_recover(reactor, &config, &recovery), STATUS_NOT_FOUND);
    cr_assert_eq(wal_list(reactor, "log", &logs), STATUS_OK);
    cr_assert(logs.count == 2 && logs.numbers[1] == 2);
    notes->count = 0;
    config.log = 2;
    config.cluster = (struct uuid){{0}};
    cr_assert_eq(wal_recover(reactor, &config, &recovery), STATUS_OK);
    cr_assert_eq(notes->count, 50);
}

Test(wal, logs_of_one_directory_are_found_replayed_and_deleted_alone)
{
    static struct notes notes;
    run(several_logs, &notes);
}

static void refuse(struct reactor *reactor, void *argument)
{
    struct notes *notes = argument;
    struct wal_config config = small(notes);
    struct wal *wal = open_log(reactor, &config);
    append(wal, "mine");
    wal_close(wal);
    struct wal_recovery recovery;
    config.cluster.bytes[0] = 8;
    cr_assert_eq(wal_open(reactor, &config, &recovery, &wal), STATUS_CONFLICT);
    cr_assert_not_null(strstr(recovery.why, "log/01-00000001: belongs to cluster 07000000-"), "%s", recovery.why);
    config = small(notes);
    config.replay.after = 5;
    cr_assert_eq(wal_open(reactor, &config, &recovery, &wal), STATUS_CORRUPT);
    cr_assert(recovery.damaged && recovery.lost_first == 2 && recovery.lost_last == 5);
    config.replay.accept_damage = true;
    wal = open_log(reactor, &config);
    append(wal, "above what was known");
    cr_assert_eq(wal_last_sequence(wal), 6);
    wal_close(wal);
}

Test(wal, another_clusters_log_and_one_that_lost_its_end_are_refused)
{
    static struct notes notes;
    run(refuse, &notes);
}

/* Zeros a block of the second segment. */
static void wipe(struct reactor *reactor, uint64_t block)
{
    struct disk_file file;
    uint8_t *zeros = mem_alloc_aligned(4096, 4096);
    memset(zeros, 0, 4096);
    cr_assert_eq(disk_open(reactor, "log/01-00000002", DISK_DIRECT, &file), STATUS_OK);
    cr_assert_eq(disk_write(reactor, file, zeros, 4096, block * 4096), STATUS_OK);
    disk_close(reactor, &file);
    mem_free(zeros);
}

/* Groups of a block each: 14 in the first segment, 6 in the second, and the marker that a close leaves. */
static void lose_the_way(struct reactor *reactor, void *argument)
{
    struct notes *notes = argument;
    struct wal_config config = small(notes);
    struct wal_recovery recovery;
    struct wal *wal = open_log(reactor, &config);
    for (unsigned i = 0; i < 20; i++)
        append(wal, "one block");
    wal_close(wal);
    wipe(reactor, 7); /* as if it had died before the marker: the 20th names the 19th as synced */
    wipe(reactor, 1);
    config = small(notes);
    cr_assert_eq(wal_open(reactor, &config, &recovery, &wal), STATUS_CORRUPT);
    cr_expect(recovery.damaged);
    cr_expect_eq(recovery.lost_first, 15, "%lu %s", (unsigned long)recovery.lost_first, recovery.why);
    cr_expect_eq(recovery.lost_last, 20, "not %lu: the 20th is out of reach too", (unsigned long)recovery.lost_last);
    config = small(notes);
    config.replay.accept_damage = true;
    wal = open_log(reactor, &config);
    append(wal, "above all that was");
    cr_expect_eq(wal_last_sequence(wal), 21);
    wal_close(wal);
}

Test(wal, what_lies_behind_damage_counts_as_lost_though_nothing_named_it_as_synced)
{
    static struct notes notes;
    run(lose_the_way, &notes);
}

struct crowd {
    struct notes notes;
    unsigned done;
    struct wal *wal;
    struct gate gate;
};

static void member(void *argument)
{
    struct crowd *crowd = argument;
    for (unsigned i = 0; i < 10; i++)
        append(crowd->wal, "by many");
    crowd->done++;
    gate_open(&crowd->gate);
}

static void many_fibers(struct reactor *reactor, void *argument)
{
    struct crowd *crowd = argument;
    struct wal_config config = small(&crowd->notes);
    config.commits_in_flight = 4;
    crowd->wal = open_log(reactor, &config);
    gate_init(&crowd->gate);
    for (unsigned i = 0; i < 100; i++)
        fiber_start(reactor, "member", member, crowd);
    while (crowd->done < 100)
        gate_wait(reactor, &crowd->gate, REACTOR_NEVER);
    cr_assert_eq(wal_synced_sequence(crowd->wal), 1000);
    cr_assert_lt(wal_counters(crowd->wal)->groups, 200);
    wal_close(crowd->wal);
    crowd->wal = open_log(reactor, &config);
    cr_assert_eq(crowd->notes.count, 1000);
    wal_close(crowd->wal);
}

Test(wal, fibers_that_append_at_once_share_commits)
{
    static struct crowd crowd;
    run(many_fibers, &crowd);
}

static void count_allocations(struct reactor *reactor, void *argument)
{
    struct notes *notes = argument;
    struct wal_config config = small(notes);
    config.segment_bytes = 1 << 20;
    struct wal *wal = open_log(reactor, &config);
    append(wal, "warm");
    fiber_sleep_until(reactor, reactor_now_ns(reactor) + 500000000);
    uint64_t before = mem_allocations();
    struct bytes part = bytes_text("hot");
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(wal_append(wal, 1, &part, 1, NULL), STATUS_OK);
    cr_assert_eq(mem_allocations(), before);
    wal_close(wal);
}

Test(wal, an_append_allocates_nothing)
{
    static struct notes notes;
    run(count_allocations, &notes);
}
