#include "noded/api/fill.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/cluster/address.h"
#include "common/rpc/rpc.h"
#include "noded/replica/copying.h"
#include "noded/replica/page_cutter.h"
#include "noded/shard/change.h"
#include "proto/replica.pb-c.h"

enum {
    PIECE_BYTES = 192 << 10,
    NOTE_EVERY_BYTES = 8 << 20,
    NOTE_EVERY_MS = 2000,
    CALL_MS = 2000,
    UP_MS = 3000, /* for sources to come up */
    LOOK_MS = 20,
    RETRY_MS = 2,
    ATTEMPTS_MAX = 8, /* of one piece */
};

struct source {
    struct fill *fill;
    struct node_id node;
    struct rpc_peer *peer;
    struct rpc_call call;
    enum status status;
    struct bytes body;
    struct copying *answer; /* in the fill's arena */
};

struct fill {
    struct fill_options options;
    struct shard *shard;
    struct replica *replica;
    struct reactor *reactor;
    struct fiber *fiber;
    uint64_t lapsed_at;
    struct copy_position position;
    struct source sources[REPLICAS_MAX];
    unsigned sources_count;
    unsigned open;      /* calls, then changes, under way */
    struct arena arena; /* of one piece */
    uint64_t started_ns, bytes, noted_ns, noted_bytes;
};

unsigned fill_sources_needed(const struct view_range *record)
{
    unsigned quorum = record->replicas_count / 2u + 1;
    unsigned needed = record->replicas_count - quorum + 1;
    return PLANT(rebuild_from_one) ? 1 : needed;
}

static bool is_source(const struct replica *replica, unsigned place)
{
    const struct view_range *record = &replica->record;
    return record->replicas[place].value != replica->self.value && !view_range_is_lapsed(record, place);
}

bool fill_has_sources(const struct replica *replica)
{
    unsigned count = 0;
    for (unsigned i = 0; i < replica->record.replicas_count; i++)
        count += is_source(replica, i);
    return count >= fill_sources_needed(&replica->record);
}

/* What is being done is still what is to be done. */
static bool goes_on(const struct fill *fill)
{
    const struct replica *replica = fill->replica;
    return !*fill->options.stop && replica->health == REPLICA_REBUILDING && replica->cleared_at == fill->lapsed_at;
}

static void pause_ms(const struct fill *fill, uint64_t ms)
{
    fiber_sleep_until(fill->reactor, reactor_now_ns(fill->reactor) + ms * 1000000);
}

/* ---- sources ---- */

static enum status dial(struct fill *fill, struct node_id node_id)
{
    const struct shared_view *view = fill->shard->view;
    const struct view_node *node = view ? view_node_by_id(&view->view, node_id) : NULL;
    char address[ADDRESS_BYTES];
    if (!node || node->shards == 0) return STATUS_UNAVAILABLE;
    enum status status =
        address_shift(node->address, PORT_RPC + view_shard_of(fill->replica->id, node->shards), address);
    if (status != STATUS_OK) return status;
    struct source *source = &fill->sources[fill->sources_count];
    *source = (struct source){.fill = fill, .node = node_id};
    struct rpc_peer_options options = {.address = address, .kind = RPC_INTERNAL, .roles = RPC_ROLE_BIT(RPC_ROLE_NODE)};
    status = rpc_peer_create(fill->options.rpc, &options, &source->peer);
    if (status == STATUS_OK) fill->sources_count++;
    return status;
}

static void dial_all(struct fill *fill)
{
    const struct view_range *record = &fill->replica->record;
    for (unsigned i = 0; i < record->replicas_count; i++)
        if (is_source(fill->replica, i) && dial(fill, record->replicas[i]) != STATUS_OK)
            LOG(reactor_log(fill->reactor), WARN, "rebuild.undialed", "node=%u", record->replicas[i].value);
}

/* The first so many that are up come to the front. False after UP_MS. */
static bool gather_sources(struct fill *fill, unsigned needed)
{
    uint64_t end = reactor_now_ns(fill->reactor) + (uint64_t)UP_MS * 1000000;
    while (goes_on(fill)) {
        unsigned up = 0;
        for (unsigned i = 0; i < fill->sources_count && up < needed; i++) {
            if (!rpc_peer_is_up(fill->sources[i].peer)) continue;
            struct source swap = fill->sources[up];
            fill->sources[up++] = fill->sources[i];
            if (i >= up) fill->sources[i] = swap;
        }
        if (up == needed) return true;
        if (reactor_now_ns(fill->reactor) >= end) return false;
        pause_ms(fill, LOOK_MS);
    }
    return false;
}

static void replied(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct source *source = CONTAINER_OF(call, struct source, call);
    struct fill *fill = source->fill;
    source->status = reply->status;
    source->body = bytes_of(arena_copy(&fill->arena, reply->body.data, reply->body.size), reply->body.size);
    fill->open--;
    fiber_wake(fill->fiber);
}

static void wait_for_all(struct fill *fill)
{
    while (fill->open > 0)
        fiber_suspend(fill->reactor);
}

static void start_call(struct source *source, uint16_t method, uint64_t epoch, const struct rpc_body *body)
{
    struct fill *fill = source->fill;
    source->call = (struct rpc_call){.done = replied,
        .method = method,
        .routed = true,
        .range = fill->replica->id.value,
        .epoch = epoch,
        .budget_us = CALL_MS * 1000};
    fill->open++;
    rpc_call_start(source->peer, &source->call, body);
}

static void ask(struct source *source, uint64_t epoch)
{
    const struct copy_position *position = &source->fill->position;
    Trillium__V1__ReplicaCopyCall body = TRILLIUM__V1__REPLICA_COPY_CALL__INIT;
    body.partition = (ProtobufCBinaryData){position->partition.size, position->partition.data};
    body.hi = position->hi;
    body.bytes_max = PIECE_BYTES;
    start_call(source, METHOD_REPLICA_COPY, epoch, RPC_MESSAGE(&body));
}

/* A source of another epoch: the one that is behind adopts the other's record, durably. */
static void settle_epoch(struct source *source)
{
    struct fill *fill = source->fill;
    struct view_range theirs;
    struct reader reader = reader_of(source->body);
    if (view_range_decode(&reader, &theirs) != STATUS_OK || theirs.id.value != fill->replica->id.value) return;
    if (theirs.epoch > fill->replica->record.epoch) {
        struct replica *unused;
        if (shard_adopt(fill->shard, &theirs, &unused) != STATUS_OK) pause_ms(fill, LOOK_MS);
        return;
    }
    struct buffer record = {0};
    view_range_encode(&fill->replica->record, &record);
    Trillium__V1__ReplicaAdoptCall body = TRILLIUM__V1__REPLICA_ADOPT_CALL__INIT;
    body.record = (ProtobufCBinaryData){record.size, record.data};
    start_call(source, METHOD_REPLICA_ADOPT, fill->replica->record.epoch, RPC_MESSAGE(&body));
    wait_for_all(fill);
    buffer_free(&record);
    source->status = STATUS_STALE_EPOCH;
}

/* The next piece from the first so many sources. */
static enum status fetch(struct fill *fill, unsigned needed)
{
    for (unsigned i = 0; i < needed; i++)
        ask(&fill->sources[i], fill->replica->record.epoch);
    wait_for_all(fill);
    for (unsigned i = 0; i < needed; i++)
        if (fill->sources[i].status == STATUS_STALE_EPOCH) settle_epoch(&fill->sources[i]);
    for (unsigned i = 0; i < needed; i++) {
        struct source *source = &fill->sources[i];
        if (source->status != STATUS_OK) return source->status;
        source->answer = arena_alloc(&fill->arena, sizeof *source->answer);
        enum status status = copying_decode(source->body, source->answer, &fill->arena);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

/* ---- applying ---- */

static void applied(struct change *change)
{
    struct fill *fill = change->context;
    fill->open--;
    fiber_wake(fill->fiber);
}

static enum status submit(struct fill *fill, struct change *change)
{
    enum status status = STATUS_BUSY;
    while (status == STATUS_BUSY) {
        if (!goes_on(fill)) return STATUS_UNAVAILABLE;
        change->epoch = fill->replica->record.epoch;
        status = change_start(fill->shard, change);
        if (status == STATUS_BUSY) pause_ms(fill, RETRY_MS);
    }
    fill->open += status == STATUS_OK;
    return status;
}

static enum status apply_large(struct fill *fill, struct change *change)
{
    struct page_cutter cutter;
    enum status status = STATUS_OK;
    page_cutter_init(&cutter, change->record.body);
    while (status == STATUS_OK && page_cutter_next(&cutter, &change->record)) {
        status = submit(fill, change);
        wait_for_all(fill);
    }
    page_cutter_fini(&cutter);
    return status;
}

static enum status apply_part(struct fill *fill, const struct copying_part *part)
{
    struct change *change = arena_zalloc(&fill->arena, sizeof *change);
    struct record *record = &change->record;
    change->done = applied;
    change->context = fill;
    record->kind = RECORD_PAGE;
    record->range = fill->replica->id;
    record->partition = part->partition;
    record->body = part->page;
    enum status status = replica_check_page(record->body, &record->lo, &record->hi);
    if (status != STATUS_OK) return status;
    fill->bytes += record->body.size;
    fill->shard->counters.copied_bytes += record->body.size;
    if (record->body.size > PAGE_RECORD_BYTES) return apply_large(fill, change);
    return record->lo <= record->hi ? submit(fill, change) : STATUS_OK;
}

/* Applies what the sources answered; the position moves to where the first of the answers ended. */
static enum status apply(struct fill *fill, unsigned needed)
{
    struct copy_position next = {0}, ended = {0};
    enum status status = STATUS_OK;
    for (unsigned i = 0; i < needed && status == STATUS_OK; i++) {
        const struct source *source = &fill->sources[i];
        copying_position_after(source->answer, &ended);
        if (i == 0 || copy_position_compare(&ended, &next) < 0) copy_position_assign(&next, &ended);
        if (i > 0 && bytes_equal(source->body, fill->sources[0].body)) continue;
        for (uint32_t k = 0; k < source->answer->count && status == STATUS_OK; k++)
            status = apply_part(fill, &source->answer->parts[k]);
    }
    wait_for_all(fill);
    if (status == STATUS_OK && copy_position_compare(&next, &fill->position) <= 0) status = STATUS_BAD_REQUEST;
    if (status == STATUS_OK) copy_position_assign(&fill->position, &next);
    copy_position_free(&next);
    copy_position_free(&ended);
    return status;
}

/* ---- the run ---- */

static enum status note_position(struct fill *fill)
{
    uint64_t now = reactor_now_ns(fill->reactor);
    bool due = fill->position.done || fill->bytes - fill->noted_bytes >= NOTE_EVERY_BYTES ||
               now - fill->noted_ns >= (uint64_t)NOTE_EVERY_MS * 1000000;
    if (!due) return STATUS_OK;
    fill->noted_ns = now;
    fill->noted_bytes = fill->bytes;
    return goes_on(fill) ? shard_note_copied(fill->shard, fill->replica, &fill->position) : STATUS_UNAVAILABLE;
}

static void keep_pace(const struct fill *fill)
{
    uint64_t due = fill->started_ns + fill->bytes * 1000000000 / fill->options.bytes_per_second;
    if (due > reactor_now_ns(fill->reactor)) fiber_sleep_until(fill->reactor, due);
}

static enum status fill_all(struct fill *fill)
{
    unsigned attempts = 0;
    while (!fill->position.done) {
        unsigned needed = fill_sources_needed(&fill->replica->record);
        if (!gather_sources(fill, needed)) return STATUS_UNAVAILABLE;
        enum status status = fetch(fill, needed);
        if (status == STATUS_OK) status = apply(fill, needed);
        arena_reset(&fill->arena);
        if (!goes_on(fill)) return STATUS_UNAVAILABLE;
        if (status == STATUS_OK) {
            attempts = 0;
            status = note_position(fill);
            if (status != STATUS_OK) return status;
            keep_pace(fill);
        } else if (++attempts == ATTEMPTS_MAX) {
            return status;
        } else if (status != STATUS_STALE_EPOCH) {
            pause_ms(fill, LOOK_MS);
        }
    }
    return STATUS_OK;
}

enum status fill_run(const struct fill_options *options)
{
    CHECK(options->bytes_per_second > 0);
    struct fill *fill = mem_zalloc(sizeof *fill);
    fill->options = *options;
    fill->shard = options->shard;
    fill->replica = options->replica;
    fill->reactor = options->shard->reactor;
    fill->fiber = fiber_current(fill->reactor);
    fill->lapsed_at = options->replica->cleared_at;
    fill->started_ns = fill->noted_ns = reactor_now_ns(fill->reactor);
    copy_position_assign(&fill->position, &options->replica->copied);
    dial_all(fill);
    enum status status = fill_all(fill);
    LOG(reactor_log(fill->reactor), INFO, "rebuild.filled", "range=%016llx bytes=%llu status=%s",
        (unsigned long long)fill->replica->id.value, (unsigned long long)fill->bytes, status_name(status));
    for (unsigned i = 0; i < fill->sources_count; i++)
        rpc_peer_destroy(fill->sources[i].peer);
    copy_position_free(&fill->position);
    arena_free(&fill->arena);
    mem_free(fill);
    return status;
}
