#include "routerd/api/worker.h"

#include "common/base/check.h"
#include "routerd/api/ids.h"

/* As a node's: whoever is slow there is slow here. */
enum { SLOW_MS = 100, LINES_PER_SECOND = 20 };

uint32_t worker_budget_us(const struct worker *worker, const struct rpc_request *request)
{
    uint64_t now = reactor_now_ns(worker->reactor);
    uint64_t left = request->deadline_ns > now ? (request->deadline_ns - now) / 1000 : 0;
    /* What is answered to the client must still reach it. */
    left -= left / 16;
    if (left > (uint64_t)CALL_BUDGET_MS_MAX * 1000) left = (uint64_t)CALL_BUDGET_MS_MAX * 1000;
    return left < 1000 ? 1000 : (uint32_t)left;
}

int64_t worker_id_now_ms(struct worker *worker)
{
    return makers_now_ms(&worker->makers, reactor_wall_us(worker->reactor) / 1000);
}

enum status worker_level(unsigned wire, enum level *out)
{
    if (wire < LEVEL_ONE_OF_N || wire > LEVEL_ALL_OF_N) return STATUS_BAD_REQUEST;
    *out = (enum level)wire;
    return STATUS_OK;
}

static bool has_failed(enum status status)
{
    enum status_class class = status_class(status);
    return class == STATUS_CLASS_RETRY || class == STATUS_CLASS_UNKNOWN || class == STATUS_CLASS_LOCAL;
}

bool worker_may_log(struct worker *worker, enum status status, uint64_t took_us)
{
    if (!has_failed(status) && took_us < SLOW_MS * 1000) return false;
    return ++worker->lines <= LINES_PER_SECOND;
}

static void note(struct worker *worker, const struct rpc_request *request, enum status status)
{
    bool failed = has_failed(status);
    uint64_t took_us = (reactor_now_ns(worker->reactor) - request->arrived_ns) / 1000;
    worker->calls++;
    metrics_count(worker->metrics.calls, 1);
    if (failed) {
        worker->failures++;
        metrics_count(worker->metrics.failures, 1);
        if (status_class(status) == STATUS_CLASS_UNKNOWN) metrics_count(worker->metrics.unknown, 1);
    }
    /* A parked call is not slow, and nobody waits for one that was cancelled. */
    if (request->method == METHOD_RING || request->cancelled || !worker_may_log(worker, status, took_us)) return;
    LOG(reactor_log(worker->reactor), WARN, failed ? "call.failed" : "call.slow",
        "method=%s status=%s trace=%016llx took_us=%llu from=%s", method_name(request->method), status_name(status),
        (unsigned long long)request->trace, (unsigned long long)took_us, request->remote);
}

void worker_answer(struct worker *worker, struct rpc_request *request, enum status status, const struct rpc_body *body)
{
    note(worker, request, status);
    struct rpc_answer answer = {.retry_after_us = status_class(status) == STATUS_CLASS_RETRY ? 20000 : 0, .body = body};
    rpc_answer(request, status, &answer);
}

void worker_use_view(struct worker *worker, struct shared_view *view)
{
    struct shared_view *old = worker->view;
    worker->view = shared_view_hold(view);
    coordinator_use_view(&worker->coordinator, &worker->view->view);
    shared_view_release(old);
    ids_answer_ring_waiters(worker, true);
}
