#include "routerd/api/lists.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/model/key.h"
#include "common/model/row.h"
#include "common/runtime/fiber.h"
#include "proto/client.pb-c.h"
#include "routerd/coordinator/read.h"

/* ---- flights ---- */

static void flown(void *context, enum status status, struct bytes page, bool more)
{
    coalesce_land(context, status, page, more);
}

void lists_depart(void *context, struct flight *flight)
{
    struct worker *worker = context;
    const struct flight_key *key = &flight->key;
    uint8_t partition[KEY_CHANNEL_BYTES];
    key_channel(key->channel, partition);
    struct read_spec spec = {.level = key->level,
        .table = {key->table},
        .partition = bytes_of(partition, sizeof partition),
        .token = key_channel_token(key->channel),
        .lo = key->bound == FLIGHT_DOWN ? 0 : key->id,
        .hi = key->bound == FLIGHT_UP ? UINT64_MAX : key->id,
        .direction = key->bound == FLIGHT_UP ? PAGE_OLDEST_FIRST : PAGE_NEWEST_FIRST,
        .limit = key->limit,
        .bytes_max = key->bytes_max,
        .trace = flight->trace};
    read_start(&worker->coordinator, &spec, flown, flight);
}

static void landed(struct passenger *passenger, enum status status, struct bytes page, bool more)
{
    struct read_passenger *read = CONTAINER_OF(passenger, struct read_passenger, passenger);
    uint64_t took_us = (reactor_now_ns(read->worker->reactor) - read->boarded_ns) / 1000;
    histogram_record(read->worker->metrics.read, took_us);
    /* The lines of replicas carry the flight's trace. */
    if (passenger->flight_trace != passenger->trace && worker_may_log(read->worker, status, took_us))
        LOG(reactor_log(read->worker->reactor), INFO, "read.boarded", "trace=%016llx flight=%016llx",
            (unsigned long long)passenger->trace, (unsigned long long)passenger->flight_trace);
    read->done(read, status, page, more);
}

void lists_board(struct worker *worker, const struct flight_key *key, struct read_passenger *passenger)
{
    passenger->worker = worker;
    passenger->boarded_ns = reactor_now_ns(worker->reactor);
    passenger->passenger.landed = landed;
    coalesce_board(&worker->coalesce, key, &passenger->passenger);
}

struct waiting_read {
    struct read_passenger read;
    struct fiber *fiber;
    struct arena *arena;
    struct read_page *page;
    enum status status;
    bool done;
};

static void wake_reader(struct read_passenger *passenger, enum status status, struct bytes page, bool more)
{
    struct waiting_read *waiting = CONTAINER_OF(passenger, struct waiting_read, read);
    *waiting->page = (struct read_page){bytes_of(arena_copy(waiting->arena, page.data, page.size), page.size), more};
    waiting->status = status;
    waiting->done = true;
    fiber_wake(waiting->fiber);
}

enum status lists_read_wait(struct worker *worker, const struct rpc_request *request, const struct flight_key *key,
    struct arena *arena, struct read_page *out)
{
    struct waiting_read waiting = {.read = {.passenger.trace = request->trace, .done = wake_reader},
        .fiber = fiber_current(worker->reactor),
        .arena = arena,
        .page = out};
    lists_board(worker, key, &waiting.read);
    while (!waiting.done)
        fiber_suspend(worker->reactor);
    return waiting.status;
}

/* ---- get and list: a record in the request's arena ---- */

struct list_op {
    struct worker *worker;
    struct rpc_request *request;
    struct read_passenger read;
};

static void got(struct read_passenger *passenger, enum status status, struct bytes page, bool more)
{
    (void)more;
    struct list_op *op = CONTAINER_OF(passenger, struct list_op, read);
    struct page_reader reader;
    struct page_entry entry;
    Trillium__V1__MessageGetAnswer answer = TRILLIUM__V1__MESSAGE_GET_ANSWER__INIT;
    if (status == STATUS_OK && (page_open(page, &reader) != STATUS_OK || !page_next(&reader, &entry)))
        status = STATUS_NOT_FOUND;
    if (status == STATUS_OK) answer.row = (ProtobufCBinaryData){entry.row.size, (uint8_t *)(uintptr_t)entry.row.data};
    worker_answer(op->worker, op->request, status, status == STATUS_OK ? RPC_MESSAGE(&answer) : RPC_EMPTY);
}

static void listed(struct read_passenger *passenger, enum status status, struct bytes page, bool more)
{
    struct list_op *op = CONTAINER_OF(passenger, struct list_op, read);
    Trillium__V1__MessageListAnswer answer = TRILLIUM__V1__MESSAGE_LIST_ANSWER__INIT;
    answer.page = (ProtobufCBinaryData){page.size, (uint8_t *)(uintptr_t)page.data};
    answer.more = more;
    worker_answer(op->worker, op->request, status, status == STATUS_OK ? RPC_MESSAGE(&answer) : RPC_EMPTY);
}

static void cancel(struct rpc_request *request)
{
    struct list_op *op = request->user;
    coalesce_leave(&op->read.passenger);
    if (PLANT(orphaned_request)) return;
    worker_answer(op->worker, request, STATUS_TIMEOUT, RPC_EMPTY);
}

static void board_request(struct worker *worker, struct rpc_request *request, const struct flight_key *key,
    void (*done)(struct read_passenger *passenger, enum status status, struct bytes page, bool more))
{
    struct list_op *op = arena_zalloc(&request->arena, sizeof *op);
    op->worker = worker;
    op->request = request;
    op->read.done = done;
    op->read.passenger.trace = request->trace;
    request->user = op;
    request->on_cancel = cancel;
    lists_board(worker, key, &op->read);
}

static void handle_get(void *context, struct rpc_request *request)
{
    struct worker *worker = context;
    Trillium__V1__MessageGetCall *call =
        rpc_decode(&request->arena, &trillium__v1__message_get_call__descriptor, request->body);
    enum level level;
    enum status status = call && call->message_id ? worker_level(call->level, &level) : STATUS_BAD_REQUEST;
    if (status != STATUS_OK) {
        worker_answer(worker, request, status, RPC_EMPTY);
        return;
    }
    struct flight_key key = {.channel = call->channel_id,
        .id = call->message_id,
        .table = CHAT_MESSAGES_ID,
        .limit = 1,
        .bytes_max = PAGE_BYTES_MAX_CLIENT,
        .bound = FLIGHT_EXACT,
        .level = (uint8_t)level};
    board_request(worker, request, &key, got);
}

/* ---- around: two reads, in a fiber ---- */

struct around {
    struct worker *worker;
    struct rpc_request *request;
    struct flight_key newer, older;
};

static unsigned collect(struct bytes page, struct page_entry *out, unsigned max)
{
    struct page_reader reader;
    unsigned count = 0;
    if (page_open(page, &reader) != STATUS_OK) return 0;
    while (count < max && page_next(&reader, &out[count]))
        count++;
    return count;
}

/* It ends before its limit, by its bytes. */
static bool is_cut(const struct read_page *page, unsigned limit)
{
    struct page_reader reader;
    struct page_entry entry;
    unsigned count = 0;
    if (!page->more || page_open(page->bytes, &reader) != STATUS_OK) return false;
    while (page_next(&reader, &entry))
        count++;
    return count < limit;
}

/* One page, newest first: the newer ones turned round, then the older ones. Older ones that no longer fit are left for
   the next page. */
static struct bytes join_pages(
    struct arena *arena, struct page_builder *builder, struct bytes newer, struct bytes older, bool *more)
{
    struct page_entry *entries = arena_alloc(arena, PAGE_ROWS_MAX * sizeof *entries);
    page_begin(builder, PAGE_NEWEST_FIRST, false);
    unsigned count = newer.size ? collect(newer, entries, PAGE_ROWS_MAX) : 0;
    uint64_t through = UINT64_MAX;
    while (count > 0) {
        count--;
        page_add_row(builder, entries[count].id, entries[count].row);
        through = entries[count].id;
    }
    count = collect(older, entries, PAGE_ROWS_MAX);
    for (unsigned i = 0; i < count; i++) {
        if (i > 0 && page_size(builder) + entries[i].row.size > PAGE_BYTES_MAX_CLIENT) {
            *more = true;
            break;
        }
        page_add_row(builder, entries[i].id, entries[i].row);
        through = entries[i].id;
    }
    return page_finish(builder, *more ? through : 0, *more);
}

static void list_around(void *argument)
{
    struct around around = *(struct around *)argument;
    struct arena *arena = &around.request->arena;
    struct read_page newer = {0}, older = {0};
    enum status status = STATUS_OK;
    if (around.newer.limit > 0) status = lists_read_wait(around.worker, around.request, &around.newer, arena, &newer);
    if (status == STATUS_OK) status = lists_read_wait(around.worker, around.request, &around.older, arena, &older);
    struct page_builder builder = {0};
    Trillium__V1__MessageListAnswer answer = TRILLIUM__V1__MESSAGE_LIST_ANSWER__INIT;
    if (status == STATUS_OK) {
        /* Newer ones that the caller left room for are missing: then the page says so too. */
        if (is_cut(&newer, around.newer.limit)) older.more = true;
        struct bytes page = join_pages(arena, &builder, newer.bytes, older.bytes, &older.more);
        answer.page = (ProtobufCBinaryData){page.size, (uint8_t *)(uintptr_t)page.data};
        answer.more = older.more;
    }
    worker_answer(around.worker, around.request, status, status == STATUS_OK ? RPC_MESSAGE(&answer) : RPC_EMPTY);
    page_free(&builder);
}

static void start_around(struct worker *worker, struct rpc_request *request, const struct flight_key *key)
{
    struct around *around = arena_zalloc(&request->arena, sizeof *around);
    *around = (struct around){.worker = worker, .request = request, .newer = *key, .older = *key};
    uint32_t newer = key->id == UINT64_MAX ? 0 : (key->limit - 1) / 2;
    around->newer.bound = FLIGHT_UP;
    around->newer.id = key->id == UINT64_MAX ? key->id : key->id + 1;
    around->newer.limit = newer;
    around->newer.bytes_max = PAGE_BYTES_MAX_CLIENT / 2;
    around->older.bound = FLIGHT_DOWN;
    around->older.limit = key->limit - (key->limit - 1) / 2;
    fiber_start(worker->reactor, "list-around", list_around, around);
}

/* Turns a call's bound into a flight's. False: there can be nothing there. */
static bool set_bound(const Trillium__V1__MessageListCall *call, struct flight_key *key)
{
    switch (call->bound) {
    case TRILLIUM__V1__BOUND__BOUND_NEWEST:
        key->bound = FLIGHT_DOWN;
        key->id = UINT64_MAX;
        return true;
    case TRILLIUM__V1__BOUND__BOUND_OLDEST:
        key->bound = FLIGHT_UP;
        key->id = 0;
        return true;
    case TRILLIUM__V1__BOUND__BOUND_BEFORE:
        key->bound = FLIGHT_DOWN;
        key->id = call->message_id - 1;
        return call->message_id > 0;
    case TRILLIUM__V1__BOUND__BOUND_AFTER:
        key->bound = FLIGHT_UP;
        key->id = call->message_id + 1;
        return call->message_id < UINT64_MAX;
    default:
        key->id = call->message_id;
        return true;
    }
}

static void answer_empty(struct worker *worker, struct rpc_request *request)
{
    struct page_builder builder = {0};
    page_begin(&builder, PAGE_NEWEST_FIRST, false);
    struct bytes page = page_finish(&builder, 0, false);
    Trillium__V1__MessageListAnswer answer = TRILLIUM__V1__MESSAGE_LIST_ANSWER__INIT;
    answer.page = (ProtobufCBinaryData){page.size, (uint8_t *)(uintptr_t)page.data};
    worker_answer(worker, request, STATUS_OK, RPC_MESSAGE(&answer));
    page_free(&builder);
}

static void handle_list(void *context, struct rpc_request *request)
{
    struct worker *worker = context;
    Trillium__V1__MessageListCall *call =
        rpc_decode(&request->arena, &trillium__v1__message_list_call__descriptor, request->body);
    enum level level;
    enum status status = call ? worker_level(call->level, &level) : STATUS_BAD_REQUEST;
    bool fits = call && call->limit >= 1 && call->limit <= PAGE_ROWS_MAX &&
                call->bound >= TRILLIUM__V1__BOUND__BOUND_NEWEST && call->bound <= TRILLIUM__V1__BOUND__BOUND_AROUND;
    if (status == STATUS_OK && !fits) status = STATUS_BAD_REQUEST;
    if (status != STATUS_OK) {
        worker_answer(worker, request, status, RPC_EMPTY);
        return;
    }
    struct flight_key key = {.channel = call->channel_id,
        .table = CHAT_MESSAGES_ID,
        .limit = call->limit,
        .bytes_max = PAGE_BYTES_MAX_CLIENT,
        .level = (uint8_t)level};
    if (!set_bound(call, &key))
        answer_empty(worker, request);
    else if (call->bound == TRILLIUM__V1__BOUND__BOUND_AROUND)
        start_around(worker, request, &key);
    else
        board_request(worker, request, &key, listed);
}

static const struct rpc_handler handlers[] = {
    {METHOD_MESSAGE_GET, RPC_ROLES_ALL, handle_get, NULL},
    {METHOD_MESSAGE_LIST, RPC_ROLES_ALL, handle_list, NULL},
};
const struct rpc_handlers LIST_HANDLERS = {handlers, sizeof handlers / sizeof *handlers};
