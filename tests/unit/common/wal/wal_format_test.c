/* Tests of the log's bytes. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "common/wal/wal_format.h"

static struct wal_segment_header header = {.cluster = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}},
    .log = 2,
    .segment = 7,
    .salt = 0x0123456789abcdef};

static const struct wal_group place = {.log = 2, .segment = 7, .block = 1};

/* A segment of three blocks: a group of two records, a marker. */
static uint32_t sample(uint8_t out[3 * WAL_BLOCK_BYTES])
{
    memset(out, 0, 3 * WAL_BLOCK_BYTES);
    wal_segment_encode(&header, out);
    uint32_t seed = header.seed;
    uint8_t *group = out + WAL_BLOCK_BYTES;
    struct writer writer = writer_of(group + WAL_GROUP_HEADER_BYTES, 200);
    struct bytes first[] = {bytes_text("hello, "), bytes_text("log")};
    wal_record_encode(&writer, 5, first, 2);
    wal_record_encode(&writer, 6, NULL, 0);
    struct wal_group records = place;
    records.first = 41;
    records.count = 2;
    records.length = (uint32_t)writer_size(&writer);
    records.synced = 40;
    records.released = 17;
    wal_group_encode(seed, &records, group);
    struct wal_group marker = {.log = 2, .segment = 7, .block = 2, .first = 43, .synced = 42, .released = 17};
    wal_group_encode(seed, &marker, out + 2 * WAL_BLOCK_BYTES);
    return seed;
}

Test(wal_format, the_golden_file_is_what_this_program_writes)
{
    uint8_t data[3 * WAL_BLOCK_BYTES], golden[sizeof data + 1];
    sample(data);
    FILE *file = fopen(TRILLIUM_ROOT "/tests/golden/log-1.0.bin", "rb");
    cr_assert_not_null(file, "tests/golden/log-1.0.bin cannot be read");
    size_t size = fread(golden, 1, sizeof golden, file);
    fclose(file);
    cr_assert_eq(size, sizeof data);
    cr_assert_arr_eq(data, golden, sizeof data);
}

Test(wal_format, a_segment_header_is_read_from_either_copy)
{
    uint8_t data[3 * WAL_BLOCK_BYTES];
    uint32_t seed = sample(data);
    struct wal_segment_header out;
    struct bytes block = bytes_of(data, WAL_BLOCK_BYTES);
    for (unsigned bit = 0; bit < 80 * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(wal_segment_decode(block, &header.cluster, &out, NULL, 0), STATUS_OK);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert(out.seed == seed && out.salt == header.salt && out.log == 2 && out.segment == 7);
    }
    data[70] ^= 1;
    data[2048 + 70] ^= 1;
    char why[100];
    cr_assert_eq(wal_segment_decode(block, &header.cluster, &out, why, sizeof why), STATUS_CORRUPT);
    cr_assert_str_eq(why, "has a damaged segment header");
}

Test(wal_format, a_group_with_a_flipped_bit_is_no_group)
{
    uint8_t data[3 * WAL_BLOCK_BYTES];
    uint32_t seed = sample(data);
    uint8_t *at = data + WAL_BLOCK_BYTES;
    struct wal_group group;
    cr_assert(wal_group_decode(seed, at, &place, &group));
    unsigned bytes = WAL_GROUP_HEADER_BYTES + group.length;
    cr_assert(wal_group_is_whole(seed, &group, bytes_of(at, bytes)));
    for (unsigned bit = 0; bit < bytes * 8; bit++) {
        at[bit / 8] ^= (uint8_t)(1u << bit % 8);
        bool whole =
            wal_group_decode(seed, at, &place, &group) && wal_group_is_whole(seed, &group, bytes_of(at, bytes));
        cr_assert_not(whole, "bit %u", bit);
        at[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

Test(wal_format, a_group_belongs_to_one_place_of_one_life_of_a_file)
{
    uint8_t data[3 * WAL_BLOCK_BYTES];
    uint32_t seed = sample(data);
    const uint8_t *at = data + WAL_BLOCK_BYTES;
    struct wal_group group, other = place;
    cr_assert_not(wal_group_decode(seed + 1, at, &place, &group));
    other.block = 2;
    cr_assert_not(wal_group_decode(seed, at, &other, &group));
    other = place;
    other.segment = 8;
    cr_assert_not(wal_group_decode(seed, at, &other, &group));
    other = place;
    other.log = 1;
    cr_assert_not(wal_group_decode(seed, at, &other, &group));
}

Test(wal_format, records_come_back_in_order)
{
    uint8_t data[3 * WAL_BLOCK_BYTES];
    uint32_t seed = sample(data);
    struct wal_group group;
    cr_assert(wal_group_decode(seed, data + WAL_BLOCK_BYTES, &place, &group));
    cr_assert(group.first == 41 && group.count == 2 && group.synced == 40 && group.released == 17);
    struct reader reader = reader_of(bytes_of(data + WAL_BLOCK_BYTES + WAL_GROUP_HEADER_BYTES, group.length));
    uint8_t kind = 0;
    struct bytes payload;
    cr_assert(wal_record_decode(&reader, &kind, &payload));
    cr_assert(kind == 5 && bytes_equal(payload, bytes_text("hello, log")));
    cr_assert(wal_record_decode(&reader, &kind, &payload));
    cr_assert(kind == 6 && payload.size == 0);
    cr_assert_not(wal_record_decode(&reader, &kind, &payload));
    cr_assert(reader_done(&reader));
}

Test(wal_format, names_are_read_as_they_are_written)
{
    char name[WAL_NAME_BYTES];
    uint8_t log;
    uint32_t segment;
    bool unfinished;
    wal_name(0xab, 0x1234cdef, name);
    cr_assert_str_eq(name, "ab-1234cdef");
    cr_assert(wal_name_parse(name, &log, &segment, &unfinished) && log == 0xab && segment == 0x1234cdef && !unfinished);
    cr_assert(wal_name_parse("ab-1234cdef.new", &log, &segment, &unfinished) && unfinished);
    const char *wrong[] = {
        "", "ab", "ab-", "ab-1234cde", "AB-1234cdef", "ab-1234cdef0", "ab-1234cdef.ne", "ab_1234cdef"};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_assert_not(wal_name_parse(wrong[i], &log, &segment, &unfinished), "%s", wrong[i]);
}
