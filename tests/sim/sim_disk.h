/*
 * sim_disk: the disk of one daemon instance. It survives the daemon's kills, and its own power cuts lose what no
 * completed sync covered. Every request of common/runtime/disk.h works; faults are drawn from a seed.
 *
 * The tree below (sim_tree.h) keeps what is durable apart from what is only in the page cache:
 *   - a write is durable after a DISK_SYNC submitted after the write completed, or when written with DISK_DSYNC;
 *   - a name is durable after DISK_SYNC_DIR of its directory; syncing a file does not make its name durable;
 *   - at a power cut every other change is kept, dropped, torn at 512-byte sectors, garbled, or leaves a grown file
 * full of zeros: each on its own, in any combination;
 *   - a sync that fails answers IO once, and the changes it should have covered are lost at the next power cut
 *     although reads still show them and the next sync succeeds.
 * One thread. Requests reach it through the backend of a simulated process (process.h).
 */
#ifndef TRILLIUM_TESTS_SIM_SIM_DISK_H
#define TRILLIUM_TESTS_SIM_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/runtime/disk.h"
#include "tests/sim/sim_tree.h"

struct sim_disk;

/* Chances are parts per million. Zero is a disk that never fails. */
struct sim_disk_faults {
    uint32_t read_error_ppm;  /* a read answers IO */
    uint32_t read_flip_ppm;   /* one bit of what a read returns is wrong, this time */
    uint32_t rot_ppm;         /* one bit of what is read has changed at rest, for good */
    uint32_t write_error_ppm; /* a write answers IO and may have been done in part */
    uint32_t sync_error_ppm;
    uint64_t capacity_bytes; /* writes beyond it answer NO_SPACE; 0: 1 GiB */
    uint32_t slow_factor;    /* multiplies latencies; 0: 1 */
    /* What a power cut does to one change; the rest of the million is dropped. */
    uint32_t crash_keep_ppm, crash_tear_ppm, crash_garble_ppm, crash_zero_ppm;
};

struct sim_disk_counts {
    uint64_t operations, reads, writes, syncs, read_errors, flips, write_errors, sync_errors, no_space, power_cuts;
};

/* Somebody who looks on. Called in the simulator's memory scope. */
struct sim_disk_watch {
    void (*synced)(void *context, bool names);          /* contents or names became durable by a request */
    void (*unlinking)(void *context, const char *path); /* a file's name is about to go */
    void *context;
};

struct sim_disk *sim_disk_create(uint64_t seed);
void sim_disk_destroy(struct sim_disk *disk);
/* A disk of its own with the same contents, durable and not; nothing is open on it. */
struct sim_disk *sim_disk_clone(const struct sim_disk *disk, uint64_t seed);
/* May be changed at any time. A new disk has no faults but keeps 50 % of un-synced changes at a power cut, tears 15 %,
   garbles 5 % and leaves zeros for 5 %. */
struct sim_disk_faults *sim_disk_faults(struct sim_disk *disk);
const struct sim_disk_counts *sim_disk_counts(const struct sim_disk *disk);

/* A power cut. What was open is closed; no request is in flight. */
void sim_disk_crash(struct sim_disk *disk);
/* As above with fates chosen by the caller, for enumerating crash images: choose is asked once for each change, always
   in the same order for equal disks. Names treat everything but SIM_KEEP as dropped. */
void sim_disk_crash_with(
    struct sim_disk *disk, enum sim_fate (*choose)(void *context, const struct sim_change *change), void *context);
/* How many changes a power cut would ask about now. */
uint32_t sim_disk_unsynced(const struct sim_disk *disk);
/* The end of the process that used the disk: what was open is closed, locks end, the page cache stays. */
void sim_disk_process_end(struct sim_disk *disk);

/* One request in progress. latency_ns was drawn at the start. */
struct sim_disk_operation {
    struct list link; /* the holder's */
    struct disk_request *request;
    uint64_t order; /* newest change when it started: what a sync covers */
    uint64_t latency_ns;
};
struct sim_disk_operation *sim_disk_start(struct sim_disk *disk, struct disk_request *request);
/* Does it now: sets status, error and result. Frees the operation; the caller delivers the request. */
void sim_disk_finish(struct sim_disk *disk, struct sim_disk_operation *operation);
/* The process died meanwhile: the request may or may not happen, nobody is told. Frees the operation. */
void sim_disk_abandon(struct sim_disk *disk, struct sim_disk_operation *operation);

/* Assertions and damage. Paths as in disk.h. False when there is no such file. */
bool sim_disk_contents(const struct sim_disk *disk, const char *path, struct buffer *out);
/* Contents as a power cut would leave them if it dropped every change. */
bool sim_disk_durable_contents(const struct sim_disk *disk, const char *path, struct buffer *out);
/* One of a disk's two states: what is durable, or what reads see. */
struct sim_disk_image {
    const struct sim_disk *disk;
    bool durable;
};
/* Reads a part of a file; returns how much there was, 0 when there is no such file. */
uint32_t sim_disk_peek(struct sim_disk_image image, const char *path, void *data, uint32_t size, uint64_t offset);
/* Calls visit for each name in a directory, sorted; false when there is no such directory. */
bool sim_disk_peek_names(struct sim_disk_image image, const char *path,
    void (*visit)(void *context, const char *name, uint64_t size), void *context);
/* One at most; NULL: none. Outlives the disk. */
void sim_disk_watch(struct sim_disk *disk, const struct sim_disk_watch *watch);
/* Flips bits of a file at rest. */
bool sim_disk_damage(struct sim_disk *disk, const char *path, uint64_t offset, uint8_t mask);
/* Calls visit for each file, in order of paths. */
void sim_disk_walk(
    const struct sim_disk *disk, void (*visit)(void *context, const char *path, uint64_t size), void *context);
/* Bytes that files take of the capacity. */
uint64_t sim_disk_used(const struct sim_disk *disk);
/* A hash of all names and contents as reads see them. */
uint64_t sim_disk_hash(const struct sim_disk *disk);

#endif
