#include "routerd/coordinator/write.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/model/key.h"
#include "common/model/page.h"
#include "common/model/row.h"
#include "proto/replica.pb-c.h"

enum { ATTEMPTS_MAX = 4, POOL_WRITES_MAX = 2048, POOL_BODY_BYTES_MAX = 1024 };

struct write_slot {
    struct write *write;
    struct replica *replica;
    struct rpc_call call;
    uint8_t attempts, place;
    uint64_t sent_ns;
    bool answered, stored;
    bool lapsed; /* counts for nothing: its replica has lapsed */
    enum status answer;
};

/* Phases: the write itself; then, when it met a delete, making that delete known. */
struct write {
    struct list link;   /* in the pool, or among the late ones */
    struct buffer body; /* the packed call; its memory stays in the pool */
    /* From here to the slots all is zero at first; a slot is, when it is taken. */
    struct coordinator *coordinator;
    struct tally tally;
    enum level level;
    struct table_id table;
    int64_t token;
    struct range_id range;
    uint64_t epoch;
    uint64_t trace, deadline_ns, id, lo, hi;
    bool is_span, spreading, told, dominated_only;
    size_t late_bytes; /* counted among the late ones; 0: it is none */
    uint8_t replicas;  /* of the range */
    uint8_t partition_size;
    uint8_t partition[KEY_CHANNEL_BYTES];
    uint16_t method;
    struct page_builder dead; /* the delete that a replica told of */
    struct span_set dead_spans;
    bool has_dead;
    unsigned slots_count, open;
    struct task conclude; /* answers that are due without any call under way */
    enum status unsent;   /* with this */
    void (*done)(void *context, const struct write_result *result);
    void *context;
    struct write_slot slots[REPLICAS_MAX];
};

static void replied(struct rpc_call *call, const struct rpc_reply *reply);
static void conclude(struct write *write);

static ProtobufCBinaryData binary(struct bytes bytes)
{
    return (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
}

/* ---- the pool ---- */

static void write_free(struct write *write)
{
    buffer_free(&write->body);
    mem_free(write);
}

static struct write *write_take(struct coordinator *coordinator)
{
    enum { FIRST = offsetof(struct write, coordinator), LAST = offsetof(struct write, slots) };
    struct write *write;
    struct list *link = list_pop_front(&coordinator->free_writes);
    if (link) {
        coordinator->free_writes_count--;
        write = CONTAINER_OF(link, struct write, link);
    } else {
        write = mem_alloc(sizeof *write);
        list_init(&write->link);
        write->body = (struct buffer){0};
    }
    memset((char *)write + FIRST, 0, LAST - FIRST);
    write->coordinator = coordinator;
    return write;
}

static void write_give(struct write *write)
{
    struct coordinator *coordinator = write->coordinator;
    if (coordinator->free_writes_count == POOL_WRITES_MAX || write->body.capacity > POOL_BODY_BYTES_MAX) {
        write_free(write);
        return;
    }
    coordinator->free_writes_count++;
    list_push_front(&coordinator->free_writes, &write->link);
}

void write_pool_free(struct coordinator *coordinator)
{
    for (struct list *link; (link = list_pop_front(&coordinator->free_writes));)
        write_free(CONTAINER_OF(link, struct write, link));
    coordinator->free_writes_count = 0;
}

/* ---- packing and sending ---- */

static struct bytes partition_of(const struct write *write)
{
    return bytes_of(write->partition, write->partition_size);
}

static void pack(struct write *write, uint16_t method, const ProtobufCMessage *message)
{
    write->method = method;
    buffer_clear(&write->body);
    size_t size = protobuf_c_message_get_packed_size(message);
    protobuf_c_message_pack(message, buffer_reserve(&write->body, size));
    write->body.size = size;
}

static void pack_write(struct write *write, const struct write_spec *spec)
{
    Trillium__V1__ReplicaWriteCall body = TRILLIUM__V1__REPLICA_WRITE_CALL__INIT;
    body.partition = binary(spec->partition);
    body.message_id = spec->id;
    body.row = binary(spec->row);
    body.import_session = spec->import_session;
    body.kind = spec->kind == TALLY_CREATE ? TRILLIUM__V1__WRITE_KIND__WRITE_KIND_CREATE
                : spec->kind == TALLY_EDIT ? TRILLIUM__V1__WRITE_KIND__WRITE_KIND_EDIT
                                           : TRILLIUM__V1__WRITE_KIND__WRITE_KIND_DELETE;
    pack(write, METHOD_REPLICA_WRITE, &body.base);
}

static void pack_span(struct write *write, const struct write_spec *spec)
{
    Trillium__V1__ReplicaSpanCall body = TRILLIUM__V1__REPLICA_SPAN_CALL__INIT;
    body.partition = binary(spec->partition);
    body.lo = spec->lo;
    body.hi = spec->hi;
    body.stamp_us = spec->stamp;
    pack(write, METHOD_REPLICA_SPAN, &body.base);
}

static void pack_dead(struct write *write)
{
    Trillium__V1__ReplicaWriteCall body = TRILLIUM__V1__REPLICA_WRITE_CALL__INIT;
    body.partition = binary(partition_of(write));
    body.kind = TRILLIUM__V1__WRITE_KIND__WRITE_KIND_BACK;
    body.page = binary(page_finish(&write->dead, 0, false));
    pack(write, METHOD_REPLICA_WRITE, &body.base);
}

static void send(struct write_slot *slot)
{
    struct write *write = slot->write;
    uint64_t now = reactor_now_ns(write->coordinator->reactor);
    uint64_t left_us = write->deadline_ns > now ? (write->deadline_ns - now) / 1000 : 0;
    slot->attempts++;
    slot->sent_ns = now;
    slot->answered = slot->stored = false;
    slot->call = (struct rpc_call){.done = replied,
        .method = write->method,
        .trace = write->trace,
        .routed = true,
        .range = write->range.value,
        .epoch = write->epoch,
        .stamp = write->spreading ? (uint64_t)coordinator_stamp(write->coordinator) : 0,
        .budget_us = left_us > 1000 ? (uint32_t)left_us : 1000};
    write->open++;
    rpc_call_start(slot->replica->peer, &slot->call, RPC_BYTES(buffer_bytes(&write->body)));
}

/* ---- counting ---- */

static void count(struct write_slot *slot)
{
    struct write *write = slot->write;
    /* What a lapsed replica stored may be seen once it is rebuilt, so it is not nothing either. */
    enum status weight = slot->lapsed && slot->stored ? STATUS_UNDECIDED : slot->answer;
    if (tally_add(&write->tally, weight)) conclude(write);
}

static void begin_counting(struct write *write, enum tally_kind kind, uint8_t needed)
{
    tally_init(&write->tally, kind, write->replicas, needed);
    for (unsigned i = write->slots_count; i < write->replicas; i++)
        tally_add(&write->tally, STATUS_UNAVAILABLE);
}

static void follow_lapses(struct write *write, const struct view_range *range)
{
    for (unsigned i = 0; i < write->slots_count; i++) {
        struct write_slot *slot = &write->slots[i];
        slot->place = (uint8_t)view_range_place(range, slot->replica->node);
        slot->lapsed = slot->place < range->replicas_count && view_range_is_lapsed(range, slot->place);
    }
}

/* A newer record: acks of replicas that have lapsed since are forgotten, and asked for again. */
static void count_again(struct write *write, const struct view_range *range)
{
    follow_lapses(write, range);
    if (write->told || write->tally.decided) return;
    begin_counting(write, write->tally.kind, write->tally.needed);
    for (unsigned i = 0; i < write->slots_count; i++) {
        struct write_slot *slot = &write->slots[i];
        if (!slot->answered) continue;
        bool forgotten = slot->stored && slot->place < range->replicas_count &&
                         !view_range_counts(range, slot->place, slot->call.epoch);
        if (forgotten && slot->attempts < ATTEMPTS_MAX) {
            send(slot);
        } else {
            if (forgotten) slot->answer = STATUS_UNDECIDED;
            count(slot);
        }
    }
}

/* What a quorum holds is closed at everyone who told that he holds it. */
static void send_closed(struct write *write)
{
    if (write->tally.kind != TALLY_DELETE ||
        write->tally.stored < level_needed(LEVEL_QUORUM_OF_N, write->tally.replicas))
        return;
    struct span_set spans = {0};
    struct closed_notice notice = {
        .range = write->range, .epoch = write->epoch, .partition = partition_of(write), .ids = &write->id};
    if (write->is_span)
        span_set_add(&spans, (struct span){write->lo, write->hi, 0, false});
    else
        notice.ids_count = 1;
    if (write->dead_spans.count) span_set_merge(&spans, &write->dead_spans);
    notice.spans = &spans;
    for (unsigned i = 0; i < write->slots_count; i++)
        if (write->slots[i].stored) write_closed_notice(write->coordinator, write->slots[i].replica, &notice);
    span_set_free(&spans);
}

static void finish(struct write *write)
{
    struct coordinator *coordinator = write->coordinator;
    send_closed(write);
    coordinator->open--;
    if (write->late_bytes) {
        list_remove(&write->link);
        coordinator->late_count--;
        coordinator->late_bytes -= write->late_bytes;
    }
    for (unsigned i = 0; i < write->slots_count; i++)
        replica_release(write->slots[i].replica);
    task_cancel(&write->conclude);
    page_free(&write->dead);
    span_set_free(&write->dead_spans);
    write_give(write);
}

/* Its caller knows, and a replica that has been silent for longer than so many other writes is not waited for. */
static void abandon(struct write *write)
{
    write->coordinator->counters.abandoned++;
    for (unsigned i = 0; i < write->slots_count; i++)
        rpc_call_cancel(&write->slots[i].call);
    write->open = 0;
    finish(write);
}

/* The caller was told, a replica has not answered yet. */
static void wait_late(struct write *write)
{
    struct coordinator *coordinator = write->coordinator;
    write->late_bytes = sizeof *write + write->body.capacity;
    list_push_back(&coordinator->late_writes, &write->link);
    coordinator->late_count++;
    coordinator->late_bytes += write->late_bytes;
    while (coordinator->late_count > LATE_WRITES_MAX || coordinator->late_bytes > LATE_BYTES_MAX)
        abandon(CONTAINER_OF(coordinator->late_writes.next, struct write, link));
}

static void tell(struct write *write, enum status status)
{
    if (write->told) return;
    write->told = true;
    struct write_result result = {status, write->dominated_only && write->tally.answered == write->tally.replicas};
    write->done(write->context, &result);
    if (write->open > 0) wait_late(write);
}

/* The write met a delete: that one must be as safe as this answer says. */
static void spread_delete(struct write *write)
{
    write->spreading = true;
    pack_dead(write);
    begin_counting(write, TALLY_DELETE, level_needed(LEVEL_QUORUM_OF_N, write->replicas));
    for (unsigned i = 0; i < write->slots_count; i++) {
        struct write_slot *slot = &write->slots[i];
        if (rpc_call_is_open(&slot->call)) {
            rpc_call_cancel(&slot->call);
            write->open--;
        }
        slot->attempts = 0;
        send(slot);
    }
}

static void conclude(struct write *write)
{
    enum status verdict = write->tally.verdict;
    if (write->spreading) {
        tell(write, verdict == STATUS_OK ? STATUS_DELETED : STATUS_UNDECIDED);
        return;
    }
    if (verdict == STATUS_DELETED && write->has_dead) {
        spread_delete(write);
        return;
    }
    tell(write, verdict);
}

static void note_dead(struct write *write, struct bytes body)
{
    if (write->has_dead || write->spreading) return;
    if (write->dead.buffer.size == 0) page_begin(&write->dead, PAGE_NEWEST_FIRST, true);
    struct arena arena = {0};
    Trillium__V1__ReplicaWriteAnswer *answer =
        rpc_decode(&arena, &trillium__v1__replica_write_answer__descriptor, body);
    if (answer && answer->span.len) {
        struct reader reader = reader_of(bytes_of(answer->span.data, answer->span.len));
        if (span_set_decode(&reader, &write->dead_spans) == STATUS_OK && write->dead_spans.count > 0) {
            for (size_t i = 0; i < write->dead_spans.count; i++) {
                struct span span = write->dead_spans.spans[i];
                span.open = true;
                page_add_span(&write->dead, &span);
            }
            write->has_dead = true;
        }
    } else if (answer && answer->row.len) {
        struct row *row = arena_zalloc(&arena, sizeof *row);
        if (row_decode(bytes_of(answer->row.data, answer->row.len), row) == STATUS_OK && row->is_deleted) {
            page_add_delete(&write->dead, write->id, row->deleted_at, true);
            write->has_dead = true;
        }
    }
    arena_free(&arena);
}

static bool try_again(struct write_slot *slot, const struct rpc_reply *reply)
{
    struct write *write = slot->write;
    if (reply->status != STATUS_STALE_EPOCH || slot->attempts >= ATTEMPTS_MAX) return false;
    if (!coordinator_settle_epoch(write->coordinator, slot->replica, write->range, reply->body)) return false;
    const struct view_range *range = coordinator_range_by_id(write->coordinator, write->range);
    if (!range || !view_range_has(range, slot->replica->node)) return false;
    bool newer = range->epoch > write->epoch;
    if (newer) write->epoch = range->epoch;
    send(slot);
    if (newer) count_again(write, range);
    return true;
}

static void replied(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct write_slot *slot = CONTAINER_OF(call, struct write_slot, call);
    struct write *write = slot->write;
    write->open--;
    if (!try_again(slot, reply)) {
        slot->answered = true;
        slot->answer = reply->status;
        slot->stored = status_is_done(reply->status) || reply->status == STATUS_ID_TAKEN;
        uint64_t now = reactor_now_ns(write->coordinator->reactor);
        if (slot->stored) slot->replica->answered_ns = now;
        if (slot->stored || status_class(reply->status) == STATUS_CLASS_UNKNOWN)
            replica_wrote(slot->replica, (now - slot->sent_ns) / 1000);
        if (reply->status == STATUS_DEAD) note_dead(write, reply->body);
        if (reply->status != STATUS_DOMINATED) write->dominated_only = false;
        count(slot);
    }
    if (write->open == 0) {
        CHECK(write->told || write->tally.decided);
        finish(write);
    }
}

static void conclude_unsent(struct task *task)
{
    struct write *write = CONTAINER_OF(task, struct write, conclude);
    tell(write, write->unsent);
    finish(write);
}

static struct write *write_create(struct coordinator *coordinator, const struct write_spec *spec)
{
    CHECK(spec->partition.size <= KEY_CHANNEL_BYTES);
    struct write *write = write_take(coordinator);
    write->level = spec->level;
    write->table = spec->table;
    write->token = spec->token;
    write->id = spec->id;
    write->is_span = spec->is_span;
    write->lo = spec->lo;
    write->hi = spec->hi;
    write->trace = spec->trace;
    write->dominated_only = spec->kind == TALLY_EDIT;
    uint32_t budget = spec->budget_us ? spec->budget_us : CALL_BUDGET_MS_DEFAULT * 1000;
    write->deadline_ns = reactor_now_ns(coordinator->reactor) + (uint64_t)budget * 1000;
    write->partition_size = (uint8_t)spec->partition.size;
    memcpy(write->partition, spec->partition.data, spec->partition.size);
    task_init(&write->conclude, conclude_unsent);
    if (spec->is_span)
        pack_span(write, spec);
    else
        pack_write(write, spec);
    return write;
}

static bool is_hopeless(const struct write_slot *slot)
{
    const struct replica *replica = slot->replica;
    return replica->suspected && rpc_peer_open(replica->peer) >= SUSPECTED_OPEN_MAX;
}

/* What a silent replica is sent only fills memory, here and there. While the others are enough it counts as one that
   refused; reads mend it when it is back. */
static void leave_out_suspected(struct write *write)
{
    unsigned hopeful = 0;
    for (unsigned i = 0; i < write->slots_count; i++)
        hopeful += !write->slots[i].answered && !write->slots[i].lapsed && replica_is_up(write->slots[i].replica) &&
                   !is_hopeless(&write->slots[i]);
    if (hopeful < write->tally.needed) return;
    for (unsigned i = 0; i < write->slots_count; i++) {
        struct write_slot *slot = &write->slots[i];
        if (slot->answered || !is_hopeless(slot)) continue;
        slot->answered = true;
        slot->answer = STATUS_UNAVAILABLE;
        write->dominated_only = false;
        CHECK(!tally_add(&write->tally, STATUS_UNAVAILABLE));
    }
}

/* What a node with a full disk would refuse is not sent to it. Enough others have room. */
static void leave_out_full(struct write *write, enum space_use use)
{
    for (unsigned i = 0; i < write->slots_count; i++) {
        struct write_slot *slot = &write->slots[i];
        if (slot->answered || replica_has_space(slot->replica, use)) continue;
        slot->answered = true;
        slot->answer = STATUS_FULL;
        write->dominated_only = false;
        CHECK(!tally_add(&write->tally, STATUS_FULL));
    }
}

static enum space_use use_of(const struct write_spec *spec)
{
    if (spec->is_span || spec->kind == TALLY_DELETE) return SPACE_USE_DELETE;
    return spec->kind == TALLY_CREATE && spec->import_session ? SPACE_USE_IMPORT : SPACE_USE_WRITE;
}

/* UNAVAILABLE and FULL: nothing is sent, since too few could take it. */
static enum status judge_replicas(struct coordinator *coordinator, const struct write_spec *spec,
    const struct view_range *range, struct replica *const *replicas, unsigned count)
{
    unsigned up = 0, have_space = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!replica_is_up(replicas[i]) || view_range_is_lapsed(range, view_range_place(range, replicas[i]->node)))
            continue;
        up++;
        have_space += replica_has_space(replicas[i], use_of(spec));
    }
    unsigned needed = range ? level_needed(spec->level, range->replicas_count) : 1;
    if (up < needed) return STATUS_UNAVAILABLE;
    if (have_space >= needed) return STATUS_OK;
    coordinator->counters.full++;
    return STATUS_FULL;
}

void write_start(struct coordinator *coordinator, const struct write_spec *spec,
    void (*done)(void *context, const struct write_result *result), void *context)
{
    struct write *write = write_create(coordinator, spec);
    write->done = done;
    write->context = context;
    coordinator->counters.writes++;
    coordinator->open++;
    const struct view_range *range = coordinator_range(coordinator, spec->table, spec->token);
    struct replica *replicas[REPLICAS_MAX];
    unsigned count = range ? coordinator_replicas(coordinator, range, replicas) : 0;
    write->unsent = judge_replicas(coordinator, spec, range, replicas, count);
    if (write->unsent != STATUS_OK) {
        reactor_defer(coordinator->reactor, &write->conclude);
        return;
    }
    write->range = range->id;
    write->epoch = range->epoch;
    write->replicas = range->replicas_count;
    for (unsigned i = 0; i < count; i++) {
        struct write_slot *slot = &write->slots[write->slots_count++];
        *slot = (struct write_slot){.write = write, .replica = replica_use(replicas[i])};
    }
    follow_lapses(write, range);
    begin_counting(write, spec->kind, level_needed(spec->level, write->replicas));
    leave_out_full(write, use_of(spec));
    leave_out_suspected(write);
    for (unsigned i = 0; i < write->slots_count; i++)
        if (!write->slots[i].answered) send(&write->slots[i]);
}

struct notice_call {
    struct rpc_call call;
};

static void noticed(struct rpc_call *call, const struct rpc_reply *reply)
{
    (void)reply;
    mem_free(CONTAINER_OF(call, struct notice_call, call));
}

void write_closed_notice(struct coordinator *coordinator, struct replica *replica, const struct closed_notice *notice)
{
    struct buffer spans = {0};
    if (notice->spans && notice->spans->count) span_set_encode(notice->spans, &spans);
    Trillium__V1__ReplicaClosedCall body = TRILLIUM__V1__REPLICA_CLOSED_CALL__INIT;
    body.partition = binary(notice->partition);
    body.n_ids = notice->ids_count;
    body.ids = (uint64_t *)(uintptr_t)notice->ids;
    body.spans = binary(buffer_bytes(&spans));
    struct notice_call *call = mem_zalloc(sizeof *call);
    call->call = (struct rpc_call){.done = noticed,
        .method = METHOD_REPLICA_CLOSED,
        .routed = true,
        .range = notice->range.value,
        .epoch = notice->epoch};
    coordinator->counters.closed_notices++;
    rpc_call_start(replica->peer, &call->call, RPC_MESSAGE(&body));
    buffer_free(&spans);
}
