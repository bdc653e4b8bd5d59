// links: simcluster
/*
 * fuzz_answers: a controller, or two nodes, that answer anything; or two nodes of which a third fetches what it lost.
 * Whatever they say, their callers answer each call of their own clients, and go on; a controller may end them in order
 * (another cluster's), but not by a crash.
 *
 * The input: who is mad, then the answers: to which method, status, length (16 bits), body. Answers to one
 * method are given in their order, the last again and again; to other methods they say OK and nothing.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "proto/client.pb-c.h"
#include "proto/control.pb-c.h"
#include "tests/sim/cluster/trio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ANSWERS_MAX = 32, CALLS_MAX = 16, EVENTS_MAX = 10000, RANGES_LAPSED = 4 };

static const uint16_t methods[] = {
#define METHOD(number, name) METHOD_##name,
#include "common/rpc/methods.def"
#undef METHOD
};
enum { METHODS = sizeof methods / sizeof *methods };

struct answers {
    struct {
        uint16_t method;
        enum status status;
        struct bytes body;
        bool used;
    } items[ANSWERS_MAX];
    uint32_t count;
};

static void read_answers(struct reader *reader, struct answers *out)
{
    while (out->count < ANSWERS_MAX && reader_left(reader) >= 4) {
        uint8_t method = read_u8(reader), status = read_u8(reader);
        uint16_t length = read_u16(reader);
        if (length > reader_left(reader)) length = (uint16_t)reader_left(reader);
        out->items[out->count].method = methods[method % METHODS];
        out->items[out->count].status = (enum status)status;
        out->items[out->count++].body = read_bytes(reader, length);
    }
}

static enum status answer_madly(
    void *context, const struct rpc_request *request, struct buffer *body, struct rpc_answer *answer)
{
    struct answers *answers = context;
    uint32_t chosen = ANSWERS_MAX;
    (void)answer;
    for (uint32_t i = 0; i < answers->count; i++) {
        if (answers->items[i].method != request->method) continue;
        chosen = i;
        if (!answers->items[i].used) break;
    }
    /* A view is parked, so that followers do not come back at once for ever. */
    if (chosen == ANSWERS_MAX || (answers->items[chosen].used && request->method == METHOD_CONTROL_VIEW))
        return request->method == METHOD_CONTROL_VIEW ? STATUS_UNAVAILABLE : STATUS_OK;
    answers->items[chosen].used = true;
    buffer_append(body, answers->items[chosen].body.data, answers->items[chosen].body.size);
    return answers->items[chosen].status;
}

/* ---- a client beside it ---- */

struct errands {
    struct trio_call calls[CALLS_MAX];
    uint8_t bodies[CALLS_MAX][256];
    uint32_t count;
};

static void add(struct errands *errands, uint16_t method, const ProtobufCMessage *message)
{
    uint32_t i = errands->count++;
    CHECK(i < CALLS_MAX && protobuf_c_message_get_packed_size(message) <= sizeof errands->bodies[i]);
    size_t size = protobuf_c_message_pack(message, errands->bodies[i]);
    errands->calls[i] = (struct trio_call){.role = RPC_ROLE_CLIENT,
        .kind = RPC_CLIENT,
        .address = "127.0.3.1:7232",
        .method = method,
        .body = {errands->bodies[i], size}};
}

/* One of every call that asks a node, of channel 1. */
static void make_errands(struct errands *errands, uint64_t id)
{
    static const uint8_t row[] = {1, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 42, 0, 2, 'h', 'i'};
    static const uint8_t edit[] = {1, 0, 33, 10, 2, 'y', 'o', 3, 5};
    Trillium__V1__MessageCreateCall create = TRILLIUM__V1__MESSAGE_CREATE_CALL__INIT;
    Trillium__V1__MessageEditCall change = TRILLIUM__V1__MESSAGE_EDIT_CALL__INIT;
    Trillium__V1__MessageDeleteCall delete = TRILLIUM__V1__MESSAGE_DELETE_CALL__INIT;
    Trillium__V1__MessageGetCall get = TRILLIUM__V1__MESSAGE_GET_CALL__INIT;
    Trillium__V1__MessageListCall list = TRILLIUM__V1__MESSAGE_LIST_CALL__INIT;
    Trillium__V1__MessageStatusCall status = TRILLIUM__V1__MESSAGE_STATUS_CALL__INIT;
    Trillium__V1__ChannelListCall channels = TRILLIUM__V1__CHANNEL_LIST_CALL__INIT;
    Trillium__V1__ChannelInspectCall inspect = TRILLIUM__V1__CHANNEL_INSPECT_CALL__INIT;
    Trillium__V1__ChannelPurgeCall purge = TRILLIUM__V1__CHANNEL_PURGE_CALL__INIT;
    create.channel_id = change.channel_id = delete.channel_id = get.channel_id = list.channel_id = status.channel_id =
        inspect.channel_id = purge.channel_id = 1;
    create.message_id = change.message_id = delete.message_id = get.message_id = list.message_id = status.message_id =
        id;
    create.level = change.level = delete.level = get.level = list.level = channels.level = purge.level =
        TRILLIUM__V1__LEVEL__LEVEL_QUORUM;
    create.row = (ProtobufCBinaryData){sizeof row, (uint8_t *)(uintptr_t)row};
    change.row = (ProtobufCBinaryData){sizeof edit, (uint8_t *)(uintptr_t)edit};
    list.limit = channels.limit = 20;
    list.bound = TRILLIUM__V1__BOUND__BOUND_AROUND;
    status.resolve = inspect.replicas = true;
    add(errands, METHOD_MESSAGE_CREATE, &create.base);
    add(errands, METHOD_MESSAGE_EDIT, &change.base);
    add(errands, METHOD_MESSAGE_DELETE, &delete.base);
    add(errands, METHOD_MESSAGE_GET, &get.base);
    add(errands, METHOD_MESSAGE_LIST, &list.base);
    list.bound = TRILLIUM__V1__BOUND__BOUND_NEWEST;
    list.message_id = 0;
    add(errands, METHOD_MESSAGE_LIST, &list.base);
    add(errands, METHOD_MESSAGE_STATUS, &status.base);
    add(errands, METHOD_CHANNEL_LIST, &channels.base);
    add(errands, METHOD_CHANNEL_INSPECT, &inspect.base);
    add(errands, METHOD_CHANNEL_PURGE, &purge.base);
}

static void run_errands(struct trio *trio)
{
    struct errands errands = {0};
    uint64_t id = (uint64_t)(WORLD_EPOCH_US / 1000 - 1420070400000 + 100) << 22 | 1 << 6;
    make_errands(&errands, id);
    CHECK(trio_ask(trio, errands.calls, errands.count, 60 * WORLD_S));
    for (uint32_t i = 0; i < errands.count; i++)
        buffer_free(&errands.calls[i].answer);
}

/* ---- the mad ones ---- */

enum who { MAD_CONTROLLER, MAD_NODES, MAD_SOURCES, MAD_ENDS };

/* Where a node of the cluster's own is number 1, the stranger's are 2 and 3. */
static struct trio_call node_of(enum who who, uint32_t i)
{
    static const char *const addresses[] = {TRIO_STRANGER ":7300", TRIO_STRANGER ":7400"};
    return (struct trio_call){
        .role = RPC_ROLE_NODE, .number = i + (who == MAD_SOURCES ? 2 : 1), .address = addresses[i]};
}

static const struct trio_call controller = {.role = RPC_ROLE_CONTROLLER, .number = 1, .address = TRIO_STRANGER ":7100"};

static void register_nodes(struct trio *trio, enum who who)
{
    for (uint8_t i = 0; i < 2; i++) {
        struct trio_call ask = node_of(who, i);
        uint8_t uuid[16] = {1, 2, i}, body[200];
        Trillium__V1__RegisterCall call = TRILLIUM__V1__REGISTER_CALL__INIT;
        call.role = TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_NODE;
        call.uuid = (ProtobufCBinaryData){sizeof uuid, uuid};
        call.boot = 1;
        call.address = (char *)(uintptr_t)ask.address;
        call.shards = 1;
        ask.address = "127.0.1.1:7100";
        ask.method = METHOD_CONTROL_REGISTER;
        ask.body = bytes_of(body, protobuf_c_message_pack(&call.base, body));
        CHECK(trio_ask(trio, &ask, 1, 30 * WORLD_S) && ask.status == STATUS_OK);
        buffer_free(&ask.answer);
    }
}

/* Node 1 is told that it lost its first ranges, and fetches them from the others. */
static void make_node_lapse(struct trio *trio)
{
    uint8_t body[200];
    Trillium__V1__LapsedRange ranges[RANGES_LAPSED], *pointers[RANGES_LAPSED];
    Trillium__V1__LapseCall call = TRILLIUM__V1__LAPSE_CALL__INIT;
    for (uint32_t i = 0; i < RANGES_LAPSED; i++) {
        ranges[i] = (Trillium__V1__LapsedRange)TRILLIUM__V1__LAPSED_RANGE__INIT;
        ranges[i].range = i + 1;
        ranges[i].known = 1;
        pointers[i] = &ranges[i];
    }
    call.node = 1;
    call.n_ranges = RANGES_LAPSED;
    call.ranges = pointers;
    struct trio_call ask = node_of(MAD_SOURCES, 0);
    ask.address = "127.0.1.1:7100";
    ask.method = METHOD_CONTROL_LAPSE;
    ask.body = bytes_of(body, protobuf_c_message_pack(&call.base, body));
    CHECK(trio_ask(trio, &ask, 1, 30 * WORLD_S));
    buffer_free(&ask.answer);
    trio_pass(trio, 2 * WORLD_S, NULL);
}

static void begin(struct trio *trio, enum who who)
{
    struct trio_options options = {.seed = 1, .nodes = who == MAD_SOURCES ? 3 : who == MAD_NODES ? 2 : 1};
    if (who == MAD_CONTROLLER) options.missing = 1u << TRIO_CONTROLLER;
    if (who == MAD_NODES) options.missing = 1u << TRIO_NODE;
    trio_answer_fn *answer = trio->answer;
    void *context = trio->context;
    trio_init(trio, &options);
    trio->answer = answer;
    trio->context = context;
    for (uint32_t i = 0; i < 2 && who != MAD_CONTROLLER; i++) {
        struct trio_call node = node_of(who, i);
        trio_serve(trio, &node);
    }
    if (who == MAD_CONTROLLER) trio_serve(trio, &controller);
    trio_start(trio);
    trio_pass(trio, WORLD_S, NULL);
    if (who != MAD_CONTROLLER) register_nodes(trio, who);
    trio_pass(trio, 2 * WORLD_S, who == MAD_CONTROLLER ? NULL : trio_is_ready);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct answers answers = {0};
    struct trio trio = {.answer = answer_madly, .context = &answers};
    if (size == 0) return 0;
    struct reader reader = reader_of(bytes_of(data + 1, size - 1));
    read_answers(&reader, &answers);
    enum who who = data[0] % MAD_ENDS;
    begin(&trio, who);
    if (who == MAD_SOURCES)
        make_node_lapse(&trio);
    else if (trio_is_running(&trio, TRIO_ROUTER))
        run_errands(&trio);
    trio_pass(&trio, WORLD_S, NULL);
    for (int i = 0; i < TRIO_DAEMONS && who != MAD_CONTROLLER; i++)
        CHECK(trio.daemons[i].process == NULL || trio_is_running(&trio, (enum trio_daemon)i));
    CHECK(world_events(trio.world) < EVENTS_MAX); /* nobody asks again and again without a pause */
    CHECK(world_failure(trio.world) == NULL);
    trio_fini(&trio);
    return 0;
}
