/*
 * space_calls: how routers learn how full the node's disk is: they park a call at each shard (REPLICA_SPACE), answered
 * when the level changes or after 20 s. Belongs to the shard's reactor.
 */
#ifndef TRILLIUM_NODED_API_SPACE_CALLS_H
#define TRILLIUM_NODED_API_SPACE_CALLS_H

#include "common/rpc/rpc.h"

enum { SPACE_CALLS_MAX = 1024 };

struct shard;
struct space_calls {
    struct shard *shard; /* whose level is told */
    struct list parked;
    uint32_t count;
    bool closed;
};

void space_calls_init(struct space_calls *calls, struct shard *shard);
/* Answers those whose caller knows another level, or has waited long enough. After each change, and once a second. */
void space_calls_answer(struct space_calls *calls);
/* All parked calls are answered, and none is parked any more. */
void space_calls_close(struct space_calls *calls);
void space_calls_handle(struct space_calls *calls, struct rpc_request *request);

#endif
