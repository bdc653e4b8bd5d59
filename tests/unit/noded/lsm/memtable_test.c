#include "noded/lsm/memtable.h"

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/base/prng.h"
#include "common/model/row.h"

enum { IDS = 600 };

static struct bytes edit_row(struct buffer *out, int64_t stamp, const char *text)
{
    struct row row;
    buffer_clear(out);
    row_begin_edit(&row);
    row_put_edit(&row, CHAT_CONTENT, stamp, bytes_text(text));
    return row_encode_buffer(&row, out);
}

static struct mem_entry entry_of(uint64_t id, struct bytes row)
{
    return (struct mem_entry){.id = id, .row = row.data, .size = (uint32_t)row.size};
}

static void check_walk(struct mem_partition *partition, const bool *present, enum page_direction direction, int bound)
{
    struct mem_cursor cursor;
    mem_cursor_init(&cursor, partition, (uint64_t)bound, direction);
    int step = direction == PAGE_NEWEST_FIRST ? -1 : 1;
    for (int id = bound; id >= 0 && id < IDS; id += step) {
        if (!present[id]) continue;
        const struct mem_entry *entry = mem_cursor_peek(&cursor);
        cr_assert(entry && entry->id == (uint64_t)id, "expected %d", id);
        mem_cursor_pass(&cursor, entry->id);
    }
    cr_assert_null(mem_cursor_peek(&cursor));
}

Test(memtable, walks_agree_with_a_plain_array_for_any_order_of_ids)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct prng prng = prng_seeded(seed);
        struct buffer scratch = {0}, bytes = {0};
        uint64_t total = 0;
        bool present[IDS] = {false}, made;
        struct memtable *memtable = memtable_create(&total);
        struct mem_partition *partition = memtable_touch(memtable, bytes_text("p"), &made);
        for (int i = 0, next = 0; i < 500; i++) {
            int id = prng_chance(&prng, 600000) && next < IDS ? next++ : (int)prng_below(&prng, IDS);
            if (id >= next) next = id + 1;
            struct mem_entry entry = entry_of((uint64_t)id, edit_row(&bytes, 1, "x"));
            memtable_put(memtable, partition, &entry, &scratch);
            present[id] = true;
            if (i % 25 == 0)
                for (unsigned d = 0; d < 2; d++)
                    check_walk(partition, present, (enum page_direction)d, (int)prng_below(&prng, IDS));
        }
        for (int id = 0; id < IDS; id++)
            cr_assert_eq(mem_partition_get(partition, (uint64_t)id) != NULL, present[id]);
        cr_assert(total > 0);
        memtable_release(memtable);
        cr_assert_eq(total, 0);
        buffer_free(&scratch);
        buffer_free(&bytes);
    }
}

Test(memtable, a_walk_survives_puts_between_its_steps)
{
    for (unsigned d = 0; d < 2; d++) {
        struct prng prng = prng_seeded(d + 7);
        struct buffer scratch = {0}, bytes = {0};
        uint64_t total = 0;
        bool made, seen[IDS] = {false}, before[IDS] = {false};
        struct memtable *memtable = memtable_create(&total);
        struct mem_partition *partition = memtable_touch(memtable, bytes_text("p"), &made);
        for (int i = 0; i < 200; i++) {
            uint64_t id = prng_below(&prng, IDS);
            struct mem_entry entry = entry_of(id, edit_row(&bytes, 1, "x"));
            memtable_put(memtable, partition, &entry, &scratch);
            before[id] = true;
        }
        struct mem_cursor cursor;
        mem_cursor_init(&cursor, partition, d == PAGE_NEWEST_FIRST ? UINT64_MAX : 0, (enum page_direction)d);
        const struct mem_entry *entry;
        uint64_t last = 0;
        bool any = false;
        while ((entry = mem_cursor_peek(&cursor))) {
            uint64_t id = entry->id;
            cr_assert(!seen[id]);
            cr_assert(!any || (d == PAGE_NEWEST_FIRST ? id < last : id > last));
            seen[id] = any = true;
            last = id;
            struct mem_entry fresh = entry_of(prng_below(&prng, IDS), edit_row(&bytes, 1, "x"));
            memtable_put(memtable, partition, &fresh, &scratch);
            mem_cursor_pass(&cursor, id);
        }
        for (int id = 0; id < IDS; id++)
            cr_assert(!before[id] || seen[id]);
        memtable_release(memtable);
        buffer_free(&scratch);
        buffer_free(&bytes);
    }
}

Test(memtable, a_put_merges_with_what_is_held_and_leaves_older_bytes_alone)
{
    struct buffer scratch = {0}, bytes = {0};
    uint64_t total = 0;
    bool made;
    struct memtable *memtable = memtable_create(&total);
    struct mem_partition *partition = memtable_touch(memtable, bytes_text("p"), &made);
    cr_assert(made);
    struct mem_entry entry = entry_of(5, edit_row(&bytes, 10, "old"));
    memtable_put(memtable, partition, &entry, &scratch);
    const struct mem_entry *held = mem_partition_get(partition, 5);
    struct bytes old = {held->row, held->size};
    entry = entry_of(5, edit_row(&bytes, 20, "new"));
    memtable_put(memtable, partition, &entry, &scratch);
    struct row row;
    cr_assert_eq(row_decode(old, &row), STATUS_OK);
    cr_assert(bytes_equal(row_value(&row, CHAT_CONTENT), bytes_text("old")));
    held = mem_partition_get(partition, 5);
    cr_assert_eq(row_decode(bytes_of(held->row, held->size), &row), STATUS_OK);
    cr_assert(bytes_equal(row_value(&row, CHAT_CONTENT), bytes_text("new")));
    struct mem_entry mark = {.id = 5, .closed = true};
    memtable_put(memtable, partition, &mark, &scratch);
    held = mem_partition_get(partition, 5);
    cr_assert(held->closed && held->size > 0);
    cr_assert_eq(memtable_rows(memtable), 1);
    memtable_release(memtable);
    buffer_free(&scratch);
    buffer_free(&bytes);
}

Test(memtable, partitions_come_in_key_order)
{
    uint64_t total = 0;
    bool made;
    struct memtable *memtable = memtable_create(&total);
    struct prng prng = prng_seeded(3);
    for (int i = 0; i < 1000; i++) {
        uint64_t key = prng_below(&prng, 5000);
        memtable_touch(memtable, bytes_of(&key, sizeof key), &made);
    }
    uint32_t count;
    struct mem_partition *const *sorted = memtable_sorted(memtable, &count);
    cr_assert(count > 800);
    for (uint32_t i = 1; i < count; i++)
        cr_assert(bytes_compare(sorted[i - 1]->key, sorted[i]->key) < 0);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(memtable_find(memtable, sorted[i]->key), sorted[i]);
    memtable_release(memtable);
}

Test(memtable, puts_in_order_allocate_only_chunks)
{
    struct buffer scratch = {0}, bytes = {0};
    uint64_t total = 0;
    bool made;
    struct memtable *memtable = memtable_create(&total);
    struct mem_partition *partition = memtable_touch(memtable, bytes_text("p"), &made);
    struct bytes row = edit_row(&bytes, 1, "hello there, this is a message of a usual size");
    uint64_t before = mem_allocations();
    for (uint64_t id = 1; id <= 10000; id++) {
        struct mem_entry entry = entry_of(id, row);
        memtable_put(memtable, partition, &entry, &scratch);
    }
    cr_assert(mem_allocations() - before < 20);
    memtable_release(memtable);
    buffer_free(&scratch);
    buffer_free(&bytes);
}
