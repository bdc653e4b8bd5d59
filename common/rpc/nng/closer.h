/*
 * closer: a thread that closes sockets of nng once they are quiet. nng's own close of a pipe with traffic can hang its
 * reaper, and a close of a socket waits for the reaper: neither may happen on a reactor's thread.
 */
#ifndef TRILLIUM_COMMON_RPC_NNG_CLOSER_H
#define TRILLIUM_COMMON_RPC_NNG_CLOSER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/list.h"

struct closer;

struct closing {
    struct list link;
    uint64_t asked_ns;
    bool (*is_quiet)(struct closing *closing, uint64_t now_ns);
    /* On the closer's thread; frees closing. */
    void (*close)(struct closing *closing);
};

struct closer *closer_create(void);
/* Calls close when it is quiet, at the latest after 2 s. The thread starts with the first. */
void closer_add(struct closer *closer, struct closing *closing);
/* Waits until all is closed; false when that took more than 5 s: the thread and its memory are left behind. */
bool closer_destroy(struct closer *closer);
/* Returns at once; calls ended, from any thread, when all is closed and the closer is gone. */
void closer_release(struct closer *closer, void (*ended)(void *context), void *context);
/* The clock of is_quiet. */
uint64_t closer_now_ns(void);

#endif
