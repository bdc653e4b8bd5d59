#include "noded/shard/change.h"

#include "common/base/check.h"

enum { LOOKUP_FIBERS_MAX = 128 };

static struct lsm_position position_of(const struct change *change)
{
    return (struct lsm_position){change->shard->log, change->sequence};
}

/* ---- order ---- */

/* The later one may be applied only after the earlier one. */
static bool conflict(const struct change *earlier, const struct change *later)
{
    const struct record *a = &earlier->record, *b = &later->record;
    return a->lo <= b->hi && b->lo <= a->hi && bytes_equal(a->partition, b->partition);
}

/* Something that stands before end in the list must come first. */
static bool must_wait(const struct list *pending, const struct change *change, const struct list *end)
{
    for (const struct list *link = pending->next; link != end; link = link->next)
        if (conflict(CONTAINER_OF(link, struct change, link), change)) return true;
    return false;
}

static void hold_back(struct change *change)
{
    list_push_back(&change->replica->pending, &change->link);
    lsm_hold_begin(change->replica->lsm, &change->hold, position_of(change));
}

static bool is_held_back(const struct change *change)
{
    return !list_is_empty(&change->link);
}

/* ---- apply ---- */

static void finish(struct change *change)
{
    struct shard *shard = change->shard;
    struct replica *replica = change->replica;
    enum status status = replica_apply(replica, &change->record, position_of(change));
    CHECK(status == STATUS_OK); /* checked before it was logged */
    if (is_held_back(change)) {
        lsm_hold_end(&change->hold);
        list_remove(&change->link);
    }
    shard->changes_open--;
    replica->changes--;
    change->done(change);
}

static void judge(struct change *change, enum status found)
{
    struct shard *shard = change->shard;
    change->status = STATUS_OK;
    if (found == STATUS_OK || found == STATUS_NOT_FOUND) {
        const struct lsm_row *held = found == STATUS_OK ? &change->met : NULL;
        found = replica_verdict(held, change->record.body);
        change->status = found;
    }
    if (found == STATUS_CORRUPT || found == STATUS_IO) {
        shard->counters.damaged++;
        LOG(reactor_log(shard->reactor), ERROR, "lookup.failed", "range=%016llx id=%llu status=%s",
            (unsigned long long)change->replica->id.value, (unsigned long long)change->record.lo, status_name(found));
        change->status = STATUS_UNDECIDED;
    }
}

static enum status look_up(struct change *change)
{
    return lsm_lookup(change->replica->lsm, change->record.partition, change->record.lo, change->arena, &change->met);
}

/* True when the change was judged; false: its lookup needs a block. */
static bool try_judge(struct change *change)
{
    change->status = STATUS_OK;
    if (change->record.kind != RECORD_ROW) return true;
    if (change->record.lo > lsm_newest(change->replica->lsm, change->record.partition) ||
        (change->is_create && PLANT(create_looks_nothing_up))) {
        judge(change, STATUS_NOT_FOUND);
        return true;
    }
    enum status found = look_up(change);
    if (found == STATUS_BUSY) return false;
    judge(change, found);
    return true;
}

/* ---- waiting ---- */

static void let_followers_go(struct replica *replica);

static void serve_lookups(void *argument)
{
    struct shard *shard = argument;
    struct list *link;
    while ((link = list_pop_front(&shard->ready))) {
        struct change *change = CONTAINER_OF(link, struct change, ready);
        struct replica *replica = change->replica;
        judge(change, look_up(change));
        finish(change);
        let_followers_go(replica);
    }
    shard->lookups--;
}

static void queue_lookup(struct change *change)
{
    struct shard *shard = change->shard;
    shard->counters.lookups_waited++;
    list_push_back(&shard->ready, &change->ready);
    if (shard->lookups == LOOKUP_FIBERS_MAX) return;
    shard->lookups++;
    fiber_start(shard->reactor, "lookup", serve_lookups, shard);
}

/* Starts what waited for changes that are gone. Applying one may let others go, so it looks again from the start. */
static void let_followers_go(struct replica *replica)
{
    for (bool again = true; again;) {
        again = false;
        LIST_FOR_EACH (link, &replica->pending) {
            struct change *change = CONTAINER_OF(link, struct change, link);
            if (!change->waits || must_wait(&replica->pending, change, link)) continue;
            change->waits = false;
            if (change->record.kind == RECORD_ROW) {
                queue_lookup(change);
                continue;
            }
            finish(change);
            again = true;
            break;
        }
    }
}

/* ---- durable ---- */

static void durable(struct wal_waiter *waiter)
{
    struct change *change = CONTAINER_OF(waiter, struct change, waiter);
    struct shard *shard = change->shard;
    struct replica *replica = change->replica;
    change->sequence = waiter->sequence;
    shard_told(shard, waiter->sequence);
    if (must_wait(&replica->pending, change, &replica->pending)) {
        shard->counters.orders_waited++;
        change->waits = true;
        hold_back(change);
    } else if (try_judge(change)) {
        finish(change);
    } else {
        hold_back(change);
        queue_lookup(change);
    }
}

/* ---- start ---- */

/* Of a create below the horizon. A session is numbered by the view that it began in: one of a newer view than ours may
   live, so it is asked for again; TOO_OLD would be final. */
static enum status judge_import(const struct shard *shard, const struct change *change)
{
    uint64_t session = change->import_session;
    if (session == 0) return STATUS_TOO_OLD;
    if (!shard->view || session > shard->view->view.version) return STATUS_BUSY;
    const struct view_import *import = view_import_by_id(&shard->view->view, session);
    bool lives = import && import->table.value == change->replica->record.table.value;
    return lives ? STATUS_OK : STATUS_TOO_OLD;
}

/* What a change wants disk space for. */
static enum space_use use_of(const struct change *change)
{
    const struct record *record = &change->record;
    if (record->kind == RECORD_ROW) {
        if (row_bytes_is_delete(record->body)) return SPACE_USE_DELETE;
        return change->is_create && change->import_session ? SPACE_USE_IMPORT : SPACE_USE_WRITE;
    }
    return record->kind == RECORD_PAGE && replica_page_has_rows(record->body) ? SPACE_USE_REPAIR : SPACE_USE_DELETE;
}

static enum status judge_call(struct shard *shard, struct change *change)
{
    enum status status = shard_admit(shard, change->record.range, change->epoch, REPLICA_WRITES, &change->replica);
    if (status != STATUS_OK) return status;
    struct replica *replica = change->replica;
    if (!replica_owns(replica, change->record.partition)) return STATUS_BAD_REQUEST;
    change->record.table = replica->record.table;
    if (change->is_create && replica_is_below_horizon(replica, change->record.lo)) {
        status = judge_import(shard, change);
        if (status != STATUS_OK) return status;
    }
    if (shard->space != SPACE_LEVEL_OPEN && !space_level_allows(shard->space, use_of(change))) return STATUS_FULL;
    return lsm_store_is_full(shard->store) ? STATUS_BUSY : STATUS_OK;
}

static enum status append(struct shard *shard, struct change *change)
{
    uint8_t head[RECORD_HEAD_BYTES_MAX];
    struct bytes parts[2] = {record_encode_head(&change->record, head), change->record.body};
    enum status status = wal_append(shard->wal, (uint8_t)change->record.kind, parts, 2, &change->waiter);
    return status == STATUS_NO_SPACE ? STATUS_FULL : status;
}

enum status change_start(struct shard *shard, struct change *change)
{
    CHECK(shard->wal && change->done && (change->arena || change->record.kind != RECORD_ROW));
    change->shard = shard;
    change->replica = NULL;
    change->waiter = (struct wal_waiter){.done = durable};
    change->waits = false;
    list_init(&change->waiter.link);
    list_init(&change->link);
    list_init(&change->ready);
    enum status status = judge_call(shard, change);
    if (status == STATUS_OK) status = append(shard, change);
    if (status == STATUS_BUSY) shard->counters.busy++;
    if (status == STATUS_STALE_EPOCH) shard->counters.stale++;
    if (status == STATUS_FULL) shard->counters.full++;
    if (status != STATUS_OK) return status;
    shard->changes_open++;
    change->replica->changes++;
    shard->counters.writes++;
    return STATUS_OK;
}
