#include "msgctl/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "msgctl/output.h"

enum { BAR_WIDTH = 24, BAR_WIDTH_MIN = 8, BAR_FRAME = 3, PIECES = 4, PIECE_BYTES = 128 };
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

/* How much is done and how fast, in pieces, the most important first; as many of them as fit. */
static void append_words(const struct progress *progress, const struct progress_state *state, uint64_t now_ns,
    size_t room, struct buffer *out)
{
    const struct progress_sample *oldest =
        &progress->samples[(progress->samples_at + PROGRESS_SAMPLES - progress->samples_count) % PROGRESS_SAMPLES];
    double seconds = (double)(now_ns - oldest->at_ns) / 1e9;
    double rate = seconds > 0 ? (double)(state->done - oldest->done) / seconds : 0;
    double bytes_rate = seconds > 0 ? (double)(state->position - oldest->position) / seconds : 0;
    char text[32], pieces[PIECES][PIECE_BYTES] = {{0}};
    snprintf(pieces[0], PIECE_BYTES, "%s %s", output_count(state->done, text), progress->what);
    snprintf(pieces[1], PIECE_BYTES, "  %s/s", output_count((uint64_t)rate, text));
    if (state->size > state->position && bytes_rate > 0)
        snprintf(pieces[2], PIECE_BYTES, "  %s left",
            output_time((uint64_t)((double)(state->size - state->position) / bytes_rate * 1000), text));
    if (state->say) snprintf(pieces[3], PIECE_BYTES, "  (%s)", state->say);
    for (unsigned i = 0; i < PIECES; i++) {
        size_t size = strlen(pieces[i]);
        if (size > room) return;
        buffer_append(out, pieces[i], size);
        room -= size;
    }
}

static void append_bar(double share, size_t width, struct buffer *out)
{
    size_t full = (size_t)(share * (double)width);
    buffer_append(out, "[", 1);
    for (size_t i = 0; i < width; i++)
        buffer_append(out, i < full ? "#" : "-", 1);
    buffer_append(out, "] ", 2);
}

void progress_text(struct progress *progress, const struct progress_state *state, uint64_t now_ns, struct buffer *out)
{
    char percent[16] = "";
    double share = state->size > 0 ? (double)state->position / (double)state->size : 0;
    if (share > 1) share = 1;
    sample(progress, state, now_ns);
    /* The last column stays free: some terminals wrap when it is written. */
    size_t room = progress->is_terminal && progress->columns ? progress->columns - 1 : SIZE_MAX;
    if (state->size > 0) snprintf(percent, sizeof percent, "%3.0f %%  ", share * 100);
    size_t head = strlen(percent);
    if (head > room) return;
    struct buffer words = {0};
    append_words(progress, state, now_ns, room - head, &words);
    size_t left = room - head - words.size;
    if (state->size > 0 && progress->is_terminal && left >= BAR_WIDTH_MIN + BAR_FRAME)
        append_bar(share, left < BAR_WIDTH + BAR_FRAME ? left - BAR_FRAME : BAR_WIDTH, out);
    buffer_append(out, percent, head);
    buffer_append(out, words.data, words.size);
    buffer_free(&words);
}

/* Asked each time: windows change. */
static unsigned terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

void progress_show(struct progress *progress, const struct progress_state *state, uint64_t now_ns)
{
    if (now_ns - progress->shown_ns < (progress->is_terminal ? bar_every_ns : line_every_ns)) {
        if (progress->samples_count == 0 || !progress->is_terminal) sample(progress, state, now_ns);
        return;
    }
    progress->shown_ns = now_ns;
    if (progress->is_terminal) progress->columns = terminal_columns();
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
