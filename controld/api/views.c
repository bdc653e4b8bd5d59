#include "controld/api/views.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "proto/control.pb-c.h"

enum { ANSWER_AHEAD_MS = 200 }; /* a parked call is answered so long before its caller gives up */

#define MS UINT64_C(1000000)

struct parked {
    struct list link;
    struct views *views;
    struct rpc_request *request;
    uint64_t have;
    struct timer timer;
};

/* ---- answers ---- */

static void answer_chunk(struct rpc_request *request, const struct view_edition *edition, uint64_t offset)
{
    Trillium__V1__ViewAnswer body = TRILLIUM__V1__VIEW_ANSWER__INIT;
    size_t left = edition->bytes.size - offset;
    body.version = edition->version;
    body.total = edition->bytes.size;
    body.data.len = left < VIEW_CHUNK_BYTES ? left : VIEW_CHUNK_BYTES;
    body.data.data = edition->bytes.data + offset;
    rpc_answer(request, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
}

static void answer_nothing_new(struct rpc_request *request, const struct views *views)
{
    if (views->stale) {
        rpc_answer(request, STATUS_UNAVAILABLE, NULL);
        return;
    }
    Trillium__V1__ViewAnswer body = TRILLIUM__V1__VIEW_ANSWER__INIT;
    body.version = views->current.version;
    rpc_answer(request, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
}

/* ---- parking ---- */

static struct rpc_request *unpark(struct parked *parked)
{
    struct rpc_request *request = parked->request;
    list_remove(&parked->link);
    timer_stop(&parked->timer);
    parked->views->parked_count--;
    request->on_cancel = NULL;
    mem_free(parked);
    return request;
}

static void park_ends(struct timer *timer)
{
    struct parked *parked = CONTAINER_OF(timer, struct parked, timer);
    const struct views *views = parked->views;
    answer_nothing_new(unpark(parked), views);
}

static void park_cancelled(struct rpc_request *request)
{
    rpc_answer(unpark(request->user), STATUS_UNAVAILABLE, NULL);
}

static void park(struct views *views, struct rpc_request *request, uint64_t have)
{
    if (views->parked_count >= VIEWS_PARKED_MAX) {
        rpc_answer(request, STATUS_BUSY, &(struct rpc_answer){.retry_after_us = 1000000});
        return;
    }
    uint64_t now = reactor_now_ns(views->reactor);
    uint64_t until = now + VIEW_PARK_MS * MS;
    if (request->deadline_ns < until + ANSWER_AHEAD_MS * MS)
        until = request->deadline_ns > now + ANSWER_AHEAD_MS * MS ? request->deadline_ns - ANSWER_AHEAD_MS * MS : now;
    struct parked *parked = mem_zalloc(sizeof *parked);
    parked->views = views;
    parked->request = request;
    parked->have = have;
    timer_init(&parked->timer, views->reactor, park_ends);
    timer_start_at(&parked->timer, until);
    list_push_back(&views->parked, &parked->link);
    views->parked_count++;
    request->user = parked;
    request->on_cancel = park_cancelled;
    rpc_request_drop_body(request);
}

/* ---- editions ---- */

static void publish(struct timer *timer)
{
    struct views *views = CONTAINER_OF(timer, struct views, timer);
    uint64_t version = views->catalog->view_version;
    if (version == views->current.version) return;
    struct arena arena = {0};
    struct view view;
    catalog_view(views->catalog, views->controllers, views->controllers_count, &arena, &view);
    struct buffer reused = views->previous.bytes;
    views->previous = views->current;
    buffer_clear(&reused);
    views->current = (struct view_edition){version, reused};
    view_encode(&view, &views->current.bytes);
    arena_free(&arena);
    views->published_ns = reactor_now_ns(views->reactor);
    LIST_FOR_EACH (link, &views->parked) {
        struct parked *parked = CONTAINER_OF(link, struct parked, link);
        if (version > parked->have) answer_chunk(unpark(parked), &views->current, 0);
    }
}

void views_set_stale(struct views *views, bool stale)
{
    views->stale = stale;
}

void views_changed(struct views *views)
{
    if (views->catalog->view_version == views->current.version || timer_is_running(&views->timer) || views->closed)
        return;
    uint64_t at = views->published_ns + VIEW_PERIOD_MS * MS, now = reactor_now_ns(views->reactor);
    timer_start_at(&views->timer, views->published_ns && at > now ? at : now);
}

void views_handle(void *context, struct rpc_request *request)
{
    struct views *views = context;
    const Trillium__V1__ViewCall *call =
        rpc_decode(&request->arena, &trillium__v1__view_call__descriptor, request->body);
    if (!call || views->closed) {
        rpc_answer(request, call ? STATUS_UNAVAILABLE : STATUS_BAD_REQUEST, NULL);
        return;
    }
    const struct view_edition *current = &views->current, *previous = &views->previous;
    if (call->offset > 0) {
        const struct view_edition *edition = call->version == current->version    ? current
                                             : call->version == previous->version ? previous
                                                                                  : NULL;
        if (!edition || edition->version == 0)
            rpc_answer(request, STATUS_CONFLICT, NULL);
        else if (call->offset >= edition->bytes.size)
            rpc_answer(request, STATUS_BAD_REQUEST, NULL);
        else
            answer_chunk(request, edition, call->offset);
        return;
    }
    if (current->version > call->have)
        answer_chunk(request, current, 0);
    else if (views->stale)
        answer_nothing_new(request, views);
    else
        park(views, request, call->have);
}

/* ---- life ---- */

void views_init(struct views *views, struct reactor *reactor, const struct catalog *catalog,
    const struct view_controller *controllers, unsigned controllers_count)
{
    *views = (struct views){
        .reactor = reactor, .catalog = catalog, .controllers = controllers, .controllers_count = controllers_count};
    views->stale = true;
    list_init(&views->parked);
    timer_init(&views->timer, reactor, publish);
}

void views_close(struct views *views)
{
    views->closed = true;
    timer_stop(&views->timer);
    LIST_FOR_EACH (link, &views->parked)
        rpc_answer(unpark(CONTAINER_OF(link, struct parked, link)), STATUS_UNAVAILABLE, NULL);
}

void views_fini(struct views *views)
{
    CHECK(list_is_empty(&views->parked));
    buffer_free(&views->current.bytes);
    buffer_free(&views->previous.bytes);
}
