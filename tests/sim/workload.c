#include "tests/sim/workload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/runtime/reactor.h"
#include "tests/sim/imports.h"
#include "tests/sim/sim_mem.h"

enum { KNOWN_MAX = 4096, HOT_LIMIT = 10, READ_LIMIT = 50 };

struct known {
    uint64_t id;
    uint32_t versions; /* edits begun */
};

struct channel {
    uint64_t id;
    struct known known[KNOWN_MAX];
    uint32_t known_count;
};

/* One operation after the other. */
struct lane {
    struct user *user;
    struct world_event next;
    struct sim_call call;
    bool busy;
    uint32_t scan;   /* going on; 0: none */
    uint64_t follow; /* channel whose newest are read next; 0: none */
};

struct user {
    struct workload *workload;
    struct process *process;
    const struct sim_client_ops *ops;
    const char *const *routers;
    uint32_t routers_count, index;
    void *client; /* inside the process */
    struct import_session import;
    struct lane lanes[WORKLOAD_LANES_MAX];
};

/* Where reading everything stands. */
struct reading {
    enum history_level level;
    bool done, inspect;
    uint32_t channel;
    uint64_t after; /* last id read of the channel; 0: none */
    uint32_t scan;
    struct lane lane;
};

struct workload {
    struct world *world;
    struct workload_options options;
    struct user users[WORKLOAD_USERS_MAX];
    uint32_t users_count;
    struct channel channels[WORKLOAD_CHANNELS_MAX];
    struct history history;
    struct workload_counts counts;
    struct reading reading;
    struct imports imports;
    uint32_t scans;
    uint64_t last_success_ns;
    bool running;
};

void workload_draw(struct prng *prng, struct workload_options *options)
{
    static const uint32_t weights[7] = {36, 14, 6, 1, 14, 24, 5};
    *options = (struct workload_options){
        .users = (uint32_t)prng_between(prng, 2, 4),
        .lanes = (uint32_t)prng_between(prng, 1, 3),
        .channels = (uint32_t)prng_between(prng, 2, 8),
        .think_ms = 60u << prng_below(prng, 4),
        .content_bytes_max = prng_chance(prng, 650000)   ? 200
                             : prng_chance(prng, 700000) ? 1500
                                                         : 12000,
        .attempts_max = (uint32_t)prng_between(prng, 1, 4),
        .budget_ms = (uint32_t)prng_between(prng, 500, 2500),
        .hot_ppm = prng_chance(prng, 500000) ? 700000 : 100000,
        .follow_ppm = prng_chance(prng, 500000) ? 700000 : 50000,
        .one_ppm = prng_chance(prng, 300000) ? 100000 : 0,
        .all_ppm = prng_chance(prng, 300000) ? 50000 : 0,
    };
    for (int i = 0; i < 7; i++)
        options->weights[i] = weights[i] * (uint32_t)prng_between(prng, 1, 3);
    options->sessions = (uint32_t)prng_below(prng, options->users + 1);
    options->import_ppm = prng_chance(prng, 500000) ? (uint32_t)prng_between(prng, 20000, 200000) : 0;
}

struct workload *workload_create(struct world *world, const struct workload_options *options)
{
    struct workload *workload = sim_alloc(sizeof *workload);
    CHECK(options->users <= WORKLOAD_USERS_MAX && options->lanes <= WORKLOAD_LANES_MAX);
    CHECK(options->channels <= WORKLOAD_CHANNELS_MAX && options->content_bytes_max <= SIM_CONTENT_BYTES_MAX);
    workload->world = world;
    workload->options = *options;
    imports_init(&workload->imports, world);
    struct prng prng = prng_split(world_seed(world), "channels");
    for (uint32_t i = 0; i < options->channels; i++)
        workload->channels[i].id = prng_between(&prng, 1, 1ull << 40);
    return workload;
}

void workload_destroy(struct workload *workload)
{
    world_event_cancel(&workload->reading.lane.next);
    for (uint32_t i = 0; i < workload->users_count; i++)
        for (uint32_t lane = 0; lane < workload->options.lanes; lane++)
            world_event_cancel(&workload->users[i].lanes[lane].next);
    history_free(&workload->history);
    mem_free(workload);
}

static struct prng *chance(struct workload *workload)
{
    return world_prng(workload->world, WORLD_WORKLOAD);
}

/* What comes next. */

static struct channel *channel_of(struct workload *workload, uint64_t id)
{
    for (uint32_t i = 0; i < workload->options.channels; i++)
        if (workload->channels[i].id == id) return &workload->channels[i];
    CHECK(!"a channel of the workload");
    return NULL;
}

/* Mostly recent ones. */
static struct known *some_known(struct workload *workload, struct channel *channel)
{
    uint32_t count = channel->known_count, recent = count < 20 ? count : 20;
    if (prng_chance(chance(workload), 300000)) recent = count;
    return &channel->known[count - 1 - prng_below(chance(workload), recent)];
}

static void make_content(struct workload *workload, struct sim_call *call)
{
    struct history_op *op = &call->op;
    int used = snprintf(call->content, sizeof call->content, "%" PRIu64 "/%u/%u/%" PRIu64 " ", op->channel, op->client,
        op->version, workload->history.ops_count);
    uint32_t size = (uint32_t)prng_between(chance(workload), 0, workload->options.content_bytes_max);
    call->content_size = (uint32_t)used;
    while (call->content_size < size && call->content_size < sizeof call->content)
        call->content[call->content_size++] = (char)('a' + prng_below(chance(workload), 26));
}

/* One row, a few, a page of people's, all that fits. */
static uint32_t choose_limit(struct workload *workload)
{
    static const uint32_t limits[] = {1, 2, 3, 5, 10, 20, 50, SIM_CALL_ROWS_MAX};
    uint64_t at = prng_below(chance(workload), 2 * sizeof limits / sizeof limits[0]);
    if (at < sizeof limits / sizeof limits[0]) return limits[at];
    return (uint32_t)prng_between(chance(workload), 1, 20);
}

/* Where a page begins: at a message, right beside one, or anywhere between the oldest and the newest. */
static uint64_t choose_bound(struct workload *workload, struct channel *channel)
{
    uint64_t id = some_known(workload, channel)->id, draw = prng_below(chance(workload), 10);
    if (draw == 0) return id - 1;
    if (draw == 1) return id + 1;
    if (draw > 2) return id;
    uint64_t other = some_known(workload, channel)->id;
    return id < other ? prng_between(chance(workload), id, other) : prng_between(chance(workload), other, id);
}

static void choose_list(struct workload *workload, struct lane *lane, struct channel *channel, struct history_op *op)
{
    op->limit = choose_limit(workload);
    op->bound = (uint8_t)prng_below(chance(workload), channel->known_count ? 5 : 2);
    op->oldest_first = op->bound == HISTORY_OLDEST || op->bound == HISTORY_AFTER;
    op->id = op->bound >= HISTORY_BEFORE ? choose_bound(workload, channel) : 0;
    if (op->bound <= HISTORY_OLDEST && prng_chance(chance(workload), 300000)) lane->scan = ++workload->scans;
    op->scan = lane->scan;
}

static enum history_kind choose_kind(struct workload *workload, const struct channel *channel)
{
    uint64_t total = 0, draw;
    for (int i = 0; i < 7; i++)
        total += workload->options.weights[i];
    draw = prng_below(chance(workload), total);
    enum history_kind kind = HISTORY_CREATE;
    while (draw >= workload->options.weights[kind])
        draw -= workload->options.weights[kind++];
    if (channel->known_count == 0 && kind != HISTORY_LIST) kind = HISTORY_CREATE;
    if (channel->known_count == KNOWN_MAX && kind == HISTORY_CREATE) kind = HISTORY_LIST;
    return kind;
}

/* All of a channel, or what lies between two messages. */
static void choose_span(struct workload *workload, struct sim_call *call, struct channel *channel)
{
    struct history_op *op = &call->op;
    if (prng_chance(chance(workload), 150000)) {
        /* Up to now, as the router says: another attempt would mean something else. */
        op->id = 0;
        op->id2 = UINT64_MAX;
        call->attempts_max = 1;
        return;
    }
    op->id2 = some_known(workload, channel)->id;
    if (op->id2 < op->id) op->id2 = op->id;
}

/* What many read: the newest few of one channel. */
static void choose_newest(struct history_op *op, uint64_t channel)
{
    op->kind = HISTORY_LIST;
    op->channel = channel;
    op->bound = HISTORY_NEWEST;
    op->limit = HOT_LIMIT;
}

static void choose(struct workload *workload, struct lane *lane)
{
    struct sim_call *call = &lane->call;
    struct history_op *op = &call->op, last = *op;
    struct channel *channel = &workload->channels[prng_below(chance(workload), workload->options.channels)];
    uint64_t level = prng_below(chance(workload), 1000000);
    uint64_t last_id = call->rows_count ? call->rows[call->rows_count - 1].id : 0;
    call->rows_count = 0;
    call->errand = SIM_OPERATION;
    call->import = 0;
    call->attempts_max = workload->options.attempts_max;
    *op = (struct history_op){.client = lane->user->index, .session = lane->user->index, .level = HISTORY_QUORUM};
    if (lane->scan) {
        op->kind = HISTORY_LIST;
        op->channel = last.channel;
        op->scan = lane->scan;
        op->oldest_first = last.oldest_first;
        op->bound = last.oldest_first ? HISTORY_AFTER : HISTORY_BEFORE;
        op->id = last_id;
        op->limit = choose_limit(workload);
        return;
    }
    if (lane->follow) {
        choose_newest(op, lane->follow);
        lane->follow = 0;
        return;
    }
    op->channel = channel->id;
    if (workload->options.import_ppm && prng_chance(chance(workload), workload->options.import_ppm)) {
        imports_choose(&workload->imports, &lane->user->import, call);
        return;
    }
    op->kind = (uint8_t)choose_kind(workload, channel);
    if (op->kind == HISTORY_LIST && prng_chance(chance(workload), workload->options.hot_ppm)) {
        choose_newest(op, workload->channels[0].id);
        return;
    }
    if (level < workload->options.one_ppm)
        op->level = HISTORY_ONE;
    else if (level < (uint64_t)workload->options.one_ppm + workload->options.all_ppm)
        op->level = HISTORY_ALL;
    if (op->kind == HISTORY_LIST) {
        choose_list(workload, lane, channel, op);
    } else if (op->kind != HISTORY_CREATE) {
        struct known *known = some_known(workload, channel);
        op->id = known->id;
        if (op->kind == HISTORY_EDIT) op->version = ++known->versions;
        if (op->kind == HISTORY_SPAN) choose_span(workload, call, channel);
        if (op->kind == HISTORY_STATUS) {
            op->level = HISTORY_QUORUM;
            if (prng_chance(chance(workload), 150000)) op->state = HISTORY_NEVER;
        }
    }
    if (op->kind <= HISTORY_EDIT) make_content(workload, call);
}

/* Running. */

static void record(struct workload *workload, struct import_session *import, struct sim_call *call)
{
    struct history_op *op = &call->op;
    op->ret = world_now(workload->world);
    if (imports_answered(&workload->imports, import, call))
        workload->counts.too_old++;
    else
        workload->counts.by_outcome[op->outcome]++;
    if (call->errand != SIM_OPERATION) {
        world_trace(workload->world, "import", "returns", call->import, op->outcome * 1000u + (uint32_t)call->status);
        return;
    }
    workload->counts.by_kind[op->kind]++;
    if (op->outcome != HISTORY_UNKNOWN && op->outcome != HISTORY_REFUSED) workload->last_success_ns = op->ret;
    world_trace(
        workload->world, history_kind_name(op->kind), "returns", op->id, op->outcome * 1000u + (uint32_t)call->status);
    if (op->kind == HISTORY_CREATE && op->id == 0) return; /* never sent */
    struct mem_scope *entered = mem_scope_enter(NULL);
    history_add(&workload->history, op, call->rows, call->rows_count);
    mem_scope_enter(entered);
    if (op->kind != HISTORY_CREATE) return;
    struct channel *channel = channel_of(workload, op->channel);
    if (channel->known_count < KNOWN_MAX) channel->known[channel->known_count++] = (struct known){op->id, 0};
}

static void lane_pause(struct lane *lane)
{
    struct workload *workload = lane->user->workload;
    world_event_in(&lane->next, prng_below(chance(workload), 2 * workload->options.think_ms * WORLD_MS) + 1);
}

static void lane_done(struct sim_call *call)
{
    struct lane *lane = call->context;
    record(lane->user->workload, &lane->user->import, call);
    lane->busy = false;
    if (call->op.kind != HISTORY_LIST || call->op.outcome != HISTORY_OK || !call->op.more) lane->scan = 0;
    struct workload *workload = lane->user->workload;
    bool written = call->errand == SIM_OPERATION && call->op.kind <= HISTORY_SPAN && call->op.outcome == HISTORY_OK;
    if (written && prng_chance(chance(workload), workload->options.follow_ppm)) {
        lane->follow = call->op.channel;
        world_event_in(&lane->next, 0);
        return;
    }
    lane_pause(lane);
}

static void start_call(struct env *env, void *argument)
{
    (void)env;
    struct lane *lane = argument;
    lane->user->ops->start(lane->user->client, &lane->call);
}

static void check_ready(struct env *env, void *argument)
{
    (void)env;
    struct lane *lane = argument;
    lane->busy = lane->user->ops->is_ready(lane->user->client);
}

/* Makes the lane busy when its client can take a call. */
static bool lane_ready(struct lane *lane)
{
    lane->busy = false;
    return process_call(lane->user->process, check_ready, lane) && lane->busy;
}

static void lane_send(struct lane *lane)
{
    struct workload *workload = lane->user->workload;
    lane->busy = true;
    lane->call.op.invoke = world_now(workload->world);
    lane->call.op.outcome = HISTORY_UNKNOWN;
    lane->call.budget_ms = workload->options.budget_ms;
    static const char *const errands[] = {NULL, "begins", "is renewed", "ends"};
    if (lane->call.errand != SIM_OPERATION)
        world_trace(workload->world, "import", errands[lane->call.errand], lane->call.import, 0);
    else
        world_trace(
            workload->world, history_kind_name(lane->call.op.kind), "begins", lane->call.op.channel, lane->call.op.id);
    process_call(lane->user->process, start_call, lane);
}

static void lane_next(struct world_event *event)
{
    struct lane *lane = CONTAINER_OF(event, struct lane, next);
    struct workload *workload = lane->user->workload;
    if (!workload->running || !lane_ready(lane)) {
        lane->busy = false;
        lane->scan = 0;
        lane->follow = 0;
        lane_pause(lane);
        return;
    }
    choose(workload, lane);
    lane->call.done = lane_done;
    lane->call.context = lane;
    lane_send(lane);
}

static void user_boot(struct env *env, void *context)
{
    struct user *user = context;
    struct reactor *reactor = reactor_create(env, "client", 0);
    user->client = user->ops->create(env, reactor, user->routers, user->routers_count);
}

void workload_user_start(struct workload *workload, uint32_t index)
{
    struct user *user = &workload->users[index];
    process_start(user->process, user_boot, user);
    for (uint32_t i = 0; i < workload->options.lanes; i++)
        lane_pause(&user->lanes[i]);
}

void workload_add_user(struct workload *workload, struct process *process, const struct sim_client_ops *ops,
    const char *const *routers, uint32_t routers_count)
{
    CHECK(workload->users_count < WORKLOAD_USERS_MAX);
    struct user *user = &workload->users[workload->users_count];
    *user = (struct user){.workload = workload,
        .process = process,
        .ops = ops,
        .routers = routers,
        .routers_count = routers_count,
        .index = workload->users_count++};
    for (uint32_t i = 0; i < workload->options.lanes; i++) {
        user->lanes[i].user = user;
        world_event_init(&user->lanes[i].next, workload->world, lane_next);
    }
    workload_user_start(workload, user->index);
}

void workload_run(struct workload *workload, bool on)
{
    workload->running = on;
}

void workload_user_killed(struct workload *workload, uint32_t index)
{
    struct user *user = &workload->users[index];
    for (uint32_t i = 0; i < workload->options.lanes; i++) {
        struct lane *lane = &user->lanes[i];
        world_event_cancel(&lane->next);
        if (lane->busy) {
            lane->call.op.outcome = HISTORY_UNKNOWN;
            lane->call.rows_count = 0;
            record(workload, &user->import, &lane->call);
        }
        lane->busy = false;
        lane->scan = 0;
        lane->follow = 0;
    }
    imports_forget(&user->import);
}

int64_t workload_horizon(struct workload *workload, uint64_t ago_ms)
{
    int64_t horizon_ms = imports_ago_ms(&workload->imports, ago_ms);
    imports_asked(&workload->imports, horizon_ms);
    return horizon_ms;
}

void workload_horizon_settled(struct workload *workload, int64_t horizon_ms)
{
    imports_settled(&workload->imports, horizon_ms);
}

uint32_t workload_under_way(const struct workload *workload)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < workload->users_count; i++)
        for (uint32_t lane = 0; lane < workload->options.lanes; lane++)
            count += workload->users[i].lanes[lane].busy;
    return count;
}

/* Reading everything. */

static void reading_step(struct world_event *event)
{
    struct workload *workload = CONTAINER_OF(event, struct workload, reading.lane.next);
    struct reading *reading = &workload->reading;
    struct lane *lane = &reading->lane;
    if (reading->channel == workload->options.channels) {
        reading->done = true;
        return;
    }
    if (!lane_ready(lane)) {
        world_event_in(&lane->next, 100 * WORLD_MS);
        return;
    }
    lane->call.rows_count = 0;
    lane->call.attempts_max = workload->options.attempts_max;
    lane->call.op = (struct history_op){.kind = HISTORY_LIST,
        .level = (uint8_t)reading->level,
        .client = 1000,
        .session = 1000,
        .channel = workload->channels[reading->channel].id,
        .limit = READ_LIMIT,
        .oldest_first = true,
        .bound = reading->after ? HISTORY_AFTER : HISTORY_OLDEST,
        .id = reading->after,
        .scan = reading->scan};
    if (reading->inspect) lane->call.op = (struct history_op){.kind = HISTORY_VIEW, .channel = lane->call.op.channel};
    lane_send(lane);
}

static void next_channel(struct workload *workload)
{
    struct reading *reading = &workload->reading;
    reading->inspect = false;
    reading->after = 0;
    reading->scan = ++workload->scans;
    reading->channel++;
}

static void read_page(struct workload *workload, struct sim_call *call)
{
    struct reading *reading = &workload->reading;
    record(workload, &reading->lane.user->import, call);
    if (call->op.outcome != HISTORY_OK) {
        /* Begins the channel anew, so that its pages are one walk. */
        reading->after = 0;
        reading->scan = ++workload->scans;
        return;
    }
    if (call->rows_count) reading->after = call->rows[call->rows_count - 1].id;
    reading->inspect = !call->op.more && reading->level == HISTORY_ALL;
    if (!call->op.more && !reading->inspect) next_channel(workload);
}

static void reading_done(struct sim_call *call)
{
    struct workload *workload = call->context;
    struct reading *reading = &workload->reading;
    reading->lane.busy = false;
    if (!reading->inspect) {
        read_page(workload, call);
    } else if (call->op.outcome == HISTORY_OK) {
        if (call->op.state != HISTORY_PRESENT)
            world_fail(workload->world, "R6", "replicas of channel %" PRIu64 " differ after everything was read at ALL",
                call->op.channel);
        next_channel(workload);
    }
    world_event_in(&reading->lane.next, call->op.outcome == HISTORY_OK ? WORLD_MS : 200 * WORLD_MS);
}

void workload_read_all(struct workload *workload, enum history_level level)
{
    struct reading *reading = &workload->reading;
    *reading = (struct reading){.level = level, .scan = ++workload->scans};
    reading->lane.user = &workload->users[0];
    reading->lane.call.done = reading_done;
    reading->lane.call.context = workload;
    world_event_init(&reading->lane.next, workload->world, reading_step);
    world_event_in(&reading->lane.next, 0);
}

bool workload_is_read(const struct workload *workload)
{
    return workload->reading.done;
}

const struct history *workload_history(const struct workload *workload)
{
    return &workload->history;
}

const struct workload_counts *workload_counts(const struct workload *workload)
{
    return &workload->counts;
}

uint64_t workload_last_success(const struct workload *workload)
{
    return workload->last_success_ns;
}
