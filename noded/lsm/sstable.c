#include "noded/lsm/sstable.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/runtime/file_header.h"
#include "common/runtime/reactor.h"
#include "noded/lsm/filter.h"

enum { READ_BYTES_MAX = 256 << 10, READ_PIECE_BYTES = 1 << 20 };

void sstable_path(char out[LSM_PATH_BYTES], const char *directory, uint64_t file_id)
{
    snprintf(out, LSM_PATH_BYTES, "%s/%016llx.sst", directory, (unsigned long long)file_id);
}

static enum status read_header(struct sstable *table, uint64_t file_id)
{
    uint8_t bytes[FILE_HEADER_BYTES];
    enum status status = disk_read(table->store->reactor, table->file, bytes, sizeof bytes, 0);
    if (status != STATUS_OK) return status;
    struct file_header_expected expected = {
        .kind = FILE_SSTABLE, .major = SSTABLE_MAJOR, .cluster = &table->store->options.cluster};
    struct file_header header;
    char why[160];
    status = file_header_decode(bytes_of(bytes, sizeof bytes), &expected, &header, why, sizeof why);
    if (status == STATUS_OK && header.file_id == file_id) return STATUS_OK;
    LOG(reactor_log(table->store->reactor), ERROR, "sstable.refused", "path=%s reason=%s", table->path,
        status == STATUS_OK ? "it is another file" : why);
    return status == STATUS_OK ? STATUS_CORRUPT : status;
}

/* Reads [at, at + size) in pieces. */
static enum status read_pieces(struct sstable *table, uint8_t *out, uint64_t size, uint64_t at)
{
    enum status status = STATUS_OK;
    for (uint64_t done = 0; done < size && status == STATUS_OK;) {
        uint32_t piece = size - done < READ_PIECE_BYTES ? (uint32_t)(size - done) : READ_PIECE_BYTES;
        status = disk_read(table->store->reactor, table->file, out + done, piece, at + done);
        done += piece;
    }
    return status;
}

static enum status read_sections(struct sstable *table, uint64_t file_id)
{
    uint64_t file_bytes;
    uint8_t bytes[SSTABLE_TAIL_BYTES];
    struct sstable_tail tail;
    enum status status = disk_size(table->store->reactor, table->file, &file_bytes);
    if (status != STATUS_OK) return status;
    if (file_bytes < FILE_HEADER_BYTES + SSTABLE_TAIL_BYTES) return STATUS_CORRUPT;
    status = disk_read(table->store->reactor, table->file, bytes, sizeof bytes, file_bytes - SSTABLE_TAIL_BYTES);
    if (status == STATUS_OK) status = sstable_tail_decode(bytes_of(bytes, sizeof bytes), file_id, file_bytes, &tail);
    if (status != STATUS_OK) return status;
    uint64_t region_bytes = file_bytes - tail.sections_at;
    table->region = mem_alloc(region_bytes);
    status = read_pieces(table, table->region, region_bytes, tail.sections_at);
    if (status == STATUS_OK) status = sstable_map_init(&table->map, bytes_of(table->region, region_bytes), &tail);
    return status;
}

/* The manifest's entry and the file's own properties agree. */
static bool matches(const struct sstable_info *a, const struct sstable_info *b)
{
    return a->file_id == b->file_id && a->file_bytes == b->file_bytes && a->properties_crc == b->properties_crc &&
           a->rows == b->rows && a->id_min == b->id_min && a->id_max == b->id_max;
}

static enum status open_once(struct lsm_store *store, const char *directory, uint64_t file_id,
    const struct sstable_info *expected, struct sstable **out)
{
    struct sstable *table = mem_zalloc(sizeof *table);
    table->store = store;
    table->refs = 1;
    table->file.handle = -1;
    list_init(&table->link);
    sstable_path(table->path, directory, file_id);
    enum status status = disk_open(store->reactor, table->path, DISK_READ_ONLY, &table->file);
    if (status == STATUS_OK) status = read_header(table, file_id);
    if (status == STATUS_OK) status = read_sections(table, file_id);
    if (status == STATUS_OK && expected && !matches(expected, sstable_info(table))) status = STATUS_CORRUPT;
    if (status != STATUS_OK) {
        LOG(reactor_log(store->reactor), ERROR, "sstable.unreadable", "path=%s status=%s", table->path,
            status_name(status));
        sstable_destroy(table, false);
        return status;
    }
    if (expected) { /* what only the manifest knows */
        table->map.properties.info.verified = expected->verified;
        table->map.properties.info.verified_w = expected->verified_w;
        table->map.properties.info.sidecar_id = expected->sidecar_id;
        table->map.properties.info.window = expected->window;
    }
    *out = table;
    return STATUS_OK;
}

enum status sstable_open(struct lsm_store *store, const char *directory, uint64_t file_id,
    const struct sstable_info *expected, struct sstable **out)
{
    enum status status = open_once(store, directory, file_id, expected, out);
    /* Once more: a fault on the way is not yet damage on the disk, and damage costs the whole replica. */
    if (status == STATUS_CORRUPT || status == STATUS_CONFLICT)
        status = open_once(store, directory, file_id, expected, out);
    return status;
}

void sstable_destroy(struct sstable *table, bool unlink_file)
{
    CHECK(table->refs <= 1);
    list_remove(&table->link);
    if (table->file.handle >= 0) disk_close(table->store->reactor, &table->file);
    if (unlink_file) {
        enum status status = disk_unlink(table->store->reactor, table->path);
        if (status != STATUS_OK && status != STATUS_NOT_FOUND) /* the next open removes it */
            LOG(reactor_log(table->store->reactor), WARN, "sstable.not_removed", "path=%s status=%s", table->path,
                status_name(status));
    }
    sstable_map_fini(&table->map);
    mem_free(table->region);
    mem_free(table);
}

void sstable_release(struct sstable *table)
{
    CHECK(table->refs > 0);
    if (--table->refs > 0) return;
    CHECK(table->dropped);
    list_push_back(&table->store->garbage, &table->link);
    store_kick(table->store);
}

bool sstable_find(const struct sstable *table, struct bytes key, uint64_t hash, uint32_t *partition)
{
    if (!filter_may_have(table->map.filter, hash)) return false;
    uint32_t at = sstable_map_seek(&table->map, key);
    if (at == sstable_info(table)->partitions || !bytes_equal(sstable_map_key(&table->map, at), key)) return false;
    *partition = at;
    return true;
}

void sstable_mark_damaged(struct sstable *table, uint32_t number)
{
    table->damaged = true;
    table->store->stats.corrupt_blocks++;
    LOG(reactor_log(table->store->reactor), ERROR, "sstable.damaged", "path=%s block=%u", table->path, number);
}

enum status sstable_decode(struct sstable *table, uint32_t number, struct bytes unit, struct block **out)
{
    struct lsm_store *store = table->store;
    struct stored stored;
    enum status status = stored_open(unit, sstable_info(table)->file_id, sstable_block_at(table, number), &stored);
    if (status != STATUS_OK) return status;
    struct bytes payload = stored.payload;
    if (stored.raw_bytes > BLOCK_RAW_BYTES_MAX) return STATUS_CORRUPT;
    if (stored.codec == STORED_ZSTD) {
        buffer_clear(&store->scratch);
        uint8_t *raw = buffer_reserve(&store->scratch, stored.raw_bytes);
        status = compressor_unpack(store->compressor, payload, raw, stored.raw_bytes);
        if (status != STATUS_OK) return status;
        payload = bytes_of(raw, stored.raw_bytes);
    }
    struct block *block;
    status = block_decode(store->codec, payload, &block);
    if (status != STATUS_OK) return status;
    /* The index pointed at this block for its first row; anything else would send readers astray. */
    const struct sstable_block_entry *entry = &table->map.blocks[number];
    const struct block_segment *last = &block->segments[block->segments_count - 1];
    if (block->segments[0].partition != entry->first_partition || block->ids[0] != entry->first_id ||
        last->partition >= sstable_info(table)->partitions) {
        mem_free(block);
        return STATUS_CORRUPT;
    }
    *out = block;
    return STATUS_OK;
}

/* Reads blocks [first, end) at once and puts them into the cache; the one that is wanted stays referenced. */
static enum status fetch(struct sstable *table, uint32_t first, uint32_t end, uint32_t wanted, struct block **out)
{
    struct lsm_store *store = table->store;
    uint64_t at = sstable_block_at(table, first), size = sstable_block_at(table, end) - at;
    uint8_t *bytes = mem_alloc(size);
    enum status status = disk_read(store->reactor, table->file, bytes, (uint32_t)size, at);
    enum status wanted_status = status;
    *out = NULL;
    for (uint32_t number = first; status == STATUS_OK && number < end; number++) {
        if (number != wanted && cache_has(store->cache, sstable_info(table)->file_id, number)) continue;
        uint64_t start = sstable_block_at(table, number) - at;
        struct block *block = NULL;
        enum status decoded = sstable_decode(table, number, bytes_of(bytes + start, size - start), &block);
        if (number == wanted) wanted_status = decoded;
        if (decoded != STATUS_OK) continue; /* told to whoever asks for that one */
        block = cache_put(store->cache, block, sstable_info(table)->file_id, number);
        if (number == wanted)
            *out = block;
        else
            cache_release(store->cache, block);
    }
    mem_free(bytes);
    return wanted_status;
}

enum status sstable_block(struct sstable *table, uint32_t number, int ahead, struct block **out)
{
    struct lsm_store *store = table->store;
    CHECK(number < sstable_info(table)->blocks);
    *out = cache_get(store->cache, sstable_info(table)->file_id, number);
    if (*out) return STATUS_OK;
    if (!fiber_current(store->reactor)) return STATUS_BUSY;
    uint32_t first = number, end = number + 1, blocks = (uint32_t)sstable_info(table)->blocks;
    while (ahead > 0 && end < blocks &&
           sstable_block_at(table, end + 1) - sstable_block_at(table, first) <= READ_BYTES_MAX)
        ahead--, end++;
    while (
        ahead < 0 && first > 0 && sstable_block_at(table, end) - sstable_block_at(table, first - 1) <= READ_BYTES_MAX)
        ahead++, first--;
    enum status status = fetch(table, first, end, number, out);
    if (status == STATUS_OK) return STATUS_OK;
    /* Once more, alone: a fault on the way is not yet damage on the disk. */
    status = fetch(table, number, number + 1, number, out);
    if (status == STATUS_CORRUPT) sstable_mark_damaged(table, number);
    return status;
}
