#include "routerd/coordinator/replicas.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/cluster/address.h"
#include "proto/replica.pb-c.h"
#include "routerd/coordinator/coordinator.h"

void replicas_init(struct replicas *replicas)
{
    *replicas = (struct replicas){0};
}

static void hang_up(struct replica *replica)
{
    timer_stop(&replica->probe_timer);
    timer_stop(&replica->space_timer);
    rpc_call_cancel(&replica->probe);
    rpc_call_cancel(&replica->space_call);
    rpc_peer_destroy(replica->peer);
    mem_free(replica);
}

void replicas_fini(struct replicas *replicas)
{
    size_t position = 0;
    for (struct replica *replica; (replica = map_next(&replicas->by_key, &position, NULL));)
        hang_up(replica);
    map_free(&replicas->by_key);
}

void replica_release(struct replica *replica)
{
    CHECK(replica->uses > 0);
    if (--replica->uses == 0 && replica->gone) hang_up(replica);
}

static void retire(struct replica *replica)
{
    replica->gone = true;
    if (replica->uses == 0) hang_up(replica);
}

static uint64_t key_of(struct node_id node, uint16_t shard)
{
    return (uint64_t)node.value << 16 | shard;
}

/* What it lacks would make reads wait for it again. Without writes on their way nobody knows, and it is tried. */
static bool is_still_behind(const struct replica *replica)
{
    return replica->behind && replica->uses > 0 && replica->write_us > replica_suspect_after_us(replica);
}

static void probed(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct replica *replica = CONTAINER_OF(call, struct replica, probe);
    bool answered = status_class(reply->status) != STATUS_CLASS_UNKNOWN && reply->status != STATUS_UNAVAILABLE;
    if (answered && replica->suspected && !is_still_behind(replica)) {
        replica->suspected = replica->behind = false;
        replica->answered_ns = reactor_now_ns(replica->coordinator->reactor);
        replica->coordinator->replicas.returns++;
        LOG(reactor_log(replica->coordinator->reactor), INFO, "replica.return", "node=%u shard=%u why=answered",
            replica->node.value, replica->shard);
    }
    if (replica->suspected) timer_start_in(&replica->probe_timer, (uint64_t)PROBE_EVERY_MS * 1000000);
}

/* Asks for the newest id of nothing: cheap, and it passes through the shard's queue as a read does. */
static void probe(struct timer *timer)
{
    struct replica *replica = CONTAINER_OF(timer, struct replica, probe_timer);
    struct range_id id = {replica->probe_range};
    const struct view_range *range = coordinator_range_by_id(replica->coordinator, id);
    Trillium__V1__ReplicaNewestCall body = TRILLIUM__V1__REPLICA_NEWEST_CALL__INIT;
    replica->probe = (struct rpc_call){.done = probed,
        .method = METHOD_REPLICA_NEWEST,
        .routed = true,
        .range = id.value,
        .epoch = range ? range->epoch : 0,
        .budget_us = PROBE_EVERY_MS * 1000};
    rpc_call_start(replica->peer, &replica->probe, RPC_MESSAGE(&body));
}

/* ---- disk space ---- */

static void ask_space(struct replica *replica);

/* All shards of a node tell the same: the first is enough for the log. */
static bool another_told(const struct replica *replica, enum space_level level)
{
    const struct map *all = &replica->coordinator->replicas.by_key;
    size_t position = 0;
    for (const struct replica *other; (other = map_next(all, &position, NULL));)
        if (other != replica && other->node.value == replica->node.value && other->space == level) return true;
    return false;
}

static void take_space(struct replica *replica, enum space_level level)
{
    if (replica->space != level && !another_told(replica, level))
        LOG(reactor_log(replica->coordinator->reactor), WARN, "replica.space",
            "node=%u before=%s now=%s why=\"its disk: it %s\"", replica->node.value, space_level_name(replica->space),
            space_level_name(level), space_level_text(level));
    replica->space = level;
    replica->space_known = true;
}

static void told_space(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct replica *replica = CONTAINER_OF(call, struct replica, space_call);
    struct coordinator *coordinator = replica->coordinator;
    Trillium__V1__ReplicaSpaceAnswer *answer = NULL;
    if (reply->status == STATUS_OK)
        answer = rpc_decode(&coordinator->scratch, &trillium__v1__replica_space_answer__descriptor, reply->body);
    if (answer) take_space(replica, space_level_of(answer->level));
    arena_reset(&coordinator->scratch);
    if (!rpc_peer_is_up(replica->peer)) return; /* asked again when it is */
    uint64_t at = replica->space_asked_ns + (uint64_t)SPACE_PAUSE_MS * 1000000;
    timer_start_at(&replica->space_timer, at);
}

static void ask_space(struct replica *replica)
{
    if (replica->coordinator->replicas.quiet || rpc_call_is_open(&replica->space_call)) return;
    if (!rpc_peer_is_up(replica->peer)) return;
    Trillium__V1__ReplicaSpaceCall body = TRILLIUM__V1__REPLICA_SPACE_CALL__INIT;
    body.have = replica->space_known ? (uint32_t)replica->space + 1 : 0;
    replica->space_asked_ns = reactor_now_ns(replica->coordinator->reactor);
    replica->space_call =
        (struct rpc_call){.done = told_space, .method = METHOD_REPLICA_SPACE, .budget_us = SPACE_PARK_MS * 1000};
    rpc_call_start(replica->peer, &replica->space_call, RPC_MESSAGE(&body));
}

static void ask_space_again(struct timer *timer)
{
    ask_space(CONTAINER_OF(timer, struct replica, space_timer));
}

void replicas_quieten(struct replicas *replicas)
{
    replicas->quiet = true;
    size_t position = 0;
    for (struct replica *replica; (replica = map_next(&replicas->by_key, &position, NULL));) {
        timer_stop(&replica->space_timer);
        rpc_call_cancel(&replica->space_call);
    }
}

uint32_t replicas_asking(const struct replicas *replicas)
{
    uint32_t asking = 0;
    size_t position = 0;
    for (struct replica *replica; (replica = map_next(&replicas->by_key, &position, NULL));)
        asking += rpc_call_is_open(&replica->space_call);
    return asking;
}

/* ---- pipes ---- */

/* A pipe that ends is told like any other suspicion: whoever reads the log asks when a replica was no longer asked. */
static void went_down(void *context, struct rpc_peer *peer)
{
    (void)peer;
    struct replica *replica = context;
    replica->was_down = true;
    replica->coordinator->replicas.suspicions++;
    LOG(reactor_log(replica->coordinator->reactor), WARN, "replica.suspect", "node=%u shard=%u why=down",
        replica->node.value, replica->shard);
}

static void came_up(void *context, struct rpc_peer *peer, const struct rpc_info *info)
{
    (void)peer;
    (void)info;
    struct replica *replica = context;
    replica->space_known = false;
    timer_stop(&replica->space_timer);
    ask_space(replica);
    if (!replica->was_down) return;
    replica->was_down = false;
    replica->coordinator->replicas.returns++;
    LOG(reactor_log(replica->coordinator->reactor), INFO, "replica.return", "node=%u shard=%u why=up",
        replica->node.value, replica->shard);
}

static enum status dial(struct replica *replica, const char *address, struct rpc_peer **out)
{
    struct rpc_peer_options options = {.address = address,
        .kind = RPC_INTERNAL,
        .roles = RPC_ROLE_BIT(RPC_ROLE_NODE),
        .up = came_up,
        .down = went_down,
        .context = replica};
    return rpc_peer_create(replica->coordinator->rpc, &options, out);
}

/* The node has started again. Its old pipe leads nowhere, whether that was noticed or not, and the dialer that was
   refused meanwhile may be pausing for seconds. */
static void dial_anew(struct replica *replica, const struct view_node *node)
{
    bool is_up = rpc_peer_is_up(replica->peer);
    bool is_older = replica->boot < node->boot && (!is_up || rpc_peer_info(replica->peer)->boot < node->boot);
    replica->boot = node->boot;
    struct rpc_peer *peer;
    if (!is_older || dial(replica, rpc_peer_address(replica->peer), &peer) != STATUS_OK) return;
    if (is_up) went_down(replica, replica->peer);
    rpc_peer_destroy(replica->peer);
    replica->peer = peer;
}

struct replica *replicas_get(struct coordinator *coordinator, struct node_id node_id, struct range_id range)
{
    const struct view_node *node = view_node_by_id(coordinator->view, node_id);
    if (!node || node->shards == 0) return NULL;
    uint16_t shard = view_shard_of(range, node->shards);
    struct replica *replica = map_get(&coordinator->replicas.by_key, key_of(node_id, shard));
    if (replica) return replica;
    char address[ADDRESS_BYTES];
    if (address_shift(node->address, PORT_RPC + shard, address) != STATUS_OK) return NULL;
    replica = mem_zalloc(sizeof *replica);
    replica->coordinator = coordinator;
    replica->node = node_id;
    replica->shard = shard;
    replica->boot = node->boot;
    if (dial(replica, address, &replica->peer) != STATUS_OK) {
        mem_free(replica);
        return NULL;
    }
    replica->p99_us = 5000;
    replica->mean_us = 1000;
    timer_init(&replica->probe_timer, coordinator->reactor, probe);
    timer_init(&replica->space_timer, coordinator->reactor, ask_space_again);
    map_put(&coordinator->replicas.by_key, key_of(node_id, shard), replica);
    return replica;
}

void replicas_follow_view(struct coordinator *coordinator)
{
    struct map kept = {0};
    size_t position = 0;
    uint64_t key;
    for (struct replica *replica; (replica = map_next(&coordinator->replicas.by_key, &position, &key));) {
        const struct view_node *node = view_node_by_id(coordinator->view, replica->node);
        char address[ADDRESS_BYTES];
        bool same = node && replica->shard < node->shards &&
                    address_shift(node->address, PORT_RPC + replica->shard, address) == STATUS_OK &&
                    strcmp(address, rpc_peer_address(replica->peer)) == 0;
        if (!same) {
            retire(replica);
            continue;
        }
        map_put(&kept, key, replica);
        dial_anew(replica, node);
    }
    map_free(&coordinator->replicas.by_key);
    coordinator->replicas.by_key = kept;
    /* Dial all shards of all nodes now, so that the first calls find them up. */
    for (unsigned n = 0; n < coordinator->view->ranges_count; n++) {
        struct replica *unused[REPLICAS_MAX];
        coordinator_replicas(coordinator, &coordinator->view->ranges[n], unused);
    }
}

void replica_answered(struct replica *replica, uint64_t latency_us)
{
    uint32_t sample = latency_us > 10000000 ? 10000000 : (uint32_t)latency_us;
    replica->mean_us = (uint32_t)(((uint64_t)replica->mean_us * 15 + sample) / 16);
    /* A stochastic quantile: 99 small steps down balance one big step up. */
    uint32_t step = replica->p99_us / 200 + 1;
    if (sample > replica->p99_us)
        replica->p99_us += step * 20;
    else if (replica->p99_us > step)
        replica->p99_us -= step / 5 + 1;
}

void replica_wrote(struct replica *replica, uint64_t latency_us)
{
    replica->write_us = latency_us > UINT32_MAX ? UINT32_MAX : (uint32_t)latency_us;
}

static void suspect(struct replica *replica, struct range_id range, const char *why)
{
    if (replica->suspected) return;
    replica->suspected = true;
    replica->probe_range = range.value;
    replica->coordinator->replicas.suspicions++;
    LOG(reactor_log(replica->coordinator->reactor), WARN, "replica.suspect", "node=%u shard=%u why=%s p99_us=%u",
        replica->node.value, replica->shard, why, replica->p99_us);
    timer_start_in(&replica->probe_timer, (uint64_t)PROBE_EVERY_MS * 1000000);
}

void replica_suspect(struct replica *replica, struct range_id range)
{
    suspect(replica, range, "slow");
}

void replica_suspect_behind(struct replica *replica, struct range_id range)
{
    replica->behind = true;
    replica->write_us = UINT32_MAX; /* until a write shows otherwise */
    suspect(replica, range, "behind");
}

uint64_t replica_hedge_after_us(const struct replica *replica)
{
    return replica->p99_us;
}

uint64_t replica_suspect_after_us(const struct replica *replica)
{
    uint64_t after = (uint64_t)replica->p99_us * SUSPECT_P99_FACTOR;
    return after < SUSPECT_AFTER_US_MIN ? SUSPECT_AFTER_US_MIN : after;
}

static int rank(const struct replica *replica)
{
    if (replica_is_usable(replica)) return replica_has_space(replica, SPACE_USE_WRITE) ? 0 : 1;
    return replica_is_up(replica) ? 2 : 3;
}

static bool is_better(const struct replica *a, const struct replica *b)
{
    if (rank(a) != rank(b)) return rank(a) < rank(b);
    if (a->mean_us != b->mean_us) return a->mean_us < b->mean_us;
    return key_of(a->node, a->shard) < key_of(b->node, b->shard);
}

void replicas_sort(struct replica **replicas, unsigned count)
{
    for (unsigned i = 1; i < count; i++)
        for (unsigned k = i; k > 0 && is_better(replicas[k], replicas[k - 1]); k--) {
            struct replica *swap = replicas[k];
            replicas[k] = replicas[k - 1];
            replicas[k - 1] = swap;
        }
}
