#include "common/model/token.h"

#include <criterion/criterion.h>

/* Tokens as Cassandra's own drivers compute them. */
Test(token, is_cassandras_murmur3_of_texts)
{
    cr_assert_eq(token_of(bytes_text("123")), -7468325962851647638);
    cr_assert_eq(token_of(bytes_text("a")), -8839064797231613815);
    cr_assert_eq(token_of(bytes_text("hello, world")), 3760413751763713166);
    cr_assert_eq(token_of(bytes_text("Trillium keeps messages!")), -6905329230431458482);
}

Test(token, is_cassandras_murmur3_of_bigints)
{
    cr_assert_eq(token_of_u64(0), 2945182322382062539);
    cr_assert_eq(token_of_u64(1), 6292367497774912474);
    cr_assert_eq(token_of_u64(42), 8623491988607824794);
    cr_assert_eq(token_of_u64(123456789), 5616923877423390342);
    cr_assert_eq(token_of_u64(UINT64_C(1) << 62), 672846225436742626);
    cr_assert_eq(token_of_u64(1234567890123456789), -1931134801720106650);
    cr_assert_eq(token_of_u64(UINT64_MAX), 7071048584287372947);
    cr_assert_eq(token_of_u64(UINT64_C(1) << 63), 9204767954415360687);
    cr_assert_eq(token_of_u64(INT64_MAX), -1722304415079482439);
}

Test(token, extends_the_sign_of_tail_bytes_at_every_length)
{
    /* Byte i of length n is (37 i + 11 n + 200) mod 256. */
    static const int64_t expected[] = {7316998551959115067, 6505980031583980249, -6936876350028357936,
        -7515457986510719892, -4983501530865190306, 247221221497301712, 2274288803669370769, -1796305224942692659,
        4206778042242017196, -3120844233357700505, -3733263852717346457, -7941652402913608987, 5458674433976298388,
        7444518282649948234, 6923192910137903113, -4751524220994803341, -5312117650806612252, -1601737202008091340,
        -1752171310684958968, -6077624267252512976, -558398859433767397, -5377412413124134310, 6394021941552303134,
        -9077529183522010790, 2610806494181819010, -2277593268448153912, -3994591444382668171, -654118299242064524,
        -2924563995340301318, -9130373117227427993, 5503402492994124186, 7326561471285777443, -1500913236161230891,
        1079116633967103683, 4335060429004544950, -6389576799695798336};
    for (size_t size = 1; size <= sizeof expected / sizeof *expected; size++) {
        uint8_t key[64];
        for (size_t i = 0; i < size; i++)
            key[i] = (uint8_t)(i * 37 + size * 11 + 200);
        cr_assert_eq(token_of(bytes_of(key, size)), expected[size - 1], "size %zu", size);
    }
}

Test(token, of_nothing_is_the_smallest)
{
    cr_assert_eq(token_of(bytes_of(NULL, 0)), INT64_MIN);
}

Test(token, bytes_sort_as_numbers_do)
{
    static const int64_t ascending[] = {INT64_MIN, -5, -1, 0, 1, 256, INT64_MAX};
    uint8_t before[8], after[8];
    for (size_t i = 0; i < sizeof ascending / sizeof *ascending; i++) {
        token_write(ascending[i], after);
        cr_assert_eq(token_read(after), ascending[i]);
        if (i > 0) cr_assert_lt(memcmp(before, after, 8), 0);
        memcpy(before, after, 8);
    }
}
