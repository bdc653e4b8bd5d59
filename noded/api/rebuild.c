#include "noded/api/rebuild.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/cluster/controllers.h"
#include "noded/api/fill.h"
#include "proto/control.pb-c.h"

enum {
    AGAIN_MS = 500,
    CALL_MS = 3000,
    LAPSES_PER_CALL = 64,
    SAY_AGAIN_S = 60,
};

struct rebuild {
    struct rebuild_options options;
    struct shard *shard;
    struct reactor *reactor;
    struct controllers *controllers; /* NULL until they are needed */
    bool stopping, ended;
    uint64_t said_ns; /* when a lack of sources was logged last */
    struct gate end;
};

static enum status call_controld(
    struct rebuild *rebuild, uint16_t method, const struct rpc_body *body, struct arena *arena)
{
    if (!rebuild->controllers) {
        enum status status = controllers_create(rebuild->options.rpc, rebuild->options.controllers,
            rebuild->options.controllers_count, &rebuild->controllers);
        if (status != STATUS_OK) return status;
    }
    struct controllers_call call = {.method = method,
        .leader = true,
        .deadline_ns = reactor_now_ns(rebuild->reactor) + (uint64_t)CALL_MS * 1000000,
        .stop = &rebuild->stopping};
    struct rpc_reply reply;
    return controllers_call_wait(rebuild->controllers, &call, body, arena, &reply);
}

/* ---- telling ---- */

/* Whatever lapsed up to this epoch is not the loss that is to be told now. */
static uint64_t known_epoch(const struct replica *replica)
{
    bool by_record = replica->state_lost && replica->record.epoch > replica->cleared_at;
    return by_record ? replica->record.epoch : replica->cleared_at;
}

static void tell_lapses(struct rebuild *rebuild)
{
    struct shard *shard = rebuild->shard;
    Trillium__V1__LapseCall body = TRILLIUM__V1__LAPSE_CALL__INIT;
    Trillium__V1__LapsedRange ranges[LAPSES_PER_CALL], *pointers[LAPSES_PER_CALL];
    size_t at = 0;
    for (const struct replica *replica; (replica = map_next(&shard->replicas, &at, NULL));) {
        if (replica->health != REPLICA_LAPSED || body.n_ranges == LAPSES_PER_CALL) continue;
        Trillium__V1__LapsedRange *range = pointers[body.n_ranges] = &ranges[body.n_ranges];
        trillium__v1__lapsed_range__init(range);
        range->range = replica->id.value;
        range->known = known_epoch(replica);
        body.n_ranges++;
    }
    if (body.n_ranges == 0 || shard->node.value == 0) return;
    body.node = shard->node.value;
    body.ranges = pointers;
    struct arena arena = {0};
    enum status status = call_controld(rebuild, METHOD_CONTROL_LAPSE, RPC_MESSAGE(&body), &arena);
    arena_free(&arena);
    LOG(reactor_log(rebuild->reactor), INFO, "rebuild.told", "ranges=%zu status=%s", body.n_ranges,
        status_name(status));
}

static void tell_rebuilt(struct rebuild *rebuild, const struct replica *replica)
{
    Trillium__V1__RebuiltCall body = TRILLIUM__V1__REBUILT_CALL__INIT;
    body.node = replica->self.value;
    body.range = replica->id.value;
    body.lapsed_at = replica->cleared_at;
    struct arena arena = {0};
    enum status status = call_controld(rebuild, METHOD_CONTROL_REBUILT, RPC_MESSAGE(&body), &arena);
    arena_free(&arena);
    LOG(reactor_log(rebuild->reactor), INFO, "rebuild.done", "range=%016llx lapsed_at=%llu status=%s",
        (unsigned long long)body.range, (unsigned long long)body.lapsed_at, status_name(status));
}

/* ---- one replica ---- */

static void say_no_sources(struct rebuild *rebuild, const struct replica *replica)
{
    uint64_t now = reactor_now_ns(rebuild->reactor);
    if (rebuild->said_ns && now - rebuild->said_ns < (uint64_t)SAY_AGAIN_S * 1000000000) return;
    rebuild->said_ns = now;
    LOG(reactor_log(rebuild->reactor), ERROR, "rebuild.sources",
        "range=%016llx why=\"too few other replicas are whole; what is held here is kept\"",
        (unsigned long long)replica->id.value);
}

/* True when something was achieved. */
static bool care_for(struct rebuild *rebuild, struct replica *replica)
{
    enum replica_health before = replica->health;
    if (replica->health == REPLICA_DOOMED) {
        if (!fill_has_sources(replica)) {
            say_no_sources(rebuild, replica);
            return false;
        }
        enum status status = shard_clear(rebuild->shard, replica);
        if (status != STATUS_OK)
            LOG(reactor_log(rebuild->reactor), WARN, "rebuild.uncleared", "range=%016llx status=%s",
                (unsigned long long)replica->id.value, status_name(status));
    }
    if (replica->health == REPLICA_REBUILDING && !replica->copied.done) {
        struct fill_options options = {.shard = rebuild->shard,
            .rpc = rebuild->options.rpc,
            .replica = replica,
            .bytes_per_second = rebuild->options.bytes_per_second,
            .stop = &rebuild->stopping};
        enum status status = fill_run(&options);
        if (status != STATUS_OK)
            LOG(reactor_log(rebuild->reactor), WARN, "rebuild.pause", "range=%016llx percent=%u status=%s",
                (unsigned long long)replica->id.value, replica_copied_percent(replica), status_name(status));
    }
    if (replica->health == REPLICA_REBUILDING && replica->copied.done && !rebuild->stopping)
        tell_rebuilt(rebuild, replica);
    return replica->health != before;
}

static bool all_whole(const struct rebuild *rebuild)
{
    size_t at = 0;
    for (const struct replica *replica; (replica = map_next(&rebuild->shard->replicas, &at, NULL));)
        if (replica->health != REPLICA_WHOLE) return false;
    return true;
}

/* One look at each replica; they live as long as the shard. True when something was achieved. */
static bool care_for_all(struct rebuild *rebuild)
{
    const struct shard *shard = rebuild->shard;
    struct arena arena = {0};
    struct replica **all = arena_alloc(&arena, (shard->replicas.count + 1) * sizeof *all);
    size_t at = 0, count = 0;
    for (struct replica *replica; (replica = map_next(&shard->replicas, &at, NULL));)
        all[count++] = replica;
    bool achieved = false;
    tell_lapses(rebuild);
    for (size_t i = 0; i < count && !rebuild->stopping; i++)
        achieved |= care_for(rebuild, all[i]);
    arena_free(&arena);
    return achieved;
}

static void run(void *argument)
{
    struct rebuild *rebuild = argument;
    while (!rebuild->stopping) {
        bool idle = all_whole(rebuild);
        if (!idle && care_for_all(rebuild)) continue;
        uint64_t again_ns = reactor_now_ns(rebuild->reactor) + (uint64_t)AGAIN_MS * 1000000;
        gate_wait(rebuild->reactor, &rebuild->shard->lapsed, idle ? REACTOR_NEVER : again_ns);
    }
    rebuild->ended = true;
    gate_open(&rebuild->end);
}

struct rebuild *rebuild_start(const struct rebuild_options *options)
{
    struct rebuild *rebuild = mem_zalloc(sizeof *rebuild);
    rebuild->options = *options;
    rebuild->shard = options->shard;
    rebuild->reactor = options->shard->reactor;
    gate_init(&rebuild->end);
    fiber_start(rebuild->reactor, "rebuild", run, rebuild);
    return rebuild;
}

void rebuild_stop(struct rebuild *rebuild)
{
    rebuild->stopping = true;
    if (rebuild->controllers) controllers_hang_up(rebuild->controllers);
    gate_open(&rebuild->shard->lapsed);
    while (!rebuild->ended)
        gate_wait(rebuild->reactor, &rebuild->end, REACTOR_NEVER);
    if (rebuild->controllers) controllers_destroy(rebuild->controllers);
    mem_free(rebuild);
}
