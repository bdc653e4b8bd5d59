/* What a shard refuses when its node's disk fills up, and what it leaves for itself. */
#include <criterion/criterion.h>

#include <stdio.h>

#include "common/base/mem.h"
#include "common/model/page.h"
#include "noded/shard/change.h"
#include "tests/unit/noded/shard/driver.h"

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition) && driver->failure[0] == 0)                                                                   \
            snprintf(driver->failure, sizeof driver->failure, "line %d: %s", __LINE__, #condition);                    \
    } while (0)

#define MIB (UINT64_C(1) << 20)

struct waited {
    struct change change;
    struct arena arena;
    bool done;
};

static void set_done(struct change *change)
{
    struct waited *waited = change->context;
    waited->done = true;
}

/* A change of one id in channel 0, waited for. */
static enum status change(struct driver_run *run, struct reactor *reactor, struct record record, uint64_t import)
{
    struct waited waited = {.done = false};
    record.range = driver_range(run, 0);
    record.partition = driver_partition(run, 0);
    waited.change = (struct change){.record = record,
        .epoch = 1,
        .is_create = import > 0,
        .import_session = import,
        .arena = &waited.arena,
        .done = set_done,
        .context = &waited};
    enum status status = change_start(driver_shard(run, 0), &waited.change);
    while (status == STATUS_OK && !waited.done)
        fiber_sleep_until(reactor, reactor_now_ns(reactor) + 10000);
    arena_free(&waited.arena);
    return status == STATUS_OK ? waited.change.status : status;
}

enum what { CREATE, EDIT, DELETE, IMPORT };

static enum status write_row(struct driver_run *run, struct reactor *reactor, enum what what, unsigned slot)
{
    uint64_t author = 5;
    struct row row;
    struct buffer bytes = {0};
    if (what == DELETE) {
        row_make_delete(&row, 99);
    } else if (what == EDIT) {
        row_begin_edit(&row);
        row_put_edit(&row, CHAT_CONTENT, 7, bytes_of("y", 1));
    } else {
        row_begin_create(&row);
        row_put(&row, CHAT_AUTHOR_ID, bytes_of(&author, sizeof author));
        row_put(&row, CHAT_CONTENT, bytes_of("x", 1));
    }
    struct record record = {
        .kind = RECORD_ROW, .lo = driver_id(slot), .hi = driver_id(slot), .body = row_encode_buffer(&row, &bytes)};
    enum status status = change(run, reactor, record, what == IMPORT ? 77 : 0);
    buffer_free(&bytes);
    return status;
}

static enum status write_span(struct driver_run *run, struct reactor *reactor)
{
    struct record record = {.kind = RECORD_SPAN, .lo = driver_id(100), .hi = driver_id(101), .stamp = 5};
    return change(run, reactor, record, 0);
}

/* A write-back: of a row, or of a delete alone. */
static enum status write_back(struct driver_run *run, struct reactor *reactor, bool is_delete)
{
    uint64_t author = 5;
    struct row row;
    struct buffer bytes = {0};
    struct page_builder page = {0};
    row_begin_create(&row);
    row_put(&row, CHAT_AUTHOR_ID, bytes_of(&author, sizeof author));
    page_begin(&page, PAGE_NEWEST_FIRST, true);
    if (is_delete)
        page_add_delete(&page, driver_id(90), 5, true);
    else
        page_add_row(&page, driver_id(91), row_encode_buffer(&row, &bytes));
    struct record record = {.kind = RECORD_PAGE,
        .lo = driver_id(is_delete ? 90 : 91),
        .hi = driver_id(is_delete ? 90 : 91),
        .body = page_finish(&page, 0, false)};
    enum status status = change(run, reactor, record, 0);
    page_free(&page);
    buffer_free(&bytes);
    return status;
}

static bool is_taken(enum status status)
{
    return status_is_done(status);
}

static void all_levels(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    struct driver_run *run = driver_start(driver, reactor);
    struct shard *shard = driver_shard(run, 0);
    for (unsigned level = 0; level < SPACE_LEVELS; level++) {
        shard_use_space(shard, (enum space_level)level);
        unsigned slot = level * 5;
        uint64_t full = shard->counters.full;
        bool writes = level < SPACE_LEVEL_NO_WRITES, repair = level < SPACE_LEVEL_NO_REPAIR;
        EXPECT(write_row(run, reactor, IMPORT, slot) == (level < SPACE_LEVEL_NO_IMPORTS ? STATUS_OK : STATUS_FULL));
        EXPECT(write_row(run, reactor, CREATE, slot + 1) == (writes ? STATUS_OK : STATUS_FULL));
        EXPECT(write_row(run, reactor, EDIT, slot + 1) == (writes ? STATUS_OK : STATUS_FULL));
        EXPECT(write_back(run, reactor, false) == (repair ? STATUS_OK : STATUS_FULL));
        EXPECT(is_taken(write_back(run, reactor, true)));
        EXPECT(is_taken(write_row(run, reactor, DELETE, slot + 2)));
        EXPECT(is_taken(write_span(run, reactor)));
        EXPECT(shard->counters.full - full == (level >= SPACE_LEVEL_NO_IMPORTS) + 2u * !writes + !repair);
        /* Reads go on. */
        struct replica *replica = shard_replica(shard, driver_range(run, 0));
        struct arena arena = {0};
        struct lsm_row row;
        EXPECT(lsm_lookup(replica->lsm, driver_partition(run, 0), driver_id(1), &arena, &row) == STATUS_OK);
        arena_free(&arena);
    }
    shard_use_space(shard, SPACE_LEVEL_OPEN);
    EXPECT(write_row(run, reactor, CREATE, 60) == STATUS_OK);
    driver_stop(run);
}

static void in_solo(struct solo *solo, void (*main)(struct reactor *reactor, void *argument), struct driver *driver)
{
    enum solo_end end = solo_run(solo, main, driver, SOLO_TO_THE_END);
    cr_assert_str_empty(driver->failure, "%s", driver->failure);
    cr_assert_eq(end, SOLO_RETURNED, "ended with %d (%s)", end, status_name(solo_death(solo)));
    solo_destroy(solo);
    driver_destroy(driver);
}

Test(space, each_level_refuses_its_part_and_deletes_and_reads_pass)
{
    in_solo(solo_create(1, NULL), all_levels, driver_create(1));
}

/* A range that was not here before. */
static void new_range(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    struct driver_run *run = driver_start(driver, reactor);
    struct shard *shard = driver_shard(run, 0);
    struct view_range record = shard_replica(shard, driver_range(run, 0))->record;
    struct replica *replica;
    record.id.value = 4711;
    shard_use_space(shard, SPACE_LEVEL_NO_RANGES);
    EXPECT(shard_adopt(shard, &record, &replica) == STATUS_FULL);
    EXPECT(!shard_replica(shard, record.id));
    /* What is known is adopted at every level. */
    struct view_range known = shard_replica(shard, driver_range(run, 0))->record;
    known.epoch++;
    EXPECT(shard_adopt(shard, &known, &replica) == STATUS_OK);
    shard_use_space(shard, SPACE_LEVEL_OPEN);
    EXPECT(shard_adopt(shard, &record, &replica) == STATUS_OK);
    driver_stop(run);
}

Test(space, a_new_range_waits_for_space)
{
    in_solo(solo_create(1, NULL), new_range, driver_create(1));
}

/* Of the run under way, for what fills it up. */
static struct sim_disk *own_disk;

/* Not a byte is left: nothing is lost, and what goes into the segments that the log has passes. */
static void last_byte(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    struct driver_run *run = driver_start(driver, reactor);
    EXPECT(write_row(run, reactor, CREATE, 1) == STATUS_OK);
    sim_disk_faults(own_disk)->capacity_bytes = sim_disk_used(own_disk);
    shard_use_space(driver_shard(run, 0), SPACE_LEVEL_NO_REPAIR);
    EXPECT(lsm_flush(shard_replica(driver_shard(run, 0), driver_range(run, 0))->lsm) == STATUS_NO_SPACE);
    struct lsm_store_stats stats;
    lsm_store_stats(driver_shard(run, 0)->store, &stats);
    EXPECT(stats.no_space == 1);
    EXPECT(write_row(run, reactor, CREATE, 2) == STATUS_FULL);
    EXPECT(is_taken(write_row(run, reactor, DELETE, 3)));
    struct arena arena = {0};
    struct lsm_row row;
    struct lsm *lsm = shard_replica(driver_shard(run, 0), driver_range(run, 0))->lsm;
    EXPECT(lsm_lookup(lsm, driver_partition(run, 0), driver_id(1), &arena, &row) == STATUS_OK);
    EXPECT(lsm_lookup(lsm, driver_partition(run, 0), driver_id(3), &arena, &row) == STATUS_OK);
    arena_free(&arena);
    sim_disk_faults(own_disk)->capacity_bytes = 0;
    EXPECT(lsm_flush(lsm) == STATUS_OK);
    driver_stop(run);
}

Test(space, a_disk_that_is_full_to_its_last_byte_loses_nothing)
{
    struct solo *solo = solo_create(1, NULL);
    own_disk = solo_disk(solo);
    in_solo(solo, last_byte, driver_create(1));
}

Test(space, a_small_disk_has_small_logs_and_a_reserve_that_fits)
{
    struct shard shard = {.options = {.count = 2, .memory_bytes = 192 * MIB, .disk_bytes = 240 * MIB}};
    cr_expect_eq(shard_segment_bytes(&shard), MIB);
    cr_expect_eq(shard_reserve_bytes(&shard), 10 * MIB);
    shard.options.disk_bytes = 40 * MIB;
    cr_expect_eq(shard_reserve_bytes(&shard), 40 * MIB / 16);
    shard.options.disk_bytes = UINT64_C(1) << 40;
    cr_expect_eq(shard_segment_bytes(&shard), 12 * MIB);
    cr_expect_eq(shard_reserve_bytes(&shard), 32 * MIB + 2 * 12 * MIB);
    shard.options.disk_bytes = 0;
    cr_expect_eq(shard_segment_bytes(&shard), 12 * MIB);
}
