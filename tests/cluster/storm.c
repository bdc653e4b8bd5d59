/*
 * storm: writers and readers that go on until SIGTERM, and the history of all they did and saw. Every thread is a
 * session of its own; writers edit and delete only what they created themselves, so the order of a message's edits is
 * known. The first word of a content says which version it is; a message whose edited_at does not agree with it is
 * written to the history as a body that nobody wrote.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/prng.h"
#include "tests/checker/history.h"
#include "tests/cluster/client.h"

enum { THREADS_MAX = 64, RECENT = 256, CONTENT_MAX = 640, PAGE_MAX = 50, BODY_MIXED = 0xbad };

struct recent {
    uint64_t channel, id;
    unsigned version;
    bool is_deleted;
};

struct storm {
    const struct client_options *options;
    struct trillium *trillium;
    pthread_mutex_t lock; /* all below */
    struct history history;
    FILE *failures, *progress;
    uint64_t done, failed;
    struct recent seen[RECENT]; /* what readers look for */
    size_t seen_count;
};

struct worker {
    struct storm *storm;
    uint32_t number;
    struct prng prng;
    struct recent own[RECENT];
    size_t own_count;
    uint64_t serial;
};

static uint8_t outcome_of(int status)
{
    if (strcmp(trillium_status_name(status), "SUPERSEDED") == 0) return HISTORY_SUPERSEDED;
    switch (trillium_class_of(status)) {
    case TRILLIUM_DONE:
        return HISTORY_OK;
    case TRILLIUM_FINAL:
        return HISTORY_DELETED;
    case TRILLIUM_REFUSED:
    case TRILLIUM_RETRY:
        return HISTORY_REFUSED;
    default:
        return HISTORY_UNKNOWN;
    }
}

/* Writes one call down: to the history, and to the failures when it was not done. */
static void record(
    struct worker *worker, struct history_op op, int status, const struct history_row *rows, size_t count)
{
    struct storm *storm = worker->storm;
    op.ret = client_now_us();
    op.client = op.session = worker->number;
    op.level = (uint8_t)storm->options->level;
    op.outcome = outcome_of(status);
    bool is_failed = op.outcome == HISTORY_REFUSED || op.outcome == HISTORY_UNKNOWN;
    pthread_mutex_lock(&storm->lock);
    if (is_failed) {
        storm->failed++;
        if (storm->failures)
            fprintf(storm->failures, "%" PRIu64 " %" PRIu64 " %s %s %" PRIu64 " %" PRIu64 "\n", op.invoke, op.ret,
                history_kind_name(op.kind), trillium_status_name(status), op.channel, op.id);
    } else if (++storm->done % PROGRESS_OPS == 0 && storm->progress) {
        fputs(".\n", storm->progress);
    }
    history_add(&storm->history, &op, rows, (uint32_t)count);
    pthread_mutex_unlock(&storm->lock);
}

/* ---- writing ---- */

static size_t make_content(struct worker *worker, char *content, unsigned version)
{
    int size = snprintf(content, CONTENT_MAX, "%s %u.%" PRIu64 ".%u ", version ? "edited" : "written", worker->number,
        worker->serial++, version);
    size_t more = prng_below(&worker->prng, prng_chance(&worker->prng, 50000) ? 500 : 90);
    for (size_t i = 0; i < more; i++)
        content[size++] = (char)prng_between(&worker->prng, ' ', '~');
    return (size_t)size;
}

static void write_create(struct worker *worker)
{
    struct storm *storm = worker->storm;
    char content[CONTENT_MAX];
    struct trillium_message message = {
        .channel_id = storm->options->first_channel + prng_below(&worker->prng, storm->options->channels),
        .author_id = worker->number,
        .content = {content, make_content(worker, content, 0)}};
    struct history_op op = {.kind = HISTORY_CREATE, .channel = message.channel_id, .invoke = client_now_us()};
    op.body = client_body_of(message.author_id, content, message.content.size);
    int status = trillium_send(storm->trillium, &message, storm->options->level);
    op.id = message.message_id;
    if (op.id == 0) { /* it never got an id: nothing was sent */
        pthread_mutex_lock(&storm->lock);
        storm->failed++;
        if (storm->failures)
            fprintf(storm->failures, "%" PRIu64 " %" PRIu64 " create %s %" PRIu64 " 0\n", op.invoke, client_now_us(),
                trillium_status_name(status), op.channel);
        pthread_mutex_unlock(&storm->lock);
        return;
    }
    record(worker, op, status, NULL, 0);
    if (trillium_class_of(status) != TRILLIUM_DONE) return;
    struct recent recent = {op.channel, op.id, 0, false};
    worker->own[worker->own_count++ % RECENT] = recent;
    pthread_mutex_lock(&storm->lock);
    storm->seen[storm->seen_count++ % RECENT] = recent;
    pthread_mutex_unlock(&storm->lock);
}

static struct recent *choose_own(struct worker *worker)
{
    size_t count = worker->own_count < RECENT ? worker->own_count : RECENT;
    if (count == 0) return NULL;
    struct recent *recent = &worker->own[prng_below(&worker->prng, count)];
    return recent->is_deleted ? NULL : recent;
}

static void write_edit(struct worker *worker, struct recent *recent)
{
    struct storm *storm = worker->storm;
    char content[CONTENT_MAX];
    struct trillium_bytes bytes = {content, make_content(worker, content, ++recent->version)};
    struct history_op op = {.kind = HISTORY_EDIT,
        .channel = recent->channel,
        .id = recent->id,
        .version = recent->version,
        .invoke = client_now_us()};
    op.body = client_body_of(worker->number, content, bytes.size);
    struct trillium_ref ref = {recent->channel, recent->id, storm->options->level};
    record(worker, op, trillium_edit(storm->trillium, &ref, bytes), NULL, 0);
}

static void write_delete(struct worker *worker, struct recent *recent)
{
    struct history_op op = {
        .kind = HISTORY_DELETE, .channel = recent->channel, .id = recent->id, .invoke = client_now_us()};
    struct trillium_ref ref = {recent->channel, recent->id, worker->storm->options->level};
    recent->is_deleted = true;
    record(worker, op, trillium_delete(worker->storm->trillium, &ref), NULL, 0);
}

static void *write_on(void *context)
{
    struct worker *worker = context;
    const struct client_options *options = worker->storm->options;
    double pause_us = options->rate > 0 ? 1e6 * options->writers / options->rate : 0;
    double due = (double)client_now_us() + pause_us * (double)prng_below(&worker->prng, 1000) / 1000;
    while (!atomic_load(&client_is_stopped)) {
        double now = (double)client_now_us();
        if (due > now) client_sleep_us((uint64_t)(due - now));
        due += pause_us;
        if (due < now - 200000) due = now; /* what could not be done in time is not caught up with */
        uint64_t kind = prng_below(&worker->prng, 100);
        struct recent *own = kind < 25 ? choose_own(worker) : NULL;
        if (!own)
            write_create(worker);
        else if (kind < 20)
            write_edit(worker, own);
        else
            write_delete(worker, own);
    }
    return NULL;
}

/* ---- reading ---- */

static size_t rows_of(const struct trillium_page *page, struct history_row *rows, size_t most)
{
    size_t count = page->count < most ? page->count : most;
    for (size_t i = 0; i < count; i++) {
        const struct trillium_message *message = &page->messages[i];
        bool is_edit = message->content.size > 6 && memcmp(message->content.data, "edited", 6) == 0;
        bool is_mixed = is_edit != ((message->has & TRILLIUM_HAS_EDITED_AT) != 0);
        rows[i].id = message->message_id;
        rows[i].body =
            is_mixed ? BODY_MIXED : client_body_of(message->author_id, message->content.data, message->content.size);
    }
    return count;
}

static void read_one(struct worker *worker, const struct recent *recent)
{
    struct history_op op = {
        .kind = HISTORY_GET, .channel = recent->channel, .id = recent->id, .invoke = client_now_us()};
    struct trillium_ref ref = {recent->channel, recent->id, worker->storm->options->level};
    struct trillium_page page = {0};
    struct history_row row;
    int status = trillium_get(worker->storm->trillium, &ref, &page);
    bool is_done = trillium_class_of(status) == TRILLIUM_DONE;
    size_t count = is_done ? rows_of(&page, &row, 1) : 0;
    record(worker, op, status == TRILLIUM_NOT_FOUND ? TRILLIUM_OK : status, &row, count);
    if (is_done) trillium_page_free(&page);
}

static const uint8_t BOUNDS[] = {[TRILLIUM_NEWEST] = HISTORY_NEWEST,
    [TRILLIUM_OLDEST] = HISTORY_OLDEST,
    [TRILLIUM_BEFORE] = HISTORY_BEFORE,
    [TRILLIUM_AFTER] = HISTORY_AFTER,
    [TRILLIUM_AROUND] = HISTORY_AROUND};

/* True when a page came; *last is the id it ended with, 0 at the end of the channel. */
static bool read_page(struct worker *worker, const struct trillium_query *query, uint32_t scan, uint64_t *last)
{
    struct history_op op = {.kind = HISTORY_LIST,
        .channel = query->channel_id,
        .bound = BOUNDS[query->bound],
        .id = query->message_id,
        .limit = query->limit,
        .oldest_first = query->oldest_first,
        .scan = scan,
        .invoke = client_now_us()};
    struct trillium_page page = {0};
    struct history_row *rows = mem_alloc(query->limit * sizeof *rows);
    int status = trillium_list(worker->storm->trillium, query, &page);
    bool is_done = trillium_class_of(status) == TRILLIUM_DONE;
    size_t count = is_done ? rows_of(&page, rows, query->limit) : 0;
    op.more = is_done && page.more;
    *last = op.more && count > 0 ? rows[count - 1].id : 0;
    record(worker, op, status, rows, count);
    mem_free(rows);
    if (is_done) trillium_page_free(&page);
    return is_done;
}

static void *read_on(void *context)
{
    struct worker *worker = context;
    struct storm *storm = worker->storm;
    while (!atomic_load(&client_is_stopped)) {
        pthread_mutex_lock(&storm->lock);
        size_t count = storm->seen_count < RECENT ? storm->seen_count : RECENT;
        struct recent recent = {0};
        if (count > 0) recent = storm->seen[prng_below(&worker->prng, count)];
        pthread_mutex_unlock(&storm->lock);
        uint64_t kind = prng_below(&worker->prng, 100), last;
        if (recent.id != 0 && kind < 40) {
            read_one(worker, &recent);
        } else if (recent.id != 0) {
            static const enum trillium_bound bounds[] = {
                TRILLIUM_NEWEST, TRILLIUM_NEWEST, TRILLIUM_BEFORE, TRILLIUM_AFTER, TRILLIUM_AROUND};
            struct trillium_query query = {.channel_id = recent.channel,
                .bound = bounds[prng_below(&worker->prng, 5)],
                .limit = (unsigned)prng_between(&worker->prng, 1, PAGE_MAX),
                .level = storm->options->level};
            if (query.bound != TRILLIUM_NEWEST) query.message_id = recent.id;
            read_page(worker, &query, 0, &last);
        }
        client_sleep_us(prng_between(&worker->prng, 1000, 9000));
    }
    return NULL;
}

/* ---- the two commands ---- */

static void start(struct storm *storm, const struct client_options *options)
{
    *storm = (struct storm){.options = options, .lock = PTHREAD_MUTEX_INITIALIZER};
    storm->trillium = client_open(options);
    if (options->failures) storm->failures = fopen(options->failures, "w");
    if (storm->failures) setvbuf(storm->failures, NULL, _IOLBF, 0);
    if (options->progress) storm->progress = fopen(options->progress, "w");
    if (storm->progress) setvbuf(storm->progress, NULL, _IOLBF, 0);
}

/* Appends to the history's file, so that a storm and what is read after it make one history. */
static int end(struct storm *storm)
{
    FILE *file = storm->options->history ? fopen(storm->options->history, "a") : NULL;
    if (file) {
        history_write(&storm->history, file);
        fclose(file);
    }
    if (storm->failures) fclose(storm->failures);
    if (storm->progress) fclose(storm->progress);
    printf("storm: %" PRIu64 " done, %" PRIu64 " failed\n", storm->done, storm->failed);
    trillium_close(storm->trillium);
    history_free(&storm->history);
    return storm->options->history && !file ? 1 : 0;
}

int client_storm(const struct client_options *options)
{
    static struct worker workers[THREADS_MAX];
    struct storm *storm = mem_alloc(sizeof *storm);
    start(storm, options);
    unsigned writers = options->writers < THREADS_MAX / 2 ? options->writers : THREADS_MAX / 2;
    unsigned readers = options->readers < THREADS_MAX / 2 ? options->readers : THREADS_MAX / 2;
    pthread_t threads[THREADS_MAX];
    for (unsigned i = 0; i < writers + readers; i++) {
        workers[i].storm = storm;
        workers[i].number = (uint32_t)(options->seed * THREADS_MAX + i + 1);
        workers[i].prng = prng_seeded(workers[i].number);
        pthread_create(&threads[i], NULL, i < writers ? write_on : read_on, &workers[i]);
    }
    for (unsigned i = 0; i < writers + readers; i++)
        pthread_join(threads[i], NULL);
    int code = end(storm);
    mem_free(storm);
    return code;
}

/* Reads every channel of a storm, oldest first, at the level asked for, and adds that to its history. */
int client_readall(const struct client_options *options)
{
    struct storm *storm = mem_alloc(sizeof *storm);
    start(storm, options);
    struct worker *worker = mem_zalloc(sizeof *worker);
    *worker = (struct worker){.storm = storm, .number = (uint32_t)(options->seed * THREADS_MAX)};
    bool is_whole = true;
    for (unsigned i = 0; i < options->channels; i++) {
        struct trillium_query query = {.channel_id = options->first_channel + i,
            .bound = TRILLIUM_OLDEST,
            .limit = 500,
            .oldest_first = true,
            .level = options->level};
        for (uint64_t last = 1; last != 0 && is_whole;) {
            is_whole = read_page(worker, &query, i + 1, &last);
            query.bound = TRILLIUM_AFTER;
            query.message_id = last;
        }
    }
    mem_free(worker);
    int code = end(storm);
    mem_free(storm);
    return is_whole ? code : 1;
}
