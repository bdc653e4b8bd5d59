#include "msgctl/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "msgctl/output.h"

enum { BAR_WIDTH = 24 };
static const uint64_t second_ns = 1000000000, bar_every_ns = 200000000, line_every_ns = 10000000000;

void progress_begin(struct progress *progress, const char *what, uint64_t now_ns)
{
    *progress = (struct progress){
        .what = what, .is_terminal = isatty(STDERR_FILENO) == 1, .started_ns = now_ns, .shown_ns = now_ns};
}

static void sample(struct progress *progress, const struct progress_state *state, uint64_t now_ns)
{
    const struct progress_sample *newest =
        &progress->samples[(progress->samples_at + PROGRESS_SAMPLES - 1) % PROGRESS_SAMPLES];
    if (progress->samples_count > 0 && now_ns - newest->at_ns < second_ns) return;
    progress->samples[progress->samples_at] = (struct progress_sample){now_ns, state->done, state->position};
    progress->samples_at = (progress->samples_at + 1) % PROGRESS_SAMPLES;
    if (progress->samples_count < PROGRESS_SAMPLES) progress->samples_count++;
}

void progress_text(struct progress *progress, const struct progress_state *state, uint64_t now_ns, struct buffer *out)
{
    char text[32];
    sample(progress, state, now_ns);
    const struct progress_sample *oldest =
        &progress->samples[(progress->samples_at + PROGRESS_SAMPLES - progress->samples_count) % PROGRESS_SAMPLES];
    double seconds = (double)(now_ns - oldest->at_ns) / 1e9;
    double rate = seconds > 0 ? (double)(state->done - oldest->done) / seconds : 0;
    double bytes_rate = seconds > 0 ? (double)(state->position - oldest->position) / seconds : 0;
    if (state->size > 0) {
        double share = (double)state->position / (double)state->size;
        if (share > 1) share = 1;
        if (progress->is_terminal) {
            unsigned full = (unsigned)(share * BAR_WIDTH);
            buffer_append(out, "[", 1);
            for (unsigned i = 0; i < BAR_WIDTH; i++)
                buffer_append(out, i < full ? "#" : "-", 1);
            buffer_append(out, "] ", 2);
        }
        buffer_printf(out, "%3.0f %%  ", share * 100);
    }
    buffer_printf(out, "%s %s  ", output_count(state->done, text), progress->what);
    buffer_printf(out, "%s/s", output_count((uint64_t)rate, text));
    if (state->size > state->position && bytes_rate > 0)
        buffer_printf(out, "  %s left",
            output_time((uint64_t)((double)(state->size - state->position) / bytes_rate * 1000), text));
    if (state->say) buffer_printf(out, "  (%s)", state->say);
}

void progress_show(struct progress *progress, const struct progress_state *state, uint64_t now_ns)
{
    if (now_ns - progress->shown_ns < (progress->is_terminal ? bar_every_ns : line_every_ns)) {
        if (progress->samples_count == 0 || !progress->is_terminal) sample(progress, state, now_ns);
        return;
    }
    progress->shown_ns = now_ns;
    struct buffer text = {0};
    progress_text(progress, state, now_ns, &text);
    fprintf(stderr, progress->is_terminal ? "\r%.*s\x1b[K" : "%.*s\n", (int)text.size, (const char *)text.data);
    fflush(stderr);
    buffer_free(&text);
}

void progress_clear(struct progress *progress)
{
    if (!progress->is_terminal) return;
    fputs("\r\x1b[K", stderr);
    fflush(stderr);
}
