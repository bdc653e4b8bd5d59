/*
 * identity: who a data directory belongs to: cluster, daemon, how often it was started, and a mark that a daemon keeps
 * ahead of what it promises (docs/formats/identity.md). The file holds two copies, written one after the
 * other, so that a torn write or a flipped bit leaves one.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_IDENTITY_H
#define TRILLIUM_COMMON_RUNTIME_IDENTITY_H

#include <stddef.h>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/runtime/disk.h"

#define IDENTITY_PATH "identity"
enum { IDENTITY_WHY_BYTES = 256, IDENTITY_FILE_BYTES = 2 * 4096 };

struct identity {
    struct uuid cluster;
    struct uuid daemon; /* made at the first start, never changed */
    uint64_t boot;      /* 1 at the first start */
    int64_t mark;       /* routers: no id above this time (ms since 1970) has been given out; nodes: the number of
                           shards for which the logs are complete; controllers: raft.id */
};

/* One copy as it lies on the disk (4 KiB). CORRUPT or CONFLICT with a sentence in why. Pure; for whoever looks at a
   file offline. */
enum status identity_decode(struct bytes copy, const struct uuid *cluster, struct identity *out, uint64_t *generation,
    char why[IDENTITY_WHY_BYTES]) MUST_CHECK;
/* The whole file as it was read, which may be cut short: of the copies that are whole the newer one, unless one was
   written by a newer program or for another cluster. Pure; for whoever judges a directory before it is touched. */
enum status identity_judge(
    struct bytes file, const struct uuid *cluster, struct identity *out, char why[IDENTITY_WHY_BYTES]) MUST_CHECK;

struct identity_file {
    struct identity identity;
    struct reactor *reactor;
    struct disk_file file;
    uint64_t generation;
};

/* (fiber) Opens or makes the file "identity", counts the start and makes that durable. CONFLICT: the directory belongs
   to another cluster or a newer format wrote it; CORRUPT: both copies are damaged; IO, NO_SPACE. why says it in a
   sentence. */
enum status identity_open(struct reactor *reactor, const struct uuid *cluster, struct identity_file *out,
    char why[IDENTITY_WHY_BYTES]) MUST_CHECK;
/* (fiber) Durable when it returns OK. */
enum status identity_set_mark(struct identity_file *file, int64_t mark) MUST_CHECK;
/* (fiber) The next start counts above boot. Durable when it returns OK. */
enum status identity_raise_boot(struct identity_file *file, uint64_t boot) MUST_CHECK;
/* (fiber) */
void identity_close(struct identity_file *file);

#endif
