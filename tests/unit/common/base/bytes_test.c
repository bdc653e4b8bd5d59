#include "common/base/bytes.h"

#include <criterion/criterion.h>

#include "common/base/arena.h"
#include "common/base/hash.h"
#include "common/base/prng.h"
#include "common/base/mem.h"
#include "common/base/status.h"

Test(bytes, integers_come_back_as_written)
{
    uint8_t space[128];
    struct writer writer = writer_of(space, sizeof space);
    write_u8(&writer, 0xab);
    write_u32(&writer, 0xdeadbeef);
    write_u64_be(&writer, 0x0102030405060708ull);
    write_varint(&writer, UINT64_MAX);
    write_varint(&writer, 0);
    write_varint_signed(&writer, INT64_MIN);
    write_varint_signed(&writer, -1);
    write_sized(&writer, bytes_text("hello"));
    cr_assert(writer_ok(&writer));
    struct reader reader = reader_of(writer_bytes(&writer));
    cr_assert_eq(read_u8(&reader), 0xab);
    cr_assert_eq(read_u32(&reader), 0xdeadbeef);
    cr_assert_eq(read_u64_be(&reader), 0x0102030405060708ull);
    cr_assert_eq(read_varint(&reader), UINT64_MAX);
    cr_assert_eq(read_varint(&reader), 0);
    cr_assert_eq(read_varint_signed(&reader), INT64_MIN);
    cr_assert_eq(read_varint_signed(&reader), -1);
    cr_assert(bytes_equal(read_sized(&reader), bytes_text("hello")));
    cr_assert(reader_done(&reader));
}

Test(bytes, a_reader_that_runs_out_fails_for_good)
{
    struct reader reader = reader_of(bytes_of("\x01\x02\x03", 3));
    cr_assert_eq(read_u32(&reader), 0);
    cr_assert_not(reader_ok(&reader));
    cr_assert_eq(read_u8(&reader), 0);
}

Test(bytes, a_varint_that_is_not_minimal_is_refused)
{
    static const uint8_t bad[][11] = {{0x80, 0x00}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}};
    for (int i = 0; i < 2; i++) {
        struct reader reader = reader_of(bytes_of(bad[i], sizeof bad[i]));
        read_varint(&reader);
        cr_assert_not(reader_ok(&reader));
    }
}

Test(bytes, a_writer_without_room_writes_nothing_more)
{
    uint8_t space[4] = {0};
    struct writer writer = writer_of(space, 3);
    write_u32(&writer, 0xffffffff);
    write_u8(&writer, 1);
    cr_assert_not(writer_ok(&writer));
    cr_assert_eq(space[0], 0);
}

/* Pieces this short do not take the way of long inputs. */
static uint32_t crc_in_pieces(const uint8_t *data, size_t size)
{
    uint32_t crc = 0;
    for (size_t at = 0; at < size; at += 100)
        crc = crc32c(crc, data + at, size - at < 100 ? size - at : 100);
    return crc;
}

Test(hash, crc32c_of_long_inputs_is_that_of_their_pieces)
{
    static uint8_t data[9000];
    struct prng prng = prng_seeded(7);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)prng_next(&prng);
    for (size_t size = 1400; size < sizeof data; size += 61)
        for (size_t from = 0; from < 9 && from + size <= sizeof data; from++)
            cr_assert_eq(crc32c(0, data + from, size), crc_in_pieces(data + from, size), "%zu at %zu", size, from);
}

Test(hash, crc32c_has_its_published_value)
{
    cr_assert_eq(crc32c(0, "123456789", 9), 0xe3069283);
    cr_assert_eq(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

Test(mem, a_scope_frees_what_is_left_in_it)
{
    struct mem_scope *scope = mem_scope_create();
    struct mem_scope *previous = mem_scope_enter(scope);
    void *a = mem_alloc(100), *b = mem_alloc_aligned(4096, 10), *c = mem_realloc(NULL, 5);
    cr_assert_eq((uintptr_t)b % 4096, 0);
    c = mem_realloc(c, 500);
    mem_scope_enter(previous);
    cr_assert_eq(mem_scope_blocks(scope), 3);
    cr_assert_eq(mem_scope_bytes(scope), 610);
    mem_free(a);
    cr_assert_eq(mem_scope_blocks(scope), 2);
    (void)c;
    mem_scope_destroy(scope);
}

Test(arena, gives_aligned_memory_and_forgets_it)
{
    struct arena arena = {0};
    for (size_t size = 1; size < 40000; size = size * 3 + 1)
        cr_assert_eq((uintptr_t)arena_alloc(&arena, size) % 16, 0);
    arena_reset(&arena);
    cr_assert_eq(arena.total, 0);
    cr_assert_str_eq(arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
    arena_free(&arena);
}

Test(status, every_number_has_a_name_a_text_and_a_class)
{
    cr_assert_str_eq(status_name(STATUS_UNDECIDED), "UNDECIDED");
    cr_assert_eq(status_class(STATUS_DELETED), STATUS_CLASS_FINAL);
    cr_assert_not(status_known(999));
    cr_assert_eq(status_class((enum status)999), STATUS_CLASS_UNKNOWN);
}
