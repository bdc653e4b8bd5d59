/* load: sends the messages of a file, in its order, many at a time. */
#include <inttypes.h>
#include <pthread.h>

#include "tests/cluster/client.h"

struct load {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned outstanding;
    uint64_t done, failed;
};

static void sent(void *context, int status, uint64_t message_id)
{
    struct load *load = context;
    pthread_mutex_lock(&load->lock);
    load->outstanding--;
    if (trillium_class_of(status) == TRILLIUM_DONE) {
        load->done++;
    } else {
        if (load->failed++ < 10)
            fprintf(stderr, "load: %" PRIu64 " was not stored: %s\n", message_id, trillium_status_name(status));
    }
    pthread_cond_signal(&load->changed);
    pthread_mutex_unlock(&load->lock);
}

static void wait_below(struct load *load, unsigned most)
{
    pthread_mutex_lock(&load->lock);
    while (load->outstanding >= most)
        pthread_cond_wait(&load->changed, &load->lock);
    load->outstanding++;
    pthread_mutex_unlock(&load->lock);
}

int client_load(const struct client_options *options)
{
    struct client_messages messages = client_messages_read(options->file);
    struct trillium *trillium = client_open(options);
    struct load load = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    uint64_t start = client_now_us();
    for (size_t i = 0; i < messages.count && !atomic_load(&client_is_stopped); i++) {
        const struct client_message *from = &messages.all[i];
        if (options->rate > 0) {
            uint64_t due = start + (uint64_t)((double)i * 1e6 / options->rate), now = client_now_us();
            if (due > now) client_sleep_us(due - now);
        }
        wait_below(&load, options->inflight);
        struct trillium_message message = {.channel_id = from->channel_id,
            .message_id = from->message_id,
            .author_id = from->author_id,
            .content = {from->content, from->content_size}};
        trillium_send_async(trillium, &message, options->level, sent, &load);
    }
    pthread_mutex_lock(&load.lock);
    while (load.outstanding > 0)
        pthread_cond_wait(&load.changed, &load.lock);
    pthread_mutex_unlock(&load.lock);
    double seconds = (double)(client_now_us() - start) / 1e6;
    printf("load: %" PRIu64 " stored, %" PRIu64 " failed, %.2f s, %.0f per s\n", load.done, load.failed, seconds,
        (double)load.done / (seconds > 0 ? seconds : 1));
    trillium_close(trillium);
    client_messages_free(&messages);
    return load.failed ? 1 : 0;
}
