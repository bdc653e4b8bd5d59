#include "noded/api/space_calls.h"

#include "common/base/mem.h"
#include "noded/shard/shard.h"
#include "proto/replica.pb-c.h"

enum { PARK_MS = 20000 };

struct parked {
    struct list link;
    struct space_calls *calls;
    struct rpc_request *request;
    uint32_t have; /* as in the call */
    uint64_t until_ns;
};

void space_calls_init(struct space_calls *calls, struct shard *shard)
{
    *calls = (struct space_calls){.shard = shard};
    list_init(&calls->parked);
}

static void answer(const struct space_calls *calls, struct rpc_request *request)
{
    Trillium__V1__ReplicaSpaceAnswer body = TRILLIUM__V1__REPLICA_SPACE_ANSWER__INIT;
    body.level = calls->shard->space;
    rpc_answer(request, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
}

static struct rpc_request *unpark(struct parked *parked)
{
    struct rpc_request *request = parked->request;
    list_remove(&parked->link);
    parked->calls->count--;
    request->on_cancel = NULL;
    mem_free(parked);
    return request;
}

static void cancelled(struct rpc_request *request)
{
    rpc_answer(unpark(request->user), STATUS_UNAVAILABLE, NULL);
}

void space_calls_answer(struct space_calls *calls)
{
    uint64_t now = reactor_now_ns(calls->shard->reactor);
    LIST_FOR_EACH (link, &calls->parked) {
        struct parked *parked = CONTAINER_OF(link, struct parked, link);
        if (parked->have == (uint32_t)calls->shard->space + 1 && now < parked->until_ns) continue;
        answer(calls, unpark(parked));
    }
}

void space_calls_close(struct space_calls *calls)
{
    calls->closed = true;
    LIST_FOR_EACH (link, &calls->parked)
        rpc_answer(unpark(CONTAINER_OF(link, struct parked, link)), STATUS_UNAVAILABLE, NULL);
}

void space_calls_handle(struct space_calls *calls, struct rpc_request *request)
{
    const Trillium__V1__ReplicaSpaceCall *call =
        rpc_request_decode(request, &trillium__v1__replica_space_call__descriptor);
    if (!call) return;
    if (calls->closed) {
        rpc_answer(request, STATUS_UNAVAILABLE, NULL);
        return;
    }
    if (call->have != (uint32_t)calls->shard->space + 1) {
        answer(calls, request);
        return;
    }
    if (calls->count == SPACE_CALLS_MAX) {
        rpc_answer(request, STATUS_BUSY, NULL);
        return;
    }
    struct parked *parked = mem_alloc(sizeof *parked);
    *parked = (struct parked){.calls = calls,
        .request = request,
        .have = call->have,
        .until_ns = reactor_now_ns(calls->shard->reactor) + (uint64_t)PARK_MS * 1000000};
    list_push_back(&calls->parked, &parked->link);
    calls->count++;
    request->user = parked;
    request->on_cancel = cancelled;
    rpc_request_drop_body(request);
}
