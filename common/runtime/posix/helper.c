#include "common/runtime/posix/helper.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/runtime/posix/posix_disk.h"

struct helper {
    int root_fd;
    void (*wake)(void *context);
    void *context;
    pthread_t thread;
    bool started; /* the reactor's */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under lock. */
    struct list queue, done;
    bool ending;
};

struct helper *helper_create(int root_fd, void (*wake)(void *context), void *context)
{
    struct helper *helper = mem_zalloc(sizeof *helper);
    helper->root_fd = root_fd;
    helper->wake = wake;
    helper->context = context;
    CHECK(pthread_mutex_init(&helper->lock, NULL) == 0);
    CHECK(pthread_cond_init(&helper->changed, NULL) == 0);
    list_init(&helper->queue);
    list_init(&helper->done);
    return helper;
}

static void *helper_main(void *argument)
{
    struct helper *helper = argument;
    pthread_mutex_lock(&helper->lock);
    for (;;) {
        struct list *node = list_pop_front(&helper->queue);
        if (node) {
            pthread_mutex_unlock(&helper->lock);
            posix_disk_perform(helper->root_fd, CONTAINER_OF(node, struct disk_request, link));
            pthread_mutex_lock(&helper->lock);
            list_push_back(&helper->done, node);
            helper->wake(helper->context);
        } else if (helper->ending) {
            break;
        } else {
            pthread_cond_wait(&helper->changed, &helper->lock);
        }
    }
    pthread_mutex_unlock(&helper->lock);
    return NULL;
}

/* Signals are the main thread's business. */
static void start_thread(struct helper *helper)
{
    sigset_t all, before;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    CHECK(pthread_create(&helper->thread, NULL, helper_main, helper) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    pthread_setname_np(helper->thread, "disk-helper");
    helper->started = true;
}

void helper_submit(struct helper *helper, struct disk_request *request)
{
    if (!helper->started) start_thread(helper);
    pthread_mutex_lock(&helper->lock);
    list_push_back(&helper->queue, &request->link);
    pthread_cond_signal(&helper->changed);
    pthread_mutex_unlock(&helper->lock);
}

void helper_take(struct helper *helper, struct list *done)
{
    if (!helper->started) return;
    pthread_mutex_lock(&helper->lock);
    list_splice_back(done, &helper->done);
    pthread_mutex_unlock(&helper->lock);
}

void helper_destroy(struct helper *helper)
{
    if (helper->started) {
        pthread_mutex_lock(&helper->lock);
        CHECK(list_is_empty(&helper->queue));
        helper->ending = true;
        pthread_cond_signal(&helper->changed);
        pthread_mutex_unlock(&helper->lock);
        CHECK(pthread_join(helper->thread, NULL) == 0);
    }
    CHECK(list_is_empty(&helper->done));
    pthread_cond_destroy(&helper->changed);
    pthread_mutex_destroy(&helper->lock);
    mem_free(helper);
}
