#include "common/rpc/session.h"

#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/log.h"
#include "common/base/mem.h"

enum { MS = 1000000, LOG_LINES_PER_SECOND = 10, EMPTIES_GRACE = 64 };

static void on_timer(struct timer *timer);
static void on_flush(struct task *task);

static uint64_t now_ns(const struct rpc_session *session)
{
    return reactor_now_ns(session->rpc->reactor);
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
    if (!list_is_empty(&rpc->sessions)) timer_start_in(&rpc->tick, (uint64_t)1000 * MS);
}

static void tick_begin(struct rpc *rpc)
{
    if (timer_is_running(&rpc->tick)) return;
    rpc->awake_ns = reactor_now_ns(rpc->reactor);
    timer_init(&rpc->tick, rpc->reactor, on_tick);
    timer_start_in(&rpc->tick, (uint64_t)1000 * MS);
}

/* When the session's timer has something to do next. */
static uint64_t due_ns(const struct rpc_session *session)
{
    uint64_t still = session->rpc->stood_still_ns;
    switch (session->state) {
    case RPC_SESSION_HELLO:
        return later(session->up_ns, still) + (uint64_t)RPC_HELLO_MS * MS;
    case RPC_SESSION_PLAIN:
        return later(session->heard_ns, still) + (uint64_t)RPC_PLAIN_IDLE_MS * MS;
    case RPC_SESSION_LAME:
        return earlier(
            session->heard_ns + (uint64_t)RPC_LAME_MS * MS, session->lame_ns + (uint64_t)RPC_LAME_LOUD_MS * MS);
    case RPC_SESSION_OPEN:
        break;
    case RPC_SESSION_GONE:
        return REACTOR_NEVER;
    }
    uint64_t due = later(session->heard_ns, still) + (uint64_t)RPC_SILENCE_MS * MS;
    if (session->goodbye_ns) return earlier(due, session->goodbye_ns + (uint64_t)RPC_GOODBYE_MS * MS);
    return earlier(due, session->spoke_ns + (uint64_t)RPC_PING_MS * MS);
}

/* ---- sending ---- */

static void send_frame(struct rpc_session *session, struct link_buffer *buffer, uint16_t count, uint8_t flags)
{
    struct rpc *rpc = session->rpc;
    struct frame_header header = {
        .flags = flags,
        .count = count,
        .sender_wall_us = reactor_wall_us(rpc->reactor),
        .calls_granted = rpc_serve_grant(session),
        .frame_no = count > 0 ? rpc_window_send(&session->window, buffer->size) : session->window.sent,
        .frames_seen = rpc_window_say(&session->window),
    };
    frame_seal(buffer->data, buffer->size, &header);
    session->granted_told = header.calls_granted;
    session->spoke_ns = now_ns(session);
    rpc->counters.bytes_sent += buffer->size;
    if (count > 0)
        rpc->counters.frames_sent++;
    else
        rpc->counters.empties_sent++;
    link_send(session->pipe, buffer);
}

/* Outside the window: both windows full must not silence acknowledgements. Their number is bounded by their causes:
   four acknowledgements a window, a ping every 3 s, one goodbye. */
static void send_empty(struct rpc_session *session, uint8_t flags)
{
    struct link_buffer *buffer = link_buffer_create(session->net, FRAME_HEADER_BYTES);
    buffer->size = FRAME_HEADER_BYTES;
    send_frame(session, buffer, 0, flags);
}

static bool window_has_room(struct rpc_session *session, const struct rpc_lane *lane)
{
    if (rpc_window_may_send(&session->window, rpc_lane_first(lane)->buffer->size)) {
        session->window_stalled = false;
        return true;
    }
    if (!session->window_stalled) session->rpc->counters.window_stalls++;
    session->window_stalled = true;
    return false;
}

static void flush_answers(struct rpc_session *session)
{
    while (!rpc_lane_is_empty(&session->answers) && window_has_room(session, &session->answers)) {
        uint16_t count;
        struct link_buffer *buffer = rpc_lane_take(&session->answers, &count);
        send_frame(session, buffer, count, 0);
    }
}

static void flush_calls(struct rpc_session *session)
{
    while (!rpc_lane_is_empty(&session->calls) && window_has_room(session, &session->calls)) {
        if (!rpc_calls_depart(session)) break;
        uint16_t count;
        struct link_buffer *buffer = rpc_lane_take(&session->calls, &count);
        if (count > 0)
            send_frame(session, buffer, count, 0);
        else
            link_buffer_free(session->net, buffer);
    }
}

/* A peer that may open few calls more must hear of reclaimed slots even when no answer carries the news. */
static bool grant_is_due(struct rpc_session *session)
{
    if (session->calls_max == 0) return false;
    uint32_t raise = rpc_serve_grant(session) - session->granted_told;
    return raise > 0 && raise >= session->calls_max / 2;
}

static void on_flush(struct task *task)
{
    struct rpc_session *session = CONTAINER_OF(task, struct rpc_session, flush);
    if (session->state != RPC_SESSION_OPEN) return;
    flush_answers(session);
    flush_calls(session);
    if (rpc_window_ack_is_due(&session->window) || grant_is_due(session)) send_empty(session, 0);
    if (session->goodbye_received && rpc_session_is_quiet(session)) {
        if (session->rpc->goodbye_left)
            rpc_goodbye_check(session->rpc);
        else if (session->dialed)
            rpc_session_end(session, RPC_END_GOODBYE, "the peer said goodbye");
    }
}

void rpc_session_flush_later(struct rpc_session *session)
{
    if (session->state == RPC_SESSION_OPEN) reactor_defer_last(session->rpc->reactor, &session->flush);
}

/* ---- life ---- */

struct rpc_session *rpc_session_create(
    struct rpc *rpc, struct link_pipe *pipe, struct rpc_peer *peer, struct rpc_listener *listener)
{
    CHECK(!peer != !listener);
    struct rpc_session *session = mem_zalloc(sizeof *session);
    session->rpc = rpc;
    session->net = peer ? rpc->net : rpc->listen_net;
    session->pipe = pipe;
    session->peer = peer;
    session->listener = listener;
    session->dialed = peer != NULL;
    session->kind = peer ? peer->options.kind : listener->options.kind;
    session->calls_max = listener ? listener->options.calls_max : 0;
    session->peer_frame_max = session->kind == RPC_CLIENT ? FRAME_BYTES_MAX_CLIENT : FRAME_BYTES_MAX;
    snprintf(session->remote, sizeof session->remote, "%s", pipe->remote ? pipe->remote : "");
    rpc_window_init(&session->window, session->kind == RPC_CLIENT ? LINK_WINDOW_BYTES_CLIENT : LINK_WINDOW_BYTES);
    rpc_lane_init(&session->calls, session->net, session->peer_frame_max / 2);
    rpc_lane_init(&session->answers, session->net, session->peer_frame_max / 2);
    list_init(&session->requests);
    task_init(&session->flush, on_flush);
    timer_init(&session->timer, rpc->reactor, on_timer);
    session->up_ns = session->heard_ns = session->spoke_ns = now_ns(session);
    tick_begin(rpc);
    list_push_back(&rpc->sessions, &session->link);
    rpc->counters.pipes_up++;
    rpc->counters.pipes_open++;
    timer_start_at(&session->timer, due_ns(session));
    if (session->dialed) rpc_hello_send(session);
    return session;
}

/* Everything that waits for this session ends; nothing more is sent. */
static void leave(struct rpc_session *session, enum rpc_end why)
{
    struct rpc_peer *peer = session->peer;
    bool was_open = session->up_told;
    enum status status = STATUS_LOST;
    if (why == RPC_END_GAP && PLANT(answers_dropped_taken_for_done)) status = STATUS_OK;
    rpc_calls_end(session, status, false);
    rpc_lane_clear(&session->calls);
    rpc_lane_clear(&session->answers);
    rpc_serve_end(session);
    task_cancel(&session->flush);
    session->up_told = false;
    if (peer && peer->session == session) {
        peer->session = NULL;
        if (peer->up) {
            peer->up = false;
            if (peer->options.down) peer->options.down(peer->options.context, peer);
        }
    }
    if (session->listener && was_open && session->listener->options.gone)
        session->listener->options.gone(session->listener->options.context, &session->info);
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

void rpc_session_end(struct rpc_session *session, enum rpc_end why, const char *detail)
{
    if (session->state == RPC_SESSION_LAME || session->state == RPC_SESSION_GONE) return;
    struct rpc *rpc = session->rpc;
    count_end(&rpc->counters, why);
    if (why != RPC_END_REFUSED && why != RPC_END_GOODBYE && rpc_may_log(rpc))
        LOG(reactor_log(rpc->reactor), WARN, "pipe.end", "address=%s remote=%s why=\"%s\"",
            session->peer       ? session->peer->address
            : session->listener ? session->listener->address
                                : "-",
            session->remote, detail);
    session->state = RPC_SESSION_LAME;
    session->lame_ns = session->heard_ns = now_ns(session);
    timer_start_at(&session->timer, due_ns(session));
    leave(session, why);
    if (rpc->stopping) rpc_goodbye_check(rpc);
}

void rpc_session_release(struct rpc_session *session)
{
    CHECK(session->state == RPC_SESSION_GONE);
    if (session->requests_kept > 0) return;
    CHECK(session->calls_open == 0);
    /* Whoever called back may still be working on it: it is buried in a task of its own. */
    list_remove(&session->link);
    list_push_back(&session->rpc->dead, &session->link);
    reactor_defer(session->rpc->reactor, &session->rpc->bury);
}

void rpc_sessions_bury(struct rpc *rpc)
{
    struct list *node;
    while ((node = list_pop_front(&rpc->dead))) {
        struct rpc_session *session = CONTAINER_OF(node, struct rpc_session, link);
        timer_stop(&session->timer);
        task_cancel(&session->flush);
        map_free(&session->requests_by_id);
        mem_free(session->slots);
        mem_free(session);
    }
}

void rpc_session_down(struct rpc_session *session)
{
    struct rpc *rpc = session->rpc;
    rpc->counters.pipes_down++;
    rpc->counters.pipes_open--;
    if (session->state != RPC_SESSION_LAME) {
        session->state = RPC_SESSION_LAME; /* handlers that answer from inside send nothing */
        leave(session, RPC_END_DOWN);
    }
    session->state = RPC_SESSION_GONE;
    session->pipe = NULL;
    timer_stop(&session->timer);
    rpc_session_release(session);
    if (rpc->stopping) rpc_goodbye_check(rpc);
}

void rpc_session_drop(struct rpc_session *session)
{
    if (session->state == RPC_SESSION_GONE) return;
    rpc_session_down(session);
}

bool rpc_session_is_quiet(const struct rpc_session *session)
{
    if (session->state != RPC_SESSION_OPEN) return true;
    return session->goodbye_sent && session->goodbye_received && session->calls_open == 0 &&
           session->requests_open == 0 && rpc_lane_is_empty(&session->answers);
}

void rpc_session_goodbye(struct rpc_session *session)
{
    if (session->state != RPC_SESSION_OPEN || session->goodbye_sent) return;
    rpc_calls_end(session, STATUS_LOST, true);
    rpc_lane_clear(&session->calls);
    session->goodbye_sent = true;
    session->goodbye_ns = now_ns(session);
    /* What was answered in this turn goes before it as far as the window lets it. */
    flush_answers(session);
    send_empty(session, FRAME_GOODBYE);
    timer_start_at(&session->timer, due_ns(session));
}

static void on_timer(struct timer *timer)
{
    struct rpc_session *session = CONTAINER_OF(timer, struct rpc_session, timer);
    note_awake(session->rpc);
    uint64_t now = now_ns(session);
    if (due_ns(session) > now) {
        timer_start_at(timer, due_ns(session));
        return;
    }
    switch (session->state) {
    case RPC_SESSION_HELLO:
        rpc_session_end(session, RPC_END_NO_HELLO, "no HELLO in time");
        return;
    case RPC_SESSION_PLAIN:
        rpc_session_end(session, RPC_END_SILENT, "a plain client was idle");
        return;
    case RPC_SESSION_LAME:
        if (now < session->heard_ns + (uint64_t)RPC_LAME_MS * MS) session->rpc->counters.closed_loud++;
        link_pipe_close(session->pipe); /* down follows */
        return;
    case RPC_SESSION_GONE:
        return;
    case RPC_SESSION_OPEN:
        break;
    }
    uint64_t heard = later(session->heard_ns, session->rpc->stood_still_ns);
    if (now >= heard + (uint64_t)RPC_SILENCE_MS * MS) {
        rpc_session_end(session, RPC_END_SILENT, "nothing was heard for 10 s");
    } else if (session->goodbye_ns && now >= session->goodbye_ns + (uint64_t)RPC_GOODBYE_MS * MS) {
        rpc_session_end(session, RPC_END_GOODBYE, "goodbye");
    } else {
        send_empty(session, 0);
        timer_start_at(timer, due_ns(session));
    }
}

/* ---- receiving ---- */

static void take_goodbye(struct rpc_session *session)
{
    if (session->goodbye_received) return;
    session->goodbye_received = true;
    struct rpc_peer *peer = session->peer;
    rpc_session_goodbye(session);
    if (peer && peer->up) {
        peer->up = false;
        if (peer->options.down) peer->options.down(peer->options.context, peer);
    }
    rpc_session_flush_later(session);
}

static void take_entries(
    struct rpc_session *session, const struct frame_header *header, struct bytes frame, struct rpc_held *held)
{
    struct reader reader = frame_entries(frame);
    struct frame_entry entry;
    /* done and handlers may end this very session; then the rest of the frame is void. */
    while (session->state == RPC_SESSION_OPEN && frame_next(&reader, &entry)) {
        switch (entry.kind) {
        case FRAME_CALL:
            if (!rpc_serve_call(session, &entry, header, held))
                rpc_session_end(session, RPC_END_MALFORMED, "more calls than were granted, or a number used twice");
            break;
        case FRAME_ANSWER:
            rpc_calls_answer(session, &entry);
            break;
        case FRAME_CANCEL:
            rpc_serve_cancel(session, entry.id);
            break;
        }
    }
}

/* Acknowledgements and pings have causes; a peer that sends many more empties than that only costs. */
static bool empties_are_plausible(struct rpc_session *session)
{
    uint64_t seconds = (now_ns(session) - session->up_ns) / ((uint64_t)1000 * MS);
    return ++session->empties_received <= EMPTIES_GRACE + session->window.sent + session->opened + seconds;
}

static void announce(struct rpc_session *session)
{
    struct rpc *rpc = session->rpc;
    struct rpc_peer *peer = session->peer;
    session->up_told = true;
    if (!peer) return;
    peer->up = true;
    LOG(reactor_log(rpc->reactor), DEBUG, "peer.up", "address=%s", peer->address);
    if (peer->options.up) peer->options.up(peer->options.context, peer, &session->info);
}

/* A frame of a conversation that had its HELLO, or is it. */
static void take_counted(
    struct rpc_session *session, const struct frame_header *header, struct bytes frame, struct rpc_held *held)
{
    enum rpc_window_verdict verdict = rpc_window_receive(&session->window, header, (uint32_t)frame.size);
    if (verdict != RPC_WINDOW_FINE) {
        bool lost = verdict == RPC_WINDOW_GAP || verdict == RPC_WINDOW_REPEAT;
        rpc_session_end(session, lost ? RPC_END_GAP : RPC_END_MALFORMED, rpc_window_verdict_text(verdict));
        return;
    }
    if ((int32_t)(header->calls_granted - session->granted) > 0) session->granted = header->calls_granted;
    if (session->state == RPC_SESSION_HELLO) {
        if (!rpc_hello_take(session, header, frame)) return;
        announce(session);
    } else if (rpc_clock_is_ahead(session, header)) {
        session->rpc->counters.pipes_refused++;
        rpc_session_end(session, RPC_END_REFUSED, "its clock is ahead");
        return;
    } else {
        take_entries(session, header, frame, held);
    }
    if (session->state != RPC_SESSION_OPEN) return;
    if (header->flags & FRAME_GOODBYE) take_goodbye(session);
    rpc_session_flush_later(session);
}

static void take_plain(
    struct rpc_session *session, const struct frame_header *header, struct bytes frame, struct rpc_held *held)
{
    bool welcome = session->listener && session->kind == RPC_CLIENT;
    if (session->state == RPC_SESSION_HELLO && welcome) {
        session->state = RPC_SESSION_PLAIN;
        session->info.role = RPC_ROLE_CLIENT;
        timer_start_at(&session->timer, due_ns(session));
    }
    if (session->state != RPC_SESSION_PLAIN || !rpc_serve_plain(session, header, frame, held))
        rpc_session_end(session, RPC_END_MALFORMED, "a plain client's frame out of place");
}

void rpc_session_frame(struct rpc_session *session, struct link_buffer *buffer)
{
    struct rpc *rpc = session->rpc;
    session->heard_ns = now_ns(session);
    if (session->state == RPC_SESSION_LAME) {
        link_buffer_free(session->net, buffer);
        return;
    }
    struct bytes frame = bytes_of(buffer->data, buffer->size);
    struct frame_header header;
    enum frame_fault fault = frame_check(frame, &header);
    if (fault != FRAME_FINE) {
        link_buffer_free(session->net, buffer);
        rpc_session_end(session, RPC_END_MALFORMED, frame_fault_text(fault));
        return;
    }
    if (header.count > 0)
        rpc->counters.frames_received++;
    else
        rpc->counters.empties_received++;
    rpc->counters.bytes_received += frame.size;
    session->peer_wall_us = header.sender_wall_us;
    struct rpc_held *held = rpc_held_create(session->net, buffer);
    if (header.flags & FRAME_ONE_ANSWER || session->state == RPC_SESSION_PLAIN) {
        if (header.flags & FRAME_ONE_ANSWER)
            take_plain(session, &header, frame, held);
        else
            rpc_session_end(session, RPC_END_MALFORMED, "a counted frame of a plain client");
    } else if (header.count == 0 && !empties_are_plausible(session)) {
        rpc_session_end(session, RPC_END_MALFORMED, "too many empty frames");
    } else {
        take_counted(session, &header, frame, held);
    }
    rpc_held_release(held);
}
