#include "msgctl/import_report.h"

#include <stdio.h>

#include "msgctl/iso_time.h"
#include "msgctl/output.h"

static void append_count(struct buffer *out, uint64_t count, const char *what)
{
    char text[32];
    if (count) buffer_printf(out, "; %s %s", output_count(count, text), what);
}

void import_report_text(const struct import_report *report, struct buffer *out)
{
    const struct checkpoint_counts *counts = &report->counts;
    uint64_t stored = counts->stored - report->before.stored;
    char a[32], b[32], c[32], date[ISO_TIME_BYTES] = "an unknown day";
    if (report->completed_ms) {
        iso_time_print(report->completed_ms, date);
        buffer_printf(out, "already imported %s messages on %s", output_count(counts->stored, a), date);
    } else {
        buffer_printf(out, "%s %s messages in %s (%s/s)", report->is_plan ? "checked" : "stored",
            output_count(stored, a), output_time(report->ms, b),
            output_count(report->ms ? stored * 1000 / report->ms : 0, c));
        if (report->before.stored) buffer_printf(out, ", %s earlier", output_count(report->before.stored, a));
    }
    append_count(out, counts->deleted, "were deleted for ever before");
    append_count(out, counts->taken, "were there already with another content");
    append_count(out, counts->refused, "refused");
    append_count(out, counts->broken, "broken lines");
    if (report->completed_ms) buffer_printf(out, "; --again to send again");
}

static void print_json(const struct import_report *report)
{
    const struct checkpoint_counts *counts = &report->counts;
    json_t *json = json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "complete", report->is_complete, "stored",
        (json_int_t)(counts->stored - report->before.stored), "stored_before", (json_int_t)report->before.stored,
        "deleted", (json_int_t)counts->deleted, "taken", (json_int_t)counts->taken, "refused",
        (json_int_t)counts->refused, "broken", (json_int_t)counts->broken, "milliseconds", (json_int_t)report->ms);
    char date[ISO_TIME_BYTES];
    if (report->completed_ms && iso_time_print(report->completed_ms, date))
        json_object_set_new(json, "completed_before", json_string(date));
    output_json(json);
}

void import_report_print(const struct cli *cli, const struct import_report *report)
{
    if (cli->is_json) {
        print_json(report);
        return;
    }
    struct buffer text = {0};
    import_report_text(report, &text);
    printf("%.*s\n", (int)text.size, (const char *)text.data);
    buffer_free(&text);
}
