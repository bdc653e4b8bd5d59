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

static void take_state(struct replica *replica, const struct replica *next)
{
    replica->record = next->record;
    replica->self = next->self;
    replica->lapsed = next->lapsed;
    replica->state_lost = next->state_lost;
    replica->cleared_at = next->cleared_at;
    if (next->copied.partition.data != replica->copied.partition.data)
        copy_position_assign(&replica->copied, &next->copied);
    else
        replica->copied = next->copied;
    replica_judge_health(replica);
}

enum status shard_change_state(struct shard *shard, struct replica *replica, const struct replica *next)
{
    if (replica->clearing) return STATUS_BUSY;
    struct adoption *adoption = mem_zalloc(sizeof *adoption);
    replica_state_encode(next, &adoption->state);
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
    take_state(replica, next);
    replica->state_sequence = adoption->waiter.sequence;
    gate_open(&shard->lapsed);
    return STATUS_OK;
}

/* A record by which this replica lapsed and was rebuilt, while it knows nothing of it: this is an older disk. */
static bool is_outdated(const struct replica *replica, const struct view_range *record)
{
    unsigned place = view_range_place(record, replica->self);
    return place < record->replicas_count && !view_range_is_lapsed(record, place) &&
           record->lapsed_at[place] > replica->cleared_at;
}

static enum status try_adopt(struct shard *shard, struct replica *replica, const struct view_range *record)
{
    struct replica next = *replica;
    next.record = *record;
    if (shard->next_node.value) next.self = shard->next_node;
    if (replica->state_lost) {
        /* Nobody knows what was acknowledged here up to this epoch: no lapse up to it covers the loss. */
        next.cleared_at = record->epoch;
        next.lapsed = true;
        next.state_lost = false;
    } else if (is_outdated(&next, record)) {
        next.lapsed = true;
    }
    bool lapses = next.lapsed && !replica->lapsed;
    enum replica_health before = replica->health;
    enum status status = shard_change_state(shard, replica, &next);
    if (status != STATUS_OK) return status;
    shard->counters.adoptions++;
    LOG(reactor_log(shard->reactor), DEBUG, "range.adopt", "range=%016llx epoch=%llu",
        (unsigned long long)record->id.value, (unsigned long long)record->epoch);
    if (lapses) {
        shard->counters.lapses++;
        LOG(reactor_log(shard->reactor), ERROR, "range.lapsed", "range=%016llx why=\"its files are outdated\"",
            (unsigned long long)record->id.value);
    }
    if (before == REPLICA_REBUILDING && replica->health == REPLICA_WHOLE) {
        shard->counters.rebuilt++;
        LOG(reactor_log(shard->reactor), INFO, "range.rebuilt", "range=%016llx epoch=%llu",
            (unsigned long long)record->id.value, (unsigned long long)record->epoch);
    }
    return STATUS_OK;
}

static enum status begin_adopting(struct shard *shard, const struct view_range *record, struct replica **out)
{
    struct replica *replica = shard_replica(shard, record->id);
    if (!replica) {
        bool ours = shard->next_node.value && view_range_has(record, shard->next_node) &&
                    view_shard_of(record->id, shard->options.count) == shard->options.index;
        if (!ours || record->epoch == 0) return STATUS_NOT_OWNER;
        if (!space_level_allows(shard->space, SPACE_USE_RANGE)) return STATUS_FULL;
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

/* A state of an older version does not say which node this is. */
static void know_self(struct shard *shard, struct replica *replica)
{
    if (replica->self.value == shard->next_node.value) return;
    replica->self = shard->next_node;
    replica_judge_health(replica);
    gate_open(&shard->lapsed);
}

static void take_over(struct shard *shard, const struct view *view)
{
    uint64_t last = 0, refused = 0;
    for (unsigned i = 0; i < view->ranges_count; i++) {
        const struct view_range *range = &view->ranges[i];
        struct replica *replica;
        enum status status = begin_adopting(shard, range, &replica);
        if (status == STATUS_OK) know_self(shard, replica);
        if (status == STATUS_OK && replica->state_sequence > last) last = replica->state_sequence;
        if (status == STATUS_OK || status == STATUS_NOT_OWNER) continue;
        refused += status == STATUS_FULL;
        LOG(reactor_log(shard->reactor), ERROR, "range.unadopted", "range=%016llx epoch=%llu status=%s",
            (unsigned long long)range->id.value, (unsigned long long)range->epoch, status_name(status));
    }
    shard->ranges_refused = refused > 0;
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
        if (shard->stopping) break; /* since the flush waited */
        gate_wait(shard->reactor, &shard->wake, reactor_now_ns(shard->reactor) + 1000000000ull);
    }
    shard->fibers--;
    gate_open(&shard->wake);
}
