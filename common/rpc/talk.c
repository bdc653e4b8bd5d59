#include "common/rpc/talk.h"

#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/mem.h"

enum { MS = 1000000, LOG_LINES_PER_SECOND = 10, EMPTIES_GRACE = 64 };

static void on_timer(struct timer *timer);
static void on_flush(struct task *task);

static uint64_t now_ns(const struct rpc_talk *talk)
{
    return reactor_now_ns(talk->rpc->reactor);
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

bool rpc_may_log(struct rpc *rpc)
{
    uint64_t second = reactor_now_ns(rpc->reactor) / ((uint64_t)1000 * MS);
    if (second != rpc->log_second) {
        rpc->log_second = second;
        rpc->log_lines = 0;
    }
    return rpc->log_lines++ < LOG_LINES_PER_SECOND;
}

/* ---- time ---- */

/* Notes that this process runs. While it stood still no peer's silence was proven. */
static void note_awake(struct rpc *rpc)
{
    uint64_t now = reactor_now_ns(rpc->reactor);
    if (now - rpc->awake_ns > (uint64_t)RPC_STALL_MS * MS) rpc->stood_still_ns = now;
    rpc->awake_ns = now;
}

static void on_tick(struct timer *timer)
{
    struct rpc *rpc = CONTAINER_OF(timer, struct rpc, tick);
    note_awake(rpc);
    if (!list_is_empty(&rpc->talks)) timer_start_in(&rpc->tick, (uint64_t)1000 * MS);
}

static void tick_begin(struct rpc *rpc)
{
    if (timer_is_running(&rpc->tick)) return;
    rpc->awake_ns = reactor_now_ns(rpc->reactor);
    timer_init(&rpc->tick, rpc->reactor, on_tick);
    timer_start_in(&rpc->tick, (uint64_t)1000 * MS);
}

/* When the talk's timer has something to do next. */
static uint64_t due_ns(const struct rpc_talk *talk)
{
    uint64_t still = talk->rpc->stood_still_ns;
    switch (talk->state) {
    case RPC_TALK_HELLO:
        return later(talk->up_ns, still) + (uint64_t)RPC_HELLO_MS * MS;
    case RPC_TALK_PLAIN:
        return later(talk->heard_ns, still) + (uint64_t)RPC_PLAIN_IDLE_MS * MS;
    case RPC_TALK_LAME:
        return earlier(talk->heard_ns + (uint64_t)RPC_LAME_MS * MS, talk->lame_ns + (uint64_t)RPC_LAME_LOUD_MS * MS);
    case RPC_TALK_OPEN:
        break;
    case RPC_TALK_GONE:
        return REACTOR_NEVER;
    }
    uint64_t due = later(talk->heard_ns, still) + (uint64_t)RPC_SILENCE_MS * MS;
    if (talk->goodbye_ns) return earlier(due, talk->goodbye_ns + (uint64_t)RPC_GOODBYE_MS * MS);
    return earlier(due, talk->spoke_ns + (uint64_t)RPC_PING_MS * MS);
}

/* ---- sending ---- */

static void send_frame(struct rpc_talk *talk, struct link_buffer *buffer, uint16_t count, uint8_t flags)
{
    struct rpc *rpc = talk->rpc;
    struct frame_header header = {
        .flags = flags,
        .count = count,
        .sender_wall_us = reactor_wall_us(rpc->reactor),
        .calls_granted = rpc_serve_grant(talk),
        .frame_no = count > 0 ? rpc_window_send(&talk->window, buffer->size) : talk->window.sent,
        .frames_seen = rpc_window_say(&talk->window),
    };
    frame_seal(buffer->data, buffer->size, &header);
    talk->granted_told = header.calls_granted;
    talk->spoke_ns = now_ns(talk);
    rpc->counters.bytes_sent += buffer->size;
    if (count > 0)
        rpc->counters.frames_sent++;
    else
        rpc->counters.empties_sent++;
    link_send(talk->pipe, buffer);
}

/* Outside the window: both windows full must not silence acknowledgements. Their number is bounded by their causes:
   four acknowledgements a window, a ping every 3 s, one goodbye. */
static void send_empty(struct rpc_talk *talk, uint8_t flags)
{
    struct link_buffer *buffer = link_buffer_create(talk->net, FRAME_HEADER_BYTES);
    buffer->size = FRAME_HEADER_BYTES;
    send_frame(talk, buffer, 0, flags);
}

static bool window_has_room(struct rpc_talk *talk, const struct rpc_lane *lane)
{
    if (rpc_window_may_send(&talk->window, rpc_lane_first(lane)->size)) {
        talk->window_stalled = false;
        return true;
    }
    if (!talk->window_stalled) talk->rpc->counters.window_stalls++;
    talk->window_stalled = true;
    return false;
}

static void flush_answers(struct rpc_talk *talk)
{
    while (!rpc_lane_is_empty(&talk->answers) && window_has_room(talk, &talk->answers)) {
        struct link_buffer *buffer = rpc_lane_take(&talk->answers);
        send_frame(talk, buffer, (uint16_t)buffer->count, 0);
    }
}

static void flush_calls(struct rpc_talk *talk)
{
    while (!rpc_lane_is_empty(&talk->calls) && window_has_room(talk, &talk->calls)) {
        if (!rpc_calls_depart(talk)) break;
        struct link_buffer *buffer = rpc_lane_take(&talk->calls);
        if (buffer->count > 0)
            send_frame(talk, buffer, (uint16_t)buffer->count, 0);
        else
            link_buffer_free(talk->net, buffer);
    }
}

/* A peer that may open few calls more must hear of reclaimed slots even when no answer carries the news. */
static bool grant_is_due(struct rpc_talk *talk)
{
    if (talk->calls_max == 0) return false;
    uint32_t raise = rpc_serve_grant(talk) - talk->granted_told;
    return raise > 0 && raise >= talk->calls_max / 2;
}

static void on_flush(struct task *task)
{
    struct rpc_talk *talk = CONTAINER_OF(task, struct rpc_talk, flush);
    if (talk->state != RPC_TALK_OPEN) return;
    flush_answers(talk);
    flush_calls(talk);
    if (rpc_window_ack_is_due(&talk->window) || grant_is_due(talk)) send_empty(talk, 0);
    if (talk->goodbye_received && rpc_talk_is_quiet(talk)) {
        if (talk->rpc->goodbye_left)
            rpc_goodbye_check(talk->rpc);
        else if (talk->dialed)
            rpc_talk_end(talk, RPC_END_GOODBYE, "the peer said goodbye");
    }
}

void rpc_talk_flush_later(struct rpc_talk *talk)
{
    if (talk->state == RPC_TALK_OPEN) reactor_defer_last(talk->rpc->reactor, &talk->flush);
}

/* ---- life ---- */

struct rpc_talk *rpc_talk_create(
    struct rpc *rpc, struct link_pipe *pipe, struct rpc_peer *peer, struct rpc_listener *listener)
{
    CHECK(!peer != !listener);
    struct rpc_talk *talk = mem_zalloc(sizeof *talk);
    talk->rpc = rpc;
    talk->net = peer ? rpc->net : rpc->listen_net;
    talk->pipe = pipe;
    talk->peer = peer;
    talk->listener = listener;
    talk->dialed = peer != NULL;
    talk->kind = peer ? peer->options.kind : listener->options.kind;
    talk->calls_max = listener ? listener->options.calls_max : 0;
    talk->peer_frame_max = talk->kind == RPC_CLIENT ? FRAME_BYTES_MAX_CLIENT : FRAME_BYTES_MAX;
    snprintf(talk->remote, sizeof talk->remote, "%s", pipe->remote ? pipe->remote : "");
    rpc_window_init(&talk->window, talk->kind == RPC_CLIENT ? LINK_WINDOW_BYTES_CLIENT : LINK_WINDOW_BYTES);
    rpc_lane_init(&talk->calls, talk->net, talk->peer_frame_max / 2);
    rpc_lane_init(&talk->answers, talk->net, talk->peer_frame_max / 2);
    list_init(&talk->requests);
    task_init(&talk->flush, on_flush);
    timer_init(&talk->timer, rpc->reactor, on_timer);
    talk->up_ns = talk->heard_ns = talk->spoke_ns = now_ns(talk);
    tick_begin(rpc);
    list_push_back(&rpc->talks, &talk->link);
    rpc->counters.pipes_up++;
    rpc->counters.pipes_open++;
    timer_start_at(&talk->timer, due_ns(talk));
    if (talk->dialed) rpc_hello_send(talk);
    return talk;
}

/* Everything that waits for this talk ends; nothing more is sent. */
static void leave(struct rpc_talk *talk, enum rpc_end why)
{
    struct rpc_peer *peer = talk->peer;
    bool was_open = talk->up_told;
    enum status status = STATUS_LOST;
    if (why == RPC_END_GAP && PLANT(answers_dropped_taken_for_done)) status = STATUS_OK;
    rpc_calls_end(talk, status, false);
    rpc_lane_clear(&talk->calls);
    rpc_lane_clear(&talk->answers);
    rpc_serve_end(talk);
    task_cancel(&talk->flush);
    talk->up_told = false;
    if (peer && peer->talk == talk) {
        peer->talk = NULL;
        if (peer->up) {
            peer->up = false;
            if (peer->options.down) peer->options.down(peer->options.context, peer);
        }
    }
    if (talk->listener && was_open && talk->listener->options.gone)
        talk->listener->options.gone(talk->listener->options.context, &talk->info);
}

static void count_end(struct rpc_counters *counters, enum rpc_end why)
{
    switch (why) {
    case RPC_END_GAP:
        counters->pipes_gap++;
        break;
    case RPC_END_MALFORMED:
        counters->pipes_malformed++;
        break;
    case RPC_END_SILENT:
        counters->pipes_silent++;
        break;
    case RPC_END_NO_HELLO:
        counters->pipes_no_hello++;
        break;
    case RPC_END_SUPERSEDED:
        counters->pipes_superseded++;
        break;
    case RPC_END_REFUSED:
    case RPC_END_GOODBYE:
    case RPC_END_DOWN:
    case RPC_END_CLOSED:
        break;
    }
}

void rpc_talk_end(struct rpc_talk *talk, enum rpc_end why, const char *detail)
{
    if (talk->state == RPC_TALK_LAME || talk->state == RPC_TALK_GONE) return;
    struct rpc *rpc = talk->rpc;
    count_end(&rpc->counters, why);
    if (why != RPC_END_REFUSED && why != RPC_END_GOODBYE && rpc_may_log(rpc))
        LOG(reactor_log(rpc->reactor), WARN, "pipe.end", "address=%s remote=%s why=\"%s\"",
            talk->peer       ? talk->peer->address
            : talk->listener ? talk->listener->address
                             : "-",
            talk->remote, detail);
    talk->state = RPC_TALK_LAME;
    talk->lame_ns = talk->heard_ns = now_ns(talk);
    timer_start_at(&talk->timer, due_ns(talk));
    leave(talk, why);
    if (rpc->stopping) rpc_goodbye_check(rpc);
}

void rpc_talk_release(struct rpc_talk *talk)
{
    CHECK(talk->state == RPC_TALK_GONE);
    if (talk->requests_kept > 0) return;
    CHECK(talk->calls_open == 0);
    /* Whoever called back may still be working on it: it is buried in a task of its own. */
    list_remove(&talk->link);
    list_push_back(&talk->rpc->dead, &talk->link);
    reactor_defer(talk->rpc->reactor, &talk->rpc->bury);
}

void rpc_talks_bury(struct rpc *rpc)
{
    struct list *node;
    while ((node = list_pop_front(&rpc->dead))) {
        struct rpc_talk *talk = CONTAINER_OF(node, struct rpc_talk, link);
        timer_stop(&talk->timer);
        task_cancel(&talk->flush);
        map_free(&talk->requests_by_id);
        mem_free(talk->slots);
        mem_free(talk);
    }
}

void rpc_talk_down(struct rpc_talk *talk)
{
    struct rpc *rpc = talk->rpc;
    rpc->counters.pipes_down++;
    rpc->counters.pipes_open--;
    if (talk->state != RPC_TALK_LAME) {
        talk->state = RPC_TALK_LAME; /* handlers that answer from inside send nothing */
        leave(talk, RPC_END_DOWN);
    }
    talk->state = RPC_TALK_GONE;
    talk->pipe = NULL;
    timer_stop(&talk->timer);
    rpc_talk_release(talk);
    if (rpc->stopping) rpc_goodbye_check(rpc);
}

void rpc_talk_drop(struct rpc_talk *talk)
{
    if (talk->state == RPC_TALK_GONE) return;
    rpc_talk_down(talk);
}

bool rpc_talk_is_quiet(const struct rpc_talk *talk)
{
    if (talk->state != RPC_TALK_OPEN) return true;
    return talk->goodbye_sent && talk->goodbye_received && talk->calls_open == 0 && talk->requests_open == 0 &&
           rpc_lane_is_empty(&talk->answers);
}

void rpc_talk_goodbye(struct rpc_talk *talk)
{
    if (talk->state != RPC_TALK_OPEN || talk->goodbye_sent) return;
    rpc_calls_end(talk, STATUS_LOST, true);
    rpc_lane_clear(&talk->calls);
    talk->goodbye_sent = true;
    talk->goodbye_ns = now_ns(talk);
    /* What was answered in this turn goes before it as far as the window lets it. */
    flush_answers(talk);
    send_empty(talk, FRAME_GOODBYE);
    timer_start_at(&talk->timer, due_ns(talk));
}

static void on_timer(struct timer *timer)
{
    struct rpc_talk *talk = CONTAINER_OF(timer, struct rpc_talk, timer);
    note_awake(talk->rpc);
    uint64_t now = now_ns(talk);
    if (due_ns(talk) > now) {
        timer_start_at(timer, due_ns(talk));
        return;
    }
    switch (talk->state) {
    case RPC_TALK_HELLO:
        rpc_talk_end(talk, RPC_END_NO_HELLO, "no HELLO in time");
        return;
    case RPC_TALK_PLAIN:
        rpc_talk_end(talk, RPC_END_SILENT, "a plain client was idle");
        return;
    case RPC_TALK_LAME:
        if (now < talk->heard_ns + (uint64_t)RPC_LAME_MS * MS) talk->rpc->counters.closed_loud++;
        link_pipe_close(talk->pipe); /* down follows */
        return;
    case RPC_TALK_GONE:
        return;
    case RPC_TALK_OPEN:
        break;
    }
    uint64_t heard = later(talk->heard_ns, talk->rpc->stood_still_ns);
    if (now >= heard + (uint64_t)RPC_SILENCE_MS * MS) {
        rpc_talk_end(talk, RPC_END_SILENT, "nothing was heard for 10 s");
    } else if (talk->goodbye_ns && now >= talk->goodbye_ns + (uint64_t)RPC_GOODBYE_MS * MS) {
        rpc_talk_end(talk, RPC_END_GOODBYE, "goodbye");
    } else {
        send_empty(talk, 0);
        timer_start_at(timer, due_ns(talk));
    }
}

/* ---- receiving ---- */

static void take_goodbye(struct rpc_talk *talk)
{
    if (talk->goodbye_received) return;
    talk->goodbye_received = true;
    struct rpc_peer *peer = talk->peer;
    rpc_talk_goodbye(talk);
    if (peer && peer->up) {
        peer->up = false;
        if (peer->options.down) peer->options.down(peer->options.context, peer);
    }
    rpc_talk_flush_later(talk);
}

static void take_entries(
    struct rpc_talk *talk, const struct frame_header *header, struct bytes frame, struct link_buffer *held)
{
    struct reader reader = frame_entries(frame);
    struct frame_entry entry;
    /* done and handlers may end this very talk; then the rest of the frame is void. */
    while (talk->state == RPC_TALK_OPEN && frame_next(&reader, &entry)) {
        switch (entry.kind) {
        case FRAME_CALL:
            if (!rpc_serve_call(talk, &entry, header, held))
                rpc_talk_end(talk, RPC_END_MALFORMED, "more calls than were granted, or a number used twice");
            break;
        case FRAME_ANSWER:
            rpc_calls_answer(talk, &entry);
            break;
        case FRAME_CANCEL:
            rpc_serve_cancel(talk, entry.id);
            break;
        }
    }
}

/* Acknowledgements and pings have causes; a peer that sends many more empties than that only costs. */
static bool empties_are_plausible(struct rpc_talk *talk)
{
    uint64_t seconds = (now_ns(talk) - talk->up_ns) / ((uint64_t)1000 * MS);
    return ++talk->empties_received <= EMPTIES_GRACE + talk->window.sent + talk->opened + seconds;
}

static void announce(struct rpc_talk *talk)
{
    struct rpc *rpc = talk->rpc;
    struct rpc_peer *peer = talk->peer;
    talk->up_told = true;
    if (!peer) return;
    peer->up = true;
    LOG(reactor_log(rpc->reactor), DEBUG, "peer.up", "address=%s", peer->address);
    if (peer->options.up) peer->options.up(peer->options.context, peer, &talk->info);
}

/* A frame of a conversation that had its HELLO, or is it. */
static void take_counted(
    struct rpc_talk *talk, const struct frame_header *header, struct bytes frame, struct link_buffer *held)
{
    enum rpc_window_verdict verdict = rpc_window_receive(&talk->window, header, (uint32_t)frame.size);
    if (verdict != RPC_WINDOW_FINE) {
        bool lost = verdict == RPC_WINDOW_GAP || verdict == RPC_WINDOW_REPEAT;
        rpc_talk_end(talk, lost ? RPC_END_GAP : RPC_END_MALFORMED, rpc_window_verdict_text(verdict));
        return;
    }
    if ((int32_t)(header->calls_granted - talk->granted) > 0) talk->granted = header->calls_granted;
    if (talk->state == RPC_TALK_HELLO) {
        if (!rpc_hello_take(talk, header, frame)) return;
        announce(talk);
    } else if (rpc_clock_is_ahead(talk, header)) {
        talk->rpc->counters.pipes_refused++;
        rpc_talk_end(talk, RPC_END_REFUSED, "its clock is ahead");
        return;
    } else {
        take_entries(talk, header, frame, held);
    }
    if (talk->state != RPC_TALK_OPEN) return;
    if (header->flags & FRAME_GOODBYE) take_goodbye(talk);
    rpc_talk_flush_later(talk);
}

static void take_plain(
    struct rpc_talk *talk, const struct frame_header *header, struct bytes frame, struct link_buffer *held)
{
    bool welcome = talk->listener && talk->kind == RPC_CLIENT;
    if (talk->state == RPC_TALK_HELLO && welcome) {
        talk->state = RPC_TALK_PLAIN;
        talk->info.role = RPC_ROLE_CLIENT;
        timer_start_at(&talk->timer, due_ns(talk));
    }
    if (talk->state != RPC_TALK_PLAIN || !rpc_serve_plain(talk, header, frame, held))
        rpc_talk_end(talk, RPC_END_MALFORMED, "a plain client's frame out of place");
}

void rpc_talk_frame(struct rpc_talk *talk, struct link_buffer *buffer)
{
    struct rpc *rpc = talk->rpc;
    talk->heard_ns = now_ns(talk);
    if (talk->state == RPC_TALK_LAME) {
        link_buffer_free(talk->net, buffer);
        return;
    }
    struct bytes frame = bytes_of(buffer->data, buffer->size);
    struct frame_header header;
    enum frame_fault fault = frame_check(frame, &header);
    if (fault != FRAME_FINE) {
        link_buffer_free(talk->net, buffer);
        rpc_talk_end(talk, RPC_END_MALFORMED, frame_fault_text(fault));
        return;
    }
    if (header.count > 0)
        rpc->counters.frames_received++;
    else
        rpc->counters.empties_received++;
    rpc->counters.bytes_received += frame.size;
    talk->peer_wall_us = header.sender_wall_us;
    rpc_frame_hold(buffer);
    if (header.flags & FRAME_ONE_ANSWER || talk->state == RPC_TALK_PLAIN) {
        if (header.flags & FRAME_ONE_ANSWER)
            take_plain(talk, &header, frame, buffer);
        else
            rpc_talk_end(talk, RPC_END_MALFORMED, "a counted frame of a plain client");
    } else if (header.count == 0 && !empties_are_plausible(talk)) {
        rpc_talk_end(talk, RPC_END_MALFORMED, "too many empty frames");
    } else {
        take_counted(talk, &header, frame, buffer);
    }
    rpc_frame_release(talk->net, buffer);
}
