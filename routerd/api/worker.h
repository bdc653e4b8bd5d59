/*
 * worker: one reactor of routerd with everything that client calls need: coordinator, boarding, ids.
 *
 * A channel belongs to one worker in the router ring, so that its reads meet in one place; any worker serves any
 * channel right. Workers share nothing but immutable views and the id clock's high-water mark.
 */
#ifndef TRILLIUM_ROUTERD_API_WORKER_H
#define TRILLIUM_ROUTERD_API_WORKER_H

#include "common/cluster/controllers.h"
#include "common/cluster/shared_view.h"
#include "common/obs/metrics.h"
#include "common/rpc/obs/rpc_metrics.h"
#include "routerd/api/makers.h"
#include "routerd/coalesce/coalesce.h"
#include "routerd/coordinator/coordinator.h"
#include "routerd/coordinator/tally.h"

struct routerd;

struct worker_metrics {
    struct metrics_counter *calls, *failures, *unknown;
    struct metrics_counter *flights, *boarded, *mismatches, *write_backs, *hedges, *suspicions, *abandoned, *full;
    struct histogram *read, *write;
    struct rpc_metrics rpc;
};

struct worker {
    struct routerd *routerd;
    unsigned index;
    struct reactor *reactor;
    struct rpc *rpc;
    struct rpc_listener *internal, *clients; /* NULL until they listen */
    struct controllers *controllers;
    struct shared_view *view; /* held; NULL until the first */
    struct coordinator coordinator;
    struct coalesce coalesce;
    struct makers makers;
    _Atomic int64_t *given_ms; /* time of the highest id reserved by any worker */
    struct list ring_waiters;  /* parked RING calls */
    struct timer tick;         /* once a second: parked calls, counters */
    struct worker_metrics metrics;
    struct timer drain; /* after the goodbye: until what was under way has ended */
    void (*drained)(void *context);
    void *drained_context;
    uint64_t calls, failures;
    unsigned lines; /* about calls, in this second */
};

/* The handlers, by file. Their context is the worker. */
extern const struct rpc_handlers MESSAGE_HANDLERS, LIST_HANDLERS, CHANNEL_HANDLERS, ID_HANDLERS;

/* Takes the view over (holds it) and answers parked RING calls. */
void worker_use_view(struct worker *worker, struct shared_view *view);

/* Answers a client's call and counts it; one that failed or was slow leaves a line with its trace. */
void worker_answer(struct worker *worker, struct rpc_request *request, enum status status, const struct rpc_body *body);
/* Whether what took so long and ended so is to leave a line, and a line may be written: a few in a second. */
bool worker_may_log(struct worker *worker, enum status status, uint64_t took_us);
/* What is now for ids: one that lies after it is TOO_NEW. */
int64_t worker_id_now_ms(struct worker *worker);
/* What is left of the request's budget, for the calls that serve it. */
uint32_t worker_budget_us(const struct worker *worker, const struct rpc_request *request);
/* BAD_REQUEST for a level that is not one. */
enum status worker_level(unsigned wire, enum level *out) MUST_CHECK;

#endif
