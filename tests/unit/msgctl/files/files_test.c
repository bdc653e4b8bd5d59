#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "common/base/prng.h"
#include "msgctl/files/files.h"

static struct buffer read_golden(const char *name)
{
    char path[512];
    struct buffer out = {0};
    snprintf(path, sizeof path, TRILLIUM_ROOT "/tests/golden/%s", name);
    FILE *file = fopen(path, "rb");
    cr_assert(file, "%s", path);
    for (size_t got = 1; got > 0;) {
        got = fread(buffer_reserve(&out, 4096), 1, 4096, file);
        out.size += got;
    }
    fclose(file);
    return out;
}

/* Counts what it is told. */
struct counter {
    struct files_sink sink;
    unsigned things, open;
    char first[32];
};

static void count_begin(struct files_sink *sink, const char *what)
{
    struct counter *counter = (struct counter *)sink;
    cr_assert(counter->open == 0);
    counter->open = 1;
    if (counter->things++ == 1) snprintf(counter->first, sizeof counter->first, "%s", what);
}

static void count_id(struct files_sink *sink, const char *name, uint64_t value)
{
    cr_assert(((struct counter *)sink)->open && name[0]);
    (void)value;
}

static void count_number(struct files_sink *sink, const char *name, int64_t value)
{
    count_id(sink, name, (uint64_t)value);
}

static void count_bytes(struct files_sink *sink, const char *name, struct bytes value)
{
    count_id(sink, name, value.size);
}

static void count_end(struct files_sink *sink)
{
    ((struct counter *)sink)->open = 0;
}

static const struct files_sink counting = {count_begin, count_id, count_number, count_bytes, count_bytes, count_end};

static const struct {
    const char *golden, *path, *first;
    enum file_kind kind;
} goldens[] = {
    {"sstable-1.0.bin", "data/ranges/0000000000000001/x", "properties", FILE_SSTABLE},
    {"manifest-1.0.bin", "data/ranges/0000000000000001/x", "manifest", FILE_MANIFEST},
};

Test(files, golden_files_are_whole_and_tell_what_is_in_them)
{
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        struct buffer file = read_golden(goldens[i].golden);
        struct files_report report;
        struct counter counter = {.sink = counting};
        enum status status = files_inspect(goldens[i].path, buffer_bytes(&file), &counter.sink, &report);
        cr_assert(status == STATUS_OK, "%s: %s", goldens[i].golden, report.why);
        cr_expect(report.header.kind == goldens[i].kind && report.summary[0]);
        cr_expect(counter.things > 2 && counter.open == 0);
        cr_expect_str_eq(counter.first, goldens[i].first);
        buffer_free(&file);
    }
}

Test(files, a_changed_byte_is_damage_or_lies_in_what_nobody_reads)
{
    struct prng prng = prng_seeded(11);
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        struct buffer file = read_golden(goldens[i].golden);
        unsigned noticed = 0;
        for (unsigned round = 0; round < 300; round++) {
            size_t at = (size_t)prng_below(&prng, file.size);
            uint8_t flip = (uint8_t)(1u << prng_below(&prng, 8));
            struct files_report report;
            file.data[at] ^= flip;
            enum status status = files_inspect(goldens[i].path, buffer_bytes(&file), NULL, &report);
            if (status != STATUS_OK) cr_expect(report.why[0]);
            noticed += status != STATUS_OK;
            file.data[at] ^= flip;
        }
        cr_expect(noticed > 0, "%s", goldens[i].golden);
        buffer_free(&file);
    }
}

Test(files, a_file_that_is_cut_short_is_damaged)
{
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        struct buffer file = read_golden(goldens[i].golden);
        struct files_report report;
        size_t sizes[] = {64, file.size / 2, file.size - 1};
        for (unsigned s = 0; s < 3; s++)
            cr_expect(files_inspect(goldens[i].path, bytes_of(file.data, sizes[s]), NULL, &report) == STATUS_CORRUPT);
        buffer_free(&file);
    }
}

Test(files, what_is_not_ours_is_said_and_what_should_be_ours_is_damaged)
{
    struct files_report report;
    struct bytes text = bytes_text("some other file");
    cr_expect(files_inspect("data/node1/lock", bytes_of("", 0), NULL, &report) == STATUS_NOT_FOUND);
    cr_expect(files_inspect("data/controller1/meta/CURRENT", text, NULL, &report) == STATUS_NOT_FOUND);
    cr_expect(files_inspect("data/node1/identity", text, NULL, &report) == STATUS_CORRUPT);
    cr_expect(files_inspect("data/node1/log/00-00000001", text, NULL, &report) == STATUS_CORRUPT);
    cr_expect(files_inspect("identity", bytes_of("", 0), NULL, &report) == STATUS_CORRUPT);
}
