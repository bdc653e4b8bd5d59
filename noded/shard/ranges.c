/*
 * ranges: which ranges a shard has replicas of, and under which ownership records. A record is adopted by a log record
 * of its own; from its append on, calls of older epochs are refused and writes at the new one may follow it in the log;
 * reads at the new epoch wait until it is durable.
 */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "noded/shard/change.h"

enum { RETRY_MS = 2 };

/* A STATE record on its way. */
struct adoption {
    struct wal_waiter waiter;
    struct shard *shard;
    struct replica *replica;
    struct record record;
    struct buffer state;
};

static void adopted(struct wal_waiter *waiter)
{
    struct adoption *adoption = CONTAINER_OF(waiter, struct adoption, waiter);
    struct shard *shard = adoption->shard;
    struct lsm_position position = {shard->log, waiter->sequence};
    enum status status = replica_apply(adoption->replica, &adoption->record, position);
    CHECK(status == STATUS_OK);
    buffer_free(&adoption->state);
    mem_free(adoption); /* the waiter with it */
    shard->changes_open--;
    shard_told(shard, position.sequence);
}

/* Appends the record that would make the replica's own record this one, and takes it over in the same step. */
static enum status try_adopt(struct shard *shard, struct replica *replica, const struct view_range *record)
{
    struct adoption *adoption = mem_zalloc(sizeof *adoption);
    struct replica next = {.record = *record, .lapsed = replica->lapsed};
    replica_state_encode(&next, &adoption->state);
    adoption->waiter.done = adopted;
    list_init(&adoption->waiter.link);
    adoption->shard = shard;
    adoption->replica = replica;
    adoption->record =
        (struct record){.kind = RECORD_STATE, .range = replica->id, .body = buffer_bytes(&adoption->state)};
    uint8_t head[RECORD_HEAD_BYTES_MAX];
    struct bytes parts[2] = {record_encode_head(&adoption->record, head), adoption->record.body};
    enum status status = wal_append(shard->wal, RECORD_STATE, parts, 2, &adoption->waiter);
    if (status != STATUS_OK) {
        buffer_free(&adoption->state);
        mem_free(adoption);
        return status;
    }
    shard->changes_open++;
    shard->counters.adoptions++;
    replica->record = *record;
    replica->state_sequence = adoption->waiter.sequence;
    LOG(reactor_log(shard->reactor), DEBUG, "range.adopt", "range=%016llx epoch=%llu",
        (unsigned long long)record->id.value, (unsigned long long)record->epoch);
    return STATUS_OK;
}

static enum status begin_adopting(struct shard *shard, const struct view_range *record, struct replica **out)
{
    struct replica *replica = shard_replica(shard, record->id);
    if (!replica) {
        bool ours = shard->next_node.value && view_range_has(record, shard->next_node) &&
                    view_shard_of(record->id, shard->options.count) == shard->options.index;
        if (!ours || record->epoch == 0) return STATUS_NOT_OWNER;
        enum status status = shard_make_replica(shard, record->id, &replica);
        if (status != STATUS_OK) return status;
    }
    *out = replica;
    while (replica_would_adopt(replica, record)) {
        if (shard->stopping) return STATUS_UNAVAILABLE;
        enum status status = try_adopt(shard, replica, record);
        if (status != STATUS_BUSY) return status == STATUS_NO_SPACE ? STATUS_FULL : status;
        fiber_sleep_until(shard->reactor, reactor_now_ns(shard->reactor) + (uint64_t)RETRY_MS * 1000000);
    }
    return STATUS_OK;
}

void shard_adopt_soon(struct shard *shard, const struct view_range *record)
{
    struct replica *replica = shard_replica(shard, record->id);
    if (!replica || shard->stopping || !replica_would_adopt(replica, record)) return;
    if (try_adopt(shard, replica, record) != STATUS_OK) return; /* shard_adopt will try again, and say why */
}

enum status shard_adopt(struct shard *shard, const struct view_range *record, struct replica **out)
{
    struct replica *replica;
    enum status status = begin_adopting(shard, record, &replica);
    if (status != STATUS_OK) return status;
    shard_settle(shard, replica);
    *out = replica;
    return STATUS_OK;
}

/* ---- the view ---- */

void shard_use_view(struct shard *shard, struct shared_view *view, struct node_id node)
{
    struct shared_view *held = shared_view_hold(view);
    shared_view_release(shard->next_view);
    shard->next_view = held;
    shard->next_node = node;
    gate_open(&shard->wake);
}

static void take_over(struct shard *shard, const struct view *view)
{
    uint64_t last = 0;
    for (unsigned i = 0; i < view->ranges_count; i++) {
        const struct view_range *range = &view->ranges[i];
        struct replica *replica;
        enum status status = begin_adopting(shard, range, &replica);
        if (status == STATUS_OK && replica->state_sequence > last) last = replica->state_sequence;
        if (status == STATUS_OK || status == STATUS_NOT_OWNER) continue;
        LOG(reactor_log(shard->reactor), ERROR, "range.unadopted", "range=%016llx epoch=%llu status=%s",
            (unsigned long long)range->id.value, (unsigned long long)range->epoch, status_name(status));
    }
    while (shard->told < last)
        gate_wait(shard->reactor, &shard->settled, REACTOR_NEVER);
}

void shard_follow_view(void *argument)
{
    struct shard *shard = argument;
    while (!shard->stopping) {
        struct shared_view *view = shard->next_view;
        if (!view) {
            gate_wait(shard->reactor, &shard->wake, REACTOR_NEVER);
            continue;
        }
        shard->next_view = NULL;
        struct node_id node = shard->next_node;
        take_over(shard, &view->view);
        shared_view_release(shard->view);
        shard->view = view;
        shard->node = node;
        if (shard->options.followed) shard->options.followed(shard->options.context, shard->options.index);
    }
    shard->fibers--;
    gate_open(&shard->wake);
}

/* ---- the log ---- */

/* The oldest record of the own log that is in memory only; 0: none. */
static struct replica *oldest_unflushed(const struct shard *shard, uint64_t *sequence)
{
    struct replica *oldest = NULL;
    size_t position = 0;
    for (struct replica *replica; (replica = map_next(&shard->replicas, &position, NULL));) {
        uint64_t first;
        if (!lsm_first_unflushed(replica->lsm, shard->log, &first)) continue;
        if (oldest && first >= *sequence) continue;
        oldest = replica;
        *sequence = first;
    }
    return oldest;
}

void shard_release_log(struct shard *shard)
{
    uint64_t first;
    if (!shard->wal) return;
    uint64_t needless = oldest_unflushed(shard, &first) ? first - 1 : shard->told;
    if (needless > shard->told) needless = shard->told;
    if (needless > wal_released_sequence(shard->wal)) wal_release(shard->wal, needless);
}

void shard_keep_log(void *argument)
{
    struct shard *shard = argument;
    while (!shard->stopping) {
        shard_release_log(shard);
        uint64_t first = 0;
        struct replica *oldest = oldest_unflushed(shard, &first);
        if (oldest && wal_bytes(shard->wal) > shard->log_bytes_max) {
            shard->counters.forced_flushes++;
            /* A change that looks its id up holds its record, flushed or not, until its read of the disk ends. */
            uint64_t left = 0;
            bool flushed = lsm_flush(oldest->lsm) == STATUS_OK;
            if (flushed && !(lsm_first_unflushed(oldest->lsm, shard->log, &left) && left == first)) continue;
        }
        gate_wait(shard->reactor, &shard->wake, reactor_now_ns(shard->reactor) + 1000000000ull);
    }
    shard->fibers--;
    gate_open(&shard->wake);
}
