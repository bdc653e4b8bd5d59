#include "tests/checker/generate.h"

#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/base/prng.h"

enum { CLIENTS = 6, CHANNELS = 3, MESSAGES_MAX = 4096, PAGE_MAX = 12 };

/* One copy of the truth. */
struct truth {
    uint64_t id, body, dead; /* dead: deleted, whether created or not */
    bool created;
    bool edited;
    uint64_t pending; /* body of an edit that came before its create; 0: none */
};

struct channel {
    struct truth messages[MESSAGES_MAX]; /* by id */
    uint32_t count;
};

enum phase { IDLE, INVOKED, EFFECTED };

struct client {
    enum phase phase;
    struct history_op op;
    struct history_row rows[PAGE_MAX];
    uint32_t rows_count;
    uint32_t scan; /* going on, 0: none */
    struct history_op last;
    uint64_t last_row;
};

struct generator {
    struct prng prng;
    struct history history;
    struct channel channels[CHANNELS];
    struct client clients[CLIENTS];
    uint64_t now, next_id;
    uint32_t versions, scans;
};

static uint64_t body_of(uint64_t channel, uint64_t id, uint32_t version)
{
    uint64_t parts[] = {channel, id, version};
    return hash64(parts, sizeof parts, 7) | 1;
}

static struct truth *find(struct channel *channel, uint64_t id)
{
    uint32_t low = 0, high = channel->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (channel->messages[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < channel->count && channel->messages[low].id == id ? &channel->messages[low] : NULL;
}

/* Ids grow, so a new one goes last. */
static uint64_t reserve_id(struct generator *generator, struct channel *channel)
{
    CHECK(channel->count < MESSAGES_MAX);
    generator->next_id += 1 + prng_below(&generator->prng, 3);
    channel->messages[channel->count++] = (struct truth){.id = generator->next_id};
    return generator->next_id;
}

static uint64_t some_id(struct generator *generator, struct channel *channel)
{
    if (channel->count == 0) return reserve_id(generator, channel);
    uint32_t recent = channel->count < 30 ? channel->count : 30;
    uint32_t back = prng_chance(&generator->prng, 700000) ? recent : channel->count;
    return channel->messages[channel->count - 1 - prng_below(&generator->prng, back)].id;
}

static void begin_list(struct generator *generator, struct client *client, struct history_op *op)
{
    op->limit = (uint32_t)prng_between(&generator->prng, 1, PAGE_MAX);
    if (client->scan) {
        uint32_t limit = op->limit;
        *op = client->last;
        op->limit = limit;
        op->more = false;
        op->line = 0;
        op->invoke = generator->now;
        op->bound = client->last.oldest_first ? HISTORY_AFTER : HISTORY_BEFORE;
        op->id = client->last_row;
        return;
    }
    op->bound = (uint8_t)prng_below(&generator->prng, 5);
    op->oldest_first = op->bound == HISTORY_OLDEST || op->bound == HISTORY_AFTER;
    op->id = op->bound >= HISTORY_BEFORE ? some_id(generator, &generator->channels[op->channel]) : 0;
    if (op->bound <= HISTORY_OLDEST && prng_chance(&generator->prng, 500000)) client->scan = ++generator->scans;
    op->scan = client->scan;
}

static void begin(struct generator *generator, uint32_t number)
{
    struct client *client = &generator->clients[number];
    uint64_t draw = prng_below(&generator->prng, 100);
    struct history_op *op = &client->op;
    *op = (struct history_op){.client = number, .session = number, .level = HISTORY_QUORUM, .invoke = generator->now};
    op->channel = prng_below(&generator->prng, CHANNELS);
    struct channel *channel = &generator->channels[op->channel];
    client->phase = INVOKED;
    if (client->scan || draw >= 72) {
        op->kind = HISTORY_LIST;
        begin_list(generator, client, op);
        return;
    }
    op->kind = draw < 30   ? HISTORY_CREATE
               : draw < 45 ? HISTORY_EDIT
               : draw < 51 ? HISTORY_DELETE
               : draw < 52 ? HISTORY_SPAN
               : draw < 67 ? HISTORY_GET
                           : HISTORY_STATUS;
    op->id = op->kind == HISTORY_CREATE ? reserve_id(generator, channel) : some_id(generator, channel);
    if (op->kind == HISTORY_EDIT) op->version = ++generator->versions;
    if (op->kind <= HISTORY_EDIT) op->body = body_of(op->channel, op->id, op->version);
    if (op->kind == HISTORY_SPAN) op->id2 = op->id + prng_below(&generator->prng, 8);
}

static void apply_write(struct generator *generator, struct history_op *op)
{
    struct channel *channel = &generator->channels[op->channel];
    struct truth *truth = find(channel, op->id);
    op->stamp = op->kind == HISTORY_EDIT ? (int64_t)generator->now : 0;
    if (op->kind == HISTORY_SPAN) {
        uint64_t newest = channel->messages[channel->count - 1].id;
        if (op->id2 > newest) op->id2 = newest;
        for (uint32_t i = 0; i < channel->count; i++)
            if (channel->messages[i].id >= op->id && channel->messages[i].id <= op->id2) channel->messages[i].dead = 1;
        return;
    }
    if (op->kind == HISTORY_DELETE) {
        truth->dead = 1;
    } else if (truth->dead) {
        op->outcome = HISTORY_DELETED;
    } else if (op->kind == HISTORY_CREATE) {
        truth->created = true;
        truth->body = truth->pending ? truth->pending : op->body;
    } else if (truth->created) {
        truth->body = op->body;
    } else {
        truth->pending = op->body;
    }
}

static bool visible(const struct truth *truth)
{
    return truth->created && !truth->dead;
}

static void take_row(struct client *client, const struct truth *truth)
{
    client->rows[client->rows_count++] = (struct history_row){truth->id, truth->body};
}

static void apply_list(struct generator *generator, struct client *client)
{
    struct history_op *op = &client->op;
    const struct channel *channel = &generator->channels[op->channel];
    bool up = op->bound == HISTORY_OLDEST || op->bound == HISTORY_AFTER;
    uint32_t limit = op->limit, newer = 0;
    if (op->bound == HISTORY_AROUND) {
        /* The newer half first, as they stand above; then the id and what is older. */
        struct history_row half[PAGE_MAX];
        for (uint32_t i = 0; i < channel->count && newer < (limit - 1) / 2; i++)
            if (channel->messages[i].id > op->id && visible(&channel->messages[i]))
                half[newer++] = (struct history_row){channel->messages[i].id, channel->messages[i].body};
        for (uint32_t i = newer; i > 0; i--)
            client->rows[client->rows_count++] = half[i - 1];
        limit = newer + limit - (limit - 1) / 2;
    }
    for (uint32_t step = 0; step < channel->count; step++) {
        const struct truth *truth = &channel->messages[up ? step : channel->count - 1 - step];
        if (!visible(truth)) continue;
        if (op->bound == HISTORY_BEFORE && truth->id >= op->id) continue;
        if (op->bound == HISTORY_AFTER && truth->id <= op->id) continue;
        if (op->bound == HISTORY_AROUND && truth->id > op->id) continue;
        if (client->rows_count == limit) {
            op->more = op->bound != HISTORY_AROUND;
            break;
        }
        take_row(client, truth);
    }
}

static void effect(struct generator *generator, struct client *client)
{
    struct history_op *op = &client->op;
    client->phase = EFFECTED;
    client->rows_count = 0;
    uint64_t draw = prng_below(&generator->prng, 100);
    if (op->kind <= HISTORY_SPAN) {
        if (draw < 4) {
            op->outcome = HISTORY_REFUSED;
        } else if (draw < 8) {
            op->outcome = HISTORY_UNKNOWN;
            op->stamp = (int64_t)generator->now;
        } else {
            apply_write(generator, op);
            if (draw < 12) op->outcome = HISTORY_UNKNOWN;
        }
        return;
    }
    const struct truth *truth = find(&generator->channels[op->channel], op->id);
    if (draw < 3)
        op->outcome = HISTORY_UNKNOWN;
    else if (op->kind == HISTORY_STATUS)
        op->state = visible(truth) ? HISTORY_PRESENT : HISTORY_ABSENT;
    else if (op->kind == HISTORY_LIST)
        apply_list(generator, client);
    else if (visible(truth))
        take_row(client, truth);
}

static void finish(struct generator *generator, struct client *client)
{
    struct history_op *op = &client->op;
    op->ret = generator->now;
    client->phase = IDLE;
    if (op->outcome == HISTORY_UNKNOWN) client->rows_count = 0;
    history_add(&generator->history, op, client->rows, client->rows_count);
    if (op->kind != HISTORY_LIST) return;
    bool goes_on = client->scan && op->outcome == HISTORY_OK && op->more;
    client->last = *op;
    client->last_row = client->rows_count ? client->rows[client->rows_count - 1].id : 0;
    if (!goes_on) client->scan = 0;
}

static void add_views(struct generator *generator)
{
    for (uint32_t i = 0; i < CHANNELS; i++)
        for (uint32_t replica = 0; replica < 3; replica++) {
            struct history_row *rows = mem_alloc(MESSAGES_MAX * sizeof *rows);
            uint32_t count = 0;
            for (uint32_t m = 0; m < generator->channels[i].count; m++) {
                const struct truth *truth = &generator->channels[i].messages[m];
                if (visible(truth)) rows[count++] = (struct history_row){truth->id, truth->body};
            }
            struct history_op op = {.kind = HISTORY_VIEW,
                .level = HISTORY_ALL,
                .client = 100 + replica,
                .session = 100,
                .channel = i,
                .invoke = generator->now + 1,
                .ret = generator->now + 2};
            history_add(&generator->history, &op, rows, count);
            mem_free(rows);
        }
}

struct history generate_history(uint64_t seed, uint32_t ops)
{
    struct generator *generator = mem_zalloc(sizeof *generator);
    generator->prng = prng_split(seed, "history");
    generator->next_id = 1000;
    bool busy = true;
    while (busy || generator->history.ops_count < ops) {
        uint32_t number = (uint32_t)prng_below(&generator->prng, CLIENTS);
        struct client *client = &generator->clients[number];
        bool ending = generator->history.ops_count >= ops;
        generator->now += 1 + prng_below(&generator->prng, 5);
        if (client->phase == INVOKED)
            effect(generator, client);
        else if (client->phase == EFFECTED)
            finish(generator, client);
        else if (!ending)
            begin(generator, number);
        busy = false;
        for (uint32_t i = 0; i < CLIENTS; i++)
            busy = busy || generator->clients[i].phase != IDLE;
    }
    add_views(generator);
    struct history history = generator->history;
    mem_free(generator);
    return history;
}
