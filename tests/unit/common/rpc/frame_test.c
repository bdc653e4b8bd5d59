#include "common/rpc/frame.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/base/prng.h"

enum { SIZE = 1024 };

/* A frame of a routed call, an answer and a cancel: the golden file of docs/protocols/frame.md. */
static uint32_t example(uint8_t *frame)
{
    uint8_t *at = frame + FRAME_HEADER_BYTES;
    struct frame_entry call = {.id = 0x0102030405060708,
        .kind = FRAME_CALL,
        .flags = FRAME_ROUTED,
        .code = 64,
        .time_us = 2000000,
        .trace = 0x1111,
        .range = 7,
        .epoch = 3,
        .stamp = 0x2222,
        .body = bytes_text("hello")};
    at = frame_entry_write(at, &call);
    memcpy(at, call.body.data, call.body.size);
    at += 5;
    struct frame_entry answer = {.id = 9, .kind = FRAME_ANSWER, .code = 48, .time_us = 1000};
    at = frame_entry_write(at, &answer);
    struct frame_entry cancel = {.id = 10, .kind = FRAME_CANCEL};
    at = frame_entry_write(at, &cancel);
    uint32_t size = (uint32_t)(at - frame);
    struct frame_header header = {
        .count = 3, .sender_wall_us = 1763805600000000, .calls_granted = 100, .frame_no = 5, .frames_seen = 4};
    frame_seal(frame, size, &header);
    return size;
}

static void reseal(uint8_t *frame, uint32_t size)
{
    uint32_t crc = crc32c(crc32c(crc32c(0, frame, 28), "\0\0\0\0", 4), frame + 32, size - 32);
    memcpy(frame + 28, &crc, 4);
}

static enum frame_fault fault_of(const uint8_t *frame, uint32_t size)
{
    struct frame_header header;
    return frame_check(bytes_of(frame, size), &header);
}

Test(frame, what_is_written_is_read_back)
{
    uint8_t frame[SIZE];
    uint32_t size = example(frame);
    struct frame_header header;
    cr_assert_eq(frame_check(bytes_of(frame, size), &header), FRAME_FINE);
    cr_assert_eq(header.count, 3);
    cr_assert_eq(header.sender_wall_us, 1763805600000000);
    cr_assert_eq(header.calls_granted, 100u);
    cr_assert_eq(header.frame_no, 5u);
    cr_assert_eq(header.frames_seen, 4u);
    struct reader reader = frame_entries(bytes_of(frame, size));
    struct frame_entry entry;
    cr_assert(frame_next(&reader, &entry));
    cr_assert_eq(entry.id, 0x0102030405060708u);
    cr_assert_eq(entry.code, 64);
    cr_assert_eq(entry.range, 7u);
    cr_assert_eq(entry.epoch, 3u);
    cr_assert_eq(entry.stamp, 0x2222u);
    cr_assert(bytes_equal(entry.body, bytes_text("hello")));
    cr_assert(frame_next(&reader, &entry));
    cr_assert_eq(entry.kind, FRAME_ANSWER);
    cr_assert_eq(entry.stamp, 0u);
    cr_assert(frame_next(&reader, &entry));
    cr_assert_eq(entry.kind, FRAME_CANCEL);
    cr_assert_not(frame_next(&reader, &entry));
}

Test(frame, the_bytes_are_those_of_the_golden_file)
{
    uint8_t frame[SIZE], golden[SIZE];
    uint32_t size = example(frame);
    FILE *file = fopen(TRILLIUM_SOURCE_DIR "/tests/golden/frame.bin", "rb");
    cr_assert(file, "tests/golden/frame.bin is missing");
    size_t read = fread(golden, 1, sizeof golden, file);
    fclose(file);
    cr_assert_eq(read, size);
    cr_assert_eq(memcmp(golden, frame, size), 0);
}

Test(frame, the_first_byte_on_the_wire_has_no_top_bit)
{
    uint8_t frame[SIZE];
    example(frame);
    cr_assert_lt(frame[0], 0x80);
}

Test(frame, every_kind_of_damage_is_named)
{
    uint8_t frame[SIZE];
    uint32_t size = example(frame);
    cr_assert_eq(fault_of(frame, 31), FRAME_FAULT_SHORT);
    frame[0] ^= 1;
    cr_assert_eq(fault_of(frame, size), FRAME_FAULT_MAGIC);
    size = example(frame);
    frame[4] = 2;
    cr_assert_eq(fault_of(frame, size), FRAME_FAULT_VERSION);
    size = example(frame);
    frame[size - 1] ^= 1;
    cr_assert_eq(fault_of(frame, size), FRAME_FAULT_CHECKSUM);
    size = example(frame);
    frame[5] = 4;
    reseal(frame, size);
    cr_assert_eq(fault_of(frame, size), FRAME_FAULT_FLAGS);
    size = example(frame);
    frame[6] = 4; /* one entry more than there is */
    reseal(frame, size);
    cr_assert_eq(fault_of(frame, size), FRAME_FAULT_ENTRY);
    frame[6] = 2;
    reseal(frame, size);
    cr_assert_eq(fault_of(frame, size), FRAME_FAULT_TRAILING);
    frame[6] = 1;
    frame[7] = 1; /* 257 */
    reseal(frame, size);
    cr_assert_eq(fault_of(frame, size), FRAME_FAULT_COUNT);
    size = example(frame);
    frame[32 + 8] = 4; /* a kind that does not exist */
    reseal(frame, size);
    cr_assert_eq(fault_of(frame, size), FRAME_FAULT_ENTRY);
}

Test(frame, no_cut_or_flipped_frame_passes)
{
    uint8_t frame[SIZE], bent[SIZE];
    uint32_t size = example(frame);
    for (uint32_t cut = 0; cut < size; cut++)
        cr_assert_neq(fault_of(frame, cut), FRAME_FINE);
    for (uint32_t bit = 0; bit < size * 8; bit++) {
        memcpy(bent, frame, size);
        bent[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_neq(fault_of(bent, size), FRAME_FINE);
    }
}

Test(frame, a_length_beyond_the_frame_is_refused)
{
    uint8_t frame[SIZE];
    uint32_t size = example(frame);
    uint32_t huge = 0xfffffff0;
    memcpy(frame + 32 + 24 + 24, &huge, 4);
    reseal(frame, size);
    cr_assert_eq(fault_of(frame, size), FRAME_FAULT_ENTRY);
}

Test(frame, a_budget_can_be_replaced_in_place)
{
    uint8_t frame[SIZE];
    uint32_t size = example(frame);
    frame_entry_set_time(frame + FRAME_HEADER_BYTES, 77);
    struct frame_header header = {.count = 3};
    frame_seal(frame, size, &header);
    cr_assert_eq(fault_of(frame, size), FRAME_FINE);
    struct reader reader = frame_entries(bytes_of(frame, size));
    struct frame_entry entry;
    cr_assert(frame_next(&reader, &entry));
    cr_assert_eq(entry.time_us, 77u);
    cr_assert(bytes_equal(entry.body, bytes_text("hello")));
}
