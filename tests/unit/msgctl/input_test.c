#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "common/base/mem.h"
#include "common/base/prng.h"
#include "msgctl/input.h"
#include "msgctl/ndjson.h"

static char path[64];

static void write_file(struct bytes bytes)
{
    snprintf(path, sizeof path, "/tmp/input_test.XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, bytes.data, bytes.size) == (ssize_t)bytes.size);
    close(fd);
}

static struct bytes gzip_of(struct bytes text)
{
    z_stream stream = {0};
    cr_assert(deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    size_t max = deflateBound(&stream, text.size) + 64;
    uint8_t *out = mem_alloc(max);
    stream.next_in = (uint8_t *)(uintptr_t)text.data;
    stream.avail_in = (unsigned)text.size;
    stream.next_out = out;
    stream.avail_out = (unsigned)max;
    cr_assert(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    size_t size = max - stream.avail_out;
    deflateEnd(&stream);
    return bytes_of(out, size);
}

static struct bytes zstd_of(struct bytes text)
{
    size_t max = ZSTD_compressBound(text.size);
    uint8_t *out = mem_alloc(max);
    size_t size = ZSTD_compress(out, max, text.data, text.size, 1);
    cr_assert(!ZSTD_isError(size));
    return bytes_of(out, size);
}

/* Lines of many lengths, some empty, some above the limit; the last one without its end. */
static void make_text(struct buffer *out, unsigned lines)
{
    struct prng prng = prng_seeded(5);
    for (unsigned i = 1; i <= lines; i++) {
        size_t size =
            prng_chance(&prng, 20000) ? NDJSON_LINE_BYTES_MAX + prng_below(&prng, 3) - 1 : prng_below(&prng, 300);
        memset(buffer_reserve(out, size), 'a' + (int)(i % 26), size);
        out->size += size;
        if (i < lines) buffer_append(out, "\n", 1);
    }
}

static void assert_reads(struct bytes text, uint64_t skip_lines)
{
    struct input *input;
    char why[INPUT_WHY_BYTES];
    const uint8_t *at = text.data, *end = text.data + text.size;
    uint64_t number = 0;
    cr_assert(input_open(path, &input, why) == STATUS_OK);
    for (; number < skip_lines; number++)
        at = (const uint8_t *)memchr(at, '\n', (size_t)(end - at)) + 1;
    cr_assert(input_seek(input, (uint64_t)(at - text.data), skip_lines, why) == STATUS_OK);
    while (at < end) {
        const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((stop ? stop : end) - at);
        struct input_line line;
        enum status status = input_next(input, &line, why);
        cr_assert(status == (size > NDJSON_LINE_BYTES_MAX ? STATUS_TOO_BIG : STATUS_OK), "line %d", (int)number + 1);
        cr_assert(line.number == ++number);
        if (status == STATUS_OK) cr_assert(line.text.size == size && memcmp(line.text.data, at, size) == 0);
        at += size + (stop != NULL);
        cr_assert(line.end == (uint64_t)(at - text.data));
    }
    struct input_line line;
    cr_expect(input_next(input, &line, why) == STATUS_NOT_FOUND);
    cr_expect(input_position(input) == input_size(input));
    input_close(input);
}

Test(input, lines_are_the_same_plain_or_packed)
{
    struct buffer text = {0};
    make_text(&text, 700);
    struct bytes forms[] = {buffer_bytes(&text), gzip_of(buffer_bytes(&text)), zstd_of(buffer_bytes(&text))};
    for (unsigned i = 0; i < 3; i++) {
        write_file(forms[i]);
        assert_reads(buffer_bytes(&text), 0);
        assert_reads(buffer_bytes(&text), 333);
        unlink(path);
    }
    mem_free((void *)(uintptr_t)forms[1].data);
    mem_free((void *)(uintptr_t)forms[2].data);
    buffer_free(&text);
}

Test(input, packed_parts_may_follow_each_other)
{
    struct bytes parts[] = {gzip_of(bytes_text("a\nb")), gzip_of(bytes_text("c\n"))};
    struct buffer both = {0};
    for (unsigned i = 0; i < 2; i++)
        buffer_append(&both, parts[i].data, parts[i].size);
    write_file(buffer_bytes(&both));
    assert_reads(bytes_text("a\nbc\n"), 0);
    unlink(path);
    for (unsigned i = 0; i < 2; i++)
        mem_free((void *)(uintptr_t)parts[i].data);
    buffer_free(&both);
}

Test(input, a_cut_off_archive_is_an_error)
{
    struct buffer text = {0};
    make_text(&text, 100);
    struct bytes forms[] = {gzip_of(buffer_bytes(&text)), zstd_of(buffer_bytes(&text))};
    for (unsigned i = 0; i < 2; i++) {
        struct input *input;
        struct input_line line;
        char why[INPUT_WHY_BYTES];
        enum status status;
        write_file(bytes_of(forms[i].data, forms[i].size - 5));
        cr_assert(input_open(path, &input, why) == STATUS_OK);
        do
            status = input_next(input, &line, why);
        while (status == STATUS_OK || status == STATUS_TOO_BIG);
        cr_expect(status == STATUS_CORRUPT, "%s", status_name(status));
        cr_expect(strstr(why, "middle") != NULL);
        input_close(input);
        unlink(path);
        mem_free((void *)(uintptr_t)forms[i].data);
    }
    buffer_free(&text);
}

Test(input, an_empty_file_has_no_lines)
{
    write_file(bytes_text(""));
    assert_reads(bytes_text(""), 0);
    unlink(path);
}

Test(input, marks_of_other_systems_are_no_part_of_a_line)
{
    struct input *input;
    struct input_line line;
    char why[INPUT_WHY_BYTES];
    write_file(bytes_text("\xef\xbb\xbf{}\r\n{}"));
    cr_assert(input_open(path, &input, why) == STATUS_OK);
    cr_assert(input_next(input, &line, why) == STATUS_OK && line.text.size == 2 && line.end == 7);
    cr_assert(input_next(input, &line, why) == STATUS_OK && line.text.size == 2 && line.number == 2);
    input_close(input);
    unlink(path);
}

Test(input, a_pipe_that_has_nothing_yet_does_not_block)
{
    struct input *input;
    struct input_line line;
    char why[INPUT_WHY_BYTES];
    int ends[2];
    cr_assert(pipe(ends) == 0 && write(ends[1], "first\nsec", 9) == 9 && dup2(ends[0], 0) == 0);
    cr_assert(input_open("-", &input, why) == STATUS_OK);
    cr_expect(input_next(input, &line, why) == STATUS_OK && line.text.size == 5);
    cr_expect(input_next(input, &line, why) == STATUS_BUSY);
    cr_expect(input_next(input, &line, why) == STATUS_BUSY);
    cr_assert(write(ends[1], "ond", 3) == 3);
    close(ends[1]);
    cr_expect(input_next(input, &line, why) == STATUS_OK && line.text.size == 6 && line.number == 2);
    cr_expect(input_next(input, &line, why) == STATUS_NOT_FOUND);
    input_close(input);
    close(ends[0]);
}

Test(input, what_is_not_there_is_said)
{
    struct input *input;
    char why[INPUT_WHY_BYTES];
    cr_expect(input_open("/nowhere/x", &input, why) == STATUS_IO);
    cr_expect(strstr(why, "/nowhere/x") && strstr(why, "No such file"));
    cr_expect(input_open("/tmp", &input, why) == STATUS_IO);
}
