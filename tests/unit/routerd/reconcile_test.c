#include "routerd/coordinator/reconcile.h"

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/base/prng.h"
#include "common/model/merge.h"

/* Replicas as plain arrays of what they hold of ids 1..IDS. */
enum { IDS = 24, REPLICAS = 3 };

struct replica_model {
    struct buffer rows[IDS + 1]; /* size 0: nothing */
    struct span_set spans;
};

static void put(struct replica_model *replica, unsigned id, const struct row *row)
{
    struct buffer encoded = {0}, merged = {0};
    struct bytes bytes = row_encode_buffer(row, &encoded);
    if (replica->rows[id].size == 0) {
        buffer_append(&replica->rows[id], bytes.data, bytes.size);
    } else {
        cr_assert_eq(row_merge_bytes(buffer_bytes(&replica->rows[id]), bytes, &merged), STATUS_OK);
        buffer_clear(&replica->rows[id]);
        buffer_append(&replica->rows[id], merged.data, merged.size);
    }
    buffer_free(&encoded);
    buffer_free(&merged);
}

static void put_random(struct replica_model *replicas, struct prng *prng)
{
    unsigned id = 1 + (unsigned)prng_below(prng, IDS);
    uint8_t author[8];
    struct row row;
    struct span span = {id, id + prng_below(prng, 3), (int64_t)(1 + prng_below(prng, 5)), true};
    unsigned kind = (unsigned)prng_below(prng, 10);
    if (kind < 6) {
        row_begin_create(&row);
        row_put(&row, CHAT_AUTHOR_ID, value_of_int(TYPE_BIGINT, (int64_t)id, author));
        row_put(&row, CHAT_CONTENT, bytes_text("hello"));
    } else if (kind < 8) {
        row_begin_edit(&row);
        row_put_edit(&row, CHAT_CONTENT, (int64_t)(100 + prng_below(prng, 3)), bytes_text("edited"));
    } else {
        row = (struct row){0};
        row_make_delete(&row, (int64_t)(1000 + prng_below(prng, 3)));
    }
    for (unsigned r = 0; r < REPLICAS; r++) {
        if (!prng_chance(prng, 700000)) continue;
        if (kind == 9)
            span_set_add(&replicas[r].spans, span);
        else
            put(&replicas[r], id, &row);
    }
}

static struct bytes raw_page(
    struct page_builder *builder, const struct replica_model *replica, enum page_direction direction)
{
    page_begin(builder, direction, true);
    for (size_t i = 0; i < replica->spans.count; i++)
        page_add_span(builder, &replica->spans.spans[i]);
    for (unsigned i = 1; i <= IDS; i++) {
        unsigned id = direction == PAGE_OLDEST_FIRST ? i : IDS + 1 - i;
        struct bytes bytes = buffer_bytes(&replica->rows[id]);
        struct row row;
        if (bytes.size == 0) continue;
        cr_assert_eq(row_decode(bytes, &row), STATUS_OK);
        if (row.is_deleted)
            page_add_delete(builder, id, row.deleted_at, true);
        else
            page_add_row(builder, id, bytes);
    }
    return page_finish(builder, direction == PAGE_OLDEST_FIRST ? IDS : 1, false);
}

/* Applies a write-back. */
static void apply(struct replica_model *replica, struct bytes page)
{
    struct page_reader reader;
    struct page_entry entry;
    cr_assert_eq(page_open(page, &reader), STATUS_OK);
    while (page_next(&reader, &entry)) {
        struct row row = {0};
        if (entry.kind == PAGE_SPAN) {
            span_set_add(&replica->spans, entry.span);
            continue;
        }
        if (entry.kind == PAGE_DELETE)
            row_make_delete(&row, entry.stamp);
        else
            cr_assert_eq(row_decode(entry.row, &row), STATUS_OK);
        put(replica, (unsigned)entry.id, &row);
    }
    cr_assert_eq(reader.status, STATUS_OK);
}

static bool is_visible(const struct replica_model *replica, unsigned id)
{
    struct bytes bytes = buffer_bytes(&replica->rows[id]);
    return bytes.size && row_bytes_is_visible(bytes) && !span_set_covers(&replica->spans, id);
}

Test(reconcile, after_the_write_backs_all_replicas_show_the_merged_rows)
{
    struct prng prng = prng_seeded(11);
    for (int round = 0; round < 400; round++) {
        struct replica_model *replicas = mem_zalloc((REPLICAS + 1) * sizeof *replicas);
        unsigned steps = (unsigned)prng_below(&prng, 40);
        for (unsigned i = 0; i < steps; i++)
            put_random(replicas, &prng);
        enum page_direction direction = prng_below(&prng, 2) ? PAGE_NEWEST_FIRST : PAGE_OLDEST_FIRST;
        struct page_builder builders[REPLICAS] = {0};
        struct bytes pages[REPLICAS];
        for (unsigned r = 0; r < REPLICAS; r++)
            pages[r] = raw_page(&builders[r], &replicas[r], direction);
        struct reconcile *result = mem_zalloc(sizeof *result);
        struct reconcile_limits limits = {1, IDS, (uint32_t)(1 + prng_below(&prng, IDS)), 1 << 16, direction};
        unsigned bad;
        cr_assert_eq(reconcile_run(result, pages, REPLICAS, &limits, &bad), STATUS_OK);
        struct replica_model *all = &replicas[REPLICAS];
        for (unsigned r = 0; r < REPLICAS; r++)
            apply(all, pages[r]);
        for (unsigned r = 0; r < REPLICAS; r++)
            if (result->lacks_page[r].size) apply(&replicas[r], result->lacks_page[r]);
        struct page_reader reader;
        struct page_entry entry;
        cr_assert_eq(page_open(result->visible_page, &reader), STATUS_OK);
        for (unsigned i = 1; i <= IDS; i++) {
            unsigned id = direction == PAGE_OLDEST_FIRST ? i : IDS + 1 - i;
            bool beyond = direction == PAGE_OLDEST_FIRST ? id > result->through : id < result->through;
            if (beyond) break;
            for (unsigned r = 0; r < REPLICAS; r++) {
                cr_assert_eq(is_visible(&replicas[r], id), is_visible(all, id));
                if (is_visible(all, id))
                    cr_assert(bytes_equal(buffer_bytes(&replicas[r].rows[id]), buffer_bytes(&all->rows[id])));
            }
            if (!is_visible(all, id)) continue;
            cr_assert(page_next(&reader, &entry));
            cr_assert_eq(entry.id, id);
            cr_assert(bytes_equal(entry.row, buffer_bytes(&all->rows[id])));
        }
        cr_assert_not(page_next(&reader, &entry));
        cr_assert_leq(result->rows, limits.rows_max);
        reconcile_free(result);
        mem_free(result);
        for (unsigned r = 0; r <= REPLICAS; r++) {
            if (r < REPLICAS) page_free(&builders[r]);
            span_set_free(&replicas[r].spans);
            for (unsigned id = 0; id <= IDS; id++)
                buffer_free(&replicas[r].rows[id]);
        }
        mem_free(replicas);
    }
}

Test(reconcile, a_page_that_ends_early_bounds_the_answer)
{
    struct replica_model *replicas = mem_zalloc(2 * sizeof *replicas);
    struct row row;
    uint8_t author[8];
    row_begin_create(&row);
    row_put(&row, CHAT_AUTHOR_ID, value_of_int(TYPE_BIGINT, 7, author));
    for (unsigned id = 1; id <= IDS; id++)
        put(&replicas[0], id, &row);
    struct page_builder builders[2] = {0};
    struct bytes pages[2];
    pages[0] = raw_page(&builders[0], &replicas[0], PAGE_NEWEST_FIRST);
    page_begin(&builders[1], PAGE_NEWEST_FIRST, true);
    pages[1] = page_finish(&builders[1], 10, true);
    struct reconcile *result = mem_zalloc(sizeof *result);
    struct reconcile_limits limits = {1, IDS, 100, 1 << 16, PAGE_NEWEST_FIRST};
    unsigned bad;
    cr_assert_eq(reconcile_run(result, pages, 2, &limits, &bad), STATUS_OK);
    cr_assert_eq(result->through, 10);
    cr_assert(result->more);
    cr_assert_eq(result->rows, IDS - 10 + 1);
    cr_assert_gt(result->lacks_page[1].size, 0);
    cr_assert_eq(result->lacks_page[0].size, 0);
    reconcile_free(result);
    mem_free(result);
    for (unsigned id = 0; id <= IDS; id++)
        buffer_free(&replicas[0].rows[id]);
    mem_free(replicas);
    page_free(&builders[0]);
    page_free(&builders[1]);
}

Test(reconcile, a_malformed_page_names_its_replica)
{
    struct page_builder builder = {0};
    page_begin(&builder, PAGE_NEWEST_FIRST, true);
    struct bytes pages[2] = {page_finish(&builder, 1, false), bytes_text("nonsense")};
    struct reconcile *result = mem_zalloc(sizeof *result);
    struct reconcile_limits limits = {1, IDS, 100, 1 << 16, PAGE_NEWEST_FIRST};
    unsigned bad = 9;
    cr_assert_eq(reconcile_run(result, pages, 2, &limits, &bad), STATUS_BAD_REQUEST);
    cr_assert_eq(bad, 1);
    reconcile_free(result);
    mem_free(result);
    page_free(&builder);
}
