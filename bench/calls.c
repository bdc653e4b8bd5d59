#include "bench/calls.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

const char *const call_names[CALL_KINDS] = {"insert", "edit", "delete", "latest"};

bool calls_parse_weights(const char *text, unsigned weights[CALL_KINDS])
{
    unsigned sum = 0;
    memset(weights, 0, CALL_KINDS * sizeof *weights);
    for (const char *at = text; *at;) {
        size_t length = strcspn(at, "=,");
        unsigned kind = 0;
        while (kind < CALL_KINDS && !(strlen(call_names[kind]) == length && strncmp(at, call_names[kind], length) == 0))
            kind++;
        if (kind == CALL_KINDS || at[length] != '=') return false;
        char *end;
        weights[kind] = (unsigned)strtoul(at + length + 1, &end, 10);
        sum += weights[kind];
        if (*end && *end != ',') return false;
        at = *end ? end + 1 : end;
    }
    return sum > 0;
}

/* Words of two to nine letters out of a vocabulary in which few are frequent, so that it compresses as chat does. */
static void write_text(struct calls *calls)
{
    enum { VOCABULARY = 4000, WORD_MAX = 9 };
    static const char letters[] = "eeeeetttaaaooinnshhrdlcumwfgypbvk";
    char words[VOCABULARY][WORD_MAX + 1];
    for (unsigned i = 0; i < VOCABULARY; i++) {
        unsigned length = (unsigned)prng_between(&calls->prng, 2, WORD_MAX);
        for (unsigned k = 0; k < length; k++)
            words[i][k] = letters[prng_below(&calls->prng, sizeof letters - 1)];
        words[i][length] = 0;
    }
    calls->text = mem_alloc(CALLS_TEXT_BYTES);
    for (unsigned at = 0; at < CALLS_TEXT_BYTES;) {
        uint64_t frequent = prng_below(&calls->prng, VOCABULARY);
        const char *word = words[prng_below(&calls->prng, frequent + 1)];
        for (; *word && at < CALLS_TEXT_BYTES; word++)
            calls->text[at++] = *word;
        if (at < CALLS_TEXT_BYTES) calls->text[at++] = ' ';
    }
}

static void sum_shares(struct calls *calls)
{
    double sum = 0;
    calls->shares = mem_alloc(calls->channels * sizeof *calls->shares);
    for (unsigned i = 0; i < calls->channels; i++)
        calls->shares[i] = sum += 1 / pow(i + 1, calls->zipf);
}

void calls_open(struct calls *calls)
{
    calls->prng = prng_seeded(calls->seed);
    pthread_mutex_init(&calls->lock, NULL);
    calls->recent = mem_zalloc(CALLS_RECENT * sizeof *calls->recent);
    write_text(calls);
    if (calls->zipf > 0) sum_shares(calls);
}

void calls_close(struct calls *calls)
{
    mem_free(calls->recent);
    mem_free(calls->text);
    mem_free(calls->shares);
    pthread_mutex_destroy(&calls->lock);
}

static enum call_kind draw_kind(struct calls *calls)
{
    unsigned sum = 0, kind = 0;
    for (unsigned i = 0; i < CALL_KINDS; i++)
        sum += calls->weights[i];
    for (uint64_t drawn = prng_below(&calls->prng, sum); drawn >= calls->weights[kind]; kind++)
        drawn -= calls->weights[kind];
    return (enum call_kind)kind;
}

static uint64_t draw_channel(struct calls *calls)
{
    if (!calls->shares) return calls->first_channel + prng_below(&calls->prng, calls->channels);
    double wanted = (double)(prng_next(&calls->prng) >> 11) * 0x1p-53 * calls->shares[calls->channels - 1];
    unsigned low = 0, high = calls->channels - 1;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (calls->shares[middle] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return calls->first_channel + low;
}

/* A message to change; a delete takes it out of the ring. Message 0 when the draw found none. */
static struct recent draw_recent(struct calls *calls, bool take)
{
    uint64_t known = calls->sent < CALLS_RECENT ? calls->sent : CALLS_RECENT;
    if (known == 0) return (struct recent){0};
    struct recent *place = &calls->recent[prng_below(&calls->prng, known)], drawn = *place;
    if (take) place->message_id = 0;
    return drawn;
}

static void sent(void *context, int status, uint64_t id)
{
    struct call *call = context;
    struct calls *calls = call->calls;
    if (status == TRILLIUM_OK) {
        pthread_mutex_lock(&calls->lock);
        calls->recent[calls->sent++ % CALLS_RECENT] = (struct recent){call->channel_id, id};
        pthread_mutex_unlock(&calls->lock);
    }
    call->done(call, status, 0);
}

static void changed(void *context, int status)
{
    struct call *call = context;
    call->done(call, status, 0);
}

static void listed(void *context, int status, const struct trillium_page *page)
{
    struct call *call = context;
    call->done(call, status, page->count);
}

void call_begin(struct call *call)
{
    struct calls *calls = call->calls;
    pthread_mutex_lock(&calls->lock);
    call->kind = draw_kind(calls);
    call->channel_id = draw_channel(calls);
    struct recent recent = {0};
    if (call->kind == CALL_EDIT || call->kind == CALL_DELETE) recent = draw_recent(calls, call->kind == CALL_DELETE);
    if (recent.message_id == 0 && call->kind != CALL_LATEST) call->kind = CALL_INSERT;
    const char *piece = calls->text + prng_below(&calls->prng, CALLS_TEXT_BYTES - calls->content_bytes);
    int64_t author = (int64_t)prng_below(&calls->prng, 5000);
    pthread_mutex_unlock(&calls->lock);

    struct trillium_bytes content = {piece, calls->content_bytes};
    struct trillium_ref ref = {recent.channel_id, recent.message_id, TRILLIUM_QUORUM};
    switch (call->kind) {
    case CALL_EDIT:
        trillium_edit_async(calls->trillium, &ref, content, changed, call);
        return;
    case CALL_DELETE:
        trillium_delete_async(calls->trillium, &ref, changed, call);
        return;
    case CALL_LATEST: {
        struct trillium_query query = {
            .channel_id = call->channel_id, .bound = TRILLIUM_NEWEST, .limit = calls->limit, .level = TRILLIUM_QUORUM};
        trillium_list_async(calls->trillium, &query, listed, call);
        return;
    }
    default: {
        struct trillium_message message = {.channel_id = call->channel_id, .author_id = author, .content = content};
        trillium_send_async(calls->trillium, &message, TRILLIUM_QUORUM, sent, call);
    }
    }
}

struct purge {
    struct calls *calls;
    _Atomic unsigned next, failed;
};

static void *purge_some(void *argument)
{
    struct purge *purge = argument;
    for (unsigned i; (i = atomic_fetch_add(&purge->next, 1)) < purge->calls->channels;) {
        struct trillium_interval all = {.channel_id = purge->calls->first_channel + i, .level = TRILLIUM_QUORUM};
        if (trillium_class_of(trillium_purge(purge->calls->trillium, &all, NULL)) != TRILLIUM_DONE)
            atomic_fetch_add(&purge->failed, 1);
    }
    return NULL;
}

unsigned calls_purge(struct calls *calls)
{
    enum { THREADS = 64 };
    struct purge purge = {.calls = calls};
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, purge_some, &purge);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return atomic_load(&purge.failed);
}
