/*
 * uring_backend: a reactor on io_uring. One ring per reactor: it waits, is woken through an eventfd, and carries out
 * most disk requests; sync_dir, truncate, list, space and lock go to one helper thread. For noded.
 * Threads: as backend.h says. The ring binds itself to the thread of the reactor's first turn.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_URING_URING_BACKEND_H
#define TRILLIUM_COMMON_RUNTIME_URING_URING_BACKEND_H

#include <stdbool.h>

struct backend;
struct reactor;

enum { URING_WHY_BYTES = 160 };

/* Whether this kernel, and the container around us, give us io_uring with all that we use. If not, why says so. */
bool uring_is_available(char why[URING_WHY_BYTES]);

/* Only where uring_is_available. Disk requests act below the directory root_fd, which stays open as long as the
   backend. */
struct backend *uring_backend_create(struct reactor *reactor, int root_fd);

#endif
