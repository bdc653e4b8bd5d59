#include "msgctl/import_session.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "common/base/mem.h"

/* A controller's outage of less than the difference does not end a session. */
enum { DEADLINE_MS = 10 * 60 * 1000, RENEW_S = 60, RETRY_S = 5, LABEL_BYTES = 48 };

struct import_session {
    struct trillium *trillium;
    char label[LABEL_BYTES];
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t id;
    bool ending;
};

static uint64_t get(struct import_session *session)
{
    pthread_mutex_lock(&session->lock);
    uint64_t id = session->id;
    pthread_mutex_unlock(&session->lock);
    return id;
}

static void set(struct import_session *session, uint64_t id)
{
    pthread_mutex_lock(&session->lock);
    session->id = id;
    pthread_mutex_unlock(&session->lock);
}

/* False when the session is to end. */
static bool wait_for(struct import_session *session, unsigned seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&session->lock);
    int result = 0;
    while (!session->ending && result == 0)
        result = pthread_cond_timedwait(&session->changed, &session->lock, &until);
    bool goes_on = !session->ending;
    pthread_mutex_unlock(&session->lock);
    return goes_on;
}

static int begin(struct import_session *session)
{
    uint64_t id = 0;
    int status = trillium_import_begin(session->trillium, session->label, DEADLINE_MS, &id);
    if (trillium_class_of(status) == TRILLIUM_DONE) set(session, id);
    return status;
}

static void *keep_alive(void *argument)
{
    struct import_session *session = argument;
    int status = get(session) ? TRILLIUM_OK : TRILLIUM_UNAVAILABLE;
    while (wait_for(session, trillium_class_of(status) == TRILLIUM_DONE ? RENEW_S : RETRY_S)) {
        uint64_t id = get(session);
        status = id ? trillium_import_renew(session->trillium, id, DEADLINE_MS) : begin(session);
        /* It ended while no controller could be reached: the rest goes under a new one. */
        if (status == TRILLIUM_NOT_FOUND) status = begin(session);
    }
    return NULL;
}

struct import_session *import_session_begin(struct trillium *trillium, const char *label, int *status)
{
    struct import_session *session = mem_zalloc(sizeof *session);
    pthread_condattr_t attributes;
    session->trillium = trillium;
    snprintf(session->label, sizeof session->label, "%s", label);
    pthread_mutex_init(&session->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&session->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    *status = begin(session);
    session->has_thread = pthread_create(&session->thread, NULL, keep_alive, session) == 0;
    return session;
}

uint64_t import_session_id(struct import_session *session)
{
    return get(session);
}

void import_session_end(struct import_session *session)
{
    pthread_mutex_lock(&session->lock);
    session->ending = true;
    pthread_cond_signal(&session->changed);
    pthread_mutex_unlock(&session->lock);
    if (session->has_thread) pthread_join(session->thread, NULL);
    if (session->id) (void)trillium_import_end(session->trillium, session->id);
    pthread_cond_destroy(&session->changed);
    pthread_mutex_destroy(&session->lock);
    mem_free(session);
}
