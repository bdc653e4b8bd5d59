/* writes: the calls that change a replica: rows, spans, write-backs, closings, ownership records. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "noded/api/face.h"
#include "noded/replica/page_cutter.h"
#include "noded/shard/change.h"
#include "proto/replica.pb-c.h"

enum { RETRY_MS = 2 };

struct write_call {
    struct face_call call;
    struct change change;
    struct buffer closed; /* CLOSED: the record's body */
};

static struct bytes bytes_from(ProtobufCBinaryData data)
{
    return bytes_of(data.data, data.len);
}

static struct write_call *write_call_create(
    struct face *face, struct rpc_request *request, struct record record, void (*done)(struct change *change))
{
    struct write_call *write = arena_zalloc(&request->arena, sizeof *write);
    write->call = face_take(face, request);
    write->call.is_write = true;
    write->change = (struct change){
        .record = record, .epoch = request->epoch, .arena = &request->arena, .done = done, .context = write};
    write->change.record.range.value = request->range;
    return write;
}

static void submit(struct write_call *write)
{
    enum status status = change_start(write->call.face->shard, &write->change);
    if (status == STATUS_OK) return;
    buffer_free(&write->closed);
    face_refuse(&write->call, status, write->change.replica);
}

static void answer_done(struct change *change)
{
    struct write_call *write = change->context;
    buffer_free(&write->closed);
    face_answer(&write->call, change->status, &(struct rpc_answer){.stamp = change->sequence});
}

/* ---- rows ---- */

static void answer_row(struct change *change)
{
    struct write_call *write = change->context;
    if (change->status != STATUS_DEAD) {
        answer_done(change);
        return;
    }
    Trillium__V1__ReplicaWriteAnswer body = TRILLIUM__V1__REPLICA_WRITE_ANSWER__INIT;
    struct buffer span = {0};
    if (change->met.covered) {
        struct span_set set = {0};
        span_set_add(&set, change->met.span);
        span_set_encode(&set, &span);
        span_set_free(&set);
        body.span = (ProtobufCBinaryData){span.size, span.data};
    } else {
        body.row = (ProtobufCBinaryData){change->met.row.size, (uint8_t *)(uintptr_t)change->met.row.data};
    }
    struct rpc_answer answer = {.stamp = change->sequence, .body = RPC_MESSAGE(&body)};
    face_answer(&write->call, STATUS_DEAD, &answer);
    buffer_free(&span);
}

static void handle_row(struct face *face, struct rpc_request *request, const Trillium__V1__ReplicaWriteCall *call)
{
    enum replica_write kind = call->kind == TRILLIUM__V1__WRITE_KIND__WRITE_KIND_CREATE ? REPLICA_CREATE
                              : call->kind == TRILLIUM__V1__WRITE_KIND__WRITE_KIND_EDIT ? REPLICA_EDIT
                                                                                        : REPLICA_DELETE;
    struct record record = {.kind = RECORD_ROW,
        .partition = bytes_from(call->partition),
        .lo = call->message_id,
        .hi = call->message_id,
        .body = bytes_from(call->row)};
    struct write_call *write = write_call_create(face, request, record, answer_row);
    write->change.is_create = kind == REPLICA_CREATE;
    write->change.import_session = call->import_session;
    enum status status = replica_check_row(kind, record.body);
    if (status != STATUS_OK)
        face_answer(&write->call, status, NULL);
    else
        submit(write);
}

/* ---- pages that are written back ---- */

/* A large page, cut into records one after the other. */
struct large_page {
    struct write_call *write;
    struct page_cutter cutter;
    struct fiber *fiber;
    bool done;
};

static void chunk_done(struct change *change)
{
    struct large_page *large = change->context;
    large->done = true;
    fiber_wake(large->fiber);
}

static enum status write_chunk(struct large_page *large)
{
    struct write_call *write = large->write;
    struct reactor *reactor = write->call.face->reactor;
    enum status status;
    large->done = false;
    while ((status = change_start(write->call.face->shard, &write->change)) == STATUS_BUSY) {
        if (reactor_now_ns(reactor) >= write->call.request->deadline_ns) return status;
        fiber_sleep_until(reactor, reactor_now_ns(reactor) + (uint64_t)RETRY_MS * 1000000);
    }
    while (status == STATUS_OK && !large->done)
        fiber_suspend(reactor);
    return status;
}

static void write_large_page(void *argument)
{
    struct large_page *large = argument;
    struct write_call *write = large->write;
    struct face *face = write->call.face;
    large->fiber = fiber_current(face->reactor);
    write->change.done = chunk_done;
    write->change.context = large;
    enum status status = STATUS_OK;
    page_cutter_init(&large->cutter, write->change.record.body);
    while (status == STATUS_OK && page_cutter_next(&large->cutter, &write->change.record))
        status = write_chunk(large);
    page_cutter_fini(&large->cutter);
    if (status == STATUS_OK)
        face_answer(&write->call, STATUS_OK, &(struct rpc_answer){.stamp = write->change.sequence});
    else
        face_refuse(&write->call, status, write->change.replica);
    face_fiber_ends(face);
}

static void handle_page(struct face *face, struct rpc_request *request, const Trillium__V1__ReplicaWriteCall *call)
{
    struct record record = {
        .kind = RECORD_PAGE, .partition = bytes_from(call->partition), .body = bytes_from(call->page)};
    enum status status = replica_check_page(record.body, &record.lo, &record.hi);
    struct write_call *write = write_call_create(face, request, record, answer_done);
    if (status != STATUS_OK) {
        face_answer(&write->call, status, NULL);
    } else if (record.body.size <= PAGE_RECORD_BYTES) {
        submit(write);
    } else {
        struct large_page *large = arena_zalloc(&request->arena, sizeof *large);
        large->write = write;
        face_fiber(face, write_large_page, large);
    }
}

static void handle_write(void *context, struct rpc_request *request)
{
    struct face *face = context;
    Trillium__V1__ReplicaWriteCall *call =
        rpc_decode(&request->arena, &trillium__v1__replica_write_call__descriptor, request->body);
    struct face_call refused = face_take(face, request);
    if (call && call->kind == TRILLIUM__V1__WRITE_KIND__WRITE_KIND_BACK)
        handle_page(face, request, call);
    else if (call && (call->kind == TRILLIUM__V1__WRITE_KIND__WRITE_KIND_CREATE ||
                         call->kind == TRILLIUM__V1__WRITE_KIND__WRITE_KIND_EDIT ||
                         call->kind == TRILLIUM__V1__WRITE_KIND__WRITE_KIND_DELETE))
        handle_row(face, request, call);
    else
        face_answer(&refused, STATUS_BAD_REQUEST, NULL);
}

/* ---- spans and closings ---- */

static void handle_span(void *context, struct rpc_request *request)
{
    struct face *face = context;
    Trillium__V1__ReplicaSpanCall *call =
        rpc_decode(&request->arena, &trillium__v1__replica_span_call__descriptor, request->body);
    struct record record = {.kind = RECORD_SPAN};
    if (call) {
        record.partition = bytes_from(call->partition);
        record.lo = call->lo;
        record.hi = call->hi;
        record.stamp = call->stamp_us;
    }
    struct write_call *write = write_call_create(face, request, record, answer_done);
    if (!call || record.lo > record.hi)
        face_answer(&write->call, STATUS_BAD_REQUEST, NULL);
    else
        submit(write);
}

static void handle_closed(void *context, struct rpc_request *request)
{
    struct face *face = context;
    Trillium__V1__ReplicaClosedCall *call =
        rpc_decode(&request->arena, &trillium__v1__replica_closed_call__descriptor, request->body);
    struct span_set spans = {0};
    enum status status = call ? STATUS_OK : STATUS_BAD_REQUEST;
    if (call && call->spans.len) {
        struct reader reader = reader_of(bytes_from(call->spans));
        status = span_set_decode(&reader, &spans);
        if (status == STATUS_OK && !reader_done(&reader)) status = STATUS_BAD_REQUEST;
    }
    struct record record = {.kind = RECORD_CLOSED, .lo = UINT64_MAX, .hi = 0};
    struct write_call *write = write_call_create(face, request, record, answer_done);
    if (status == STATUS_OK) {
        struct record *closed = &write->change.record;
        closed->partition = bytes_from(call->partition);
        for (size_t i = 0; i < call->n_ids; i++) {
            if (call->ids[i] < closed->lo) closed->lo = call->ids[i];
            if (call->ids[i] > closed->hi) closed->hi = call->ids[i];
        }
        for (size_t i = 0; i < spans.count; i++) {
            if (spans.spans[i].lo < closed->lo) closed->lo = spans.spans[i].lo;
            if (spans.spans[i].hi > closed->hi) closed->hi = spans.spans[i].hi;
        }
        closed_encode(call->ids, (uint32_t)call->n_ids, &spans, &write->closed);
        closed->body = buffer_bytes(&write->closed);
        submit(write);
    } else {
        face_answer(&write->call, STATUS_BAD_REQUEST, NULL);
    }
    span_set_free(&spans);
}

/* ---- ownership ---- */

struct adopt_call {
    struct face_call call;
    struct view_range record;
};

static void adopt(void *argument)
{
    struct adopt_call *adopt = argument;
    struct face *face = adopt->call.face;
    struct replica *replica = NULL;
    enum status status = shard_adopt(face->shard, &adopt->record, &replica);
    if (status == STATUS_OK) {
        Trillium__V1__ReplicaAdoptAnswer body = TRILLIUM__V1__REPLICA_ADOPT_ANSWER__INIT;
        body.epoch = replica->record.epoch;
        face_answer(&adopt->call, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
    } else {
        face_answer(&adopt->call, status, NULL);
    }
    face_fiber_ends(face);
}

static void handle_adopt(void *context, struct rpc_request *request)
{
    struct face *face = context;
    Trillium__V1__ReplicaAdoptCall *call =
        rpc_decode(&request->arena, &trillium__v1__replica_adopt_call__descriptor, request->body);
    struct adopt_call *adopted = arena_zalloc(&request->arena, sizeof *adopted);
    adopted->call = face_take(face, request);
    struct reader reader = reader_of(call ? bytes_from(call->record) : bytes_of(NULL, 0));
    if (!call || view_range_decode(&reader, &adopted->record) != STATUS_OK || !reader_done(&reader) ||
        adopted->record.id.value != request->range) {
        face_answer(&adopted->call, STATUS_BAD_REQUEST, NULL);
        return;
    }
    /* The call that this record was sent for follows at its heels. */
    shard_adopt_soon(face->shard, &adopted->record);
    face_fiber(face, adopt, adopted);
}

static const struct rpc_handler handlers[] = {
    {METHOD_REPLICA_WRITE, RPC_ROLE_BIT(RPC_ROLE_ROUTER) | RPC_ROLE_BIT(RPC_ROLE_NODE), handle_write, NULL},
    {METHOD_REPLICA_SPAN, RPC_ROLE_BIT(RPC_ROLE_ROUTER) | RPC_ROLE_BIT(RPC_ROLE_NODE), handle_span, NULL},
    {METHOD_REPLICA_CLOSED, RPC_ROLE_BIT(RPC_ROLE_ROUTER) | RPC_ROLE_BIT(RPC_ROLE_NODE), handle_closed, NULL},
    {METHOD_REPLICA_ADOPT, RPC_ROLES_DAEMONS, handle_adopt, NULL},
};
const struct rpc_handlers WRITE_CALLS = {handlers, sizeof handlers / sizeof *handlers};
