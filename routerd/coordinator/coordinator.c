#include "routerd/coordinator/coordinator.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "proto/replica.pb-c.h"
#include "routerd/coordinator/write.h"

void coordinator_init(struct coordinator *coordinator, struct reactor *reactor, struct rpc *rpc)
{
    *coordinator = (struct coordinator){.reactor = reactor, .rpc = rpc};
    replicas_init(&coordinator->replicas);
    list_init(&coordinator->free_writes);
    list_init(&coordinator->late_writes);
}

static void forget_learned(struct coordinator *coordinator, const struct view *view)
{
    struct map kept = {0};
    size_t position = 0;
    uint64_t id;
    for (struct view_range *learned; (learned = map_next(&coordinator->learned, &position, &id));) {
        const struct view_range *range = view ? view_range_by_id(view, learned->id) : NULL;
        if (range && range->epoch < learned->epoch)
            map_put(&kept, id, learned);
        else
            mem_free(learned);
    }
    map_free(&coordinator->learned);
    coordinator->learned = kept;
}

void coordinator_fini(struct coordinator *coordinator)
{
    forget_learned(coordinator, NULL);
    replicas_fini(&coordinator->replicas);
    write_pool_free(coordinator);
    arena_free(&coordinator->scratch);
}

void coordinator_use_view(struct coordinator *coordinator, const struct view *view)
{
    coordinator->view = view;
    forget_learned(coordinator, view);
    replicas_follow_view(coordinator);
}

static const struct view_range *newest(const struct coordinator *coordinator, const struct view_range *range)
{
    if (!range) return NULL;
    const struct view_range *learned = map_get(&coordinator->learned, range->id.value);
    return learned ? learned : range;
}

const struct view_range *coordinator_range(const struct coordinator *coordinator, struct table_id table, int64_t token)
{
    if (!coordinator->view) return NULL;
    return newest(coordinator, view_range_of(coordinator->view, table, token));
}

const struct view_range *coordinator_range_by_id(const struct coordinator *coordinator, struct range_id range)
{
    if (!coordinator->view) return NULL;
    return newest(coordinator, view_range_by_id(coordinator->view, range));
}

bool coordinator_learn(struct coordinator *coordinator, struct bytes record)
{
    struct view_range range;
    struct reader reader = reader_of(record);
    if (view_range_decode(&reader, &range) != STATUS_OK || !reader_done(&reader)) return false;
    const struct view_range *known = coordinator_range_by_id(coordinator, range.id);
    if (!known || range.epoch <= known->epoch) return false;
    struct view_range *copy = mem_alloc(sizeof *copy);
    *copy = range;
    mem_free(map_put(&coordinator->learned, range.id.value, copy));
    return true;
}

int64_t coordinator_stamp(struct coordinator *coordinator)
{
    int64_t now = reactor_wall_us(coordinator->reactor);
    coordinator->last_stamp = now > coordinator->last_stamp ? now : coordinator->last_stamp + 1;
    return coordinator->last_stamp;
}

void coordinator_saw_stamp(struct coordinator *coordinator, int64_t stamp)
{
    /* A stamp from far ahead must not drag this clock along: the skew bound holds for stamps as for clocks. */
    int64_t ahead = reactor_wall_us(coordinator->reactor) + (int64_t)SKEW_AHEAD_MS_MAX * 1000;
    if (stamp > coordinator->last_stamp && stamp <= ahead) coordinator->last_stamp = stamp;
}

unsigned coordinator_replicas(
    struct coordinator *coordinator, const struct view_range *range, struct replica *out[REPLICAS_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < range->replicas_count; i++) {
        struct replica *replica = replicas_get(coordinator, range->replicas[i], range->id);
        if (replica) out[count++] = replica;
    }
    return count;
}

unsigned coordinator_readable(
    struct coordinator *coordinator, const struct view_range *range, struct replica *out[REPLICAS_MAX])
{
    unsigned all = coordinator_replicas(coordinator, range, out), count = 0;
    for (unsigned i = 0; i < all; i++)
        if (!view_range_is_lapsed(range, view_range_place(range, out[i]->node))) out[count++] = out[i];
    return count;
}

/* Sending one's own record to a replica that is behind: nobody waits for it, the repeated call tells. */
struct adoption {
    struct rpc_call call;
};

static void adopted(struct rpc_call *call, const struct rpc_reply *reply)
{
    (void)reply;
    mem_free(CONTAINER_OF(call, struct adoption, call));
}

bool coordinator_settle_epoch(
    struct coordinator *coordinator, struct replica *replica, struct range_id range, struct bytes record)
{
    coordinator->counters.stale_epochs++;
    struct view_range theirs;
    struct reader reader = reader_of(record);
    if (view_range_decode(&reader, &theirs) != STATUS_OK || theirs.id.value != range.value) return false;
    if (coordinator_learn(coordinator, record)) return true;
    const struct view_range *ours = coordinator_range_by_id(coordinator, range);
    if (!ours || theirs.epoch >= ours->epoch) return true;
    struct buffer buffer = {0};
    view_range_encode(ours, &buffer);
    Trillium__V1__ReplicaAdoptCall body = TRILLIUM__V1__REPLICA_ADOPT_CALL__INIT;
    body.record = (ProtobufCBinaryData){buffer.size, buffer.data};
    struct adoption *adoption = mem_zalloc(sizeof *adoption);
    adoption->call = (struct rpc_call){
        .done = adopted, .method = METHOD_REPLICA_ADOPT, .routed = true, .range = range.value, .epoch = ours->epoch};
    rpc_call_start(replica->peer, &adoption->call, RPC_MESSAGE(&body));
    buffer_free(&buffer);
    return true;
}
