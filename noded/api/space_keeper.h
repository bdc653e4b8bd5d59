/*
 * space_keeper: watches the disk of a node, tells its shards at which level it is (common/cluster/space_level.h), and
 * holds the reserve: a file of its size, without contents, so that nobody else can use up these bytes. When a shard can
 * write no segment or no file, the file is cut to nothing; it grows again when nobody has lacked space for a while.
 *
 * One fiber on shard 0's reactor; it ends with the node's stop.
 */
#ifndef TRILLIUM_NODED_API_SPACE_KEEPER_H
#define TRILLIUM_NODED_API_SPACE_KEEPER_H

#include <stdatomic.h>

#include "common/cluster/space_level.h"
#include "common/obs/metrics.h"
#include "common/runtime/disk.h"
#include "common/runtime/fiber.h"

#define SPACE_RESERVE_PATH "reserve"

struct noded;

struct space_keeper {
    struct noded *noded;
    struct reactor *reactor;
    struct space space; /* as last seen */
    enum space_level level;
    struct disk_file file; /* the reserve's */
    uint64_t lacked_ns;    /* when somebody lacked space last; 0: never */
    bool stopping, running;
    struct gate wake;
    struct {
        struct metrics_gauge *free, *total, *reserve, *held, *level;
    } metrics;
    /* Any shard's: it lacks space. */
    atomic_bool lacking;
    /* For those who ask from other threads. */
    atomic_uint shown;
};

/* (fiber) The data directory is open and no shard has read anything yet: tells the shards how large the disk is, and
   the level. The reserve is given up: starting may need space too, and it is made anew after it. */
void space_keeper_open(struct space_keeper *keeper, struct noded *noded);
/* All shards are recovered. */
void space_keeper_start(struct space_keeper *keeper);
/* (fiber) */
void space_keeper_stop(struct space_keeper *keeper);
/* (any thread) What /readyz says of a node that serves. */
void space_keeper_say_ready(struct space_keeper *keeper);

#endif
