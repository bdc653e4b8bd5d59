#include "noded/lsm/manifest.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const struct uuid cluster = {{0xc1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static void sample(struct buffer *out)
{
    struct lsm_position flushed[] = {{0, 1234567}, {31, 9}};
    struct sstable_info files[2] = {{.file_id = 7,
                                        .file_bytes = 8192,
                                        .table_id = 1,
                                        .schema_version = 1,
                                        .rows = 100,
                                        .live = 90,
                                        .dead = 4,
                                        .partitions = 3,
                                        .blocks = 2,
                                        .span_partitions = 1,
                                        .id_min = 5,
                                        .id_max = UINT64_MAX,
                                        .stamp_min = -1,
                                        .stamp_max = 1700000000000000,
                                        .properties_crc = 0xdeadbeef,
                                        .key_min = bytes_text("aaaa"),
                                        .key_max = bytes_text("zzzz")},
        {.file_id = 9,
            .file_bytes = 4096,
            .window = 3,
            .verified = true,
            .verified_w = 42,
            .id_min = UINT64_MAX,
            .stamp_min = INT64_MAX,
            .stamp_max = INT64_MIN}};
    struct manifest manifest = {.range = 0x42,
        .number = 17,
        .flushed_count = 2,
        .flushed = flushed,
        .files_count = 2,
        .files = files,
        .state = bytes_text("epoch and seals")};
    manifest_encode(&manifest, &cluster, out);
}

Test(manifest, the_golden_file_is_what_this_program_writes_and_reads)
{
    struct buffer bytes = {0};
    uint8_t golden[1024];
    sample(&bytes);
    FILE *file = fopen(TRILLIUM_ROOT "/tests/golden/manifest-1.0.bin", "rb");
    cr_assert_not_null(file, "tests/golden/manifest-1.0.bin cannot be read");
    size_t size = fread(golden, 1, sizeof golden, file);
    fclose(file);
    cr_assert_eq(size, bytes.size);
    cr_assert_arr_eq(golden, bytes.data, size);
    struct arena arena = {0};
    struct manifest manifest;
    char why[MANIFEST_WHY_BYTES];
    cr_assert_eq(manifest_decode(bytes_of(golden, size), &cluster, &arena, &manifest, why), STATUS_OK);
    cr_assert(manifest.range == 0x42 && manifest.number == 17 && manifest.files_count == 2);
    cr_assert(manifest.flushed[1].log == 31 && manifest.flushed[1].sequence == 9);
    cr_assert(bytes_equal(manifest.state, bytes_text("epoch and seals")));
    cr_assert(bytes_equal(manifest.files[0].key_max, bytes_text("zzzz")));
    cr_assert(manifest.files[0].id_max == UINT64_MAX && manifest.files[0].properties_crc == 0xdeadbeef);
    cr_assert(manifest.files[1].verified && manifest.files[1].verified_w == 42 && manifest.files[1].window == 3);
    arena_free(&arena);
    buffer_free(&bytes);
}

Test(manifest, every_flipped_bit_and_every_cut_is_refused)
{
    struct buffer bytes = {0};
    struct arena arena = {0};
    struct manifest manifest;
    char why[MANIFEST_WHY_BYTES];
    sample(&bytes);
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_neq(manifest_decode(buffer_bytes(&bytes), &cluster, &arena, &manifest, why), STATUS_OK, "%zu", bit);
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < bytes.size; cut++)
        cr_assert_neq(manifest_decode(bytes_of(bytes.data, cut), &cluster, &arena, &manifest, why), STATUS_OK);
    struct uuid other = {{1}};
    cr_assert_eq(manifest_decode(buffer_bytes(&bytes), &other, &arena, &manifest, why), STATUS_CONFLICT);
    arena_free(&arena);
    buffer_free(&bytes);
}

Test(manifest, names_are_told_from_others)
{
    uint64_t number = 5;
    cr_assert(manifest_name_parse("MANIFEST-0", &number) && number == 0);
    cr_assert(manifest_name_parse("MANIFEST-123456789012345678", &number) && number == 123456789012345678);
    const char *others[] = {"MANIFEST-", "MANIFEST-1.new", "MANIFEST-1234567890123456789", "manifest-1", "MANIFEST--1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_assert_not(manifest_name_parse(others[i], &number), "%s", others[i]);
}
