#include "routerd/coordinator/read_repair.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/runtime/fiber.h"
#include "proto/replica.pb-c.h"
#include "routerd/coordinator/reconcile.h"
#include "routerd/coordinator/write.h"

enum { LOOK_AGAIN_MS = 10 };

/* Calls to all replicas at once, waited for together. */
struct fan_slot {
    struct read_repair *repair;
    struct rpc_call call;
    enum status status;
    struct buffer body;
};

struct read_repair {
    struct coordinator *coordinator;
    struct read_repair_spec spec;
    struct fiber *fiber;
    struct timer late;
    uint64_t asked_ns;
    bool has_given_up; /* somebody was late, and the read begins again without him */
    unsigned open;
    struct fan_slot slots[REPLICAS_MAX];
    struct page_builder answer;
    void (*done)(void *context, enum status status, struct bytes page, bool more);
    void *context;
};

struct interval {
    uint64_t lo, hi;
};

static void fan_replied(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct fan_slot *slot = CONTAINER_OF(call, struct fan_slot, call);
    slot->status = reply->status;
    buffer_clear(&slot->body);
    buffer_append(&slot->body, reply->body.data, reply->body.size);
    slot->repair->open--;
    fiber_wake(slot->repair->fiber);
}

static void fan_call(struct read_repair *repair, unsigned i, struct rpc_call call, const struct rpc_body *body)
{
    struct reactor *reactor = repair->coordinator->reactor;
    uint64_t now = reactor_now_ns(reactor);
    uint64_t left = repair->spec.deadline_ns > now ? (repair->spec.deadline_ns - now) / 1000 : 0;
    struct fan_slot *slot = &repair->slots[i];
    slot->repair = repair;
    slot->call = call;
    slot->call.done = fan_replied;
    slot->call.trace = repair->spec.read->trace;
    slot->call.routed = true;
    slot->call.range = repair->spec.range.value;
    slot->call.epoch = repair->spec.epoch;
    slot->call.budget_us = left > 1000 ? (uint32_t)left : 1000;
    repair->open++;
    repair->asked_ns = now;
    rpc_call_start(repair->spec.replicas[i]->peer, &slot->call, body);
}

static bool can_do_without(const struct read_repair *repair, const struct replica *late)
{
    unsigned others = 0;
    for (unsigned i = 0; i < repair->spec.all_count; i++)
        others += repair->spec.all[i] != late && replica_is_usable(repair->spec.all[i]);
    return others >= repair->spec.needed;
}

static void look_for_late(struct timer *timer)
{
    struct read_repair *repair = CONTAINER_OF(timer, struct read_repair, late);
    uint64_t waited_us = (reactor_now_ns(repair->coordinator->reactor) - repair->asked_ns) / 1000;
    for (unsigned i = 0; i < repair->spec.replicas_count; i++) {
        struct replica *replica = repair->spec.replicas[i];
        if (!rpc_call_is_open(&repair->slots[i].call) || waited_us < replica_suspect_after_us(replica)) continue;
        if (!can_do_without(repair, replica)) continue;
        replica_suspect_behind(replica, repair->spec.range);
        repair->has_given_up = true;
    }
    if (repair->has_given_up)
        fiber_wake(repair->fiber);
    else
        timer_start_in(timer, (uint64_t)LOOK_AGAIN_MS * 1000000);
}

/* False: the read is to begin again. */
static bool fan_wait(struct read_repair *repair)
{
    timer_start_in(&repair->late, (uint64_t)SUSPECT_AFTER_US_MIN * 1000);
    while (repair->open > 0 && !repair->has_given_up)
        fiber_suspend(repair->coordinator->reactor);
    timer_stop(&repair->late);
    for (unsigned i = 0; i < repair->spec.replicas_count; i++)
        rpc_call_cancel(&repair->slots[i].call);
    return !repair->has_given_up;
}

static enum status fetch_raw(
    struct read_repair *repair, struct interval interval, struct arena *arena, struct bytes pages[REPLICAS_MAX])
{
    const struct read_spec *read = repair->spec.read;
    Trillium__V1__ReplicaReadCall body = TRILLIUM__V1__REPLICA_READ_CALL__INIT;
    body.partition = (ProtobufCBinaryData){read->partition.size, (uint8_t *)(uintptr_t)read->partition.data};
    body.lo = interval.lo;
    body.hi = interval.hi;
    body.oldest_first = read->direction == PAGE_OLDEST_FIRST;
    body.bytes_max = PAGE_BYTES_MAX;
    body.mode = TRILLIUM__V1__READ_MODE__READ_MODE_RAW;
    for (unsigned i = 0; i < repair->spec.replicas_count; i++)
        fan_call(repair, i, (struct rpc_call){.method = METHOD_REPLICA_READ}, RPC_MESSAGE(&body));
    if (!fan_wait(repair)) return STATUS_UNAVAILABLE;
    for (unsigned i = 0; i < repair->spec.replicas_count; i++) {
        struct fan_slot *slot = &repair->slots[i];
        if (slot->status != STATUS_OK) {
            if (slot->status == STATUS_STALE_EPOCH)
                coordinator_settle_epoch(
                    repair->coordinator, repair->spec.replicas[i], repair->spec.range, buffer_bytes(&slot->body));
            return status_class(slot->status) == STATUS_CLASS_RETRY ? slot->status : STATUS_TIMEOUT;
        }
        Trillium__V1__ReplicaReadAnswer *answer =
            rpc_decode(arena, &trillium__v1__replica_read_answer__descriptor, buffer_bytes(&slot->body));
        if (!answer) return STATUS_UNAVAILABLE;
        pages[i] = bytes_of(answer->page.data, answer->page.len);
    }
    return STATUS_OK;
}

/* Every replica asked must hold the merged state before it is answered. */
static enum status write_back(struct read_repair *repair, const struct reconcile *result, int64_t fence)
{
    struct coordinator *coordinator = repair->coordinator;
    const struct read_spec *read = repair->spec.read;
    for (unsigned i = 0; i < repair->spec.replicas_count; i++) {
        struct bytes page = result->lacks_page[i];
        repair->slots[i].status = STATUS_OK;
        if (page.size == 0) continue;
        Trillium__V1__ReplicaWriteCall body = TRILLIUM__V1__REPLICA_WRITE_CALL__INIT;
        body.partition = (ProtobufCBinaryData){read->partition.size, (uint8_t *)(uintptr_t)read->partition.data};
        body.kind = TRILLIUM__V1__WRITE_KIND__WRITE_KIND_BACK;
        body.page = (ProtobufCBinaryData){page.size, (uint8_t *)(uintptr_t)page.data};
        coordinator->counters.write_backs++;
        fan_call(
            repair, i, (struct rpc_call){.method = METHOD_REPLICA_WRITE, .stamp = (uint64_t)fence}, RPC_MESSAGE(&body));
    }
    if (!fan_wait(repair)) return STATUS_UNAVAILABLE;
    for (unsigned i = 0; i < repair->spec.replicas_count; i++) {
        enum status status = repair->slots[i].status;
        if (status_is_done(status) || status == STATUS_ID_TAKEN) continue;
        /* A full disk takes nothing of what it lacks, so reads leave it alone while others are enough. */
        if (status == STATUS_FULL && can_do_without(repair, repair->spec.replicas[i]))
            replica_suspect_behind(repair->spec.replicas[i], repair->spec.range);
        return status_class(status) == STATUS_CLASS_RETRY ? status : STATUS_TIMEOUT;
    }
    return STATUS_OK;
}

static void close_deletes(struct read_repair *repair, const struct reconcile *result)
{
    if (result->close_ids_count == 0 && result->close_spans.count == 0) return;
    struct closed_notice notice = {.range = repair->spec.range,
        .epoch = repair->spec.epoch,
        .partition = repair->spec.read->partition,
        .ids = result->close_ids,
        .ids_count = result->close_ids_count,
        .spans = &result->close_spans};
    for (unsigned i = 0; i < repair->spec.replicas_count; i++)
        write_closed_notice(repair->coordinator, repair->spec.replicas[i], &notice);
}

static void take_rows(struct read_repair *repair, struct bytes page)
{
    struct page_reader reader;
    struct page_entry entry;
    if (page_open(page, &reader) != STATUS_OK) CHECK(false);
    while (page_next(&reader, &entry))
        page_add_row(&repair->answer, entry.id, entry.row);
}

/* One interval; *through and *more tell how far it came. */
static enum status repair_interval(struct read_repair *repair, struct interval interval, uint64_t *through, bool *more)
{
    const struct read_spec *read = repair->spec.read;
    struct arena arena = {0};
    struct bytes pages[REPLICAS_MAX];
    struct reconcile *result = mem_zalloc(sizeof *result);
    size_t used = page_size(&repair->answer);
    struct reconcile_limits limits = {interval.lo, interval.hi, read->limit - repair->answer.rows_count,
        read->bytes_max > used ? read->bytes_max - (uint32_t)used : 1, read->direction};
    unsigned bad = 0;
    int64_t fence = coordinator_stamp(repair->coordinator);
    enum status status = fetch_raw(repair, interval, &arena, pages);
    if (status == STATUS_OK) {
        status = reconcile_run(result, pages, repair->spec.replicas_count, &limits, &bad);
        if (status != STATUS_OK)
            LOG(reactor_log(repair->coordinator->reactor), ERROR, "replica.malformed", "node=%u shard=%u trace=%016llx",
                repair->spec.replicas[bad]->node.value, repair->spec.replicas[bad]->shard,
                (unsigned long long)read->trace);
    }
    if (status == STATUS_OK) status = write_back(repair, result, fence);
    if (status == STATUS_OK) {
        close_deletes(repair, result);
        take_rows(repair, result->visible_page);
        *through = result->through;
        *more = result->more;
    }
    reconcile_free(result);
    mem_free(result);
    arena_free(&arena);
    return status == STATUS_BAD_REQUEST ? STATUS_UNAVAILABLE : status;
}

static enum status repair_all(struct read_repair *repair, uint64_t *through, bool *more)
{
    const struct read_spec *read = repair->spec.read;
    bool down = read->direction == PAGE_NEWEST_FIRST;
    struct interval interval = {read->lo, read->hi};
    uint64_t end = down ? read->lo : read->hi;
    if (repair->spec.more) *(down ? &interval.lo : &interval.hi) = repair->spec.through;
    for (;;) {
        enum status status = repair_interval(repair, interval, through, more);
        if (status != STATUS_OK) return status;
        *more = *more || *through != end;
        bool full = repair->answer.rows_count >= read->limit || page_size(&repair->answer) >= read->bytes_max;
        if (*through == end || full) return STATUS_OK;
        if (repair->answer.rows_count > 0 && page_size(&repair->answer) * 2 > read->bytes_max) return STATUS_OK;
        interval = (struct interval){down ? read->lo : *through + 1, down ? *through - 1 : read->hi};
    }
}

static void run(void *argument)
{
    struct read_repair *repair = argument;
    repair->fiber = fiber_current(repair->coordinator->reactor);
    page_begin(&repair->answer, repair->spec.read->direction, false);
    uint64_t through = 0;
    bool more = false;
    enum status status = repair_all(repair, &through, &more);
    struct bytes page = status == STATUS_OK ? page_finish(&repair->answer, through, more) : bytes_of(NULL, 0);
    repair->done(repair->context, status, page, more);
    for (unsigned i = 0; i < REPLICAS_MAX; i++)
        buffer_free(&repair->slots[i].body);
    page_free(&repair->answer);
    mem_free(repair);
}

void read_repair_start(struct coordinator *coordinator, const struct read_repair_spec *spec,
    void (*done)(void *context, enum status status, struct bytes page, bool more), void *context)
{
    struct read_repair *repair = mem_zalloc(sizeof *repair);
    repair->coordinator = coordinator;
    repair->spec = *spec;
    repair->done = done;
    repair->context = context;
    timer_init(&repair->late, coordinator->reactor, look_for_late);
    fiber_start(coordinator->reactor, "read-repair", run, repair);
}
