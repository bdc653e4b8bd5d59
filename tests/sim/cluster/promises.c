#include "tests/sim/cluster/promises.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/rpc/frame.h"
#include "common/rpc/rpc.h"
#include "proto/raft.pb-c.h"
#include "proto/replica.pb-c.h"
#include "tests/sim/cluster/asked.h"
#include "tests/sim/cluster/node_ledger.h"
#include "tests/sim/cluster/raft_ledger.h"
#include "tests/sim/sim_mem.h"

enum { PROMISES_DAEMONS_MAX = 16, NODE_PORT = 7300 };

struct promises {
    struct world *world;
    struct daemon *daemons;
    uint32_t daemons_count;
    struct sim_net_tap tap;
    struct node_ledger *nodes[PROMISES_DAEMONS_MAX];       /* NULL: no node */
    struct raft_ledger *controllers[PROMISES_DAEMONS_MAX]; /* NULL: no controller */
    struct map owners;
    struct map calls; /* struct asked, by pipe and id */
    struct asked_reads reads;
    struct map refused; /* struct asked_write, by content */
    struct arena arena;
    uint64_t order;
};

static uint64_t call_key(uint64_t pipe, uint64_t id)
{
    uint64_t key[2] = {pipe, id};
    return hash64(key, sizeof key, 0);
}

static bool is_node(const struct promises *promises, uint32_t host)
{
    return host < promises->daemons_count && promises->nodes[host];
}

static bool is_router(const struct promises *promises, uint32_t host)
{
    return host < promises->daemons_count && promises->daemons[host].kind == &KIND_ROUTERD;
}

/* ---- controllers: I5 ---- */

static void judge_raft(struct promises *promises, const struct raft_ledger *ledger, struct bytes body)
{
    Trillium__V1__RaftMessagesCall *call =
        rpc_decode(&promises->arena, &trillium__v1__raft_messages_call__descriptor, body);
    for (size_t i = 0; call && i < call->n_messages; i++) {
        const Trillium__V1__RaftMessage *from = call->messages[i];
        struct raft_message message = {.kind = (enum raft_message_kind)from->kind,
            .from = from->from,
            .to = from->to,
            .term = from->term,
            .index = from->index,
            .reject = from->reject};
        raft_ledger_judge(ledger, &message);
    }
}

/* ---- nodes: I5, I9 ---- */

static void judge_written(
    struct promises *promises, const struct asked *asked, uint32_t host, const struct frame_entry *answer)
{
    const struct node_ledger *ledger = promises->nodes[host];
    const char *name = promises->daemons[host].name;
    uint32_t log = asked->port - NODE_PORT;
    if (answer->stamp == 0 || answer->stamp > node_ledger_last(ledger, log)) {
        world_fail(promises->world, "I5",
            "%s answers %s with %s as record %" PRIu64 " of log %u, of which %" PRIu64 " are synced", name,
            method_name(asked->method), status_name((enum status)answer->code), answer->stamp, log,
            node_ledger_last(ledger, log));
        return;
    }
    const struct ledger_entry *entry = node_ledger_entry(ledger, log, answer->stamp);
    if (!entry || entry->range != asked->range)
        world_fail(promises->world, "I5",
            "%s answers a write of range %016" PRIx64 " with record %" PRIu64 ", which is of another", name,
            asked->range, answer->stamp);
    else if (asked->epoch < entry->epoch)
        world_fail(promises->world, "I9",
            "%s takes a write of epoch %" PRIu64 " of range %016" PRIx64 " although epoch %" PRIu64
            " is in force in its log",
            name, asked->epoch, asked->range, entry->epoch);
    if (entry && asked->method == METHOD_REPLICA_WRITE && asked->content && !node_ledger_holds(ledger, asked->content))
        world_fail(promises->world, "I5", "%s answers a write that its synced log does not hold", name);
}

static void judge_epoch(struct promises *promises, const struct asked *asked, uint32_t host)
{
    uint64_t durable = node_ledger_epoch(promises->nodes[host], asked->range);
    const char *name = promises->daemons[host].name;
    if (asked->epoch > durable)
        world_fail(promises->world, "I5",
            "%s serves range %016" PRIx64 " at epoch %" PRIu64 " while %" PRIu64 " is synced", name, asked->range,
            asked->epoch, durable);
}

static void judge_node(
    struct promises *promises, const struct asked *asked, uint32_t host, const struct frame_entry *answer)
{
    enum status status = (enum status)answer->code;
    bool done = status_is_done(status);
    switch (asked->method) {
    case METHOD_REPLICA_WRITE:
    case METHOD_REPLICA_SPAN:
    case METHOD_REPLICA_CLOSED:
        if (done || status == STATUS_ID_TAKEN) judge_written(promises, asked, host, answer);
        break;
    case METHOD_REPLICA_READ:
        if (done) judge_epoch(promises, asked, host);
        break;
    default:
        break;
    }
}

/* ---- routers: I12, I20, I23 ---- */

static uint32_t needed(uint32_t level, uint32_t nodes)
{
    uint32_t replicas = nodes < 3 ? nodes : 3;
    return level == 1 ? 1 : level == 2 ? replicas / 2 + 1 : replicas;
}

static uint32_t nodes_count(const struct promises *promises)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < promises->daemons_count; i++)
        count += promises->nodes[i] != NULL;
    return count;
}

static uint32_t holders(const struct promises *promises, const struct asked *asked, enum status status)
{
    struct bytes partition = bytes_of(asked->partition, sizeof asked->partition);
    uint32_t count = 0;
    for (uint32_t i = 0; i < promises->daemons_count; i++) {
        if (!promises->nodes[i]) continue;
        bool under_delete = status == STATUS_DELETED && node_ledger_deletes(promises->nodes[i], partition, asked->id);
        count += under_delete || (status != STATUS_DELETED && node_ledger_holds(promises->nodes[i], asked->content));
    }
    return count;
}

static void judge_kept(struct promises *promises, const struct asked *asked, uint32_t host, enum status status)
{
    uint32_t level = status == STATUS_DELETED ? 2 : asked->level;
    uint32_t least = needed(level, nodes_count(promises)), found = holders(promises, asked, status);
    if (found < least)
        world_fail(promises->world, "I12",
            "%s answers %s of message %" PRIu64 " with %s at level %u, and %u of %u synced images hold it",
            promises->daemons[host].name, method_name(asked->method), asked->id, status_name(status), level, found,
            least);
}

/* How often a content was sent, and how often refused. */
struct asked_write {
    uint32_t sent, refused;
    uint64_t id;
};

static struct asked_write *write_of(struct promises *promises, uint64_t content)
{
    struct asked_write *write = map_get(&promises->refused, content);
    if (write) return write;
    write = sim_alloc(sizeof *write);
    map_put(&promises->refused, content, write);
    return write;
}

static bool is_refusal(enum status status)
{
    return status_class(status) == STATUS_CLASS_REFUSED || status_class(status) == STATUS_CLASS_RETRY;
}

static void judge_write(
    struct promises *promises, const struct asked *asked, uint32_t host, const struct frame_entry *answer)
{
    enum status status = (enum status)answer->code;
    struct asked copy = *asked;
    if (asked->method == METHOD_CHANNEL_PURGE && status_is_done(status))
        asked_take_purge(&copy, &promises->arena, answer->body);
    if (is_refusal(status) && asked->is_row) write_of(promises, asked->content)->refused++;
    if (copy.content && (status_is_done(status) || status == STATUS_DELETED)) judge_kept(promises, &copy, host, status);
}

static void judge_read(
    struct promises *promises, const struct asked *asked, uint32_t host, const struct frame_entry *answer)
{
    enum status status = (enum status)answer->code;
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) return;
    uint32_t least = needed(asked->level, nodes_count(promises)),
             found = asked_reads_since(&promises->reads, asked, host);
    if (found < least)
        world_fail(promises->world, "I20",
            "%s answers %s of channel %" PRIu64
            " at level %u, and only %u of %u replicas were asked since the call came",
            promises->daemons[host].name, method_name(asked->method), asked->channel, asked->level, found, least);
}

static void judge_router(
    struct promises *promises, const struct asked *asked, uint32_t host, const struct frame_entry *answer)
{
    if (asked->method == METHOD_MESSAGE_GET || asked->method == METHOD_MESSAGE_LIST)
        judge_read(promises, asked, host, answer);
    else
        judge_write(promises, asked, host, answer);
}

void promises_judge_refusals(struct promises *promises)
{
    uint64_t content;
    size_t position = 0;
    for (struct asked_write *write; (write = map_next(&promises->refused, &position, &content));) {
        if (write->refused == 0 || write->refused < write->sent) continue;
        for (uint32_t i = 0; i < promises->daemons_count; i++)
            if (promises->nodes[i] && node_ledger_holds(promises->nodes[i], content))
                world_fail(promises->world, "I23", "%s holds message %" PRIu64 " although it was refused",
                    promises->daemons[i].name, write->id);
    }
}

/* ---- frames ---- */

static void call_leaves(struct promises *promises, const struct sim_net_frame *frame, const struct frame_entry *call)
{
    if (call->code == METHOD_RAFT_STEP && frame->from < promises->daemons_count && promises->controllers[frame->from])
        judge_raft(promises, promises->controllers[frame->from], call->body);
    struct asked *asked = asked_create(&promises->arena, call);
    if (!asked) return;
    asked->left = promises->order;
    asked->caller = frame->from;
    if (frame->listener) asked->port = (uint32_t)atoi(strrchr(frame->listener, ':') + 1);
    if (asked->method == METHOD_REPLICA_READ) asked_reads_add(&promises->reads, asked, frame->to);
    if (asked->is_row) {
        struct asked_write *write = write_of(promises, asked->content);
        write->sent++;
        write->id = asked->id;
    }
    mem_free(map_put(&promises->calls, call_key(frame->pipe, call->id), asked));
}

static void answer_leaves(
    struct promises *promises, const struct sim_net_frame *frame, const struct frame_entry *answer)
{
    struct asked *asked = map_remove(&promises->calls, call_key(frame->pipe, answer->id));
    if (!asked) return;
    if (is_node(promises, frame->from)) judge_node(promises, asked, frame->from, answer);
    if (is_router(promises, frame->from)) judge_router(promises, asked, frame->from, answer);
    mem_free(asked);
}

static void frame_sent(void *context, const struct sim_net_frame *frame)
{
    struct promises *promises = context;
    struct reader reader = frame_entries(bytes_of(frame->data, frame->size));
    struct frame_entry entry;
    promises->order++;
    while (frame_next(&reader, &entry)) {
        if (entry.kind == FRAME_CALL) call_leaves(promises, frame, &entry);
        if (entry.kind == FRAME_ANSWER) answer_leaves(promises, frame, &entry);
        arena_reset(&promises->arena);
    }
}

static void frame_heard(void *context, const struct sim_net_frame *frame)
{
    struct promises *promises = context;
    if (!is_router(promises, frame->to) || !frame->to_listener) return;
    struct reader reader = frame_entries(bytes_of(frame->data, frame->size));
    struct frame_entry entry;
    promises->order++;
    while (frame_next(&reader, &entry)) {
        if (entry.kind != FRAME_CALL) continue;
        struct asked *asked = map_get(&promises->calls, call_key(frame->pipe, entry.id));
        if (asked && asked->heard == 0) asked->heard = promises->order;
    }
}

/* ---- life ---- */

struct promises *promises_create(
    struct world *world, struct sim_net *net, struct daemon *daemons, uint32_t daemons_count)
{
    CHECK(daemons_count <= PROMISES_DAEMONS_MAX);
    struct promises *promises = sim_alloc(sizeof *promises);
    promises->world = world;
    promises->daemons = daemons;
    promises->daemons_count = daemons_count;
    for (uint32_t i = 0; i < daemons_count; i++) {
        struct daemon *daemon = &daemons[i];
        CHECK(daemon->host == i);
        if (daemon->kind == &KIND_NODED)
            promises->nodes[i] = node_ledger_create(world, daemon->name, daemon->disk, &promises->owners);
        if (daemon->kind == &KIND_CONTROLD)
            promises->controllers[i] = raft_ledger_create(world, daemon->name, daemon->disk);
    }
    promises->tap = (struct sim_net_tap){frame_sent, frame_heard, promises};
    sim_net_tap(net, &promises->tap);
    return promises;
}

static void free_values(struct map *map)
{
    size_t position = 0;
    for (void *value; (value = map_next(map, &position, NULL));)
        mem_free(value);
    map_free(map);
}

void promises_destroy(struct promises *promises)
{
    for (uint32_t i = 0; i < promises->daemons_count; i++) {
        if (promises->nodes[i]) node_ledger_destroy(promises->nodes[i]);
        if (promises->controllers[i]) raft_ledger_destroy(promises->controllers[i]);
    }
    map_free(&promises->owners);
    free_values(&promises->calls);
    free_values(&promises->refused);
    asked_reads_free(&promises->reads);
    arena_free(&promises->arena);
    mem_free(promises);
}

void promises_reboot(struct promises *promises, uint32_t daemon)
{
    if (promises->nodes[daemon]) node_ledger_reboot(promises->nodes[daemon]);
    if (promises->controllers[daemon]) raft_ledger_reboot(promises->controllers[daemon]);
}

void promises_synced(struct promises *promises, uint32_t daemon, bool names)
{
    if (promises->nodes[daemon]) node_ledger_follow(promises->nodes[daemon], names);
    if (promises->controllers[daemon]) raft_ledger_follow(promises->controllers[daemon], names);
}
