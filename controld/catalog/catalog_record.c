/* catalog_record: the state as records, key and value, and back. */
#include "common/base/check.h"
#include "controld/catalog/catalog_internal.h"
#include "controld/catalog/pieces.h"

enum { RECORD_FORMAT = 1 };

/* First bytes of keys; numbers behind them are big-endian, so that keys sort by them. On disk; never reused. */
enum record_key {
    KEY_BLOCK = 'b',
    KEY_RANGE = 'g',
    KEY_HEAD = 'h',
    KEY_IMPORT = 'i',
    KEY_NODE = 'n',
    KEY_ROUTER = 'r',
    KEY_TABLE = 't',
};

static struct buffer *begin(struct catalog_record *record, enum record_key kind, uint64_t number)
{
    buffer_clear(&record->bytes);
    append_u8(&record->bytes, (uint8_t)kind);
    append_u64_be(&record->bytes, number);
    record->key_size = record->bytes.size;
    append_u8(&record->bytes, RECORD_FORMAT);
    return &record->bytes;
}

void catalog_record_free(struct catalog_record *record)
{
    buffer_free(&record->bytes);
}

void catalog_record_head(struct catalog_record *record, const struct catalog *catalog)
{
    struct buffer *out = begin(record, KEY_HEAD, 0);
    append_uuid(out, &catalog->cluster);
    append_u64(out, catalog->view_version);
}

void catalog_record_daemon(struct catalog_record *record, const struct catalog_daemon *daemon)
{
    struct buffer *out = begin(record, daemon->is.role == DAEMON_NODE ? KEY_NODE : KEY_ROUTER, daemon->id);
    append_u8(out, daemon->state);
    command_register_encode(&daemon->is, out);
}

void catalog_record_table(struct catalog_record *record, const struct table *table)
{
    table_encode(table, begin(record, KEY_TABLE, table->id.value));
}

void catalog_record_range(struct catalog_record *record, const struct view_range *range)
{
    view_range_encode(range, begin(record, KEY_RANGE, range->id.value));
}

void catalog_record_import(struct catalog_record *record, const struct catalog_import *import)
{
    struct buffer *out = begin(record, KEY_IMPORT, import->id);
    buffer_append_varint(out, import->table.value);
    append_signed(out, import->deadline_us);
    append_text(out, import->label);
}

void catalog_record_block(struct catalog_record *record, const struct catalog *catalog, unsigned block)
{
    struct buffer *out = begin(record, KEY_BLOCK, block);
    buffer_append_varint(out, catalog->block_owner[block]);
}

void catalog_records(
    const struct catalog *catalog, void (*visit)(void *context, struct bytes key, struct bytes value), void *context)
{
    struct catalog_record record = {0};
#define VISIT() visit(context, catalog_record_key(&record), catalog_record_value(&record))
    for (unsigned i = 0; i < CATALOG_BLOCKS; i++) {
        if (catalog->block_owner[i] == 0) continue;
        catalog_record_block(&record, catalog, i);
        VISIT();
    }
    for (unsigned i = 0; i < catalog->ranges_count; i++) {
        catalog_record_range(&record, &catalog->ranges[i]);
        VISIT();
    }
    if (catalog->view_version) {
        catalog_record_head(&record, catalog);
        VISIT();
    }
    for (unsigned i = 0; i < catalog->imports_count; i++) {
        catalog_record_import(&record, &catalog->imports[i]);
        VISIT();
    }
    for (unsigned i = 0; i < catalog->nodes.count; i++) {
        catalog_record_daemon(&record, &catalog->nodes.items[i]);
        VISIT();
    }
    for (unsigned i = 0; i < catalog->routers.count; i++) {
        catalog_record_daemon(&record, &catalog->routers.items[i]);
        VISIT();
    }
    for (unsigned i = 0; i < catalog->tables_count; i++) {
        catalog_record_table(&record, &catalog->tables[i]);
        VISIT();
    }
#undef VISIT
    catalog_record_free(&record);
}

/* ---- loading; records come in order of keys ---- */

static bool load_head(struct catalog *catalog, struct reader *reader)
{
    struct uuid cluster = {0};
    read_uuid(reader, &cluster);
    uint64_t version = read_u64(reader);
    if (!reader_ok(reader) || !uuid_equal(&cluster, &catalog->cluster) || catalog->view_version || version == 0)
        return false;
    catalog->view_version = version;
    return true;
}

static bool load_daemon(struct catalog *catalog, struct reader *reader, uint64_t number, uint8_t role)
{
    struct catalog_daemon daemon = {.state = read_u8(reader)};
    command_register_decode(reader, &daemon.is);
    const struct catalog_daemons *daemons = catalog_daemons(catalog, role);
    if (!reader_ok(reader) || daemon.is.role != role || number != daemons->count + 1) return false;
    if (daemon.state == 0 || daemon.state >= NODE_STATES_END) return false;
    if (number > (role == DAEMON_NODE ? NODES_MAX : ROUTERS_MAX)) return false;
    daemon.id = (uint32_t)number;
    *catalog_add_daemon(catalog, role) = daemon;
    return true;
}

static bool load_table(struct catalog *catalog, struct reader *reader, uint64_t number)
{
    struct table table;
    if (table_decode(reader, &table) != STATUS_OK || table.id.value != number) return false;
    unsigned count = catalog->tables_count;
    if (count == TABLES_MAX || (count && catalog->tables[count - 1].id.value >= number)) return false;
    *catalog_add_table(catalog, count) = table;
    return true;
}

static bool load_range(struct catalog *catalog, struct reader *reader, uint64_t number)
{
    struct view_range range;
    if (view_range_decode(reader, &range) != STATUS_OK || range.id.value != number) return false;
    unsigned count = catalog->ranges_count;
    if (count == RANGES_MAX || (count && catalog->ranges[count - 1].id.value >= number)) return false;
    *catalog_add_range(catalog) = range;
    return true;
}

static bool load_import(struct catalog *catalog, struct reader *reader, uint64_t number)
{
    struct catalog_import import = {.id = number};
    import.table.value = read_at_most(reader, UINT32_MAX);
    import.deadline_us = read_varint_signed(reader);
    read_text(reader, import.label, sizeof import.label);
    unsigned count = catalog->imports_count;
    if (!reader_ok(reader) || count == IMPORTS_MAX || (count && catalog->imports[count - 1].id >= number)) return false;
    *catalog_add_import(catalog) = import;
    return true;
}

static bool load_block(struct catalog *catalog, struct reader *reader, uint64_t number)
{
    uint32_t owner = read_at_most(reader, ROUTERS_MAX);
    if (!reader_ok(reader) || owner == 0 || number >= CATALOG_BLOCKS || catalog->block_owner[number]) return false;
    catalog->block_owner[number] = owner;
    return true;
}

static bool load(struct catalog *catalog, struct reader *key, struct reader *value)
{
    uint8_t kind = read_u8(key);
    uint64_t number = read_u64_be(key);
    uint8_t format = read_u8(value);
    if (!reader_done(key) || !reader_ok(value) || format != RECORD_FORMAT) return false;
    switch (kind) {
    case KEY_HEAD:
        return number == 0 && load_head(catalog, value);
    case KEY_NODE:
        return load_daemon(catalog, value, number, DAEMON_NODE);
    case KEY_ROUTER:
        return load_daemon(catalog, value, number, DAEMON_ROUTER);
    case KEY_TABLE:
        return load_table(catalog, value, number);
    case KEY_RANGE:
        return load_range(catalog, value, number);
    case KEY_IMPORT:
        return load_import(catalog, value, number);
    case KEY_BLOCK:
        return load_block(catalog, value, number);
    default:
        return false;
    }
}

enum status catalog_load(struct catalog *catalog, struct bytes key, struct bytes value)
{
    struct reader key_reader = reader_of(key), value_reader = reader_of(value);
    if (!load(catalog, &key_reader, &value_reader) || !reader_done(&value_reader)) return STATUS_CORRUPT;
    struct catalog_record record = {.key_size = key.size};
    buffer_append(&record.bytes, key.data, key.size);
    buffer_append(&record.bytes, value.data, value.size);
    catalog_sum(catalog, &record, true);
    catalog_record_free(&record);
    return STATUS_OK;
}

/* The ranges of each table follow each other without a gap from the first token to the last. */
static bool ranges_cover(const struct catalog *catalog)
{
    for (unsigned i = 0; i < catalog->ranges_count; i++) {
        const struct view_range *range = &catalog->ranges[i];
        const struct view_range *before = i > 0 ? range - 1 : NULL;
        bool first = !before || before->table.value != range->table.value;
        if (range->lo != (first ? INT64_MIN : before->hi)) return false;
        bool last = i + 1 == catalog->ranges_count || range[1].table.value != range->table.value;
        if (last && range->hi != INT64_MAX) return false;
        if (!catalog_table(catalog, range->table)) return false;
        for (unsigned r = 0; r < range->replicas_count; r++)
            if (!catalog_node(catalog, range->replicas[r].value)) return false;
    }
    return true;
}

enum status catalog_loaded(struct catalog *catalog)
{
    catalog_sort_ranges(catalog);
    bool empty = catalog->nodes.count == 0 && catalog->routers.count == 0 && catalog->tables_count == 0;
    if (!empty && catalog->view_version == 0) return STATUS_CORRUPT;
    for (unsigned i = 0; i < CATALOG_BLOCKS; i++)
        if (catalog->block_owner[i] && !catalog_router(catalog, catalog->block_owner[i])) return STATUS_CORRUPT;
    return ranges_cover(catalog) ? STATUS_OK : STATUS_CORRUPT;
}
