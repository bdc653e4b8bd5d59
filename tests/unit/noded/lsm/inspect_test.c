#include "noded/lsm/inspect.h"

#include <criterion/criterion.h>
#include <stdio.h>

static void read_golden(const char *path, struct buffer *out)
{
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s cannot be read", path);
    out->size = fread(buffer_reserve(out, 64 << 10), 1, 64 << 10, file);
    fclose(file);
}

static void count_line(void *context, const char *text)
{
    cr_assert(strlen(text) > 0 && !strchr(text, '\n'));
    ++*(unsigned *)context;
}

Test(inspect, tells_every_row_and_span_of_a_file)
{
    struct buffer golden = {0};
    unsigned lines = 0;
    struct inspect inspect = {.rows = true, .line = count_line, .context = &lines};
    read_golden(TRILLIUM_ROOT "/tests/golden/sstable-1.0.bin", &golden);
    cr_assert_eq(inspect_sstable(&inspect, buffer_bytes(&golden)), STATUS_OK, "%s", inspect.why);
    cr_assert_eq(lines, 4 + 203 + 1);
    buffer_free(&golden);
}

Test(inspect, tells_what_a_manifest_names)
{
    struct buffer golden = {0};
    unsigned lines = 0;
    struct inspect inspect = {.line = count_line, .context = &lines};
    read_golden(TRILLIUM_ROOT "/tests/golden/manifest-1.0.bin", &golden);
    cr_assert_eq(inspect_manifest(&inspect, buffer_bytes(&golden)), STATUS_OK, "%s", inspect.why);
    cr_assert_geq(lines, 7);
    buffer_free(&golden);
}

/* Only the zeros between units and before the tail are without a checksum. */
Test(inspect, refuses_every_flipped_bit_but_those_of_padding)
{
    struct buffer golden = {0};
    unsigned refused = 0, passed = 0;
    struct inspect inspect = {0};
    read_golden(TRILLIUM_ROOT "/tests/golden/sstable-1.0.bin", &golden);
    for (size_t i = 0; i < golden.size; i++) {
        uint8_t byte = golden.data[i];
        golden.data[i] ^= (uint8_t)(1u << i % 8);
        bool good = inspect_sstable(&inspect, buffer_bytes(&golden)) == STATUS_OK;
        cr_assert(!good || byte == 0, "byte %zu", i);
        refused += !good;
        passed += good;
        golden.data[i] = byte;
    }
    cr_assert(refused > 1000, "%u refused, %u passed", refused, passed);
    buffer_free(&golden);
}
