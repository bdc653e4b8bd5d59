#include "routerd/coordinator/read.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/model/key.h"
#include "proto/replica.pb-c.h"
#include "routerd/coordinator/read_repair.h"

enum { RESTARTS_MAX = 4, HEDGE_BURST = 16 };

enum slot_state { SLOT_SPARE, SLOT_WAITING, SLOT_ANSWERED, SLOT_FAILED };

struct read_slot {
    struct read *read;
    struct replica *replica;
    struct rpc_call call;
    enum slot_state state;
    bool data, first_choice, late; /* late: another one was asked in its place */
    uint64_t asked_ns;
    struct digest digest;
    struct buffer page; /* data */
    uint64_t through;
    bool more;
};

struct read {
    struct coordinator *coordinator;
    struct read_spec spec;
    uint8_t partition[KEY_CHANNEL_BYTES];
    struct range_id range;
    uint64_t epoch, deadline_ns;
    uint8_t needed;
    unsigned restarts, slots_count;
    struct read_slot slots[REPLICAS_MAX];
    enum status failure; /* what to answer when too few answered */
    struct timer timer;  /* hedging and suspicion */
    struct task restart; /* begins, and begins again, outside of callbacks */
    void (*done)(void *context, enum status status, struct bytes page, bool more);
    void *context;
};

static void replied(struct rpc_call *call, const struct rpc_reply *reply);

static uint64_t now_ns(const struct read *read)
{
    return reactor_now_ns(read->coordinator->reactor);
}

static uint32_t budget_left_us(const struct read *read)
{
    uint64_t now = now_ns(read);
    uint64_t left = read->deadline_ns > now ? (read->deadline_ns - now) / 1000 : 0;
    return left > 1000 ? (uint32_t)left : 1000;
}

static void release_slots(struct read *read)
{
    for (unsigned i = 0; i < read->slots_count; i++) {
        struct read_slot *slot = &read->slots[i];
        rpc_call_cancel(&slot->call);
        buffer_free(&slot->page);
        replica_release(slot->replica);
    }
    read->slots_count = 0;
    timer_stop(&read->timer);
}

static void finish(struct read *read, enum status status, struct bytes page, bool more)
{
    task_cancel(&read->restart);
    read->coordinator->open--;
    read->done(read->context, status, page, more);
    release_slots(read);
    mem_free(read);
}

static void ask(struct read_slot *slot, bool data, bool first_choice)
{
    struct read *read = slot->read;
    const struct read_spec *spec = &read->spec;
    Trillium__V1__ReplicaReadCall body = TRILLIUM__V1__REPLICA_READ_CALL__INIT;
    body.partition = (ProtobufCBinaryData){spec->partition.size, read->partition};
    body.lo = spec->lo;
    body.hi = spec->hi;
    body.oldest_first = spec->direction == PAGE_OLDEST_FIRST;
    body.limit = spec->limit;
    body.bytes_max = spec->bytes_max;
    body.mode = data ? TRILLIUM__V1__READ_MODE__READ_MODE_DATA : TRILLIUM__V1__READ_MODE__READ_MODE_DIGEST;
    slot->state = SLOT_WAITING;
    slot->data = data;
    slot->first_choice = first_choice;
    slot->asked_ns = now_ns(read);
    slot->call = (struct rpc_call){.done = replied,
        .method = METHOD_REPLICA_READ,
        .trace = spec->trace,
        .routed = true,
        .range = read->range.value,
        .epoch = read->epoch,
        .budget_us = budget_left_us(read)};
    rpc_call_start(slot->replica->peer, &slot->call, RPC_MESSAGE(&body));
}

/* Asks one more replica; false when none is left. Slots are sorted best first. */
static bool ask_spare(struct read *read, bool data)
{
    for (unsigned i = 0; i < read->slots_count; i++) {
        struct read_slot *slot = &read->slots[i];
        if (slot->state != SLOT_SPARE || !replica_is_up(slot->replica)) continue;
        ask(slot, data, false);
        return true;
    }
    return false;
}

static bool hedge_is_affordable(const struct coordinator *coordinator)
{
    const struct coordinator_counters *counters = &coordinator->counters;
    return counters->hedges * 100 <= counters->reads * HEDGE_PERCENT + HEDGE_BURST * 100;
}

static bool somebody_answered_since(const struct read *read, const struct read_slot *late)
{
    for (unsigned i = 0; i < read->slots_count; i++)
        if (&read->slots[i] != late && read->slots[i].replica->answered_ns > late->asked_ns) return true;
    return false;
}

/* Looks at one waiting slot; returns when to look again. */
static uint64_t check_late(struct read_slot *slot)
{
    struct read *read = slot->read;
    uint64_t waited_us = (now_ns(read) - slot->asked_ns) / 1000;
    uint64_t hedge_us = replica_hedge_after_us(slot->replica), suspect_us = replica_suspect_after_us(slot->replica);
    if (waited_us >= suspect_us && somebody_answered_since(read, slot)) {
        replica_suspect(slot->replica, read->range);
        if (!slot->late) slot->late = ask_spare(read, slot->data);
        return REACTOR_NEVER;
    }
    if (waited_us >= hedge_us && !slot->late && hedge_is_affordable(read->coordinator)) {
        slot->late = ask_spare(read, slot->data);
        read->coordinator->counters.hedges += slot->late;
    }
    uint64_t next_us = waited_us < hedge_us ? hedge_us : waited_us < suspect_us ? suspect_us : waited_us + 10000;
    return slot->asked_ns + next_us * 1000;
}

static void watch(struct timer *timer)
{
    struct read *read = CONTAINER_OF(timer, struct read, timer);
    uint64_t next = REACTOR_NEVER;
    for (unsigned i = 0; i < read->slots_count; i++) {
        if (read->slots[i].state != SLOT_WAITING) continue;
        uint64_t at = check_late(&read->slots[i]);
        if (at < next) next = at;
    }
    if (next != REACTOR_NEVER) timer_start_at(&read->timer, next);
}

static void begin(struct task *task)
{
    struct read *read = CONTAINER_OF(task, struct read, restart);
    struct coordinator *coordinator = read->coordinator;
    release_slots(read);
    const struct view_range *range = coordinator_range(coordinator, read->spec.table, read->spec.token);
    struct replica *replicas[REPLICAS_MAX];
    unsigned count = range ? coordinator_readable(coordinator, range, replicas) : 0, up = 0;
    for (unsigned i = 0; i < count; i++)
        up += replica_is_up(replicas[i]);
    if (count == 0 || up < level_needed(read->spec.level, range->replicas_count)) {
        finish(read, STATUS_UNAVAILABLE, bytes_of(NULL, 0), false);
        return;
    }
    replicas_sort(replicas, count);
    read->range = range->id;
    read->epoch = range->epoch;
    read->needed = level_needed(read->spec.level, range->replicas_count);
    read->failure = STATUS_UNAVAILABLE;
    for (unsigned i = 0; i < count; i++) {
        struct read_slot *slot = &read->slots[read->slots_count++];
        *slot = (struct read_slot){.read = read, .replica = replica_use(replicas[i])};
    }
    for (unsigned i = 0; i < read->needed; i++)
        ask(&read->slots[i], i == 0, true);
    timer_start_in(&read->timer, replica_hedge_after_us(read->slots[0].replica) * 1000);
}

static void begin_again(struct read *read, enum status why)
{
    for (unsigned i = 0; i < read->slots_count; i++)
        rpc_call_cancel(&read->slots[i].call);
    if (++read->restarts > RESTARTS_MAX || now_ns(read) >= read->deadline_ns) {
        finish(read, why, bytes_of(NULL, 0), false);
        return;
    }
    reactor_defer(read->coordinator->reactor, &read->restart);
}

static void repaired(void *context, enum status status, struct bytes page, bool more)
{
    struct read *read = context;
    if (status == STATUS_OK)
        finish(read, STATUS_OK, page, more);
    else
        begin_again(read, status);
}

static void start_repair(struct read *read, const struct read_slot *data)
{
    read->coordinator->counters.mismatches++;
    timer_stop(&read->timer);
    struct read_repair_spec repair = {.read = &read->spec,
        .range = read->range,
        .epoch = read->epoch,
        .deadline_ns = read->deadline_ns,
        .through = data->through,
        .more = data->more,
        .needed = read->needed};
    for (unsigned i = 0; i < read->slots_count; i++) {
        struct read_slot *slot = &read->slots[i];
        rpc_call_cancel(&slot->call);
        repair.all[repair.all_count++] = slot->replica;
        if (slot->state == SLOT_ANSWERED) repair.replicas[repair.replicas_count++] = slot->replica;
    }
    read_repair_start(read->coordinator, &repair, repaired, read);
}

static void judge(struct read *read)
{
    unsigned answered = 0, waiting = 0;
    const struct read_slot *data = NULL, *any = NULL;
    bool equal = true;
    for (unsigned i = 0; i < read->slots_count; i++) {
        const struct read_slot *slot = &read->slots[i];
        waiting += slot->state == SLOT_WAITING;
        if (slot->state != SLOT_ANSWERED) continue;
        answered++;
        if (any && memcmp(&any->digest, &slot->digest, sizeof slot->digest) != 0) equal = false;
        any = slot;
        if (slot->data) data = slot;
    }
    if (answered >= read->needed && data) {
        if (equal)
            finish(read, STATUS_OK, buffer_bytes(&data->page), data->more);
        else
            start_repair(read, data);
        return;
    }
    if (answered + waiting < read->needed || (!data && waiting == 0)) {
        if (ask_spare(read, data == NULL)) return;
        begin_again(read, read->failure);
    }
}

/* What follows trusts the order and the bounds of a page. */
static bool is_answer(const struct read_slot *slot, const Trillium__V1__ReplicaReadAnswer *answer)
{
    const struct read_spec *spec = &slot->read->spec;
    if (answer == NULL || answer->digest.len != sizeof slot->digest) return false;
    struct bytes page = bytes_of(answer->page.data, answer->page.len);
    return !slot->data || page_is_answer(page, spec->direction, spec->lo, spec->hi, spec->limit);
}

static void take_answer(struct read_slot *slot, const struct rpc_reply *reply)
{
    struct arena *arena = &slot->read->coordinator->scratch;
    Trillium__V1__ReplicaReadAnswer *answer =
        rpc_decode(arena, &trillium__v1__replica_read_answer__descriptor, reply->body);
    slot->state = SLOT_FAILED;
    if (is_answer(slot, answer)) {
        memcpy(&slot->digest, answer->digest.data, sizeof slot->digest);
        slot->through = answer->complete_through;
        slot->more = answer->more;
        buffer_clear(&slot->page);
        buffer_append(&slot->page, answer->page.data, answer->page.len);
        slot->state = SLOT_ANSWERED;
    }
    arena_reset(arena);
}

static void replied(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct read_slot *slot = CONTAINER_OF(call, struct read_slot, call);
    struct read *read = slot->read;
    if (reply->status == STATUS_OK) {
        slot->replica->answered_ns = now_ns(read);
        if (slot->first_choice) replica_answered(slot->replica, (now_ns(read) - slot->asked_ns) / 1000);
        take_answer(slot, reply);
    } else {
        slot->state = SLOT_FAILED;
        read->failure = status_class(reply->status) == STATUS_CLASS_RETRY ? reply->status : STATUS_TIMEOUT;
        if (reply->status == STATUS_STALE_EPOCH) {
            coordinator_settle_epoch(read->coordinator, slot->replica, read->range, reply->body);
            begin_again(read, STATUS_UNAVAILABLE);
            return;
        }
    }
    judge(read);
}

void read_start(struct coordinator *coordinator, const struct read_spec *spec,
    void (*done)(void *context, enum status status, struct bytes page, bool more), void *context)
{
    CHECK(spec->partition.size <= KEY_CHANNEL_BYTES && spec->limit > 0 && spec->lo <= spec->hi);
    struct read *read = mem_zalloc(sizeof *read);
    read->coordinator = coordinator;
    read->spec = *spec;
    memcpy(read->partition, spec->partition.data, spec->partition.size);
    read->spec.partition.data = read->partition;
    uint32_t budget = spec->budget_us ? spec->budget_us : CALL_BUDGET_MS_DEFAULT * 1000;
    read->deadline_ns = reactor_now_ns(coordinator->reactor) + (uint64_t)budget * 1000;
    read->done = done;
    read->context = context;
    timer_init(&read->timer, coordinator->reactor, watch);
    task_init(&read->restart, begin);
    coordinator->counters.reads++;
    coordinator->open++;
    reactor_defer(coordinator->reactor, &read->restart);
}
