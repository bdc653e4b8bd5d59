// links: msgctl_core
/* fuzz_input: any bytes as the file that an import reads, plain or packed, give lines or a refusal; the places that the
   lines tell are places to go on from. */
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/check.h"
#include "msgctl/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 2000 };

/* Reads to the end; at line number until it stops. Returns the last line's number. */
static uint64_t read_lines(struct input *input, uint64_t until, uint64_t *end)
{
    struct input_line line;
    uint64_t last = 0, lines = 0;
    char why[INPUT_WHY_BYTES] = "";
    for (;;) {
        enum status status = input_next(input, &line, why);
        if (status != STATUS_OK && status != STATUS_TOO_BIG) {
            CHECK(status == STATUS_NOT_FOUND || why[0] != 0);
            return last;
        }
        CHECK(line.number > last && (status == STATUS_TOO_BIG || line.end >= line.text.size));
        last = line.number;
        *end = line.end;
        if (last == until || ++lines == LINES_MAX) return last;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64], why[INPUT_WHY_BYTES];
    struct input *input;
    uint64_t end = 0, again = 0;
    int file = memfd_create("input", 0);
    CHECK(file >= 0 && write(file, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (input_open(path, &input, why) == STATUS_OK) {
        uint64_t lines = read_lines(input, UINT64_MAX, &end);
        input_close(input);
        /* From the middle on it ends in the same place. */
        CHECK(input_open(path, &input, why) == STATUS_OK);
        uint64_t half = read_lines(input, lines / 2, &again);
        input_close(input);
        if (half == lines / 2 && half > 0 && lines < LINES_MAX) {
            CHECK(input_open(path, &input, why) == STATUS_OK);
            if (input_seek(input, again, half, why) == STATUS_OK) CHECK(read_lines(input, lines, &again) >= half);
            CHECK(lines == half || again == end);
            input_close(input);
        }
    }
    close(file);
    return 0;
}
