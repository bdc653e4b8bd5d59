#include "tests/conformance/link/link_suite.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/runtime/net.h"
#include "common/runtime/reactor.h"

enum { PATIENCE_MS = 10000, PIPES = 8, FRAME_MAX = 64 << 10 };

/* One end and what its handler heard. */
struct ear {
    struct run *run;
    enum link_side side;
    struct link_end *end;
    struct net *net;
    enum status opened;
    struct link_options options;
    char address[LINK_ADDRESS_BYTES];
    struct link_pipe *pipe; /* newest that is up */
    uint64_t ids[PIPES];
    uint32_t ups, downs, frames, refuse;
    uint32_t next;  /* number that the next frame must carry */
    uint32_t greet; /* frames sent from inside up */
    uint32_t greet_bytes;
    bool disordered, echo;
    uint64_t bytes;
};

struct run {
    const struct link_place *place;
    const char *name;
    bool failed;
};

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("link(%s): %s: line %d: expected %s\n", run->place->name, run->name, __LINE__, #condition);         \
            run->failed = true;                                                                                        \
        }                                                                                                              \
    } while (0)
/* Steps until the condition holds, with patience. */
#define AWAIT(condition)                                                                                               \
    do {                                                                                                               \
        uint64_t until_ = run->place->now_ms(run->place->context) + PATIENCE_MS;                                       \
        while (!(condition) && run->place->now_ms(run->place->context) < until_)                                       \
            run->place->step(run->place->context);                                                                     \
        EXPECT(condition);                                                                                             \
    } while (0)

static void rest(struct run *run, uint64_t ms)
{
    uint64_t until = run->place->now_ms(run->place->context) + ms;
    while (run->place->now_ms(run->place->context) < until)
        run->place->step(run->place->context);
}

/* ---- inside a side ---- */

static void send_number(struct ear *ear, uint32_t number, uint32_t size)
{
    struct link_buffer *buffer = link_buffer_create(ear->net, size);
    memset(buffer->data, (int)number, size);
    memcpy(buffer->data, &number, sizeof number);
    buffer->size = size;
    link_send(ear->pipe, buffer);
}

static bool on_up(void *context, struct link_pipe *pipe)
{
    struct ear *ear = context;
    if (ear->refuse > 0) {
        ear->refuse--;
        return false;
    }
    ear->ids[ear->ups++ % PIPES] = pipe->id;
    ear->pipe = pipe;
    ear->next = 0;
    pipe->user = ear;
    for (uint32_t i = 0; i < ear->greet; i++)
        send_number(ear, i, ear->greet_bytes);
    return true;
}

static void on_frame(void *context, struct link_pipe *pipe, struct link_buffer *buffer)
{
    struct ear *ear = context;
    uint32_t number;
    if (pipe->user != ear || buffer->size < sizeof number) ear->disordered = true;
    memcpy(&number, buffer->data, sizeof number);
    if (number != ear->next || buffer->data[buffer->size - 1] != (buffer->size > 4 ? (uint8_t)number : 0))
        ear->disordered = true;
    ear->next = number + 1;
    ear->frames++;
    ear->bytes += buffer->size;
    if (ear->echo)
        link_send(pipe, buffer);
    else
        link_buffer_free(ear->net, buffer);
}

static void on_down(void *context, struct link_pipe *pipe)
{
    struct ear *ear = context;
    ear->downs++;
    if (ear->pipe == pipe) ear->pipe = NULL;
}

static const struct link_handler HANDLER = {on_up, on_frame, on_down};

static void act_open(struct reactor *reactor, void *argument)
{
    struct ear *ear = argument;
    const struct env *env = reactor_env(reactor);
    ear->net = !ear->options.dial && env->listen_net ? env->listen_net : env->net;
    ear->options.reactor = reactor;
    ear->options.handler = &HANDLER;
    ear->options.context = ear;
    ear->opened = link_open(ear->net, ear->address, &ear->options, &ear->end);
}

static void act_close(struct reactor *reactor, void *argument)
{
    (void)reactor;
    struct ear *ear = argument;
    if (ear->end) link_close(ear->net, ear->end);
    ear->end = NULL;
    ear->pipe = NULL;
}

struct burst {
    struct ear *ear;
    uint32_t first, count, bytes;
};

static void act_send(struct reactor *reactor, void *argument)
{
    (void)reactor;
    struct burst *burst = argument;
    for (uint32_t i = 0; i < burst->count && burst->ear->pipe; i++)
        send_number(burst->ear, burst->first + i, burst->bytes);
}

static void act_pipe_close(struct reactor *reactor, void *argument)
{
    (void)reactor;
    struct ear *ear = argument;
    if (ear->pipe) link_pipe_close(ear->pipe);
}

/* ---- from outside ---- */

static void call(struct ear *ear, void (*act)(struct reactor *reactor, void *argument), void *argument)
{
    ear->run->place->call(ear->run->place->context, ear->side, act, argument);
}

static struct ear listen_with(struct run *run)
{
    struct ear ear = {.run = run, .side = LINK_LISTENER, .options = {.frame_bytes_max = FRAME_MAX}};
    snprintf(ear.address, sizeof ear.address, "%s", run->place->listen_address);
    return ear;
}

static void open_listener(struct ear *ear)
{
    struct run *run = ear->run;
    call(ear, act_open, ear);
    EXPECT(ear->opened == STATUS_OK);
}

static struct ear dial_with(struct run *run, const struct ear *listener)
{
    struct ear ear = {.run = run, .side = LINK_DIALER, .options = {.frame_bytes_max = FRAME_MAX, .dial = true}};
    run->place->address(run->place->context, listener->end, ear.address);
    return ear;
}

static void open_dialer(struct ear *ear)
{
    struct run *run = ear->run;
    call(ear, act_open, ear);
    EXPECT(ear->opened == STATUS_OK);
}

static void send_burst(struct ear *ear, uint32_t first, uint32_t count, uint32_t bytes)
{
    struct burst burst = {ear, first, count, bytes};
    call(ear, act_send, &burst);
}

/* ---- cases ---- */

static void a_dialer_reaches_a_listener(struct run *run)
{
    struct ear listener = listen_with(run);
    open_listener(&listener);
    struct ear dialer = dial_with(run, &listener);
    open_dialer(&dialer);
    EXPECT(dialer.ups == 0);
    AWAIT(dialer.ups == 1);
    send_burst(&dialer, 0, 1, 100);
    AWAIT(listener.frames == 1);
    EXPECT(listener.ups == 1 && listener.bytes == 100 && !listener.disordered);
    send_burst(&listener, 0, 1, 200);
    AWAIT(dialer.frames == 1);
    EXPECT(dialer.bytes == 200);
    call(&dialer, act_close, &dialer);
    AWAIT(listener.downs == 1);
    call(&listener, act_close, &listener);
}

static void frames_queued_at_up_arrive_first(struct run *run)
{
    struct ear listener = listen_with(run);
    open_listener(&listener);
    struct ear dialer = dial_with(run, &listener);
    dialer.greet = 20;
    dialer.greet_bytes = 5000;
    open_dialer(&dialer);
    AWAIT(listener.frames == 20);
    EXPECT(!listener.disordered);
    call(&dialer, act_close, &dialer);
    call(&listener, act_close, &listener);
}

static void frames_arrive_in_order_and_once_both_ways(struct run *run)
{
    struct ear listener = listen_with(run);
    listener.echo = true;
    open_listener(&listener);
    struct ear dialer = dial_with(run, &listener);
    open_dialer(&dialer);
    AWAIT(dialer.ups == 1);
    uint32_t sent = 0;
    for (int round = 0; round < 100; round++) {
        uint32_t bytes = round % 7 == 0 ? FRAME_MAX : 4u + (uint32_t)round * 37;
        send_burst(&dialer, sent, 20, bytes);
        sent += 20;
        AWAIT(dialer.frames + 32 >= sent);
    }
    AWAIT(dialer.frames == sent);
    EXPECT(listener.frames == sent && !listener.disordered && !dialer.disordered);
    call(&dialer, act_close, &dialer);
    call(&listener, act_close, &listener);
}

static void a_window_waits_for_a_side_that_stands_still(struct run *run)
{
    struct ear listener = listen_with(run);
    listener.greet = 0;
    open_listener(&listener);
    struct ear dialer = dial_with(run, &listener);
    open_dialer(&dialer);
    AWAIT(dialer.ups == 1);
    send_burst(&dialer, 0, 1, 64);
    AWAIT(listener.frames == 1);
    /* Both ways: neither side of a pipe may lose a window and its empties while the other stands still. */
    run->place->pause(run->place->context, LINK_LISTENER, 300);
    send_burst(&dialer, 1, LINK_QUEUE_FRAMES_MAX - 1, 30000);
    rest(run, 400);
    AWAIT(listener.frames == LINK_QUEUE_FRAMES_MAX);
    run->place->pause(run->place->context, LINK_DIALER, 300);
    send_burst(&listener, 0, LINK_QUEUE_FRAMES_MAX, 30000);
    rest(run, 400);
    AWAIT(dialer.frames == LINK_QUEUE_FRAMES_MAX);
    EXPECT(!listener.disordered && !dialer.disordered && dialer.downs == 0);
    call(&dialer, act_close, &dialer);
    call(&listener, act_close, &listener);
}

static void a_frame_above_the_limit_ends_the_pipe(struct run *run)
{
    struct ear listener = listen_with(run);
    open_listener(&listener);
    struct ear dialer = dial_with(run, &listener);
    open_dialer(&dialer);
    AWAIT(dialer.ups == 1);
    send_burst(&dialer, 0, 1, FRAME_MAX);
    AWAIT(listener.frames == 1);
    send_burst(&dialer, 1, 1, FRAME_MAX + 1);
    AWAIT(dialer.downs == 1 && listener.downs == 1);
    EXPECT(listener.frames == 1);
    AWAIT(dialer.ups == 2);
    call(&dialer, act_close, &dialer);
    call(&listener, act_close, &listener);
}

static void both_sides_may_end_a_quiet_pipe_and_it_is_dialed_again(struct run *run)
{
    struct ear listener = listen_with(run);
    open_listener(&listener);
    struct ear dialer = dial_with(run, &listener);
    open_dialer(&dialer);
    for (uint32_t round = 1; round <= 4; round++) {
        AWAIT(dialer.ups == round && listener.ups == round);
        send_burst(&dialer, 0, 1, 64);
        AWAIT(listener.frames == round);
        rest(run, 50);
        struct ear *closer = round % 2 ? &dialer : &listener;
        call(closer, act_pipe_close, closer);
        AWAIT(dialer.downs == round && listener.downs == round);
    }
    AWAIT(dialer.ups == 5);
    EXPECT(dialer.ids[0] != dialer.ids[1] && dialer.ids[1] != dialer.ids[2]);
    call(&dialer, act_close, &dialer);
    call(&listener, act_close, &listener);
}

static void a_frame_to_a_dead_pipe_is_dropped(struct run *run)
{
    struct ear listener = listen_with(run);
    open_listener(&listener);
    struct ear dialer = dial_with(run, &listener);
    open_dialer(&dialer);
    AWAIT(dialer.ups == 1 && listener.ups == 1);
    rest(run, 50);
    call(&dialer, act_pipe_close, &dialer);
    send_burst(&dialer, 7, 3, 64);
    AWAIT(dialer.downs == 1);
    AWAIT(dialer.ups == 2);
    send_burst(&dialer, 0, 1, 64);
    AWAIT(listener.next == 1);
    EXPECT(!listener.disordered || listener.frames > 1);
    call(&dialer, act_close, &dialer);
    call(&listener, act_close, &listener);
}

static void a_listener_takes_so_many_pipes_and_no_more(struct run *run)
{
    struct ear listener = listen_with(run);
    listener.options.pipes_max = 2;
    open_listener(&listener);
    struct ear dialers[3];
    for (int i = 0; i < 3; i++) {
        dialers[i] = dial_with(run, &listener);
        open_dialer(&dialers[i]);
        if (i < 2) AWAIT(listener.ups == (uint32_t)i + 1);
    }
    rest(run, 300);
    EXPECT(listener.ups == 2);
    for (int i = 0; i < 3; i++)
        call(&dialers[i], act_close, &dialers[i]);
    AWAIT(listener.downs == 2);
    call(&listener, act_close, &listener);
}

static void a_refused_pipe_is_heard_of_no_more(struct run *run)
{
    struct ear listener = listen_with(run);
    listener.refuse = 1;
    open_listener(&listener);
    struct ear dialer = dial_with(run, &listener);
    dialer.greet = 3;
    dialer.greet_bytes = 64;
    open_dialer(&dialer);
    AWAIT(listener.ups == 1);
    AWAIT(listener.frames == 3);
    EXPECT(listener.downs == 0 && !listener.disordered && dialer.ups == 2);
    call(&dialer, act_close, &dialer);
    call(&listener, act_close, &listener);
}

static void a_closed_end_hears_nothing_more(struct run *run)
{
    struct ear listener = listen_with(run);
    open_listener(&listener);
    struct ear dialer = dial_with(run, &listener);
    open_dialer(&dialer);
    AWAIT(dialer.ups == 1);
    send_burst(&dialer, 0, 5, 1000);
    call(&listener, act_close, &listener);
    uint32_t frames = listener.frames, downs = listener.downs;
    AWAIT(dialer.downs == 1);
    EXPECT(listener.frames == frames && listener.downs == downs);
    call(&dialer, act_close, &dialer);
}

static void addresses_are_judged(struct run *run)
{
    static const char *const malformed[] = {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", ":7300", "127.0.0.1:73x"};
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        struct ear ear = listen_with(run);
        snprintf(ear.address, sizeof ear.address, "%s", malformed[i]);
        call(&ear, act_open, &ear);
        EXPECT(ear.opened == STATUS_BAD_REQUEST);
        ear.options.dial = true;
        call(&ear, act_open, &ear);
        EXPECT(ear.opened == STATUS_BAD_REQUEST);
    }
    struct ear first = listen_with(run);
    open_listener(&first);
    struct ear second = listen_with(run);
    run->place->address(run->place->context, first.end, second.address);
    call(&second, act_open, &second);
    EXPECT(second.opened == STATUS_CONFLICT);
    call(&first, act_close, &first);
    call(&second, act_open, &second);
    EXPECT(second.opened == STATUS_OK);
    call(&second, act_close, &second);
}

static void a_dialer_waits_for_its_listener(struct run *run)
{
    struct ear listener = listen_with(run);
    open_listener(&listener);
    struct ear dialer = dial_with(run, &listener);
    call(&listener, act_close, &listener);
    open_dialer(&dialer);
    rest(run, 150);
    EXPECT(dialer.ups == 0);
    snprintf(listener.address, sizeof listener.address, "%s", dialer.address);
    open_listener(&listener);
    AWAIT(dialer.ups == 1);
    call(&dialer, act_close, &dialer);
    call(&listener, act_close, &listener);
}

#define CASE(function)                                                                                                 \
    {                                                                                                                  \
#function, function                                                                                            \
    }
static const struct {
    const char *name;
    void (*body)(struct run *run);
} CASES[] = {
    CASE(a_dialer_reaches_a_listener),
    CASE(frames_queued_at_up_arrive_first),
    CASE(frames_arrive_in_order_and_once_both_ways),
    CASE(a_window_waits_for_a_side_that_stands_still),
    CASE(a_frame_above_the_limit_ends_the_pipe),
    CASE(both_sides_may_end_a_quiet_pipe_and_it_is_dialed_again),
    CASE(a_frame_to_a_dead_pipe_is_dropped),
    CASE(a_listener_takes_so_many_pipes_and_no_more),
    CASE(a_refused_pipe_is_heard_of_no_more),
    CASE(a_closed_end_hears_nothing_more),
    CASE(addresses_are_judged),
    CASE(a_dialer_waits_for_its_listener),
};

unsigned link_suite_run(const struct link_place *place)
{
    unsigned passed = 0, failed = 0;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct run run = {.place = place, .name = CASES[i].name};
        place->open(place->context);
        CASES[i].body(&run);
        rest(&run, 5);
        place->close(place->context);
        if (run.failed)
            failed++;
        else
            passed++;
    }
    printf("link(%s): %u passed, %u failed\n", place->name, passed, failed);
    return failed;
}
