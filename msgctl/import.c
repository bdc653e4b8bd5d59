/*
 * import: many sends under way from one input.
 *
 * The main thread reads, decodes and sends; the library's thread only hands back slots that are done. A line is
 * settled when it is acknowledged or refused for good; the tracker knows which, the checkpoint keeps that on disk.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/rpc/methods.h"
#include "common/runtime/posix/posix_env.h"
#include "msgctl/admin.h"
#include "msgctl/checkpoint.h"
#include "msgctl/import_report.h"
#include "msgctl/import_session.h"
#include "msgctl/input.h"
#include "msgctl/interrupt.h"
#include "msgctl/ndjson.h"
#include "msgctl/output.h"
#include "msgctl/progress.h"
#include "msgctl/transfer.h"
#include "proto/client.pb-c.h"

enum {
    SLOTS = 4096,
    BYTES_MAX = 32 << 20, /* of the lines under way */
    NAMED_MAX = 20,       /* broken and refused lines that are printed */
    RETRY_MS_MIN = 100,
    RETRY_MS_MAX = 2000,
    BURST_MS = 20,
};
static const uint64_t ms_ns = 1000000, save_every_ns = 1000000000, wait_ns = 50000000;

const struct cli_option import_options[] = {
    {"--format", "FORMAT", "ndjson, the only one"},
    {"--rate", "N", "at most N messages a second"},
    {"--retry-for", "TIME", "how long a message that cannot be stored is tried again (default 10m)"},
    {"--inflight", "N", "messages under way at a time (default 2048, at most 4096)"},
    {"--strict", NULL, "stop at the first line that is broken or refused"},
    {"--again", NULL, "forget what an earlier import of this file reached, and send everything"},
    {"--plan", NULL, "read and check the lines, and send nothing"},
    CLI_LEVEL_OPTION,
    CLI_OPTIONS_END,
};

struct slot {
    struct import *import;
    struct slot *next; /* in free, done or waiting */
    uint64_t line;
    struct buffer text; /* what the message points into */
    struct arena arena;
    struct trillium_message message;
    int status;
    unsigned tries;
    uint64_t first_failed_ns, due_ns;
};

struct import {
    struct cli *cli;
    struct trillium *trillium;
    struct input *input;
    struct import_session *session;
    enum trillium_level level;
    uint64_t rate, retry_for_ms, slots_max;
    bool is_strict, is_plan;
    struct tracker tracker;
    struct checkpoint checkpoint;
    struct checkpoint_counts counts, counts_before;
    int64_t completed_ms; /* by an earlier run, else 0 */
    struct progress progress;
    /* the main thread's */
    struct slot *slots, *free, *waiting; /* waiting: to be sent again, by due_ns */
    unsigned under_way, waiting_count;
    uint64_t bytes, now_ns, saved_ns, next_send_ns;
    unsigned named;
    bool at_end;   /* of the input */
    bool stopping; /* nothing new is begun */
    bool interrupted;
    enum exit_code failed; /* why it stops, when it does so early */
    int last_failure;      /* status of the newest one that is tried again */
    /* shared */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct slot *done;
};

/* ---- words ---- */

static void name_line(struct import *import, uint64_t line, const char *field, const char *problem)
{
    import->named++;
    if (import->named > NAMED_MAX) return;
    progress_clear(&import->progress);
    cli_say(import->cli, "line %llu: %s%s%s", (unsigned long long)line, field, field[0] ? " " : "", problem);
    if (import->named == NAMED_MAX) cli_say(import->cli, "further lines of that kind are counted, not named");
}

static void stop(struct import *import, enum exit_code code)
{
    if (import->failed == EXIT_DONE) import->failed = code;
    import->stopping = true;
}

static void broken(struct import *import, uint64_t line, const struct ndjson_error *error)
{
    import->counts.broken++;
    name_line(import, line, error->field, error->problem);
    if (import->is_strict)
        stop(import, EXIT_FAILED); /* not settled: the next import stops here again */
    else
        tracker_settle(&import->tracker, line);
}

/* ---- slots ---- */

static struct slot *take_slot(struct import *import)
{
    struct slot *slot = import->free;
    import->free = slot->next;
    return slot;
}

static void give_slot(struct import *import, struct slot *slot)
{
    import->bytes -= slot->text.size;
    buffer_clear(&slot->text);
    arena_reset(&slot->arena);
    slot->next = import->free;
    import->free = slot;
}

/* On the library's thread. */
static void sent(void *context, int status, uint64_t id)
{
    struct slot *slot = context;
    struct import *import = slot->import;
    (void)id;
    slot->status = status;
    pthread_mutex_lock(&import->lock);
    bool first = import->done == NULL;
    slot->next = import->done;
    import->done = slot;
    if (first) pthread_cond_signal(&import->changed);
    pthread_mutex_unlock(&import->lock);
}

static void send_slot(struct import *import, struct slot *slot)
{
    slot->message.import_session = import_session_id(import->session);
    import->under_way++;
    trillium_send_async(import->trillium, &slot->message, import->level, sent, slot);
}

/* Puts it among the waiting ones, soonest first. */
static void wait_again(struct import *import, struct slot *slot)
{
    uint64_t pause_ms = (uint64_t)RETRY_MS_MIN << (slot->tries < 5 ? slot->tries : 5);
    if (pause_ms > RETRY_MS_MAX) pause_ms = RETRY_MS_MAX;
    slot->tries++;
    slot->due_ns = import->now_ns + pause_ms * ms_ns;
    struct slot **at = &import->waiting;
    while (*at && (*at)->due_ns <= slot->due_ns)
        at = &(*at)->next;
    slot->next = *at;
    *at = slot;
    import->waiting_count++;
}

static bool is_for_good(int status)
{
    switch (trillium_class_of(status)) {
    case TRILLIUM_DONE:
    case TRILLIUM_REFUSED:
    case TRILLIUM_FINAL:
        return true;
    default:
        return status == (int)STATUS_ID_TAKEN;
    }
}

static void settle(struct import *import, struct slot *slot)
{
    enum trillium_class class = trillium_class_of(slot->status);
    bool stored = class == TRILLIUM_DONE || class == TRILLIUM_FINAL;
    if (stored || !import->is_strict) tracker_settle(&import->tracker, slot->line);
    if (class == TRILLIUM_DONE) {
        import->counts.stored++;
    } else if (class == TRILLIUM_FINAL) {
        import->counts.deleted++;
    } else {
        char problem[128];
        bool is_taken = slot->status == (int)STATUS_ID_TAKEN;
        import->counts.taken += is_taken;
        import->counts.refused += !is_taken;
        if (is_taken)
            snprintf(problem, sizeof problem, "already there: its id is stored with another content (ID_TAKEN)");
        else
            snprintf(problem, sizeof problem, "refused: %s: %s", trillium_status_name(slot->status),
                trillium_status_text(slot->status));
        name_line(import, slot->line, "", problem);
        if (import->is_strict) stop(import, EXIT_FAILED);
    }
    give_slot(import, slot);
}

static void finish_slot(struct import *import, struct slot *slot)
{
    import->under_way--;
    if (is_for_good(slot->status)) {
        settle(import, slot);
        return;
    }
    import->last_failure = slot->status;
    if (slot->first_failed_ns == 0) slot->first_failed_ns = import->now_ns;
    if (import->now_ns - slot->first_failed_ns >= import->retry_for_ms * ms_ns && !import->stopping) {
        progress_clear(&import->progress);
        cli_say(import->cli, "line %llu was tried for %llu s: %s: %s", (unsigned long long)slot->line,
            (unsigned long long)(import->retry_for_ms / 1000), trillium_status_name(slot->status),
            trillium_status_text(slot->status));
        stop(import, EXIT_UNREACHABLE);
    }
    if (import->stopping)
        give_slot(import, slot); /* not settled: the next import sends it */
    else
        wait_again(import, slot);
}

static void finish_done(struct import *import)
{
    pthread_mutex_lock(&import->lock);
    struct slot *done = import->done;
    import->done = NULL;
    pthread_mutex_unlock(&import->lock);
    while (done) {
        struct slot *next = done->next;
        finish_slot(import, done);
        done = next;
    }
}

static void send_waiting(struct import *import)
{
    while (import->waiting && (import->stopping || import->waiting->due_ns <= import->now_ns)) {
        struct slot *slot = import->waiting;
        import->waiting = slot->next;
        import->waiting_count--;
        if (import->stopping)
            give_slot(import, slot);
        else
            send_slot(import, slot);
    }
}

/* ---- lines ---- */

static void take_line(struct import *import, const struct input_line *line)
{
    struct ndjson_error error = {0};
    bool blank = true;
    if (!tracker_take(&import->tracker, line->number, line->end)) return;
    for (size_t i = 0; i < line->text.size && blank; i++)
        blank = line->text.data[i] == ' ' || line->text.data[i] == '\t';
    if (blank) {
        tracker_settle(&import->tracker, line->number);
        return;
    }
    struct slot *slot = take_slot(import);
    slot->line = line->number;
    slot->tries = 0;
    slot->first_failed_ns = 0;
    buffer_append(&slot->text, line->text.data, line->text.size);
    import->bytes += slot->text.size;
    if (ndjson_decode(buffer_bytes(&slot->text), &slot->arena, &slot->message, &error) != STATUS_OK) {
        give_slot(import, slot);
        broken(import, line->number, &error);
    } else if (import->is_plan) {
        slot->status = TRILLIUM_OK;
        settle(import, slot);
    } else {
        send_slot(import, slot);
    }
}

/* When the next line may be sent. A pause of the input is not caught up by a burst. */
static bool is_rate_due(struct import *import)
{
    if (import->rate == 0) return true;
    if (import->next_send_ns + BURST_MS * ms_ns < import->now_ns)
        import->next_send_ns = import->now_ns - BURST_MS * ms_ns;
    if (import->next_send_ns > import->now_ns) return false;
    import->next_send_ns += 1000000000 / import->rate;
    return true;
}

static bool may_read(const struct import *import)
{
    return !import->at_end && !import->stopping && import->under_way + import->waiting_count < import->slots_max &&
           import->bytes < BYTES_MAX && tracker_has_room(&import->tracker);
}

/* Reads and sends until something must be waited for; a bounded number, so that what is done is looked at. */
static void read_lines(struct import *import)
{
    for (unsigned i = 0; i < 256 && may_read(import) && is_rate_due(import); i++) {
        struct input_line line = {0};
        char why[INPUT_WHY_BYTES];
        enum status status = input_next(import->input, &line, why);
        if (status == STATUS_BUSY) break; /* a pipe; it waited a little */
        if (status == STATUS_OK) {
            take_line(import, &line);
        } else if (status == STATUS_TOO_BIG) {
            struct ndjson_error error = {.problem = "is longer than 1 MiB"};
            if (tracker_take(&import->tracker, line.number, line.end)) broken(import, line.number, &error);
        } else if (status == STATUS_NOT_FOUND) {
            import->at_end = true;
        } else {
            progress_clear(&import->progress);
            cli_say(import->cli, "%s", why);
            stop(import, EXIT_FAILED);
        }
    }
}

static void wait_for_done(struct import *import)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t pause = wait_ns;
    if (import->rate && import->next_send_ns > import->now_ns && import->next_send_ns - import->now_ns < pause)
        pause = import->next_send_ns - import->now_ns;
    until.tv_nsec += (long)pause;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&import->lock);
    if (!import->done) pthread_cond_timedwait(&import->changed, &import->lock, &until);
    pthread_mutex_unlock(&import->lock);
}

static bool is_complete(const struct import *import)
{
    return import->at_end && !import->stopping && import->under_way + import->waiting_count == 0;
}

static void save(struct import *import)
{
    struct checkpoint_state state = {.counts = import->counts};
    if (is_complete(import)) state.completed_ms = posix_wall_us(NULL) / 1000;
    import->saved_ns = import->now_ns;
    if (import->is_plan || checkpoint_save(&import->checkpoint, &import->tracker, &state) == STATUS_OK) return;
    progress_clear(&import->progress);
    cli_say(import->cli, "%s cannot be written; this import could not be resumed", import->checkpoint.path);
    checkpoint_close(&import->checkpoint);
}

static uint64_t settled(const struct checkpoint_counts *counts)
{
    return counts->stored + counts->deleted + counts->taken + counts->refused + counts->broken;
}

static void show(struct import *import)
{
    char say[96] = "";
    if (import->stopping)
        snprintf(say, sizeof say, "ending: %u under way", import->under_way);
    else if (import->waiting_count > 0)
        snprintf(
            say, sizeof say, "%u tried again: %s", import->waiting_count, trillium_status_name(import->last_failure));
    struct progress_state state = {.done = settled(&import->counts),
        .position = input_position(import->input),
        .size = input_size(import->input),
        .say = say[0] ? say : NULL};
    progress_show(&import->progress, &state, import->now_ns);
}

static void notice_interrupt(struct import *import)
{
    if (import->interrupted || !interrupt_asked()) return;
    import->interrupted = true;
    progress_clear(&import->progress);
    cli_say(import->cli, "ending: waiting for %u messages under way (Ctrl-C again ends at once)", import->under_way);
    stop(import, EXIT_FAILED);
}

static void work(struct import *import)
{
    for (;;) {
        import->now_ns = posix_mono_ns(NULL);
        finish_done(import);
        notice_interrupt(import);
        send_waiting(import);
        read_lines(import);
        if (import->under_way + import->waiting_count == 0 && (import->at_end || import->stopping)) break;
        if (import->now_ns - import->saved_ns >= save_every_ns) save(import);
        show(import);
        bool sending_on = may_read(import) && (import->rate == 0 || import->next_send_ns <= import->now_ns);
        if (!sending_on) wait_for_done(import);
    }
    progress_clear(&import->progress);
}

/* ---- beginning and end ---- */

static bool read_options(struct import *import)
{
    const struct cli *cli = import->cli;
    const char *format = cli_option(cli, "--format");
    import->retry_for_ms = 600000;
    import->slots_max = SLOTS / 2;
    if (format && strcmp(format, "ndjson") != 0) {
        cli_say(cli, "--format is ndjson, not '%s'", format);
        return false;
    }
    if (!cli_option_u64(cli, "--rate", 1000000000, &import->rate) ||
        !cli_option_duration(cli, "--retry-for", &import->retry_for_ms) || !cli_level(cli, &import->level) ||
        !cli_option_u64(cli, "--inflight", SLOTS, &import->slots_max))
        return false;
    if ((cli_has(cli, "--rate") && import->rate == 0) || import->slots_max == 0) {
        cli_say(cli, "--rate and --inflight are at least 1");
        return false;
    }
    import->is_strict = cli_has(cli, "--strict");
    import->is_plan = cli_has(cli, "--plan");
    return true;
}

/* Which cluster it is, when the settings do not say. */
static bool find_cluster(const struct import *import, struct uuid *out)
{
    static const Trillium__V1__RingCall call = TRILLIUM__V1__RING_CALL__INIT;
    *out = import->cli->settings.cluster;
    if (!uuid_is_zero(out)) return true;
    struct admin *admin = admin_open(import->cli);
    if (!admin) return false;
    struct admin_ask ask = {.target = ADMIN_ANY_ROUTER,
        .method = METHOD_RING,
        .call = &call.base,
        .answer_type = &trillium__v1__ring_answer__descriptor};
    admin_ask(admin, &ask, 1);
    const Trillium__V1__RingAnswer *answer = ask.answer;
    bool found = answer && answer->cluster_uuid.len == sizeof out->bytes;
    if (found) memcpy(out->bytes, answer->cluster_uuid.data, sizeof out->bytes);
    admin_close(admin);
    return found;
}

/* Goes on where an earlier import ended. */
static enum exit_code resume(struct import *import)
{
    struct digest digest;
    struct uuid cluster;
    char why[CHECKPOINT_WHY_BYTES];
    if (strcmp(import->cli->arguments[0], "-") == 0 || !input_digest(import->input, &digest)) {
        if (!import->is_plan) cli_say(import->cli, "this input cannot be read twice, so the import cannot be resumed");
        return EXIT_DONE;
    }
    if (!find_cluster(import, &cluster)) {
        cli_say(import->cli, "no router says which cluster this is; is it up?");
        return EXIT_UNREACHABLE;
    }
    enum status status = checkpoint_open(&import->checkpoint, &digest, &cluster, why);
    if (status == STATUS_CONFLICT) {
        cli_say(import->cli, "%s", why);
        return EXIT_REFUSED;
    }
    if (status != STATUS_OK) cli_say(import->cli, "%s; the import cannot be resumed", why);
    if (status != STATUS_OK || cli_has(import->cli, "--again")) return EXIT_DONE;
    struct checkpoint_state state;
    status = checkpoint_load(&import->checkpoint, &import->tracker, &state);
    if (status == STATUS_BAD_REQUEST)
        cli_say(import->cli, "%s cannot be understood; beginning anew, which doubles nothing", import->checkpoint.path);
    if (status != STATUS_OK) return EXIT_DONE;
    import->counts = import->counts_before = state.counts;
    import->completed_ms = state.completed_ms;
    if (import->completed_ms) return EXIT_DONE;
    char text[32];
    cli_say(import->cli, "going on after %s lines of an earlier import", output_count(settled(&import->counts), text));
    status = input_seek(import->input, import->tracker.base_offset, import->tracker.base_line, why);
    if (status != STATUS_OK) cli_say(import->cli, "%s", why);
    return status == STATUS_OK ? EXIT_DONE : EXIT_FAILED;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void begin_session(struct import *import)
{
    int status;
    import->session = import_session_begin(import->trillium, base_name(import->cli->arguments[0]), &status);
    if (trillium_class_of(status) != TRILLIUM_DONE)
        cli_say(import->cli, "no session of import yet (%s): messages older than the horizon would be refused",
            trillium_status_name(status));
}

static enum exit_code report(const struct import *import, uint64_t ms)
{
    const struct checkpoint_counts *counts = &import->counts;
    struct import_report report = {.counts = *counts,
        .before = import->counts_before,
        .ms = ms,
        .is_complete = import->completed_ms || is_complete(import),
        .is_plan = import->is_plan,
        .completed_ms = import->completed_ms};
    import_report_print(import->cli, &report);
    if (!report.is_complete && import->checkpoint.lock_fd >= 0)
        cli_say(import->cli, "the same command goes on from here");
    if (import->failed != EXIT_DONE) return import->failed;
    return counts->broken + counts->refused + counts->taken > 0 ? EXIT_FAILED : EXIT_DONE;
}

static void import_init(struct import *import, struct cli *cli)
{
    pthread_condattr_t attributes;
    *import = (struct import){.cli = cli, .checkpoint.lock_fd = -1};
    import->slots = mem_zalloc(SLOTS * sizeof *import->slots);
    for (unsigned i = 0; i < SLOTS; i++) {
        import->slots[i].import = import;
        import->slots[i].next = import->free;
        import->free = &import->slots[i];
    }
    tracker_init(&import->tracker);
    pthread_mutex_init(&import->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&import->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void import_fini(struct import *import)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        buffer_free(&import->slots[i].text);
        arena_free(&import->slots[i].arena);
    }
    mem_free(import->slots);
    tracker_fini(&import->tracker);
    checkpoint_close(&import->checkpoint);
    input_close(import->input);
    pthread_cond_destroy(&import->changed);
    pthread_mutex_destroy(&import->lock);
}

static enum exit_code transfer(struct import *import)
{
    if (!import->is_plan) {
        import->trillium = cli_connect(import->cli, true);
        if (!import->trillium) return EXIT_USAGE;
        begin_session(import);
    }
    interrupt_catch();
    progress_begin(&import->progress, "messages", posix_mono_ns(NULL));
    work(import);
    save(import);
    uint64_t ms = (posix_mono_ns(NULL) - import->progress.started_ns) / ms_ns;
    if (import->session) import_session_end(import->session);
    trillium_close(import->trillium);
    return report(import, ms);
}

enum exit_code import_run(struct cli *cli)
{
    struct import *import = mem_alloc(sizeof *import);
    char why[INPUT_WHY_BYTES];
    import_init(import, cli);
    enum exit_code code = read_options(import) ? EXIT_DONE : EXIT_USAGE;
    if (code == EXIT_DONE && input_open(cli->arguments[0], &import->input, why) != STATUS_OK) {
        cli_say(cli, "%s", why);
        code = EXIT_FAILED;
    }
    if (code == EXIT_DONE && !import->is_plan) code = resume(import);
    if (code == EXIT_DONE) code = import->completed_ms ? report(import, 0) : transfer(import);
    import_fini(import);
    mem_free(import);
    return code;
}
