/*
 * checkpoint: the file that lets an import go on where it ended, and tells later that it was complete:
 * XDG_STATE_HOME/trillium/import-HASH-CLUSTER (else ~/.local/state). It is named after the input's contents and the
 * cluster, so neither a renamed file nor another cluster is mistaken. Replaced atomically; locked by one import at a
 * time. One thread.
 */
#ifndef TRILLIUM_MSGCTL_CHECKPOINT_H
#define TRILLIUM_MSGCTL_CHECKPOINT_H

#include "common/base/hash.h"
#include "common/base/uuid.h"
#include "msgctl/tracker.h"

enum { CHECKPOINT_PATH_BYTES = 4096, CHECKPOINT_WHY_BYTES = 5000 };

struct checkpoint_counts {
    uint64_t stored, deleted, taken, refused, broken; /* taken: the id is there with another content */
};

/* What an import knows of itself. */
struct checkpoint_state {
    struct checkpoint_counts counts;
    int64_t completed_ms; /* since 1970: when every line was settled; 0: some are not */
};

struct checkpoint {
    char path[CHECKPOINT_PATH_BYTES];
    int lock_fd; /* -1: there is no checkpoint, and saving does nothing */
};

/* Makes the folder, takes the lock. CONFLICT: another import of the same file into the same cluster runs; IO. */
enum status checkpoint_open(struct checkpoint *checkpoint, const struct digest *source, const struct uuid *cluster,
    char why[CHECKPOINT_WHY_BYTES]) MUST_CHECK;
void checkpoint_close(struct checkpoint *checkpoint);

/* What a checkpoint says. BAD_REQUEST: not what checkpoint_save writes. Pure. */
enum status checkpoint_decode(struct bytes text, struct tracker *tracker, struct checkpoint_state *state) MUST_CHECK;
/* Of an earlier run. NOT_FOUND; BAD_REQUEST: not readable (it is ignored). */
enum status checkpoint_load(
    const struct checkpoint *checkpoint, struct tracker *tracker, struct checkpoint_state *state) MUST_CHECK;
enum status checkpoint_save(const struct checkpoint *checkpoint, const struct tracker *tracker,
    const struct checkpoint_state *state) MUST_CHECK;

#endif
