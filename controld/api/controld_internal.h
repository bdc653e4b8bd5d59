/* controld_internal: the one struct behind controld.h and the calls between its files. */
#ifndef TRILLIUM_CONTROLD_API_CONTROLD_INTERNAL_H
#define TRILLIUM_CONTROLD_API_CONTROLD_INTERNAL_H

#include "common/obs/health.h"
#include "common/obs/metrics.h"
#include "common/rpc/obs/rpc_metrics.h"
#include "common/runtime/fiber.h"
#include "common/runtime/identity.h"
#include "controld/api/duties.h"
#include "controld/api/member.h"
#include "controld/api/presence.h"
#include "controld/api/proposals.h"
#include "controld/api/snapshots.h"
#include "controld/api/state.h"
#include "controld/api/views.h"
#include "controld/controld.h"
#include "controld/settings.h"

struct controld_metrics {
    struct metrics_gauge *leader, *term, *applied, *view_version, *log_bytes, *nodes, *ranges;
    struct metrics_counter *changes;
    struct rpc_metrics rpc;
};

struct controld {
    struct host host;
    struct reactor *reactor;
    const struct controld_settings *settings;
    uint64_t id;
    struct view_controller controllers[CONTROLLERS_MAX]; /* ascending by id */
    unsigned controllers_count;
    char listen_address[ADDRESS_BYTES];
    struct identity_file identity;
    struct state state;
    struct member *member;
    struct rpc *rpc;
    struct rpc_listener *listener;
    struct presence presence;
    struct proposals proposals;
    struct views views;
    struct duties duties;
    struct controld_metrics metrics;
    bool started, stopping, said_goodbye;
    struct raft_status told; /* role, term and leader as last logged */
    struct timer tick;       /* once a second: counters */
    struct gate gate;        /* started, or said goodbye */
};

/* calls.c: the handlers of the control conversation; listens with them. */
enum status calls_listen(struct controld *controld) MUST_CHECK;

#endif
