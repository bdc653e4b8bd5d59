/* copies: what another node fetches to rebuild its replica. */
#include "common/base/check.h"
#include "noded/api/face.h"
#include "noded/replica/copying.h"
#include "proto/replica.pb-c.h"

struct copy_call {
    struct face_call call;
    struct replica *replica;
    struct copy_position from;
    struct copying copying;
};

static void answer(struct copy_call *copy)
{
    const struct copying *copying = &copy->copying;
    struct arena *arena = &copy->call.request->arena;
    Trillium__V1__ReplicaCopyAnswer body = TRILLIUM__V1__REPLICA_COPY_ANSWER__INIT;
    Trillium__V1__CopyPart *parts = arena_alloc(arena, (copying->count + 1) * sizeof *parts);
    Trillium__V1__CopyPart **pointers = arena_alloc(arena, (copying->count + 1) * sizeof *pointers);
    for (uint32_t i = 0; i < copying->count; i++) {
        const struct copying_part *part = &copying->parts[i];
        trillium__v1__copy_part__init(&parts[i]);
        parts[i].partition = (ProtobufCBinaryData){part->partition.size, (uint8_t *)(uintptr_t)part->partition.data};
        parts[i].page = (ProtobufCBinaryData){part->page.size, (uint8_t *)(uintptr_t)part->page.data};
        pointers[i] = &parts[i];
    }
    body.n_parts = copying->count;
    body.parts = pointers;
    body.next_partition =
        (ProtobufCBinaryData){copying->next_partition.size, (uint8_t *)(uintptr_t)copying->next_partition.data};
    body.next_hi = copying->next_hi;
    face_answer(&copy->call, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
}

/* An epoch that rises meanwhile does no harm: the answer is complete as of the older one. But what lapses meanwhile has
   nothing to give. */
static void copy_in_fiber(void *argument)
{
    struct copy_call *copy = argument;
    struct face *face = copy->call.face;
    shard_drain(face->shard, copy->replica);
    copy->copying.from = &copy->from;
    copy->copying.deadline_ns = copy->call.request->deadline_ns;
    enum status status = copying_run(&copy->copying, copy->replica, face->reactor, &copy->call.request->arena);
    struct copy_position from = copy->from; /* the first part's partition lies in it; copy is gone with the answer */
    if (status == STATUS_OK && copy->replica->health != REPLICA_WHOLE) status = STATUS_UNAVAILABLE;
    if (status == STATUS_OK) {
        answer(copy);
    } else {
        face->shard->counters.damaged += status == STATUS_CORRUPT || status == STATUS_IO;
        face_answer(&copy->call, status, NULL);
    }
    copy_position_free(&from);
    face_fiber_ends(face);
}

static void handle_copy(void *context, struct rpc_request *request)
{
    struct face *face = context;
    struct copy_call *copy = arena_zalloc(&request->arena, sizeof *copy);
    copy->call = face_take(face, request);
    const Trillium__V1__ReplicaCopyCall *call =
        rpc_decode(&request->arena, &trillium__v1__replica_copy_call__descriptor, request->body);
    if (!call || call->partition.len > KEY_BYTES_MAX || call->bytes_max == 0) {
        face_answer(&copy->call, STATUS_BAD_REQUEST, NULL);
        return;
    }
    struct range_id range = {request->range};
    enum status status = shard_admit(face->shard, range, request->epoch, REPLICA_READS, &copy->replica);
    if (status != STATUS_OK) {
        face_refuse(&copy->call, status, copy->replica);
        return;
    }
    copy->copying.bytes_max = call->bytes_max;
    copy_position_set(&copy->from, bytes_of(call->partition.data, call->partition.len), call->hi);
    face_fiber(face, copy_in_fiber, copy);
}

static const struct rpc_handler handlers[] = {
    {METHOD_REPLICA_COPY, RPC_ROLES_DAEMONS, handle_copy, NULL},
};
const struct rpc_handlers COPY_CALLS = {handlers, sizeof handlers / sizeof *handlers};
