#include "common/model/schema.h"

#include <criterion/criterion.h>

#include "tests/unit/common/model/random.h"

Test(schema, chat_messages_is_well_formed)
{
    cr_assert_eq(table_check(&CHAT_MESSAGES), STATUS_OK);
    cr_assert_str_eq(table_column(&CHAT_MESSAGES, CHAT_REFERENCE_ID)->name, "reference_id");
    cr_assert_eq(table_column_named(&CHAT_MESSAGES, bytes_text("extra"))->id, CHAT_EXTRA);
    cr_assert_eq(table_column_with_role(&CHAT_MESSAGES, ROLE_AUTHOR)->id, CHAT_AUTHOR_ID);
    cr_assert_null(table_column(&CHAT_MESSAGES, 0));
    cr_assert_null(table_column(&CHAT_MESSAGES, 10));
    cr_assert_null(table_column(&CHAT_MESSAGES, UINT16_MAX));
    cr_assert_null(table_column_named(&CHAT_MESSAGES, bytes_text("nonce")));
}

Test(schema, columns_are_found_among_gaps)
{
    struct table table = CHAT_MESSAGES;
    table.columns[8].id = 60;
    table.columns[7].id = 12;
    cr_assert_eq(table_check(&table), STATUS_OK);
    cr_assert_eq(table_column(&table, 60), &table.columns[8]);
    cr_assert_eq(table_column(&table, 12), &table.columns[7]);
    cr_assert_eq(table_column(&table, 7), &table.columns[6]);
    cr_assert_null(table_column(&table, 8));
    cr_assert_null(table_column(&table, 61));
}

Test(schema, comes_back_from_its_bytes)
{
    struct buffer out = {0};
    struct table again;
    table_encode(&CHAT_MESSAGES, &out);
    struct reader reader = reader_of(buffer_bytes(&out));
    cr_assert_eq(table_decode(&reader, &again), STATUS_OK);
    cr_assert(reader_done(&reader));
    cr_assert_eq(memcmp(&again, &CHAT_MESSAGES, sizeof again), 0);
    buffer_free(&out);
}

/* The first bytes of the golden form, as in docs/formats/schema.md. */
Test(schema, golden_bytes_of_chat_messages)
{
    struct buffer out = {0};
    uint8_t space[64];
    table_encode(&CHAT_MESSAGES, &out);
    struct bytes head = from_hex("01 01 01 0d 636861742e6d65737361676573 01 01 01 09"
                                 "0a 6368616e6e656c5f6964 00 01 01 00 0a 6d6573736167655f6964 00 01 02 01",
        space, sizeof space);
    cr_assert_gt(out.size, head.size);
    cr_assert(bytes_equal(bytes_of(out.data, head.size), head));
    cr_assert_eq(out.size, 164);
    cr_assert_eq(crc32c(0, out.data, out.size), 0x77fe8c3e);
    buffer_free(&out);
}

Test(schema, cut_or_changed_bytes_are_refused_or_canonical)
{
    struct buffer out = {0}, again = {0};
    struct table table;
    struct prng prng = prng_seeded(4);
    table_encode(&CHAT_MESSAGES, &out);
    for (size_t size = 0; size < out.size; size++) {
        struct reader reader = reader_of(bytes_of(out.data, size));
        cr_assert_eq(table_decode(&reader, &table), STATUS_BAD_REQUEST);
    }
    for (int i = 0; i < 20000; i++) {
        size_t at = prng_below(&prng, out.size);
        uint8_t kept = out.data[at];
        out.data[at] = (uint8_t)prng_next(&prng);
        struct reader reader = reader_of(buffer_bytes(&out));
        buffer_clear(&again);
        if (table_decode(&reader, &table) == STATUS_OK && reader_done(&reader)) {
            table_encode(&table, &again);
            cr_assert(bytes_equal(buffer_bytes(&again), buffer_bytes(&out)));
        }
        out.data[at] = kept;
    }
    buffer_free(&out);
    buffer_free(&again);
}

static enum status check_with(void (*change)(struct table *table))
{
    struct table table = CHAT_MESSAGES;
    change(&table);
    return table_check(&table);
}

static void no_author(struct table *table)
{
    table->columns[0].role = ROLE_NONE;
}
static void two_authors(struct table *table)
{
    table->columns[4].role = ROLE_AUTHOR;
}
static void oldest_first(struct table *table)
{
    table->clustering[0].descending = false;
}
static void bad_name(struct table *table)
{
    strcpy(table->columns[3].name, "Type");
}
static void same_name(struct table *table)
{
    strcpy(table->columns[3].name, "channel_id");
}
static void same_id(struct table *table)
{
    table->columns[3].id = 3;
}
static void large_id(struct table *table)
{
    table->columns[8].id = COLUMNS_MAX + 1;
}
static void no_keyspace(struct table *table)
{
    strcpy(table->name, "messages");
}
static void unknown_type(struct table *table)
{
    table->columns[3].type = TYPES_END;
}
static void ordinary_with_roles(struct table *table)
{
    table->kind = TABLE_ORDINARY;
}
static void no_partition(struct table *table)
{
    table->partition_count = 0;
}

Test(schema, what_is_not_well_formed_is_refused)
{
    void (*const changes[])(struct table *) = {no_author, two_authors, oldest_first, bad_name, same_name, same_id,
        large_id, no_keyspace, unknown_type, ordinary_with_roles, no_partition};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
        cr_assert_eq(check_with(changes[i]), STATUS_BAD_REQUEST, "change %zu", i);
}
