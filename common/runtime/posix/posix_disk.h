/*
 * posix_disk: disk requests done by plain blocking system calls, for the threads beside a reactor. Both real backends
 * use it: the uv one for everything, the uring one for what io_uring cannot do.
 * Threads: any, one request in one thread at a time.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_POSIX_POSIX_DISK_H
#define TRILLIUM_COMMON_RUNTIME_POSIX_POSIX_DISK_H

#include "common/runtime/disk.h"

/* Carries the request out below the directory root_fd and fills its results; does not call done. Blocks. */
void posix_disk_perform(int root_fd, struct disk_request *request);

/* For both backends: open(2) flags of a DISK_OPEN; a request's outcome from an errno (0: OK); "" as ".". */
int posix_disk_open_flags(uint32_t disk_flags);
void posix_disk_finish(struct disk_request *request, int error);
const char *posix_disk_path(const char *path);

enum { POSIX_DISK_FILE_MODE = 0640, POSIX_DISK_DIRECTORY_MODE = 0750 };

#endif
