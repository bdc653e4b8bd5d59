#include "common/runtime/disk.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/runtime/fiber.h"
#include "common/runtime/reactor.h"

/* A request on the stack of the fiber that waits for it. */
struct wait {
    struct disk_request request;
    struct fiber *fiber;
    bool done;
};

void disk_submit(struct reactor *reactor, struct disk_request *request)
{
    reactor_disk_submit(reactor, request);
}

static void wait_done(struct disk_request *request)
{
    struct wait *wait = CONTAINER_OF(request, struct wait, request);
    wait->done = true;
    fiber_wake(wait->fiber);
}

static enum status perform(struct reactor *reactor, struct wait *wait)
{
    wait->fiber = fiber_current(reactor);
    CHECK(wait->fiber != NULL);
    wait->request.done = wait_done;
    disk_submit(reactor, &wait->request);
    while (!wait->done)
        fiber_suspend(reactor);
    return wait->request.status;
}

/* Operations on names. */
static enum status perform_path(struct reactor *reactor, enum disk_op op, const char *path, const char *path2)
{
    struct wait wait = {.request = {.op = op, .path = path, .path2 = path2}};
    return perform(reactor, &wait);
}

/* Operations on a file that take at most a number. */
static enum status perform_file(struct reactor *reactor, enum disk_op op, struct disk_file file, uint64_t offset)
{
    struct wait wait = {.request = {.op = op, .file = file, .offset = offset}};
    return perform(reactor, &wait);
}

enum status disk_open(struct reactor *reactor, const char *path, uint32_t flags, struct disk_file *out)
{
    struct wait wait = {.request = {.op = DISK_OPEN, .path = path, .flags = flags}};
    enum status status = perform(reactor, &wait);
    if (status == STATUS_OK) *out = wait.request.file;
    return status;
}

void disk_close(struct reactor *reactor, struct disk_file *file)
{
    if (file->handle < 0) return;
    /* A failed close says nothing that the last sync did not say. */
    (void)!perform_file(reactor, DISK_CLOSE, *file, 0);
    file->handle = -1;
}

enum status disk_read(struct reactor *reactor, struct disk_file file, void *data, uint32_t size, uint64_t offset)
{
    struct wait wait = {.request = {.op = DISK_READ, .file = file, .data = data, .size = size, .offset = offset}};
    enum status status = perform(reactor, &wait);
    if (status == STATUS_OK && wait.request.result != size) return STATUS_CORRUPT;
    return status;
}

enum status disk_write(struct reactor *reactor, struct disk_file file, const void *data, uint32_t size, uint64_t offset)
{
    /* The backend only reads from a write's data. */
    struct wait wait = {
        .request = {.op = DISK_WRITE, .file = file, .data = (void *)(uintptr_t)data, .size = size, .offset = offset}};
    return perform(reactor, &wait);
}

enum status disk_sync(struct reactor *reactor, struct disk_file file)
{
    return perform_file(reactor, DISK_SYNC, file, 0);
}

enum status disk_sync_dir(struct reactor *reactor, const char *path)
{
    return perform_path(reactor, DISK_SYNC_DIR, path, NULL);
}

enum status disk_link(struct reactor *reactor, const char *from, const char *to)
{
    return perform_path(reactor, DISK_LINK, from, to);
}

enum status disk_rename(struct reactor *reactor, const char *from, const char *to)
{
    return perform_path(reactor, DISK_RENAME, from, to);
}

enum status disk_unlink(struct reactor *reactor, const char *path)
{
    return perform_path(reactor, DISK_UNLINK, path, NULL);
}

enum status disk_mkdir(struct reactor *reactor, const char *path)
{
    return perform_path(reactor, DISK_MKDIR, path, NULL);
}

enum status disk_rmdir(struct reactor *reactor, const char *path)
{
    return perform_path(reactor, DISK_RMDIR, path, NULL);
}

enum status disk_truncate(struct reactor *reactor, struct disk_file file, uint64_t size)
{
    return perform_file(reactor, DISK_TRUNCATE, file, size);
}

enum status disk_preallocate(struct reactor *reactor, struct disk_file file, uint64_t size)
{
    return perform_file(reactor, DISK_PREALLOCATE, file, size);
}

enum status disk_size(struct reactor *reactor, struct disk_file file, uint64_t *out)
{
    struct wait wait = {.request = {.op = DISK_SIZE, .file = file}};
    enum status status = perform(reactor, &wait);
    if (status == STATUS_OK) *out = wait.request.result;
    return status;
}

enum status disk_list(struct reactor *reactor, const char *path, struct disk_names *out)
{
    struct wait wait = {.request = {.op = DISK_LIST, .path = path}};
    enum status status = perform(reactor, &wait);
    if (status == STATUS_OK) *out = wait.request.list_names;
    return status;
}

enum status disk_space(struct reactor *reactor, uint64_t *free_bytes, uint64_t *total_bytes)
{
    struct wait wait = {.request = {.op = DISK_SPACE}};
    enum status status = perform(reactor, &wait);
    if (status == STATUS_OK) {
        *free_bytes = wait.request.result;
        *total_bytes = wait.request.result2;
    }
    return status;
}

enum status disk_lock(struct reactor *reactor, struct disk_file file)
{
    return perform_file(reactor, DISK_LOCK, file, 0);
}

struct disk_names disk_names_create(const char *const *sorted, uint32_t count)
{
    size_t texts = 0, table = count * sizeof(char *);
    for (uint32_t i = 0; i < count; i++)
        texts += strlen(sorted[i]) + 1;
    struct disk_names names = {.count = count, .names = mem_alloc(table + texts + 1)};
    char *at = (char *)names.names + table;
    for (uint32_t i = 0; i < count; i++) {
        size_t size = strlen(sorted[i]) + 1;
        names.names[i] = memcpy(at, sorted[i], size);
        at += size;
    }
    return names;
}

void disk_names_free(struct disk_names *names)
{
    mem_free(names->names);
    names->names = NULL;
    names->count = 0;
}

enum status disk_read_file(
    struct reactor *reactor, const char *path, struct arena *arena, uint32_t size_max, struct bytes *out)
{
    struct disk_file file;
    uint64_t bytes;
    enum status status = disk_open(reactor, path, DISK_READ_ONLY, &file);
    if (status != STATUS_OK) return status;
    status = disk_size(reactor, file, &bytes);
    if (status != STATUS_OK) goto opened;
    if (bytes > size_max) {
        status = STATUS_TOO_BIG;
        goto opened;
    }
    void *memory = arena_alloc(arena, bytes ? bytes : 1);
    status = bytes ? disk_read(reactor, file, memory, (uint32_t)bytes, 0) : STATUS_OK;
    if (status == STATUS_OK) *out = bytes_of(memory, (size_t)bytes);
opened:
    disk_close(reactor, &file);
    return status;
}

static enum status write_new_file(struct reactor *reactor, const char *path, const void *data, uint32_t size)
{
    struct disk_file file;
    enum status status = disk_open(reactor, path, DISK_CREATE, &file);
    if (status != STATUS_OK) return status;
    /* One that a crash left behind. */
    status = disk_truncate(reactor, file, 0);
    if (status == STATUS_OK && size) status = disk_write(reactor, file, data, size, 0);
    if (status == STATUS_OK) status = disk_sync(reactor, file);
    disk_close(reactor, &file);
    return status;
}

enum status disk_replace_file(struct reactor *reactor, const char *path, const void *data, uint32_t size)
{
    char fresh[DISK_PATH_BYTES_MAX + 8], directory[DISK_PATH_BYTES_MAX];
    CHECK(strlen(path) < sizeof directory);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    snprintf(directory, sizeof directory, "%s", path);
    char *slash = strrchr(directory, '/');
    *(slash ? slash : directory) = 0;
    enum status status = write_new_file(reactor, fresh, data, size);
    if (status != STATUS_OK) return status;
    status = disk_rename(reactor, fresh, path);
    if (status != STATUS_OK) return status;
    return disk_sync_dir(reactor, directory);
}
