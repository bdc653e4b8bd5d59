#include "noded/replica/copy_position.h"

#include <criterion/criterion.h>

Test(copy_position, goes_from_partition_to_partition_and_in_each_from_the_newest_down)
{
    struct copy_position positions[5] = {{{0}}};
    copy_position_set(&positions[1], bytes_text("a"), 9);
    copy_position_set(&positions[2], bytes_text("a"), 8);
    copy_position_set(&positions[3], bytes_text("b"), 900);
    copy_position_set_done(&positions[4]);
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < 5; k++) {
            int order = copy_position_compare(&positions[i], &positions[k]);
            cr_expect((i < k && order < 0) || (i > k && order > 0) || (i == k && order == 0), "%d %d", i, k);
        }
    for (int i = 0; i < 5; i++)
        copy_position_free(&positions[i]);
}

Test(copy_position, survives_its_encoding_and_refuses_what_is_cut)
{
    struct copy_position position = {{0}}, decoded;
    struct buffer bytes = {0};
    copy_position_set(&position, bytes_text("0123456789abcdef"), UINT64_MAX);
    copy_position_encode(&position, &bytes);
    struct reader reader = reader_of(buffer_bytes(&bytes));
    copy_position_decode(&reader, &decoded);
    cr_assert(reader_done(&reader));
    cr_expect_eq(copy_position_compare(&position, &decoded), 0);
    copy_position_free(&decoded);
    for (size_t size = 0; size < bytes.size; size++) {
        reader = reader_of(bytes_of(bytes.data, size));
        copy_position_decode(&reader, &decoded);
        cr_expect(!reader_ok(&reader), "%zu", size);
        copy_position_free(&decoded);
    }
    copy_position_free(&position);
    buffer_free(&bytes);
}
