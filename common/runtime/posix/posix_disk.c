#include "common/runtime/posix/posix_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"

const char *posix_disk_path(const char *path)
{
    return *path ? path : ".";
}

int posix_disk_open_flags(uint32_t disk_flags)
{
    int flags = O_CLOEXEC | (disk_flags & DISK_READ_ONLY ? O_RDONLY : O_RDWR);
    if (disk_flags & DISK_CREATE) flags |= O_CREAT;
    if (disk_flags & DISK_EXCLUSIVE) flags |= O_EXCL;
    if (disk_flags & DISK_DIRECT) flags |= O_DIRECT;
    return flags;
}

static enum status status_of(int error)
{
    switch (error) {
    case 0:
        return STATUS_OK;
    case ENOENT:
        return STATUS_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
    case EWOULDBLOCK:
        return STATUS_CONFLICT;
    case ENOSPC:
    case EDQUOT:
        return STATUS_NO_SPACE;
    default:
        return STATUS_IO;
    }
}

void posix_disk_finish(struct disk_request *request, int error)
{
    if (request->op == DISK_MKDIR && error == EEXIST) error = 0;
    request->error = error;
    request->status = status_of(error);
}

/* Calls that return -1 and set errno. */
static int error_of(int result)
{
    return result < 0 ? errno : 0;
}

static int do_open(int root, struct disk_request *request)
{
    int flags = posix_disk_open_flags(request->flags);
    int file = openat(root, request->path, flags, POSIX_DISK_FILE_MODE);
    /* Some file systems (tmpfs) have no direct access; then the page cache has to do. */
    if (file < 0 && errno == EINVAL && (flags & O_DIRECT))
        file = openat(root, request->path, flags & ~O_DIRECT, POSIX_DISK_FILE_MODE);
    if (file >= 0) request->file.handle = file;
    return error_of(file);
}

static int do_read(struct disk_request *request)
{
    size_t done = 0;
    while (done < request->size) {
        ssize_t got = pread(
            request->file.handle, (char *)request->data + done, request->size - done, (off_t)(request->offset + done));
        if (got < 0 && errno == EINTR) continue;
        /* A direct file ends inside a block: the rest of it cannot be asked for. */
        if (got < 0 && errno == EINVAL && done > 0) break;
        if (got < 0) return errno;
        if (got == 0) break;
        done += (size_t)got;
    }
    request->result = done;
    return 0;
}

static int do_write(struct disk_request *request)
{
    size_t done = 0;
    while (done < request->size) {
        struct iovec piece = {(char *)request->data + done, request->size - done};
        ssize_t put = pwritev2(request->file.handle, &piece, 1, (off_t)(request->offset + done),
            request->flags & DISK_DSYNC ? RWF_DSYNC : 0);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return errno;
        if (put == 0) return EIO;
        done += (size_t)put;
    }
    request->result = done;
    return 0;
}

static int do_sync_dir(int root, const char *path)
{
    int directory = openat(root, posix_disk_path(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return errno;
    int error = error_of(fsync(directory));
    close(directory);
    return error;
}

static int do_preallocate(struct disk_request *request)
{
    int error = posix_fallocate(request->file.handle, 0, (off_t)request->offset);
    return error;
}

static int do_size(struct disk_request *request)
{
    struct stat stat;
    if (fstat(request->file.handle, &stat) < 0) return errno;
    request->result = (uint64_t)stat.st_size;
    return 0;
}

static int do_space(int root, struct disk_request *request)
{
    struct statvfs space;
    if (fstatvfs(root, &space) < 0) return errno;
    request->result = (uint64_t)space.f_bavail * space.f_frsize;
    request->result2 = (uint64_t)space.f_blocks * space.f_frsize;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int do_list(int root, struct disk_request *request)
{
    int directory = openat(root, posix_disk_path(request->path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return errno;
    DIR *stream = fdopendir(directory);
    if (stream == NULL) {
        int error = errno;
        close(directory);
        return error;
    }
    char **names = NULL;
    uint32_t count = 0, capacity = 0;
    struct dirent *entry;
    while (errno = 0, (entry = readdir(stream)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            names = mem_realloc(names, capacity * sizeof *names);
        }
        names[count++] = mem_strdup(entry->d_name);
    }
    int error = errno;
    closedir(stream);
    if (count) qsort(names, count, sizeof *names, by_name);
    if (error == 0) request->list_names = disk_names_create((const char *const *)names, count);
    for (uint32_t i = 0; i < count; i++)
        mem_free(names[i]);
    mem_free(names);
    return error;
}

static int do_op(int root, struct disk_request *request)
{
    const char *path = request->path, *path2 = request->path2;
    int file = request->file.handle;
    switch (request->op) {
    case DISK_OPEN:
        return do_open(root, request);
    case DISK_CLOSE:
        return error_of(close(file));
    case DISK_READ:
        return do_read(request);
    case DISK_WRITE:
        return do_write(request);
    case DISK_SYNC:
        return error_of(fdatasync(file));
    case DISK_SYNC_DIR:
        return do_sync_dir(root, path);
    case DISK_LINK:
        return error_of(linkat(root, path, root, path2, 0));
    case DISK_RENAME:
        return error_of(renameat(root, path, root, path2));
    case DISK_UNLINK:
        return error_of(unlinkat(root, path, 0));
    case DISK_MKDIR:
        return error_of(mkdirat(root, path, POSIX_DISK_DIRECTORY_MODE));
    case DISK_RMDIR:
        return error_of(unlinkat(root, path, AT_REMOVEDIR));
    case DISK_TRUNCATE:
        return error_of(ftruncate(file, (off_t)request->offset));
    case DISK_PREALLOCATE:
        return do_preallocate(request);
    case DISK_SIZE:
        return do_size(request);
    case DISK_LIST:
        return do_list(root, request);
    case DISK_SPACE:
        return do_space(root, request);
    case DISK_LOCK:
        return error_of(flock(file, LOCK_EX | LOCK_NB));
    }
    CHECK(!"unknown disk operation");
}

void posix_disk_perform(int root_fd, struct disk_request *request)
{
    posix_disk_finish(request, do_op(root_fd, request));
}
