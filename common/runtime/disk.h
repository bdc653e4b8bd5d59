/*
 * disk: the door to files. Asynchronous requests, and wrappers that suspend the calling fiber.
 *
 * Paths are relative to the daemon's data directory ("log/00-00000001"), never absolute, never with "..". Durability is
 * the caller's business: a write is durable after disk_sync of its file (or when written with DISK_DSYNC), a name after
 * disk_sync_dir of its directory. After a failed sync nothing of that file may be trusted; the caller dies.
 * Direct files (DISK_DIRECT): buffers, offsets and sizes are multiples of 4096.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_DISK_H
#define TRILLIUM_COMMON_RUNTIME_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/list.h"
#include "common/base/status.h"

struct arena;
struct reactor;

enum { DISK_BLOCK_BYTES = 4096, DISK_PATH_BYTES_MAX = 256 };

enum disk_op {
    DISK_OPEN,        /* path, flags -> file */
    DISK_CLOSE,       /* file */
    DISK_READ,        /* file, data, size, offset -> result bytes (short only at the end of the file) */
    DISK_WRITE,       /* file, data, size, offset, flags -> all or an error */
    DISK_SYNC,        /* file: contents and size */
    DISK_SYNC_DIR,    /* path of a directory ("" is the root): names in it */
    DISK_LINK,        /* path -> path2: hard link; CONFLICT when path2 exists */
    DISK_RENAME,      /* path -> path2, replacing it */
    DISK_UNLINK,      /* path */
    DISK_MKDIR,       /* path; OK when it exists */
    DISK_RMDIR,       /* path, empty */
    DISK_TRUNCATE,    /* file, offset = new size */
    DISK_PREALLOCATE, /* file, offset = size to make sure of */
    DISK_SIZE,        /* file -> result */
    DISK_LIST,        /* path of a directory -> names (files and folders, sorted), in list_names */
    DISK_SPACE,       /* -> result = free bytes, result2 = total bytes of the file system */
    DISK_LOCK,        /* file: exclusive for this process until closed; CONFLICT when another holds it */
};

enum disk_flags {
    DISK_CREATE = 1,    /* open: create when missing */
    DISK_EXCLUSIVE = 2, /* open with DISK_CREATE: CONFLICT when it exists */
    DISK_DIRECT = 4,    /* open: bypass the page cache */
    DISK_READ_ONLY = 8, /* open */
    DISK_DSYNC = 16,    /* write: durable when it completes */
};

struct disk_file {
    int handle; /* -1: none */
};

/* Names of a directory, in one mem_alloc block. */
struct disk_names {
    uint32_t count;
    char **names;
};

struct disk_request {
    enum disk_op op;
    uint32_t flags;
    struct disk_file file;
    const char *path, *path2; /* live until done */
    void *data;               /* live until done */
    uint32_t size;
    uint64_t offset;
    /* Set before done is called: OK, NOT_FOUND, CONFLICT (exists, locked, directory not empty), NO_SPACE, IO (all
       others). */
    enum status status;
    int error; /* errno, for messages */
    uint64_t result, result2;
    struct disk_names list_names; /* the receiver frees with disk_names_free */
    void (*done)(struct disk_request *request);
    struct list link; /* the backend's */
    void *backend;    /* the backend's */
};

/* Asynchronous: request->done is called in a later turn. The request lives until then. */
void disk_submit(struct reactor *reactor, struct disk_request *request);

/* The wrappers below run in a fiber and suspend it. */
enum status disk_open(struct reactor *reactor, const char *path, uint32_t flags, struct disk_file *out) MUST_CHECK;
void disk_close(struct reactor *reactor, struct disk_file *file);
/* Reads exactly size bytes; CORRUPT when the file is shorter. */
enum status disk_read(
    struct reactor *reactor, struct disk_file file, void *data, uint32_t size, uint64_t offset) MUST_CHECK;
enum status disk_write(
    struct reactor *reactor, struct disk_file file, const void *data, uint32_t size, uint64_t offset) MUST_CHECK;
enum status disk_sync(struct reactor *reactor, struct disk_file file) MUST_CHECK;
enum status disk_sync_dir(struct reactor *reactor, const char *path) MUST_CHECK;
enum status disk_link(struct reactor *reactor, const char *from, const char *to) MUST_CHECK;
enum status disk_rename(struct reactor *reactor, const char *from, const char *to) MUST_CHECK;
enum status disk_unlink(struct reactor *reactor, const char *path) MUST_CHECK;
enum status disk_mkdir(struct reactor *reactor, const char *path) MUST_CHECK;
enum status disk_rmdir(struct reactor *reactor, const char *path) MUST_CHECK;
enum status disk_truncate(struct reactor *reactor, struct disk_file file, uint64_t size) MUST_CHECK;
enum status disk_preallocate(struct reactor *reactor, struct disk_file file, uint64_t size) MUST_CHECK;
enum status disk_size(struct reactor *reactor, struct disk_file file, uint64_t *out) MUST_CHECK;
enum status disk_list(struct reactor *reactor, const char *path, struct disk_names *out) MUST_CHECK;
enum status disk_space(struct reactor *reactor, uint64_t *free_bytes, uint64_t *total_bytes) MUST_CHECK;
enum status disk_lock(struct reactor *reactor, struct disk_file file) MUST_CHECK;
/* For backends: copies names, which the caller has sorted by strcmp. */
struct disk_names disk_names_create(const char *const *sorted, uint32_t count);
void disk_names_free(struct disk_names *names);

/* A whole small file (at most size_max bytes; TOO_BIG above) into arena memory. */
enum status disk_read_file(
    struct reactor *reactor, const char *path, struct arena *arena, uint32_t size_max, struct bytes *out) MUST_CHECK;
/* Replaces a small file atomically and durably: PATH.new written and synced, renamed, directory synced. After an error
   either content may be found after a crash. */
enum status disk_replace_file(struct reactor *reactor, const char *path, const void *data, uint32_t size) MUST_CHECK;

#endif
