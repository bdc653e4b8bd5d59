/*
 * progress: how far a long command is, on standard error: a bar with rate and time left on a terminal, one line every
 * 10 s otherwise. A line never is longer than the terminal is wide: what would wrap could not be overwritten. One
 * thread.
 */
#ifndef TRILLIUM_MSGCTL_PROGRESS_H
#define TRILLIUM_MSGCTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"

enum { PROGRESS_SAMPLES = 16 };

struct progress {
    const char *what; /* "messages" */
    bool is_terminal;
    unsigned columns; /* of the terminal; 0: not known, so any */
    uint64_t started_ns, shown_ns;
    unsigned samples_count, samples_at;
    struct progress_sample {
        uint64_t at_ns, done, position;
    } samples[PROGRESS_SAMPLES]; /* about one a second, for the rate of now */
};

void progress_begin(struct progress *progress, const char *what, uint64_t now_ns);
/* done: things so far; position of size bytes (size 0: not known). Shows when it is time; say may be NULL, or a word or
   two on what holds it up. */
struct progress_state {
    uint64_t done, position, size;
    const char *say;
};
void progress_show(struct progress *progress, const struct progress_state *state, uint64_t now_ns);
/* Clears the bar, so that a message can be printed; it comes back with the next show. */
void progress_clear(struct progress *progress);

/* The text that is shown, without line ends: what is less important is left out where columns are few. Pure but for the
   samples. */
void progress_text(struct progress *progress, const struct progress_state *state, uint64_t now_ns, struct buffer *out);

#endif
