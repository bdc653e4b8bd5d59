/* serve: the peer's calls: requests, their answers, grants, plain clients. */
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/rpc/talk.h"

/* Pooled requests keep a chunk of their arenas: a small one, or beyond POOL_LARGE_MAX none. */
enum { POOL_MAX = 2048, POOL_LARGE_MAX = 128, POOL_CHUNK_BYTES = 4096 };

/* A request with what its handler need not see. */
struct serving {
    struct rpc_request request;
    struct list link; /* talk->requests (cancelled ones at the end), or the pool */
    struct rpc_talk *talk;
    struct link_buffer *held; /* the frame that its body is in; NULL: let go */
    uint64_t id;
    uint64_t reply_to;
    bool reclaimed;    /* its slot was given back, or answered for a plain client */
    struct timer late; /* plain clients get an answer in any case */
};

void rpc_frame_hold(struct link_buffer *frame)
{
    frame->count = 1;
}

void rpc_frame_release(struct net *net, struct link_buffer *frame)
{
    CHECK(frame->count > 0);
    if (--frame->count == 0) link_buffer_free(net, frame);
}

/* ---- requests ---- */

static struct serving *serving_take(struct rpc *rpc)
{
    struct list *node = list_pop_front(&rpc->free_requests);
    if (!node) return mem_zalloc(sizeof(struct serving));
    rpc->free_requests_count--;
    struct serving *serving = CONTAINER_OF(node, struct serving, link);
    struct arena arena = serving->request.arena;
    memset(serving, 0, sizeof *serving);
    serving->request.arena = arena;
    return serving;
}

static void serving_give(struct rpc *rpc, struct serving *serving)
{
    if (serving->held) rpc_frame_release(serving->talk->net, serving->held);
    serving->held = NULL;
    if (rpc->free_requests_count == POOL_MAX) {
        arena_free(&serving->request.arena);
        mem_free(serving);
        return;
    }
    if (rpc->free_requests_count >= POOL_LARGE_MAX && serving->request.arena.total > POOL_CHUNK_BYTES)
        arena_free(&serving->request.arena);
    else
        arena_reset(&serving->request.arena);
    rpc->free_requests_count++;
    list_push_front(&rpc->free_requests, &serving->link);
}

void rpc_serve_free_pool(struct rpc *rpc)
{
    struct list *node;
    while ((node = list_pop_front(&rpc->free_requests))) {
        struct serving *serving = CONTAINER_OF(node, struct serving, link);
        arena_free(&serving->request.arena);
        mem_free(serving);
    }
}

/* The peer may open another call in its place. */
static void reclaim(struct serving *serving)
{
    struct rpc_talk *talk = serving->talk;
    if (serving->reclaimed) return;
    serving->reclaimed = true;
    CHECK(talk->requests_open > 0);
    talk->requests_open--;
    if (!serving->request.plain) CHECK(map_remove(&talk->requests_by_id, serving->id) == serving);
    if (talk->state == RPC_TALK_OPEN) rpc_talk_flush_later(talk);
    if (talk->rpc->stopping) rpc_goodbye_check(talk->rpc);
}

/* Nobody waits any more. The handler may answer, and so free it, from inside. */
static void cancel(struct serving *serving)
{
    if (serving->request.cancelled) return;
    serving->request.cancelled = true;
    timer_stop(&serving->late);
    list_remove(&serving->link);
    list_push_back(&serving->talk->requests, &serving->link);
    reclaim(serving);
    if (serving->request.on_cancel) serving->request.on_cancel(&serving->request);
}

static void remove_request(struct serving *serving)
{
    struct rpc_talk *talk = serving->talk;
    timer_stop(&serving->late);
    list_remove(&serving->link);
    CHECK(talk->requests_kept > 0);
    talk->requests_kept--;
    talk->rpc->counters.requests_open--;
    serving_give(talk->rpc, serving);
    if (talk->state == RPC_TALK_GONE) rpc_talk_release(talk);
}

void rpc_request_drop_body(struct rpc_request *request)
{
    struct serving *serving = CONTAINER_OF(request, struct serving, request);
    request->body = bytes_of(NULL, 0);
    if (serving->held) rpc_frame_release(serving->talk->net, serving->held);
    serving->held = NULL;
}

/* ---- answers ---- */

static void write_answer(struct rpc_talk *talk, uint64_t id, enum status status, const struct rpc_answer *answer)
{
    static const struct rpc_answer nothing;
    if (!answer) answer = &nothing;
    bool routed = answer->range || answer->epoch || answer->stamp;
    uint32_t body_bytes = rpc_body_size(answer->body);
    const struct rpc_body *body = answer->body;
    if (body_bytes > talk->peer_frame_max ||
        frame_entry_size(routed, body_bytes) + FRAME_HEADER_BYTES > talk->peer_frame_max) {
        if (rpc_may_log(talk->rpc))
            LOG(reactor_log(talk->rpc->reactor), ERROR, "answer.too_big", "remote=%s bytes=%u", talk->remote,
                body_bytes);
        status = STATUS_TOO_BIG;
        body_bytes = 0;
        body = NULL;
    }
    struct frame_entry entry = {
        .id = id,
        .kind = FRAME_ANSWER,
        .flags = routed ? FRAME_ROUTED : 0,
        .code = (uint16_t)status,
        .time_us = answer->retry_after_us,
        .range = answer->range,
        .epoch = answer->epoch,
        .stamp = answer->stamp,
        .body = {NULL, body_bytes},
    };
    uint8_t *at = rpc_lane_append(&talk->answers, frame_entry_size(routed, body_bytes));
    rpc_body_write(body, frame_entry_write(at, &entry), body_bytes);
}

/* One frame with one answer (or none), under the request's own header. */
static void send_plain(struct rpc_talk *talk, uint64_t reply_to)
{
    uint16_t count = 0;
    struct link_buffer *buffer;
    if (rpc_lane_is_empty(&talk->answers)) {
        buffer = link_buffer_create(talk->net, FRAME_HEADER_BYTES);
        buffer->size = FRAME_HEADER_BYTES;
    } else {
        buffer = rpc_lane_take(&talk->answers);
        count = (uint16_t)buffer->count;
    }
    CHECK(rpc_lane_is_empty(&talk->answers));
    buffer->reply_to = reply_to;
    struct frame_header header = {
        .flags = FRAME_ONE_ANSWER,
        .count = count,
        .sender_wall_us = reactor_wall_us(talk->rpc->reactor),
    };
    frame_seal(buffer->data, buffer->size, &header);
    talk->rpc->counters.frames_sent++;
    talk->rpc->counters.bytes_sent += buffer->size;
    link_send(talk->pipe, buffer);
}

static void refuse(struct rpc_talk *talk, uint64_t id, enum status status)
{
    talk->rpc->counters.requests_refused++;
    write_answer(talk, id, status, NULL);
    rpc_talk_flush_later(talk);
}

void rpc_answer(struct rpc_request *request, enum status status, const struct rpc_answer *answer)
{
    struct serving *serving = CONTAINER_OF(request, struct serving, request);
    struct rpc_talk *talk = serving->talk;
    if (!request->cancelled) {
        talk->rpc->counters.requests_answered++;
        if (request->plain && talk->state == RPC_TALK_PLAIN) {
            write_answer(talk, serving->id, status, answer);
            send_plain(talk, serving->reply_to);
        } else if (talk->state == RPC_TALK_OPEN) {
            write_answer(talk, serving->id, status, answer);
        }
        reclaim(serving);
    }
    remove_request(serving);
}

/* ---- taking calls ---- */

static struct serving *open_request(
    struct rpc_talk *talk, const struct frame_entry *entry, const struct frame_header *header, struct link_buffer *held)
{
    struct rpc *rpc = talk->rpc;
    struct serving *serving = serving_take(rpc);
    uint64_t longest_us = (uint64_t)CALL_BUDGET_MS_MAX * 1000;
    uint64_t budget_us = entry->time_us < longest_us ? entry->time_us : longest_us;
    struct rpc_request *request = &serving->request;
    request->method = entry->code;
    request->routed = entry->flags & FRAME_ROUTED;
    request->trace = entry->trace;
    request->range = entry->range;
    request->epoch = entry->epoch;
    request->stamp = entry->stamp;
    request->arrived_ns = reactor_now_ns(rpc->reactor);
    request->deadline_ns = request->arrived_ns + budget_us * 1000;
    request->sender_wall_us = header->sender_wall_us;
    request->body = entry->body;
    request->rpc = rpc;
    request->from = &talk->info;
    request->remote = talk->remote;
    serving->talk = talk;
    serving->id = entry->id;
    serving->held = held;
    held->count++;
    list_push_front(&talk->requests, &serving->link);
    talk->requests_open++;
    talk->requests_kept++;
    rpc->counters.requests_open++;
    rpc->counters.requests_taken++;
    return serving;
}

/* NULL and a status when the call is not for a handler here. */
static const struct rpc_handler *find_handler(
    const struct rpc_talk *talk, const struct frame_entry *entry, enum status *refusal)
{
    *refusal = STATUS_BAD_REQUEST;
    if (entry->flags & FRAME_MORE || entry->code >= METHODS_MAX || !talk->listener) return NULL;
    const struct rpc_handler *handler = &talk->listener->handlers[entry->code];
    if (!handler->handle) return NULL;
    *refusal = STATUS_DENIED;
    if (!(handler->roles & RPC_ROLE_BIT(talk->info.role))) return NULL;
    *refusal = STATUS_UNAVAILABLE;
    return talk->rpc->stopping ? NULL : handler;
}

bool rpc_serve_call(
    struct rpc_talk *talk, const struct frame_entry *entry, const struct frame_header *header, struct link_buffer *held)
{
    talk->opened_peer++;
    if ((int32_t)(talk->opened_peer - talk->granted_peer) > 0 || talk->goodbye_received) return false;
    if (map_get(&talk->requests_by_id, entry->id)) return false;
    enum status refusal;
    const struct rpc_handler *handler = find_handler(talk, entry, &refusal);
    if (!handler) {
        refuse(talk, entry->id, refusal);
        return true;
    }
    struct serving *serving = open_request(talk, entry, header, held);
    map_put(&talk->requests_by_id, entry->id, serving);
    handler->handle(handler->context, &serving->request);
    return true;
}

void rpc_serve_cancel(struct rpc_talk *talk, uint64_t id)
{
    struct serving *serving = map_get(&talk->requests_by_id, id);
    if (serving) cancel(serving);
}

static void on_late(struct timer *timer)
{
    struct serving *serving = CONTAINER_OF(timer, struct serving, late);
    struct rpc_talk *talk = serving->talk;
    CHECK(talk->state == RPC_TALK_PLAIN);
    /* It may still have its effect: TIMEOUT says so, BUSY would not. */
    write_answer(talk, serving->id, STATUS_TIMEOUT, NULL);
    send_plain(talk, serving->reply_to);
    cancel(serving);
}

bool rpc_serve_plain(
    struct rpc_talk *talk, const struct frame_header *header, struct bytes frame, struct link_buffer *held)
{
    talk->rpc->counters.requests_plain++;
    uint64_t reply_to = held->reply_to;
    if (header->count > 1) return false;
    if (header->count == 0) {
        send_plain(talk, reply_to);
        return true;
    }
    struct reader reader = frame_entries(frame);
    struct frame_entry entry;
    CHECK(frame_next(&reader, &entry));
    if (entry.kind != FRAME_CALL) return false;
    enum status refusal;
    const struct rpc_handler *handler = find_handler(talk, &entry, &refusal);
    if (handler && talk->requests_kept >= RPC_PLAIN_OPEN_MAX) {
        handler = NULL;
        refusal = STATUS_BUSY;
    }
    if (!handler) {
        talk->rpc->counters.requests_refused++;
        write_answer(talk, entry.id, refusal, NULL);
        send_plain(talk, reply_to);
        return true;
    }
    struct serving *serving = open_request(talk, &entry, header, held);
    serving->request.plain = true;
    serving->reply_to = reply_to;
    timer_init(&serving->late, talk->rpc->reactor, on_late);
    timer_start_in(&serving->late, (uint64_t)RPC_PLAIN_ANSWER_MS * 1000000);
    handler->handle(handler->context, &serving->request);
    return true;
}

/* ---- ends ---- */

void rpc_serve_end(struct rpc_talk *talk)
{
    /* A handler may answer any request from on_cancel; the cancelled ones are at the end of the list. */
    while (!list_is_empty(&talk->requests)) {
        struct serving *first = CONTAINER_OF(talk->requests.next, struct serving, link);
        if (first->request.cancelled) break;
        cancel(first);
    }
    CHECK(talk->requests_open == 0);
}

uint32_t rpc_serve_grant(struct rpc_talk *talk)
{
    bool backlog = talk->listener && talk->answers.bytes > talk->listener->options.answer_budget_bytes / 4;
    if (talk->goodbye_sent || backlog) return talk->granted_peer;
    uint32_t free_slots = talk->calls_max > talk->requests_open ? talk->calls_max - talk->requests_open : 0;
    uint32_t granted = talk->opened_peer + free_slots;
    if ((int32_t)(granted - talk->granted_peer) > 0) talk->granted_peer = granted;
    return talk->granted_peer;
}

uint64_t rpc_serve_late_ns(const struct rpc_talk *talk, uint64_t now_ns)
{
    uint64_t late = 0;
    LIST_FOR_EACH (link, &talk->requests) {
        const struct serving *serving = CONTAINER_OF(link, struct serving, link);
        uint64_t deadline = serving->request.deadline_ns;
        if (now_ns > deadline && now_ns - deadline > late) late = now_ns - deadline;
    }
    return late;
}

void rpc_serve_forget(struct rpc_talk *talk)
{
    struct list *node;
    while ((node = list_pop_front(&talk->requests))) {
        struct serving *serving = CONTAINER_OF(node, struct serving, link);
        timer_stop(&serving->late);
        talk->requests_kept--;
        talk->rpc->counters.requests_open--;
        serving_give(talk->rpc, serving);
    }
}
