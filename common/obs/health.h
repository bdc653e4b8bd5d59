/*
 * health: whether a daemon lives and serves, and why not; what /livez and /readyz answer.
 * Threads: any, guarded by a lock inside. After health_init it is "starting", without a reason.
 */
#ifndef TRILLIUM_COMMON_OBS_HEALTH_H
#define TRILLIUM_COMMON_OBS_HEALTH_H

#include <pthread.h>
#include <stdbool.h>

enum health_state { HEALTH_STARTING, HEALTH_READY, HEALTH_DRAINING, HEALTH_FAILED };

enum { HEALTH_REASON_BYTES = 200 };

struct health {
    pthread_mutex_t lock;
    enum health_state state;
    char reason[HEALTH_REASON_BYTES];
};

void health_init(struct health *health);
void health_fini(struct health *health);
/* reason: a sentence fragment for people ("waiting for a view from 127.0.1.1:7100"); cut to fit. */
void health_set(struct health *health, enum health_state state, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Copies the reason into reason[HEALTH_REASON_BYTES] (may be NULL). */
enum health_state health_get(struct health *health, char *reason);
const char *health_name(enum health_state state);

#endif
