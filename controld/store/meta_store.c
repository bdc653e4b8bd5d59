#include "controld/store/meta_store.h"

#include "common/base/check.h"

/* A change: u8 1 for a delete, varint and key, varint and value (none for a delete). */

static void check_key(struct bytes key)
{
    CHECK(key.size > 0 && key.size <= META_KEY_BYTES_MAX && key.data[0] != META_OWN_BYTE);
}

static void append_sized(struct buffer *buffer, struct bytes bytes)
{
    buffer_append_varint(buffer, bytes.size);
    if (bytes.size) buffer_append(buffer, bytes.data, bytes.size);
}

void meta_batch_put(struct meta_batch *batch, struct bytes key, struct bytes value)
{
    check_key(key);
    CHECK(value.size <= META_VALUE_BYTES_MAX);
    buffer_append(&batch->changes, "\0", 1);
    append_sized(&batch->changes, key);
    append_sized(&batch->changes, value);
    batch->count++;
}

void meta_batch_delete(struct meta_batch *batch, struct bytes key)
{
    check_key(key);
    buffer_append(&batch->changes, "\1", 1);
    append_sized(&batch->changes, key);
    batch->count++;
}

void meta_batch_clear(struct meta_batch *batch)
{
    buffer_clear(&batch->changes);
    batch->count = 0;
}

void meta_batch_free(struct meta_batch *batch)
{
    buffer_free(&batch->changes);
    *batch = (struct meta_batch){0};
}

bool meta_batch_next(const struct meta_batch *batch, size_t *position, struct meta_change *out)
{
    if (*position == batch->changes.size) return false;
    struct reader reader = reader_of(bytes_of(batch->changes.data + *position, batch->changes.size - *position));
    struct meta_change change = {.is_delete = read_u8(&reader) == 1};
    change.key = read_sized(&reader);
    if (!change.is_delete) change.value = read_sized(&reader);
    CHECK(reader_ok(&reader));
    *position = batch->changes.size - reader_left(&reader);
    *out = change;
    return true;
}

enum status meta_get(struct meta_store *store, struct bytes key, struct buffer *value)
{
    check_key(key);
    return store->operations->get(store, key, value);
}

enum status meta_commit(struct meta_store *store, const struct meta_batch *batch, uint64_t applied)
{
    CHECK(applied >= store->operations->applied(store));
    return store->operations->commit(store, batch, applied);
}

enum status meta_wipe(struct meta_store *store)
{
    return store->operations->wipe(store);
}

uint64_t meta_applied(struct meta_store *store)
{
    return store->operations->applied(store);
}

struct meta_cursor *meta_cursor_create(struct meta_store *store, struct bytes from, struct bytes to)
{
    static const uint8_t own = META_OWN_BYTE;
    if (to.size == 0 || to.data[0] == META_OWN_BYTE) to = bytes_of(&own, 1);
    return store->operations->cursor_create(store, from, to);
}

bool meta_cursor_next(struct meta_cursor *cursor, struct bytes *key, struct bytes *value)
{
    return cursor->operations->cursor_next(cursor, key, value);
}

enum status meta_cursor_status(const struct meta_cursor *cursor)
{
    return cursor->operations->cursor_status(cursor);
}

void meta_cursor_destroy(struct meta_cursor *cursor)
{
    if (cursor) cursor->operations->cursor_destroy(cursor);
}

void meta_store_destroy(struct meta_store *store)
{
    if (store) store->operations->destroy(store);
}
