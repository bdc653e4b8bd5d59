/*
 * rpc_metrics: the counters of one rpc endpoint as metrics, so that frames and bytes per operation can be read off any
 * daemon; and how often its thread allocated memory. The endpoints of one process are shown as their sum.
 *
 * Threads: init at start-up; show on the endpoint's reactor, once a second or so.
 */
#ifndef TRILLIUM_COMMON_RPC_OBS_RPC_METRICS_H
#define TRILLIUM_COMMON_RPC_OBS_RPC_METRICS_H

#include "common/obs/metrics.h"
#include "common/rpc/rpc.h"

enum { RPC_METRICS_SERIES = 12 };

struct rpc_metrics {
    struct metrics_counter *series[RPC_METRICS_SERIES];
    uint64_t shown[RPC_METRICS_SERIES];
    struct metrics_counter *allocations; /* by the endpoint's thread */
    uint64_t allocations_shown;
};

void rpc_metrics_init(struct rpc_metrics *out, struct metrics *metrics);
/* Tells the metrics what was counted since it was last called. */
void rpc_metrics_show(struct rpc_metrics *shown, const struct rpc *rpc);

#endif
