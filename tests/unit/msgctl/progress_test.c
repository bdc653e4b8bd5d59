#include "msgctl/progress.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define SECOND ((uint64_t)1000000000)

static struct progress progress;
static char text[512];

/* A transfer of 1,000 messages and 100,000 bytes a second, of 1,000,000 bytes. */
static const char *after(unsigned seconds, unsigned columns, const char *say)
{
    struct buffer out = {0};
    progress = (struct progress){.what = "messages", .is_terminal = true, .columns = columns};
    for (unsigned i = 0; i <= seconds; i++) {
        struct progress_state state = {
            .done = i * 1000, .position = i * 100000, .size = 1000000, .say = i == seconds ? say : NULL};
        buffer_clear(&out);
        progress_text(&progress, &state, i * SECOND, &out);
    }
    snprintf(text, sizeof text, "%.*s", (int)out.size, (const char *)out.data);
    buffer_free(&out);
    return text;
}

Test(progress, it_tells_share_count_rate_and_time_left)
{
    cr_expect_str_eq(after(4, 0, NULL), "[#########---------------]  40 %  4,000 messages  1,000/s  6.0 s left");
    cr_expect_str_eq(after(10, 0, NULL), "[########################] 100 %  10,000 messages  1,000/s");
    cr_expect_str_eq(after(0, 0, NULL), "[------------------------]   0 %  0 messages  0/s");
    cr_expect_str_eq(after(4, 200, "17 tried again: BUSY"),
        "[#########---------------]  40 %  4,000 messages  1,000/s  6.0 s left  (17 tried again: BUSY)");
}

Test(progress, the_rate_is_that_of_the_last_seconds)
{
    struct buffer out = {0};
    progress = (struct progress){.what = "messages", .is_terminal = true};
    for (uint64_t i = 0; i <= 60; i++) {
        uint64_t done = i <= 30 ? i * 1000 : 30000 + (i - 30) * 10; /* it became slow half-way */
        struct progress_state state = {.done = done, .position = done, .size = 60000};
        buffer_clear(&out);
        progress_text(&progress, &state, i * SECOND, &out);
    }
    buffer_append(&out, "", 1);
    cr_expect(strstr((const char *)out.data, "  10/s  49 min "), "%s", out.data);
    buffer_free(&out);
}

Test(progress, an_input_of_unknown_size_has_no_bar)
{
    struct buffer out = {0};
    struct progress_state state = {.done = 5};
    progress = (struct progress){.what = "messages", .is_terminal = true, .columns = 80};
    progress_text(&progress, &state, 0, &out);
    buffer_append(&out, "", 1);
    cr_expect_str_eq((const char *)out.data, "5 messages  0/s");
    buffer_free(&out);
}

Test(progress, a_line_is_never_as_wide_as_the_terminal)
{
    for (unsigned columns = 1; columns <= 120; columns++)
        cr_expect_lt(strlen(after(4, columns, "17 tried again: BUSY")), columns, "%u: %s", columns, text);
}

Test(progress, what_is_less_important_goes_first)
{
    cr_expect_str_eq(after(4, 60, NULL), "[#####---------]  40 %  4,000 messages  1,000/s  6.0 s left");
    cr_expect_str_eq(after(4, 50, NULL), " 40 %  4,000 messages  1,000/s  6.0 s left");
    cr_expect_str_eq(
        after(4, 60, "17 tried again: BUSY"), "[#####---------]  40 %  4,000 messages  1,000/s  6.0 s left");
    cr_expect_str_eq(after(4, 45, "BUSY"), " 40 %  4,000 messages  1,000/s  6.0 s left");
    cr_expect_str_eq(after(4, 35, NULL), " 40 %  4,000 messages  1,000/s");
    cr_expect_str_eq(after(4, 25, NULL), " 40 %  4,000 messages");
    cr_expect_str_eq(after(4, 10, NULL), " 40 %  ");
    cr_expect_str_eq(after(4, 5, NULL), "");
}
