/* catalog: life, digest, sight. */
#include "controld/catalog/catalog.h"

#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "controld/catalog/catalog_internal.h"

#define MAKE_ROOM(array, count, capacity)                                                                              \
    do {                                                                                                               \
        if ((count) == (capacity)) {                                                                                   \
            (capacity) = (capacity) ? (capacity)*2 : 16;                                                               \
            (array) = mem_realloc((array), (size_t)(capacity) * sizeof *(array));                                      \
        }                                                                                                              \
    } while (0)

void catalog_init(struct catalog *catalog, const struct uuid *cluster)
{
    *catalog = (struct catalog){.cluster = *cluster};
}

void catalog_fini(struct catalog *catalog)
{
    mem_free(catalog->nodes.items);
    mem_free(catalog->routers.items);
    mem_free(catalog->tables);
    mem_free(catalog->ranges);
    mem_free(catalog->imports);
    *catalog = (struct catalog){0};
}

/* ---- arrays ---- */

struct catalog_daemons *catalog_daemons(struct catalog *catalog, uint8_t role)
{
    CHECK(role == DAEMON_NODE || role == DAEMON_ROUTER);
    return role == DAEMON_NODE ? &catalog->nodes : &catalog->routers;
}

struct catalog_daemon *catalog_add_daemon(struct catalog *catalog, uint8_t role)
{
    struct catalog_daemons *daemons = catalog_daemons(catalog, role);
    MAKE_ROOM(daemons->items, daemons->count, daemons->capacity);
    return &daemons->items[daemons->count++];
}

struct table *catalog_add_table(struct catalog *catalog, unsigned position)
{
    CHECK(position <= catalog->tables_count);
    MAKE_ROOM(catalog->tables, catalog->tables_count, catalog->tables_capacity);
    memmove(catalog->tables + position + 1, catalog->tables + position,
        (catalog->tables_count - position) * sizeof *catalog->tables);
    catalog->tables_count++;
    return &catalog->tables[position];
}

struct view_range *catalog_add_range(struct catalog *catalog)
{
    MAKE_ROOM(catalog->ranges, catalog->ranges_count, catalog->ranges_capacity);
    return &catalog->ranges[catalog->ranges_count++];
}

struct catalog_import *catalog_add_import(struct catalog *catalog)
{
    MAKE_ROOM(catalog->imports, catalog->imports_count, catalog->imports_capacity);
    return &catalog->imports[catalog->imports_count++];
}

static int compare_ranges(const void *a_pointer, const void *b_pointer)
{
    const struct view_range *a = a_pointer, *b = b_pointer;
    if (a->table.value != b->table.value) return a->table.value < b->table.value ? -1 : 1;
    if (a->hi != b->hi) return a->hi < b->hi ? -1 : 1;
    return 0;
}

void catalog_sort_ranges(struct catalog *catalog)
{
    if (catalog->ranges_count > 1)
        qsort(catalog->ranges, catalog->ranges_count, sizeof *catalog->ranges, compare_ranges);
}

/* ---- digest ---- */

void catalog_sum(struct catalog *catalog, const struct catalog_record *record, bool in)
{
    struct digest one = hash128(record->bytes.data, record->bytes.size, record->key_size);
    catalog->sum.low += in ? one.low : -one.low;
    catalog->sum.high += in ? one.high : -one.high;
}

struct digest catalog_digest(const struct catalog *catalog)
{
    return catalog->sum;
}

/* ---- sight ---- */

static const struct catalog_daemon *daemon_at(const struct catalog_daemons *daemons, uint32_t id)
{
    return id > 0 && id <= daemons->count ? &daemons->items[id - 1] : NULL;
}

const struct catalog_daemon *catalog_router(const struct catalog *catalog, uint32_t id)
{
    return daemon_at(&catalog->routers, id);
}

const struct catalog_daemon *catalog_node(const struct catalog *catalog, uint32_t id)
{
    return daemon_at(&catalog->nodes, id);
}

const struct catalog_daemon *catalog_daemon_by_uuid(
    const struct catalog *catalog, enum daemon_role role, const struct uuid *uuid)
{
    const struct catalog_daemons *daemons = role == DAEMON_NODE ? &catalog->nodes : &catalog->routers;
    for (unsigned i = 0; i < daemons->count; i++)
        if (uuid_equal(&daemons->items[i].is.uuid, uuid)) return &daemons->items[i];
    return NULL;
}

const struct table *catalog_table(const struct catalog *catalog, struct table_id table)
{
    for (unsigned i = 0; i < catalog->tables_count; i++)
        if (catalog->tables[i].id.value == table.value) return &catalog->tables[i];
    return NULL;
}

const struct view_range *catalog_range(const struct catalog *catalog, struct range_id range)
{
    for (unsigned i = 0; i < catalog->ranges_count; i++)
        if (catalog->ranges[i].id.value == range.value) return &catalog->ranges[i];
    return NULL;
}

unsigned catalog_ranges_of(const struct catalog *catalog, struct node_id node)
{
    unsigned count = 0;
    for (unsigned i = 0; i < catalog->ranges_count; i++)
        count += view_range_has(&catalog->ranges[i], node);
    return count;
}

unsigned catalog_lapsed_of(const struct catalog *catalog, struct node_id node)
{
    unsigned count = 0;
    for (unsigned i = 0; i < catalog->ranges_count; i++) {
        unsigned place = view_range_place(&catalog->ranges[i], node);
        count += place < catalog->ranges[i].replicas_count && view_range_is_lapsed(&catalog->ranges[i], place);
    }
    return count;
}

/* ---- view ---- */

static struct view_node view_node_of(const struct catalog_daemon *node)
{
    struct view_node out = {.id = {node->id},
        .uuid = node->is.uuid,
        .boot = node->is.boot,
        .shards = node->is.shards,
        .state = node->state};
    memcpy(out.address, node->is.address, sizeof out.address);
    memcpy(out.zone, node->is.zone, sizeof out.zone);
    return out;
}

static struct view_router view_router_of(const struct catalog_daemon *router)
{
    struct view_router out = {.id = {router->id}, .uuid = router->is.uuid, .workers = router->is.shards};
    memcpy(out.address, router->is.address, sizeof out.address);
    return out;
}

void catalog_view(const struct catalog *catalog, const struct view_controller *controllers, unsigned controllers_count,
    struct arena *arena, struct view *out)
{
    *out = (struct view){
        .cluster = catalog->cluster,
        .version = catalog->view_version,
        .nodes_count = catalog->nodes.count,
        .routers_count = catalog->routers.count,
        .controllers_count = controllers_count,
        .tables_count = catalog->tables_count,
        .ranges_count = catalog->ranges_count,
        .imports_count = catalog->imports_count,
        .controllers = arena_copy(arena, controllers, controllers_count * sizeof *controllers),
        .tables = arena_copy(arena, catalog->tables, catalog->tables_count * sizeof *catalog->tables),
        .ranges = arena_copy(arena, catalog->ranges, catalog->ranges_count * sizeof *catalog->ranges),
    };
    out->nodes = arena_zalloc(arena, catalog->nodes.count * sizeof *out->nodes);
    for (unsigned i = 0; i < catalog->nodes.count; i++)
        out->nodes[i] = view_node_of(&catalog->nodes.items[i]);
    out->routers = arena_zalloc(arena, catalog->routers.count * sizeof *out->routers);
    for (unsigned i = 0; i < catalog->routers.count; i++)
        out->routers[i] = view_router_of(&catalog->routers.items[i]);
    out->imports = arena_zalloc(arena, catalog->imports_count * sizeof *out->imports);
    for (unsigned i = 0; i < catalog->imports_count; i++) {
        const struct catalog_import *import = &catalog->imports[i];
        out->imports[i] = (struct view_import){import->id, import->table, import->deadline_us};
    }
}
