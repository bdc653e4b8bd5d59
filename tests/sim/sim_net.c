#include "tests/sim/sim_net.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/list.h"
#include "tests/sim/sim_mem.h"
#include "tests/sim/sim_pipes.h"

static const uint64_t REDIAL_MIN_NS = 100 * WORLD_MS, REDIAL_MAX_NS = 2 * WORLD_S;

/* Pipes end when both sides are gone and nothing is on its way. */
static void pipe_release(struct pipe *pipe)
{
    for (int i = 0; i < 2; i++)
        if (pipe->sides[i].end || !list_is_empty(&pipe->sides[i].notes)) return;
    if (pipe->busy) return;
    list_remove(&pipe->link);
    mem_free(pipe);
}

static void note_free(struct note *note)
{
    if (note->kind == NOTE_FRAME) note->to->frames--;
    world_event_cancel(&note->arrive);
    list_remove(&note->delivery.link);
    list_remove(&note->link);
    mem_free(note);
}

/* Forgets what is on its way to a side. */
static void drop_notes(struct side *to)
{
    LIST_FOR_EACH (link, &to->notes)
        note_free(CONTAINER_OF(link, struct note, link));
    to->last_arrival_ns = 0;
}

static void dial_again(struct link_end *end)
{
    world_event_in(&end->redial, end->redial_ns + prng_below(chance(end->host->owner), 10 * WORLD_MS));
    end->redial_ns = end->redial_ns * 2 < REDIAL_MAX_NS ? end->redial_ns * 2 : REDIAL_MAX_NS;
}

/* The side is over: its end hears nothing more of it. */
static void side_gone(struct side *side)
{
    struct link_end *end = side->end;
    drop_notes(side);
    side->end = NULL;
    side->accepted = false;
    if (end == NULL) return;
    end->pipes--;
    if (end->options.dial) {
        end->redial_ns = REDIAL_MIN_NS;
        dial_again(end);
    }
}

/* Sending. */

static uint64_t draw_delay(struct sim_net *net, const struct side *from, const struct side *to, uint32_t size)
{
    uint64_t delay = net->faults.delay_ns ? net->faults.delay_ns : 50 * WORLD_US;
    uint64_t jitter = net->faults.jitter_ns ? net->faults.jitter_ns : 50 * WORLD_US;
    delay += prng_below(chance(net), jitter + 1) + size * 2ull;
    if (prng_chance(chance(net), net->faults.spike_ppm)) delay += prng_below(chance(net), 500 * WORLD_MS);
    uint32_t slow = net->directions[from->host->index][to->host->index].slow;
    return slow ? delay * slow : delay;
}

static bool is_cut(const struct side *from, const struct side *to)
{
    return from->pipe->net->directions[from->host->index][to->host->index].cut;
}

static void note_arrive(struct world_event *event);
static void note_deliver(struct process_delivery *delivery);

/* in_order false: it may overtake and be overtaken. */
void note_launch(struct note *note, bool in_order)
{
    struct side *to = note->to;
    struct sim_net *net = to->pipe->net;
    uint64_t at = world_now(net->world) + draw_delay(net, other(to), to, note->size);
    if (in_order) {
        if (at <= to->last_arrival_ns) at = to->last_arrival_ns + 1;
        to->last_arrival_ns = at;
    }
    note->held = false;
    world_event_at(&note->arrive, at);
}

static struct note *note_create(struct side *to, enum note_kind kind, const void *data, uint32_t size)
{
    struct note *note = sim_alloc(sizeof *note + size);
    note->kind = kind;
    note->to = to;
    note->size = size;
    if (size) memcpy(note->data, data, size);
    world_event_init(&note->arrive, to->pipe->net->world, note_arrive);
    list_init(&note->delivery.link);
    note->delivery.deliver = note_deliver;
    list_push_back(&to->notes, &note->link);
    if (kind == NOTE_FRAME) to->frames++;
    return note;
}

/* The side hears that the pipe is down, after what is already on its way. */
static void send_down(struct side *to)
{
    if (to->end == NULL) return;
    note_launch(note_create(to, NOTE_DOWN, NULL, 0), true);
}

/* Of the frames on their way to a side only a drawn number still comes. */
static void lose_tail(struct side *to)
{
    uint64_t keep = prng_below(chance(to->pipe->net), to->frames + 1u);
    LIST_FOR_EACH (link, &to->notes) {
        struct note *note = CONTAINER_OF(link, struct note, link);
        if (note->kind != NOTE_FRAME) continue;
        if (keep == 0)
            note_free(note);
        else
            keep--;
    }
}

/* The pipe breaks now, for both. */
void pipe_break(struct pipe *pipe)
{
    pipe->net->counts.resets++;
    for (int i = 0; i < 2; i++) {
        lose_tail(&pipe->sides[i]);
        send_down(&pipe->sides[i]);
    }
}

static uint32_t host_index(const struct host *host)
{
    return host->index;
}

static void show(struct side *to, const void *data, uint32_t size, bool heard)
{
    const struct pipe *pipe = to->pipe;
    const struct sim_net_tap *tap = pipe->net->tap;
    if (!tap) return;
    struct sim_net_frame frame = {.from = host_index(other(to)->host),
        .to = host_index(to->host),
        .pipe = pipe->sides[0].base.id,
        .to_listener = to == &pipe->sides[1],
        .listener = pipe->sides[1].end ? pipe->sides[1].end->address : NULL,
        .data = data,
        .size = size};
    struct mem_scope *entered = mem_scope_enter(NULL);
    (heard ? tap->heard : tap->sent)(tap->context, &frame);
    mem_scope_enter(entered);
}

static void side_send(struct side *from, const void *data, uint32_t size, uint64_t reply_to)
{
    struct side *to = other(from);
    struct sim_net *net = from->pipe->net;
    const struct sim_net_faults *faults = &net->faults;
    bool listener = from == &from->pipe->sides[1];
    net->counts.frames++;
    net->counts.bytes += size;
    world_note(net->world, "frame", hash64(data, size, from->base.id), size);
    show(to, data, size, false);
    if (listener && (to->frames >= SIM_QUEUE_FRAMES || prng_chance(chance(net), faults->full_queue_ppm))) {
        net->counts.queue_drops++;
        world_trace(net->world, host_name(from->host), "queue frees a frame", from->base.id, size);
        return;
    }
    if (prng_chance(chance(net), faults->reset_ppm)) {
        world_trace(net->world, host_name(from->host), "pipe is reset", from->base.id, 0);
        pipe_break(from->pipe);
        return;
    }
    if (prng_chance(chance(net), faults->loss_ppm)) {
        net->counts.lost++;
        world_trace(net->world, host_name(from->host), "frame is lost", from->base.id, size);
        return;
    }
    bool twice = prng_chance(chance(net), faults->duplicate_ppm);
    bool in_order = !prng_chance(chance(net), faults->reorder_ppm);
    net->counts.duplicated += twice;
    net->counts.reordered += !in_order;
    for (int copies = 0; copies < 1 + twice; copies++) {
        struct note *note = note_create(to, NOTE_FRAME, data, size);
        note->reply_to = reply_to;
        note->held = is_cut(from, to);
        if (!note->held) note_launch(note, in_order);
    }
}

/* Arriving. */

static void note_arrive(struct world_event *event)
{
    struct note *note = CONTAINER_OF(event, struct note, arrive);
    struct side *to = note->to;
    struct pipe *pipe = to->pipe;
    if (!note->local && is_cut(other(to), to)) {
        note->held = true;
        return;
    }
    if (to->end) {
        process_deliver(to->host->process, to->end->reactor, &note->delivery);
        return;
    }
    /* Nobody is there. A living kernel says so, a dark host does not. */
    bool frame = note->kind == NOTE_FRAME;
    note_free(note);
    if (frame && to->host && (!to->dark || process_is_running(to->host->process))) send_down(other(to));
    pipe_release(pipe);
}

static void deliver_up(struct side *to)
{
    to->accepted = true;
    if (to->end->handler->up(to->end->context, &to->base) || to->end == NULL) return;
    send_down(other(to));
    side_gone(to);
}

/* The frame in the receiver's memory; NULL: it breaks the pipe. */
static struct link_buffer *frame_of(struct side *to, const struct note *note)
{
    if (note->size > to->end->options.frame_bytes_max) {
        world_trace(to->pipe->net->world, host_name(to->host), "frame too large", to->base.id, note->size);
        return NULL;
    }
    struct link_buffer *buffer = link_buffer_create(&to->host->net, note->size);
    memcpy(buffer->data, note->data, note->size);
    buffer->size = note->size;
    buffer->reply_to = note->reply_to;
    return buffer;
}

static void deliver_frame(struct side *to, struct link_buffer *buffer)
{
    struct link_end *end = to->end;
    if (!buffer) {
        pipe_break(to->pipe);
        return;
    }
    to->received = true;
    show(to, buffer->data, buffer->size, true);
    end->handler->frame(end->context, &to->base, buffer);
}

static void deliver_down(struct side *to)
{
    struct link_end *end = to->end;
    bool accepted = to->accepted;
    to->pipe->net->counts.downs++;
    send_down(other(to));
    side_gone(to);
    if (accepted) end->handler->down(end->context, &to->base);
}

/* Inside the process and in a turn of the reactor. The handler may close anything, or die: nothing of the simulator's
   is held while it runs. */
static void note_deliver(struct process_delivery *delivery)
{
    struct note *note = CONTAINER_OF(delivery, struct note, delivery);
    struct side *to = note->to;
    struct pipe *pipe = to->pipe;
    enum note_kind kind = note->kind;
    CHECK(to->end != NULL);
    bool wanted = kind == NOTE_FRAME && to->accepted;
    struct link_buffer *buffer = wanted ? frame_of(to, note) : NULL;
    pipe->busy++;
    note_free(note);
    if (kind == NOTE_UP)
        deliver_up(to);
    else if (wanted)
        deliver_frame(to, buffer);
    else if (kind == NOTE_DOWN)
        deliver_down(to);
    pipe->busy--;
    pipe_release(pipe);
}

/* Connecting. */

static struct link_end *find_listener(struct sim_net *net, const char *address)
{
    for (uint32_t i = 0; i < net->hosts_count; i++)
        LIST_FOR_EACH (link, &net->hosts[i]->ends) {
            struct link_end *end = CONTAINER_OF(link, struct link_end, link);
            if (!end->options.dial && strcmp(end->address, address) == 0) return end;
        }
    return NULL;
}

static void side_init(struct side *side, struct pipe *pipe, struct host *host, struct link_end *end)
{
    struct sim_net *net = pipe->net;
    side->base.ops = host->net.ops;
    side->base.id = ++net->pipes_made;
    side->base.remote = "";
    side->pipe = pipe;
    side->host = host;
    side->end = end;
    list_init(&side->notes);
    if (end) end->pipes++;
}

static void pipe_create(struct sim_net *net, struct link_end *dialer, struct link_end *listener)
{
    struct pipe *pipe = sim_alloc(sizeof *pipe);
    pipe->net = net;
    list_push_back(&net->pipes, &pipe->link);
    side_init(&pipe->sides[0], pipe, dialer->host, dialer);
    side_init(&pipe->sides[1], pipe, listener->host, listener);
    pipe->sides[1].base.remote = process_name(dialer->host->process);
    pipe->sides[0].base.remote = dialer->address;
    net->counts.connects++;
    for (int i = 0; i < 2; i++)
        note_launch(note_create(&pipe->sides[i], NOTE_UP, NULL, 0), true);
}

static void redial(struct world_event *event)
{
    struct link_end *end = CONTAINER_OF(event, struct link_end, redial);
    struct sim_net *net = end->host->owner;
    struct link_end *listener = find_listener(net, end->address);
    bool possible = listener && !net->directions[end->host->index][listener->host->index].cut &&
                    !net->directions[listener->host->index][end->host->index].cut &&
                    (listener->options.pipes_max == 0 || listener->pipes < listener->options.pipes_max) &&
                    !prng_chance(chance(net), net->faults.refuse_ppm);
    if (!possible) {
        dial_again(end);
        return;
    }
    world_trace(net->world, host_name(end->host), "connects to host", listener->host->index, net->pipes_made + 1);
    pipe_create(net, end, listener);
}

/* The door. */

static struct side *side_of(struct link_pipe *pipe)
{
    return CONTAINER_OF(pipe, struct side, base);
}

static bool address_is_valid(const char *address)
{
    const char *colon = strrchr(address, ':');
    if (colon == NULL || colon == address || strlen(address) >= ADDRESS_BYTES_MAX) return false;
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    return colon[1] >= '0' && colon[1] <= '9' && *end == 0 && port > 0 && port < 65536;
}

static enum status net_open(
    struct net *base, const char *address, const struct link_options *options, struct link_end **out)
{
    struct host *host = CONTAINER_OF(base, struct host, net);
    if (!address_is_valid(address)) return STATUS_BAD_REQUEST;
    if (!options->dial && find_listener(host->owner, address)) return STATUS_CONFLICT;
    struct link_end *end = sim_alloc(sizeof *end);
    end->host = host;
    end->reactor = options->reactor;
    end->options = *options;
    end->handler = options->handler;
    end->context = options->context;
    strcpy(end->address, address);
    list_push_back(&host->ends, &end->link);
    world_event_init(&end->redial, host->owner->world, redial);
    end->redial_ns = REDIAL_MIN_NS;
    if (options->dial) world_event_in(&end->redial, prng_below(chance(host->owner), 500 * WORLD_US));
    *out = end;
    return STATUS_OK;
}

static void end_free(struct link_end *end)
{
    world_event_cancel(&end->redial);
    list_remove(&end->link);
    mem_free(end);
}

/* silent: the peers hear nothing. */
static void end_close(struct link_end *end, bool silent)
{
    struct sim_net *net = end->host->owner;
    LIST_FOR_EACH (link, &net->pipes) {
        struct pipe *pipe = CONTAINER_OF(link, struct pipe, link);
        pipe->busy++;
        for (int i = 0; i < 2; i++) {
            struct side *side = &pipe->sides[i];
            if (side->end != end) continue;
            if (!silent) {
                if (prng_chance(chance(net), 500000)) lose_tail(other(side));
                send_down(other(side));
            }
            side_gone(side);
            side->dark = silent;
        }
        pipe->busy--;
        pipe_release(pipe);
    }
    end_free(end);
}

static void net_close(struct link_end *end)
{
    end_close(end, false);
}

static struct link_buffer *net_buffer_create(struct net *base, uint32_t capacity)
{
    (void)base;
    struct link_buffer *buffer = mem_alloc(sizeof *buffer + capacity);
    *buffer = (struct link_buffer){.data = (uint8_t *)(buffer + 1), .capacity = capacity};
    return buffer;
}

static void net_buffer_free(struct link_buffer *buffer)
{
    mem_free(buffer);
}

static void net_send(struct link_pipe *base, struct link_buffer *buffer)
{
    struct side *side = side_of(base);
    bool listener = side == &side->pipe->sides[1];
    CHECK(buffer->size <= buffer->capacity);
    CHECK(!listener || side->received); /* nng: a raw REP socket answers only */
    if (side->end && !side->closing) side_send(side, buffer->data, buffer->size, buffer->reply_to);
    mem_free(buffer);
}

static void net_pipe_close(struct link_pipe *base)
{
    struct side *side = side_of(base);
    if (side->closing || side->end == NULL) return;
    side->closing = true;
    drop_notes(side);
    lose_tail(other(side));
    struct note *note = note_create(side, NOTE_DOWN, NULL, 0);
    note->local = true;
    world_event_in(&note->arrive, 0);
}

static const struct net_ops sim_net_ops = {
    net_open, net_close, net_buffer_create, net_buffer_free, net_send, net_pipe_close};

/* The network. */

struct sim_net *sim_net_create(struct world *world)
{
    struct sim_net *net = sim_alloc(sizeof *net);
    net->world = world;
    list_init(&net->pipes);
    return net;
}

void sim_net_destroy(struct sim_net *net)
{
    for (uint32_t i = 0; i < net->hosts_count; i++) {
        CHECK(list_is_empty(&net->hosts[i]->ends));
        mem_free(net->hosts[i]);
    }
    LIST_FOR_EACH (link, &net->pipes) {
        struct pipe *pipe = CONTAINER_OF(link, struct pipe, link);
        for (int i = 0; i < 2; i++)
            drop_notes(&pipe->sides[i]);
        list_remove(&pipe->link);
        mem_free(pipe);
    }
    mem_free(net);
}

static void host_gone(struct net *base, bool power)
{
    struct host *host = CONTAINER_OF(base, struct host, net);
    LIST_FOR_EACH (link, &host->ends)
        end_close(CONTAINER_OF(link, struct link_end, link), power);
}

uint32_t sim_net_attach(struct sim_net *net, struct process *process)
{
    CHECK(net->hosts_count < SIM_HOSTS_MAX);
    struct host *host = sim_alloc(sizeof *host);
    host->net.ops = &sim_net_ops;
    host->owner = net;
    host->process = process;
    host->index = net->hosts_count;
    list_init(&host->ends);
    net->hosts[net->hosts_count++] = host;
    process_set_net(process, &host->net, host_gone);
    return host->index;
}

void sim_net_tap(struct sim_net *net, const struct sim_net_tap *tap)
{
    net->tap = tap;
}

struct sim_net_faults *sim_net_faults(struct sim_net *net)
{
    return &net->faults;
}

const struct sim_net_counts *sim_net_counts(const struct sim_net *net)
{
    return &net->counts;
}
