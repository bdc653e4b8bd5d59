/* Tests of uuids. */
#include <criterion/criterion.h>

#include "common/base/uuid.h"

static const struct uuid cluster = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

Test(uuid, text_and_parse_are_inverse_and_parse_is_strict)
{
    char text[UUID_TEXT_BYTES];
    struct uuid out;
    uuid_text(&cluster, text);
    cr_assert_str_eq(text, "01020304-0506-0708-090a-0b0c0d0e0f10");
    cr_assert(uuid_parse(text, &out) && uuid_equal(&out, &cluster));
    cr_assert(uuid_parse("01020304-0506-0708-090A-0B0C0D0E0F10", &out) && uuid_equal(&out, &cluster));
    cr_assert_not(uuid_parse("", &out));
    cr_assert_not(uuid_parse("01020304-0506-0708-090a-0b0c0d0e0f1", &out));
    cr_assert_not(uuid_parse("01020304-0506-0708-090a-0b0c0d0e0f1g", &out));
    cr_assert_not(uuid_parse("0102030400506-0708-090a-0b0c0d0e0f10", &out));
}
