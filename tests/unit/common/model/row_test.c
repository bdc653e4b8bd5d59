#include "common/model/row.h"

#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/model/snowflake.h"
#include "tests/unit/common/model/random.h"

static const uint8_t author_42[8] = {0, 0, 0, 0, 0, 0, 0, 42};

static void expect_bytes(const struct row *row, const char *hex)
{
    uint8_t expected[256];
    struct buffer out = {0};
    struct bytes bytes = row_encode_buffer(row, &out);
    cr_assert(bytes_equal(bytes, from_hex(hex, expected, sizeof expected)), "not %s", hex);
    cr_assert_eq(bytes.size, row_encoded_size(row));
    buffer_free(&out);
}

/* Golden vectors: docs/formats/row.md shows the same. */

Test(row, golden_create)
{
    struct row row;
    row_begin_create(&row);
    row_put(&row, CHAT_CONTENT, bytes_text("hi"));
    row_put(&row, CHAT_AUTHOR_ID, bytes_of(author_42, 8));
    expect_bytes(&row, "0101 00 08 000000000000002a 00 02 6869");
}

Test(row, golden_edit)
{
    struct row row;
    row_begin_edit(&row);
    row_put_clear(&row, CHAT_EDITED_AT, 2);
    row_put_edit(&row, CHAT_CONTENT, 5, bytes_text("yo"));
    expect_bytes(&row, "0100 21 0a 02 796f 03 05");
}

Test(row, golden_delete)
{
    struct row row;
    row_make_delete(&row, 1000);
    expect_bytes(&row, "0102 d00f");
}

Test(row, golden_edited_create)
{
    uint8_t create[64], edit[64], expected[64];
    struct buffer out = {0};
    cr_assert_eq(row_merge_bytes(from_hex("0101 00 08 000000000000002a 00 02 6869", create, sizeof create),
                     from_hex("0100 21 0a 02 796f 03 05", edit, sizeof edit), &out),
        STATUS_OK);
    struct bytes bytes =
        from_hex("0105 6638197d79842a92 00 08 000000000000002a 01 0a 02 796f 03 05", expected, sizeof expected);
    cr_assert(bytes_equal(buffer_bytes(&out), bytes));
    buffer_free(&out);
}

Test(row, golden_digest)
{
    struct digest digest = row_digest(bytes_text("key"), bytes_text("row"));
    cr_assert_eq(digest.low, UINT64_C(0xe331ed736351a378));
    cr_assert_eq(digest.high, UINT64_C(0x7c3b8be54a64b445));
}

Test(row, what_is_not_canonical_is_refused)
{
    static const struct {
        const char *hex, *why;
    } bad[] = {
        {"", "nothing"},
        {"01", "no flags"},
        {"0201 00 00", "newer version"},
        {"0100", "an empty row"},
        {"0100 00 00", "a create's cell without create"},
        {"0103 02", "create and delete"},
        {"0102", "a delete without stamp"},
        {"0102 02 00", "something behind a delete"},
        {"0102 8000", "a varint that is not minimal"},
        {"0108", "row marker, reserved"},
        {"0181", "unknown flag"},
        {"0101 04 00", "expiry, reserved"},
        {"0101 08 00", "path, reserved"},
        {"0101 10 00", "static, reserved"},
        {"0101 02", "a create's cell that is deleted"},
        {"0101 00 05 61", "a value that is cut"},
        {"0101 00 00 8010 00", "column 65"},
        {"0101 00 00 e00f 00 00 00", "column behind the last"},
        {"0101 01 02 00", "an edited create without digest"},
        {"0105 0100000000000000 00 00", "a digest without edits"},
        {"0105 0000000000000000 01 02 00", "digest zero"},
        {"0105 01000000", "a digest that is cut"},
        {"0104 0100000000000000 01 02 00", "a digest without create"},
    };
    struct row row;
    uint8_t space[64];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_eq(row_decode(from_hex(bad[i].hex, space, sizeof space), &row), STATUS_BAD_REQUEST, "%s", bad[i].why);
}

Test(row, all_columns_fit_at_once)
{
    struct row row, again;
    struct buffer out = {0};
    row_begin_create(&row);
    for (uint16_t column = COLUMNS_MAX; column > 0; column--)
        row_put(&row, column, bytes_text("x"));
    cr_assert_eq(row_decode(row_encode_buffer(&row, &out), &again), STATUS_OK);
    cr_assert_eq(again.cells_count, COLUMNS_MAX);
    cr_assert_eq(again.cells[COLUMNS_MAX - 1].column, COLUMNS_MAX);
    buffer_free(&out);
}

Test(row, an_empty_value_is_not_an_absent_one)
{
    struct row row, again;
    struct buffer out = {0};
    row_begin_create(&row);
    row_put(&row, CHAT_AUTHOR_ID, bytes_of(author_42, 8));
    row_put(&row, CHAT_CONTENT, bytes_of("", 0));
    cr_assert_eq(row_decode(row_encode_buffer(&row, &out), &again), STATUS_OK);
    cr_assert_not_null(row_value(&again, CHAT_CONTENT).data);
    cr_assert_null(row_value(&again, CHAT_EXTRA).data);
    cr_assert_null(row_find(&again, CHAT_EXTRA));
    buffer_free(&out);
}

Test(row, decode_then_encode_gives_the_same_bytes)
{
    struct prng prng = prng_seeded(1);
    struct buffer first = {0}, second = {0};
    struct row row;
    for (int i = 0; i < 20000; i++) {
        buffer_clear(&first);
        buffer_clear(&second);
        struct bytes bytes = random_row(&prng, &first);
        cr_assert_eq(row_decode(bytes, &row), STATUS_OK);
        cr_assert(bytes_equal(row_encode_buffer(&row, &second), bytes));
        cr_assert_eq(row_bytes_is_delete(bytes), row.is_deleted);
        cr_assert_eq(row_bytes_is_visible(bytes), row_is_visible(&row));
    }
    buffer_free(&first);
    buffer_free(&second);
}

Test(row, whatever_is_accepted_is_canonical)
{
    struct prng prng = prng_seeded(2);
    struct buffer first = {0}, second = {0};
    struct row row;
    int accepted = 0;
    for (int i = 0; i < 100000; i++) {
        buffer_clear(&first);
        buffer_clear(&second);
        random_row(&prng, &first);
        for (uint64_t flips = prng_below(&prng, 3); flips > 0; flips--)
            first.data[prng_below(&prng, first.size)] = (uint8_t)prng_below(&prng, prng_below(&prng, 2) ? 256 : 8);
        struct bytes bytes = bytes_of(first.data, prng_below(&prng, 4) ? first.size : prng_below(&prng, first.size));
        if (row_decode(bytes, &row) != STATUS_OK) continue;
        accepted++;
        cr_assert(bytes_equal(row_encode_buffer(&row, &second), bytes));
    }
    cr_assert_gt(accepted, 1000);
    buffer_free(&first);
    buffer_free(&second);
}

Test(row, stamps_of_any_distance_come_back)
{
    static const int64_t stamps[] = {INT64_MIN, INT64_MAX, 0, -1, INT64_MIN, 1763800000123456, INT64_MAX};
    struct row row, again;
    struct buffer out = {0};
    row_begin_edit(&row);
    for (uint16_t i = 0; i < 7; i++)
        row_put_edit(&row, i + 1, stamps[i], bytes_of("", 0));
    cr_assert_eq(row_decode(row_encode_buffer(&row, &out), &again), STATUS_OK);
    for (unsigned i = 0; i < 7; i++)
        cr_assert_eq(again.cells[i].timestamp, stamps[i]);
    cr_assert_eq(row_newest_edit(&again), INT64_MAX);
    buffer_free(&out);
}

Test(row, a_cell_of_a_create_has_the_ids_time)
{
    uint64_t id = snowflake_make(1763800000123, 1, 1);
    struct cell create = {.column = 1}, edit = {.column = 1, .edit = true, .timestamp = 7};
    cr_assert_eq(cell_timestamp(&create, id), 1763800000123000);
    cr_assert_eq(cell_timestamp(&edit, id), 7);
}

Test(row, a_create_needs_its_author_and_valid_values)
{
    struct row row;
    row_begin_create(&row);
    row_put(&row, CHAT_CONTENT, bytes_text("hi"));
    cr_assert_eq(row_check_create(&CHAT_MESSAGES, &row), STATUS_BAD_REQUEST);
    row_put(&row, CHAT_AUTHOR_ID, bytes_of(author_42, 8));
    cr_assert_eq(row_check_create(&CHAT_MESSAGES, &row), STATUS_OK);
    row_put(&row, 40, bytes_text("a column of a newer schema"));
    cr_assert_eq(row_check_create(&CHAT_MESSAGES, &row), STATUS_OK);
    row_put(&row, CHAT_FLAGS, bytes_text("not eight"));
    cr_assert_eq(row_check_create(&CHAT_MESSAGES, &row), STATUS_BAD_REQUEST);
    row_make_delete(&row, 1);
    cr_assert_eq(row_check_create(&CHAT_MESSAGES, &row), STATUS_BAD_REQUEST);
}

Test(row, an_edit_never_touches_the_author)
{
    struct row row;
    row_begin_edit(&row);
    cr_assert_eq(row_check_edit(&CHAT_MESSAGES, &row), STATUS_BAD_REQUEST);
    row_put_edit(&row, CHAT_CONTENT, 1, bytes_text("yo"));
    cr_assert_eq(row_check_edit(&CHAT_MESSAGES, &row), STATUS_OK);
    row_put_clear(&row, CHAT_AUTHOR_ID, 1);
    cr_assert_eq(row_check_edit(&CHAT_MESSAGES, &row), STATUS_BAD_REQUEST);
    row_begin_edit(&row);
    row_put_edit(&row, CHAT_CONTENT, 1, bytes_text("\xff"));
    cr_assert_eq(row_check_edit(&CHAT_MESSAGES, &row), STATUS_BAD_REQUEST);
}

Test(row, the_largest_values_of_all_columns_fit_into_one_row)
{
    uint8_t *space = mem_zalloc(ROW_BYTES_MAX);
    struct row row;
    row_begin_edit(&row);
    for (unsigned id = 1; id <= COLUMNS_MAX; id++) {
        const struct column *column = table_column(&CHAT_MESSAGES, (uint16_t)id);
        size_t width = column ? column_type_width(column->type) : CELL_BYTES_MAX_UNKNOWN;
        if (column && width == 0) width = column->role == ROLE_CONTENT ? CONTENT_BYTES_MAX : CELL_BYTES_MAX;
        if (column && column->role == ROLE_AUTHOR) continue;
        row_put_edit(&row, (uint16_t)id, INT64_MAX - id, bytes_of(space, width));
    }
    cr_assert_eq(row_check_edit(&CHAT_MESSAGES, &row), STATUS_OK);
    cr_assert_leq(row_encoded_size(&row), ROW_BYTES_MAX);
    mem_free(space);
}

Test(row, content_and_cells_have_limits)
{
    uint8_t *space = mem_zalloc(ROW_BYTES_MAX);
    struct row row;
    row_begin_create(&row);
    row_put(&row, CHAT_AUTHOR_ID, bytes_of(author_42, 8));
    row_put(&row, CHAT_CONTENT, bytes_of(space, CONTENT_BYTES_MAX));
    cr_assert_eq(row_check_create(&CHAT_MESSAGES, &row), STATUS_OK);
    row.cells[1].value.size++;
    cr_assert_eq(row_check_create(&CHAT_MESSAGES, &row), STATUS_TOO_BIG);
    row.cells[1].value.size--;
    row_put(&row, CHAT_ATTACHMENTS, bytes_of(space, CELL_BYTES_MAX));
    cr_assert_eq(row_check_create(&CHAT_MESSAGES, &row), STATUS_OK);
    row.cells[2].value.size++;
    cr_assert_eq(row_check_create(&CHAT_MESSAGES, &row), STATUS_TOO_BIG);
    mem_free(space);
}
