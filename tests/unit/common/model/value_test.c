#include "common/model/value.h"

#include <criterion/criterion.h>

static bool is_text(const char *text)
{
    return value_is_valid(TYPE_TEXT, bytes_text(text));
}

Test(value, text_is_utf8_of_every_plane)
{
    cr_assert(is_text(""));
    cr_assert(is_text("plain ascii that is longer than a word"));
    cr_assert(is_text("\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf"));
    cr_assert(is_text("\xf0\x90\x80\x80 \xf0\x9f\x8c\xb7 \xf4\x8f\xbf\xbf"));
    cr_assert(value_is_valid(TYPE_TEXT, bytes_of("a\0b", 3)));
}

Test(value, text_that_is_not_utf8_is_refused)
{
    static const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2 ", "\xe0\x9f\xbf", "\xed\xa0\x80",
        "\xef\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "12345678\x80",
        "1234567\xe2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(is_text(bad[i]), "case %zu", i);
}

Test(value, widths_are_exact)
{
    uint8_t zeros[17] = {0};
    static const unsigned widths[] = {[TYPE_BIGINT] = 8,
        [TYPE_INT] = 4,
        [TYPE_SMALLINT] = 2,
        [TYPE_TINYINT] = 1,
        [TYPE_BOOLEAN] = 1,
        [TYPE_TIMESTAMP] = 8,
        [TYPE_UUID] = 16,
        [TYPE_FLOAT] = 4,
        [TYPE_DOUBLE] = 8};
    for (unsigned type = TYPE_BIGINT; type < TYPES_END; type++) {
        if (type == TYPE_TEXT || type == TYPE_BLOB) continue;
        for (size_t size = 0; size <= sizeof zeros; size++)
            cr_assert_eq(value_is_valid(type, bytes_of(zeros, size)), size == widths[type]);
    }
    cr_assert_not(value_is_valid(TYPE_BOOLEAN, bytes_of("\x02", 1)));
    cr_assert_not(value_is_valid(0, bytes_of(zeros, 8)));
    cr_assert_not(value_is_valid(TYPES_END, bytes_of(zeros, 8)));
}

Test(value, integers_come_back_in_big_endian)
{
    uint8_t space[8];
    struct bytes value = value_of_int(TYPE_INT, -2, space);
    cr_assert(bytes_equal(value, bytes_of("\xff\xff\xff\xfe", 4)));
    cr_assert_eq(value_to_int(TYPE_INT, value), -2);
    cr_assert_eq(value_to_int(TYPE_BIGINT, value_of_int(TYPE_BIGINT, INT64_MIN, space)), INT64_MIN);
    cr_assert_eq(value_to_int(TYPE_TIMESTAMP, value_of_int(TYPE_TIMESTAMP, 1763800000123, space)), 1763800000123);
    cr_assert_eq(value_to_int(TYPE_TINYINT, value_of_int(TYPE_TINYINT, -128, space)), -128);
    cr_assert_eq(value_to_int(TYPE_SMALLINT, value_of_int(TYPE_SMALLINT, 32767, space)), 32767);
    cr_assert_eq(value_to_int(TYPE_BOOLEAN, value_of_int(TYPE_BOOLEAN, 1, space)), 1);
}
