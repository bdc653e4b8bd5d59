#include "common/daemon/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"

struct log_file {
    pthread_mutex_t lock;
    char *path, *older; /* NULL: standard error */
    int file;
    int64_t size, size_max;
    _Atomic uint64_t dropped;
};

/* Opens path for appending; -1 and errno on failure. */
static int open_log(const char *path, int64_t *size)
{
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0) return -1;
    struct stat info;
    *size = fstat(file, &info) == 0 ? info.st_size : 0;
    return file;
}

enum status log_file_open(const char *path, int64_t bytes_max, struct log_file **out)
{
    bool named = path != NULL && path[0] != 0;
    CHECK(!named || bytes_max > 0);
    int64_t size = 0;
    int file = named ? open_log(path, &size) : STDERR_FILENO;
    if (file < 0) return STATUS_IO;
    struct log_file *log = mem_zalloc(sizeof *log);
    CHECK(pthread_mutex_init(&log->lock, NULL) == 0);
    log->file = file;
    log->size = size;
    log->size_max = bytes_max;
    if (named) {
        size_t length = strlen(path) + 3;
        log->path = mem_strdup(path);
        log->older = mem_alloc(length);
        snprintf(log->older, length, "%s.1", path);
    }
    *out = log;
    return STATUS_OK;
}

/* Makes room for one line; when the new file cannot be opened the old one goes on, emptied, so the bound holds. */
static void turn_over(struct log_file *log)
{
    int64_t size = 0;
    int next = rename(log->path, log->older) == 0 ? open_log(log->path, &size) : -1;
    if (next < 0) {
        log->size = ftruncate(log->file, 0) == 0 ? 0 : log->size;
        return;
    }
    close(log->file);
    log->file = next;
    log->size = size;
}

void log_file_sink(void *context, const char *line, size_t size)
{
    struct log_file *log = context;
    pthread_mutex_lock(&log->lock);
    if (log->path != NULL && log->size > 0 && log->size + (int64_t)size > log->size_max) turn_over(log);
    bool room = log->path == NULL || log->size == 0 || log->size + (int64_t)size <= log->size_max;
    ssize_t written = -1;
    if (room) do {
            written = write(log->file, line, size);
        } while (written < 0 && errno == EINTR);
    if (written > 0) log->size += written;
    if (written != (ssize_t)size) atomic_fetch_add(&log->dropped, 1);
    pthread_mutex_unlock(&log->lock);
}

uint64_t log_file_dropped(const struct log_file *log)
{
    return atomic_load(&log->dropped);
}

void log_file_close(struct log_file *log)
{
    if (log == NULL) return;
    if (log->path != NULL) close(log->file);
    pthread_mutex_destroy(&log->lock);
    mem_free(log->path);
    mem_free(log->older);
    mem_free(log);
}
