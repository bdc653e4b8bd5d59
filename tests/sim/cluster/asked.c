#include "tests/sim/cluster/asked.h"

#include "common/rpc/rpc.h"
#include "proto/client.pb-c.h"
#include "proto/replica.pb-c.h"
#include "tests/sim/cluster/node_ledger.h"
#include "tests/sim/sim_mem.h"

static struct bytes bytes_from(ProtobufCBinaryData data)
{
    return bytes_of(data.data, data.len);
}

static struct bytes partition_of(const struct asked *asked)
{
    return bytes_of(asked->partition, sizeof asked->partition);
}

static void set_channel(struct asked *asked, uint64_t channel, uint64_t id, uint32_t level)
{
    asked->channel = channel;
    asked->id = id;
    asked->level = level;
    key_channel(channel, asked->partition);
}

static bool take_partition(struct asked *asked, ProtobufCBinaryData partition)
{
    if (partition.len != sizeof asked->partition) return false;
    memcpy(asked->partition, partition.data, partition.len);
    return true;
}

static void take_row(struct asked *asked, ProtobufCBinaryData row)
{
    asked->content = ledger_content_hash(LEDGER_ROW, partition_of(asked), asked->id, 0, bytes_from(row));
}

/* ---- clients' calls ---- */

static bool take_create(struct asked *asked, struct arena *arena, struct bytes body)
{
    Trillium__V1__MessageCreateCall *call = rpc_decode(arena, &trillium__v1__message_create_call__descriptor, body);
    if (!call) return false;
    set_channel(asked, call->channel_id, call->message_id, call->level);
    take_row(asked, call->row);
    asked->is_row = true;
    return true;
}

static bool take_edit(struct asked *asked, struct arena *arena, struct bytes body)
{
    Trillium__V1__MessageEditCall *call = rpc_decode(arena, &trillium__v1__message_edit_call__descriptor, body);
    if (!call || call->stamp_us == 0) return false; /* the router would stamp it: other bytes */
    set_channel(asked, call->channel_id, call->message_id, call->level);
    take_row(asked, call->row);
    asked->is_row = true;
    return true;
}

static bool take_delete(struct asked *asked, struct arena *arena, struct bytes body)
{
    Trillium__V1__MessageDeleteCall *call = rpc_decode(arena, &trillium__v1__message_delete_call__descriptor, body);
    if (!call) return false;
    set_channel(asked, call->channel_id, call->message_id, call->level);
    asked->content = ledger_content_hash(LEDGER_DELETE, partition_of(asked), asked->id, 0, bytes_of(NULL, 0));
    return true;
}

static bool take_purge(struct asked *asked, struct arena *arena, struct bytes body)
{
    Trillium__V1__ChannelPurgeCall *call = rpc_decode(arena, &trillium__v1__channel_purge_call__descriptor, body);
    if (!call) return false;
    set_channel(asked, call->channel_id, call->lo, call->level);
    return true;
}

void asked_take_purge(struct asked *asked, struct arena *arena, struct bytes body)
{
    Trillium__V1__ChannelPurgeAnswer *answer = rpc_decode(arena, &trillium__v1__channel_purge_answer__descriptor, body);
    if (!answer) return;
    asked->content = ledger_content_hash(LEDGER_SPAN, partition_of(asked), asked->id, answer->hi, bytes_of(NULL, 0));
}

static bool take_get(struct asked *asked, struct arena *arena, struct bytes body)
{
    Trillium__V1__MessageGetCall *call = rpc_decode(arena, &trillium__v1__message_get_call__descriptor, body);
    if (!call) return false;
    set_channel(asked, call->channel_id, call->message_id, call->level);
    asked->limit = 1;
    return true;
}

static bool take_list(struct asked *asked, struct arena *arena, struct bytes body)
{
    Trillium__V1__MessageListCall *call = rpc_decode(arena, &trillium__v1__message_list_call__descriptor, body);
    if (!call) return false;
    bool nothing = (call->bound == TRILLIUM__V1__BOUND__BOUND_BEFORE && call->message_id == 0) ||
                   (call->bound == TRILLIUM__V1__BOUND__BOUND_AFTER && call->message_id == UINT64_MAX);
    if (nothing) return false; /* answered without a read */
    set_channel(asked, call->channel_id, call->message_id, call->level);
    asked->limit = call->bound == TRILLIUM__V1__BOUND__BOUND_AROUND ? 0 : call->limit;
    return true;
}

/* ---- routers' calls ---- */

static bool take_replica_write(struct asked *asked, struct arena *arena, struct bytes body)
{
    Trillium__V1__ReplicaWriteCall *call = rpc_decode(arena, &trillium__v1__replica_write_call__descriptor, body);
    if (!call || !take_partition(asked, call->partition)) return false;
    asked->id = call->message_id;
    if (call->kind != TRILLIUM__V1__WRITE_KIND__WRITE_KIND_BACK) take_row(asked, call->row);
    return true;
}

static bool take_replica_read(struct asked *asked, struct arena *arena, struct bytes body)
{
    Trillium__V1__ReplicaReadCall *call = rpc_decode(arena, &trillium__v1__replica_read_call__descriptor, body);
    if (!call || !take_partition(asked, call->partition)) return false;
    asked->limit = call->limit;
    return true;
}

static bool take_nothing(struct asked *asked, struct arena *arena, struct bytes body)
{
    (void)asked;
    (void)arena;
    (void)body;
    return true;
}

struct asked *asked_create(struct arena *arena, const struct frame_entry *call)
{
    static bool (*const takes[METHODS_MAX])(struct asked *, struct arena *, struct bytes) = {
        [METHOD_MESSAGE_CREATE] = take_create,
        [METHOD_MESSAGE_EDIT] = take_edit,
        [METHOD_MESSAGE_DELETE] = take_delete,
        [METHOD_CHANNEL_PURGE] = take_purge,
        [METHOD_MESSAGE_GET] = take_get,
        [METHOD_MESSAGE_LIST] = take_list,
        [METHOD_REPLICA_WRITE] = take_replica_write,
        [METHOD_REPLICA_READ] = take_replica_read,
        [METHOD_REPLICA_SPAN] = take_nothing,
        [METHOD_REPLICA_CLOSED] = take_nothing,
    };
    if (call->code >= METHODS_MAX || !takes[call->code]) return NULL;
    struct asked asked = {.method = call->code, .range = call->range, .epoch = call->epoch};
    if (!takes[call->code](&asked, arena, call->body)) return NULL;
    struct asked *kept = sim_alloc(sizeof *kept);
    *kept = asked;
    return kept;
}

/* ---- reads of replicas ---- */

struct asked_read {
    uint64_t left;
    uint32_t router, node, limit;
    uint8_t partition[KEY_CHANNEL_BYTES];
};

void asked_reads_add(struct asked_reads *reads, const struct asked *asked, uint32_t node)
{
    struct asked_read read = {.left = asked->left, .router = asked->caller, .node = node, .limit = asked->limit};
    memcpy(read.partition, asked->partition, sizeof read.partition);
    buffer_append(&reads->reads, &read, sizeof read);
}

uint32_t asked_reads_since(const struct asked_reads *reads, const struct asked *asked, uint32_t router)
{
    const struct asked_read *all = (const struct asked_read *)(const void *)reads->reads.data;
    uint64_t nodes = 0;
    for (size_t i = reads->reads.size / sizeof *all; i > 0 && all[i - 1].left > asked->heard; i--) {
        const struct asked_read *read = &all[i - 1];
        if (read->router != router || (asked->limit && read->limit != asked->limit)) continue;
        if (memcmp(read->partition, asked->partition, sizeof read->partition) == 0) nodes |= 1ull << read->node;
    }
    return (uint32_t)__builtin_popcountll(nodes);
}

void asked_reads_free(struct asked_reads *reads)
{
    buffer_free(&reads->reads);
}
