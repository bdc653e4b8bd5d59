/*
 * tracker: which lines of an input are settled (acknowledged, or refused for good), while many are under way: a base,
 * before which all are, and a window behind it. Pure; one thread.
 *
 * As text it is a checkpoint: "done LINES OFFSET" and the settled lines beyond as ranges, so that a later run sends
 * none of them again.
 */
#ifndef TRILLIUM_MSGCTL_TRACKER_H
#define TRILLIUM_MSGCTL_TRACKER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/status.h"

enum { TRACKER_WINDOW = 1 << 16 };

struct tracker {
    uint64_t base_line, base_offset; /* lines 1..base_line are settled and end at base_offset */
    uint64_t taken_line;             /* the last one that was taken */
    uint64_t *ends;                  /* of the lines in the window */
    uint8_t *settled;
};

void tracker_init(struct tracker *tracker);
void tracker_fini(struct tracker *tracker);

/* True when the window has room for one more line. */
static inline bool tracker_has_room(const struct tracker *tracker)
{
    return tracker->taken_line - tracker->base_line < TRACKER_WINDOW;
}
/* The next line is under way; false when it is settled already (by an earlier run). There is room. */
bool tracker_take(struct tracker *tracker, uint64_t line, uint64_t end);
void tracker_settle(struct tracker *tracker, uint64_t line);

void tracker_print(const struct tracker *tracker, struct buffer *out);
/* Into an initialised tracker that took nothing. BAD_REQUEST: not what tracker_print writes. */
enum status tracker_parse(struct tracker *tracker, struct bytes text) MUST_CHECK;

#endif
