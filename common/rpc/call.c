/* call: our side of calls: slots, deadlines, completion. */
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/rpc/talk.h"
#include "common/runtime/fiber.h"

enum call_state { IDLE, QUEUED, SENT, FINISHED };
enum { SLOT_BITS = 20, SLOTS_FIRST = 64 };
_Static_assert(1 << SLOT_BITS == RPC_SLOTS_MAX, "a slot's number fits into an id");

/* ---- slots ---- */

static struct rpc_slot *slot_find(struct rpc_talk *talk, uint64_t id)
{
    uint32_t index = (uint32_t)(id & (RPC_SLOTS_MAX - 1));
    if (index >= talk->slots_count) return NULL;
    struct rpc_slot *slot = &talk->slots[index];
    return slot->call && slot->generation == id >> SLOT_BITS ? slot : NULL;
}

static bool slots_grow(struct rpc_talk *talk)
{
    uint32_t before = talk->slots_count;
    uint32_t after = before ? before * 2 : SLOTS_FIRST;
    if (after > RPC_SLOTS_MAX) return false;
    talk->slots = mem_realloc(talk->slots, after * sizeof *talk->slots);
    for (uint32_t i = after; i-- > before;) {
        talk->slots[i] = (struct rpc_slot){.generation = 1, .next_free = talk->slots_free};
        talk->slots_free = i + 1;
    }
    talk->slots_count = after;
    return true;
}

/* Returns the id, 0 when there are too many. */
static uint64_t slot_take(struct rpc_talk *talk, struct rpc_call *call)
{
    if (talk->slots_free == 0 && !slots_grow(talk)) return 0;
    uint32_t index = talk->slots_free - 1;
    struct rpc_slot *slot = &talk->slots[index];
    CHECK(!slot->call);
    talk->slots_free = slot->next_free;
    slot->call = call;
    talk->calls_open++;
    talk->rpc->counters.calls_open++;
    return slot->generation << SLOT_BITS | index;
}

/* Takes the call out of its talk; late answers will not find it. */
static void slot_release(struct rpc_talk *talk, struct rpc_call *call)
{
    struct rpc_slot *slot = slot_find(talk, call->id);
    CHECK(slot && slot->call == call);
    slot->call = NULL;
    slot->generation++;
    slot->next_free = talk->slots_free;
    talk->slots_free = (uint32_t)(slot - talk->slots) + 1;
    CHECK(talk->calls_open > 0);
    talk->calls_open--;
    talk->rpc->counters.calls_open--;
    timer_stop(&call->timer);
    if (talk->calls_open == 0 && talk->goodbye_received) rpc_talk_flush_later(talk);
}

/* ---- completion ---- */

static void complete(struct rpc_call *call, const struct rpc_reply *reply)
{
    call->state = IDLE;
    call->peer = NULL;
    call->done(call, reply);
}

void rpc_call_finish(struct rpc *rpc, struct rpc_call *call, enum status status)
{
    call->state = FINISHED;
    call->id = status;
    list_push_back(&rpc->finished, &call->link);
    reactor_defer(rpc->reactor, &rpc->finish);
}

void rpc_calls_finish_now(struct rpc *rpc)
{
    /* What done starts and fails at once waits for the next round, so that a caller that retries at once cannot hold
       the turn for ever. */
    struct list round;
    list_init(&round);
    list_splice_back(&round, &rpc->finished);
    struct list *node;
    while ((node = list_pop_front(&round))) {
        struct rpc_call *call = CONTAINER_OF(node, struct rpc_call, link);
        struct rpc_reply reply = {.status = (enum status)call->id};
        complete(call, &reply);
    }
}

static void count_end(struct rpc *rpc, enum status status)
{
    if (status == STATUS_LOST) rpc->counters.calls_lost++;
    if (status == STATUS_UNAVAILABLE) rpc->counters.calls_unavailable++;
    if (status == STATUS_TIMEOUT) rpc->counters.calls_timed_out++;
}

static void on_deadline(struct timer *timer)
{
    struct rpc_call *call = CONTAINER_OF(timer, struct rpc_call, timer);
    CHECK(call->state == QUEUED || call->state == SENT);
    struct rpc_talk *talk = call->peer->talk;
    /* A call that never left had no effect, and will not leave any more. */
    struct rpc_reply reply = {.status = call->state == SENT ? STATUS_TIMEOUT : STATUS_UNAVAILABLE};
    count_end(talk->rpc, reply.status);
    slot_release(talk, call);
    complete(call, &reply);
}

void rpc_calls_answer(struct rpc_talk *talk, const struct frame_entry *entry)
{
    struct rpc_slot *slot = slot_find(talk, entry->id);
    if (!slot || slot->call->state != SENT) {
        talk->rpc->counters.answers_unknown++;
        return;
    }
    struct rpc_call *call = slot->call;
    slot_release(talk, call);
    talk->rpc->counters.calls_answered++;
    struct rpc_reply reply = {
        .status = (enum status)entry->code,
        .retry_after_us = entry->time_us,
        .range = entry->range,
        .epoch = entry->epoch,
        .stamp = entry->stamp,
        .body = entry->body,
    };
    complete(call, &reply);
}

void rpc_calls_end(struct rpc_talk *talk, enum status status, bool only_unsent)
{
    for (uint32_t i = 0; i < talk->slots_count; i++) {
        struct rpc_call *call = talk->slots[i].call;
        if (!call || (only_unsent && call->state == SENT)) continue;
        enum status end = call->state == SENT ? status : STATUS_UNAVAILABLE;
        count_end(talk->rpc, end);
        slot_release(talk, call);
        call->peer = NULL;
        rpc_call_finish(talk->rpc, call, end);
    }
    CHECK(only_unsent || talk->calls_open == 0);
}

/* ---- starting ---- */

static uint64_t budget_ns(const struct rpc_call *call)
{
    uint64_t budget_us = call->budget_us ? call->budget_us : (uint64_t)CALL_BUDGET_MS_DEFAULT * 1000;
    uint64_t longest_us = (uint64_t)CALL_BUDGET_MS_MAX * 1000;
    return (budget_us < longest_us ? budget_us : longest_us) * 1000;
}

/* Puts the call into the talk's lane; anything but OK: it did not go. */
static enum status enqueue(struct rpc_talk *talk, struct rpc_call *call, const struct rpc_body *body)
{
    uint32_t body_bytes = rpc_body_size(body);
    uint32_t size = frame_entry_size(call->routed, body_bytes);
    if (body_bytes > talk->peer_frame_max || size + FRAME_HEADER_BYTES > talk->peer_frame_max) return STATUS_TOO_BIG;
    if (talk->calls.bytes + size > RPC_QUEUE_BYTES_MAX) return STATUS_BUSY;
    uint64_t id = slot_take(talk, call);
    if (id == 0) return STATUS_BUSY;
    call->id = id;
    call->state = QUEUED;
    uint64_t budget = budget_ns(call);
    struct frame_entry entry = {
        .id = id,
        .kind = FRAME_CALL,
        .flags = call->routed ? FRAME_ROUTED : 0,
        .code = call->method,
        .time_us = (uint32_t)(budget / 1000),
        .trace = call->trace,
        .range = call->range,
        .epoch = call->epoch,
        .stamp = call->stamp,
        .body = {NULL, body_bytes},
    };
    rpc_body_write(body, frame_entry_write(rpc_lane_append(&talk->calls, size), &entry), body_bytes);
    timer_start_in(&call->timer, budget);
    rpc_talk_flush_later(talk);
    return STATUS_OK;
}

void rpc_call_start(struct rpc_peer *peer, struct rpc_call *call, const struct rpc_body *body)
{
    struct rpc *rpc = peer->rpc;
    CHECK(call->state == IDLE && call->done && call->method > 0 && call->method < METHODS_MAX);
    rpc->counters.calls_started++;
    list_init(&call->link);
    timer_init(&call->timer, rpc->reactor, on_deadline);
    call->peer = peer;
    enum status status = rpc_peer_is_up(peer) ? enqueue(peer->talk, call, body) : STATUS_UNAVAILABLE;
    if (status == STATUS_OK) return;
    count_end(rpc, status);
    call->peer = NULL;
    rpc_call_finish(rpc, call, status);
}

void rpc_call_cancel(struct rpc_call *call)
{
    if (call->state == IDLE) return;
    if (call->state == FINISHED) {
        list_remove(&call->link);
        call->state = IDLE;
        return;
    }
    struct rpc_talk *talk = call->peer->talk;
    talk->rpc->counters.calls_cancelled++;
    if (call->state == SENT && talk->state == RPC_TALK_OPEN) {
        struct frame_entry entry = {.id = call->id, .kind = FRAME_CANCEL, .trace = call->trace};
        frame_entry_write(rpc_lane_append(&talk->calls, FRAME_ENTRY_BYTES), &entry);
        rpc_talk_flush_later(talk);
    }
    slot_release(talk, call);
    call->state = IDLE;
    call->peer = NULL;
}

/* ---- leaving ---- */

static uint32_t budget_left_us(const struct rpc_talk *talk, const struct rpc_call *call)
{
    uint64_t now = reactor_now_ns(talk->rpc->reactor);
    return call->timer.at_ns > now ? (uint32_t)((call->timer.at_ns - now) / 1000) : 0;
}

bool rpc_calls_depart(struct rpc_talk *talk)
{
    struct link_buffer *frame = rpc_lane_first(&talk->calls);
    if (!frame) return false;
    uint32_t allowed = talk->granted - talk->opened;
    if (allowed == 0) {
        if (!talk->grants_stalled) talk->rpc->counters.grant_stalls++;
        talk->grants_stalled = true;
        return false;
    }
    talk->grants_stalled = false;
    uint8_t *data = frame->data, *rest = data + frame->size;
    uint32_t kept = FRAME_HEADER_BYTES;
    uint16_t count = 0;
    struct reader reader = frame_entries(bytes_of(data, frame->size));
    for (;;) {
        uint8_t *at = data + (reader.at - data);
        struct frame_entry entry;
        if (!frame_next(&reader, &entry)) break;
        if (entry.kind == FRAME_CALL) {
            struct rpc_slot *slot = slot_find(talk, entry.id);
            if (!slot) continue; /* it ended before it could leave */
            if (allowed == 0) {
                rest = at;
                break;
            }
            allowed--;
            talk->opened++;
            slot->call->state = SENT;
            frame_entry_set_time(at, budget_left_us(talk, slot->call));
        }
        uint32_t size = (uint32_t)(reader.at - at);
        if (data + kept != at) memmove(data + kept, at, size);
        kept += size;
        count++;
    }
    rpc_lane_cut(&talk->calls, frame, kept, count, rest);
    return true;
}

/* ---- in a fiber ---- */

struct waiting {
    struct rpc_call call;
    struct reactor *reactor;
    struct fiber *fiber;
    struct arena *arena;
    struct rpc_reply *reply;
    bool done;
};

static void wake(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct waiting *waiting = CONTAINER_OF(call, struct waiting, call);
    *waiting->reply = *reply;
    if (reply->body.size > 0)
        waiting->reply->body =
            bytes_of(arena_copy(waiting->arena, reply->body.data, reply->body.size), reply->body.size);
    waiting->done = true;
    fiber_wake(waiting->fiber);
}

enum status rpc_call_wait(struct rpc_peer *peer, const struct rpc_call *call, const struct rpc_body *body,
    struct arena *arena, struct rpc_reply *reply)
{
    struct reactor *reactor = peer->rpc->reactor;
    struct waiting waiting = {
        .call = {.done = wake,
            .trace = call->trace,
            .range = call->range,
            .epoch = call->epoch,
            .stamp = call->stamp,
            .budget_us = call->budget_us,
            .method = call->method,
            .routed = call->routed},
        .reactor = reactor,
        .fiber = fiber_current(reactor),
        .arena = arena,
        .reply = reply,
    };
    CHECK(waiting.fiber);
    rpc_call_start(peer, &waiting.call, body);
    while (!waiting.done)
        fiber_suspend(reactor);
    return reply->status;
}

uint64_t rpc_calls_late_ns(const struct rpc_talk *talk, uint64_t now_ns)
{
    uint64_t late = 0;
    for (uint32_t i = 0; i < talk->slots_count; i++) {
        const struct rpc_call *call = talk->slots[i].call;
        if (call && now_ns > call->timer.at_ns && now_ns - call->timer.at_ns > late) late = now_ns - call->timer.at_ns;
    }
    return late;
}
