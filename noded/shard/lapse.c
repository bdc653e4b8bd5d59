/* lapse: a replica that lost something, until it is whole again: marked, emptied, filled. Who fills it: noded/api. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "noded/shard/change.h"

enum { LOOK_AGAIN_MS = 2 };

static void pause_shortly(struct shard *shard)
{
    fiber_sleep_until(shard->reactor, reactor_now_ns(shard->reactor) + (uint64_t)LOOK_AGAIN_MS * 1000000);
}

void shard_drain(struct shard *shard, const struct replica *replica)
{
    shard_settle(shard, replica);
    uint64_t newest = replica->state_sequence;
    /* Pending changes stand in log order. */
    while (!list_is_empty(&replica->pending) &&
           CONTAINER_OF(replica->pending.next, struct change, link)->sequence < newest)
        pause_shortly(shard);
}

/* What changes in a state, which is made anew for each try: a newer record may have come meanwhile. */
struct state_change {
    bool lapse;
    const struct copy_position *copied; /* NULL: as it is */
};

/* Appends it as soon as the log takes it, and returns when it is durable. */
static enum status change_state(struct shard *shard, struct replica *replica, struct state_change change)
{
    enum status status = STATUS_BUSY;
    while (status == STATUS_BUSY) {
        struct replica next = *replica;
        if (change.lapse) next.lapsed = true;
        if (change.copied) next.copied = *change.copied;
        status = shard_change_state(shard, replica, &next);
        if (status != STATUS_BUSY) break;
        if (shard->stopping) return STATUS_UNAVAILABLE;
        pause_shortly(shard);
    }
    if (status == STATUS_OK) shard_settle(shard, replica);
    return status;
}

enum status shard_lapse_all(struct shard *shard)
{
    size_t at = 0, count = 0;
    struct arena arena = {0};
    struct replica **all = arena_alloc(&arena, (shard->replicas.count + 1) * sizeof *all);
    for (struct replica *replica; (replica = map_next(&shard->replicas, &at, NULL));)
        all[count++] = replica;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        LOG(reactor_log(shard->reactor), ERROR, "range.lapsed",
            "range=%016llx why=\"controllers know another data directory of this node\"",
            (unsigned long long)all[i]->id.value);
        shard->counters.lapses++;
        status = change_state(shard, all[i], (struct state_change){.lapse = true});
    }
    arena_free(&arena);
    return status;
}

/* Nothing of the replica is under way. Nothing new begins, since it is being cleared. */
static bool is_quiet(const struct shard *shard, const struct replica *replica)
{
    return replica->changes == 0 && shard_is_settled(shard, replica) && lsm_is_idle(replica->lsm);
}

enum status shard_clear(struct shard *shard, struct replica *replica)
{
    CHECK(replica->health == REPLICA_DOOMED && !replica->clearing);
    replica->clearing = true;
    while (!is_quiet(shard, replica))
        pause_shortly(shard);
    struct replica next = *replica;
    next.lapsed = next.clearing = false;
    next.cleared_at = replica_lapsed_at(replica);
    next.copied = (struct copy_position){0};
    struct buffer state = {0};
    replica_state_encode(&next, &state);
    enum status status = lsm_clear(replica->lsm, buffer_bytes(&state), (struct lsm_position){shard->log, shard->told});
    buffer_free(&state);
    replica->clearing = false;
    if (status != STATUS_OK) return status;
    replica->lapsed = false;
    replica->cleared_at = next.cleared_at;
    copy_position_reset(&replica->copied);
    replica_judge_health(replica);
    LOG(reactor_log(shard->reactor), WARN, "range.cleared", "range=%016llx lapsed_at=%llu",
        (unsigned long long)replica->id.value, (unsigned long long)replica->cleared_at);
    return STATUS_OK;
}

enum status shard_note_copied(struct shard *shard, struct replica *replica, const struct copy_position *copied)
{
    if (replica->health != REPLICA_REBUILDING) return STATUS_UNAVAILABLE;
    return change_state(shard, replica, (struct state_change){.copied = copied});
}
