/* reads: the calls that only look. What memory can answer is answered at once, the rest in fibers. */
#include "common/base/check.h"
#include "noded/api/face.h"
#include "noded/replica/reading.h"
#include "proto/replica.pb-c.h"

struct read_call {
    struct face_call call;
    struct replica *replica;
    struct reading_spec spec;
    struct reading reading;
    bool began;
    const void *body; /* other calls: the decoded call */
};

static struct bytes bytes_from(ProtobufCBinaryData data)
{
    return bytes_of(data.data, data.len);
}

static struct read_call *read_call_create(struct face *face, struct rpc_request *request)
{
    struct read_call *read = arena_zalloc(&request->arena, sizeof *read);
    read->call = face_take(face, request);
    return read;
}

/* Judges the call; false when it was refused. */
static bool admit(struct read_call *read)
{
    struct face *face = read->call.face;
    const struct rpc_request *request = read->call.request;
    struct range_id range = {request->range};
    enum status status = shard_admit(face->shard, range, request->epoch, REPLICA_READS, &read->replica);
    if (status == STATUS_STALE_EPOCH) face->shard->counters.stale++;
    if (status == STATUS_OK) {
        face->shard->counters.reads++;
        return true;
    }
    face_refuse(&read->call, status, read->replica);
    return false;
}

static bool is_settled(const struct read_call *read)
{
    return shard_is_settled(read->call.face->shard, read->replica);
}

static void settle(const struct read_call *read)
{
    shard_settle(read->call.face->shard, read->replica);
}

/* ---- messages ---- */

static void answer_read(struct read_call *read, enum status status)
{
    struct reading *reading = &read->reading;
    Trillium__V1__ReplicaReadAnswer body = TRILLIUM__V1__REPLICA_READ_ANSWER__INIT;
    struct rpc_answer answer = {.body = RPC_MESSAGE(&body)};
    if (status == STATUS_OK) {
        if (reading->spec.mode != READING_DIGEST)
            body.page = (ProtobufCBinaryData){reading->finished.size, (uint8_t *)(uintptr_t)reading->finished.data};
        if (reading->spec.mode != READING_RAW)
            body.digest = (ProtobufCBinaryData){sizeof reading->digest, (uint8_t *)&reading->digest};
        body.complete_through = reading->through;
        body.more = reading->more;
    } else {
        answer.body = NULL;
        if (status == STATUS_CORRUPT || status == STATUS_IO) read->call.face->shard->counters.damaged++;
    }
    face_answer(&read->call, status, &answer);
}

/* Runs as far as it can; false when it must go on in a fiber. The request is gone after true. */
static bool run_read(struct read_call *read)
{
    struct face *face = read->call.face;
    if (!read->began) reading_begin(&read->reading, read->replica, face->reactor, &read->spec);
    read->began = true;
    enum status status = reading_run(&read->reading, read->call.request->deadline_ns);
    if (status == STATUS_BUSY) return false;
    struct reading ended = read->reading;
    answer_read(read, status);
    reading_end(&ended);
    return true;
}

static void read_in_fiber(void *argument)
{
    struct read_call *read = argument;
    struct face *face = read->call.face;
    settle(read);
    if (!run_read(read)) CHECK(false); /* in a fiber nothing is BUSY */
    face_fiber_ends(face);
}

static bool read_spec(const Trillium__V1__ReplicaReadCall *call, struct reading_spec *out)
{
    *out = (struct reading_spec){.partition = bytes_from(call->partition),
        .lo = call->lo,
        .hi = call->hi,
        .direction = call->oldest_first ? PAGE_OLDEST_FIRST : PAGE_NEWEST_FIRST,
        .limit = call->limit,
        .bytes_max = call->bytes_max && call->bytes_max < PAGE_BYTES_MAX ? call->bytes_max : PAGE_BYTES_MAX};
    switch (call->mode) {
    case TRILLIUM__V1__READ_MODE__READ_MODE_DATA:
        out->mode = READING_DATA;
        break;
    case TRILLIUM__V1__READ_MODE__READ_MODE_DIGEST:
        out->mode = READING_DIGEST;
        break;
    case TRILLIUM__V1__READ_MODE__READ_MODE_RAW:
        out->mode = READING_RAW;
        break;
    default:
        return false;
    }
    bool limited = out->mode == READING_RAW || (call->limit >= 1 && call->limit <= PAGE_ROWS_MAX);
    return limited && call->lo <= call->hi;
}

static void handle_read(void *context, struct rpc_request *request)
{
    struct face *face = context;
    struct read_call *read = read_call_create(face, request);
    read->call.is_read = true;
    Trillium__V1__ReplicaReadCall *call =
        rpc_decode(&request->arena, &trillium__v1__replica_read_call__descriptor, request->body);
    if (!call || !read_spec(call, &read->spec)) {
        face_answer(&read->call, STATUS_BAD_REQUEST, NULL);
        return;
    }
    if (!admit(read)) return;
    if (!replica_owns(read->replica, read->spec.partition))
        face_answer(&read->call, STATUS_BAD_REQUEST, NULL);
    else if (!is_settled(read) || !run_read(read))
        face_fiber(face, read_in_fiber, read);
}

/* ---- newest ---- */

static void answer_newest(struct read_call *read)
{
    const Trillium__V1__ReplicaNewestCall *call = read->body;
    Trillium__V1__ReplicaNewestAnswer body = TRILLIUM__V1__REPLICA_NEWEST_ANSWER__INIT;
    if (call->partition.len) body.newest_id = lsm_newest(read->replica->lsm, bytes_from(call->partition));
    face_answer(&read->call, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
}

static void newest_in_fiber(void *argument)
{
    struct read_call *read = argument;
    struct face *face = read->call.face;
    settle(read);
    answer_newest(read);
    face_fiber_ends(face);
}

static void handle_newest(void *context, struct rpc_request *request)
{
    struct face *face = context;
    struct read_call *read = read_call_create(face, request);
    Trillium__V1__ReplicaNewestCall *call =
        rpc_decode(&request->arena, &trillium__v1__replica_newest_call__descriptor, request->body);
    read->body = call;
    if (!call) {
        face_answer(&read->call, STATUS_BAD_REQUEST, NULL);
        return;
    }
    if (call->partition.len == 0) { /* only asks whether anybody is here */
        answer_newest(read);
        return;
    }
    if (!admit(read)) return;
    if (!replica_owns(read->replica, bytes_from(call->partition)))
        face_answer(&read->call, STATUS_BAD_REQUEST, NULL);
    else if (is_settled(read))
        answer_newest(read);
    else
        face_fiber(face, newest_in_fiber, read);
}

/* ---- partitions, and counts of one ---- */

static void list_partitions(void *argument)
{
    struct read_call *read = argument;
    struct face *face = read->call.face;
    const Trillium__V1__ReplicaPartitionsCall *call = read->body;
    struct arena *arena = &read->call.request->arena;
    settle(read);
    struct lsm_partition *found = arena_alloc(arena, call->limit * sizeof *found);
    uint32_t count = lsm_partitions(read->replica->lsm, bytes_from(call->after), call->limit, arena, found);
    Trillium__V1__PartitionEntry *entries = arena_alloc(arena, (count + 1) * sizeof *entries);
    Trillium__V1__PartitionEntry **pointers = arena_alloc(arena, (count + 1) * sizeof *pointers);
    for (uint32_t i = 0; i < count; i++) {
        trillium__v1__partition_entry__init(&entries[i]);
        entries[i].position.data = entries[i].partition.data = (uint8_t *)(uintptr_t)found[i].key.data;
        entries[i].position.len = entries[i].partition.len = found[i].key.size;
        entries[i].newest_id = found[i].newest;
        entries[i].visible = found[i].visible;
        pointers[i] = &entries[i];
    }
    Trillium__V1__ReplicaPartitionsAnswer body = TRILLIUM__V1__REPLICA_PARTITIONS_ANSWER__INIT;
    body.n_partitions = count;
    body.partitions = pointers;
    body.more = count == call->limit;
    face_answer(&read->call, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
    face_fiber_ends(face);
}

static void handle_partitions(void *context, struct rpc_request *request)
{
    struct face *face = context;
    struct read_call *read = read_call_create(face, request);
    Trillium__V1__ReplicaPartitionsCall *call =
        rpc_decode(&request->arena, &trillium__v1__replica_partitions_call__descriptor, request->body);
    read->body = call;
    if (!call || call->limit < 1 || call->limit > PAGE_ROWS_MAX || call->after.len > KEY_BYTES_MAX)
        face_answer(&read->call, STATUS_BAD_REQUEST, NULL);
    else if (admit(read))
        face_fiber(face, list_partitions, read);
}

static void inspect(void *argument)
{
    struct read_call *read = argument;
    struct face *face = read->call.face;
    const Trillium__V1__ReplicaInspectCall *call = read->body;
    struct bytes partition = bytes_from(call->partition);
    struct inspection found;
    settle(read);
    enum status status =
        replica_inspect(read->replica, face->reactor, partition, read->call.request->deadline_ns, &found);
    Trillium__V1__ReplicaInspectAnswer body = TRILLIUM__V1__REPLICA_INSPECT_ANSWER__INIT;
    if (status == STATUS_OK) {
        body.rows = found.rows;
        body.digest = (ProtobufCBinaryData){sizeof found.digest, (uint8_t *)&found.digest};
        body.newest_id = lsm_newest(read->replica->lsm, partition);
        face_answer(&read->call, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
    } else {
        face_answer(&read->call, status, NULL);
    }
    face_fiber_ends(face);
}

static void handle_inspect(void *context, struct rpc_request *request)
{
    struct face *face = context;
    struct read_call *read = read_call_create(face, request);
    Trillium__V1__ReplicaInspectCall *call =
        rpc_decode(&request->arena, &trillium__v1__replica_inspect_call__descriptor, request->body);
    read->body = call;
    if (!call) {
        face_answer(&read->call, STATUS_BAD_REQUEST, NULL);
        return;
    }
    const struct replica *replica = shard_replica(face->shard, (struct range_id){request->range});
    if (replica && replica->health != REPLICA_WHOLE) {
        Trillium__V1__ReplicaInspectAnswer body = TRILLIUM__V1__REPLICA_INSPECT_ANSWER__INIT;
        body.lapsed = true;
        body.rebuilt_percent = replica_copied_percent(replica);
        face_answer(&read->call, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
        return;
    }
    if (!admit(read)) return;
    if (!replica_owns(read->replica, bytes_from(call->partition)))
        face_answer(&read->call, STATUS_BAD_REQUEST, NULL);
    else
        face_fiber(face, inspect, read);
}

/* ---- the disk ---- */

static void handle_space(void *context, struct rpc_request *request)
{
    struct face *face = context;
    space_calls_handle(&face->space_calls, request);
}

enum { READERS = RPC_ROLES_DAEMONS | RPC_ROLE_BIT(RPC_ROLE_ADMIN) };
static const struct rpc_handler handlers[] = {
    {METHOD_REPLICA_READ, READERS, handle_read, NULL},
    {METHOD_REPLICA_NEWEST, READERS, handle_newest, NULL},
    {METHOD_REPLICA_PARTITIONS, READERS, handle_partitions, NULL},
    {METHOD_REPLICA_INSPECT, READERS, handle_inspect, NULL},
    {METHOD_REPLICA_SPACE, RPC_ROLE_BIT(RPC_ROLE_ROUTER), handle_space, NULL},
};
const struct rpc_handlers READ_CALLS = {handlers, sizeof handlers / sizeof *handlers};
