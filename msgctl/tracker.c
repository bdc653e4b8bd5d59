#include "msgctl/tracker.h"

#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"

static size_t place(uint64_t line)
{
    return (size_t)(line % TRACKER_WINDOW);
}

void tracker_init(struct tracker *tracker)
{
    *tracker = (struct tracker){0};
    tracker->ends = mem_zalloc(TRACKER_WINDOW * sizeof *tracker->ends);
    tracker->settled = mem_zalloc(TRACKER_WINDOW);
}

void tracker_fini(struct tracker *tracker)
{
    mem_free(tracker->ends);
    mem_free(tracker->settled);
}

static void advance(struct tracker *tracker)
{
    while (tracker->base_line < tracker->taken_line && tracker->settled[place(tracker->base_line + 1)]) {
        tracker->base_line++;
        tracker->settled[place(tracker->base_line)] = 0;
        tracker->base_offset = tracker->ends[place(tracker->base_line)];
    }
}

bool tracker_take(struct tracker *tracker, uint64_t line, uint64_t end)
{
    CHECK(line == tracker->taken_line + 1 && tracker_has_room(tracker));
    tracker->taken_line = line;
    tracker->ends[place(line)] = end;
    if (!tracker->settled[place(line)]) return true;
    advance(tracker);
    return false;
}

void tracker_settle(struct tracker *tracker, uint64_t line)
{
    CHECK(line > tracker->base_line && line <= tracker->taken_line && !tracker->settled[place(line)]);
    tracker->settled[place(line)] = 1;
    advance(tracker);
}

void tracker_print(const struct tracker *tracker, struct buffer *out)
{
    buffer_printf(out, "done %llu %llu\nbeyond", (unsigned long long)tracker->base_line,
        (unsigned long long)tracker->base_offset);
    /* Up to the window's end: lines settled by an earlier run may lie beyond what this one took. */
    uint64_t end = tracker->base_line + TRACKER_WINDOW;
    for (uint64_t line = tracker->base_line + 1; line < end; line++) {
        if (!tracker->settled[place(line)]) continue;
        uint64_t first = line;
        while (line + 1 < end && tracker->settled[place(line + 1)])
            line++;
        buffer_printf(out, " %llu-%llu", (unsigned long long)first, (unsigned long long)line);
    }
    buffer_append(out, "\n", 1);
}

static bool take_word(struct reader *reader, const char *word)
{
    struct bytes bytes = read_bytes(reader, strlen(word));
    return reader_ok(reader) && memcmp(bytes.data, word, bytes.size) == 0;
}

static uint64_t take_number(struct reader *reader)
{
    uint64_t number = 0;
    bool any = false;
    while (reader_left(reader) > 0 && *reader->at >= '0' && *reader->at <= '9') {
        if (number > (UINT64_MAX - 9) / 10) reader_fail(reader);
        number = number * 10 + (uint64_t)(read_u8(reader) - '0');
        any = true;
    }
    if (!any) reader_fail(reader);
    return number;
}

enum status tracker_parse(struct tracker *tracker, struct bytes text)
{
    struct reader reader = reader_of(text);
    if (!take_word(&reader, "done ")) return STATUS_BAD_REQUEST;
    uint64_t base = take_number(&reader);
    if (!take_word(&reader, " ")) return STATUS_BAD_REQUEST;
    uint64_t offset = take_number(&reader);
    if (!take_word(&reader, "\nbeyond")) return STATUS_BAD_REQUEST;
    uint64_t above = base;
    while (reader_left(&reader) > 1) {
        if (!take_word(&reader, " ")) return STATUS_BAD_REQUEST;
        uint64_t first = take_number(&reader);
        if (!take_word(&reader, "-")) return STATUS_BAD_REQUEST;
        uint64_t last = take_number(&reader);
        if (!reader_ok(&reader) || first <= above || last < first || last >= base + TRACKER_WINDOW)
            return STATUS_BAD_REQUEST;
        for (uint64_t line = first; line <= last; line++)
            tracker->settled[place(line)] = 1;
        above = last;
    }
    if (!take_word(&reader, "\n") || !reader_done(&reader)) return STATUS_BAD_REQUEST;
    tracker->base_line = tracker->taken_line = base;
    tracker->base_offset = offset;
    return STATUS_OK;
}
