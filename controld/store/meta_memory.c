#include "controld/store/meta_memory.h"

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/mem.h"

/* An immutable key and value, shared by tables. */
struct item {
    uint32_t refs, key_size, value_size;
    uint8_t data[];
};

/* Items in key order. A table that a cursor holds is not changed: a commit goes on with a copy. */
struct table {
    uint32_t refs;
    size_t count, capacity;
    struct item **items;
};

struct memory {
    struct meta_store base;
    struct table *table;
    uint64_t applied;
};

struct memory_cursor {
    struct meta_cursor base;
    struct table *table;
    size_t next, end;
};

static struct bytes item_key(const struct item *item)
{
    return bytes_of(item->data, item->key_size);
}

static struct bytes item_value(const struct item *item)
{
    return bytes_of(item->data + item->key_size, item->value_size);
}

static struct item *item_create(struct bytes key, struct bytes value)
{
    struct item *item = mem_alloc(sizeof *item + key.size + value.size);
    *item = (struct item){1, (uint32_t)key.size, (uint32_t)value.size};
    memcpy(item->data, key.data, key.size);
    if (value.size) memcpy(item->data + key.size, value.data, value.size);
    return item;
}

static void item_unref(struct item *item)
{
    if (--item->refs == 0) mem_free(item);
}

static struct table *table_create(void)
{
    struct table *table = mem_zalloc(sizeof *table);
    table->refs = 1;
    return table;
}

static void table_unref(struct table *table)
{
    if (--table->refs > 0) return;
    for (size_t i = 0; i < table->count; i++)
        item_unref(table->items[i]);
    mem_free(table->items);
    mem_free(table);
}

/* The first position whose key is not below key. */
static size_t lower_bound(const struct table *table, struct bytes key)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bytes_compare(item_key(table->items[middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool holds(const struct table *table, size_t position, struct bytes key)
{
    return position < table->count && bytes_equal(item_key(table->items[position]), key);
}

static void insert_at(struct table *table, size_t position, struct item *item)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 64;
        table->items = mem_realloc(table->items, table->capacity * sizeof(*table->items));
    }
    memmove(table->items + position + 1, table->items + position, (table->count - position) * sizeof(*table->items));
    table->items[position] = item;
    table->count++;
}

static void remove_at(struct table *table, size_t position)
{
    item_unref(table->items[position]);
    table->count--;
    memmove(table->items + position, table->items + position + 1, (table->count - position) * sizeof(*table->items));
}

/* The store's table, as a copy of its own when a cursor holds it. */
static struct table *writable(struct memory *memory)
{
    struct table *old = memory->table;
    if (old->refs == 1) return old;
    struct table *copy = table_create();
    copy->count = copy->capacity = old->count;
    copy->items = mem_alloc(old->count * sizeof(*copy->items) + 1);
    for (size_t i = 0; i < old->count; i++) {
        copy->items[i] = old->items[i];
        copy->items[i]->refs++;
    }
    table_unref(old);
    return memory->table = copy;
}

static struct memory *memory_of(struct meta_store *store)
{
    return CONTAINER_OF(store, struct memory, base);
}

static enum status memory_get(struct meta_store *store, struct bytes key, struct buffer *value)
{
    const struct table *table = memory_of(store)->table;
    size_t position = lower_bound(table, key);
    if (!holds(table, position, key)) return STATUS_NOT_FOUND;
    if (value) {
        struct bytes found = item_value(table->items[position]);
        buffer_clear(value);
        if (found.size) buffer_append(value, found.data, found.size);
    }
    return STATUS_OK;
}

static enum status memory_commit(struct meta_store *store, const struct meta_batch *batch, uint64_t applied)
{
    struct memory *memory = memory_of(store);
    struct table *table = writable(memory);
    struct meta_change change;
    for (size_t at = 0; meta_batch_next(batch, &at, &change);) {
        size_t position = lower_bound(table, change.key);
        if (holds(table, position, change.key)) remove_at(table, position);
        if (!change.is_delete) insert_at(table, position, item_create(change.key, change.value));
    }
    memory->applied = applied;
    return STATUS_OK;
}

static enum status memory_wipe(struct meta_store *store)
{
    struct memory *memory = memory_of(store);
    table_unref(memory->table);
    memory->table = table_create();
    memory->applied = 0;
    return STATUS_OK;
}

static uint64_t memory_applied(struct meta_store *store)
{
    return memory_of(store)->applied;
}

static const struct meta_store_operations memory_operations;

static struct meta_cursor *memory_cursor_create(struct meta_store *store, struct bytes from, struct bytes to)
{
    struct memory_cursor *cursor = mem_zalloc(sizeof *cursor);
    cursor->base.operations = &memory_operations;
    cursor->table = memory_of(store)->table;
    cursor->table->refs++;
    cursor->next = lower_bound(cursor->table, from);
    cursor->end = lower_bound(cursor->table, to);
    return &cursor->base;
}

static bool memory_cursor_next(struct meta_cursor *base, struct bytes *key, struct bytes *value)
{
    struct memory_cursor *cursor = CONTAINER_OF(base, struct memory_cursor, base);
    if (cursor->next >= cursor->end) return false;
    const struct item *item = cursor->table->items[cursor->next++];
    *key = item_key(item);
    *value = item_value(item);
    return true;
}

static enum status memory_cursor_status(const struct meta_cursor *base)
{
    (void)base;
    return STATUS_OK;
}

static void memory_cursor_destroy(struct meta_cursor *base)
{
    struct memory_cursor *cursor = CONTAINER_OF(base, struct memory_cursor, base);
    table_unref(cursor->table);
    mem_free(cursor);
}

static void memory_destroy(struct meta_store *store)
{
    struct memory *memory = memory_of(store);
    CHECK(memory->table->refs == 1);
    table_unref(memory->table);
    mem_free(memory);
}

static const struct meta_store_operations memory_operations = {
    .get = memory_get,
    .commit = memory_commit,
    .wipe = memory_wipe,
    .applied = memory_applied,
    .cursor_create = memory_cursor_create,
    .cursor_next = memory_cursor_next,
    .cursor_status = memory_cursor_status,
    .cursor_destroy = memory_cursor_destroy,
    .destroy = memory_destroy,
};

struct meta_store *meta_memory_create(void)
{
    struct memory *memory = mem_zalloc(sizeof *memory);
    memory->base.operations = &memory_operations;
    memory->table = table_create();
    return &memory->base;
}
