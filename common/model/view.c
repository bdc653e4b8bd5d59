#include "common/model/view.h"

#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/model/wire.h"

enum { VIEW_FORMAT_VERSION = 1 };
/* The shortest encodings, to bound counts before they are believed. */
enum { NODE_BYTES_MIN = 22, ROUTER_BYTES_MIN = 19, CONTROLLER_BYTES_MIN = 2, TABLE_BYTES_MIN = 9 };
enum { RANGE_BYTES_MIN = 30, IMPORT_BYTES_MIN = 10 };

static void decode_uuid(struct reader *reader, struct uuid *out)
{
    struct bytes bytes = read_bytes(reader, sizeof out->bytes);
    if (bytes.size == sizeof out->bytes) memcpy(out->bytes, bytes.data, bytes.size);
}

/* Ownership records. */

static bool nodes_are_distinct(const struct node_id *nodes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned j = 0; j < i; j++)
            if (nodes[i].value == nodes[j].value) return false;
    return true;
}

static bool range_is_valid(const struct view_range *range)
{
    return range->lo < range->hi && range->replicas_count >= 1 && range->replicas_count <= REPLICAS_MAX &&
           range->next_count <= REPLICAS_MAX && nodes_are_distinct(range->replicas, range->replicas_count) &&
           nodes_are_distinct(range->next, range->next_count);
}

/* Above the count of replicas: some of them has lapsed before, and all their epochs follow. */
enum { REPLICAS_LAPSED = 0x80 };

static bool has_lapses(const struct view_range *range)
{
    for (unsigned i = 0; i < range->replicas_count; i++)
        if (range->lapsed_at[i]) return true;
    return false;
}

void view_range_encode(const struct view_range *range, struct buffer *out)
{
    CHECK(range_is_valid(range));
    append_u64(out, range->id.value);
    buffer_append_varint(out, range->table.value);
    append_u64(out, (uint64_t)range->lo);
    append_u64(out, (uint64_t)range->hi);
    buffer_append_varint(out, range->epoch);
    append_signed(out, range->horizon_ms);
    bool lapses = has_lapses(range);
    append_u8(out, (uint8_t)(range->replicas_count | (lapses ? REPLICAS_LAPSED : 0)));
    for (unsigned i = 0; i < range->replicas_count; i++)
        buffer_append_varint(out, range->replicas[i].value);
    append_u8(out, range->next_count);
    for (unsigned i = 0; i < range->next_count; i++)
        buffer_append_varint(out, range->next[i].value);
    for (unsigned i = 0; i < range->replicas_count && lapses; i++) {
        buffer_append_varint(out, range->lapsed_at[i]);
        buffer_append_varint(out, range->rebuilt_at[i]);
    }
}

static uint8_t decode_nodes(struct reader *reader, uint8_t count, struct node_id nodes[REPLICAS_MAX])
{
    if (count > REPLICAS_MAX) {
        reader_fail(reader);
        return 0;
    }
    for (unsigned i = 0; i < count; i++)
        nodes[i].value = decode_u32(reader);
    return count;
}

enum status view_range_decode(struct reader *reader, struct view_range *out)
{
    struct view_range range = {0};
    range.id.value = read_u64(reader);
    range.table.value = decode_u32(reader);
    range.lo = (int64_t)read_u64(reader);
    range.hi = (int64_t)read_u64(reader);
    range.epoch = read_varint(reader);
    range.horizon_ms = read_varint_signed(reader);
    uint8_t count = read_u8(reader);
    range.replicas_count = decode_nodes(reader, count & (uint8_t)~REPLICAS_LAPSED, range.replicas);
    range.next_count = decode_nodes(reader, read_u8(reader), range.next);
    for (unsigned i = 0; i < range.replicas_count && (count & REPLICAS_LAPSED); i++) {
        range.lapsed_at[i] = read_varint(reader);
        range.rebuilt_at[i] = read_varint(reader);
        if (range.lapsed_at[i] > range.epoch || range.rebuilt_at[i] > range.epoch) reader_fail(reader);
    }
    if (has_lapses(&range) != (count >= REPLICAS_LAPSED)) reader_fail(reader);
    if (!reader_ok(reader) || !range_is_valid(&range)) return STATUS_BAD_REQUEST;
    *out = range;
    return STATUS_OK;
}

/* Order. */

static bool range_follows(const struct view_range *before, const struct view_range *range)
{
    if (before->table.value != range->table.value) return before->table.value < range->table.value;
    return before->hi <= range->lo;
}

/* Ascending and without duplicates, within the limits: what lookups rely on. */
static bool view_is_ordered(const struct view *view)
{
    for (unsigned i = 1; i < view->nodes_count; i++)
        if (view->nodes[i - 1].id.value >= view->nodes[i].id.value) return false;
    for (unsigned i = 1; i < view->routers_count; i++)
        if (view->routers[i - 1].id.value >= view->routers[i].id.value) return false;
    for (unsigned i = 1; i < view->controllers_count; i++)
        if (view->controllers[i - 1].id.value >= view->controllers[i].id.value) return false;
    for (unsigned i = 1; i < view->tables_count; i++)
        if (view->tables[i - 1].id.value >= view->tables[i].id.value) return false;
    for (unsigned i = 1; i < view->ranges_count; i++)
        if (!range_follows(&view->ranges[i - 1], &view->ranges[i])) return false;
    for (unsigned i = 1; i < view->imports_count; i++)
        if (view->imports[i - 1].id >= view->imports[i].id) return false;
    return view->nodes_count <= NODES_MAX && view->routers_count <= ROUTERS_MAX &&
           view->controllers_count <= CONTROLLERS_MAX && view->tables_count <= TABLES_MAX &&
           view->ranges_count <= RANGES_MAX && view->imports_count <= IMPORTS_MAX;
}

/* Encoding. */

static void encode_members(const struct view *view, struct buffer *out)
{
    buffer_append_varint(out, view->nodes_count);
    for (unsigned i = 0; i < view->nodes_count; i++) {
        const struct view_node *node = &view->nodes[i];
        CHECK(node->state > 0 && node->state < NODE_STATES_END && node->shards >= 1 && node->shards <= SHARDS_MAX);
        buffer_append_varint(out, node->id.value);
        buffer_append(out, node->uuid.bytes, sizeof node->uuid.bytes);
        buffer_append_varint(out, node->boot);
        append_text(out, node->address, sizeof node->address);
        append_text(out, node->zone, sizeof node->zone);
        append_u8(out, (uint8_t)node->shards);
        append_u8(out, node->state);
    }
    buffer_append_varint(out, view->routers_count);
    for (unsigned i = 0; i < view->routers_count; i++) {
        const struct view_router *router = &view->routers[i];
        CHECK(router->workers >= 1 && router->workers <= SHARDS_MAX);
        buffer_append_varint(out, router->id.value);
        buffer_append(out, router->uuid.bytes, sizeof router->uuid.bytes);
        append_text(out, router->address, sizeof router->address);
        append_u8(out, (uint8_t)router->workers);
    }
    buffer_append_varint(out, view->controllers_count);
    for (unsigned i = 0; i < view->controllers_count; i++) {
        buffer_append_varint(out, view->controllers[i].id.value);
        append_text(out, view->controllers[i].address, sizeof view->controllers[i].address);
    }
}

void view_encode(const struct view *view, struct buffer *out)
{
    CHECK(view_is_ordered(view));
    append_u8(out, VIEW_FORMAT_VERSION);
    buffer_append(out, view->cluster.bytes, sizeof view->cluster.bytes);
    append_u64(out, view->version);
    encode_members(view, out);
    buffer_append_varint(out, view->tables_count);
    for (unsigned i = 0; i < view->tables_count; i++)
        table_encode(&view->tables[i], out);
    buffer_append_varint(out, view->ranges_count);
    for (unsigned i = 0; i < view->ranges_count; i++)
        view_range_encode(&view->ranges[i], out);
    buffer_append_varint(out, view->imports_count);
    for (unsigned i = 0; i < view->imports_count; i++) {
        append_u64(out, view->imports[i].id);
        buffer_append_varint(out, view->imports[i].table.value);
        append_signed(out, view->imports[i].deadline_us);
    }
}

/* Decoding. */

/* A count that is within its limit and that the rest of the bytes can hold; else the reader fails. */
static unsigned decode_count(struct reader *reader, unsigned max, size_t entry_bytes_min)
{
    uint64_t count = read_varint(reader);
    if (count > max || count > reader_left(reader) / entry_bytes_min) {
        reader_fail(reader);
        return 0;
    }
    return (unsigned)count;
}

static void *alloc_array(struct arena *arena, unsigned count, size_t size)
{
    return count ? arena_zalloc(arena, count * size) : NULL;
}

static void decode_node(struct reader *reader, struct view_node *out)
{
    out->id.value = decode_u32(reader);
    decode_uuid(reader, &out->uuid);
    out->boot = read_varint(reader);
    decode_text(reader, out->address, sizeof out->address);
    decode_text(reader, out->zone, sizeof out->zone);
    out->shards = read_u8(reader);
    out->state = read_u8(reader);
    if (out->shards < 1 || out->shards > SHARDS_MAX || out->state < 1 || out->state >= NODE_STATES_END)
        reader_fail(reader);
}

static void decode_router(struct reader *reader, struct view_router *out)
{
    out->id.value = decode_u32(reader);
    decode_uuid(reader, &out->uuid);
    decode_text(reader, out->address, sizeof out->address);
    out->workers = read_u8(reader);
    if (out->workers < 1 || out->workers > SHARDS_MAX) reader_fail(reader);
}

static void decode_members(struct reader *reader, struct arena *arena, struct view *view)
{
    view->nodes_count = decode_count(reader, NODES_MAX, NODE_BYTES_MIN);
    view->nodes = alloc_array(arena, view->nodes_count, sizeof *view->nodes);
    for (unsigned i = 0; i < view->nodes_count; i++)
        decode_node(reader, &view->nodes[i]);
    view->routers_count = decode_count(reader, ROUTERS_MAX, ROUTER_BYTES_MIN);
    view->routers = alloc_array(arena, view->routers_count, sizeof *view->routers);
    for (unsigned i = 0; i < view->routers_count; i++)
        decode_router(reader, &view->routers[i]);
    view->controllers_count = decode_count(reader, CONTROLLERS_MAX, CONTROLLER_BYTES_MIN);
    view->controllers = alloc_array(arena, view->controllers_count, sizeof *view->controllers);
    for (unsigned i = 0; i < view->controllers_count; i++) {
        view->controllers[i].id.value = decode_u32(reader);
        decode_text(reader, view->controllers[i].address, sizeof view->controllers[i].address);
    }
}

static void decode_tables(struct reader *reader, struct arena *arena, struct view *view)
{
    view->tables_count = decode_count(reader, TABLES_MAX, TABLE_BYTES_MIN);
    view->tables = alloc_array(arena, view->tables_count, sizeof *view->tables);
    for (unsigned i = 0; i < view->tables_count; i++)
        if (table_decode(reader, &view->tables[i]) != STATUS_OK) {
            reader_fail(reader);
            return;
        }
}

static void decode_ranges(struct reader *reader, struct arena *arena, struct view *view)
{
    view->ranges_count = decode_count(reader, RANGES_MAX, RANGE_BYTES_MIN);
    view->ranges = alloc_array(arena, view->ranges_count, sizeof *view->ranges);
    for (unsigned i = 0; i < view->ranges_count; i++)
        if (view_range_decode(reader, &view->ranges[i]) != STATUS_OK) {
            reader_fail(reader);
            return;
        }
    view->imports_count = decode_count(reader, IMPORTS_MAX, IMPORT_BYTES_MIN);
    view->imports = alloc_array(arena, view->imports_count, sizeof *view->imports);
    for (unsigned i = 0; i < view->imports_count; i++) {
        view->imports[i].id = read_u64(reader);
        view->imports[i].table.value = decode_u32(reader);
        view->imports[i].deadline_us = read_varint_signed(reader);
    }
}

static int compare_by_id(const void *a, const void *b, void *context)
{
    const struct view_range *ranges = context;
    uint64_t x = ranges[*(const uint32_t *)a].id.value, y = ranges[*(const uint32_t *)b].id.value;
    return x < y ? -1 : x > y;
}

bool view_index(struct view *view, struct arena *arena)
{
    view->ranges_by_id = alloc_array(arena, view->ranges_count, sizeof *view->ranges_by_id);
    for (unsigned i = 0; i < view->ranges_count; i++)
        view->ranges_by_id[i] = i;
    if (view->ranges_count > 1)
        qsort_r(view->ranges_by_id, view->ranges_count, sizeof *view->ranges_by_id, compare_by_id, view->ranges);
    for (unsigned i = 1; i < view->ranges_count; i++)
        if (compare_by_id(&view->ranges_by_id[i - 1], &view->ranges_by_id[i], view->ranges) == 0) return false;
    return true;
}

enum status view_decode(struct bytes bytes, struct arena *arena, struct view *out)
{
    struct reader reader = reader_of(bytes);
    struct view view = {0};
    if (read_u8(&reader) != VIEW_FORMAT_VERSION) return STATUS_BAD_REQUEST;
    decode_uuid(&reader, &view.cluster);
    view.version = read_u64(&reader);
    decode_members(&reader, arena, &view);
    decode_tables(&reader, arena, &view);
    if (reader_ok(&reader)) decode_ranges(&reader, arena, &view);
    if (!reader_done(&reader) || !view_is_ordered(&view) || !view_index(&view, arena)) return STATUS_BAD_REQUEST;
    *out = view;
    return STATUS_OK;
}

static void *copy_array(struct arena *arena, const void *array, unsigned count, size_t size)
{
    return count ? arena_copy(arena, array, count * size) : NULL;
}

void view_copy(const struct view *view, struct arena *arena, struct view *out)
{
    struct view copy = *view;
    copy.nodes = copy_array(arena, view->nodes, view->nodes_count, sizeof *view->nodes);
    copy.routers = copy_array(arena, view->routers, view->routers_count, sizeof *view->routers);
    copy.controllers = copy_array(arena, view->controllers, view->controllers_count, sizeof *view->controllers);
    copy.tables = copy_array(arena, view->tables, view->tables_count, sizeof *view->tables);
    copy.ranges = copy_array(arena, view->ranges, view->ranges_count, sizeof *view->ranges);
    copy.imports = copy_array(arena, view->imports, view->imports_count, sizeof *view->imports);
    CHECK(view_index(&copy, arena));
    *out = copy;
}

/* Lookups. */

const struct view_range *view_range_of(const struct view *view, struct table_id table, int64_t token)
{
    unsigned low = 0, high = view->ranges_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        const struct view_range *range = &view->ranges[middle];
        if (range->table.value < table.value || (range->table.value == table.value && range->hi < token))
            low = middle + 1;
        else
            high = middle;
    }
    const struct view_range *range = low < view->ranges_count ? &view->ranges[low] : NULL;
    if (!range || range->table.value != table.value) return NULL;
    /* The first token of all belongs to the range that begins there, though lo is excluded elsewhere. */
    bool first = token == INT64_MIN && range->lo == INT64_MIN;
    return range->lo < token || first ? range : NULL;
}

const struct view_range *view_range_by_id(const struct view *view, struct range_id range)
{
    if (!view->ranges_by_id) {
        for (unsigned i = 0; i < view->ranges_count; i++)
            if (view->ranges[i].id.value == range.value) return &view->ranges[i];
        return NULL;
    }
    unsigned low = 0, high = view->ranges_count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (view->ranges[view->ranges_by_id[middle]].id.value < range.value)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == view->ranges_count) return NULL;
    const struct view_range *found = &view->ranges[view->ranges_by_id[low]];
    return found->id.value == range.value ? found : NULL;
}

/* Binary search in an array of structs that begin with a u32 id (node, router, controller, table). */
static const void *find_u32(const void *array, unsigned count, size_t size, uint32_t id)
{
    unsigned low = 0, high = count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        const uint8_t *entry = (const uint8_t *)array + middle * size;
        uint32_t found;
        memcpy(&found, entry, sizeof found);
        if (found == id) return entry;
        if (found < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

_Static_assert(offsetof(struct view_node, id) == 0 && offsetof(struct view_router, id) == 0 &&
                   offsetof(struct view_controller, id) == 0 && offsetof(struct table, id) == 0,
    "find_u32 reads the id at the start");

const struct view_node *view_node_by_id(const struct view *view, struct node_id node)
{
    return find_u32(view->nodes, view->nodes_count, sizeof *view->nodes, node.value);
}

const struct view_router *view_router_by_id(const struct view *view, struct router_id router)
{
    return find_u32(view->routers, view->routers_count, sizeof *view->routers, router.value);
}

const struct view_controller *view_controller_by_id(const struct view *view, struct controller_id controller)
{
    return find_u32(view->controllers, view->controllers_count, sizeof *view->controllers, controller.value);
}

const struct table *view_table_by_id(const struct view *view, struct table_id table)
{
    return find_u32(view->tables, view->tables_count, sizeof *view->tables, table.value);
}

const struct table *view_table_named(const struct view *view, struct bytes name)
{
    for (unsigned i = 0; i < view->tables_count; i++)
        if (bytes_equal(bytes_text(view->tables[i].name), name)) return &view->tables[i];
    return NULL;
}

const struct view_import *view_import_by_id(const struct view *view, uint64_t import)
{
    for (unsigned i = 0; i < view->imports_count; i++)
        if (view->imports[i].id == import) return &view->imports[i];
    return NULL;
}

bool view_range_has(const struct view_range *range, struct node_id node)
{
    for (unsigned i = 0; i < range->replicas_count; i++)
        if (range->replicas[i].value == node.value) return true;
    for (unsigned i = 0; i < range->next_count; i++)
        if (range->next[i].value == node.value) return true;
    return false;
}

unsigned view_range_place(const struct view_range *range, struct node_id node)
{
    unsigned place = 0;
    while (place < range->replicas_count && range->replicas[place].value != node.value)
        place++;
    return place;
}

uint16_t view_shard_of(struct range_id range, uint16_t shards)
{
    CHECK(shards > 0);
    return (uint16_t)(hash_u64(range.value) % shards);
}
