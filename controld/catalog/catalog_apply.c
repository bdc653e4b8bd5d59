/* catalog_apply: what each command does to the state. Depends on nothing but state, command and index. */
#include "common/base/check.h"
#include "controld/catalog/catalog_internal.h"

/* An application under way: the record at hand and where its changes go. */
struct change {
    struct catalog *catalog;
    struct meta_batch *batch;
    struct catalog_answer *answer;
    uint64_t index;
    struct catalog_record record;
};

/* The record at hand is how the object was. */
static void was(struct change *change)
{
    catalog_sum(change->catalog, &change->record, false);
}

/* The record at hand is how the object is now. */
static void is(struct change *change)
{
    catalog_sum(change->catalog, &change->record, true);
    meta_batch_put(change->batch, catalog_record_key(&change->record), catalog_record_value(&change->record));
}

/* The object of the record at hand is gone. */
static void is_gone(struct change *change)
{
    catalog_sum(change->catalog, &change->record, false);
    meta_batch_delete(change->batch, catalog_record_key(&change->record));
}

/* ---- tables and daemons ---- */

static enum status apply_table(struct change *change, const struct table *table)
{
    struct catalog *catalog = change->catalog;
    if (table_check(table) != STATUS_OK) return STATUS_BAD_REQUEST;
    unsigned at = 0;
    while (at < catalog->tables_count && catalog->tables[at].id.value < table->id.value)
        at++;
    bool exists = at < catalog->tables_count && catalog->tables[at].id.value == table->id.value;
    if (exists) {
        if (catalog->tables[at].version >= table->version) return STATUS_OK;
        catalog_record_table(&change->record, &catalog->tables[at]);
        was(change);
    } else {
        if (catalog->tables_count == TABLES_MAX) return STATUS_CONFLICT;
        catalog_add_table(catalog, at);
    }
    catalog->tables[at] = *table;
    catalog_record_table(&change->record, table);
    is(change);
    change->answer->view_changed = true;
    return STATUS_OK;
}

/* Do two forms of a daemon show the same in a view? */
static bool shows_the_same(const struct command_register *a, const struct command_register *b)
{
    bool boots = a->role == DAEMON_ROUTER || a->boot == b->boot;
    return boots && strcmp(a->address, b->address) == 0 && strcmp(a->zone, b->zone) == 0 && a->shards == b->shards;
}

static enum status apply_register(struct change *change, const struct command_register *registration)
{
    struct catalog *catalog = change->catalog;
    struct catalog_daemons *daemons = catalog_daemons(catalog, registration->role);
    struct catalog_daemon *daemon = NULL;
    for (unsigned i = 0; i < daemons->count && !daemon; i++)
        if (uuid_equal(&daemons->items[i].is.uuid, &registration->uuid)) daemon = &daemons->items[i];
    if (daemon) {
        if (registration->boot < daemon->is.boot) return STATUS_CONFLICT;
        /* Each start counts: two processes with one count have two states of one directory. */
        bool twice = registration->boot == daemon->is.boot && registration->role == DAEMON_NODE &&
                     !uuid_equal(&registration->instance, &daemon->is.instance);
        if (twice) return STATUS_CONFLICT;
        change->answer->view_changed = !shows_the_same(&daemon->is, registration);
        catalog_record_daemon(&change->record, daemon);
        was(change);
    } else {
        if (daemons->count == (registration->role == DAEMON_NODE ? NODES_MAX : ROUTERS_MAX)) return STATUS_CONFLICT;
        daemon = catalog_add_daemon(catalog, registration->role);
        *daemon = (struct catalog_daemon){.id = daemons->count, .state = NODE_SERVING};
        change->answer->view_changed = true;
    }
    daemon->is = *registration;
    change->answer->id = daemon->id;
    catalog_record_daemon(&change->record, daemon);
    is(change);
    return STATUS_OK;
}

/* ---- ranges ---- */

static enum status apply_place(struct change *change, const struct command_place *place)
{
    struct catalog *catalog = change->catalog;
    if (!catalog_table(catalog, place->table)) return STATUS_NOT_FOUND;
    uint64_t last_id = 0;
    for (unsigned i = 0; i < catalog->ranges_count; i++) {
        if (catalog->ranges[i].table.value == place->table.value) return STATUS_CONFLICT; /* placed before */
        if (catalog->ranges[i].id.value > last_id) last_id = catalog->ranges[i].id.value;
    }
    if (catalog->ranges_count + place->ranges_count > RANGES_MAX) return STATUS_CONFLICT;
    for (unsigned i = 0; i < place->ranges_count; i++)
        for (unsigned r = 0; r < place->ranges[i].replicas_count; r++) {
            if (!catalog_node(catalog, place->ranges[i].replicas[r].value)) return STATUS_NOT_FOUND;
            for (unsigned other = 0; other < r; other++)
                if (place->ranges[i].replicas[other].value == place->ranges[i].replicas[r].value)
                    return STATUS_BAD_REQUEST;
        }
    for (unsigned i = 0; i < place->ranges_count; i++) {
        struct view_range *range = catalog_add_range(catalog);
        *range = (struct view_range){.id = {++last_id},
            .table = place->table,
            .lo = place->ranges[i].lo,
            .hi = place->ranges[i].hi,
            .epoch = 1,
            .horizon_ms = HORIZON_NONE,
            .replicas_count = place->ranges[i].replicas_count};
        memcpy(range->replicas, place->ranges[i].replicas, sizeof range->replicas);
        catalog_record_range(&change->record, range);
        is(change);
    }
    catalog_sort_ranges(catalog);
    change->answer->view_changed = true;
    return STATUS_OK;
}

/* A new ownership record of the range: whoever learns of it adopts it as a whole. */
static void renew_range(struct change *change, struct view_range *range, int64_t horizon_ms)
{
    catalog_record_range(&change->record, range);
    was(change);
    range->epoch++;
    range->horizon_ms = horizon_ms;
    catalog_record_range(&change->record, range);
    is(change);
    change->answer->view_changed = true;
}

static enum status apply_horizon(struct change *change, const struct command_horizon *horizon)
{
    struct catalog *catalog = change->catalog;
    if (!catalog_table(catalog, horizon->table)) return STATUS_NOT_FOUND;
    for (unsigned i = 0; i < catalog->ranges_count; i++) {
        struct view_range *range = &catalog->ranges[i];
        if (range->table.value == horizon->table.value && range->horizon_ms < horizon->unix_ms)
            renew_range(change, range, horizon->unix_ms);
    }
    return STATUS_OK;
}

/* The newest record tells that this replica has lapsed, and counts in nothing until it is rebuilt. */
static void lapse_replica(struct change *change, struct view_range *range, unsigned place)
{
    catalog_record_range(&change->record, range);
    was(change);
    range->lapsed_at[place] = ++range->epoch;
    catalog_record_range(&change->record, range);
    is(change);
    change->answer->view_changed = true;
}

static struct view_range *range_of(struct catalog *catalog, struct range_id id)
{
    for (unsigned i = 0; i < catalog->ranges_count; i++)
        if (catalog->ranges[i].id.value == id.value) return &catalog->ranges[i];
    return NULL;
}

/* Ranges that are not the node's any more are passed over. */
static enum status apply_lapse(struct change *change, const struct command_lapse *lapse)
{
    struct catalog *catalog = change->catalog;
    if (!catalog_node(catalog, lapse->node.value)) return STATUS_NOT_FOUND;
    for (unsigned i = 0; i < lapse->ranges_count; i++) {
        struct view_range *range = range_of(catalog, lapse->ranges[i].range);
        unsigned place = range ? view_range_place(range, lapse->node) : 0;
        if (!range || place == range->replicas_count) continue;
        if (view_range_is_lapsed(range, place) && range->lapsed_at[place] > lapse->ranges[i].known) continue;
        lapse_replica(change, range, place);
    }
    return STATUS_OK;
}

static enum status apply_rebuilt(struct change *change, const struct command_rebuilt *rebuilt)
{
    struct view_range *range = range_of(change->catalog, rebuilt->range);
    unsigned place = range ? view_range_place(range, rebuilt->node) : 0;
    if (!range || place == range->replicas_count) return STATUS_NOT_FOUND;
    if (range->lapsed_at[place] != rebuilt->lapsed_at) return STATUS_CONFLICT;
    if (!view_range_is_lapsed(range, place)) return STATUS_OK;
    catalog_record_range(&change->record, range);
    was(change);
    range->rebuilt_at[place] = ++range->epoch;
    catalog_record_range(&change->record, range);
    is(change);
    change->answer->view_changed = true;
    return STATUS_OK;
}

/* Who stands for the node now has nothing of what the node acknowledged, or not the newest of it. */
static enum status apply_replace(struct change *change, const struct command_replace *replace)
{
    struct catalog *catalog = change->catalog;
    const struct command_register *registration = &replace->registration;
    struct catalog_daemon *node = NULL;
    for (unsigned i = 0; i < catalog->nodes.count; i++) {
        struct catalog_daemon *daemon = &catalog->nodes.items[i];
        if (uuid_equal(&daemon->is.uuid, &replace->uuid))
            node = daemon;
        else if (uuid_equal(&daemon->is.uuid, &registration->uuid))
            return STATUS_CONFLICT;
    }
    if (!node || node->is.boot != replace->boot) return STATUS_CONFLICT;
    bool same = uuid_equal(&replace->uuid, &registration->uuid);
    if (same && registration->boot <= node->is.boot) return STATUS_CONFLICT;
    catalog_record_daemon(&change->record, node);
    was(change);
    node->is = *registration;
    catalog_record_daemon(&change->record, node);
    is(change);
    for (unsigned i = 0; i < catalog->ranges_count; i++) {
        unsigned place = view_range_place(&catalog->ranges[i], (struct node_id){node->id});
        if (place < catalog->ranges[i].replicas_count) lapse_replica(change, &catalog->ranges[i], place);
    }
    change->answer->id = node->id;
    change->answer->view_changed = true;
    return STATUS_OK;
}

static enum status apply_epoch(struct change *change, struct range_id id)
{
    struct catalog *catalog = change->catalog;
    struct view_range *range = range_of(catalog, id);
    if (!range) return STATUS_NOT_FOUND;
    renew_range(change, range, range->horizon_ms);
    change->answer->number = range->epoch;
    return STATUS_OK;
}

/* ---- makers ---- */

/* Asking again for as many gives nothing new, so a repeated call leaks no block. */
static enum status apply_makers(struct change *change, const struct command_makers *makers)
{
    struct catalog *catalog = change->catalog;
    if (!catalog_router(catalog, makers->router.value)) return STATUS_NOT_FOUND;
    unsigned held = 0;
    for (unsigned i = 0; i < CATALOG_BLOCKS; i++)
        held += catalog->block_owner[i] == makers->router.value;
    for (unsigned i = 0; i < CATALOG_BLOCKS && held < makers->blocks; i++) {
        if (catalog->block_owner[i]) continue;
        catalog->block_owner[i] = makers->router.value;
        catalog_record_block(&change->record, catalog, i);
        is(change);
        held++;
    }
    struct catalog_answer *answer = change->answer;
    for (unsigned i = 0; i < CATALOG_BLOCKS; i++)
        if (catalog->block_owner[i] == makers->router.value) answer->blocks[answer->blocks_count++] = (uint8_t)i;
    /* All numbers are given away: a router that has some goes on with them. */
    return held > 0 || makers->blocks == 0 ? STATUS_OK : STATUS_CONFLICT;
}

/* ---- imports ---- */

static struct catalog_import *import_of(struct catalog *catalog, uint64_t id)
{
    for (unsigned i = 0; i < catalog->imports_count; i++)
        if (catalog->imports[i].id == id) return &catalog->imports[i];
    return NULL;
}

static enum status begin_import(struct change *change, const struct command_import *begin)
{
    struct catalog *catalog = change->catalog;
    if (!catalog_table(catalog, begin->table)) return STATUS_NOT_FOUND;
    if (catalog->imports_count == IMPORTS_MAX) return STATUS_BUSY;
    struct catalog_import *import = catalog_add_import(catalog);
    *import = (struct catalog_import){change->index, begin->table, begin->deadline_us, {0}};
    memcpy(import->label, begin->label, sizeof import->label);
    catalog_record_import(&change->record, import);
    is(change);
    change->answer->number = import->id;
    change->answer->view_changed = true;
    return STATUS_OK;
}

static void renew_import(struct change *change, struct catalog_import *import, int64_t deadline_us)
{
    if (deadline_us <= import->deadline_us) return;
    catalog_record_import(&change->record, import);
    was(change);
    import->deadline_us = deadline_us;
    catalog_record_import(&change->record, import);
    is(change);
    change->answer->view_changed = true;
}

static void end_import(struct change *change, struct catalog_import *import)
{
    struct catalog *catalog = change->catalog;
    catalog_record_import(&change->record, import);
    is_gone(change);
    size_t position = (size_t)(import - catalog->imports);
    memmove(import, import + 1, (catalog->imports_count - position - 1) * sizeof *import);
    catalog->imports_count--;
    change->answer->view_changed = true;
}

static enum status apply_import(struct change *change, const struct command *command)
{
    if (command->kind == COMMAND_IMPORT_BEGIN) return begin_import(change, &command->import);
    struct catalog_import *import = import_of(change->catalog, command->import.import);
    change->answer->number = command->import.import;
    if (command->kind == COMMAND_IMPORT_RENEW) {
        if (!import) return STATUS_NOT_FOUND;
        renew_import(change, import, command->import.deadline_us);
        return STATUS_OK;
    }
    bool renewed =
        command->kind == COMMAND_IMPORT_EXPIRE && import && import->deadline_us != command->import.deadline_us;
    if (import && !renewed) end_import(change, import);
    return STATUS_OK;
}

/* ---- entries ---- */

static enum status apply_command(struct change *change, const struct command *command)
{
    switch (command->kind) {
    case COMMAND_TABLE:
        return apply_table(change, &command->table);
    case COMMAND_REGISTER:
        return apply_register(change, &command->registration);
    case COMMAND_PLACE:
        return apply_place(change, &command->place);
    case COMMAND_MAKERS:
        return apply_makers(change, &command->makers);
    case COMMAND_IMPORT_BEGIN:
    case COMMAND_IMPORT_RENEW:
    case COMMAND_IMPORT_END:
    case COMMAND_IMPORT_EXPIRE:
        return apply_import(change, command);
    case COMMAND_HORIZON:
        return apply_horizon(change, &command->horizon);
    case COMMAND_EPOCH:
        return apply_epoch(change, command->epoch);
    case COMMAND_LAPSE:
        return apply_lapse(change, &command->lapse);
    case COMMAND_REBUILT:
        return apply_rebuilt(change, &command->rebuilt);
    case COMMAND_REPLACE:
        return apply_replace(change, &command->replace);
    case COMMANDS_END:
        break;
    }
    return STATUS_BAD_REQUEST;
}

enum status catalog_apply(struct catalog *catalog, uint64_t index, struct bytes payload, struct catalog_answer *answer,
    struct meta_batch *batch)
{
    CHECK(index > catalog->view_version);
    struct command command;
    enum status status = command_decode(payload, &command);
    if (status != STATUS_OK) return status == STATUS_CONFLICT ? STATUS_CONFLICT : STATUS_CORRUPT;
    *answer = (struct catalog_answer){0};
    struct change change = {.catalog = catalog, .batch = batch, .answer = answer, .index = index};
    answer->status = apply_command(&change, &command);
    if (answer->view_changed) {
        catalog_record_head(&change.record, catalog);
        if (catalog->view_version) was(&change);
        catalog->view_version = index;
        catalog_record_head(&change.record, catalog);
        is(&change);
    }
    catalog_record_free(&change.record);
    return STATUS_OK;
}
