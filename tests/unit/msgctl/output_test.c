#include <criterion/criterion.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "msgctl/output.h"
#include "msgctl/progress.h"

static void assert_escaped(const char *text, const char *wanted)
{
    struct buffer out = {0};
    output_escape(&out, bytes_text(text));
    buffer_append(&out, "", 1);
    cr_expect_str_eq((char *)out.data, wanted);
    buffer_free(&out);
}

Test(output, nothing_moves_the_cursor_or_turns_the_text_round)
{
    assert_escaped("plain \xc3\xa9 \xf0\x9f\x98\x80", "plain \xc3\xa9 \xf0\x9f\x98\x80");
    assert_escaped("a\nb\tc\rd", "a\\nb\\tc\\x0dd");
    assert_escaped("\x1b[31mred\x07\x7f", "\\x1b[31mred\\x07\\x7f");
    assert_escaped("\xc2\x9b"
                   "1m",
        "\\x9b1m");
    assert_escaped("\xe2\x80\xae"
                   "abc\xe2\x81\xa6",
        "\\u202eabc\\u2066");
    assert_escaped("\xff\xc3", "\\xff\\xc3");
}

Test(output, columns_are_as_wide_as_they_look)
{
    char *text;
    size_t size;
    setlocale(LC_CTYPE, "C.UTF-8");
    FILE *file = open_memstream(&text, &size);
    struct output_table table = {.columns = 2};
    output_cells(&table, "A", "B", "\xe6\x97\xa5\xe6\x9c\xac", "1", "xyz", "2", NULL);
    output_table(&table, file);
    fclose(file);
    cr_expect_str_eq(text, "A     B\n\xe6\x97\xa5\xe6\x9c\xac  1\nxyz   2\n");
    free(text);
}

Test(output, numbers_read_well)
{
    char text[32];
    cr_expect_str_eq(output_count(0, text), "0");
    cr_expect_str_eq(output_count(208080, text), "208,080");
    cr_expect_str_eq(output_count(UINT64_MAX, text), "18,446,744,073,709,551,615");
    cr_expect_str_eq(output_bytes(1023, text), "1023 B");
    cr_expect_str_eq(output_bytes(1536, text), "1.5 KiB");
    cr_expect_str_eq(output_time(61000, text), "1 min 1 s");
    cr_expect_str_eq(output_time(90061000, text), "1 d 1 h");
}

Test(progress, rate_and_time_left_follow_the_last_seconds)
{
    struct progress progress = {.what = "messages"};
    struct buffer out = {0};
    for (uint64_t second = 0; second <= 10; second++) {
        struct progress_state state = {.done = second * 1000, .position = second * 50, .size = 1000};
        buffer_clear(&out);
        progress_text(&progress, &state, second * 1000000000 + 1, &out);
    }
    buffer_append(&out, "", 1);
    cr_expect_str_eq((char *)out.data, " 50 %  10,000 messages  1,000/s  10 s left");
    buffer_free(&out);
}
