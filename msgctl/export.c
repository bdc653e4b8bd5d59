/*
 * export: all messages of a channel or of all channels, in order, on standard output.
 *
 * Channels are read ahead: a ring of jobs, one a channel, each fetching pages into a buffer; the main thread writes
 * the first job's buffer out and moves on when that channel is done. Callbacks on the library's thread encode a page
 * and ask for the next one, until the job's buffer is full.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/limits.h"
#include "common/base/mem.h"
#include "common/runtime/posix/posix_env.h"
#include "msgctl/interrupt.h"
#include "msgctl/ndjson.h"
#include "msgctl/output.h"
#include "msgctl/progress.h"
#include "msgctl/transfer.h"

enum { JOBS = 64, JOB_BYTES = 512 << 10, RETRY_MS = 200, WAIT_MS = 100 };
static const uint64_t ms_ns = 1000000;

const struct cli_option export_options[] = {
    {"--format", "FORMAT", "ndjson, the only one"},
    {"--retry-for", "TIME", "how long a page that cannot be read is tried again (default 1m)"},
    CLI_LEVEL_OPTION,
    CLI_OPTIONS_END,
};

enum job_state {
    JOB_FETCHING, /* a page is asked for */
    JOB_FULL,     /* its buffer must be written out first */
    JOB_FAILED,   /* tried again by the main thread */
    JOB_DONE,
};

struct job {
    struct export *export;
    enum job_state state;
    struct trillium_query query;
    struct buffer lines;
    uint64_t messages; /* in lines */
    int status;
    uint64_t failed_ns; /* when it began to fail; 0: it does not */
};

struct export
{
    struct cli *cli;
    struct trillium *trillium;
    enum trillium_level level;
    uint64_t retry_for_ms;
    struct progress progress;
    uint64_t messages, channels;
    /* channels yet to come */
    bool all_known;
    struct trillium_cursor cursor;
    struct trillium_channels_page page;
    size_t page_at;
    unsigned first, count; /* of the ring */
    pthread_mutex_t lock;  /* of the jobs */
    pthread_cond_t changed;
    struct job jobs[JOBS];
};

static void listed(void *context, int status, const struct trillium_page *page);

/* The job is FETCHING. */
static void fetch(struct job *job)
{
    trillium_list_async(job->export->trillium, &job->query, listed, job);
}

/* On the library's thread. */
static void listed(void *context, int status, const struct trillium_page *page)
{
    struct job *job = context;
    struct export *export = job->export;
    bool goes_on = false;
    pthread_mutex_lock(&export->lock);
    if (trillium_class_of(status) != TRILLIUM_DONE) {
        job->state = JOB_FAILED;
        job->status = status;
    } else {
        job->failed_ns = 0;
        for (size_t i = 0; i < page->count; i++)
            ndjson_encode(&page->messages[i], &job->lines);
        job->messages += page->count;
        if (page->count > 0) {
            job->query.bound = TRILLIUM_AFTER;
            job->query.message_id = page->messages[page->count - 1].message_id;
        }
        goes_on = page->more && page->count > 0;
        if (!goes_on) job->state = JOB_DONE;
        if (goes_on && job->lines.size >= JOB_BYTES) job->state = JOB_FULL;
        goes_on = job->state == JOB_FETCHING;
    }
    pthread_cond_signal(&export->changed);
    pthread_mutex_unlock(&export->lock);
    if (goes_on) fetch(job);
}

static void begin_job(struct export *export, uint64_t channel)
{
    struct job *job = &export->jobs[(export->first + export->count++) % JOBS];
    buffer_clear(&job->lines);
    job->export = export;
    job->messages = 0;
    job->failed_ns = 0;
    job->state = JOB_FETCHING;
    job->query = (struct trillium_query){.channel_id = channel,
        .bound = TRILLIUM_OLDEST,
        .limit = PAGE_ROWS_MAX,
        .oldest_first = true,
        .level = export->level};
    fetch(job);
}

/* The next page of channels, tried again like everything else. */
static int next_channels(struct export *export)
{
    uint64_t until = posix_mono_ns(NULL) + export->retry_for_ms * ms_ns;
    int status;
    do
        status = trillium_channels(export->trillium, &export->cursor, export->level, &export->page);
    while (trillium_class_of(status) != TRILLIUM_DONE && trillium_class_of(status) != TRILLIUM_REFUSED &&
           posix_mono_ns(NULL) < until && !interrupt_asked());
    export->page_at = 0;
    if (trillium_class_of(status) == TRILLIUM_DONE && !export->page.more) export->all_known = true;
    return status;
}

/* Fills the ring with further channels. */
static int begin_jobs(struct export *export)
{
    while (export->count < JOBS) {
        if (export->page_at < export->page.count) {
            begin_job(export, export->page.channels[export->page_at++].channel_id);
            continue;
        }
        if (export->all_known) break;
        int status = next_channels(export);
        if (trillium_class_of(status) != TRILLIUM_DONE) return status;
    }
    return TRILLIUM_OK;
}

static bool write_out(struct bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t done = write(STDOUT_FILENO, bytes.data, bytes.size);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        bytes.data += done;
        bytes.size -= (size_t)done;
    }
    return true;
}

static void wait_a_little(struct export *export, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)ms * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&export->changed, &export->lock, &until);
}

/* Sends failed reads again. False when one has failed for too long, or is refused. */
static bool retry_failed(struct export *export, uint64_t now_ns)
{
    for (unsigned i = 0; i < export->count; i++) {
        struct job *job = &export->jobs[(export->first + i) % JOBS];
        if (job->state != JOB_FAILED) continue;
        if (job->failed_ns == 0) job->failed_ns = now_ns;
        bool refused = trillium_class_of(job->status) == TRILLIUM_REFUSED;
        if (refused || now_ns - job->failed_ns >= export->retry_for_ms * ms_ns) {
            cli_say(export->cli, "channel %llu cannot be read: %s: %s", (unsigned long long)job->query.channel_id,
                trillium_status_name(job->status), trillium_status_text(job->status));
            return false;
        }
        if (now_ns - job->failed_ns < RETRY_MS * ms_ns) continue;
        job->state = JOB_FETCHING;
        fetch(job);
    }
    return true;
}

/* Writes out what the first job has; waits when it has nothing. */
static enum exit_code serve_first(struct export *export, struct buffer *spare)
{
    struct job *job = &export->jobs[export->first];
    pthread_mutex_lock(&export->lock);
    uint64_t now_ns = posix_mono_ns(NULL);
    bool ok = retry_failed(export, now_ns);
    if (ok && job->lines.size == 0 && job->state != JOB_DONE) wait_a_little(export, WAIT_MS);
    struct buffer lines = job->lines;
    uint64_t messages = job->messages;
    job->lines = *spare;
    job->messages = 0;
    enum job_state state = job->state;
    bool goes_on = state == JOB_FULL;
    if (goes_on) job->state = JOB_FETCHING;
    pthread_mutex_unlock(&export->lock);
    if (goes_on) fetch(job);
    bool written = write_out(buffer_bytes(&lines));
    if (!written) cli_say(export->cli, "standard output cannot be written: %s", strerror(errno));
    buffer_clear(&lines);
    *spare = lines;
    export->messages += messages;
    if (state == JOB_DONE) {
        export->first = (export->first + 1) % JOBS;
        export->count--;
        export->channels++;
    }
    if (!written) return EXIT_FAILED;
    return ok ? EXIT_DONE : cli_exit_of(TRILLIUM_UNAVAILABLE);
}

static void show(struct export *export)
{
    struct progress_state state = {.done = export->messages};
    progress_show(&export->progress, &state, posix_mono_ns(NULL));
}

static enum exit_code work(struct export *export)
{
    struct buffer spare = {0};
    enum exit_code code = EXIT_DONE;
    while (code == EXIT_DONE && !interrupt_asked()) {
        if (export->count < JOBS / 2) {
            int status = begin_jobs(export);
            code = cli_outcome_read(export->cli, status, "the channels cannot be listed");
            if (code != EXIT_DONE) break;
        }
        if (export->count == 0) break;
        code = serve_first(export, &spare);
        show(export);
    }
    progress_clear(&export->progress);
    buffer_free(&spare);
    if (interrupt_asked()) cli_say(export->cli, "interrupted: the output is not whole");
    return interrupt_asked() ? EXIT_FAILED : code;
}

static bool read_options(struct export *export)
{
    const struct cli *cli = export->cli;
    const char *format = cli_option(cli, "--format");
    uint64_t channel;
    export->retry_for_ms = 60000;
    if (format && strcmp(format, "ndjson") != 0) {
        cli_say(cli, "--format is ndjson, not '%s'", format);
        return false;
    }
    if (!cli_level(cli, &export->level) || !cli_option_duration(cli, "--retry-for", &export->retry_for_ms))
        return false;
    return cli->arguments_count == 0 || cli_u64(cli, "CHANNEL", cli->arguments[0], &channel);
}

static enum exit_code run(struct export *export)
{
    uint64_t channel;
    export->trillium = cli_connect(export->cli, true);
    if (!export->trillium) return EXIT_USAGE;
    interrupt_catch();
    progress_begin(&export->progress, "messages", posix_mono_ns(NULL));
    if (export->cli->arguments_count > 0 && cli_u64(export->cli, "CHANNEL", export->cli->arguments[0], &channel)) {
        export->all_known = true;
        begin_job(export, channel);
    }
    enum exit_code code = work(export);
    trillium_close(export->trillium); /* no callback comes any more */
    return code;
}

enum exit_code export_run(struct cli *cli)
{
    struct export *export = mem_zalloc(sizeof *export);
    pthread_condattr_t attributes;
    export->cli = cli;
    pthread_mutex_init(&export->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&export->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    enum exit_code code = read_options(export) ? run(export) : EXIT_USAGE;
    for (unsigned i = 0; i < JOBS; i++)
        buffer_free(&export->jobs[i].lines);
    pthread_cond_destroy(&export->changed);
    pthread_mutex_destroy(&export->lock);
    mem_free(export);
    return code;
}
