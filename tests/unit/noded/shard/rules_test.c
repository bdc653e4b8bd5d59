/* The rules that bind single calls: epochs, horizon, overload, damage. */
#include <criterion/criterion.h>

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/model/snowflake.h"
#include "noded/shard/change.h"
#include "tests/unit/noded/shard/driver.h"

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition) && driver->failure[0] == 0)                                                                   \
            snprintf(driver->failure, sizeof driver->failure, "line %d: %s", __LINE__, #condition);                    \
    } while (0)

static void in_solo(struct solo *solo, void (*main)(struct reactor *reactor, void *argument), struct driver *driver)
{
    enum solo_end end = solo_run(solo, main, driver, SOLO_TO_THE_END);
    cr_assert_str_empty(driver->failure, "%s", driver->failure);
    cr_assert_eq(end, SOLO_RETURNED, "ended with %d (%s)", end, status_name(solo_death(solo)));
}

struct waited {
    struct change change;
    struct arena arena;
    struct reactor *reactor;
    bool done;
};

static void set_done(struct change *change)
{
    struct waited *waited = change->context;
    waited->done = true;
}

static struct bytes create_row(struct buffer *out)
{
    uint64_t author = 5;
    struct row row;
    row_begin_create(&row);
    row_put(&row, CHAT_AUTHOR_ID, bytes_of(&author, sizeof author));
    row_put(&row, CHAT_CONTENT, bytes_of("x", 1));
    return row_encode_buffer(&row, out);
}

/* One create of the slot in channel 0, waited for. */
static enum status create(
    struct driver_run *run, struct reactor *reactor, unsigned slot, uint64_t epoch, uint64_t import)
{
    struct buffer row = {0};
    struct waited waited = {.reactor = reactor};
    waited.change = (struct change){.record = {.kind = RECORD_ROW,
                                        .range = driver_range(run, 0),
                                        .partition = driver_partition(run, 0),
                                        .lo = driver_id(slot),
                                        .hi = driver_id(slot),
                                        .body = create_row(&row)},
        .epoch = epoch,
        .is_create = true,
        .import_session = import,
        .arena = &waited.arena,
        .done = set_done,
        .context = &waited};
    enum status status = change_start(driver_shard(run, 0), &waited.change);
    while (status == STATUS_OK && !waited.done)
        fiber_sleep_until(reactor, reactor_now_ns(reactor) + 10000);
    arena_free(&waited.arena);
    buffer_free(&row);
    return status == STATUS_OK ? waited.change.status : status;
}

/* ---- epochs ---- */

static void epochs(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    struct driver_run *run = driver_start(driver, reactor);
    struct shard *shard = driver_shard(run, 0);
    EXPECT(create(run, reactor, 1, 1, 0) == STATUS_OK);
    EXPECT(create(run, reactor, 2, 2, 0) == STATUS_STALE_EPOCH);
    driver->epoch = 3;
    driver_publish(run);
    EXPECT(create(run, reactor, 2, 1, 0) == STATUS_STALE_EPOCH);
    EXPECT(create(run, reactor, 2, 3, 0) == STATUS_OK);
    struct replica *replica = shard_replica(shard, driver_range(run, 0));
    EXPECT(replica->record.epoch == 3);

    /* A call brings a newer record, and an older one. */
    struct view_range record = replica->record;
    record.epoch = 7;
    struct replica *adopted = NULL;
    EXPECT(shard_adopt(shard, &record, &adopted) == STATUS_OK && adopted == replica);
    EXPECT(shard_is_settled(shard, replica) && replica->record.epoch == 7);
    record.epoch = 5;
    EXPECT(shard_adopt(shard, &record, &adopted) == STATUS_OK && replica->record.epoch == 7);
    EXPECT(create(run, reactor, 3, 3, 0) == STATUS_STALE_EPOCH);
    EXPECT(create(run, reactor, 3, 7, 0) == STATUS_OK);
    record.id.value = 12345;
    record.replicas[0].value = 99;
    EXPECT(shard_adopt(shard, &record, &adopted) == STATUS_NOT_OWNER);
}

/* The view is still at epoch 3; the log and the tree know better. */
static void epochs_after_a_restart(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    struct driver_run *run = driver_start(driver, reactor);
    EXPECT(shard_replica(driver_shard(run, 0), driver_range(run, 0))->record.epoch == 7);
    EXPECT(create(run, reactor, 4, 3, 0) == STATUS_STALE_EPOCH);
    driver_stop(run);
}

Test(shard, refuses_other_epochs_and_adopts_newer_ones_for_good)
{
    struct driver *driver = driver_create(1);
    struct sim_disk *disk = sim_disk_create(1);
    struct solo *solo = solo_create(1, disk);
    in_solo(solo, epochs, driver);
    disk = sim_disk_clone(solo_disk(solo), 2);
    sim_disk_crash(disk);
    solo_destroy(solo);
    solo = solo_create(2, disk);
    in_solo(solo, epochs_after_a_restart, driver);
    solo_destroy(solo);
    driver_destroy(driver);
}

static void stale_write(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    driver->epoch = 3;
    struct driver_run *run = driver_start(driver, reactor);
    EXPECT(create(run, reactor, 2, 1, 0) == STATUS_STALE_EPOCH);
}

Test(shard, a_planted_bug_accepts_a_stale_epoch)
{
    struct driver *driver = driver_create(1);
    struct solo *solo = solo_create(1, NULL);
    plant_set("stale_epoch_accepted");
    solo_run(solo, stale_write, driver, SOLO_TO_THE_END);
    plant_set(NULL);
    cr_assert_str_not_empty(driver->failure);
    solo_destroy(solo);
    driver_destroy(driver);
}

/* ---- horizon ---- */

static void horizon(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    struct driver_run *run = driver_start(driver, reactor);
    EXPECT(create(run, reactor, 10, 1, 0) == STATUS_OK);
    driver->horizon_ms = snowflake_unix_ms(driver_id(50));
    driver_publish(run);
    EXPECT(create(run, reactor, 49, 1, 0) == STATUS_TOO_OLD);
    EXPECT(create(run, reactor, 49, 1, 78) == STATUS_TOO_OLD);
    /* A session that began after this view may live. */
    EXPECT(create(run, reactor, 49, 1, 1000) == STATUS_BUSY);
    EXPECT(create(run, reactor, 50, 1, 0) == STATUS_OK);
    EXPECT(create(run, reactor, 49, 1, 77) == STATUS_OK);
    /* It never goes back. */
    driver->horizon_ms = HORIZON_NONE;
    driver_publish(run);
    EXPECT(create(run, reactor, 48, 1, 0) == STATUS_TOO_OLD);
}

static void horizon_after_a_restart(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    struct driver_run *run = driver_start(driver, reactor);
    EXPECT(create(run, reactor, 47, 1, 0) == STATUS_TOO_OLD);
}

Test(shard, refuses_creates_below_the_horizon_but_those_of_live_imports)
{
    struct driver *driver = driver_create(1);
    struct solo *solo = solo_create(1, NULL);
    in_solo(solo, horizon, driver);
    in_solo(solo, horizon_after_a_restart, driver);
    solo_destroy(solo);
    driver_destroy(driver);
}

/* ---- overload, foreign partitions ---- */

static void overload(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    struct driver_run *run = driver_start(driver, reactor);
    struct shard *shard = driver_shard(run, 0);
    struct buffer row = {0};
    uint8_t *huge = mem_zalloc(60000);
    uint64_t author = 1;
    struct row large;
    row_begin_create(&large);
    row_put(&large, CHAT_AUTHOR_ID, bytes_of(&author, sizeof author));
    row_put(&large, CHAT_CONTENT, bytes_of(huge, 60000));
    struct bytes bytes = row_encode_buffer(&large, &row);
    mem_free(huge);
    enum { CALLS = 64 };
    struct waited *calls = mem_zalloc(CALLS * sizeof *calls);
    unsigned busy = 0, taken = 0, done = 0;
    for (unsigned i = 0; i < CALLS; i++) {
        calls[i].change = (struct change){.record = {.kind = RECORD_ROW,
                                              .range = driver_range(run, 0),
                                              .partition = driver_partition(run, 0),
                                              .lo = driver_id(i),
                                              .hi = driver_id(i),
                                              .body = bytes},
            .epoch = 1,
            .is_create = true,
            .arena = &calls[i].arena,
            .done = set_done,
            .context = &calls[i]};
        enum status status = change_start(shard, &calls[i].change);
        EXPECT(status == STATUS_OK || status == STATUS_BUSY);
        busy += status == STATUS_BUSY;
        taken += status == STATUS_OK;
    }
    EXPECT(busy > 0 && taken > 0);
    fiber_sleep_until(reactor, reactor_now_ns(reactor) + 3000000000ull);
    for (unsigned i = 0; i < CALLS; i++)
        done += calls[i].done;
    EXPECT(done == taken);
    /* Memory was flushed meanwhile. */
    EXPECT(create(run, reactor, 100, 1, 0) == STATUS_OK);
    struct waited other = {.change = calls[0].change};
    other.change.record.partition = driver_partition(run, 0);
    unsigned channel = 1;
    while (driver_range(run, channel).value == driver_range(run, 0).value)
        channel++;
    other.change.record.partition = driver_partition(run, channel);
    EXPECT(change_start(shard, &other.change) == STATUS_BAD_REQUEST);
    buffer_free(&row);
}

Test(shard, says_busy_when_it_has_too_much_and_recovers)
{
    struct driver *driver = driver_create(1);
    struct solo *solo = solo_create(1, NULL);
    in_solo(solo, overload, driver);
    solo_destroy(solo);
    driver_destroy(driver);
}

/* ---- the log ---- */

/* One record in a range of its own would keep the whole log. */
static void write_beside_a_cold_range(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    struct driver_run *run = driver_start(driver, reactor);
    struct shard *shard = driver_shard(run, 0);
    EXPECT(create(run, reactor, 1, 1, 0) == STATUS_OK);
    unsigned channel = 1;
    while (driver_range(run, channel).value == driver_range(run, 0).value)
        channel++;
    uint8_t *text = mem_zalloc(20000);
    for (unsigned i = 0; i < 800; i++) {
        struct page_builder builder = {0};
        struct row row;
        struct buffer bytes = {0};
        row_begin_edit(&row);
        row_put_edit(&row, CHAT_CONTENT, i, bytes_of(text, 20000));
        page_begin(&builder, PAGE_NEWEST_FIRST, true);
        page_add_row(&builder, driver_id(5), row_encode_buffer(&row, &bytes));
        struct waited waited = {.reactor = reactor};
        waited.change = (struct change){.record = {.kind = RECORD_PAGE,
                                            .range = driver_range(run, channel),
                                            .partition = driver_partition(run, channel),
                                            .body = page_finish(&builder, 0, false)},
            .epoch = 1,
            .done = set_done,
            .context = &waited};
        enum status status;
        while ((status = change_start(shard, &waited.change)) == STATUS_BUSY)
            fiber_sleep_until(reactor, reactor_now_ns(reactor) + 1000000);
        EXPECT(status == STATUS_OK);
        while (!waited.done)
            fiber_sleep_until(reactor, reactor_now_ns(reactor) + 10000);
        page_free(&builder);
        buffer_free(&bytes);
    }
    fiber_sleep_until(reactor, reactor_now_ns(reactor) + 3000000000ull);
    EXPECT(shard->counters.forced_flushes > 0);
    EXPECT(wal_bytes(shard->wal) <= shard->log_bytes_max);
    mem_free(text);
    driver_stop(run);
}

Test(shard, a_cold_range_does_not_keep_the_log_for_ever)
{
    struct driver *driver = driver_create(1);
    struct solo *solo = solo_create(1, NULL);
    in_solo(solo, write_beside_a_cold_range, driver);
    solo_destroy(solo);
    driver_destroy(driver);
}

/* ---- damage ---- */

static void write_some(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    struct driver_run *run = driver_start(driver, reactor);
    for (unsigned i = 0; i < 20; i++)
        EXPECT(create(run, reactor, i, 1, 0) == STATUS_OK);
    fiber_sleep_until(reactor, reactor_now_ns(reactor) + 100000000);
}

static void is_lapsed(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    struct driver_run *run = driver_start(driver, reactor);
    struct replica *replica;
    EXPECT(create(run, reactor, 30, 1, 0) == STATUS_UNAVAILABLE);
    EXPECT(shard_admit(driver_shard(run, 0), driver_range(run, 0), 1, REPLICA_READS, &replica) == STATUS_UNAVAILABLE);
    driver_stop(run);
}

struct victim {
    struct sim_disk *disk;
    const char *prefix;
    uint64_t offset;
    unsigned hits;
};

static void damage(void *context, const char *path, uint64_t size)
{
    struct victim *victim = context;
    if (strncmp(path, victim->prefix, strlen(victim->prefix)) != 0 || size <= victim->offset) return;
    victim->hits += sim_disk_damage(victim->disk, path, victim->offset, 0x10);
}

static void test_damage(const char *prefix, uint64_t offset, bool flushed)
{
    struct driver *driver = driver_create(1);
    struct solo *solo = solo_create(1, NULL);
    in_solo(solo, write_some, driver);
    if (flushed) {
        driver->shards = 2; /* another number of shards flushes everything */
        in_solo(solo, write_some, driver);
        driver->shards = 1;
        in_solo(solo, write_some, driver);
    }
    struct victim victim = {solo_disk(solo), prefix, offset, 0};
    sim_disk_walk(solo_disk(solo), damage, &victim);
    cr_assert(victim.hits > 0);
    in_solo(solo, is_lapsed, driver);
    /* For good: also when the damage cannot be seen any more. */
    in_solo(solo, is_lapsed, driver);
    in_solo(solo, is_lapsed, driver);
    solo_destroy(solo);
    driver_destroy(driver);
}

Test(shard, serves_nothing_of_ranges_that_a_damaged_log_may_have_lost)
{
    test_damage("log/00-00000001", 2 * 4096 + 70, false);
}

Test(shard, serves_nothing_of_ranges_whose_files_are_damaged)
{
    test_damage("ranges/", 100, true);
}

/* ---- planted bugs that the driver finds ---- */

static bool is_found(const char *plant, bool power_cuts)
{
    bool found = false;
    for (uint64_t seed = 1; seed <= 20 && !found; seed++) {
        struct driver *driver = driver_create(seed);
        struct solo *solo = solo_create(seed, NULL);
        driver->steps = 100;
        plant_set(plant);
        solo_run(solo, driver_main, driver, power_cuts ? 40 + seed * 10 : SOLO_TO_THE_END);
        plant_set(NULL);
        if (power_cuts && !driver->failure[0]) {
            struct sim_disk *disk = sim_disk_clone(solo_disk(solo), seed);
            solo_destroy(solo);
            sim_disk_crash(disk);
            solo = solo_create(seed, disk);
            driver->exact = false;
            driver->judge_only = true;
            solo_run(solo, driver_main, driver, SOLO_TO_THE_END);
        }
        found = driver->failure[0];
        solo_destroy(solo);
        driver_destroy(driver);
    }
    return found;
}

Test(shard, the_driver_finds_planted_bugs)
{
    cr_assert(is_found("edit_creates", false));
    cr_assert(is_found("create_looks_nothing_up", false));
    cr_assert(is_found("wal_ack_before_sync", true));
}

/* ---- the log ---- */

static void long_log(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    struct driver_run *run = driver_start(driver, reactor);
    struct shard *shard = driver_shard(run, 0);
    EXPECT(create(run, reactor, 1, 1, 0) == STATUS_OK);
    struct replica *replica = shard_replica(shard, driver_range(run, 0));
    struct lsm_hold hold;
    uint64_t first = 0;
    EXPECT(lsm_first_unflushed(replica->lsm, shard->log, &first));
    lsm_hold_begin(replica->lsm, &hold, (struct lsm_position){shard->log, first});
    shard->log_bytes_max = 1;
    fiber_sleep_until(reactor, reactor_now_ns(reactor) + 3000000000ull);
    EXPECT(shard->counters.forced_flushes > 0 && shard->counters.forced_flushes < 20);
    lsm_hold_end(&hold);
    fiber_sleep_until(reactor, reactor_now_ns(reactor) + 3000000000ull);
    EXPECT(!lsm_first_unflushed(replica->lsm, shard->log, &first));
    driver_stop(run);
}

Test(shard, a_log_that_is_too_long_waits_for_a_lookup, .timeout = 20)
{
    struct driver *driver = driver_create(1);
    struct solo *solo = solo_create(1, NULL);
    in_solo(solo, long_log, driver);
    solo_destroy(solo);
    driver_destroy(driver);
}
