#include "noded/lsm/cursor.h"

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/model/merge.h"
#include "noded/lsm/tree.h"

enum { AHEAD_BLOCKS_MAX = 16, POOL_CURSORS_MAX = 64 };

/* Where one memtable or file stands: its next id lies at or beyond the cursor's bound. */
struct source {
    /* A memtable (held), or */
    struct memtable *memtable;
    struct mem_cursor mem;
    /* a file (held): rows of the partition in the block, row_at of them being next. */
    struct sstable *file;
    uint32_t partition;
    struct block *block; /* NULL: number is to be loaded, unless ended */
    uint32_t number;
    uint32_t row, row_first, row_end;
    uint32_t loaded; /* blocks so far: a longer walk reads further ahead */
    bool ended;
    /* The next entry, when there is one. */
    bool has;
    uint64_t id;
    struct bytes bytes;
    bool closed;
};

struct lsm_cursor {
    struct list link; /* in the pool */
    struct lsm *lsm;
    struct lsm_store *store;
    enum page_direction direction;
    uint64_t bound;
    bool has_last; /* last_id was returned and is to be passed */
    uint64_t last_id;
    enum status failed;
    struct buffer key;
    const struct span_set *spans;
    uint64_t spans_count; /* of the index when spans was looked up */
    struct source *sources;
    uint32_t sources_count, sources_capacity;
    struct buffer merged[2];
};

static struct lsm_cursor *take(struct lsm_store *store)
{
    struct list *link = list_pop_front(&store->free_cursors);
    if (link) {
        store->free_cursors_count--;
        return CONTAINER_OF(link, struct lsm_cursor, link);
    }
    struct lsm_cursor *cursor = mem_zalloc(sizeof *cursor);
    list_init(&cursor->link);
    return cursor;
}

static void cursor_free(struct lsm_cursor *cursor)
{
    buffer_free(&cursor->key);
    buffer_free(&cursor->merged[0]);
    buffer_free(&cursor->merged[1]);
    mem_free(cursor->sources);
    mem_free(cursor);
}

void cursor_pool_free(struct lsm_store *store)
{
    for (struct list *link; (link = list_pop_front(&store->free_cursors));)
        cursor_free(CONTAINER_OF(link, struct lsm_cursor, link));
}

static struct source *add_source(struct lsm_cursor *cursor)
{
    if (cursor->sources_count == cursor->sources_capacity) {
        cursor->sources_capacity = cursor->sources_capacity ? cursor->sources_capacity * 2 : 4;
        cursor->sources = mem_realloc(cursor->sources, cursor->sources_capacity * sizeof *cursor->sources);
    }
    struct source *source = &cursor->sources[cursor->sources_count++];
    *source = (struct source){0};
    return source;
}

static void add_memtable(struct lsm_cursor *cursor, struct memtable *memtable, struct bytes key)
{
    const struct mem_partition *partition = memtable ? memtable_find(memtable, key) : NULL;
    if (!partition || partition->rows == 0) return;
    struct source *source = add_source(cursor);
    source->memtable = memtable;
    memtable_ref(memtable);
    mem_cursor_init(&source->mem, partition, cursor->bound, cursor->direction);
}

static void add_file(struct lsm_cursor *cursor, struct sstable *file, struct bytes key, uint64_t hash)
{
    uint32_t at;
    const struct sstable_info *info = sstable_info(file);
    bool newest_first = cursor->direction == PAGE_NEWEST_FIRST;
    if (info->rows == 0 || (newest_first ? info->id_min > cursor->bound : info->id_max < cursor->bound)) return;
    if (!sstable_find(file, key, hash, &at)) return;
    const struct sstable_partition *partition = &file->map.partitions[at];
    if (partition->rows == 0 || (newest_first ? partition->bottom > cursor->bound : partition->top < cursor->bound))
        return;
    struct source *source = add_source(cursor);
    source->file = file;
    source->partition = at;
    source->number = sstable_map_block(&file->map, at, cursor->bound);
    sstable_ref(file);
}

struct lsm_cursor *lsm_cursor_open(
    struct lsm *lsm, struct bytes partition, uint64_t bound, enum page_direction direction)
{
    struct lsm_cursor *cursor = take(lsm->store);
    cursor->lsm = lsm;
    cursor->store = lsm->store;
    cursor->direction = direction;
    cursor->bound = bound;
    cursor->has_last = false;
    cursor->failed = STATUS_OK;
    cursor->sources_count = 0;
    buffer_clear(&cursor->key);
    buffer_append(&cursor->key, partition.data, partition.size);
    cursor->spans = span_index_find(&lsm->spans, partition);
    cursor->spans_count = lsm->spans.count;
    add_memtable(cursor, lsm->active, partition);
    add_memtable(cursor, lsm->frozen, partition);
    uint64_t hash = lsm->files_count ? hash64(partition.data, partition.size, 0) : 0;
    for (uint32_t i = 0; i < lsm->files_count; i++)
        add_file(cursor, lsm->files[i], partition, hash);
    lsm->cursors++;
    return cursor;
}

static void release_block(struct lsm_cursor *cursor, struct source *source)
{
    if (source->block) cache_release(cursor->store->cache, source->block);
    source->block = NULL;
}

void lsm_cursor_close(struct lsm_cursor *cursor)
{
    if (!cursor) return;
    struct lsm_store *store = cursor->store;
    for (uint32_t i = 0; i < cursor->sources_count; i++) {
        struct source *source = &cursor->sources[i];
        release_block(cursor, source);
        if (source->memtable) memtable_release(source->memtable);
        if (source->file) sstable_release(source->file);
    }
    cursor->sources_count = 0;
    CHECK(cursor->lsm->cursors > 0);
    cursor->lsm->cursors--;
    if (store->free_cursors_count == POOL_CURSORS_MAX) {
        cursor_free(cursor);
        return;
    }
    store->free_cursors_count++;
    list_push_front(&store->free_cursors, &cursor->link);
}

/* ---- Files ---- */

/* Goes to the block after (newest first) or before; ended when the partition does not go on there. */
static void next_block(struct lsm_cursor *cursor, struct source *source)
{
    const struct sstable_map *map = &source->file->map;
    release_block(cursor, source);
    if (cursor->direction == PAGE_NEWEST_FIRST) {
        source->number++;
        source->ended = source->number >= map->properties.info.blocks ||
                        map->blocks[source->number].first_partition != source->partition;
        return;
    }
    const struct sstable_block_entry *entry = &map->blocks[source->number];
    source->ended = source->number == 0 || entry->first_partition != source->partition ||
                    entry->first_id == map->partitions[source->partition].top;
    if (!source->ended) source->number--;
}

/* Finds the row at or beyond the bound in the block that was just loaded; false when it has none. */
static bool place_in_block(struct lsm_cursor *cursor, struct source *source)
{
    const struct block_segment *segment = block_find(source->block, source->partition);
    if (!segment) return false;
    source->row_first = segment->first_row;
    source->row_end = segment[1].first_row;
    source->row = block_seek(source->block, segment, cursor->bound);
    if (cursor->direction == PAGE_NEWEST_FIRST) return source->row < source->row_end;
    if (source->row < source->row_end && source->block->ids[source->row] == cursor->bound) return true;
    if (source->row == source->row_first) return false;
    source->row--;
    return true;
}

/* Fills has, id, bytes with the file's next row; BUSY, CORRUPT, IO. */
static enum status peek_file(struct lsm_cursor *cursor, struct source *source)
{
    while (!source->block && !source->ended) {
        int ahead = source->loaded == 0                 ? 0
                    : source->loaded < AHEAD_BLOCKS_MAX ? (int)source->loaded
                                                        : AHEAD_BLOCKS_MAX;
        if (cursor->direction == PAGE_OLDEST_FIRST) ahead = -ahead;
        enum status status = sstable_block(source->file, source->number, ahead, &source->block);
        if (status != STATUS_OK) {
            source->block = NULL;
            return status;
        }
        source->loaded++;
        if (!place_in_block(cursor, source)) next_block(cursor, source);
    }
    source->has = !source->ended;
    if (source->ended) return STATUS_OK;
    CHECK(source->block);
    source->id = source->block->ids[source->row];
    source->bytes = block_row(source->block, source->row);
    source->closed = source->block->closed[source->row];
    return STATUS_OK;
}

static void peek_memtable(struct source *source)
{
    const struct mem_entry *entry = mem_cursor_peek(&source->mem);
    source->has = entry != NULL;
    if (!entry) return;
    source->id = entry->id;
    source->bytes = bytes_of(entry->row, entry->size);
    source->closed = entry->closed;
}

/* Moves every source beyond the id that was returned last. */
static void pass_last(struct lsm_cursor *cursor)
{
    bool newest_first = cursor->direction == PAGE_NEWEST_FIRST;
    if (!cursor->has_last) return;
    cursor->has_last = false;
    uint64_t id = cursor->last_id;
    bool at_end = id == (newest_first ? 0 : UINT64_MAX);
    cursor->bound = at_end ? id : newest_first ? id - 1 : id + 1;
    for (uint32_t i = 0; i < cursor->sources_count; i++) {
        struct source *source = &cursor->sources[i];
        if (source->memtable) {
            mem_cursor_pass(&source->mem, id);
        } else if (at_end) {
            release_block(cursor, source);
            source->ended = true;
        } else if (source->has && source->id == id) {
            if (newest_first ? ++source->row < source->row_end : source->row > source->row_first)
                source->row -= newest_first ? 0 : 1;
            else
                next_block(cursor, source);
        }
    }
}

static enum status merge_at(struct lsm_cursor *cursor, uint64_t id, struct bytes *row, bool *closed)
{
    unsigned turn = 0;
    *row = bytes_of(NULL, 0);
    *closed = false;
    for (uint32_t i = 0; i < cursor->sources_count; i++) {
        const struct source *source = &cursor->sources[i];
        if (!source->has || source->id != id) continue;
        *closed |= source->closed;
        if (source->bytes.size == 0 || bytes_equal(source->bytes, *row)) continue;
        if (row->size == 0) {
            *row = source->bytes;
            continue;
        }
        struct buffer *out = &cursor->merged[turn++ % 2];
        buffer_clear(out);
        if (row_merge_bytes(*row, source->bytes, out) != STATUS_OK) return STATUS_CORRUPT;
        *row = buffer_bytes(out);
    }
    return STATUS_OK;
}

static const struct span *find_span(struct lsm_cursor *cursor, uint64_t id)
{
    const struct span_index *index = &cursor->lsm->spans;
    if (!cursor->spans && cursor->spans_count != index->count) {
        cursor->spans = span_index_find(index, buffer_bytes(&cursor->key));
        cursor->spans_count = index->count;
    }
    return cursor->spans && cursor->spans->count > 0 ? span_set_find(cursor->spans, id) : NULL;
}

/* The next id of any source. NOT_FOUND at the end. Files come first: reading a block may suspend this fiber, and what a
   memtable gave before would be stale. */
static enum status peek_all(struct lsm_cursor *cursor, uint64_t *id)
{
    bool any = false;
    for (uint32_t i = 0; i < cursor->sources_count; i++) {
        if (!cursor->sources[i].file) continue;
        enum status status = peek_file(cursor, &cursor->sources[i]);
        if (status != STATUS_OK) return status;
    }
    for (uint32_t i = 0; i < cursor->sources_count; i++) {
        struct source *source = &cursor->sources[i];
        if (source->memtable) peek_memtable(source);
        if (!source->has) continue;
        bool nearer = cursor->direction == PAGE_NEWEST_FIRST ? source->id > *id : source->id < *id;
        if (!any || nearer) *id = source->id;
        any = true;
    }
    return any ? STATUS_OK : STATUS_NOT_FOUND;
}

enum status lsm_cursor_next(struct lsm_cursor *cursor, struct lsm_row *out)
{
    if (cursor->failed != STATUS_OK) return cursor->failed;
    for (;;) {
        uint64_t id = 0;
        struct bytes row;
        bool closed;
        pass_last(cursor);
        enum status status = peek_all(cursor, &id);
        /* Reading a block may have suspended this fiber, and the memtables may have changed: what they gave is stale.
         */
        if (status == STATUS_OK)
            for (uint32_t i = 0; i < cursor->sources_count; i++)
                if (cursor->sources[i].memtable) peek_memtable(&cursor->sources[i]);
        if (status == STATUS_OK) status = merge_at(cursor, id, &row, &closed);
        if (status == STATUS_CORRUPT || status == STATUS_IO) cursor->failed = status;
        if (status != STATUS_OK) return status;
        cursor->has_last = true;
        cursor->last_id = id;
        if (row.size == 0) continue; /* a mark alone */
        const struct span *span = find_span(cursor, id);
        *out = (struct lsm_row){.id = id, .row = row, .covered = span != NULL};
        out->open = row_bytes_is_delete(row) && !closed;
        if (span) out->span = *span;
        return STATUS_OK;
    }
}
