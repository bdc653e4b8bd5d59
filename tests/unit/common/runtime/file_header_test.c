/* Tests of the file header codec. */
#include <criterion/criterion.h>

#include "common/runtime/file_header.h"

static const struct uuid cluster = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static struct file_header sample(void)
{
    return (struct file_header){.kind = FILE_LOG, .major = 1, .minor = 3, .cluster = cluster, .file_id = 0x1122334455};
}

Test(file_header, what_is_encoded_is_decoded)
{
    uint8_t data[FILE_HEADER_BYTES];
    struct file_header in = sample(), out;
    file_header_encode(&in, data);
    struct file_header_expected expected = {FILE_LOG, 1, &cluster};
    cr_assert_eq(file_header_decode(bytes_of(data, sizeof data), &expected, &out, NULL, 0), STATUS_OK);
    cr_assert_eq(out.kind, FILE_LOG);
    cr_assert_eq(out.minor, 3);
    cr_assert_eq(out.file_id, 0x1122334455);
    cr_assert(uuid_equal(&out.cluster, &cluster));
}

Test(file_header, every_flipped_bit_and_every_cut_is_noticed)
{
    uint8_t data[FILE_HEADER_BYTES];
    struct file_header in = sample(), out;
    file_header_encode(&in, data);
    struct file_header_expected expected = {FILE_LOG, 1, &cluster};
    for (unsigned bit = 0; bit < 8 * FILE_HEADER_BYTES; bit++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(file_header_decode(bytes_of(data, sizeof data), &expected, &out, NULL, 0), STATUS_CORRUPT);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (unsigned size = 0; size < FILE_HEADER_BYTES; size++)
        cr_assert_eq(file_header_decode(bytes_of(data, size), &expected, &out, NULL, 0), STATUS_CORRUPT);
}

Test(file_header, a_newer_major_another_kind_and_another_cluster_are_refused_by_name)
{
    uint8_t data[FILE_HEADER_BYTES];
    char why[160];
    struct file_header in = sample(), out;
    in.major = 2;
    file_header_encode(&in, data);
    struct file_header_expected expected = {FILE_LOG, 1, &cluster};
    cr_assert_eq(file_header_decode(bytes_of(data, sizeof data), &expected, &out, why, sizeof why), STATUS_CONFLICT);
    cr_assert_str_eq(why, "log format 2.3 is newer than 1, which this program reads; run the newer program");
    expected.major = 2;
    expected.kind = FILE_SSTABLE;
    cr_assert_eq(file_header_decode(bytes_of(data, sizeof data), &expected, &out, why, sizeof why), STATUS_CONFLICT);
    cr_assert_str_eq(why, "is a log file, not a sstable file");
    struct uuid other = {{9}};
    expected = (struct file_header_expected){FILE_LOG, 2, &other};
    cr_assert_eq(file_header_decode(bytes_of(data, sizeof data), &expected, &out, why, sizeof why), STATUS_CONFLICT);
    cr_assert_str_eq(
        why, "belongs to cluster 01020304-0506-0708-090a-0b0c0d0e0f10, not to 09000000-0000-0000-0000-000000000000");
}
