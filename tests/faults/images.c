#include "tests/faults/images.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/cluster/membership.h"
#include "common/model/key.h"
#include "common/model/snowflake.h"
#include "common/model/view.h"
#include "proto/client.pb-c.h"
#include "proto/control.pb-c.h"
#include "proto/replica.pb-c.h"

enum { CHANNELS = 3, ROWS = 24, REPEATS = 3, CONTROLLER_CHANGES = 24, READS_LIMIT = 1000, RESERVED = 16 };

static const char *const NODE = "127.0.2.1:7300", *const CONTROLLER = "127.0.1.1:7100";

/* The cluster in which an image is made, and where its channels lie. */
struct maker {
    struct trio trio;
    struct image *image;
    uint64_t range[CHANNELS], epoch[CHANNELS];
    uint8_t partition[CHANNELS][KEY_CHANNEL_BYTES];
};

static uint64_t id_of(unsigned row)
{
    return ((uint64_t)(WORLD_EPOCH_US / 1000 - 1420070400000) << 22) + (uint64_t)row * 64;
}

static void ask_one(struct maker *maker, struct trio_call call, const ProtobufCMessage *message)
{
    uint8_t body[512];
    CHECK(protobuf_c_message_get_packed_size(message) <= sizeof body);
    call.body = bytes_of(body, protobuf_c_message_pack(message, body));
    CHECK(trio_ask(&maker->trio, &call, 1, 20 * WORLD_S));
    CHECK(status_is_done(call.status));
    buffer_free(&call.answer);
}

/* ---- where channels lie ---- */

static void find_ranges(struct maker *maker)
{
    struct trio_call call = {.role = RPC_ROLE_ADMIN, .address = CONTROLLER, .method = METHOD_CONTROL_VIEW};
    struct arena arena = {0};
    struct view view;
    CHECK(trio_ask(&maker->trio, &call, 1, 10 * WORLD_S) && call.status == STATUS_OK);
    const Trillium__V1__ViewAnswer *answer =
        rpc_decode(&arena, &trillium__v1__view_answer__descriptor, buffer_bytes(&call.answer));
    CHECK(answer && view_decode(bytes_of(answer->data.data, answer->data.len), &arena, &view) == STATUS_OK);
    for (unsigned i = 0; i < CHANNELS; i++) {
        key_channel(i + 1, maker->partition[i]);
        const struct view_range *range = view_range_of(&view, (struct table_id){1}, key_channel_token(i + 1));
        CHECK(range != NULL);
        maker->range[i] = range->id.value;
        maker->epoch[i] = range->epoch;
    }
    arena_free(&arena);
    buffer_free(&call.answer);
}

static struct trio_call call_of_range(const struct maker *maker, unsigned channel, uint16_t method)
{
    return (struct trio_call){.role = RPC_ROLE_ROUTER,
        .address = NODE,
        .method = method,
        .routed = true,
        .range = maker->range[channel],
        .epoch = maker->epoch[channel]};
}

static ProtobufCBinaryData partition_of(struct maker *maker, unsigned channel)
{
    return (ProtobufCBinaryData){KEY_CHANNEL_BYTES, maker->partition[channel]};
}

/* ---- a node's data ---- */

static void write_row(struct maker *maker, unsigned channel, unsigned row, Trillium__V1__WriteKind kind)
{
    uint8_t create[] = {1, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 42, 0, 6, 'r', 'o', 'w', ' ', 0, 0};
    uint8_t edit[] = {1, 0, 33, 10, 2, 'y', 'o', 3, 5}, delete[] = {1, 2, 0xd0, 0x0f};
    create[18] = (uint8_t)('a' + row % 26);
    create[19] = (uint8_t)('a' + channel);
    Trillium__V1__ReplicaWriteCall body = TRILLIUM__V1__REPLICA_WRITE_CALL__INIT;
    body.partition = partition_of(maker, channel);
    body.message_id = id_of(row);
    body.kind = kind;
    body.row = (ProtobufCBinaryData){sizeof create, create};
    if (kind == TRILLIUM__V1__WRITE_KIND__WRITE_KIND_EDIT) body.row = (ProtobufCBinaryData){sizeof edit, edit};
    if (kind == TRILLIUM__V1__WRITE_KIND__WRITE_KIND_DELETE) body.row = (ProtobufCBinaryData){sizeof delete, delete};
    ask_one(maker, call_of_range(maker, channel, METHOD_REPLICA_WRITE), &body.base);
}

static void write_span(struct maker *maker, unsigned channel, unsigned lo, unsigned hi)
{
    Trillium__V1__ReplicaSpanCall body = TRILLIUM__V1__REPLICA_SPAN_CALL__INIT;
    body.partition = partition_of(maker, channel);
    body.lo = id_of(lo);
    body.hi = id_of(hi);
    body.stamp_us = WORLD_EPOCH_US;
    ask_one(maker, call_of_range(maker, channel, METHOD_REPLICA_SPAN), &body.base);
}

static void close_delete(struct maker *maker, unsigned channel, unsigned row)
{
    Trillium__V1__ReplicaClosedCall body = TRILLIUM__V1__REPLICA_CLOSED_CALL__INIT;
    uint64_t id = id_of(row);
    body.partition = partition_of(maker, channel);
    body.n_ids = 1;
    body.ids = &id;
    ask_one(maker, call_of_range(maker, channel, METHOD_REPLICA_CLOSED), &body.base);
}

static void flush(struct maker *maker)
{
    struct trio_call call = {.role = RPC_ROLE_ADMIN, .address = NODE, .method = METHOD_ADMIN_FLUSH};
    CHECK(trio_ask(&maker->trio, &call, 1, 20 * WORLD_S) && call.status == STATUS_OK);
    buffer_free(&call.answer);
}

/* One third of the rows, with an edit, a delete and a span among those before. */
static void write_third(struct maker *maker, unsigned third)
{
    unsigned first = third * ROWS / 3, last = first + ROWS / 3;
    for (unsigned channel = 0; channel < CHANNELS; channel++) {
        for (unsigned row = first; row < last; row++)
            write_row(maker, channel, row, TRILLIUM__V1__WRITE_KIND__WRITE_KIND_CREATE);
        write_row(maker, channel, first + 1, TRILLIUM__V1__WRITE_KIND__WRITE_KIND_EDIT);
        write_row(maker, channel, first + 2, TRILLIUM__V1__WRITE_KIND__WRITE_KIND_DELETE);
        write_row(maker, channel, first + 3, TRILLIUM__V1__WRITE_KIND__WRITE_KIND_DELETE);
        close_delete(maker, channel, first + 2);
        write_span(maker, channel, first + 4, first + 5);
    }
}

static void make_node_data(struct maker *maker)
{
    write_third(maker, 0);
    flush(maker);
    write_third(maker, 1);
    flush(maker);
    write_third(maker, 2); /* in the log alone */
    for (unsigned i = 0; i < REPEATS; i++)
        for (unsigned channel = 0; channel < CHANNELS; channel++)
            write_row(maker, channel, 0, TRILLIUM__V1__WRITE_KIND__WRITE_KIND_CREATE);
}

/* ---- questions ---- */

static void add_question(struct maker *maker, struct trio_call call, const ProtobufCMessage *message)
{
    struct image *image = maker->image;
    uint32_t i = image->questions_count++;
    CHECK(i < IMAGE_QUESTIONS_MAX && protobuf_c_message_get_packed_size(message) <= IMAGE_BODY_BYTES);
    call.body = bytes_of(image->bodies[i], protobuf_c_message_pack(message, image->bodies[i]));
    image->questions[i] = call;
}

static void add_read(struct maker *maker, unsigned channel, Trillium__V1__ReadMode mode, bool oldest_first)
{
    Trillium__V1__ReplicaReadCall body = TRILLIUM__V1__REPLICA_READ_CALL__INIT;
    body.partition = partition_of(maker, channel);
    body.hi = UINT64_MAX;
    body.limit = READS_LIMIT;
    body.mode = mode;
    body.oldest_first = oldest_first;
    add_question(maker, call_of_range(maker, channel, METHOD_REPLICA_READ), &body.base);
}

static void add_node_questions(struct maker *maker)
{
    for (unsigned channel = 0; channel < CHANNELS; channel++) {
        add_read(maker, channel, TRILLIUM__V1__READ_MODE__READ_MODE_RAW, false);
        add_read(maker, channel, TRILLIUM__V1__READ_MODE__READ_MODE_DATA, true);
        add_read(maker, channel, TRILLIUM__V1__READ_MODE__READ_MODE_DIGEST, false);
        Trillium__V1__ReplicaNewestCall newest = TRILLIUM__V1__REPLICA_NEWEST_CALL__INIT;
        newest.partition = partition_of(maker, channel);
        add_question(maker, call_of_range(maker, channel, METHOD_REPLICA_NEWEST), &newest.base);
        Trillium__V1__ReplicaPartitionsCall partitions = TRILLIUM__V1__REPLICA_PARTITIONS_CALL__INIT;
        partitions.limit = READS_LIMIT;
        add_question(maker, call_of_range(maker, channel, METHOD_REPLICA_PARTITIONS), &partitions.base);
        Trillium__V1__ReplicaInspectCall inspect = TRILLIUM__V1__REPLICA_INSPECT_CALL__INIT;
        inspect.partition = partition_of(maker, channel);
        add_question(maker, call_of_range(maker, channel, METHOD_REPLICA_INSPECT), &inspect.base);
    }
}

/* ---- a controller's ---- */

static void change_epoch(struct maker *maker, uint64_t range)
{
    Trillium__V1__EpochCall body = TRILLIUM__V1__EPOCH_CALL__INIT;
    struct trio_call call = {.role = RPC_ROLE_ADMIN, .address = CONTROLLER, .method = METHOD_CONTROL_EPOCH};
    body.range = range;
    ask_one(maker, call, &body.base);
}

static void raise_horizon(struct maker *maker)
{
    Trillium__V1__HorizonCall body = TRILLIUM__V1__HORIZON_CALL__INIT;
    struct trio_call call = {.role = RPC_ROLE_ADMIN, .address = CONTROLLER, .method = METHOD_CONTROL_HORIZON};
    body.table = 1;
    body.unix_ms = 1;
    ask_one(maker, call, &body.base);
}

static void make_controller_data(struct maker *maker)
{
    for (unsigned i = 0; i < CONTROLLER_CHANGES; i++)
        change_epoch(maker, maker->range[i % CHANNELS]);
    for (unsigned i = 0; i < REPEATS; i++)
        raise_horizon(maker);
}

static void add_controller_questions(struct maker *maker)
{
    Trillium__V1__ViewCall body = TRILLIUM__V1__VIEW_CALL__INIT;
    struct trio_call call = {.role = RPC_ROLE_ADMIN, .address = CONTROLLER, .method = METHOD_CONTROL_VIEW};
    add_question(maker, call, &body.base);
}

/* ---- a router's ---- */

static void make_router_data(struct maker *maker)
{
    trio_pass(&maker->trio, 5 * WORLD_S, NULL);
}

static void add_router_questions(struct maker *maker)
{
    Trillium__V1__RingCall ring = TRILLIUM__V1__RING_CALL__INIT;
    Trillium__V1__ReserveCall reserve = TRILLIUM__V1__RESERVE_CALL__INIT;
    struct trio_call call = {
        .role = RPC_ROLE_CLIENT, .kind = RPC_CLIENT, .address = "127.0.3.1:7232", .method = METHOD_RING};
    add_question(maker, call, &ring.base);
    call.method = METHOD_RESERVE;
    reserve.count = RESERVED;
    add_question(maker, call, &reserve.base);
}

/* Ids follow the clock and the router's mark, so they differ; whose maker numbers they bear must not. */
static void keep_blocks_alone(struct buffer *answer)
{
    struct arena arena = {0};
    Trillium__V1__ReserveAnswer *reserve =
        rpc_decode(&arena, &trillium__v1__reserve_answer__descriptor, buffer_bytes(answer));
    buffer_clear(answer);
    if (reserve && reserve->n_ids > 0) {
        uint8_t block = (uint8_t)(snowflake_maker(reserve->ids[0]) >> 8);
        buffer_append(answer, &block, 1);
    }
    arena_free(&arena);
}

/* ---- making and judging ---- */

static void learn_answers(struct image *image)
{
    struct trio_call calls[IMAGE_QUESTIONS_MAX];
    struct trio trio;
    struct trio_options options = {.seed = 1, .missing = image->missing};
    options.disks[image->which] = sim_disk_clone(image->disk, 1);
    memcpy(calls, image->questions, sizeof calls);
    trio_init(&trio, &options);
    trio_start(&trio);
    trio_pass(&trio, 10 * WORLD_S, trio_is_ready);
    CHECK(trio_ask(&trio, calls, image->questions_count, 60 * WORLD_S));
    for (uint32_t i = 0; i < image->questions_count; i++) {
        CHECK(calls[i].status == STATUS_OK && calls[i].answer.size > 0);
        if (calls[i].method == METHOD_RESERVE) keep_blocks_alone(&calls[i].answer);
        image->expected[i] = calls[i].answer;
    }
    trio_fini(&trio);
}

static void make(struct image *image, enum trio_daemon which, void (*data)(struct maker *), void (*ask)(struct maker *))
{
    struct maker maker = {.image = image};
    *image = (struct image){.which = which, .missing = (1u << TRIO_DAEMONS) - 1 - (1u << which)};
    trio_init(&maker.trio, &(struct trio_options){.seed = 1});
    trio_start(&maker.trio);
    CHECK(trio_pass(&maker.trio, 30 * WORLD_S, trio_is_ready));
    find_ranges(&maker);
    data(&maker);
    trio_pass(&maker.trio, WORLD_S, NULL);
    ask(&maker);
    image->disk = sim_disk_clone(maker.trio.daemons[which].disk, 1);
    sim_disk_crash(image->disk);
    trio_fini(&maker.trio);
    learn_answers(image);
}

void image_of_node(struct image *image)
{
    make(image, TRIO_NODE, make_node_data, add_node_questions);
}

void image_of_controller(struct image *image)
{
    make(image, TRIO_CONTROLLER, make_controller_data, add_controller_questions);
}

void image_of_router(struct image *image)
{
    make(image, TRIO_ROUTER, make_router_data, add_router_questions);
}

void image_free(struct image *image)
{
    sim_disk_destroy(image->disk);
    for (uint32_t i = 0; i < image->questions_count; i++)
        buffer_free(&image->expected[i]);
}

/* Ready, or it has ended. */
static bool has_decided(struct trio *trio)
{
    for (int i = 0; i < TRIO_DAEMONS; i++)
        if (trio->daemons[i].process && !process_is_running(trio->daemons[i].process)) return true;
    return trio_is_ready(trio);
}

enum image_verdict image_judge(const struct image *image, struct sim_disk *disk, char why[200])
{
    struct trio_call calls[IMAGE_QUESTIONS_MAX];
    struct trio trio;
    struct trio_options options = {.seed = 1, .missing = image->missing};
    enum image_verdict verdict = IMAGE_HARMLESS;
    options.disks[image->which] = disk;
    memcpy(calls, image->questions, sizeof calls);
    trio_init(&trio, &options);
    trio_start(&trio);
    trio_pass(&trio, 5 * WORLD_S, has_decided);
    bool done = trio_is_running(&trio, image->which) && trio_ask(&trio, calls, image->questions_count, 30 * WORLD_S);
    if (!done) verdict = IMAGE_NOTICED;
    for (uint32_t i = 0; done && i < image->questions_count; i++) {
        if (calls[i].method == METHOD_RESERVE) keep_blocks_alone(&calls[i].answer);
        bool equal = bytes_equal(buffer_bytes(&calls[i].answer), buffer_bytes(&image->expected[i]));
        if (calls[i].status != STATUS_OK && verdict == IMAGE_HARMLESS) verdict = IMAGE_NOTICED;
        if (calls[i].status != STATUS_OK || equal) continue;
        verdict = IMAGE_WRONG;
        snprintf(why, 200, "%s (question %u) answers otherwise", method_name(calls[i].method), i);
    }
    for (uint32_t i = 0; i < image->questions_count; i++)
        buffer_free(&calls[i].answer);
    if (world_failure(trio.world)) {
        verdict = IMAGE_WRONG;
        snprintf(why, 200, "%s", world_failure(trio.world));
    }
    trio_fini(&trio);
    return verdict;
}
