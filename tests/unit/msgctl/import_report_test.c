#include "msgctl/import_report.h"

#include <criterion/criterion.h>
#include <stdio.h>

static const char *text_of(const struct import_report *report)
{
    static char text[512];
    struct buffer out = {0};
    import_report_text(report, &out);
    snprintf(text, sizeof text, "%.*s", (int)out.size, (const char *)out.data);
    buffer_free(&out);
    return text;
}

Test(import_report, an_import_that_was_complete_says_so_and_how_to_send_again)
{
    struct import_report report = {.counts = {.stored = 208080}, .before = {.stored = 208080}, .is_complete = true};
    report.completed_ms = 1700000000000;
    cr_assert_str_eq(
        text_of(&report), "already imported 208,080 messages on 2023-11-14T22:13:20.000Z; --again to send again");
}

Test(import_report, what_was_not_stored_is_told_by_its_reason)
{
    struct import_report report = {
        .counts = {.stored = 100, .deleted = 1, .taken = 2, .refused = 3, .broken = 4}, .ms = 10000};
    report.before.stored = 40;
    cr_assert_str_eq(text_of(&report), "stored 60 messages in 10 s (6/s), 40 earlier; 1 were deleted for ever before; "
                                       "2 were there already with another content; 3 refused; 4 broken lines");
}
