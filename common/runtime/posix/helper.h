/*
 * helper: one thread that carries out blocking disk requests in order, beside a reactor whose ring cannot do them.
 * Threads: submit and take on the reactor's; wake is called on the helper's.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_POSIX_HELPER_H
#define TRILLIUM_COMMON_RUNTIME_POSIX_HELPER_H

#include "common/base/list.h"

struct disk_request;
struct helper;

/* wake(context) is called after a request was done, to have helper_take called. The thread starts with the first
   request. */
struct helper *helper_create(int root_fd, void (*wake)(void *context), void *context);
void helper_submit(struct helper *helper, struct disk_request *request);
/* Moves what is done to the end of done (by request->link); the caller finishes it. */
void helper_take(struct helper *helper, struct list *done);
/* Nothing is in flight. Waits for the thread to end. */
void helper_destroy(struct helper *helper);

#endif
