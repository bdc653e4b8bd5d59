#include "common/model/page.h"

#include <criterion/criterion.h>

#include "common/base/check.h"
#include "common/model/merge.h"
#include "tests/unit/common/model/random.h"

static const uint8_t row_bytes[] = {1, 1, 0, 1, 'x'};
static const struct bytes row_x = {row_bytes, sizeof row_bytes};

Test(page, golden_visible_page)
{
    struct page_builder builder = {0};
    uint8_t expected[128];
    page_begin(&builder, PAGE_NEWEST_FIRST, false);
    page_add_row(&builder, 9, row_x);
    page_add_row(&builder, 7, row_x);
    struct bytes page = page_finish(&builder, 7, true);
    cr_assert(bytes_equal(page, from_hex("01 04 0700000000000000 01 0900000000000000 05 0101000178"
                                         "01 0700000000000000 05 0101000178",
                                    expected, sizeof expected)));
    cr_assert_eq(page_check(page), STATUS_OK);
    cr_assert_eq(builder.rows_count, 2);
    page_free(&builder);
}

Test(page, golden_raw_page)
{
    struct page_builder builder = {0};
    uint8_t expected[128];
    page_begin(&builder, PAGE_OLDEST_FIRST, true);
    page_add_delete(&builder, 3, 100, true);
    page_add_delete(&builder, 5, 99, true);
    page_add_delete(&builder, 6, 99, false);
    page_add_row(&builder, 8, row_x);
    page_add_span(&builder, &(struct span){.lo = 1, .hi = 2, .stamp = -1, .open = true});
    struct bytes page = page_finish(&builder, UINT64_MAX, false);
    cr_assert(bytes_equal(page, from_hex("01 03 ffffffffffffffff 03 02000000 0300000000000000 c801 02 01"
                                         "02 01000000 0600000000000000 c601 01 0800000000000000 05 0101000178"
                                         "04 0100000000000000 0200000000000000 01 01",
                                    expected, sizeof expected)));
    cr_assert_eq(page_check(page), STATUS_OK);
    page_free(&builder);
}

/* A random raw page, told to the builder and kept beside it. */
struct told {
    struct page_entry entries[64];
    unsigned count;
};

static void tell(struct prng *prng, struct page_builder *builder, struct told *told, struct buffer *rows)
{
    bool oldest_first = builder->direction == PAGE_OLDEST_FIRST;
    uint64_t id = oldest_first ? 1 : UINT64_MAX;
    for (told->count = 0; told->count < prng_below(prng, 64); told->count++) {
        struct page_entry *entry = &told->entries[told->count];
        uint64_t step = 1 + (prng_below(prng, 2) ? prng_below(prng, 3) : prng_below(prng, UINT64_C(1) << 50));
        id = oldest_first ? id + step : id - step;
        *entry = (struct page_entry){.id = id};
        switch (prng_below(prng, 4)) {
        case 0:
            do
                entry->row = random_row(prng, rows);
            while (row_bytes_is_delete(entry->row));
            entry->kind = PAGE_ROW;
            page_add_row(builder, id, entry->row);
            break;
        case 1:
            entry->kind = PAGE_SPAN;
            entry->id = 0;
            entry->span = (struct span){.lo = prng_below(prng, 100),
                .hi = UINT64_MAX - prng_below(prng, 100),
                .stamp = (int64_t)prng_next(prng),
                .open = prng_below(prng, 2)};
            page_add_span(builder, &entry->span);
            break;
        default:
            entry->kind = PAGE_DELETE;
            entry->stamp = (int64_t)prng_next(prng);
            entry->open = prng_below(prng, 4) == 0;
            page_add_delete(builder, id, entry->stamp, entry->open);
        }
    }
}

static void expect_entry(const struct page_entry *found, const struct page_entry *told)
{
    cr_assert_eq(found->kind, told->kind);
    cr_assert_eq(found->id, told->id);
    cr_assert(bytes_equal(found->row, told->row));
    cr_assert(found->stamp == told->stamp && found->open == told->open);
    cr_assert(found->span.lo == told->span.lo && found->span.hi == told->span.hi);
    cr_assert(found->span.stamp == told->span.stamp && found->span.open == told->span.open);
}

Test(page, tells_what_it_was_told)
{
    struct prng prng = prng_seeded(11);
    struct buffer rows = {0};
    buffer_reserve(&rows, 64 * 256); /* so that views of rows stay */
    struct page_builder builder = {0};
    for (int round = 0; round < 3000; round++) {
        struct told told;
        struct page_reader reader;
        struct page_entry entry;
        buffer_clear(&rows);
        buffer_clear(&builder.buffer);
        page_begin(&builder, prng_below(&prng, 2), true);
        tell(&prng, &builder, &told, &rows);
        bool more = prng_below(&prng, 2);
        struct bytes page = page_finish(&builder, (uint64_t)round, more);
        cr_assert_eq(page_check(page), STATUS_OK);
        cr_assert_eq(page_open(page, &reader), STATUS_OK);
        cr_assert(reader.more == more && reader.raw && reader.through == (uint64_t)round);
        unsigned count = 0;
        while (page_next(&reader, &entry))
            expect_entry(&entry, &told.entries[count++]);
        cr_assert_eq(reader.status, STATUS_OK);
        cr_assert_eq(count, told.count);
    }
    page_free(&builder);
    buffer_free(&rows);
}

Test(page, damage_is_refused_or_harmless)
{
    struct prng prng = prng_seeded(12);
    struct buffer rows = {0};
    buffer_reserve(&rows, 64 * 256);
    struct page_builder builder = {0};
    for (int round = 0; round < 3000; round++) {
        struct told told;
        struct span_set set = {0};
        buffer_clear(&rows);
        buffer_clear(&builder.buffer);
        page_begin(&builder, PAGE_NEWEST_FIRST, true);
        tell(&prng, &builder, &told, &rows);
        page_finish(&builder, 0, false);
        for (uint64_t i = prng_below(&prng, 3); i > 0; i--)
            builder.buffer.data[prng_below(&prng, builder.buffer.size)] = (uint8_t)prng_next(&prng);
        struct bytes page = bytes_of(builder.buffer.data, prng_below(&prng, builder.buffer.size + 1));
        if (page_check(page) == STATUS_OK) page_spans(page, &set);
        span_set_free(&set);
    }
    page_free(&builder);
    buffer_free(&rows);
}

Test(page, a_visible_page_has_nothing_but_visible_rows)
{
    static const char *const bad[] = {
        "01 00 0000000000000000 02 01000000 0100000000000000 00",   /* a delete */
        "01 00 0000000000000000 01 0100000000000000 04 0102d00f",   /* a deleted row */
        "01 00 0000000000000000 01 0100000000000000 05 0100210200", /* a pending edit */
        "01 00 0000000000000000 01 0100000000000000 05 0101000178 01 0100000000000000 05 0101000178", /* an id twice */
        "01 00 0000000000000000 01 0100000000000000 05 0101000178 01 0200000000000000 05 0101000178", /* order */
        "01 02 0000000000000000 02 00000000 0100000000000000 00",                                     /* an empty run */
        "01 02 0000000000000000 02 ffffffff 0100000000000000 00", /* a run that is cut */
        "01 08 0000000000000000",                                 /* an unknown flag */
        "02 00 0000000000000000",                                 /* a newer version */
        "01 00 00000000000000",                                   /* a head that is cut */
    };
    uint8_t space[128];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(page_check(from_hex(bad[i], space, sizeof space)), STATUS_BAD_REQUEST, "case %zu", i);
}

Test(page, an_answer_is_a_visible_page_within_what_was_asked)
{
    uint8_t space[128];
    struct bytes page = from_hex("01 00 0000000000000000 01 0700000000000000 05 0101000178"
                                 "01 0500000000000000 05 0101000178",
        space, sizeof space);
    cr_assert(page_is_answer(page, PAGE_NEWEST_FIRST, 5, 7, 2));
    cr_assert(!page_is_answer(page, PAGE_OLDEST_FIRST, 5, 7, 2));
    cr_assert(!page_is_answer(page, PAGE_NEWEST_FIRST, 6, 7, 2));
    cr_assert(!page_is_answer(page, PAGE_NEWEST_FIRST, 5, 6, 2));
    cr_assert(!page_is_answer(page, PAGE_NEWEST_FIRST, 5, 7, 1));
    cr_assert(!page_is_answer(bytes_of(page.data, page.size - 1), PAGE_NEWEST_FIRST, 5, 7, 2));
    space[1] = 2; /* raw */
    cr_assert(!page_is_answer(page, PAGE_NEWEST_FIRST, 5, 7, 2));
}

static struct digest digest_of(uint64_t id, struct bytes row, uint64_t gone, uint64_t through)
{
    struct digest digest;
    read_digest_begin(&digest);
    if (row.size > 0) read_digest_row(&digest, id, row);
    if (gone > 0) read_digest_open_delete(&digest, gone);
    read_digest_finish(&digest, through, false);
    return digest;
}

Test(page, a_read_digest_tells_ids_rows_deletes_and_reach_apart)
{
    struct bytes none = {NULL, 0};
    struct digest digests[] = {digest_of(1, row_x, 0, 9), digest_of(2, row_x, 0, 9), digest_of(1, row_x, 3, 9),
        digest_of(0, none, 1, 9), digest_of(0, none, 0, 9), digest_of(0, none, 0, 8)};
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < i; j++)
            cr_assert(digests[i].low != digests[j].low && digests[i].high != digests[j].high);
    struct digest again = digest_of(1, row_x, 3, 9);
    cr_assert(again.low == digests[2].low && again.high == digests[2].high);
    plant_set("digest_ignores_deletes");
    again = digest_of(1, row_x, 3, 9);
    plant_set(NULL);
    cr_assert(again.low == digests[0].low, "the planted bug is what this test would find");
}
