/*
 * verify: reads every channel of a file in every way and compares with the file, which is the model: walks oldest
 * first and newest first in pages of random sizes, then before, after and around random ids, those that exist and
 * those that do not.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/prng.h"
#include "tests/cluster/client.h"

enum { VERIFY_THREADS = 6, COMPLAINTS_MAX = 20 };

struct verify {
    const struct client_options *options;
    struct trillium *trillium;
    struct client_messages model; /* by channel, then id */
    size_t next;                  /* first message of the next channel to take */
    pthread_mutex_t take;
    _Atomic uint64_t channels, messages, pages, wrong;
};

/* One channel: its messages in the model, oldest first. */
struct channel {
    struct verify *verify;
    const struct client_message *messages;
    size_t count;
    struct prng prng;
};

static void complain(struct channel *channel, const struct trillium_query *query, const char *what)
{
    if (atomic_fetch_add(&channel->verify->wrong, 1) >= COMPLAINTS_MAX) return;
    fprintf(stderr, "verify: channel %" PRIu64 " bound %d id %" PRIu64 " limit %u oldest_first %d: %s\n",
        channel->messages[0].channel_id, (int)query->bound, query->message_id, query->limit, query->oldest_first, what);
}

static bool is_same(const struct trillium_message *got, const struct client_message *wanted)
{
    return got->channel_id == wanted->channel_id && got->message_id == wanted->message_id &&
           got->author_id == wanted->author_id && got->content.size == wanted->content_size &&
           got->content.data != NULL && memcmp(got->content.data, wanted->content, wanted->content_size) == 0;
}

/* How many of the channel's messages are older than id. */
static size_t older_than(const struct channel *channel, uint64_t id)
{
    size_t low = 0, high = channel->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (channel->messages[middle].message_id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool list(struct channel *channel, const struct trillium_query *query, struct trillium_page *page)
{
    int status = trillium_list(channel->verify->trillium, query, page);
    atomic_fetch_add(&channel->verify->pages, 1);
    if (trillium_class_of(status) == TRILLIUM_DONE) return true;
    complain(channel, query, trillium_status_name(status));
    return false;
}

/* Compares a page with the model's messages from `first` on, going up (oldest first) or down. */
static size_t compare(struct channel *channel, const struct trillium_query *query, const struct trillium_page *page,
    ptrdiff_t first, int step)
{
    size_t left = step > 0 ? channel->count - (size_t)first : (size_t)(first + 1);
    size_t most = left < query->limit ? left : query->limit;
    if (page->count > most) complain(channel, query, "more messages than there are");
    if (page->count == 0 && most > 0) complain(channel, query, "an empty page, but there are messages");
    if (page->count < most && !page->more) complain(channel, query, "a short page that says it is the last");
    if (page->count == left && left < query->limit && page->more)
        complain(channel, query, "all were shown, but more are promised");
    size_t count = page->count < most ? page->count : most;
    for (size_t i = 0; i < count; i++) {
        if (is_same(&page->messages[i], &channel->messages[first + step * (ptrdiff_t)i])) continue;
        complain(channel, query, "another message than the model has");
        break;
    }
    return count;
}

static void walk(struct channel *channel, bool oldest_first)
{
    size_t done = 0;
    while (done < channel->count) {
        struct trillium_query query = {.channel_id = channel->messages[0].channel_id,
            .bound = oldest_first ? TRILLIUM_OLDEST : TRILLIUM_NEWEST,
            .limit = (unsigned)prng_between(&channel->prng, 1, done % 3 == 0 ? 1000 : 60),
            .oldest_first = oldest_first,
            .level = channel->verify->options->level};
        if (done > 0) {
            query.bound = oldest_first ? TRILLIUM_AFTER : TRILLIUM_BEFORE;
            query.message_id = channel->messages[oldest_first ? done - 1 : channel->count - done].message_id;
        }
        struct trillium_page page;
        if (!list(channel, &query, &page)) return;
        size_t got = oldest_first ? compare(channel, &query, &page, (ptrdiff_t)done, 1)
                                  : compare(channel, &query, &page, (ptrdiff_t)(channel->count - 1 - done), -1);
        trillium_page_free(&page);
        if (got == 0) return;
        done += got;
    }
    atomic_fetch_add(&channel->verify->messages, done);
}

/* `around`: (limit - 1) / 2 newer ones, the rest the id if it is visible and older ones; newest first. */
static void compare_around(
    struct channel *channel, const struct trillium_query *query, const struct trillium_page *page, size_t older)
{
    size_t upto = older + (older < channel->count && channel->messages[older].message_id == query->message_id);
    size_t newer_all = channel->count - upto, newer_most = (query->limit - 1) / 2;
    size_t newer = newer_all < newer_most ? newer_all : newer_most;
    size_t below = upto < query->limit - newer_most ? upto : query->limit - newer_most;
    size_t top = upto + newer, count = newer + below;
    if (page->count != count) {
        char text[96];
        snprintf(text, sizeof text, "%zu messages instead of %zu around it", page->count, count);
        if (page->count > count || !page->more) complain(channel, query, text);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (!is_same(&page->messages[i], &channel->messages[top - 1 - i])) {
            complain(channel, query, "another message than the model has");
            return;
        }
}

static void probe(struct channel *channel)
{
    static const enum trillium_bound bounds[] = {TRILLIUM_BEFORE, TRILLIUM_AFTER, TRILLIUM_AROUND};
    uint64_t id = channel->messages[prng_below(&channel->prng, channel->count)].message_id;
    if (prng_chance(&channel->prng, 300000)) id += prng_between(&channel->prng, 1, 1000);
    struct trillium_query query = {.channel_id = channel->messages[0].channel_id,
        .bound = bounds[prng_below(&channel->prng, 3)],
        .message_id = id,
        .limit = (unsigned)prng_between(&channel->prng, 1, 70),
        .level = channel->verify->options->level};
    query.oldest_first = query.bound == TRILLIUM_AFTER && prng_chance(&channel->prng, 500000);
    size_t older = older_than(channel, id);
    bool is_there = older < channel->count && channel->messages[older].message_id == id;
    struct trillium_page page;
    if (!list(channel, &query, &page)) return;
    ptrdiff_t newer = (ptrdiff_t)(older + is_there);
    if (query.bound == TRILLIUM_BEFORE) {
        compare(channel, &query, &page, (ptrdiff_t)older - 1, -1);
    } else if (query.bound == TRILLIUM_AROUND) {
        compare_around(channel, &query, &page, older);
    } else if (query.oldest_first) {
        compare(channel, &query, &page, newer, 1);
    } else {
        /* The nearest newer ones, newest first. */
        for (size_t i = 0; i < page.count / 2; i++) {
            struct trillium_message swap = page.messages[i];
            page.messages[i] = page.messages[page.count - 1 - i];
            page.messages[page.count - 1 - i] = swap;
        }
        compare(channel, &query, &page, newer, 1);
    }
    trillium_page_free(&page);
}

/* The messages of the next channel; count 0 at the end. */
static struct channel take(struct verify *verify)
{
    struct channel channel = {.verify = verify};
    pthread_mutex_lock(&verify->take);
    size_t first = verify->next, end = first;
    while (end < verify->model.count && verify->model.all[end].channel_id == verify->model.all[first].channel_id)
        end++;
    verify->next = end;
    pthread_mutex_unlock(&verify->take);
    channel.messages = verify->model.all + first;
    channel.count = end - first;
    channel.prng = prng_seeded(verify->options->seed + first);
    return channel;
}

static void *run(void *context)
{
    struct verify *verify = context;
    for (;;) {
        struct channel channel = take(verify);
        if (channel.count == 0 || atomic_load(&client_is_stopped)) return NULL;
        walk(&channel, true);
        walk(&channel, false);
        for (unsigned i = 0; i < verify->options->probes; i++)
            probe(&channel);
        atomic_fetch_add(&verify->channels, 1);
    }
}

static int by_channel_and_id(const void *a, const void *b)
{
    const struct client_message *x = a, *y = b;
    if (x->channel_id != y->channel_id) return x->channel_id < y->channel_id ? -1 : 1;
    return (x->message_id > y->message_id) - (x->message_id < y->message_id);
}

int client_verify(const struct client_options *options)
{
    struct verify verify = {.options = options, .take = PTHREAD_MUTEX_INITIALIZER};
    verify.model = client_messages_read(options->file);
    qsort(verify.model.all, verify.model.count, sizeof *verify.model.all, by_channel_and_id);
    verify.trillium = client_open(options);
    uint64_t start = client_now_us();
    pthread_t threads[VERIFY_THREADS];
    for (unsigned i = 0; i < VERIFY_THREADS; i++)
        pthread_create(&threads[i], NULL, run, &verify);
    for (unsigned i = 0; i < VERIFY_THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("verify: %" PRIu64 " channels, %" PRIu64 " messages in walks, %" PRIu64 " pages, %" PRIu64
           " wrong, %.2f s\n",
        verify.channels, verify.messages, verify.pages, verify.wrong, (double)(client_now_us() - start) / 1e6);
    bool is_whole = verify.messages == 2 * verify.model.count;
    if (!is_whole) fprintf(stderr, "verify: the walks did not show all of %zu messages\n", verify.model.count);
    trillium_close(verify.trillium);
    client_messages_free(&verify.model);
    return verify.wrong > 0 || !is_whole;
}
