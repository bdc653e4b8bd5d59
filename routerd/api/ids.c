/*
 * Calls about ids and places: Reserve, Lease, the router ring, import sessions.
 */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/runtime/fiber.h"
#include "proto/client.pb-c.h"
#include "routerd/api/ids.h"
#include "routerd/api/worker.h"

enum { RING_PARK_MS = 20000 };

/* The mark on disk is kept ahead of it. */
static void note_given(struct worker *worker)
{
    int64_t given = worker->makers.last_ms, known = atomic_load(worker->given_ms);
    while (given > known && !atomic_compare_exchange_weak(worker->given_ms, &known, given))
        ;
}

static void handle_reserve(void *context, struct rpc_request *request)
{
    struct worker *worker = context;
    Trillium__V1__ReserveCall *call =
        rpc_decode(&request->arena, &trillium__v1__reserve_call__descriptor, request->body);
    enum status status = call && call->count >= 1 && call->count <= RESERVE_MAX ? STATUS_OK : STATUS_BAD_REQUEST;
    Trillium__V1__ReserveAnswer answer = TRILLIUM__V1__RESERVE_ANSWER__INIT;
    if (status == STATUS_OK) {
        answer.ids = arena_alloc(&request->arena, call->count * sizeof *answer.ids);
        answer.n_ids = call->count;
        status = makers_reserve(&worker->makers, call->count, reactor_wall_us(worker->reactor) / 1000, answer.ids);
        note_given(worker);
    }
    worker_answer(worker, request, status, status == STATUS_OK ? RPC_MESSAGE(&answer) : RPC_EMPTY);
}

static void handle_lease(void *context, struct rpc_request *request)
{
    struct worker *worker = context;
    Trillium__V1__LeaseCall *call = rpc_decode(&request->arena, &trillium__v1__lease_call__descriptor, request->body);
    struct maker_lease lease;
    uint16_t number;
    enum status status =
        call && call->instance.len == sizeof(struct uuid) && call->maker <= UINT16_MAX ? STATUS_OK : STATUS_BAD_REQUEST;
    Trillium__V1__LeaseAnswer answer = TRILLIUM__V1__LEASE_ANSWER__INIT;
    if (status == STATUS_OK) {
        struct maker_request wanted = {.held = call->renew ? (uint16_t)call->maker : 0,
            .now_ns = reactor_now_ns(worker->reactor),
            .wall_ms = reactor_wall_us(worker->reactor) / 1000};
        memcpy(wanted.instance.bytes, call->instance.data, sizeof wanted.instance.bytes);
        status = makers_lease(&worker->makers, &wanted, &lease, &number);
    }
    if (status == STATUS_OK) {
        answer.maker = number;
        answer.lease_ms = LEASE_MS;
        answer.floor_unix_ms = lease.floor_unix_ms > 0 ? (uint64_t)lease.floor_unix_ms : 0;
    }
    /* Having none to give is no failure: clients then reserve. */
    if (status == STATUS_UNAVAILABLE)
        rpc_answer(request, status, NULL);
    else
        worker_answer(worker, request, status, status == STATUS_OK ? RPC_MESSAGE(&answer) : RPC_EMPTY);
}

/* ---- the router ring ---- */

struct ring_waiter {
    struct list link;
    struct rpc_request *request;
    uint64_t since_ns;
};

static void answer_ring(struct worker *worker, struct rpc_request *request)
{
    Trillium__V1__RingAnswer answer = TRILLIUM__V1__RING_ANSWER__INIT;
    const struct view *view = &worker->view->view;
    Trillium__V1__RouterEntry *entries = arena_alloc(&request->arena, view->routers_count * sizeof *entries);
    answer.version = view->version;
    answer.cluster_uuid = (ProtobufCBinaryData){sizeof view->cluster.bytes, (uint8_t *)(uintptr_t)view->cluster.bytes};
    answer.routers = arena_alloc(&request->arena, view->routers_count * sizeof *answer.routers);
    for (unsigned i = 0; i < view->routers_count; i++) {
        trillium__v1__router_entry__init(&entries[i]);
        entries[i].id = view->routers[i].id.value;
        entries[i].address = (char *)(uintptr_t)view->routers[i].address;
        entries[i].workers = view->routers[i].workers;
        answer.routers[answer.n_routers++] = &entries[i];
    }
    worker_answer(worker, request, STATUS_OK, RPC_MESSAGE(&answer));
}

static void unpark(struct ring_waiter *waiter)
{
    list_remove(&waiter->link);
    waiter->request->on_cancel = NULL;
}

static void cancel_ring(struct rpc_request *request)
{
    struct ring_waiter *waiter = request->user;
    list_remove(&waiter->link);
    rpc_answer(request, STATUS_TIMEOUT, NULL);
}

static void handle_ring(void *context, struct rpc_request *request)
{
    struct worker *worker = context;
    Trillium__V1__RingCall *call = rpc_decode(&request->arena, &trillium__v1__ring_call__descriptor, request->body);
    if (!call || !worker->view) {
        worker_answer(worker, request, call ? STATUS_UNAVAILABLE : STATUS_BAD_REQUEST, RPC_EMPTY);
        return;
    }
    if (call->have != worker->view->view.version || request->plain) {
        answer_ring(worker, request);
        return;
    }
    struct ring_waiter *waiter = arena_alloc(&request->arena, sizeof *waiter);
    *waiter = (struct ring_waiter){.request = request, .since_ns = reactor_now_ns(worker->reactor)};
    list_push_back(&worker->ring_waiters, &waiter->link);
    request->user = waiter;
    request->on_cancel = cancel_ring;
    rpc_request_drop_body(request);
}

void ids_answer_ring_waiters(struct worker *worker, bool all)
{
    uint64_t now = reactor_now_ns(worker->reactor);
    LIST_FOR_EACH (link, &worker->ring_waiters) {
        struct ring_waiter *waiter = CONTAINER_OF(link, struct ring_waiter, link);
        bool due = now - waiter->since_ns >= (uint64_t)RING_PARK_MS * 1000000;
        if (!all && !due) continue;
        unpark(waiter);
        answer_ring(worker, waiter->request);
    }
}

/* ---- import sessions: controld's, passed on ---- */

struct import_op {
    struct worker *worker;
    struct rpc_request *request;
};

static void pass_import(void *argument)
{
    struct import_op *op = argument;
    struct worker *worker = op->worker;
    struct rpc_request *request = op->request;
    struct controllers_call call = {
        .method = METHOD_CONTROL_IMPORT, .leader = true, .budget_us = 1000000, .deadline_ns = request->deadline_ns};
    struct rpc_reply reply;
    enum status status =
        controllers_call_wait(worker->controllers, &call, RPC_BYTES(request->body), &request->arena, &reply);
    worker_answer(worker, request, status, status == STATUS_OK ? RPC_BYTES(reply.body) : RPC_EMPTY);
}

static void handle_import(void *context, struct rpc_request *request)
{
    struct worker *worker = context;
    if (!rpc_decode(&request->arena, &trillium__v1__import_call__descriptor, request->body)) {
        worker_answer(worker, request, STATUS_BAD_REQUEST, RPC_EMPTY);
        return;
    }
    struct import_op *op = arena_alloc(&request->arena, sizeof *op);
    *op = (struct import_op){worker, request};
    fiber_start(worker->reactor, "import-session", pass_import, op);
}

static const struct rpc_handler handlers[] = {
    {METHOD_RESERVE, RPC_ROLES_ALL, handle_reserve, NULL},
    {METHOD_LEASE, RPC_ROLES_ALL, handle_lease, NULL},
    {METHOD_RING, RPC_ROLES_ALL, handle_ring, NULL},
    {METHOD_IMPORT, RPC_ROLES_ALL, handle_import, NULL},
};
const struct rpc_handlers ID_HANDLERS = {handlers, sizeof handlers / sizeof *handlers};
