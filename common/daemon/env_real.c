#include "common/daemon/env_real.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/runtime/posix/posix_env.h"
#include "common/runtime/uring/uring_backend.h"
#include "common/runtime/uv/uv_backend.h"

enum { DIRECTORY_MODE = 0750, LOCK_MODE = 0640, LOCK_TEXT_BYTES = 32, EXIT_FAILED = 1, EXIT_REFUSED = 3 };

struct env_real {
    struct env env;
    int root_fd; /* -1: no files */
    int lock_fd;
    const char *directory;
    enum env_backend backend;
    char backend_why[URING_WHY_BYTES];
};

static struct env_real *of(struct env *env)
{
    return CONTAINER_OF(env, struct env_real, env);
}

__attribute__((noreturn)) static void real_die(struct env *env, enum status status, const char *why)
{
    char space[ENV_WHY_BYTES];
    if (status == STATUS_NO_SPACE)
        env_real_space(of(env), space);
    else
        snprintf(space, sizeof space, "%s", status_text(status));
    LOG(env->log, ERROR, "daemon.die", "status=%s %s (%s)", status_name(status), why, space);
    fprintf(stderr, "%s: %s (%s)\n", env->name, why, space);
    fflush(stderr);
    /* What somebody has to set right first; a core file would not help. */
    if (status_class(status) == STATUS_CLASS_REFUSED) _exit(EXIT_REFUSED);
    if (status == STATUS_NO_SPACE) _exit(EXIT_FAILED);
    abort();
}

static struct backend *real_backend_create(struct env *env, struct reactor *reactor)
{
    struct env_real *real = of(env);
    if (real->backend == ENV_BACKEND_URING) return uring_backend_create(reactor, real->root_fd);
    return uv_backend_create(reactor, real->root_fd);
}

static const struct env_ops real_ops = {posix_mono_ns, posix_wall_us, posix_entropy, real_die, real_backend_create};

static enum status choose_backend(struct env_real *real, enum env_backend wanted, char why[ENV_WHY_BYTES])
{
    char reason[URING_WHY_BYTES];
    real->backend = ENV_BACKEND_UV;
    if (wanted == ENV_BACKEND_UV) return STATUS_OK;
    if (uring_is_available(reason)) {
        real->backend = ENV_BACKEND_URING;
        return STATUS_OK;
    }
    if (wanted == ENV_BACKEND_URING) {
        snprintf(why, ENV_WHY_BYTES, "io_uring is not available: %s; allow it or choose another backend", reason);
        return STATUS_DENIED;
    }
    memcpy(real->backend_why, reason, sizeof reason);
    return STATUS_OK;
}

/* mkdir -p. 0 or an errno. */
static int make_directories(const char *path)
{
    char part[4096];
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part) return ENAMETOOLONG;
    for (char *at = part + 1; *at; at++) {
        if (*at != '/') continue;
        *at = 0;
        if (mkdir(part, DIRECTORY_MODE) < 0 && errno != EEXIST) return errno;
        *at = '/';
    }
    return mkdir(part, DIRECTORY_MODE) < 0 && errno != EEXIST ? errno : 0;
}

static enum status fail(char why[ENV_WHY_BYTES], const char *directory, int error)
{
    snprintf(why, ENV_WHY_BYTES, "data directory %s: %s", directory, strerror(error));
    return error == ENOSPC || error == EDQUOT ? STATUS_NO_SPACE : STATUS_IO;
}

/* The lock file holds the locker's process id, for the message to whoever comes second. */
static enum status lock_directory(struct env_real *real, const char *directory, char why[ENV_WHY_BYTES])
{
    char text[LOCK_TEXT_BYTES] = {0};
    real->lock_fd = openat(real->root_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, LOCK_MODE);
    if (real->lock_fd < 0) return fail(why, directory, errno);
    if (flock(real->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK) return fail(why, directory, errno);
        ssize_t got = pread(real->lock_fd, text, sizeof text - 1, 0);
        text[got > 0 ? strcspn(text, "\n") : 0] = 0;
        snprintf(why, ENV_WHY_BYTES, "data directory %s: in use by process %s; stop it or choose another directory",
            directory, *text ? text : "(unknown)");
        return STATUS_CONFLICT;
    }
    return STATUS_OK;
}

static bool free_bytes(const struct env_real *real, uint64_t *out)
{
    struct statvfs volume;
    if (real->root_fd < 0 || fstatvfs(real->root_fd, &volume) != 0) return false;
    *out = (uint64_t)volume.f_bavail * volume.f_frsize;
    return true;
}

void env_real_space(const struct env_real *real, char out[ENV_WHY_BYTES])
{
    uint64_t free = 0;
    (void)free_bytes(real, &free); /* it is asked when there is none, or next to none */
    snprintf(out, ENV_WHY_BYTES,
        "data directory %.300s: %llu MiB are free; make room there, or move it and set storage.directory",
        real->directory ? real->directory : "(none)", (unsigned long long)(free >> 20));
}

bool env_real_has_space(const struct env_real *real, uint64_t bytes)
{
    uint64_t free;
    return !free_bytes(real, &free) || free >= bytes;
}

enum status env_real_sign(struct env_real *real, char why[ENV_WHY_BYTES])
{
    char text[LOCK_TEXT_BYTES];
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    errno = ENOSPC; /* what a write that is cut short means */
    if (ftruncate(real->lock_fd, 0) == 0 && pwrite(real->lock_fd, text, (size_t)size, 0) == size) return STATUS_OK;
    return fail(why, real->directory, errno);
}

enum status env_real_identity(
    struct env_real *real, const struct uuid *cluster, struct identity *out, char why[ENV_WHY_BYTES])
{
    uint8_t *file = mem_alloc(IDENTITY_FILE_BYTES);
    char reason[IDENTITY_WHY_BYTES];
    ssize_t size = -1;
    int fd = openat(real->root_fd, IDENTITY_PATH, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) size = pread(fd, file, IDENTITY_FILE_BYTES, 0);
    int error = errno;
    if (fd >= 0) close(fd);
    enum status status = STATUS_OK;
    if (size < 0)
        status = error == ENOENT ? STATUS_NOT_FOUND : fail(why, real->directory, error);
    else
        status = identity_judge(bytes_of(file, (size_t)size), cluster, out, reason);
    if (status == STATUS_CONFLICT || status == STATUS_CORRUPT)
        snprintf(why, ENV_WHY_BYTES, "data directory %.200s: identity: %.200s", real->directory, reason);
    mem_free(file);
    return status;
}

static enum status open_directory(struct env_real *real, const char *directory, char why[ENV_WHY_BYTES])
{
    int error = make_directories(directory);
    if (error) return fail(why, directory, error);
    real->root_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (real->root_fd < 0) return fail(why, directory, errno);
    return lock_directory(real, directory, why);
}

enum status env_real_open(const struct env_real_options *options, struct env_real **out, char why[ENV_WHY_BYTES])
{
    struct env_real *real = mem_zalloc(sizeof *real);
    real->env.ops = &real_ops;
    real->env.log = options->log;
    real->env.guarded_stacks = true;
    real->env.name = options->name;
    real->root_fd = real->lock_fd = -1;
    real->directory = options->directory;
    enum status status = choose_backend(real, options->backend, why);
    if (status == STATUS_OK && options->directory) status = open_directory(real, options->directory, why);
    if (status != STATUS_OK) {
        env_real_close(real);
        return status;
    }
    *out = real;
    return STATUS_OK;
}

void env_real_close(struct env_real *real)
{
    if (real->lock_fd >= 0) close(real->lock_fd);
    if (real->root_fd >= 0) close(real->root_fd);
    mem_free(real);
}

struct env *env_real_env(struct env_real *real)
{
    return &real->env;
}

enum env_backend env_real_backend(const struct env_real *real)
{
    return real->backend;
}

const char *env_real_backend_why(const struct env_real *real)
{
    return real->backend_why;
}
