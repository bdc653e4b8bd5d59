#include "noded/lsm/memtable.h"

#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/model/merge.h"

enum {
    CHUNK_BYTES_MIN = 4 << 10,
    CHUNK_BYTES_MAX = 128 << 10,
    LEAF_ENTRIES_MIN = 4,
    LEAF_ENTRIES_MAX = 64,
    SLOTS_MIN = 64,
    TAIL_ROWS_MIN = 16, /* a partition of fewer rows has no block of its own */
    TAIL_BYTES_MIN = 1 << 10,
    TAIL_BYTES_MAX = 8 << 10,
    TAIL_ROW_SHARE = 4, /* a row larger than this part of a block goes elsewhere */
    PREFETCH_STEPS = 6,
};

struct mem_leaf {
    uint32_t count, capacity;
    struct mem_entry entries[];
};

/* Aligned things grow from the front, row bytes from the back. */
struct chunk {
    struct chunk *next;
    uint32_t front, back;
    uint8_t data[];
};

struct slot {
    uint64_t hash;
    struct mem_partition *partition;
};

struct memtable {
    uint32_t refs;
    uint64_t *bytes_total;
    uint64_t bytes, rows;
    struct chunk *chunks; /* newest first */
    uint32_t chunk_bytes; /* of the next one */
    struct slot *slots;
    uint32_t slots_count, partitions_count;
    struct mem_partition *last;   /* touched or found last */
    struct mem_partition **order; /* all partitions; the first order_sorted of them in key order */
    uint32_t order_sorted, order_capacity;
};

static void account(struct memtable *memtable, uint64_t bytes)
{
    memtable->bytes += bytes;
    *memtable->bytes_total += bytes;
}

struct memtable *memtable_create(uint64_t *bytes_total)
{
    struct memtable *memtable = mem_zalloc(sizeof *memtable);
    memtable->refs = 1;
    memtable->bytes_total = bytes_total;
    memtable->chunk_bytes = CHUNK_BYTES_MIN;
    memtable->slots_count = SLOTS_MIN;
    memtable->slots = mem_zalloc(SLOTS_MIN * sizeof *memtable->slots);
    account(memtable, SLOTS_MIN * sizeof *memtable->slots);
    return memtable;
}

void memtable_ref(struct memtable *memtable)
{
    CHECK(memtable->refs > 0);
    memtable->refs++;
}

void memtable_release(struct memtable *memtable)
{
    CHECK(memtable->refs > 0);
    if (--memtable->refs > 0) return;
    CHECK(*memtable->bytes_total >= memtable->bytes);
    *memtable->bytes_total -= memtable->bytes;
    for (struct chunk *chunk = memtable->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        mem_free(chunk);
    }
    mem_free(memtable->slots);
    mem_free(memtable->order);
    mem_free(memtable);
}

uint64_t memtable_bytes(const struct memtable *memtable)
{
    return memtable->bytes;
}

uint64_t memtable_rows(const struct memtable *memtable)
{
    return memtable->rows;
}

static struct chunk *chunk_with_room(struct memtable *memtable, uint32_t size)
{
    struct chunk *chunk = memtable->chunks;
    if (chunk && chunk->back - chunk->front >= size) return chunk;
    uint32_t bytes = memtable->chunk_bytes;
    if (bytes < CHUNK_BYTES_MAX) memtable->chunk_bytes *= 2;
    if (bytes < size) bytes = size;
    struct chunk *fresh = mem_alloc(sizeof *fresh + bytes);
    fresh->front = 0;
    fresh->back = bytes;
    account(memtable, sizeof *fresh + bytes);
    if (chunk && bytes == size) { /* an oversized one is full at once: keep filling the older one */
        fresh->next = chunk->next;
        chunk->next = fresh;
    } else {
        fresh->next = chunk;
        memtable->chunks = fresh;
    }
    return fresh;
}

static void *alloc_aligned(struct memtable *memtable, size_t size)
{
    size = (size + 7) & ~(size_t)7;
    struct chunk *chunk = chunk_with_room(memtable, (uint32_t)size + 8); /* back may be unaligned, front is not */
    void *block = chunk->data + chunk->front;
    chunk->front += (uint32_t)size;
    return block;
}

static const uint8_t *copy_bytes(struct memtable *memtable, const void *data, uint32_t size)
{
    if (size == 0) return NULL;
    struct chunk *chunk = chunk_with_room(memtable, size);
    chunk->back -= size;
    memcpy(chunk->data + chunk->back, data, size);
    return chunk->data + chunk->back;
}

/* What the partition's next block of rows holds: more for a busier one, so that little stays unused; 0: none yet. */
static uint32_t tail_size(const struct mem_partition *partition)
{
    if (partition->rows < TAIL_ROWS_MIN) return 0;
    uint64_t bytes = partition->rows * (TAIL_BYTES_MIN / TAIL_ROWS_MIN);
    return bytes > TAIL_BYTES_MAX ? TAIL_BYTES_MAX : (uint32_t)bytes;
}

static const uint8_t *copy_row(
    struct memtable *memtable, struct mem_partition *partition, const void *data, uint32_t size)
{
    if (size > partition->tail_bytes) {
        uint32_t bytes = tail_size(partition);
        if (size > bytes / TAIL_ROW_SHARE) return copy_bytes(memtable, data, size);
        struct chunk *chunk = chunk_with_room(memtable, bytes);
        chunk->back -= bytes;
        partition->tail = chunk->data + chunk->back;
        partition->tail_bytes = bytes;
    }
    if (size == 0) return NULL;
    partition->tail_bytes -= size;
    return memcpy(partition->tail + partition->tail_bytes, data, size);
}

static struct slot *slot_of(struct memtable *memtable, uint64_t hash, struct bytes key)
{
    uint32_t mask = memtable->slots_count - 1;
    for (uint32_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
        struct slot *slot = &memtable->slots[i];
        if (!slot->partition || (slot->hash == hash && bytes_equal(slot->partition->key, key))) return slot;
    }
}

static void slots_grow(struct memtable *memtable)
{
    struct slot *old = memtable->slots;
    uint32_t old_count = memtable->slots_count;
    memtable->slots_count = old_count * 2;
    memtable->slots = mem_zalloc(memtable->slots_count * sizeof *memtable->slots);
    account(memtable, old_count * sizeof *memtable->slots);
    for (uint32_t i = 0; i < old_count; i++)
        if (old[i].partition) *slot_of(memtable, old[i].hash, old[i].partition->key) = old[i];
    mem_free(old);
}

static void order_append(struct memtable *memtable, struct mem_partition *partition)
{
    if (memtable->partitions_count == memtable->order_capacity) {
        uint32_t capacity = memtable->order_capacity ? memtable->order_capacity * 2 : SLOTS_MIN;
        account(memtable, (capacity - memtable->order_capacity) * sizeof *memtable->order);
        memtable->order = mem_realloc(memtable->order, capacity * sizeof *memtable->order);
        memtable->order_capacity = capacity;
    }
    memtable->order[memtable->partitions_count++] = partition;
}

struct mem_partition *memtable_find(struct memtable *memtable, struct bytes key)
{
    if (memtable->last && bytes_equal(memtable->last->key, key)) return memtable->last;
    struct mem_partition *partition = slot_of(memtable, hash64(key.data, key.size, 0), key)->partition;
    if (partition) memtable->last = partition;
    return partition;
}

struct mem_partition *memtable_touch(struct memtable *memtable, struct bytes key, bool *made)
{
    *made = false;
    if (memtable->last && bytes_equal(memtable->last->key, key)) return memtable->last;
    uint64_t hash = hash64(key.data, key.size, 0);
    struct slot *slot = slot_of(memtable, hash, key);
    if (!slot->partition) {
        if ((memtable->partitions_count + 1) * 4 > memtable->slots_count * 3) {
            slots_grow(memtable);
            slot = slot_of(memtable, hash, key);
        }
        /* The key lies behind it: looking it up touches one place. */
        struct mem_partition *partition = alloc_aligned(memtable, sizeof *partition + key.size);
        memset(partition, 0, sizeof *partition);
        partition->key = bytes_of(memcpy(partition + 1, key.data, key.size), key.size);
        partition->hash = hash;
        partition->leaves = partition->first_leaf;
        partition->leaves_capacity = 1;
        *slot = (struct slot){hash, partition};
        order_append(memtable, partition);
        *made = true;
    }
    return memtable->last = slot->partition;
}

/* ---- Leaves ---- */

static struct mem_leaf *leaf_create(struct memtable *memtable, uint32_t capacity)
{
    struct mem_leaf *leaf = alloc_aligned(memtable, sizeof *leaf + capacity * sizeof *leaf->entries);
    leaf->count = 0;
    leaf->capacity = capacity;
    return leaf;
}

static void leaves_insert(
    struct memtable *memtable, struct mem_partition *partition, uint32_t at, struct mem_leaf *leaf)
{
    if (partition->leaves_count == partition->leaves_capacity) {
        uint32_t capacity = partition->leaves_capacity < 4 ? 4 : partition->leaves_capacity * 2;
        struct mem_leaf **leaves = alloc_aligned(memtable, capacity * sizeof(struct mem_leaf *));
        memcpy(leaves, partition->leaves, partition->leaves_count * sizeof(struct mem_leaf *));
        partition->leaves = leaves;
        partition->leaves_capacity = capacity;
    }
    memmove(
        partition->leaves + at + 1, partition->leaves + at, (partition->leaves_count - at) * sizeof(struct mem_leaf *));
    partition->leaves[at] = leaf;
    partition->leaves_count++;
}

/* The leaf that holds the id or would: the last one whose first id is at most id (or the first). */
static uint32_t leaf_of(const struct mem_partition *partition, uint64_t id)
{
    uint32_t low = 0, high = partition->leaves_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (partition->leaves[middle]->entries[0].id <= id)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The first entry of the leaf with an id of at least id, or its count. */
static uint32_t entry_at_least(const struct mem_leaf *leaf, uint64_t id)
{
    uint32_t low = 0, high = leaf->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (leaf->entries[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A leaf with room in the place of leaf number at: a larger copy, or its upper half moved to a new one. */
static void leaf_make_room(struct memtable *memtable, struct mem_partition *partition, uint32_t at)
{
    struct mem_leaf *leaf = partition->leaves[at];
    partition->version++;
    if (leaf->capacity < LEAF_ENTRIES_MAX) {
        struct mem_leaf *larger = leaf_create(memtable, leaf->capacity * 4);
        larger->count = leaf->count;
        memcpy(larger->entries, leaf->entries, leaf->count * sizeof *leaf->entries);
        partition->leaves[at] = larger;
        return;
    }
    struct mem_leaf *upper = leaf_create(memtable, LEAF_ENTRIES_MAX);
    uint32_t half = leaf->count / 2;
    upper->count = leaf->count - half;
    memcpy(upper->entries, leaf->entries + half, upper->count * sizeof *leaf->entries);
    leaf->count = half;
    leaves_insert(memtable, partition, at + 1, upper);
}

static void append(struct memtable *memtable, struct mem_partition *partition, const struct mem_entry *entry)
{
    struct mem_leaf *leaf = partition->leaves_count ? partition->leaves[partition->leaves_count - 1] : NULL;
    if (!leaf || leaf->count == leaf->capacity) {
        if (!leaf || leaf->capacity == LEAF_ENTRIES_MAX) {
            leaves_insert(memtable, partition, partition->leaves_count,
                leaf_create(memtable, leaf ? LEAF_ENTRIES_MAX : LEAF_ENTRIES_MIN));
            partition->version++;
        } else {
            leaf_make_room(memtable, partition, partition->leaves_count - 1);
        }
        leaf = partition->leaves[partition->leaves_count - 1];
    }
    leaf->entries[leaf->count++] = *entry;
    partition->last_id = entry->id;
}

static void insert(struct memtable *memtable, struct mem_partition *partition, const struct mem_entry *entry)
{
    uint32_t at = leaf_of(partition, entry->id);
    if (partition->leaves[at]->count == partition->leaves[at]->capacity) {
        leaf_make_room(memtable, partition, at);
        at = leaf_of(partition, entry->id);
    }
    struct mem_leaf *leaf = partition->leaves[at];
    uint32_t place = entry_at_least(leaf, entry->id);
    memmove(leaf->entries + place + 1, leaf->entries + place, (leaf->count - place) * sizeof *leaf->entries);
    leaf->entries[place] = *entry;
    leaf->count++;
    partition->version++;
}

static struct mem_entry *find(const struct mem_partition *partition, uint64_t id)
{
    if (partition->leaves_count == 0) return NULL;
    struct mem_leaf *leaf = partition->leaves[leaf_of(partition, id)];
    uint32_t at = entry_at_least(leaf, id);
    return at < leaf->count && leaf->entries[at].id == id ? &leaf->entries[at] : NULL;
}

const struct mem_entry *mem_partition_get(const struct mem_partition *partition, uint64_t id)
{
    return find(partition, id);
}

static void merge_into(
    struct memtable *memtable, struct mem_entry *held, const struct mem_entry *entry, struct buffer *scratch)
{
    held->closed |= entry->closed;
    if (entry->size == 0) return;
    struct bytes old = {held->row, held->size}, fresh = {entry->row, entry->size};
    if (bytes_equal(old, fresh)) return;
    bool erases = PLANT(retried_create_erases_edit) && row_bytes_is_visible(old) && row_bytes_is_visible(fresh);
    if (held->size > 0 && !erases) {
        buffer_clear(scratch);
        CHECK(row_merge_bytes(old, fresh, scratch) == STATUS_OK); /* the caller has checked the row */
        fresh = buffer_bytes(scratch);
        if (bytes_equal(old, fresh)) return;
    }
    held->row = copy_bytes(memtable, fresh.data, (uint32_t)fresh.size);
    held->size = (uint32_t)fresh.size;
}

void memtable_put(
    struct memtable *memtable, struct mem_partition *partition, const struct mem_entry *entry, struct buffer *scratch)
{
    bool in_order = partition->leaves_count == 0 || entry->id > partition->last_id;
    if (!in_order) {
        struct mem_entry *held = find(partition, entry->id);
        if (held) {
            merge_into(memtable, held, entry, scratch);
            return;
        }
    }
    struct mem_entry fresh = *entry;
    fresh.row = copy_row(memtable, partition, entry->row, entry->size);
    if (in_order)
        append(memtable, partition, &fresh);
    else
        insert(memtable, partition, &fresh);
    partition->rows++;
    memtable->rows++;
}

static int compare_partitions(const void *a, const void *b)
{
    const struct mem_partition *const *left = a, *const *right = b;
    return bytes_compare((*left)->key, (*right)->key);
}

/* Puts the sorted partitions fresh[0..count) into order's sorted part, the largest first. */
static void order_merge(struct memtable *memtable, struct mem_partition *const *fresh, uint32_t count)
{
    struct mem_partition **order = memtable->order;
    uint32_t end = memtable->order_sorted; /* of the part that is not yet in its place */
    while (count > 0) {
        struct mem_partition *partition = fresh[count - 1];
        uint32_t low = 0, high = end;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (bytes_compare(order[middle]->key, partition->key) < 0)
                low = middle + 1;
            else
                high = middle;
        }
        memmove(order + low + count, order + low, (end - low) * sizeof *order);
        order[low + --count] = partition;
        end = low;
    }
}

struct mem_partition *const *memtable_sorted(struct memtable *memtable, uint32_t *count)
{
    uint32_t fresh = memtable->partitions_count - memtable->order_sorted;
    if (fresh > 0) {
        struct mem_partition **added = memtable->order + memtable->order_sorted;
        qsort(added, fresh, sizeof *added, compare_partitions);
        if (memtable->order_sorted > 0) {
            struct mem_partition **copy = mem_alloc(fresh * sizeof *copy);
            memcpy(copy, added, fresh * sizeof *copy);
            order_merge(memtable, copy, fresh);
            mem_free(copy);
        }
        memtable->order_sorted = memtable->partitions_count;
    }
    *count = memtable->partitions_count;
    return memtable->order;
}

/* ---- Cursor ---- */

void mem_cursor_init(
    struct mem_cursor *cursor, const struct mem_partition *partition, uint64_t bound, enum page_direction direction)
{
    *cursor = (struct mem_cursor){.partition = partition, .direction = direction, .bound = bound};
}

static void place(struct mem_cursor *cursor)
{
    const struct mem_partition *partition = cursor->partition;
    cursor->placed = true;
    cursor->version = partition->version;
    cursor->leaf = leaf_of(partition, cursor->bound);
    const struct mem_leaf *leaf = partition->leaves[cursor->leaf];
    cursor->at = entry_at_least(leaf, cursor->bound);
    if (cursor->direction == PAGE_OLDEST_FIRST) return;
    /* Newest first: at counts the entries up to the bound, the next one is at - 1. */
    if (cursor->at < leaf->count && leaf->entries[cursor->at].id == cursor->bound) cursor->at++;
}

const struct mem_entry *mem_cursor_peek(struct mem_cursor *cursor)
{
    const struct mem_partition *partition = cursor->partition;
    if (cursor->ended || partition->leaves_count == 0) return NULL;
    if (!cursor->placed || cursor->version != partition->version) place(cursor);
    const struct mem_leaf *leaf = partition->leaves[cursor->leaf];
    if (cursor->direction == PAGE_OLDEST_FIRST) {
        if (cursor->at == leaf->count) {
            if (cursor->leaf + 1 == partition->leaves_count) return NULL;
            leaf = partition->leaves[++cursor->leaf];
            cursor->at = 0;
        }
        return &leaf->entries[cursor->at];
    }
    if (cursor->at == 0) {
        if (cursor->leaf == 0) return NULL;
        leaf = partition->leaves[--cursor->leaf];
        cursor->at = leaf->count;
    }
    /* Rows of one partition lie far apart, between those of others: fetch some steps ahead. */
    if (cursor->at > PREFETCH_STEPS) __builtin_prefetch(leaf->entries[cursor->at - 1 - PREFETCH_STEPS].row);
    return &leaf->entries[cursor->at - 1];
}

void mem_cursor_pass(struct mem_cursor *cursor, uint64_t id)
{
    bool newest_first = cursor->direction == PAGE_NEWEST_FIRST;
    if (id == (newest_first ? 0 : UINT64_MAX)) {
        cursor->ended = true;
        return;
    }
    uint64_t bound = newest_first ? id - 1 : id + 1;
    if (newest_first ? bound >= cursor->bound : bound <= cursor->bound) return;
    bool placed = cursor->placed && cursor->version == cursor->partition->version;
    const struct mem_entry *entry = placed ? mem_cursor_peek(cursor) : NULL;
    cursor->bound = bound;
    if (entry && entry->id == id)
        cursor->at = newest_first ? cursor->at - 1 : cursor->at + 1;
    else if (!entry || (newest_first ? entry->id > id : entry->id < id))
        cursor->placed = false;
}
