/*
 * node: the inside of struct noded, for the files of noded/api only; noded/noded.h has the contract.
 *
 * Shards share nothing but this: what does not change after the start, atomics, and what belongs to shard 0 alone.
 */
#ifndef TRILLIUM_NODED_API_NODE_H
#define TRILLIUM_NODED_API_NODE_H

#include <stdatomic.h>

#include "common/cluster/address.h"
#include "common/cluster/membership.h"
#include "common/runtime/identity.h"
#include "noded/api/face.h"
#include "noded/api/rebuild.h"
#include "noded/api/space_keeper.h"
#include "noded/noded.h"
#include "noded/settings.h"

/* One shard's seat: its start fiber, and the steps that all shards take together. */
struct seat {
    struct noded *noded;
    uint16_t index;
    struct reactor *reactor;
    struct shard *shard;
    struct face face;
    struct rebuild *rebuild; /* NULL until it listens */
    /* Barrier: the shard says that it arrived, shard 0 lets all go on. One mail of each kind at a time. */
    struct mail arrived, proceed;
    uint32_t step; /* barriers passed */
    struct gate gate;
    struct mail drain, drained;
    struct mail lapse, lapsed; /* everything of the shard is to be marked as lapsed; it is, or not */
    enum status lapse_status;
    /* Between the first view and being ready: are the routers here? */
    struct timer meet;
    uint64_t meet_until_ns;
};

struct noded {
    struct host host;
    const struct noded_settings *settings;
    struct uuid cluster;
    char address[ADDRESS_BYTES];
    char **controller_addresses;
    uint64_t started_ns;
    uint16_t shards;
    struct seat *seats;
    struct rpc_info self; /* complete, but for synced, before any shard listens */
    bool new_shards;      /* the directory was last used with another number of shards; set before the first barrier */
    _Atomic uint64_t next_file_id;
    _Atomic uint64_t synced[SHARDS_MAX];
    _Atomic uint64_t view_version;
    atomic_uint met; /* shards that took a view over and met the routers */

    /* Shard 0's. */
    struct space_keeper space; /* but for what it says */
    struct identity_file identity;
    struct controllers *controllers;
    struct membership *membership;
    struct shared_view *view; /* held; the newest */
    uint32_t id;              /* this node's number; 0: not known yet */
    unsigned arrived, drained, lapsed;
    bool serving;
    atomic_bool stop_asked;
    struct gate changed; /* one of the above */
};

#endif
