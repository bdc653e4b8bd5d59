/*
 * Calls that change one message: create, edit, delete, status. Each becomes one write of the coordinator; the request
 * waits for its verdict. Limits and rows are checked before anything leaves.
 */
#include "common/base/check.h"
#include "common/model/key.h"
#include "common/model/row.h"
#include "common/model/snowflake.h"
#include "proto/client.pb-c.h"
#include "routerd/api/lists.h"
#include "routerd/api/worker.h"
#include "routerd/coordinator/write.h"

/* One call under way; lives in the request's arena. */
struct message_op {
    struct worker *worker;
    struct rpc_request *request;
    struct write_spec spec;
    uint8_t partition[KEY_CHANNEL_BYTES];
    struct buffer row;
    uint64_t started_ns;
    int64_t stamp;
    bool restampable; /* an edit that this router stamps, not yet stamped twice */
};

static struct message_op *op_create(struct worker *worker, struct rpc_request *request, uint64_t channel, uint64_t id)
{
    struct message_op *op = arena_zalloc(&request->arena, sizeof *op);
    op->worker = worker;
    op->request = request;
    op->started_ns = reactor_now_ns(worker->reactor);
    key_channel(channel, op->partition);
    op->spec = (struct write_spec){.table = {CHAT_MESSAGES_ID},
        .partition = bytes_of(op->partition, sizeof op->partition),
        .token = key_channel_token(channel),
        .id = id,
        .trace = request->trace,
        .budget_us = worker_budget_us(worker, request)};
    return op;
}

static void op_answer(struct message_op *op, enum status status, const struct rpc_body *body)
{
    buffer_free(&op->row);
    worker_answer(op->worker, op->request, status, body);
}

static bool is_too_new(struct worker *worker, uint64_t id)
{
    return snowflake_is_too_new(id, worker_id_now_ms(worker));
}

static void written(void *context, const struct write_result *result)
{
    struct message_op *op = context;
    histogram_record(op->worker->metrics.write, (reactor_now_ns(op->worker->reactor) - op->started_ns) / 1000);
    op_answer(op, result->status, RPC_EMPTY);
}

static void handle_create(void *context, struct rpc_request *request)
{
    struct worker *worker = context;
    Trillium__V1__MessageCreateCall *call =
        rpc_decode(&request->arena, &trillium__v1__message_create_call__descriptor, request->body);
    enum level level;
    enum status status = call ? worker_level(call->level, &level) : STATUS_BAD_REQUEST;
    struct row row;
    struct bytes bytes = call ? bytes_of(call->row.data, call->row.len) : bytes_of(NULL, 0);
    if (status == STATUS_OK && call->message_id == 0) status = STATUS_BAD_REQUEST;
    if (status == STATUS_OK) status = row_decode(bytes, &row);
    if (status == STATUS_OK) status = row_check_create(&CHAT_MESSAGES, &row);
    if (status == STATUS_OK && is_too_new(worker, call->message_id)) status = STATUS_TOO_NEW;
    if (status != STATUS_OK) {
        worker_answer(worker, request, status, RPC_EMPTY);
        return;
    }
    struct message_op *op = op_create(worker, request, call->channel_id, call->message_id);
    op->spec.kind = TALLY_CREATE;
    op->spec.level = level;
    op->spec.row = bytes;
    op->spec.import_session = call->import_session;
    write_start(&worker->coordinator, &op->spec, written, op);
}

/* Gives every cell of the edit the stamp. */
static void stamp_row(struct message_op *op, const struct row *row, int64_t stamp)
{
    struct row stamped = *row;
    for (unsigned i = 0; i < stamped.cells_count; i++)
        stamped.cells[i].timestamp = stamp;
    buffer_clear(&op->row);
    op->spec.row = row_encode_buffer(&stamped, &op->row);
    op->stamp = stamp;
}

static void edited(void *context, const struct write_result *result)
{
    struct message_op *op = context;
    if (result->all_dominated && op->restampable) {
        struct row row;
        struct buffer old = op->row;
        op->row = (struct buffer){0};
        op->restampable = false;
        if (row_decode(buffer_bytes(&old), &row) != STATUS_OK) CHECK(false);
        stamp_row(op, &row, coordinator_stamp(&op->worker->coordinator));
        buffer_free(&old);
        op->spec.budget_us = worker_budget_us(op->worker, op->request);
        write_start(&op->worker->coordinator, &op->spec, edited, op);
        return;
    }
    Trillium__V1__MessageEditAnswer answer = TRILLIUM__V1__MESSAGE_EDIT_ANSWER__INIT;
    answer.stamp_us = op->stamp;
    op_answer(op, result->status, status_is_done(result->status) ? RPC_MESSAGE(&answer) : RPC_EMPTY);
}

static void handle_edit(void *context, struct rpc_request *request)
{
    struct worker *worker = context;
    Trillium__V1__MessageEditCall *call =
        rpc_decode(&request->arena, &trillium__v1__message_edit_call__descriptor, request->body);
    enum level level;
    enum status status = call ? worker_level(call->level, &level) : STATUS_BAD_REQUEST;
    struct row row;
    if (status == STATUS_OK && call->message_id == 0) status = STATUS_BAD_REQUEST;
    if (status == STATUS_OK) status = row_decode(bytes_of(call->row.data, call->row.len), &row);
    if (status == STATUS_OK) status = row_check_edit(&CHAT_MESSAGES, &row);
    int64_t latest = reactor_wall_us(worker->reactor) + (int64_t)SKEW_AHEAD_MS_MAX * 1000;
    if (status == STATUS_OK && (is_too_new(worker, call->message_id) || call->stamp_us > latest))
        status = STATUS_TOO_NEW;
    if (status != STATUS_OK) {
        worker_answer(worker, request, status, RPC_EMPTY);
        return;
    }
    struct message_op *op = op_create(worker, request, call->channel_id, call->message_id);
    op->spec.kind = TALLY_EDIT;
    op->spec.level = level;
    op->restampable = call->stamp_us == 0;
    if (call->stamp_us) coordinator_saw_stamp(&worker->coordinator, call->stamp_us);
    stamp_row(op, &row, call->stamp_us ? call->stamp_us : coordinator_stamp(&worker->coordinator));
    write_start(&worker->coordinator, &op->spec, edited, op);
}

static void set_delete(struct message_op *op, enum level level)
{
    struct row row = {0};
    row_make_delete(&row, coordinator_stamp(&op->worker->coordinator));
    op->spec.kind = TALLY_DELETE;
    op->spec.level = level;
    op->spec.row = row_encode_buffer(&row, &op->row);
}

static void handle_delete(void *context, struct rpc_request *request)
{
    struct worker *worker = context;
    Trillium__V1__MessageDeleteCall *call =
        rpc_decode(&request->arena, &trillium__v1__message_delete_call__descriptor, request->body);
    enum level level;
    enum status status = call ? worker_level(call->level, &level) : STATUS_BAD_REQUEST;
    if (status == STATUS_OK && call->message_id == 0) status = STATUS_BAD_REQUEST;
    if (status == STATUS_OK && is_too_new(worker, call->message_id)) status = STATUS_TOO_NEW;
    if (status != STATUS_OK) {
        worker_answer(worker, request, status, RPC_EMPTY);
        return;
    }
    struct message_op *op = op_create(worker, request, call->channel_id, call->message_id);
    set_delete(op, level);
    write_start(&worker->coordinator, &op->spec, written, op);
}

/* ---- status: present, unknown, or made sure never to be ---- */

struct status_op {
    struct message_op *op;
    struct read_passenger read;
    bool resolve;
};

static void answer_state(struct message_op *op, Trillium__V1__MessageState state)
{
    Trillium__V1__MessageStatusAnswer answer = TRILLIUM__V1__MESSAGE_STATUS_ANSWER__INIT;
    answer.state = state;
    op_answer(op, STATUS_OK, RPC_MESSAGE(&answer));
}

static void resolved(void *context, const struct write_result *result)
{
    struct message_op *op = context;
    if (status_is_done(result->status))
        answer_state(op, TRILLIUM__V1__MESSAGE_STATE__MESSAGE_STATE_NEVER);
    else
        op_answer(op, result->status, RPC_EMPTY);
}

static void status_read(struct read_passenger *passenger, enum status status, struct bytes page, bool more)
{
    (void)more;
    struct status_op *state = CONTAINER_OF(passenger, struct status_op, read);
    struct message_op *op = state->op;
    struct page_reader reader;
    struct page_entry entry;
    if (status != STATUS_OK) {
        op_answer(op, status, RPC_EMPTY);
    } else if (page_open(page, &reader) == STATUS_OK && page_next(&reader, &entry)) {
        answer_state(op, TRILLIUM__V1__MESSAGE_STATE__MESSAGE_STATE_PRESENT);
    } else if (!state->resolve) {
        answer_state(op, TRILLIUM__V1__MESSAGE_STATE__MESSAGE_STATE_UNKNOWN);
    } else {
        set_delete(op, LEVEL_QUORUM_OF_N);
        op->spec.budget_us = worker_budget_us(op->worker, op->request);
        write_start(&op->worker->coordinator, &op->spec, resolved, op);
    }
}

static void handle_status(void *context, struct rpc_request *request)
{
    struct worker *worker = context;
    Trillium__V1__MessageStatusCall *call =
        rpc_decode(&request->arena, &trillium__v1__message_status_call__descriptor, request->body);
    enum status status = call && call->message_id ? STATUS_OK : STATUS_BAD_REQUEST;
    if (status == STATUS_OK && call->resolve && is_too_new(worker, call->message_id)) status = STATUS_TOO_NEW;
    if (status != STATUS_OK) {
        worker_answer(worker, request, status, RPC_EMPTY);
        return;
    }
    struct status_op *state = arena_zalloc(&request->arena, sizeof *state);
    state->op = op_create(worker, request, call->channel_id, call->message_id);
    state->resolve = call->resolve;
    state->read.done = status_read;
    state->read.passenger.trace = request->trace;
    struct flight_key key = {.channel = call->channel_id,
        .id = call->message_id,
        .table = CHAT_MESSAGES_ID,
        .limit = 1,
        .bytes_max = PAGE_BYTES_MAX_CLIENT,
        .bound = FLIGHT_EXACT,
        .level = LEVEL_QUORUM_OF_N};
    lists_board(worker, &key, &state->read);
}

static const struct rpc_handler handlers[] = {
    {METHOD_MESSAGE_CREATE, RPC_ROLES_ALL, handle_create, NULL},
    {METHOD_MESSAGE_EDIT, RPC_ROLES_ALL, handle_edit, NULL},
    {METHOD_MESSAGE_DELETE, RPC_ROLES_ALL, handle_delete, NULL},
    {METHOD_MESSAGE_STATUS, RPC_ROLES_ALL, handle_status, NULL},
};
const struct rpc_handlers MESSAGE_HANDLERS = {handlers, sizeof handlers / sizeof *handlers};
