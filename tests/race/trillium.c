/*
 * Many threads on one libtrillium instance, with no router to be reached: every call ends with a class that says so,
 * none is lost, and closing while calls are under way ends them.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "client/trillium.h"

enum { THREADS = 4, CALLS = 40 };

static struct trillium *trillium;
static atomic_uint told, wrong;

static void check(int status)
{
    enum trillium_class class = trillium_class_of(status);
    if (class != TRILLIUM_RETRY && class != TRILLIUM_UNKNOWN) atomic_fetch_add(&wrong, 1);
    atomic_fetch_add(&told, 1);
}

static void sent(void *context, int status, uint64_t id)
{
    (void)context;
    (void)id;
    check(status);
}

static void *call(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < CALLS; i++) {
        struct trillium_message message = {.channel_id = i, .message_id = i + 1, .author_id = 1, .content = {"x", 1}};
        trillium_send_async(trillium, &message, TRILLIUM_QUORUM, sent, NULL);
    }
    struct trillium_message message = {.channel_id = 7, .author_id = 1, .content = {"x", 1}};
    check(trillium_send(trillium, &message, TRILLIUM_QUORUM));
    return NULL;
}

int main(void)
{
    struct trillium_options options = {.routers = "127.0.0.1:1,127.0.0.1:2", .deadline_ms = 100};
    pthread_t threads[THREADS];
    char error[128];
    trillium = trillium_open(&options, error, sizeof error);
    if (!trillium) {
        printf("%s\n0 passed, 1 failed\n", error);
        return 1;
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, call, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct trillium_message message = {.channel_id = 7, .message_id = 9, .author_id = 1, .content = {"x", 1}};
    trillium_send_async(trillium, &message, TRILLIUM_QUORUM, sent, NULL);
    trillium_close(trillium);
    bool good = atomic_load(&wrong) == 0 && atomic_load(&told) == THREADS * (CALLS + 1) + 1;
    printf("told %u, wrong %u\n%d passed, %d failed\n", atomic_load(&told), atomic_load(&wrong), good, !good);
    return !good;
}
