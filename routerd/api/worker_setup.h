/* worker_setup: a worker's beginning and end. */
#ifndef TRILLIUM_ROUTERD_API_WORKER_SETUP_H
#define TRILLIUM_ROUTERD_API_WORKER_SETUP_H

#include "common/runtime/host.h"
#include "routerd/api/worker.h"

struct worker_options {
    struct routerd *routerd;
    const struct host *host;
    unsigned index;
    struct rpc_info self;
    const char *address; /* host:base port */
    const char *const *controllers;
    unsigned controllers_count;
    _Atomic int64_t *ceiling_ms, *given_ms;
};

/* Listens, too. An error leaves nothing behind. */
enum status worker_init(struct worker *worker, const struct worker_options *options) MUST_CHECK;
/* Refuses and drains; done is called on the worker's thread. Once. */
void worker_drain(struct worker *worker, void (*done)(void *context), void *context);
/* Drained. */
void worker_fini(struct worker *worker);
/* True when a quorum of every range's replicas can be reached. */
bool worker_reaches_quorums(struct worker *worker);

#endif
