#include "common/obs/health.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"

static const char *const names[] = {"starting", "ready", "draining", "failed"};

void health_init(struct health *health)
{
    CHECK(pthread_mutex_init(&health->lock, NULL) == 0);
    health->state = HEALTH_STARTING;
    health->reason[0] = 0;
}

void health_fini(struct health *health)
{
    pthread_mutex_destroy(&health->lock);
}

void health_set(struct health *health, enum health_state state, const char *format, ...)
{
    char reason[HEALTH_REASON_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    CHECK(size >= 0 && state <= HEALTH_FAILED);
    pthread_mutex_lock(&health->lock);
    health->state = state;
    memcpy(health->reason, reason, sizeof reason);
    pthread_mutex_unlock(&health->lock);
}

enum health_state health_get(struct health *health, char *reason)
{
    pthread_mutex_lock(&health->lock);
    enum health_state state = health->state;
    if (reason != NULL) memcpy(reason, health->reason, HEALTH_REASON_BYTES);
    pthread_mutex_unlock(&health->lock);
    return state;
}

const char *health_name(enum health_state state)
{
    CHECK(state <= HEALTH_FAILED);
    return names[state];
}
