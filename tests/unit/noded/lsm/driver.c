#include "tests/unit/noded/lsm/driver.h"

#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/model/key.h"
#include "common/model/merge.h"
#include "common/runtime/fiber.h"
#include "msgctl/files/files.h"

enum { RECORD_ROW = 1, RECORD_SPAN, RECORD_CLOSE, RECORD_CLOSE_SPAN, RECORD_STATE };
enum { LOG_NUMBER = 3, HOLDS_MAX = 3, WALKS_MAX = 2 };

#define FAIL(driver, ...)                                                                                              \
    do {                                                                                                               \
        if ((driver)->failure[0] == 0) snprintf((driver)->failure, sizeof(driver)->failure, __VA_ARGS__);              \
    } while (0)

struct held {
    bool used;
    uint64_t record;
    struct lsm_hold hold;
};

/* A walk that goes on while the tree changes. */
struct walk {
    struct lsm_cursor *cursor;
    enum page_direction direction;
    uint8_t partition;
    int bound, last; /* slots */
    bool any;
    bool expected[DRIVER_IDS], seen[DRIVER_IDS];
};

struct run {
    struct driver *driver;
    struct reactor *reactor;
    struct lsm_store *store;
    struct lsm *lsm;
    struct held held[HOLDS_MAX];
    struct walk walks[WALKS_MAX];
    uint8_t keys[DRIVER_PARTITIONS][KEY_CHANNEL_BYTES];
};

struct driver *driver_create(uint64_t seed)
{
    struct driver *driver = mem_zalloc(sizeof *driver);
    driver->prng = prng_seeded(seed);
    driver->steps = 600;
    driver->flush_bytes = 16 << 10;
    driver->cache_bytes = 32 << 10;
    driver->next_file_id = 1;
    driver->released = 1;
    return driver;
}

struct driver *driver_copy(const struct driver *driver)
{
    return memcpy(mem_alloc(sizeof *driver), driver, sizeof *driver);
}

void driver_destroy(struct driver *driver)
{
    mem_free(driver);
}

/* Slots are spread so that differences of ids have many sizes. */
static uint64_t id_of(int slot)
{
    uint64_t base = (uint64_t)slot * 1000003;
    return slot == 0 ? 1 : slot < DRIVER_IDS / 2 ? base : (base << 20) + (uint64_t)slot % 7;
}

static int slot_of(uint64_t id)
{
    for (int slot = 0; slot < DRIVER_IDS; slot++)
        if (id_of(slot) == id) return slot;
    return -1;
}

static struct bytes key_of(const struct run *run, unsigned partition)
{
    return bytes_of(run->keys[partition], KEY_CHANNEL_BYTES);
}

/* ---- Model ---- */

static void model_merge(struct driver *driver, struct driver_row *held, struct bytes row)
{
    struct buffer merged = {0};
    if (held->size == 0) {
        buffer_append(&merged, row.data, row.size);
    } else if (row_merge_bytes(bytes_of(held->bytes, held->size), row, &merged) != STATUS_OK) {
        FAIL(driver, "the model cannot merge");
    }
    CHECK(merged.size <= DRIVER_MERGED_BYTES);
    held->size = (uint16_t)merged.size;
    memcpy(held->bytes, merged.data, merged.size);
    buffer_free(&merged);
}

static void model_apply(struct driver *driver, const struct driver_record *record, uint64_t sequence)
{
    struct driver_row *rows = driver->rows[record->partition];
    switch (record->kind) {
    case RECORD_ROW: {
        struct bytes row = {record->row, record->size};
        if (row_bytes_is_delete(row) && !record->open) rows[record->lo].closed = true;
        model_merge(driver, &rows[record->lo], row);
        break;
    }
    case RECORD_CLOSE:
        rows[record->lo].closed = true;
        break;
    case RECORD_SPAN:
    case RECORD_CLOSE_SPAN:
        for (int slot = record->lo; slot <= record->hi; slot++) {
            struct driver_row *row = &rows[slot];
            if (record->kind == RECORD_CLOSE_SPAN) {
                row->span_open = false;
                row->span_closes = true;
                continue;
            }
            row->span_open = record->open && (!row->covered || row->span_open);
            if (!row->covered || record->stamp > row->span_stamp) row->span_stamp = record->stamp;
            row->covered = true;
        }
        break;
    default:
        driver->state = sequence;
    }
}

/* ---- Making changes ---- */

static struct bytes random_text(struct prng *prng, uint8_t *out, size_t size_max)
{
    size_t size = prng_below(prng, size_max);
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t) "etaoin shrdlu"[prng_below(prng, 13)];
    return bytes_of(out, size);
}

static void make_row(struct driver *driver, struct driver_record *record)
{
    struct prng *prng = &driver->prng;
    struct row row;
    uint8_t author[8], number[8], text[200], extra[40];
    uint64_t kind = prng_below(prng, 10);
    if (kind < 5) {
        /* Mostly the same create for one id, sometimes another (a caller's bug that must converge too). */
        struct prng fixed = prng_seeded((uint64_t)record->lo * 7 + (prng_chance(prng, 50000) ? 1 : 0));
        row_begin_create(&row);
        row_put(&row, CHAT_AUTHOR_ID, value_of_int(TYPE_BIGINT, (int64_t)prng_below(&fixed, 5) * 100000007, author));
        row_put(&row, CHAT_CONTENT, random_text(&fixed, text, sizeof text));
        if (prng_chance(&fixed, 200000)) row_put(&row, CHAT_TYPE, value_of_int(TYPE_INT, 3, number));
        if (prng_chance(&fixed, 200000)) row_put(&row, CHAT_EXTRA, random_text(&fixed, extra, sizeof extra));
    } else if (kind < 9) {
        int64_t stamp = (int64_t)prng_below(prng, 1000);
        row_begin_edit(&row);
        if (prng_chance(prng, 200000))
            row_put_clear(&row, CHAT_CONTENT, stamp);
        else
            row_put_edit(&row, CHAT_CONTENT, stamp, random_text(prng, text, sizeof text));
        if (prng_chance(prng, 300000)) row_put_edit(&row, CHAT_FLAGS, stamp, value_of_int(TYPE_BIGINT, stamp, number));
    } else {
        row_make_delete(&row, record->stamp);
    }
    struct writer writer = writer_of(record->row, sizeof record->row);
    row_encode(&row, &writer);
    CHECK(writer_ok(&writer));
    record->size = (uint16_t)writer_size(&writer);
}

static bool make_record(struct driver *driver, struct driver_record *record)
{
    struct prng *prng = &driver->prng;
    if (driver->records_count == DRIVER_RECORDS_MAX) return false;
    uint64_t kind = prng_below(prng, 100);
    *record = (struct driver_record){.partition = (uint8_t)prng_below(prng, DRIVER_PARTITIONS)};
    record->stamp = (int64_t)prng_below(prng, 1000) - 10;
    record->open = prng_chance(prng, 700000);
    bool recent = prng_chance(prng, 500000); /* near the newest, else anywhere */
    uint64_t slots = recent ? 1 + driver->records_count / 8 % DRIVER_IDS : DRIVER_IDS;
    record->lo = record->hi = (uint16_t)prng_below(prng, slots);
    if (kind < 90) {
        record->kind = RECORD_ROW;
        make_row(driver, record);
    } else if (kind < 93 || kind >= 97) {
        record->kind = kind < 93 ? RECORD_SPAN : kind < 99 ? RECORD_CLOSE_SPAN : RECORD_STATE;
        record->hi = (uint16_t)(record->lo + prng_below(prng, 12));
        if (record->hi >= DRIVER_IDS) record->hi = DRIVER_IDS - 1;
    } else {
        record->kind = RECORD_CLOSE;
    }
    return true;
}

static void tree_apply(struct run *run, uint64_t index)
{
    const struct driver_record *record = &run->driver->records[index];
    struct lsm_position position = {LOG_NUMBER, index + 1};
    struct bytes key = key_of(run, record->partition);
    uint64_t lo = id_of(record->lo), hi = id_of(record->hi);
    switch (record->kind) {
    case RECORD_ROW: {
        struct lsm_change change = {lo, bytes_of(record->row, record->size), record->open};
        lsm_apply(run->lsm, key, &change, position);
        break;
    }
    case RECORD_CLOSE:
        lsm_close_delete(run->lsm, key, lo, position);
        break;
    case RECORD_SPAN:
        lsm_apply_span(run->lsm, key, (struct span){lo, hi, record->stamp, record->open}, position);
        break;
    case RECORD_CLOSE_SPAN:
        lsm_close_span(run->lsm, key, lo, hi, position);
        break;
    default:
        lsm_set_state(run->lsm, bytes_of(&position.sequence, sizeof position.sequence), position);
    }
}

static void finish_holds(struct run *run)
{
    for (unsigned i = 0; i < HOLDS_MAX; i++) {
        if (!run->held[i].used) continue;
        tree_apply(run, run->held[i].record);
        lsm_hold_end(&run->held[i].hold);
        run->held[i].used = false;
    }
}

static void change(struct run *run)
{
    struct driver *driver = run->driver;
    struct driver_record *record = &driver->records[driver->records_count];
    if (!make_record(driver, record)) return;
    uint64_t index = driver->records_count++;
    model_apply(driver, record, index + 1);
    if (record->kind == RECORD_ROW && prng_chance(&driver->prng, 30000)) {
        struct held *held = &run->held[prng_below(&driver->prng, HOLDS_MAX)];
        if (!held->used) { /* applied later */
            *held = (struct held){.used = true, .record = index};
            lsm_hold_begin(run->lsm, &held->hold, (struct lsm_position){LOG_NUMBER, index + 1});
            return;
        }
    }
    if (record->kind != RECORD_ROW) finish_holds(run); /* closing and states depend on order */
    tree_apply(run, index);
}

/* ---- Judging ---- */

static bool agrees(struct run *run, unsigned partition, int slot, const struct lsm_row *row)
{
    const struct driver_row *expected = &run->driver->rows[partition][slot];
    bool is_delete = expected->size > 0 && row_bytes_is_delete(bytes_of(expected->bytes, expected->size));
    if (row->covered != expected->covered) return false;
    bool open_as_expected = row->span.open == expected->span_open || (!row->span.open && expected->span_closes);
    if (row->covered && (row->span.stamp != expected->span_stamp || !open_as_expected)) return false;
    if (expected->covered && !is_delete) return true; /* its data may be dropped at any time */
    return bytes_equal(row->row, bytes_of(expected->bytes, expected->size)) &&
           row->open == (is_delete && !expected->closed);
}

/* A read that failed for a fault that the test injects. */
static bool excused(const struct driver *driver, enum status status)
{
    return driver->faults && status == STATUS_IO;
}

/* The tree must give this slot (true), may (covered data), or must not. */
static int must_come(const struct driver_row *row)
{
    if (row->size == 0) return 0;
    if (row_bytes_is_delete(bytes_of(row->bytes, row->size))) return 2;
    return row->covered ? 1 : 2;
}

static void compare_walk(struct run *run, unsigned partition, enum page_direction direction, int bound)
{
    struct driver *driver = run->driver;
    struct lsm_cursor *cursor = lsm_cursor_open(run->lsm, key_of(run, partition), id_of(bound), direction);
    int step = direction == PAGE_NEWEST_FIRST ? -1 : 1, slot = bound;
    for (;;) {
        struct lsm_row row = {0};
        enum status status = lsm_cursor_next(cursor, &row);
        if (excused(driver, status)) break;
        int found = status == STATUS_OK ? slot_of(row.id) : step < 0 ? -1 : DRIVER_IDS;
        if (status != STATUS_OK && status != STATUS_NOT_FOUND) FAIL(driver, "walk: %s", status_name(status));
        for (; slot != found && slot >= 0 && slot < DRIVER_IDS; slot += step)
            if (must_come(&driver->rows[partition][slot]) == 2)
                FAIL(driver, "walk %d of partition %u from %d misses slot %d", step, partition, bound, slot);
        if (status != STATUS_OK) break;
        if (slot != found || must_come(&driver->rows[partition][slot]) == 0)
            FAIL(driver, "walk %d of partition %u gives slot %d", step, partition, found);
        else if (!agrees(run, partition, slot, &row))
            FAIL(driver, "walk %d: partition %u slot %d differs", step, partition, slot);
        if (driver->failure[0]) break;
        driver->compared++;
        slot += step;
    }
    lsm_cursor_close(cursor);
}

static void compare_lookup(struct run *run, unsigned partition, int slot)
{
    struct driver *driver = run->driver;
    struct arena arena = {0};
    struct lsm_row row;
    const struct driver_row *expected = &driver->rows[partition][slot];
    enum status status = lsm_lookup(run->lsm, key_of(run, partition), id_of(slot), &arena, &row);
    if (status == STATUS_NOT_FOUND) {
        if (must_come(expected) == 2 || expected->covered)
            FAIL(driver, "lookup of %u/%d finds nothing", partition, slot);
    } else if (excused(driver, status)) {
        driver->compared--;
    } else if (status != STATUS_OK) {
        FAIL(driver, "lookup: %s", status_name(status));
    } else if (!agrees(run, partition, slot, &row)) {
        FAIL(driver, "lookup of %u/%d differs", partition, slot);
    }
    driver->compared++;
    arena_free(&arena);
}

static void compare_newest(struct run *run, unsigned partition)
{
    uint64_t newest = lsm_newest(run->lsm, key_of(run, partition)), at_least = 0, at_most = 0;
    for (int slot = 0; slot < DRIVER_IDS; slot++) {
        const struct driver_row *row = &run->driver->rows[partition][slot];
        if (row->size > 0 || row->covered) at_least = id_of(slot);
        if (row->size > 0 || row->covered || row->closed) at_most = id_of(slot);
    }
    if (newest < at_least || newest > at_most)
        FAIL(run->driver, "newest of %u is %llu", partition, (unsigned long long)newest);
}

static bool shows_a_row(const struct run *run, unsigned partition)
{
    for (int slot = 0; slot < DRIVER_IDS; slot++) {
        const struct driver_row *row = &run->driver->rows[partition][slot];
        if (row->size > 0 && !row->covered) return true;
    }
    return false;
}

static void compare_partitions(struct run *run)
{
    struct arena arena = {0};
    struct lsm_partition page[DRIVER_PARTITIONS];
    bool seen[DRIVER_PARTITIONS] = {false};
    struct bytes after = {NULL, 0};
    uint32_t limit = (uint32_t)prng_between(&run->driver->prng, 1, DRIVER_PARTITIONS), count;
    while ((count = lsm_partitions(run->lsm, after, limit, &arena, page)) > 0) {
        for (uint32_t i = 0; i < count; i++) {
            if (after.size > 0 && bytes_compare(after, page[i].key) >= 0) FAIL(run->driver, "partitions out of order");
            for (unsigned p = 0; p < DRIVER_PARTITIONS; p++)
                if (bytes_equal(page[i].key, key_of(run, p))) {
                    seen[p] = true;
                    if (!page[i].visible && shows_a_row(run, p))
                        FAIL(run->driver, "partition %u is said to be dead", p);
                }
            after = page[i].key;
        }
    }
    for (unsigned p = 0; p < DRIVER_PARTITIONS; p++)
        for (int slot = 0; slot < DRIVER_IDS; slot++)
            if (!seen[p] && (run->driver->rows[p][slot].covered || must_come(&run->driver->rows[p][slot]) == 2))
                FAIL(run->driver, "partition %u is not listed", p);
    arena_free(&arena);
}

static void compare_all(struct run *run)
{
    finish_holds(run);
    for (unsigned partition = 0; partition < DRIVER_PARTITIONS; partition++) {
        compare_walk(run, partition, PAGE_NEWEST_FIRST, DRIVER_IDS - 1);
        compare_walk(run, partition, PAGE_OLDEST_FIRST, 0);
        compare_newest(run, partition);
        for (int slot = 0; slot < DRIVER_IDS; slot += 3)
            compare_lookup(run, partition, slot);
    }
    compare_partitions(run);
    uint64_t state = 0;
    struct bytes bytes = lsm_state(run->lsm);
    if (bytes.size == sizeof state) memcpy(&state, bytes.data, sizeof state);
    if (state != run->driver->state) FAIL(run->driver, "the state is not the newest");
}

/* ---- Long walks ---- */

static void walk_begin(struct run *run, struct walk *walk)
{
    struct prng *prng = &run->driver->prng;
    finish_holds(run);
    *walk = (struct walk){.partition = (uint8_t)prng_below(prng, DRIVER_PARTITIONS),
        .direction = (enum page_direction)prng_below(prng, 2),
        .bound = (int)prng_below(prng, DRIVER_IDS)};
    for (int slot = 0; slot < DRIVER_IDS; slot++)
        walk->expected[slot] = must_come(&run->driver->rows[walk->partition][slot]) == 2;
    walk->cursor = lsm_cursor_open(run->lsm, key_of(run, walk->partition), id_of(walk->bound), walk->direction);
}

static void walk_end(struct run *run, struct walk *walk, bool whole)
{
    if (!walk->cursor) return;
    lsm_cursor_close(walk->cursor);
    walk->cursor = NULL;
    for (int slot = 0; whole && slot < DRIVER_IDS; slot++) {
        bool beyond = walk->direction == PAGE_NEWEST_FIRST ? slot <= walk->bound : slot >= walk->bound;
        /* Rows that a span covered meanwhile may have been dropped by then. */
        if (beyond && walk->expected[slot] && !walk->seen[slot] &&
            must_come(&run->driver->rows[walk->partition][slot]) == 2)
            FAIL(run->driver, "a long walk misses slot %d", slot);
    }
}

static void walk_step(struct run *run, struct walk *walk)
{
    struct lsm_row row;
    enum status status = lsm_cursor_next(walk->cursor, &row);
    if (status == STATUS_NOT_FOUND) {
        walk_end(run, walk, true);
        return;
    }
    int slot = status == STATUS_OK ? slot_of(row.id) : -1;
    if (excused(run->driver, status)) {
        walk_end(run, walk, false);
        return;
    }
    if (slot < 0) {
        FAIL(run->driver, "long walk: %s", status_name(status));
        return;
    }
    bool ordered = !walk->any || (walk->direction == PAGE_NEWEST_FIRST ? slot < walk->last : slot > walk->last);
    if (!ordered || walk->seen[slot]) FAIL(run->driver, "long walk gives slot %d again or late", slot);
    walk->seen[slot] = walk->any = true;
    walk->last = slot;
}

static void walks(struct run *run)
{
    struct walk *walk = &run->walks[prng_below(&run->driver->prng, WALKS_MAX)];
    if (!walk->cursor)
        walk_begin(run, walk);
    else
        for (unsigned i = 0; i < 5 && walk->cursor; i++)
            walk_step(run, walk);
}

/* ---- Running ---- */

static uint64_t next_file_id(void *context)
{
    struct run *run = context;
    return run->driver->next_file_id++;
}

/* What is flushed may go from the log. */
static void released(void *context, struct lsm *lsm)
{
    struct run *run = context;
    uint64_t first;
    if (!lsm_first_unflushed(lsm, LOG_NUMBER, &first)) first = run->driver->records_count + 1;
    if (first < run->driver->released) FAIL(run->driver, "a released record is wanted again");
    run->driver->released = first;
}

static void judge_status(struct driver *driver, const char *what, enum status status)
{
    if (status == STATUS_OK || (driver->faults && (status == STATUS_IO || status == STATUS_NO_SPACE))) return;
    FAIL(driver, "%s: %s", what, status_name(status));
}

static bool open_and_replay(struct run *run)
{
    struct driver *driver = run->driver;
    driver->opened = lsm_open(run->store, 0x42, &run->lsm);
    if (driver->opened != STATUS_OK) return false;
    for (uint64_t i = driver->released - 1; i < driver->records_count; i++)
        if (!lsm_is_flushed(run->lsm, (struct lsm_position){LOG_NUMBER, i + 1})) tree_apply(run, i);
    return true;
}

static bool reopen(struct run *run)
{
    finish_holds(run);
    for (unsigned i = 0; i < WALKS_MAX; i++)
        walk_end(run, &run->walks[i], false);
    lsm_close(run->lsm);
    run->lsm = NULL;
    return open_and_replay(run);
}

static void step(struct run *run)
{
    struct driver *driver = run->driver;
    uint64_t what = prng_below(&driver->prng, 1000);
    unsigned partition = (unsigned)prng_below(&driver->prng, DRIVER_PARTITIONS);
    int slot = (int)prng_below(&driver->prng, DRIVER_IDS);
    if (what < 880) {
        change(run);
    } else if (what < 930) {
        finish_holds(run);
        compare_walk(run, partition, (enum page_direction)prng_below(&driver->prng, 2), slot);
    } else if (what < 955) {
        walks(run);
    } else if (what < 970) {
        judge_status(driver, "flush", lsm_flush(run->lsm));
    } else if (what < 975) {
        judge_status(driver, "compact", lsm_compact(run->lsm));
    } else if (what < 980) {
        (void)reopen(run);
    } else if (what < 990) {
        fiber_sleep_until(run->reactor, reactor_now_ns(run->reactor) + prng_below(&driver->prng, 3000000));
    } else {
        finish_holds(run);
        compare_lookup(run, partition, slot);
    }
}

void driver_main(struct reactor *reactor, void *argument)
{
    struct run run = {.driver = argument, .reactor = reactor};
    struct driver *driver = run.driver;
    struct lsm_store_options options = {.reactor = reactor,
        .cluster = {{1, 2, 3}},
        .cache_bytes = driver->cache_bytes,
        .memtable_bytes = (uint64_t)driver->flush_bytes * 4,
        .flush_bytes = driver->flush_bytes,
        .next_file_id = next_file_id,
        .released = released,
        .context = &run};
    for (unsigned i = 0; i < DRIVER_PARTITIONS; i++)
        key_channel(1000 + i * 77, run.keys[i]);
    driver->opened = STATUS_UNDECIDED;
    run.store = lsm_store_create(&options);
    if (open_and_replay(&run)) {
        compare_all(&run);
        if (!driver->judge_only && driver->background) lsm_store_start(run.store);
        for (uint32_t i = 0; i < driver->steps && !driver->judge_only && !driver->failure[0] && run.lsm; i++)
            step(&run);
        if (run.lsm && !driver->judge_only) compare_all(&run);
        finish_holds(&run);
        for (unsigned i = 0; i < WALKS_MAX; i++)
            walk_end(&run, &run.walks[i], false);
        if (run.store && driver->background && !driver->judge_only) lsm_store_stop(run.store);
        struct lsm_store_stats stats;
        lsm_store_stats(run.store, &stats);
        driver->compactions += stats.compactions;
        driver->flushes += stats.flushes;
        if (run.lsm) lsm_close(run.lsm);
    }
    lsm_store_destroy(run.store);
}

/* ---- crashes ---- */

static void *crash_create(uint64_t seed, bool faulty)
{
    struct driver *driver = driver_create(seed);
    driver->background = true;
    driver->flush_bytes = 4 << 10;
    driver->faults = faulty;
    return driver;
}

static void *crash_copy(const void *driver)
{
    struct driver *copy = driver_copy(driver);
    copy->judge_only = true;
    return copy;
}

static void crash_destroy(void *driver)
{
    driver_destroy(driver);
}

static const char *crash_failure(void *context, bool judged)
{
    struct driver *driver = context;
    if (judged && driver->opened != STATUS_OK && !driver->failure[0])
        snprintf(driver->failure, sizeof driver->failure, "open: %s", status_name(driver->opened));
    return driver->failure[0] ? driver->failure : NULL;
}

struct inspecting {
    struct sim_disk *disk;
    char *why;
};

/* Every file of an opened tree is whole, offline. */
static void inspect_file(void *context, const char *path, uint64_t size)
{
    const struct inspecting *inspecting = context;
    struct buffer bytes = {0};
    struct files_report report;
    (void)size;
    if (inspecting->why[0] || !sim_disk_contents(inspecting->disk, path, &bytes)) return;
    enum status status = files_inspect(path, buffer_bytes(&bytes), NULL, &report);
    if (status != STATUS_OK)
        snprintf(inspecting->why, CRASH_WHY_BYTES, "%s %s: %s", path, status_name(status), report.why);
    buffer_free(&bytes);
}

static void crash_inspect(struct sim_disk *disk, char why[CRASH_WHY_BYTES])
{
    sim_disk_walk(disk, inspect_file, &(struct inspecting){disk, why});
}

const struct crash_subject driver_crashes = {
    crash_create, crash_copy, crash_destroy, driver_main, crash_failure, crash_inspect, 600};
