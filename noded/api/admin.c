/* admin: what msgctl and tests ask a node about itself, and order it to do. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "noded/api/node.h"
#include "proto/admin.pb-c.h"

enum { LAPSED_TOLD_MAX = 64 }; /* of one shard */

/* ---- status: every shard tells of itself, shard 0 answers for all ---- */

struct status_gather {
    struct face_call call;
    struct noded *noded;
    struct fiber *fiber;
    unsigned missing;
    struct status_of_shard {
        struct mail mail;
        struct status_gather *gather;
        struct seat *seat;
        Trillium__V1__ShardStatus status;
        Trillium__V1__LapsedReplica lapsed[LAPSED_TOLD_MAX], *pointers[LAPSED_TOLD_MAX];
    } shards[SHARDS_MAX];
};

static void add_lapsed(struct status_of_shard *of, const struct replica *replica)
{
    if (replica->health == REPLICA_WHOLE || of->status.n_lapsed == LAPSED_TOLD_MAX) return;
    Trillium__V1__LapsedReplica *lapsed = of->pointers[of->status.n_lapsed] = &of->lapsed[of->status.n_lapsed];
    trillium__v1__lapsed_replica__init(lapsed);
    lapsed->range = replica->id.value;
    lapsed->rebuilding = replica->health == REPLICA_REBUILDING;
    lapsed->rebuilt_percent = lapsed->rebuilding ? replica_copied_percent(replica) : 0;
    of->status.lapsed = of->pointers;
    of->status.n_lapsed++;
}

static void fill(const struct seat *seat, struct status_of_shard *of)
{
    Trillium__V1__ShardStatus *out = &of->status;
    const struct shard *shard = seat->shard;
    out->shard = seat->index;
    if (!shard) return;
    struct lsm_store_stats store;
    lsm_store_stats(shard->store, &store);
    out->ranges = (uint32_t)shard->replicas.count;
    out->memtable_bytes = store.memtable_bytes;
    out->cache_bytes = store.cache_bytes;
    size_t at = 0;
    for (const struct replica *replica; (replica = map_next(&shard->replicas, &at, NULL));) {
        struct lsm_stats stats;
        add_lapsed(of, replica);
        if (!replica->lsm) continue;
        lsm_stats(replica->lsm, &stats);
        out->files += stats.files;
        out->file_bytes += stats.file_bytes;
    }
    if (shard->wal) {
        out->log_segments = (wal_bytes(shard->wal) + shard->log_segment_bytes - 1) / shard->log_segment_bytes;
        out->log_synced = wal_synced_sequence(shard->wal);
    }
    out->writes = shard->counters.writes;
    out->reads = shard->counters.reads;
}

static void told(struct mail *mail)
{
    struct status_gather *gather = CONTAINER_OF(mail, struct status_of_shard, mail)->gather;
    gather->missing--;
    fiber_wake(gather->fiber);
}

static void tell(struct mail *mail)
{
    struct status_of_shard *of = CONTAINER_OF(mail, struct status_of_shard, mail);
    fill(of->seat, of);
    mail->deliver = told;
    reactor_post(of->gather->noded->host.reactors[0], mail);
}

static void answer_status(struct status_gather *gather)
{
    struct noded *noded = gather->noded;
    struct reactor *reactor = gather->call.face->reactor;
    Trillium__V1__NodeStatusAnswer body = TRILLIUM__V1__NODE_STATUS_ANSWER__INIT;
    Trillium__V1__ShardStatus *shards[SHARDS_MAX];
    body.node = noded->id;
    body.uuid = (ProtobufCBinaryData){sizeof noded->identity.identity.daemon, noded->identity.identity.daemon.bytes};
    body.boot = noded->identity.identity.boot;
    body.version = (char *)(uintptr_t)TRILLIUM_VERSION;
    body.backend = (char *)(uintptr_t)reactor_backend_name(reactor);
    body.uptime_ms = (reactor_now_ns(reactor) - noded->started_ns) / 1000000;
    body.view_version = atomic_load_explicit(&noded->view_version, memory_order_relaxed);
    if (disk_space(reactor, &body.disk_free_bytes, &body.disk_total_bytes) != STATUS_OK) body.disk_total_bytes = 0;
    body.space_level = noded->space.level;
    body.space_used_percent = space_used_percent(&noded->space.space);
    body.disk_reserve_bytes = noded->space.space.reserve_bytes;
    body.disk_reserve_held_bytes = noded->space.space.held_bytes;
    for (unsigned i = 0; i < noded->shards; i++)
        shards[i] = &gather->shards[i].status;
    body.n_shards = noded->shards;
    body.shards = shards;
    face_answer(&gather->call, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
}

static void gather_status(void *argument)
{
    struct status_gather *gather = argument;
    struct noded *noded = gather->noded;
    struct face *face = gather->call.face;
    gather->fiber = fiber_current(face->reactor);
    gather->missing = noded->shards;
    for (unsigned i = 0; i < noded->shards; i++) {
        struct status_of_shard *of = &gather->shards[i];
        of->gather = gather;
        of->seat = &noded->seats[i];
        of->mail.deliver = tell;
        trillium__v1__shard_status__init(&of->status);
        reactor_post(of->seat->reactor, &of->mail);
    }
    while (gather->missing > 0)
        fiber_suspend(face->reactor);
    answer_status(gather);
    mem_free(gather);
    face_fiber_ends(face);
}

static void handle_status(void *context, struct rpc_request *request)
{
    struct face *face = context;
    if (face->shard->options.index != 0) {
        struct face_call call = face_take(face, request);
        face_answer(&call, STATUS_NOT_OWNER, NULL);
        return;
    }
    struct status_gather *gather = mem_zalloc(sizeof *gather);
    gather->call = face_take(face, request);
    gather->noded = face->noded;
    face_fiber(face, gather_status, gather);
}

/* ---- flush and compaction of one shard ---- */

/* The ranges at this moment; replicas live as long as the shard. */
static struct replica **all_replicas(const struct shard *shard, struct arena *arena, size_t *count)
{
    struct replica **all = arena_alloc(arena, (shard->replicas.count + 1) * sizeof *all);
    size_t at = 0;
    *count = 0;
    for (struct replica *replica; (replica = map_next(&shard->replicas, &at, NULL));)
        all[(*count)++] = replica;
    return all;
}

static uint64_t file_bytes(const struct replica *replica, uint32_t *files)
{
    struct lsm_stats stats;
    lsm_stats(replica->lsm, &stats);
    *files += stats.files;
    return stats.file_bytes;
}

static void flush(void *argument)
{
    struct face_call *call = argument;
    struct face *face = call->face;
    size_t count;
    struct replica **all = all_replicas(face->shard, &call->request->arena, &count);
    enum status status = STATUS_OK;
    Trillium__V1__FlushAnswer body = TRILLIUM__V1__FLUSH_ANSWER__INIT;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = lsm_flush(all[i]->lsm);
        file_bytes(all[i], &body.files);
    }
    face_answer(call, status, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
    face_fiber_ends(face);
}

static void compact(void *argument)
{
    struct face_call *call = argument;
    struct face *face = call->face;
    size_t count;
    uint32_t files = 0;
    struct replica **all = all_replicas(face->shard, &call->request->arena, &count);
    enum status status = STATUS_OK;
    Trillium__V1__CompactAnswer body = TRILLIUM__V1__COMPACT_ANSWER__INIT;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        body.bytes_before += file_bytes(all[i], &files);
        status = lsm_compact(all[i]->lsm);
        body.bytes_after += file_bytes(all[i], &files);
    }
    face_answer(call, status, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
    face_fiber_ends(face);
}

static void in_fiber(struct face *face, struct rpc_request *request, void (*main)(void *argument))
{
    struct face_call call = face_take(face, request);
    face_fiber(face, main, arena_copy(&request->arena, &call, sizeof call));
}

static void handle_flush(void *context, struct rpc_request *request)
{
    in_fiber(context, request, flush);
}

static void handle_compact(void *context, struct rpc_request *request)
{
    in_fiber(context, request, compact);
}

enum { ADMINS = RPC_ROLES_DAEMONS | RPC_ROLE_BIT(RPC_ROLE_ADMIN) };
static const struct rpc_handler handlers[] = {
    {METHOD_ADMIN_NODE_STATUS, ADMINS, handle_status, NULL},
    {METHOD_ADMIN_FLUSH, ADMINS, handle_flush, NULL},
    {METHOD_ADMIN_COMPACT, ADMINS, handle_compact, NULL},
};
const struct rpc_handlers NODE_CALLS = {handlers, sizeof handlers / sizeof *handlers};
