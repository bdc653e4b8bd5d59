#include "tests/fuzz/doors/doors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/trillium.h"
#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/cluster/address.h"
#include "common/rpc/nng/link_nng.h"
#include "common/rpc/rpc.h"
#include "common/rpc/window.h"
#include "common/runtime/backend.h"
#include "common/runtime/posix/posix_env.h"
#include "common/runtime/uv/uv_backend.h"
#include "proto/link.pb-c.h"

enum { ANSWERS_MAX = 32, CALLS_MAX = 5000, TURN_NS = 20000, REDIAL_NS = 100000000, ADDRESS_PORTS = 100 };

static const uint16_t methods[] = {
#define METHOD(number, name) METHOD_##name,
#include "common/rpc/methods.def"
#undef METHOD
};
enum { METHODS = sizeof methods / sizeof *methods };

struct answer {
    uint16_t method;
    uint16_t status;
    struct bytes body;
    bool used;
};

/* The program's end of what it dialed, with one pipe. */
struct end {
    struct list link;
    struct reactor *reactor;
    const struct link_handler *handler;
    void *context;
    enum rpc_role role;
    bool is_up, closing;
    uint64_t dial_at_ns;
    struct link_pipe pipe;
    struct rpc_window window; /* the daemon's side */
    struct list frames;       /* on their way to the program */
};

struct frame {
    struct list link;
    struct link_buffer buffer;
};

/* The one stage on which an input is played. */
static struct {
    uint64_t now_ns, pipes;
    struct answer answers[ANSWERS_MAX];
    uint32_t answers_count, calls;
    struct list ends;
} stage;

/* ---- clock ---- */

uint64_t posix_mono_ns(struct env *env)
{
    (void)env;
    return stage.now_ns;
}

int64_t posix_wall_us(struct env *env)
{
    (void)env;
    return 1767225600000000ll + (int64_t)(stage.now_ns / 1000);
}

void posix_entropy(struct env *env, void *out, size_t size)
{
    (void)env;
    memset(out, 7, size);
}

/* ---- what the daemons say ---- */

static struct answer *answer_to(uint16_t method)
{
    struct answer *last = NULL;
    for (uint32_t i = 0; i < stage.answers_count; i++) {
        if (stage.answers[i].method != method) continue;
        last = &stage.answers[i];
        if (!last->used) break;
    }
    if (last) last->used = true;
    return last;
}

static uint8_t *begin_frame(struct end *end, uint32_t size)
{
    struct frame *frame = mem_zalloc(sizeof *frame);
    frame->buffer = (struct link_buffer){.data = mem_zalloc(size), .size = size, .capacity = size};
    list_push_back(&end->frames, &frame->link);
    return frame->buffer.data;
}

static void seal(struct end *end, uint8_t *data, uint32_t size, uint16_t count)
{
    struct frame_header header = {.count = count,
        .sender_wall_us = posix_wall_us(NULL),
        .calls_granted = 1 << 20,
        .frame_no = count ? rpc_window_send(&end->window, size) : end->window.sent,
        .frames_seen = rpc_window_say(&end->window)};
    frame_seal(data, size, &header);
}

static void say(struct end *end, const struct frame_entry *entry)
{
    uint32_t size = FRAME_HEADER_BYTES + frame_entry_size(false, (uint32_t)entry->body.size);
    if (!rpc_window_may_send(&end->window, size)) return;
    uint8_t *data = begin_frame(end, size);
    uint8_t *at = frame_entry_write(data + FRAME_HEADER_BYTES, entry);
    if (entry->body.size) memcpy(at, entry->body.data, entry->body.size);
    seal(end, data, size, 1);
}

/* Entries of the input's own in a frame that is right in all else. */
static void say_frame(struct end *end, struct bytes body)
{
    if (body.size == 0) return;
    uint32_t size = FRAME_HEADER_BYTES + (uint32_t)body.size - 1;
    if (!rpc_window_may_send(&end->window, size)) return;
    uint8_t *data = begin_frame(end, size);
    memcpy(data + FRAME_HEADER_BYTES, body.data + 1, body.size - 1);
    seal(end, data, size, body.data[0]);
}

static void say_hello(struct end *end)
{
    uint8_t body[200], instance[16] = {9, (uint8_t)end->role};
    const struct answer *other = answer_to(METHOD_LINK_HELLO);
    Trillium__V1__Hello hello = TRILLIUM__V1__HELLO__INIT;
    hello.protocol_min = hello.protocol_max = 1;
    hello.role = (Trillium__V1__Role)end->role;
    hello.instance = (ProtobufCBinaryData){sizeof instance, instance};
    hello.frame_bytes_max = FRAME_BYTES_MAX;
    hello.daemon_id = 1;
    hello.boot = 1;
    struct frame_entry entry = {.kind = FRAME_ANSWER, .body = {body, protobuf_c_message_pack(&hello.base, body)}};
    if (other) {
        entry.code = other->status;
        entry.body = other->body;
    }
    say(end, &entry);
}

static void take_entry(struct end *end, const struct frame_entry *entry)
{
    if (entry->kind != FRAME_CALL) return;
    CHECK(++stage.calls < CALLS_MAX); /* nobody asks again and again without a pause */
    if (entry->code == METHOD_LINK_HELLO) {
        say_hello(end);
        return;
    }
    for (uint32_t i = 0; i < stage.answers_count; i++) {
        struct answer *whole = &stage.answers[i];
        if (whole->method != DOORS_FRAME_METHOD || whole->used) continue;
        whole->used = true;
        say_frame(end, whole->body);
        return;
    }
    const struct answer *answer = answer_to(entry->code);
    struct frame_entry back = {.id = entry->id, .kind = FRAME_ANSWER};
    if (answer) {
        back.code = answer->status;
        back.body = answer->body;
    }
    say(end, &back);
}

/* ---- link door ---- */

static void buffer_release(struct link_buffer *buffer)
{
    mem_free(buffer->data);
    mem_free(CONTAINER_OF(buffer, struct frame, buffer));
}

static struct link_buffer *buffer_make(struct net *net, uint32_t capacity)
{
    (void)net;
    struct frame *frame = mem_zalloc(sizeof *frame);
    frame->buffer = (struct link_buffer){.data = mem_alloc(capacity), .capacity = capacity};
    return &frame->buffer;
}

static void pipe_send(struct link_pipe *pipe, struct link_buffer *buffer)
{
    struct end *end = CONTAINER_OF(pipe, struct end, pipe);
    struct bytes bytes = bytes_of(buffer->data, buffer->size);
    struct frame_header header;
    struct frame_entry entry;
    CHECK(end->is_up && frame_check(bytes, &header) == FRAME_FINE);
    CHECK(rpc_window_receive(&end->window, &header, buffer->size) == RPC_WINDOW_FINE);
    struct reader entries = frame_entries(bytes);
    while (frame_next(&entries, &entry))
        take_entry(end, &entry);
    if (rpc_window_ack_is_due(&end->window)) seal(end, begin_frame(end, FRAME_HEADER_BYTES), FRAME_HEADER_BYTES, 0);
    buffer_release(buffer);
}

static void drop_frames(struct end *end)
{
    struct list *node;
    while ((node = list_pop_front(&end->frames)) != NULL)
        buffer_release(&CONTAINER_OF(node, struct frame, link)->buffer);
}

static void pipe_end(struct link_pipe *pipe)
{
    CONTAINER_OF(pipe, struct end, pipe)->closing = true;
}

static void end_close(struct link_end *link)
{
    struct end *end = (struct end *)link;
    drop_frames(end);
    list_remove(&end->link);
    mem_free(end);
}

/* By the port, as the daemons listen. */
static enum rpc_role role_at(const char *address)
{
    const char *colon = strrchr(address, ':');
    long port = colon ? strtol(colon + 1, NULL, 10) : 0;
    if (port >= PORT_NODE && port < PORT_NODE + ADDRESS_PORTS) return RPC_ROLE_NODE;
    if (port >= PORT_ROUTER && port < PORT_ROUTER + ADDRESS_PORTS) return RPC_ROLE_ROUTER;
    return RPC_ROLE_CONTROLLER;
}

static enum status end_open(
    struct net *net, const char *address, const struct link_options *options, struct link_end **out)
{
    CHECK(options->dial);
    if (strrchr(address, ':') == NULL) return STATUS_BAD_REQUEST;
    struct end *end = mem_zalloc(sizeof *end);
    end->reactor = options->reactor;
    end->handler = options->handler;
    end->context = options->context;
    end->role = role_at(address);
    end->pipe.ops = net->ops;
    end->pipe.remote = "daemon";
    list_init(&end->frames);
    list_push_back(&stage.ends, &end->link);
    *out = (struct link_end *)end;
    return STATUS_OK;
}

static const struct net_ops net_ops = {end_open, end_close, buffer_make, buffer_release, pipe_send, pipe_end};
static struct net net = {&net_ops};

struct net *link_nng_create(struct env *env)
{
    (void)env;
    return &net;
}

void link_nng_release(struct net *one)
{
    CHECK(one == &net && list_is_empty(&stage.ends));
}

/* ---- backend ---- */

struct stage_backend {
    struct backend backend;
    struct reactor *reactor;
    bool woken;
};

static struct stage_backend *stage_of(struct backend *backend)
{
    return CONTAINER_OF(backend, struct stage_backend, backend);
}

static void submit(struct backend *backend, struct disk_request *request)
{
    (void)backend;
    (void)request;
    CHECK(!"a client without a disk");
}

static bool end_lives(const struct end *end)
{
    LIST_FOR_EACH (node, &stage.ends)
        if (CONTAINER_OF(node, struct end, link) == end) return true;
    return false;
}

/* One event of one end; false when it has none. The end may be gone afterwards. */
static bool step_end(struct end *end)
{
    if (end->closing && end->is_up) {
        drop_frames(end);
        end->is_up = end->closing = false;
        end->dial_at_ns = stage.now_ns + REDIAL_NS;
        end->handler->down(end->context, &end->pipe);
        if (end_lives(end)) end->pipe.user = NULL;
        return true;
    }
    if (!end->is_up) {
        if (stage.now_ns < end->dial_at_ns) return false;
        end->pipe.id = ++stage.pipes;
        rpc_window_init(&end->window, LINK_WINDOW_BYTES_CLIENT);
        end->dial_at_ns = stage.now_ns + REDIAL_NS;
        end->is_up = true; /* it may send at once */
        if (!end->handler->up(end->context, &end->pipe) && end_lives(end)) {
            drop_frames(end);
            end->is_up = end->closing = false;
        }
        return true;
    }
    struct list *node = list_pop_front(&end->frames);
    if (node == NULL) return false;
    end->handler->frame(end->context, &end->pipe, &CONTAINER_OF(node, struct frame, link)->buffer);
    return true;
}

/* At most one event a turn, so that what an event changes is seen by the next. */
static void poll(struct backend *backend)
{
    struct stage_backend *own = stage_of(backend);
    stage.now_ns += TURN_NS;
    LIST_FOR_EACH (node, &stage.ends) {
        struct end *end = CONTAINER_OF(node, struct end, link);
        if (end->reactor != own->reactor || !step_end(end)) continue;
        own->woken = true;
        return;
    }
}

static void wait(struct backend *backend, uint64_t until_ns)
{
    struct stage_backend *own = stage_of(backend);
    LIST_FOR_EACH (node, &stage.ends) {
        const struct end *end = CONTAINER_OF(node, struct end, link);
        if (end->reactor == own->reactor && !end->is_up && end->dial_at_ns < until_ns) until_ns = end->dial_at_ns;
    }
    if (!own->woken) {
        CHECK(until_ns != UINT64_MAX); /* nothing would ever end this wait */
        if (until_ns > stage.now_ns) stage.now_ns = until_ns;
    }
    own->woken = false;
}

static void wake(struct backend *backend)
{
    stage_of(backend)->woken = true;
}

static void destroy(struct backend *backend)
{
    mem_free(stage_of(backend));
}

static const struct backend_ops backend_ops = {"fuzz", submit, poll, wait, wake, destroy, NULL};

struct backend *uv_backend_create(struct reactor *reactor, int root_fd)
{
    struct stage_backend *own = mem_zalloc(sizeof *own);
    own->backend.ops = &backend_ops;
    own->reactor = reactor;
    (void)root_fd;
    return &own->backend;
}

/* ---- libtrillium ---- */

struct trillium *__real_trillium_open(const struct trillium_options *options, char *error, size_t error_size);
struct trillium *__wrap_trillium_open(const struct trillium_options *options, char *error, size_t error_size);

/* Without a thread of its own, so that an input is always played in the same way. Programs that need the thread do not
   get that far. */
struct trillium *__wrap_trillium_open(const struct trillium_options *options, char *error, size_t error_size)
{
    struct trillium_options driven = *options;
    if (!options->is_driven && !options->is_short_lived) {
        snprintf(error, error_size, "there are no threads");
        return NULL;
    }
    driven.is_driven = true;
    return __real_trillium_open(&driven, error, error_size);
}

/* ---- an input ---- */

void doors_begin(struct reader *answers)
{
    memset(&stage, 0, sizeof stage);
    stage.now_ns = 1000000000;
    list_init(&stage.ends);
    while (stage.answers_count < ANSWERS_MAX && reader_left(answers) >= 4) {
        uint8_t method = read_u8(answers), status = read_u8(answers);
        uint16_t length = read_u16(answers);
        if (length > reader_left(answers)) length = (uint16_t)reader_left(answers);
        struct answer *answer = &stage.answers[stage.answers_count++];
        answer->method = method == DOORS_FRAME_METHOD ? method : methods[method % METHODS];
        answer->status = status;
        answer->body = read_bytes(answers, length);
    }
}

void doors_pass(uint64_t ns)
{
    stage.now_ns += ns;
}

void doors_end(void)
{
    CHECK(list_is_empty(&stage.ends));
}
