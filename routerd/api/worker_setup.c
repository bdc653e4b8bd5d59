#include "routerd/api/worker_setup.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/cluster/address.h"
#include "common/runtime/fiber.h"
#include "proto/admin.pb-c.h"
#include "routerd/api/ids.h"
#include "routerd/api/lists.h"

enum { TICK_MS = 1000, CLIENT_PIPES_MAX = 384 };

static void handle_status(void *context, struct rpc_request *request)
{
    struct worker *worker = context;
    Trillium__V1__RouterStatusAnswer answer = TRILLIUM__V1__ROUTER_STATUS_ANSWER__INIT;
    answer.version = (char *)(uintptr_t)TRILLIUM_VERSION;
    answer.workers = 1;
    answer.view_version = worker->view ? worker->view->view.version : 0;
    answer.calls = worker->calls;
    answer.failures = worker->failures;
    answer.boarded = worker->coalesce.joined;
    enum makers_clock clock =
        makers_clock(&worker->makers, reactor_wall_us(worker->reactor) / 1000, &answer.clock_behind_ms);
    answer.gives_no_ids = clock == MAKERS_CLOCK_WRONG;
    size_t position = 0;
    for (struct replica *replica; (replica = map_next(&worker->coordinator.replicas.by_key, &position, NULL));) {
        answer.nodes_up += replica_is_up(replica);
        answer.nodes_suspected += replica->suspected;
    }
    struct rpc_answer reply = {.body = RPC_MESSAGE(&answer)};
    rpc_answer(request, STATUS_OK, &reply);
}

/* The counter is this worker's own, so what it was told so far stands in it. */
static void show(struct metrics_counter *counter, uint64_t value)
{
    metrics_count(counter, value - atomic_load_explicit(&counter->value, memory_order_relaxed));
}

static void tick(struct timer *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, tick);
    const struct coordinator_counters *counters = &worker->coordinator.counters;
    ids_answer_ring_waiters(worker, false);
    worker->lines = 0;
    show(worker->metrics.flights, worker->coalesce.flights);
    show(worker->metrics.boarded, worker->coalesce.joined);
    show(worker->metrics.mismatches, counters->mismatches);
    show(worker->metrics.write_backs, counters->write_backs);
    show(worker->metrics.hedges, counters->hedges);
    show(worker->metrics.abandoned, counters->abandoned);
    show(worker->metrics.full, counters->full);
    show(worker->metrics.suspicions, worker->coordinator.replicas.suspicions);
    rpc_metrics_show(&worker->metrics.rpc, worker->rpc);
    timer_start_in(timer, (uint64_t)TICK_MS * 1000000);
}

static void make_metrics(struct worker *worker, struct metrics *metrics)
{
    struct worker_metrics *m = &worker->metrics;
    m->calls = metrics_counter(metrics, "trillium_router_calls_total", "", "client calls answered");
    m->failures = metrics_counter(
        metrics, "trillium_router_failures_total", "", "client calls answered with a class RETRY or UNKNOWN");
    m->unknown = metrics_counter(metrics, "trillium_router_unknown_total", "", "client calls whose outcome is unknown");
    m->flights = metrics_counter(metrics, "trillium_router_flights_total", "", "reads sent to replicas");
    m->boarded = metrics_counter(metrics, "trillium_router_boarded_total", "", "reads that joined a waiting flight");
    m->mismatches = metrics_counter(metrics, "trillium_router_mismatches_total", "", "reads whose digests differed");
    m->write_backs = metrics_counter(metrics, "trillium_router_write_backs_total", "", "write-backs sent");
    m->hedges = metrics_counter(metrics, "trillium_router_hedges_total", "", "reads sent to one replica more");
    m->suspicions = metrics_counter(metrics, "trillium_router_suspicions_total", "", "times a replica was suspected");
    m->abandoned = metrics_counter(
        metrics, "trillium_router_abandoned_total", "", "writes told of whose slowest replica was not waited for");
    m->full = metrics_counter(
        metrics, "trillium_router_full_total", "", "writes refused at once because too few nodes have disk space");
    m->read = metrics_latency(metrics, "trillium_router_read_seconds", "", "from boarding to landing");
    rpc_metrics_init(&m->rpc, metrics);
    m->write = metrics_latency(metrics, "trillium_router_write_seconds", "", "creates and deletes, until decided");
}

static const struct rpc_handler status_handlers[] = {
    {METHOD_ADMIN_ROUTER_STATUS, RPC_ROLES_ALL, handle_status, NULL},
};
static const struct rpc_handlers STATUS_HANDLERS = {status_handlers, 1};

static enum status listen_at(struct worker *worker, const struct rpc_listen_options *options, const char *address,
    unsigned distance, struct rpc_listener **out)
{
    static const struct rpc_handlers *const all[] = {
        &MESSAGE_HANDLERS, &LIST_HANDLERS, &CHANNEL_HANDLERS, &ID_HANDLERS, &STATUS_HANDLERS};
    char at[ADDRESS_BYTES];
    struct rpc_listen_options listen = *options;
    enum status status = address_shift(address, distance + worker->index, at);
    listen.address = at;
    if (status == STATUS_OK) status = rpc_listen(worker->rpc, &listen, out);
    if (status == STATUS_OK) rpc_listener_handle_all(*out, all, sizeof all / sizeof *all, worker);
    return status;
}

static enum status listen_to_all(struct worker *worker, const char *address)
{
    static const struct rpc_listen_options internal = {.kind = RPC_INTERNAL},
                                           clients = {.kind = RPC_CLIENT, .pipes_max = CLIENT_PIPES_MAX};
    enum status status = listen_at(worker, &internal, address, PORT_RPC, &worker->internal);
    if (status == STATUS_OK) status = listen_at(worker, &clients, address, PORT_CLIENTS, &worker->clients);
    return status;
}

/* Calls to replicas have ended with the pipes; whoever waited for them needs some turns to notice. */
static void check_drained(struct timer *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, drain);
    if (worker->coordinator.open > 0 || fiber_count(worker->reactor) > 0)
        timer_start_in(timer, 1000000);
    else
        worker->drained(worker->drained_context);
}

enum status worker_init(struct worker *worker, const struct worker_options *options)
{
    struct reactor *reactor = options->host->reactors[options->index];
    *worker = (struct worker){.routerd = options->routerd, .index = options->index, .reactor = reactor};
    struct rpc_options rpc = {.reactor = reactor, .self = options->self};
    worker->rpc = rpc_create(&rpc);
    enum status status =
        controllers_create(worker->rpc, options->controllers, options->controllers_count, &worker->controllers);
    if (status == STATUS_OK) status = listen_to_all(worker, options->address);
    if (status != STATUS_OK) {
        if (worker->controllers) controllers_destroy(worker->controllers);
        rpc_destroy(worker->rpc);
        return status;
    }
    coordinator_init(&worker->coordinator, reactor, worker->rpc);
    coalesce_init(&worker->coalesce, reactor, lists_depart, worker);
    makers_init(&worker->makers, env_mono_ns(options->host->env), INT64_MAX, options->ceiling_ms);
    worker->given_ms = options->given_ms;
    list_init(&worker->ring_waiters);
    make_metrics(worker, options->host->metrics);
    timer_init(&worker->tick, reactor, tick);
    timer_init(&worker->drain, reactor, check_drained);
    timer_start_in(&worker->tick, (uint64_t)TICK_MS * 1000000);
    return STATUS_OK;
}

static void said_goodbye(void *context)
{
    struct worker *worker = context;
    timer_start_in(&worker->drain, 0);
}

void worker_drain(struct worker *worker, void (*done)(void *context), void *context)
{
    worker->drained = done;
    worker->drained_context = context;
    timer_stop(&worker->tick);
    if (worker->view) ids_answer_ring_waiters(worker, true);
    replicas_quieten(&worker->coordinator.replicas);
    rpc_goodbye(worker->rpc, said_goodbye, worker);
}

void worker_fini(struct worker *worker)
{
    coalesce_fini(&worker->coalesce);
    coordinator_fini(&worker->coordinator);
    controllers_destroy(worker->controllers);
    rpc_destroy(worker->rpc);
    shared_view_release(worker->view);
}

bool worker_reaches_quorums(struct worker *worker)
{
    if (!worker->view || worker->view->view.ranges_count == 0) return false;
    const struct view *view = &worker->view->view;
    for (unsigned i = 0; i < view->ranges_count; i++) {
        struct replica *replicas[REPLICAS_MAX];
        unsigned count = coordinator_replicas(&worker->coordinator, &view->ranges[i], replicas), up = 0;
        for (unsigned k = 0; k < count; k++)
            up += replica_is_up(replicas[k]);
        if (up < level_needed(LEVEL_QUORUM_OF_N, view->ranges[i].replicas_count)) return false;
    }
    return true;
}
