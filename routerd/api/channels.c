/*
 * Calls about whole channels: purge, list, inspect. Rare and wide, so each is a fiber.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/cluster/router_ring.h"
#include "common/model/key.h"
#include "common/model/snowflake.h"
#include "common/runtime/fiber.h"
#include "proto/client.pb-c.h"
#include "proto/replica.pb-c.h"
#include "routerd/api/lists.h"
#include "routerd/api/worker.h"
#include "routerd/coordinator/write.h"

enum { CHANNELS_PAGE_MAX = 256 };

struct channel_op {
    struct worker *worker;
    struct rpc_request *request;
    uint64_t channel;
    uint8_t partition[KEY_CHANNEL_BYTES];
    enum level level;
    const void *call;
};

static void start(struct worker *worker, struct rpc_request *request, struct channel_op op, void (*main)(void *))
{
    struct channel_op *kept = arena_copy(&request->arena, &op, sizeof op);
    kept->worker = worker;
    kept->request = request;
    key_channel(kept->channel, kept->partition);
    fiber_start(worker->reactor, "channel-call", main, kept);
}

static struct bytes partition_of(const struct channel_op *op)
{
    return bytes_of(op->partition, sizeof op->partition);
}

/* ---- the same call to every replica of a range, waited for together ---- */

struct fan {
    struct fiber *fiber;
    unsigned open;
};

struct fan_slot {
    struct fan *fan;
    struct rpc_call call;
    struct arena *arena;
    enum status status;
    struct bytes body;
    struct replica *replica; /* not beyond ask_replicas */
    struct node_id node;
};

struct fan_call {
    const struct view_range *range;
    uint16_t method;
    const ProtobufCMessage *message;
};

static void fan_replied(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct fan_slot *slot = CONTAINER_OF(call, struct fan_slot, call);
    slot->status = reply->status;
    slot->body = bytes_of(arena_copy(slot->arena, reply->body.data, reply->body.size), reply->body.size);
    slot->fan->open--;
    fiber_wake(slot->fan->fiber);
}

/* Returns how many slots were filled; each has its status and body. */
static unsigned ask_replicas(struct channel_op *op, const struct fan_call *what, struct fan_slot slots[REPLICAS_MAX])
{
    struct worker *worker = op->worker;
    struct fan fan = {.fiber = fiber_current(worker->reactor)};
    struct replica *replicas[REPLICAS_MAX];
    unsigned count = coordinator_replicas(&worker->coordinator, what->range, replicas);
    for (unsigned i = 0; i < count; i++) {
        slots[i] = (struct fan_slot){
            .fan = &fan, .arena = &op->request->arena, .replica = replica_use(replicas[i]), .node = replicas[i]->node};
        slots[i].call = (struct rpc_call){.done = fan_replied,
            .method = what->method,
            .trace = op->request->trace,
            .routed = true,
            .range = what->range->id.value,
            .epoch = what->range->epoch,
            .budget_us = worker_budget_us(worker, op->request)};
        fan.open++;
        struct rpc_part part = {.message = what->message};
        rpc_call_start(replicas[i]->peer, &slots[i].call, &(struct rpc_body){&part, 1});
    }
    while (fan.open > 0)
        fiber_suspend(worker->reactor);
    for (unsigned i = 0; i < count; i++) {
        if (slots[i].status == STATUS_STALE_EPOCH)
            coordinator_settle_epoch(&worker->coordinator, slots[i].replica, what->range->id, slots[i].body);
        replica_release(slots[i].replica);
    }
    return count;
}

/* ---- purge ---- */

struct purge_wait {
    struct fiber *fiber;
    enum status status;
    bool done;
};

static void purged(void *context, const struct write_result *result)
{
    struct purge_wait *wait = context;
    wait->status = result->status;
    wait->done = true;
    fiber_wake(wait->fiber);
}

/* The newest id that a quorum knows of the channel. */
static enum status newest_of_quorum(struct channel_op *op, const struct view_range *range, uint64_t *newest)
{
    Trillium__V1__ReplicaNewestCall body = TRILLIUM__V1__REPLICA_NEWEST_CALL__INIT;
    body.partition = (ProtobufCBinaryData){sizeof op->partition, op->partition};
    struct fan_slot slots[REPLICAS_MAX];
    struct fan_call what = {range, METHOD_REPLICA_NEWEST, &body.base};
    unsigned needed = level_needed(LEVEL_QUORUM_OF_N, range->replicas_count), good = 0;
    unsigned count = ask_replicas(op, &what, slots);
    *newest = 0;
    for (unsigned i = 0; i < count; i++) {
        if (slots[i].status != STATUS_OK) continue;
        Trillium__V1__ReplicaNewestAnswer *answer =
            rpc_decode(&op->request->arena, &trillium__v1__replica_newest_answer__descriptor, slots[i].body);
        if (!answer) continue;
        good++;
        if (answer->newest_id > *newest) *newest = answer->newest_id;
    }
    return good >= needed ? STATUS_OK : STATUS_UNAVAILABLE;
}

static void purge(void *argument)
{
    struct channel_op *op = argument;
    struct worker *worker = op->worker;
    const Trillium__V1__ChannelPurgeCall *call = op->call;
    struct table_id table = {CHAT_MESSAGES_ID};
    const struct view_range *range = coordinator_range(&worker->coordinator, table, key_channel_token(op->channel));
    struct view_range copy;
    uint64_t newest = 0;
    enum status status = range ? STATUS_OK : STATUS_UNAVAILABLE;
    if (status == STATUS_OK) {
        copy = *range;
        status = newest_of_quorum(op, &copy, &newest);
    }
    Trillium__V1__ChannelPurgeAnswer answer = TRILLIUM__V1__CHANNEL_PURGE_ANSWER__INIT;
    if (status == STATUS_OK) {
        uint64_t cap = snowflake_last_of_ms(worker_id_now_ms(worker));
        if (newest > cap) cap = newest;
        answer.hi = call->hi && call->hi < cap ? call->hi : cap;
        if (call->lo > answer.hi) status = STATUS_TOO_NEW;
    }
    if (status == STATUS_OK) {
        struct purge_wait wait = {.fiber = fiber_current(worker->reactor)};
        struct write_spec spec = {.kind = TALLY_DELETE,
            .level = op->level,
            .table = table,
            .partition = partition_of(op),
            .token = key_channel_token(op->channel),
            .is_span = true,
            .lo = call->lo,
            .hi = answer.hi,
            .stamp = coordinator_stamp(&worker->coordinator),
            .trace = op->request->trace,
            .budget_us = worker_budget_us(worker, op->request)};
        write_start(&worker->coordinator, &spec, purged, &wait);
        while (!wait.done)
            fiber_suspend(worker->reactor);
        status = wait.status;
    }
    worker_answer(worker, op->request, status, status_is_done(status) ? RPC_MESSAGE(&answer) : RPC_EMPTY);
}

static void handle_purge(void *context, struct rpc_request *request)
{
    struct worker *worker = context;
    Trillium__V1__ChannelPurgeCall *call =
        rpc_decode(&request->arena, &trillium__v1__channel_purge_call__descriptor, request->body);
    struct channel_op op = {.channel = call ? call->channel_id : 0, .call = call};
    enum status status = call ? worker_level(call->level, &op.level) : STATUS_BAD_REQUEST;
    if (status == STATUS_OK && call->hi && call->lo > call->hi) status = STATUS_BAD_REQUEST;
    if (status != STATUS_OK)
        worker_answer(worker, request, status, RPC_EMPTY);
    else
        start(worker, request, op, purge);
}

/* ---- list: the partitions that a quorum of each range knows, and of these the ones with a visible message ---- */

enum { LIST_READS_MAX = 500, LIST_FANS_MAX = 100 }; /* of one call; then it answers what it has, and where to go on */

struct found {
    struct bytes position;
    uint64_t channel;
    bool visible; /* some replica says that it may hold a visible message; if none does, no merge of theirs does */
};

static int by_position(const void *a, const void *b)
{
    return bytes_compare(((const struct found *)a)->position, ((const struct found *)b)->position);
}

struct partitions {
    struct found *found; /* room for all replicas' answers */
    unsigned count;
    struct bytes complete_to; /* where the first of the answers ended; size 0: none did */
};

/* Whether the answer lists channels, ascending, after the position; and some, when it says that there are more. */
static bool is_list(const Trillium__V1__ReplicaPartitionsAnswer *answer, struct bytes after)
{
    if (!answer || answer->n_partitions > CHANNELS_PAGE_MAX) return false;
    for (size_t i = 0; i < answer->n_partitions; i++) {
        struct bytes position = bytes_of(answer->partitions[i]->position.data, answer->partitions[i]->position.len);
        if (position.size != KEY_CHANNEL_BYTES || bytes_compare(position, after) <= 0) return false;
        after = position;
    }
    return !answer->more || answer->n_partitions > 0;
}

/* The first partitions of the range after a position, as a quorum knows them, ascending. */
static enum status partitions_of(
    struct channel_op *op, const struct view_range *range, struct bytes after, struct partitions *result)
{
    struct found *out = result->found;
    Trillium__V1__ReplicaPartitionsCall body = TRILLIUM__V1__REPLICA_PARTITIONS_CALL__INIT;
    body.after = (ProtobufCBinaryData){after.size, (uint8_t *)(uintptr_t)after.data};
    body.limit = CHANNELS_PAGE_MAX;
    struct fan_slot slots[REPLICAS_MAX];
    struct fan_call what = {range, METHOD_REPLICA_PARTITIONS, &body.base};
    unsigned asked = ask_replicas(op, &what, slots), good = 0, n = 0;
    result->complete_to = bytes_of(NULL, 0);
    for (unsigned i = 0; i < asked; i++) {
        if (slots[i].status != STATUS_OK) continue;
        Trillium__V1__ReplicaPartitionsAnswer *answer =
            rpc_decode(&op->request->arena, &trillium__v1__replica_partitions_answer__descriptor, slots[i].body);
        if (!is_list(answer, after)) continue;
        good++;
        struct bytes last = bytes_of(NULL, 0);
        for (size_t k = 0; k < answer->n_partitions; k++) {
            const Trillium__V1__PartitionEntry *entry = answer->partitions[k];
            last = bytes_of(entry->position.data, entry->position.len);
            struct reader reader = reader_of(bytes_of(last.data + KEY_TOKEN_BYTES, 8));
            out[n++] = (struct found){last, read_u64_be(&reader) ^ ((uint64_t)1 << 63), entry->visible};
        }
        if (answer->more && (result->complete_to.size == 0 || bytes_compare(last, result->complete_to) < 0))
            result->complete_to = last;
    }
    if (good < level_needed(LEVEL_QUORUM_OF_N, range->replicas_count)) return STATUS_UNAVAILABLE;
    qsort(out, n, sizeof *out, by_position);
    unsigned kept = 0;
    for (unsigned i = 0; i < n; i++) {
        if (result->complete_to.size && bytes_compare(out[i].position, result->complete_to) > 0) break;
        if (kept == 0 || bytes_compare(out[kept - 1].position, out[i].position) != 0)
            out[kept++] = out[i];
        else
            out[kept - 1].visible |= out[i].visible;
    }
    result->count = kept;
    return STATUS_OK;
}

/* Whether the channel has a visible message, and its newest. */
static enum status newest_visible(struct channel_op *op, uint64_t channel, uint64_t *id)
{
    struct flight_key key = {.channel = channel,
        .id = UINT64_MAX,
        .table = CHAT_MESSAGES_ID,
        .limit = 1,
        .bytes_max = PAGE_BYTES_MAX_CLIENT,
        .bound = FLIGHT_DOWN,
        .level = (uint8_t)op->level};
    struct arena arena = {0};
    struct read_page page;
    struct page_reader reader;
    struct page_entry entry;
    enum status status = lists_read_wait(op->worker, op->request, &key, &arena, &page);
    *id = 0;
    if (status == STATUS_OK && page_open(page.bytes, &reader) == STATUS_OK && page_next(&reader, &entry))
        *id = entry.id;
    arena_free(&arena);
    return status;
}

struct channel_page {
    Trillium__V1__ChannelEntry **entries;
    unsigned count, limit, reads, fans;
    uint8_t cursor[KEY_CHANNEL_BYTES];
    bool has_cursor, more;
};

static void move_to(struct channel_page *page, struct bytes position)
{
    memcpy(page->cursor, position.data, sizeof page->cursor);
    page->has_cursor = true;
}

static void add_channel(struct arena *arena, struct channel_page *page, uint64_t channel, uint64_t newest)
{
    Trillium__V1__ChannelEntry *entry = arena_alloc(arena, sizeof *entry);
    trillium__v1__channel_entry__init(entry);
    entry->channel_id = channel;
    entry->newest_id = newest;
    page->entries[page->count++] = entry;
}

/* Adds the channels of one range after the cursor, as far as the page has room and the call may work: however many
   deleted channels lie between two living ones, a call ends soon. */
static enum status list_range(struct channel_op *op, const struct view_range *range, struct channel_page *page)
{
    struct arena *arena = &op->request->arena;
    struct partitions known;
    known.found = arena_alloc(arena, REPLICAS_MAX * CHANNELS_PAGE_MAX * sizeof *known.found);
    for (;;) {
        struct bytes after = bytes_of(page->cursor, page->has_cursor ? sizeof page->cursor : 0);
        page->more = page->fans++ == LIST_FANS_MAX;
        if (page->more) return STATUS_OK;
        enum status status = partitions_of(op, range, after, &known);
        if (status != STATUS_OK) return status;
        for (unsigned i = 0; i < known.count; i++) {
            uint64_t newest = 0;
            page->more = page->count == page->limit || page->reads == LIST_READS_MAX;
            if (page->more) return STATUS_OK;
            if (known.found[i].visible) {
                page->reads++;
                status = newest_visible(op, known.found[i].channel, &newest);
                if (status != STATUS_OK) return status;
            }
            move_to(page, known.found[i].position);
            if (newest > 0) add_channel(arena, page, known.found[i].channel, newest);
        }
        if (known.complete_to.size == 0) return STATUS_OK;
        move_to(page, known.complete_to);
    }
}

/* The first range whose tokens lie after the cursor, at or after position i; view->ranges_count when none. */
static unsigned next_range(const struct view *view, unsigned i, const struct channel_page *page)
{
    for (; i < view->ranges_count; i++) {
        const struct view_range *range = &view->ranges[i];
        if (range->table.value != CHAT_MESSAGES_ID) continue;
        if (!page->has_cursor) return i;
        struct reader reader = reader_of(bytes_of(page->cursor, KEY_TOKEN_BYTES));
        int64_t token = (int64_t)(read_u64_be(&reader) ^ ((uint64_t)1 << 63));
        if (range->hi >= token) return i;
    }
    return i;
}

static void list_channels(void *argument)
{
    struct channel_op *op = argument;
    struct worker *worker = op->worker;
    const Trillium__V1__ChannelListCall *call = op->call;
    struct shared_view *view = worker->view ? shared_view_hold(worker->view) : NULL;
    struct channel_page page = {.limit = call->limit, .has_cursor = call->cursor.len > 0};
    page.entries = arena_alloc(&op->request->arena, (size_t)call->limit * sizeof *page.entries);
    if (page.has_cursor) memcpy(page.cursor, call->cursor.data, sizeof page.cursor);
    enum status status = view ? STATUS_OK : STATUS_UNAVAILABLE;
    for (unsigned i = 0; status == STATUS_OK && !page.more; i++) {
        i = next_range(&view->view, i, &page);
        if (i == view->view.ranges_count) break;
        const struct view_range *range = coordinator_range_by_id(&worker->coordinator, view->view.ranges[i].id);
        struct view_range copy = range ? *range : view->view.ranges[i];
        status = list_range(op, &copy, &page);
    }
    Trillium__V1__ChannelListAnswer answer = TRILLIUM__V1__CHANNEL_LIST_ANSWER__INIT;
    answer.n_channels = page.count;
    answer.channels = page.entries;
    answer.more = page.more;
    if (page.has_cursor) answer.cursor = (ProtobufCBinaryData){sizeof page.cursor, page.cursor};
    worker_answer(worker, op->request, status, status == STATUS_OK ? RPC_MESSAGE(&answer) : RPC_EMPTY);
    shared_view_release(view);
}

static void handle_list(void *context, struct rpc_request *request)
{
    struct worker *worker = context;
    Trillium__V1__ChannelListCall *call =
        rpc_decode(&request->arena, &trillium__v1__channel_list_call__descriptor, request->body);
    struct channel_op op = {.call = call};
    enum status status = call ? worker_level(call->level, &op.level) : STATUS_BAD_REQUEST;
    if (status == STATUS_OK && (call->limit < 1 || call->limit > PAGE_ROWS_MAX)) status = STATUS_BAD_REQUEST;
    if (status == STATUS_OK && call->cursor.len != 0 && call->cursor.len != KEY_CHANNEL_BYTES)
        status = STATUS_BAD_REQUEST;
    if (status != STATUS_OK)
        worker_answer(worker, request, status, RPC_EMPTY);
    else
        start(worker, request, op, list_channels);
}

/* ---- inspect ---- */

static void fill_replica(struct channel_op *op, const struct fan_slot *slot, Trillium__V1__ReplicaState *state)
{
    state->status = (uint32_t)slot->status;
    if (slot->status != STATUS_OK) return;
    Trillium__V1__ReplicaInspectAnswer *answer =
        rpc_decode(&op->request->arena, &trillium__v1__replica_inspect_answer__descriptor, slot->body);
    if (!answer) {
        state->status = STATUS_CORRUPT;
        return;
    }
    if (answer->lapsed) {
        state->status = STATUS_UNAVAILABLE;
        state->lapsed = true;
        state->rebuilt_percent = answer->rebuilt_percent;
        return;
    }
    state->rows = answer->rows;
    state->digest = answer->digest;
    state->newest_id = answer->newest_id;
}

static void inspect(void *argument)
{
    struct channel_op *op = argument;
    struct worker *worker = op->worker;
    const Trillium__V1__ChannelInspectCall *call = op->call;
    struct table_id table = {CHAT_MESSAGES_ID};
    const struct view_range *found = coordinator_range(&worker->coordinator, table, key_channel_token(op->channel));
    if (!found) {
        worker_answer(worker, op->request, STATUS_UNAVAILABLE, RPC_EMPTY);
        return;
    }
    struct view_range range = *found;
    Trillium__V1__ReplicaState states[REPLICAS_MAX], *pointers[REPLICAS_MAX];
    Trillium__V1__ChannelInspectAnswer answer = TRILLIUM__V1__CHANNEL_INSPECT_ANSWER__INIT;
    answer.token = key_channel_token(op->channel);
    answer.range = range.id.value;
    answer.epoch = range.epoch;
    answer.replicas = pointers;
    struct fan_slot *slots = arena_alloc(&op->request->arena, REPLICAS_MAX * sizeof *slots);
    unsigned asked = 0;
    if (call->replicas) {
        Trillium__V1__ReplicaInspectCall body = TRILLIUM__V1__REPLICA_INSPECT_CALL__INIT;
        body.partition = (ProtobufCBinaryData){sizeof op->partition, op->partition};
        struct fan_call what = {&range, METHOD_REPLICA_INSPECT, &body.base};
        asked = ask_replicas(op, &what, slots);
    }
    struct shared_view *view = shared_view_hold(worker->view);
    const struct view_router *owner = router_ring_owner(&view->view, answer.token, NULL);
    if (owner) {
        answer.router = owner->id.value;
        answer.router_address = (char *)(uintptr_t)owner->address;
    }
    for (unsigned i = 0; i < range.replicas_count; i++) {
        const struct view_node *node = view_node_by_id(&view->view, range.replicas[i]);
        Trillium__V1__ReplicaState *state = pointers[answer.n_replicas++] = &states[i];
        trillium__v1__replica_state__init(state);
        state->node = range.replicas[i].value;
        if (node) state->address = (char *)(uintptr_t)node->address;
        state->status = call->replicas ? STATUS_UNAVAILABLE : STATUS_OK;
        for (unsigned k = 0; k < asked; k++)
            if (slots[k].node.value == state->node) fill_replica(op, &slots[k], state);
    }
    worker_answer(worker, op->request, STATUS_OK, RPC_MESSAGE(&answer));
    shared_view_release(view);
}

static void handle_inspect(void *context, struct rpc_request *request)
{
    struct worker *worker = context;
    Trillium__V1__ChannelInspectCall *call =
        rpc_decode(&request->arena, &trillium__v1__channel_inspect_call__descriptor, request->body);
    if (!call)
        worker_answer(worker, request, STATUS_BAD_REQUEST, RPC_EMPTY);
    else
        start(worker, request, (struct channel_op){.channel = call->channel_id, .call = call}, inspect);
}

static const struct rpc_handler handlers[] = {
    {METHOD_CHANNEL_PURGE, RPC_ROLES_ALL, handle_purge, NULL},
    {METHOD_CHANNEL_LIST, RPC_ROLES_ALL, handle_list, NULL},
    {METHOD_CHANNEL_INSPECT, RPC_ROLES_ALL, handle_inspect, NULL},
};
const struct rpc_handlers CHANNEL_HANDLERS = {handlers, sizeof handlers / sizeof *handlers};
