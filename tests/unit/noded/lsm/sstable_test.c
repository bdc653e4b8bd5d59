/* SSTables on the simulated disk: the golden file, placement of blocks, reads outside fibers. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/model/key.h"
#include "noded/lsm/sstable_writer.h"
#include "noded/lsm/tree.h"
#include "tests/sim/solo.h"

static uint64_t next_file_id(void *context)
{
    return ++*(uint64_t *)context;
}

static struct lsm_store *make_store(struct reactor *reactor, uint64_t *file_id)
{
    struct lsm_store_options options = {
        .reactor = reactor, .cluster = {{0xc1, 2, 3}}, .next_file_id = next_file_id, .context = file_id};
    return lsm_store_create(&options);
}

static struct bytes make_create(struct buffer *out, uint64_t author, const char *content)
{
    struct row row;
    uint8_t number[8];
    buffer_clear(out);
    row_begin_create(&row);
    row_put(&row, CHAT_AUTHOR_ID, value_of_int(TYPE_BIGINT, (int64_t)author, number));
    row_put(&row, CHAT_CONTENT, bytes_text(content));
    return row_encode_buffer(&row, out);
}

enum { GOLDEN_ROWS = 203 };

struct golden_row {
    uint64_t channel, id;
    struct bytes row;
    bool closed;
};

/* Every kind of row in two channels, in key order. */
static void golden_rows(struct golden_row rows[GOLDEN_ROWS], struct arena *arena)
{
    struct buffer bytes = {0};
    struct row row;
    uint32_t count = 0;
    cr_assert(key_channel_token(3) < key_channel_token(1), "token order: channel 3 comes first");
    for (uint64_t i = 200; i > 0; i--) {
        const char *content =
            arena_printf(arena, "message %u of the golden file, which is of a usual length", (unsigned)i);
        struct bytes create = make_create(&bytes, 42 + i % 3, content);
        create.data = arena_copy(arena, create.data, create.size);
        rows[count++] = (struct golden_row){3, i << 22 | i, create, false};
    }
    row_begin_edit(&row);
    row_put_edit(&row, CHAT_CONTENT, 77, bytes_text("edited before its create"));
    buffer_clear(&bytes);
    row_encode_buffer(&row, &bytes);
    rows[count++] = (struct golden_row){1, 900, bytes_of(arena_copy(arena, bytes.data, bytes.size), bytes.size), false};
    row_make_delete(&row, 1234);
    buffer_clear(&bytes);
    row_encode_buffer(&row, &bytes);
    rows[count++] = (struct golden_row){1, 800, bytes_of(arena_copy(arena, bytes.data, bytes.size), bytes.size), true};
    rows[count++] = (struct golden_row){1, 700, {NULL, 0}, true};
    CHECK(count == GOLDEN_ROWS);
    buffer_free(&bytes);
}

static void write_golden(struct reactor *reactor, void *argument)
{
    (void)argument;
    uint64_t file_id = 0x1f, channel = 0;
    struct arena arena = {0};
    struct golden_row rows[GOLDEN_ROWS];
    struct lsm_store *store = make_store(reactor, &file_id);
    struct span_set spans = {0};
    CHECK(disk_mkdir(reactor, "g") == STATUS_OK);
    struct sstable_writer *writer = sstable_writer_create(store, "g", &CHAT_MESSAGES);
    span_set_add(&spans, (struct span){10, 20, 1000, true});
    golden_rows(rows, &arena);
    for (uint32_t i = 0; i < GOLDEN_ROWS; i++) {
        uint8_t key[KEY_CHANNEL_BYTES];
        key_channel(rows[i].channel, key);
        if (rows[i].channel != channel)
            sstable_writer_partition(writer, bytes_of(key, sizeof key), rows[i].channel == 1 ? &spans : NULL);
        channel = rows[i].channel;
        CHECK(sstable_writer_add(writer, rows[i].id, rows[i].row, rows[i].closed) == STATUS_OK);
    }
    struct sstable *table;
    CHECK(sstable_writer_finish(writer, &table) == STATUS_OK);
    sstable_destroy(table, false);
    span_set_free(&spans);
    arena_free(&arena);
    lsm_store_destroy(store);
}

static void put_file(struct reactor *reactor, const char *path, const uint8_t *bytes, size_t size)
{
    struct disk_file file;
    CHECK(disk_mkdir(reactor, "g") == STATUS_OK);
    CHECK(disk_open(reactor, path, DISK_CREATE, &file) == STATUS_OK);
    CHECK(disk_write(reactor, file, bytes, (uint32_t)size, 0) == STATUS_OK);
    disk_close(reactor, &file);
}

static void check_blocks(struct sstable *table, const struct golden_row rows[GOLDEN_ROWS])
{
    uint32_t row = 0;
    for (uint32_t number = 0; number < sstable_info(table)->blocks; number++) {
        struct block *block;
        cr_assert_eq(sstable_block(table, number, 0, &block), STATUS_OK);
        for (uint32_t i = 0; i < block->rows_count; i++, row++) {
            cr_assert_eq(block->ids[i], rows[row].id);
            cr_assert(bytes_equal(block_row(block, i), rows[row].row));
            cr_assert_eq(block->closed[i], rows[row].closed);
        }
        cache_release(table->store->cache, block);
    }
    cr_assert_eq(row, GOLDEN_ROWS);
}

/* argument NULL: the file that write_golden left, else the golden one. */
static void read_golden(struct reactor *reactor, void *argument)
{
    uint64_t file_id = 0x2f;
    struct arena arena = {0};
    struct golden_row rows[GOLDEN_ROWS];
    struct lsm_store *store = make_store(reactor, &file_id);
    struct buffer *golden = argument;
    struct sstable *table;
    golden_rows(rows, &arena);
    if (golden) put_file(reactor, "g/0000000000000020.sst", golden->data, golden->size);
    cr_assert_eq(sstable_open(store, "g", 0x20, NULL, &table), STATUS_OK);
    const struct sstable_info *info = sstable_info(table);
    cr_assert(info->rows == GOLDEN_ROWS && info->live == 200 && info->dead == 1 && info->partitions == 2);
    cr_assert(
        info->span_partitions == 1 && info->blocks > 2 && info->id_min == 700 && info->id_max == (200ull << 22 | 200));
    check_blocks(table, rows);
    sstable_destroy(table, false);
    arena_free(&arena);
    lsm_store_destroy(store);
}

Test(sstable, what_was_written_is_read)
{
    struct solo *solo = solo_create(1, NULL);
    cr_assert_eq(solo_run(solo, write_golden, NULL, SOLO_TO_THE_END), SOLO_RETURNED);
    cr_assert_eq(solo_run(solo, read_golden, NULL, SOLO_TO_THE_END), SOLO_RETURNED);
    solo_destroy(solo);
}

/* Read, not compared with what this program writes: another zstd may pack otherwise. */
Test(sstable, the_golden_file_is_read)
{
    struct solo *solo = solo_create(1, NULL);
    struct buffer golden = {0};
    FILE *file = fopen(TRILLIUM_ROOT "/tests/golden/sstable-1.0.bin", "rb");
    cr_assert_not_null(file, "tests/golden/sstable-1.0.bin cannot be read");
    golden.size = fread(buffer_reserve(&golden, 64 << 10), 1, 64 << 10, file);
    fclose(file);
    cr_assert_eq(solo_run(solo, read_golden, &golden, SOLO_TO_THE_END), SOLO_RETURNED);
    buffer_free(&golden);
    solo_destroy(solo);
}

static void swap_blocks(struct reactor *reactor, void *argument)
{
    (void)argument;
    uint64_t file_id = 0x2f;
    struct lsm_store *store = make_store(reactor, &file_id);
    struct sstable *table;
    CHECK(sstable_open(store, "g", 0x20, NULL, &table) == STATUS_OK);
    uint64_t first = sstable_block_at(table, 0), second = sstable_block_at(table, 1);
    uint32_t size = (uint32_t)(second - first);
    uint8_t *bytes = mem_alloc(size);
    struct disk_file file;
    CHECK(disk_open(reactor, "g/0000000000000020.sst", 0, &file) == STATUS_OK);
    CHECK(disk_read(reactor, file, bytes, size, first) == STATUS_OK);
    CHECK(disk_write(reactor, file, bytes, size, second) == STATUS_OK);
    disk_close(reactor, &file);
    mem_free(bytes);
    struct block *block;
    cr_assert_eq(sstable_block(table, 0, 0, &block), STATUS_OK);
    cache_release(store->cache, block);
    cr_assert_not(table->damaged);
    cr_assert_eq(sstable_block(table, 1, 0, &block), STATUS_CORRUPT, "a valid block in a wrong place");
    cr_assert(table->damaged);
    sstable_destroy(table, false);
    lsm_store_destroy(store);
}

Test(sstable, a_valid_block_in_a_wrong_place_is_damage)
{
    struct solo *solo = solo_create(1, NULL);
    cr_assert_eq(solo_run(solo, write_golden, NULL, SOLO_TO_THE_END), SOLO_RETURNED);
    cr_assert_eq(solo_run(solo, swap_blocks, NULL, SOLO_TO_THE_END), SOLO_RETURNED);
    solo_destroy(solo);
}

/* ---- Reads outside fibers ---- */

struct trial {
    struct task task;
    struct reactor *reactor;
    struct lsm *lsm;
    struct lsm_cursor *cursor;
    struct fiber *waiter;
    struct bytes key;
    enum status lookup, next;
};

static void try_outside(struct task *task)
{
    struct trial *trial = CONTAINER_OF(task, struct trial, task);
    struct arena arena = {0};
    struct lsm_row row;
    trial->lookup = lsm_lookup(trial->lsm, trial->key, 5, &arena, &row);
    trial->next = lsm_cursor_next(trial->cursor, &row);
    arena_free(&arena);
    fiber_wake(trial->waiter);
}

static void run_outside(struct trial *trial)
{
    trial->waiter = fiber_current(trial->reactor);
    task_init(&trial->task, try_outside);
    reactor_defer(trial->reactor, &trial->task);
    fiber_suspend(trial->reactor);
}

static void reads_outside(struct reactor *reactor, void *argument)
{
    (void)argument;
    uint64_t file_id = 0;
    uint8_t key[KEY_CHANNEL_BYTES];
    struct buffer bytes = {0};
    struct lsm_store *store = make_store(reactor, &file_id);
    struct trial trial = {.reactor = reactor, .key = {key, sizeof key}};
    key_channel(7, key);
    CHECK(lsm_open(store, 1, &trial.lsm) == STATUS_OK);
    struct bytes row = make_create(&bytes, 1, "hello");
    lsm_apply(trial.lsm, trial.key, &(struct lsm_change){5, row, true}, (struct lsm_position){0, 1});
    trial.cursor = lsm_cursor_open(trial.lsm, trial.key, UINT64_MAX, PAGE_NEWEST_FIRST);
    run_outside(&trial);
    cr_assert(trial.lookup == STATUS_OK && trial.next == STATUS_OK, "memory needs no fiber");
    lsm_cursor_close(trial.cursor);
    CHECK(lsm_flush(trial.lsm) == STATUS_OK);

    trial.cursor = lsm_cursor_open(trial.lsm, trial.key, UINT64_MAX, PAGE_NEWEST_FIRST);
    run_outside(&trial);
    cr_assert(trial.lookup == STATUS_BUSY && trial.next == STATUS_BUSY, "a block must be read");
    struct lsm_row out;
    cr_assert_eq(lsm_cursor_next(trial.cursor, &out), STATUS_OK, "the same call, in a fiber");
    cr_assert(out.id == 5 && bytes_equal(out.row, row) && lsm_row_is_visible(&out));
    cr_assert_eq(lsm_cursor_next(trial.cursor, &out), STATUS_NOT_FOUND);
    lsm_cursor_close(trial.cursor);

    trial.cursor = lsm_cursor_open(trial.lsm, trial.key, UINT64_MAX, PAGE_NEWEST_FIRST);
    run_outside(&trial);
    cr_assert(trial.lookup == STATUS_OK && trial.next == STATUS_OK, "the block is cached now");
    lsm_cursor_close(trial.cursor);

    uint64_t first;
    cr_assert_not(lsm_first_unflushed(trial.lsm, 0, &first));
    cr_assert(lsm_is_flushed(trial.lsm, (struct lsm_position){0, 1}));
    cr_assert_not(lsm_is_flushed(trial.lsm, (struct lsm_position){0, 2}));
    CHECK(lsm_clear(trial.lsm, bytes_text("lapsed"), (struct lsm_position){0, 0}) == STATUS_OK);
    cr_assert_eq(lsm_newest(trial.lsm, trial.key), 0);
    cr_assert(bytes_equal(lsm_state(trial.lsm), bytes_text("lapsed")));
    cr_assert_not(lsm_is_flushed(trial.lsm, (struct lsm_position){0, 1}), "its log may begin anew");
    lsm_close(trial.lsm);
    CHECK(lsm_quarantine(store, 1) == STATUS_OK);
    CHECK(lsm_open(store, 1, &trial.lsm) == STATUS_OK);
    cr_assert_eq(lsm_state(trial.lsm).size, 0);
    lsm_close(trial.lsm);
    buffer_free(&bytes);
    lsm_store_destroy(store);
}

Test(lsm, reads_that_need_no_block_need_no_fiber)
{
    struct solo *solo = solo_create(1, NULL);
    cr_assert_eq(solo_run(solo, reads_outside, NULL, SOLO_TO_THE_END), SOLO_RETURNED);
    solo_destroy(solo);
}
