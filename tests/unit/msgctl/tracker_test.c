#include <criterion/criterion.h>

#include "common/base/mem.h"
#include "common/base/prng.h"
#include "msgctl/tracker.h"

static struct tracker copy_of(const struct tracker *tracker)
{
    struct tracker copy;
    struct buffer text = {0};
    tracker_print(tracker, &text);
    tracker_init(&copy);
    cr_assert(tracker_parse(&copy, buffer_bytes(&text)) == STATUS_OK);
    buffer_free(&text);
    return copy;
}

Test(tracker, the_base_follows_the_oldest_open_line)
{
    struct tracker tracker;
    tracker_init(&tracker);
    for (uint64_t line = 1; line <= 4; line++)
        cr_assert(tracker_take(&tracker, line, line * 10));
    tracker_settle(&tracker, 2);
    tracker_settle(&tracker, 4);
    cr_expect(tracker.base_line == 0);
    tracker_settle(&tracker, 1);
    cr_expect(tracker.base_line == 2 && tracker.base_offset == 20);
    tracker_settle(&tracker, 3);
    cr_expect(tracker.base_line == 4 && tracker.base_offset == 40);
    tracker_fini(&tracker);
}

Test(tracker, a_later_run_takes_exactly_the_lines_that_were_not_settled)
{
    struct prng prng = prng_seeded(3);
    for (unsigned round = 0; round < 200; round++) {
        enum { LINES = 500 };
        bool settled[LINES + 1] = {false};
        struct tracker tracker;
        tracker_init(&tracker);
        /* Several runs, each stopped anywhere. */
        for (unsigned run = 0; run < 4; run++) {
            uint64_t stop = prng_below(&prng, LINES), line = tracker.base_line;
            uint64_t open[LINES];
            unsigned count = 0;
            while (line < stop) {
                line++;
                bool taken = tracker_take(&tracker, line, line);
                cr_assert(taken == !settled[line], "line %llu", (unsigned long long)line);
                if (taken) open[count++] = line;
                if (count == 0 || !prng_chance(&prng, 700000)) continue;
                unsigned which = (unsigned)prng_below(&prng, count);
                tracker_settle(&tracker, open[which]);
                settled[open[which]] = true;
                open[which] = open[--count];
            }
            struct tracker next = copy_of(&tracker);
            tracker_fini(&tracker);
            tracker = next;
        }
        for (uint64_t line = 1; line <= tracker.base_line; line++)
            cr_assert(settled[line]);
        tracker_fini(&tracker);
    }
}

Test(tracker, the_window_is_bounded)
{
    struct tracker tracker;
    tracker_init(&tracker);
    uint64_t line = 0;
    while (tracker_has_room(&tracker)) {
        line++;
        tracker_take(&tracker, line, line);
    }
    cr_expect(line == TRACKER_WINDOW);
    tracker_settle(&tracker, 1);
    cr_expect(tracker_has_room(&tracker));
    tracker_fini(&tracker);
}

Test(tracker, nonsense_is_no_checkpoint)
{
    static const char *const texts[] = {"", "done", "done 1 2", "done 1 2\nbeyond", "done 1 2\nbeyond 1-2\n",
        "done 1 2\nbeyond 5-4\n", "done 1 2\nbeyond 3-70000\n", "done 1 2\nbeyond 3-4 4-5\n", "done 1 2\nbeyond\n\n",
        "done 99999999999999999999999 2\nbeyond\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct tracker tracker;
        tracker_init(&tracker);
        cr_expect(tracker_parse(&tracker, bytes_text(texts[i])) == STATUS_BAD_REQUEST, "%s", texts[i]);
        tracker_fini(&tracker);
    }
}
