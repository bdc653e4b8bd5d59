#include "tests/sim/client_calls.h"

#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/model/page.h"
#include "common/model/row.h"
#include "common/model/value.h"
#include "common/rpc/rpc.h"
#include "common/runtime/fiber.h"
#include "proto/client.pb-c.h"

enum { RETRY_PAUSE_MS = 50 };

int64_t sim_author_of(uint64_t id)
{
    return (int64_t)(1000 + hash_u64(id) % 97);
}

int64_t sim_type_of(uint64_t id)
{
    return (int64_t)(hash_u64(id) >> 32) % 5;
}

uint64_t sim_body_hash(const char *content, uint32_t size, int64_t author, int64_t type)
{
    return hash64(content, size, (uint64_t)author * 8 + (uint64_t)type);
}

static Trillium__V1__Level wire_level(const struct sim_call *call)
{
    return (Trillium__V1__Level)call->op.level;
}

/* Rows. */

static struct bytes create_row(struct sim_call *call, struct buffer *out)
{
    struct row row;
    uint8_t author[8], type[8];
    row_begin_create(&row);
    row_put(&row, CHAT_AUTHOR_ID, value_of_int(TYPE_BIGINT, sim_author_of(call->op.id), author));
    row_put(&row, CHAT_CONTENT, bytes_of(call->content, call->content_size));
    row_put(&row, CHAT_TYPE, value_of_int(TYPE_INT, sim_type_of(call->op.id), type));
    return row_encode_buffer(&row, out);
}

static struct bytes edit_row(struct sim_call *call, struct buffer *out)
{
    struct row row;
    uint8_t edited_at[8];
    row_begin_edit(&row);
    row_put_edit(&row, CHAT_CONTENT, call->op.stamp, bytes_of(call->content, call->content_size));
    row_put_edit(&row, CHAT_EDITED_AT, call->op.stamp, value_of_int(TYPE_TIMESTAMP, call->op.stamp / 1000, edited_at));
    return row_encode_buffer(&row, out);
}

/* What is not a whole message gets the body 0, which nobody writes. */
static uint64_t body_of_row(struct bytes bytes)
{
    struct row row;
    if (row_decode(bytes, &row) != STATUS_OK) return 0;
    struct bytes author = row_value(&row, CHAT_AUTHOR_ID), content = row_value(&row, CHAT_CONTENT);
    struct bytes type = row_value(&row, CHAT_TYPE);
    if (!author.data || !content.data || !type.data || !row_is_visible(&row)) return 0;
    if (!value_is_valid(TYPE_BIGINT, author) || !value_is_valid(TYPE_INT, type)) return 0;
    return sim_body_hash((const char *)content.data, (uint32_t)content.size, value_to_int(TYPE_BIGINT, author),
        value_to_int(TYPE_INT, type));
}

static void take_row(struct sim_call *call, uint64_t id, struct bytes row)
{
    if (call->rows_count < SIM_CALL_ROWS_MAX)
        call->rows[call->rows_count++] = (struct history_row){id, body_of_row(row)};
}

/* One attempt of each kind. */

static enum status try_create(struct client_attempt *attempt)
{
    struct sim_call *call = attempt->call;
    struct buffer row = {0};
    Trillium__V1__MessageCreateCall body = TRILLIUM__V1__MESSAGE_CREATE_CALL__INIT;
    body.channel_id = call->op.channel;
    body.message_id = call->op.id;
    body.level = wire_level(call);
    body.import_session = call->import;
    struct bytes bytes = create_row(call, &row);
    body.row = (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
    enum status status = attempt->door->send(attempt, METHOD_MESSAGE_CREATE, &body.base);
    buffer_free(&row);
    return status;
}

static enum status try_edit(struct client_attempt *attempt)
{
    struct sim_call *call = attempt->call;
    struct buffer row = {0};
    Trillium__V1__MessageEditCall body = TRILLIUM__V1__MESSAGE_EDIT_CALL__INIT;
    body.channel_id = call->op.channel;
    body.message_id = call->op.id;
    body.level = wire_level(call);
    body.stamp_us = call->op.stamp;
    struct bytes bytes = edit_row(call, &row);
    body.row = (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
    enum status status = attempt->door->send(attempt, METHOD_MESSAGE_EDIT, &body.base);
    buffer_free(&row);
    return status;
}

static enum status try_delete(struct client_attempt *attempt)
{
    struct sim_call *call = attempt->call;
    Trillium__V1__MessageDeleteCall body = TRILLIUM__V1__MESSAGE_DELETE_CALL__INIT;
    body.channel_id = call->op.channel;
    body.message_id = call->op.id;
    body.level = wire_level(call);
    return attempt->door->send(attempt, METHOD_MESSAGE_DELETE, &body.base);
}

static enum status try_span(struct client_attempt *attempt)
{
    struct sim_call *call = attempt->call;
    Trillium__V1__ChannelPurgeCall body = TRILLIUM__V1__CHANNEL_PURGE_CALL__INIT;
    body.channel_id = call->op.channel;
    body.lo = call->op.id;
    body.hi = call->op.id2 == UINT64_MAX ? 0 : call->op.id2; /* 0: all that there is */
    body.level = wire_level(call);
    enum status status = attempt->door->send(attempt, METHOD_CHANNEL_PURGE, &body.base);
    if (!status_is_done(status)) return status;
    Trillium__V1__ChannelPurgeAnswer *answer =
        rpc_decode(&attempt->arena, &trillium__v1__channel_purge_answer__descriptor, attempt->answer);
    if (answer && answer->hi && answer->hi < call->op.id2) call->op.id2 = answer->hi;
    return answer ? status : STATUS_UNDECIDED;
}

static enum status try_get(struct client_attempt *attempt)
{
    struct sim_call *call = attempt->call;
    Trillium__V1__MessageGetCall body = TRILLIUM__V1__MESSAGE_GET_CALL__INIT;
    body.channel_id = call->op.channel;
    body.message_id = call->op.id;
    body.level = wire_level(call);
    enum status status = attempt->door->send(attempt, METHOD_MESSAGE_GET, &body.base);
    if (status == STATUS_NOT_FOUND || status == STATUS_DELETED) return STATUS_OK;
    if (!status_is_done(status)) return status;
    Trillium__V1__MessageGetAnswer *answer =
        rpc_decode(&attempt->arena, &trillium__v1__message_get_answer__descriptor, attempt->answer);
    if (answer == NULL) return STATUS_UNDECIDED;
    take_row(call, call->op.id, bytes_of(answer->row.data, answer->row.len));
    return STATUS_OK;
}

static enum status try_list(struct client_attempt *attempt)
{
    static const Trillium__V1__Bound bounds[] = {TRILLIUM__V1__BOUND__BOUND_NEWEST, TRILLIUM__V1__BOUND__BOUND_OLDEST,
        TRILLIUM__V1__BOUND__BOUND_BEFORE, TRILLIUM__V1__BOUND__BOUND_AFTER, TRILLIUM__V1__BOUND__BOUND_AROUND};
    struct sim_call *call = attempt->call;
    Trillium__V1__MessageListCall body = TRILLIUM__V1__MESSAGE_LIST_CALL__INIT;
    body.channel_id = call->op.channel;
    body.bound = bounds[call->op.bound];
    body.message_id = call->op.id;
    body.limit = call->op.limit;
    body.level = wire_level(call);
    body.oldest_first = call->op.oldest_first;
    enum status status = attempt->door->send(attempt, METHOD_MESSAGE_LIST, &body.base);
    if (!status_is_done(status)) return status;
    Trillium__V1__MessageListAnswer *answer =
        rpc_decode(&attempt->arena, &trillium__v1__message_list_answer__descriptor, attempt->answer);
    struct page_reader reader;
    struct page_entry entry;
    if (answer == NULL || page_open(bytes_of(answer->page.data, answer->page.len), &reader) != STATUS_OK)
        return STATUS_UNDECIDED;
    while (page_next(&reader, &entry))
        if (entry.kind == PAGE_ROW) take_row(call, entry.id, entry.row);
    call->op.more = answer->more;
    return reader.status == STATUS_OK ? STATUS_OK : STATUS_UNDECIDED;
}

static enum status try_status(struct client_attempt *attempt)
{
    struct sim_call *call = attempt->call;
    Trillium__V1__MessageStatusCall body = TRILLIUM__V1__MESSAGE_STATUS_CALL__INIT;
    body.channel_id = call->op.channel;
    body.message_id = call->op.id;
    body.resolve = call->op.state == HISTORY_NEVER;
    enum status status = attempt->door->send(attempt, METHOD_MESSAGE_STATUS, &body.base);
    if (!status_is_done(status)) return status;
    Trillium__V1__MessageStatusAnswer *answer =
        rpc_decode(&attempt->arena, &trillium__v1__message_status_answer__descriptor, attempt->answer);
    if (answer == NULL) return STATUS_UNDECIDED;
    bool present = answer->state == TRILLIUM__V1__MESSAGE_STATE__MESSAGE_STATE_PRESENT;
    /* What was sent before may have found nothing, and be deleting still. */
    if (present && body.resolve && attempt->maybe) return STATUS_UNDECIDED;
    call->op.state = present                                                             ? HISTORY_PRESENT
                     : answer->state == TRILLIUM__V1__MESSAGE_STATE__MESSAGE_STATE_NEVER ? HISTORY_NEVER
                                                                                         : HISTORY_ABSENT;
    return STATUS_OK;
}

/* UNDECIDED unless every replica answers: then the state says whether they hold the same. */
static enum status try_view(struct client_attempt *attempt)
{
    struct sim_call *call = attempt->call;
    Trillium__V1__ChannelInspectCall body = TRILLIUM__V1__CHANNEL_INSPECT_CALL__INIT;
    body.channel_id = call->op.channel;
    body.replicas = true;
    enum status status = attempt->door->send(attempt, METHOD_CHANNEL_INSPECT, &body.base);
    if (!status_is_done(status)) return status;
    Trillium__V1__ChannelInspectAnswer *answer =
        rpc_decode(&attempt->arena, &trillium__v1__channel_inspect_answer__descriptor, attempt->answer);
    if (answer == NULL || answer->n_replicas == 0) return STATUS_UNDECIDED;
    call->op.state = HISTORY_PRESENT;
    for (size_t i = 0; i < answer->n_replicas; i++) {
        const Trillium__V1__ReplicaState *one = answer->replicas[i], *first = answer->replicas[0];
        if (one->status != STATUS_OK) return STATUS_UNDECIDED;
        struct bytes left = bytes_of(one->digest.data, one->digest.len);
        struct bytes right = bytes_of(first->digest.data, first->digest.len);
        if (one->rows != first->rows || !bytes_equal(left, right)) call->op.state = HISTORY_ABSENT;
    }
    return STATUS_OK;
}

/* A session of import begins, goes on, ends. */
static enum status try_import(struct client_attempt *attempt)
{
    static const Trillium__V1__ImportAction actions[] = {
        [SIM_IMPORT_BEGIN] = TRILLIUM__V1__IMPORT_ACTION__IMPORT_ACTION_BEGIN,
        [SIM_IMPORT_RENEW] = TRILLIUM__V1__IMPORT_ACTION__IMPORT_ACTION_RENEW,
        [SIM_IMPORT_END] = TRILLIUM__V1__IMPORT_ACTION__IMPORT_ACTION_END};
    struct sim_call *call = attempt->call;
    Trillium__V1__ImportCall body = TRILLIUM__V1__IMPORT_CALL__INIT;
    body.action = actions[call->errand];
    body.session = call->import;
    body.deadline_ms = call->import_ms;
    body.label = (char *)(uintptr_t) "sim";
    enum status status = attempt->door->send(attempt, METHOD_IMPORT, &body.base);
    if (!status_is_done(status)) return status;
    Trillium__V1__ImportAnswer *answer =
        rpc_decode(&attempt->arena, &trillium__v1__import_answer__descriptor, attempt->answer);
    if (answer == NULL) return STATUS_UNDECIDED;
    if (call->errand == SIM_IMPORT_BEGIN) call->import = answer->session;
    return STATUS_OK;
}

/* Makes the call whole before its first attempt: an id, a stamp, a body. Not done: nothing was sent. */
static enum status prepare(struct client_attempt *attempt)
{
    struct sim_call *call = attempt->call;
    enum status status = STATUS_OK;
    if (call->errand != SIM_OPERATION) return STATUS_OK;
    if (call->op.kind == HISTORY_CREATE && call->op.id == 0) status = attempt->door->make_id(attempt, &call->op.id);
    if (call->op.kind == HISTORY_EDIT && call->op.stamp == 0)
        status = attempt->door->make_stamp(attempt, &call->op.stamp);
    if (call->op.kind <= HISTORY_EDIT)
        call->op.body =
            sim_body_hash(call->content, call->content_size, sim_author_of(call->op.id), sim_type_of(call->op.id));
    return status;
}

static enum status try_once(struct client_attempt *attempt)
{
    static enum status (*const tries[])(struct client_attempt *) = {
        try_create, try_edit, try_delete, try_span, try_get, try_list, try_status, try_view};
    attempt->call->rows_count = 0;
    if (attempt->call->errand != SIM_OPERATION) return try_import(attempt);
    return tries[attempt->call->op.kind](attempt);
}

static enum history_outcome outcome_of(enum status status, bool maybe)
{
    if (status == STATUS_SUPERSEDED || status == STATUS_DOMINATED) return HISTORY_SUPERSEDED;
    if (status_is_done(status)) return HISTORY_OK;
    if (status == STATUS_DELETED) return HISTORY_DELETED;
    return maybe ? HISTORY_UNKNOWN : HISTORY_REFUSED;
}

static void call_main(void *argument)
{
    struct client_attempt *attempt = argument;
    struct sim_call *call = attempt->call;
    struct reactor *reactor = attempt->door->reactor;
    enum status status = STATUS_UNAVAILABLE;
    for (uint32_t tries = 0; tries < call->attempts_max; tries++) {
        if (tries) {
            attempt->door->failed(attempt);
            fiber_sleep_until(reactor, reactor_now_ns(reactor) + RETRY_PAUSE_MS * 1000000ull);
        }
        if (prepare(attempt) != STATUS_OK) continue;
        status = try_once(attempt);
        enum status_class class = status_class(status);
        attempt->maybe |= class == STATUS_CLASS_UNKNOWN || class == STATUS_CLASS_LOCAL;
        if (class != STATUS_CLASS_UNKNOWN && class != STATUS_CLASS_RETRY) break;
    }
    call->status = (int)status;
    call->op.outcome = (uint8_t)outcome_of(status, attempt->maybe);
    if (call->op.outcome != HISTORY_OK) call->rows_count = 0;
    arena_free(&attempt->arena);
    mem_free(attempt);
    call->done(call);
}

void client_calls_start(struct client_door *door, struct sim_call *call)
{
    struct client_attempt *attempt = mem_zalloc(sizeof *attempt);
    attempt->door = door;
    attempt->call = call;
    fiber_start(door->reactor, "call", call_main, attempt);
}
