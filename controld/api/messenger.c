#include "controld/api/messenger.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "proto/raft.pb-c.h"

enum { BATCH_BYTES = 256 << 10, MESSAGE_BYTES = 96, CALLS_OPEN_MAX = 256 };

struct link {
    struct messenger *messenger;
    uint64_t member;
    struct rpc_peer *peer;
    struct list flights; /* struct flight */
};

/* A batch that was sent and not answered. */
struct flight {
    struct rpc_call call;
    struct list list;
    struct link *link;
};

struct messenger {
    struct messenger_options options;
    unsigned links_count;
    struct link links[CONTROLLERS_MAX];
    uint64_t dropped;
};

static struct link *link_of(const struct messenger *messenger, uint64_t member)
{
    for (unsigned i = 0; i < messenger->links_count; i++)
        if (messenger->links[i].member == member) return (struct link *)(uintptr_t)&messenger->links[i];
    return NULL;
}

static void peer_down(void *context, struct rpc_peer *peer)
{
    (void)peer;
    struct link *link = context;
    link->messenger->options.unreachable(link->messenger->options.context, link->member);
}

enum status messenger_create(const struct messenger_options *options, struct messenger **out)
{
    CHECK(options->controllers_count <= CONTROLLERS_MAX);
    struct messenger *messenger = mem_zalloc(sizeof *messenger);
    messenger->options = *options;
    for (unsigned i = 0; i < options->controllers_count; i++) {
        if (options->controllers[i].id.value == options->id) continue;
        struct link *link = &messenger->links[messenger->links_count];
        *link = (struct link){.messenger = messenger, .member = options->controllers[i].id.value};
        list_init(&link->flights);
        struct rpc_peer_options peer = {.address = options->controllers[i].address,
            .kind = RPC_INTERNAL,
            .roles = RPC_ROLE_BIT(RPC_ROLE_CONTROLLER),
            .down = peer_down,
            .context = link};
        enum status status = rpc_peer_create(options->rpc, &peer, &link->peer);
        if (status != STATUS_OK) {
            messenger_destroy(messenger);
            return status;
        }
        messenger->links_count++;
    }
    messenger->options.controllers = NULL;
    *out = messenger;
    return STATUS_OK;
}

void messenger_destroy(struct messenger *messenger)
{
    for (unsigned i = 0; i < messenger->links_count; i++) {
        struct link *link = &messenger->links[i];
        LIST_FOR_EACH (node, &link->flights) {
            struct flight *flight = CONTAINER_OF(node, struct flight, list);
            rpc_call_cancel(&flight->call);
            list_remove(&flight->list);
            mem_free(flight);
        }
        rpc_peer_destroy(link->peer);
    }
    mem_free(messenger);
}

/* ---- sending ---- */

static void flight_done(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct flight *flight = CONTAINER_OF(call, struct flight, call);
    struct link *link = flight->link;
    list_remove(&flight->list);
    mem_free(flight);
    if (reply->status != STATUS_OK)
        link->messenger->options.unreachable(link->messenger->options.context, link->member);
}

static Trillium__V1__RaftEntry *pack_entry(struct arena *arena, const struct raft_entry *entry)
{
    Trillium__V1__RaftEntry *out = arena_alloc(arena, sizeof *out);
    *out = (Trillium__V1__RaftEntry)TRILLIUM__V1__RAFT_ENTRY__INIT;
    out->index = entry->index;
    out->term = entry->term;
    out->kind = (Trillium__V1__RaftEntryKind)entry->kind;
    out->data = (ProtobufCBinaryData){entry->data_size, (uint8_t *)(uintptr_t)entry->data};
    return out;
}

static Trillium__V1__RaftMessage *pack_message(struct arena *arena, const struct raft_message *message)
{
    Trillium__V1__RaftMessage *out = arena_alloc(arena, sizeof *out);
    *out = (Trillium__V1__RaftMessage)TRILLIUM__V1__RAFT_MESSAGE__INIT;
    out->kind = (Trillium__V1__RaftMessageKind)message->kind;
    out->from = message->from;
    out->to = message->to;
    out->term = message->term;
    out->index = message->index;
    out->log_term = message->log_term;
    out->commit = message->commit;
    out->reject = message->reject;
    out->reject_hint = message->reject_hint;
    out->context = message->context;
    out->transfer = message->transfer;
    out->n_entries = message->entries_count;
    if (message->entries_count) out->entries = arena_alloc(arena, message->entries_count * sizeof(*out->entries));
    for (uint32_t i = 0; i < message->entries_count; i++)
        out->entries[i] = pack_entry(arena, message->entries[i]);
    return out;
}

static size_t size_of(const struct raft_message *message)
{
    size_t size = MESSAGE_BYTES;
    for (uint32_t i = 0; i < message->entries_count; i++)
        size += MESSAGE_BYTES + message->entries[i]->data_size;
    return size;
}

/* False: it cannot leave now. */
static bool send_batch(struct link *link, Trillium__V1__RaftMessage **messages, size_t count)
{
    if (!rpc_peer_is_up(link->peer) || rpc_peer_open(link->peer) >= CALLS_OPEN_MAX) return false;
    Trillium__V1__RaftMessagesCall body = TRILLIUM__V1__RAFT_MESSAGES_CALL__INIT;
    body.n_messages = count;
    body.messages = messages;
    struct flight *flight = mem_zalloc(sizeof *flight);
    flight->link = link;
    flight->call.method = METHOD_RAFT_STEP;
    flight->call.done = flight_done;
    list_push_back(&link->flights, &flight->list);
    rpc_call_start(link->peer, &flight->call, RPC_MESSAGE(&body));
    return true;
}

static void send_to(struct link *link, const struct raft_message *messages, uint32_t count)
{
    struct arena arena = {0};
    Trillium__V1__RaftMessage **batch = arena_alloc(&arena, count * sizeof *batch);
    size_t batch_count = 0, bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct raft_message *message = &messages[i];
        if (message->to != link->member || message->kind == RAFT_MESSAGE_SNAPSHOT) continue;
        size_t size = size_of(message);
        if (batch_count && bytes + size > BATCH_BYTES) {
            if (!send_batch(link, batch, batch_count)) link->messenger->dropped += batch_count;
            batch_count = bytes = 0;
        }
        batch[batch_count++] = pack_message(&arena, message);
        bytes += size;
    }
    if (batch_count && !send_batch(link, batch, batch_count)) link->messenger->dropped += batch_count;
    arena_free(&arena);
}

void messenger_send(struct messenger *messenger, const struct raft_message *messages, uint32_t count)
{
    if (count == 0) return;
    for (unsigned i = 0; i < messenger->links_count; i++)
        send_to(&messenger->links[i], messages, count);
}

bool messenger_is_up(const struct messenger *messenger, uint64_t member)
{
    const struct link *link = link_of(messenger, member);
    return link && rpc_peer_is_up(link->peer);
}

struct rpc_peer *messenger_peer(const struct messenger *messenger, uint64_t member)
{
    const struct link *link = link_of(messenger, member);
    return link ? link->peer : NULL;
}

uint64_t messenger_dropped(const struct messenger *messenger)
{
    return messenger->dropped;
}

/* ---- receiving ---- */

static bool unpack_entries(const Trillium__V1__RaftMessage *packed, struct raft_entry **entries, uint32_t *made)
{
    for (*made = 0; *made < packed->n_entries; (*made)++) {
        const Trillium__V1__RaftEntry *entry = packed->entries[*made];
        if (!raft_entry_kind_known((uint32_t)entry->kind) || entry->data.len > RAFT_ENTRY_BYTES_MAX) return false;
        entries[*made] = raft_entry_create(
            entry->term, entry->index, (enum raft_entry_kind)entry->kind, bytes_of(entry->data.data, entry->data.len));
    }
    return true;
}

static bool take_one(struct arena *arena, const Trillium__V1__RaftMessage *packed,
    void (*step)(void *context, const struct raft_message *message), void *context)
{
    uint32_t kind = (uint32_t)packed->kind;
    if (kind == 0 || kind > RAFT_MESSAGE_KIND_LAST || kind == RAFT_MESSAGE_SNAPSHOT ||
        packed->n_entries > RAFT_MESSAGE_ENTRIES_MAX)
        return false;
    struct raft_message message = {
        .kind = (enum raft_message_kind)kind,
        .from = packed->from,
        .to = packed->to,
        .term = packed->term,
        .index = packed->index,
        .log_term = packed->log_term,
        .commit = packed->commit,
        .reject_hint = packed->reject_hint,
        .context = packed->context,
        .reject = packed->reject,
        .transfer = packed->transfer,
        .entries = arena_alloc(arena, packed->n_entries * sizeof(*message.entries)),
    };
    bool good = unpack_entries(packed, message.entries, &message.entries_count);
    if (good) step(context, &message);
    for (uint32_t i = 0; i < message.entries_count; i++)
        raft_entry_unref(message.entries[i]);
    return good;
}

enum status messenger_take(struct arena *arena, struct bytes body, uint64_t from,
    void (*step)(void *context, const struct raft_message *message), void *context)
{
    const Trillium__V1__RaftMessagesCall *call = rpc_decode(arena, &trillium__v1__raft_messages_call__descriptor, body);
    if (!call) return STATUS_BAD_REQUEST;
    for (size_t i = 0; i < call->n_messages; i++)
        if (call->messages[i]->from != from || !take_one(arena, call->messages[i], step, context))
            return STATUS_BAD_REQUEST;
    return STATUS_OK;
}
