/*
 * rebuild: one shard's care for its replicas that have lapsed (docs/protocols/rebuild.md): it tells controld, empties
 * them, fills them from enough other nodes, and tells controld again. One fiber, one replica at a time; whatever fails
 * is tried again, whatever was done is not done twice.
 */
#ifndef TRILLIUM_NODED_API_REBUILD_H
#define TRILLIUM_NODED_API_REBUILD_H

#include "noded/shard/shard.h"

struct controllers;
struct rpc;
struct rebuild;

struct rebuild_options {
    struct shard *shard;
    struct rpc *rpc;                /* of the shard's face */
    const char *const *controllers; /* addresses; live as long as the rebuild */
    unsigned controllers_count;
    uint64_t bytes_per_second; /* fetched at most */
};

/* The shard was started. */
struct rebuild *rebuild_start(const struct rebuild_options *options);
/* (fiber) Returns when nothing of it is under way; frees. Before the end of the shard and of its rpc. */
void rebuild_stop(struct rebuild *rebuild);

#endif
