#include "noded/api/face.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "noded/api/node.h"

enum { SLOW_MS = 100, LINES_PER_SECOND = 20, RETRY_AFTER_US = 5000 };

/* ---- metrics ---- */

static struct metrics_counter *counter(struct metrics *metrics, unsigned shard, const char *name, const char *help)
{
    char labels[32];
    snprintf(labels, sizeof labels, "shard=\"%u\"", shard);
    return metrics_counter(metrics, name, labels, help);
}

static struct metrics_gauge *gauge(struct metrics *metrics, unsigned shard, const char *name, const char *help)
{
    char labels[32];
    snprintf(labels, sizeof labels, "shard=\"%u\"", shard);
    return metrics_gauge(metrics, name, labels, help);
}

static struct histogram *latency(struct metrics *metrics, unsigned shard, const char *op)
{
    char labels[48];
    snprintf(labels, sizeof labels, "shard=\"%u\",op=\"%s\"", shard, op);
    return metrics_latency(metrics, "trillium_node_call_seconds", labels, "Time from a call's arrival to its answer.");
}

static void init_metrics(struct face_metrics *out, struct metrics *m, unsigned shard)
{
    out->writes = counter(m, shard, "trillium_node_writes_total", "Changes taken into the log.");
    out->reads = counter(m, shard, "trillium_node_reads_total", "Reads served.");
    out->failures = counter(m, shard, "trillium_node_failures_total", "Calls that ended other than done.");
    out->busy = counter(m, shard, "trillium_node_busy_total", "Changes refused because of overload.");
    out->full = counter(m, shard, "trillium_node_full_total", "Changes refused because of a full disk.");
    out->stale = counter(m, shard, "trillium_node_stale_epochs_total", "Calls refused because of their epoch.");
    out->damaged = counter(m, shard, "trillium_node_damaged_total", "Calls that met damaged or unreadable data.");
    out->lapses = counter(m, shard, "trillium_node_lapses_total", "Replicas found to have lost something.");
    out->rebuilt = counter(m, shard, "trillium_node_rebuilt_total", "Lapsed replicas that are whole again.");
    out->copied = counter(m, shard, "trillium_node_copied_bytes_total", "Bytes fetched to rebuild lapsed replicas.");
    out->flushed = counter(m, shard, "trillium_node_flushed_bytes_total", "Bytes written to files by flushes.");
    out->compacted = counter(m, shard, "trillium_node_compacted_bytes_total", "Bytes written to files by compactions.");
    out->logged = counter(m, shard, "trillium_node_log_bytes_total", "Bytes written to the commit log.");
    out->ranges = gauge(m, shard, "trillium_node_ranges", "Range replicas on this shard.");
    out->lapsed = gauge(m, shard, "trillium_node_lapsed_ranges", "Range replicas that must be rebuilt.");
    out->memtable = gauge(m, shard, "trillium_node_memtable_bytes", "Memory of what is not in files yet.");
    out->cache = gauge(m, shard, "trillium_node_cache_bytes", "Memory of cached blocks.");
    out->log = gauge(m, shard, "trillium_node_log_bytes", "Size of the commit log's segments.");
    out->tables = gauge(m, shard, "trillium_node_tables", "Sorted files that the manifests name.");
    out->table_bytes = gauge(m, shard, "trillium_node_table_bytes", "Size of the files that the manifests name.");
    rpc_metrics_init(&out->rpc, m);
    out->write_time = latency(m, shard, "write");
    out->read_time = latency(m, shard, "read");
}

static void show(struct metrics_counter *to, uint64_t value, uint64_t *shown)
{
    if (value == *shown) return;
    metrics_count(to, value - *shown);
    *shown = value;
}

static void show_metrics(struct face *face)
{
    struct face_metrics *m = &face->metrics;
    const struct shard *shard = face->shard;
    const struct shard_counters *counters = &shard->counters;
    show(m->writes, counters->writes, &m->shown.writes);
    show(m->reads, counters->reads, &m->shown.reads);
    show(m->busy, counters->busy, &m->shown.busy);
    show(m->full, counters->full, &m->shown.full);
    show(m->stale, counters->stale, &m->shown.stale);
    show(m->damaged, counters->damaged, &m->shown.damaged);
    show(m->lapses, counters->lapses, &m->shown.lapses);
    show(m->rebuilt, counters->rebuilt, &m->shown.rebuilt);
    show(m->copied, counters->copied_bytes, &m->shown.copied_bytes);
    struct lsm_store_stats stats;
    lsm_store_stats(shard->store, &stats);
    show(m->flushed, stats.flushed_bytes, &m->flushed_shown);
    show(m->compacted, stats.compacted_bytes_written, &m->compacted_shown);
    metrics_set(m->memtable, (int64_t)stats.memtable_bytes);
    metrics_set(m->cache, (int64_t)stats.cache_bytes);
    if (shard->wal) {
        show(m->logged, wal_counters(shard->wal)->written_bytes, &m->logged_shown);
        metrics_set(m->log, (int64_t)wal_bytes(shard->wal));
    }
    int64_t lapsed = 0, tables = 0, table_bytes = 0;
    size_t at = 0;
    for (const struct replica *replica; (replica = map_next(&shard->replicas, &at, NULL));) {
        struct lsm_stats tree;
        lsm_stats(replica->lsm, &tree);
        lapsed += replica->health != REPLICA_WHOLE;
        tables += tree.files;
        table_bytes += (int64_t)tree.file_bytes;
    }
    metrics_set(m->tables, tables);
    metrics_set(m->table_bytes, table_bytes);
    metrics_set(m->ranges, (int64_t)shard->replicas.count);
    metrics_set(m->lapsed, lapsed);
    if (face->rpc) rpc_metrics_show(&m->rpc, face->rpc);
}

/* Whether the reserve is needed. */
static void ask_for_space(struct face *face)
{
    struct lsm_store_stats stats;
    lsm_store_stats(face->shard->store, &stats);
    if (stats.no_space > face->no_space_seen || shard_log_lacks_space(face->shard))
        atomic_store(&face->noded->space.lacking, true);
    face->no_space_seen = stats.no_space;
}

static void tick(struct timer *timer)
{
    struct face *face = CONTAINER_OF(timer, struct face, tick);
    face->lines = 0;
    show_metrics(face);
    ask_for_space(face);
    space_calls_answer(&face->space_calls);
    timer_start_in(timer, 1000000000ull);
}

/* ---- beginning and end ---- */

void face_init(struct face *face, const struct face_options *options)
{
    *face = (struct face){.noded = options->noded, .shard = options->shard, .reactor = options->shard->reactor};
    init_metrics(&face->metrics, options->metrics, options->shard->options.index);
    space_calls_init(&face->space_calls, face->shard);
    timer_init(&face->tick, face->reactor, tick);
}

/* Who is ready to be asked by routers counts them. */
static enum status admit(void *context, const struct rpc_info *info, const char *remote)
{
    (void)remote;
    struct face *face = context;
    face->router_pipes += info->role == RPC_ROLE_ROUTER;
    return STATUS_OK;
}

static void gone(void *context, const struct rpc_info *info)
{
    struct face *face = context;
    CHECK(info->role != RPC_ROLE_ROUTER || face->router_pipes > 0);
    face->router_pipes -= info->role == RPC_ROLE_ROUTER;
}

enum status face_listen(struct face *face, const struct face_listen_options *options)
{
    struct rpc_options rpc = {
        .reactor = face->reactor, .self = options->self, .refresh = options->refresh, .context = options->context};
    face->rpc = rpc_create(&rpc);
    static const struct rpc_handlers *const all[] = {&WRITE_CALLS, &READ_CALLS, &COPY_CALLS, &NODE_CALLS};
    struct rpc_listen_options listen = {.address = options->address,
        .kind = RPC_INTERNAL,
        .answer_budget_bytes = options->answer_budget_bytes,
        .admit = admit,
        .gone = gone,
        .context = face};
    enum status status = rpc_listen(face->rpc, &listen, &face->listener);
    if (status != STATUS_OK) {
        rpc_destroy(face->rpc);
        face->rpc = NULL;
        return status;
    }
    rpc_listener_handle_all(face->listener, all, sizeof all / sizeof *all, face);
    timer_start_in(&face->tick, 1000000000ull);
    return STATUS_OK;
}

struct goodbye {
    struct fiber *fiber;
    bool done;
};

static void said_goodbye(void *context)
{
    struct goodbye *goodbye = context;
    goodbye->done = true;
    fiber_wake(goodbye->fiber);
}

void face_close(struct face *face)
{
    space_calls_close(&face->space_calls);
    struct goodbye goodbye = {.fiber = fiber_current(face->reactor)};
    rpc_goodbye(face->rpc, said_goodbye, &goodbye);
    while (!goodbye.done)
        fiber_suspend(face->reactor);
    /* Calls whose caller went away are still served to their end. */
    while (rpc_counters(face->rpc)->requests_open > 0 || face->fibers > 0)
        fiber_sleep_until(face->reactor, reactor_now_ns(face->reactor) + 1000000);
    timer_stop(&face->tick);
    rpc_destroy(face->rpc);
    face->rpc = NULL;
}

/* ---- answers ---- */

struct face_call face_take(struct face *face, struct rpc_request *request)
{
    return (struct face_call){.face = face, .request = request, .started_ns = reactor_now_ns(face->reactor)};
}

static void note(const struct face_call *call, enum status status)
{
    struct face *face = call->face;
    uint64_t took_us = (reactor_now_ns(face->reactor) - call->started_ns) / 1000;
    if (call->is_write) histogram_record(face->metrics.write_time, took_us);
    if (call->is_read) histogram_record(face->metrics.read_time, took_us);
    enum status_class class = status_class(status);
    bool failed = class == STATUS_CLASS_LOCAL || class == STATUS_CLASS_UNKNOWN || status == STATUS_UNAVAILABLE ||
                  status == STATUS_FULL || status == STATUS_BAD_REQUEST || status == STATUS_TOO_BIG;
    if (class != STATUS_CLASS_DONE) metrics_count(face->metrics.failures, 1);
    if (!failed && took_us < SLOW_MS * 1000) return;
    if (++face->lines > LINES_PER_SECOND) return;
    const struct rpc_request *request = call->request;
    LOG(reactor_log(face->reactor), WARN, failed ? "call.failed" : "call.slow",
        "method=%s range=%016llx status=%s took_us=%llu trace=%016llx from=%s", method_name(request->method),
        (unsigned long long)request->range, status_name(status), (unsigned long long)took_us,
        (unsigned long long)request->trace, request->remote);
}

void face_answer(const struct face_call *call, enum status status, const struct rpc_answer *answer)
{
    note(call, status);
    struct rpc_answer sent = answer ? *answer : (struct rpc_answer){0};
    if (status == STATUS_CORRUPT || status == STATUS_IO) status = STATUS_UNAVAILABLE;
    if (status == STATUS_NO_SPACE) status = STATUS_FULL;
    if (status_class(status) == STATUS_CLASS_RETRY && !sent.retry_after_us) sent.retry_after_us = RETRY_AFTER_US;
    rpc_answer(call->request, status, &sent);
}

void face_refuse(const struct face_call *call, enum status status, const struct replica *replica)
{
    if (status != STATUS_STALE_EPOCH) {
        face_answer(call, status, NULL);
        return;
    }
    struct buffer record = {0};
    view_range_encode(&replica->record, &record);
    face_answer(call, status, &(struct rpc_answer){.body = RPC_BYTES(buffer_bytes(&record))});
    buffer_free(&record);
}

void face_fiber(struct face *face, void (*main)(void *argument), void *argument)
{
    face->fibers++;
    fiber_start(face->reactor, "call", main, argument);
}

void face_fiber_ends(struct face *face)
{
    CHECK(face->fibers > 0);
    face->fibers--;
}
