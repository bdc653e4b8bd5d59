#include "noded/lsm/sstable_writer.h"

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/runtime/disk.h"
#include "common/runtime/file_header.h"
#include "common/runtime/reactor.h"
#include "noded/lsm/filter.h"
#include "noded/lsm/sstable.h"

enum { WRITE_BYTES = 256 << 10 };
#define SSTABLE_BYTES_MAX ((uint64_t)60 << 30) /* places are 32 bits of 16 bytes */

struct sstable_writer {
    struct lsm_store *store;
    char path[LSM_PATH_BYTES], directory_path[LSM_DIRECTORY_BYTES];
    struct disk_file file;
    uint8_t *chunk; /* aligned; the bytes from written on */
    uint32_t chunk_bytes;
    uint64_t written;
    enum status status; /* the first failure */
    struct block_codec *codec;
    struct sstable_properties properties;
    struct buffer payload, unit, index, directory, spans, schema, key, hashes;
    struct sstable_block_entry last_block;
    /* The open partition; it is in the directory once it has a row or spans. */
    struct sstable_partition partition;
    bool has_spans;
    uint64_t last_span_partition;
    uint32_t number; /* of the open partition */
    uint64_t first_id;
    uint32_t first_partition; /* of the block that is being collected */
};

static uint64_t position(const struct sstable_writer *writer)
{
    return writer->written + writer->chunk_bytes;
}

static void write_out(struct sstable_writer *writer)
{
    if (writer->chunk_bytes == 0 || writer->status != STATUS_OK) return;
    writer->status =
        disk_write(writer->store->reactor, writer->file, writer->chunk, writer->chunk_bytes, writer->written);
    writer->written += writer->chunk_bytes;
    writer->chunk_bytes = 0;
}

static void append(struct sstable_writer *writer, struct bytes bytes)
{
    while (bytes.size > 0 && writer->status == STATUS_OK) {
        uint32_t room = WRITE_BYTES - writer->chunk_bytes;
        uint32_t piece = bytes.size < room ? (uint32_t)bytes.size : room;
        memcpy(writer->chunk + writer->chunk_bytes, bytes.data, piece);
        writer->chunk_bytes += piece;
        bytes.data += piece;
        bytes.size -= piece;
        if (writer->chunk_bytes == WRITE_BYTES) write_out(writer);
    }
}

struct sstable_writer *sstable_writer_create(struct lsm_store *store, const char *directory, const struct table *table)
{
    struct sstable_writer *writer = mem_zalloc(sizeof *writer);
    struct sstable_info *info = &writer->properties.info;
    writer->store = store;
    writer->file.handle = -1;
    writer->chunk = mem_alloc_aligned(DISK_BLOCK_BYTES, WRITE_BYTES);
    writer->codec = block_codec_create();
    info->file_id = store->options.next_file_id(store->options.context);
    info->id_min = UINT64_MAX;
    if (table) {
        info->table_id = table->id.value;
        info->schema_version = table->version;
        table_encode(table, &writer->schema);
    }
    CHECK(strlen(directory) < sizeof writer->directory_path);
    memcpy(writer->directory_path, directory, strlen(directory) + 1);
    sstable_path(writer->path, directory, info->file_id);
    return writer;
}

/* Makes the file when the first bytes come. */
static void begin_file(struct sstable_writer *writer)
{
    if (writer->file.handle >= 0 || writer->status != STATUS_OK) return;
    writer->status = disk_open(writer->store->reactor, writer->path, DISK_CREATE | DISK_EXCLUSIVE, &writer->file);
    if (writer->status == STATUS_CONFLICT) writer->status = STATUS_IO; /* an id that was given twice */
    struct file_header header = {.kind = FILE_SSTABLE,
        .major = SSTABLE_MAJOR,
        .minor = SSTABLE_MINOR,
        .cluster = writer->store->options.cluster,
        .file_id = writer->properties.info.file_id};
    uint8_t bytes[FILE_HEADER_BYTES];
    file_header_encode(&header, bytes);
    append(writer, bytes_of(bytes, sizeof bytes));
}

/* Appends a stored unit and returns where it lies. */
static uint64_t append_unit(struct sstable_writer *writer, struct bytes raw, bool pack)
{
    begin_file(writer);
    uint64_t at = position(writer);
    buffer_clear(&writer->unit);
    stored_append(&writer->unit, writer->properties.info.file_id, at, raw, pack ? writer->store->compressor : NULL);
    append(writer, buffer_bytes(&writer->unit));
    return at;
}

static void finish_block(struct sstable_writer *writer)
{
    if (block_rows(writer->codec) == 0) return;
    buffer_clear(&writer->payload);
    block_finish(writer->codec, &writer->payload);
    uint64_t at = append_unit(writer, buffer_bytes(&writer->payload), true);
    struct sstable_block_entry entry = {writer->first_id, writer->first_partition, (uint32_t)(at / STORED_ALIGN)};
    struct sstable_info *info = &writer->properties.info;
    sstable_index_append(&writer->index, &entry, info->blocks ? &writer->last_block : NULL);
    writer->last_block = entry;
    info->blocks++;
}

/* Puts the open partition into the directory when it left a trace. */
static void finish_partition(struct sstable_writer *writer)
{
    struct sstable_info *info = &writer->properties.info;
    if (writer->partition.rows == 0 && !writer->has_spans) return;
    struct bytes key = buffer_bytes(&writer->key);
    if (info->partitions == 0) info->key_min = bytes_of(memcpy(mem_alloc(key.size), key.data, key.size), key.size);
    mem_free((void *)(uintptr_t)info->key_max.data);
    info->key_max = bytes_of(memcpy(mem_alloc(key.size), key.data, key.size), key.size);
    sstable_directory_append(&writer->directory, key, &writer->partition);
    uint64_t hash = hash64(key.data, key.size, 0);
    buffer_append(&writer->hashes, &hash, sizeof hash);
    info->partitions++;
    if (writer->partition.rows > 0) {
        if (writer->partition.bottom < info->id_min) info->id_min = writer->partition.bottom;
        if (writer->partition.top > info->id_max) info->id_max = writer->partition.top;
    }
    writer->number++;
}

void sstable_writer_partition(struct sstable_writer *writer, struct bytes key, const struct span_set *spans)
{
    struct sstable_info *info = &writer->properties.info;
    CHECK(key.size > 0 && key.size <= KEY_BYTES_MAX);
    CHECK(writer->key.size == 0 || bytes_compare(buffer_bytes(&writer->key), key) < 0);
    finish_partition(writer);
    buffer_clear(&writer->key);
    buffer_append(&writer->key, key.data, key.size);
    writer->partition = (struct sstable_partition){0};
    writer->has_spans = spans && spans->count > 0;
    if (!writer->has_spans) return;
    buffer_append_varint(&writer->spans, writer->number - writer->last_span_partition);
    span_set_encode(spans, &writer->spans);
    writer->last_span_partition = writer->number;
    info->span_partitions++;
}

enum status sstable_writer_add(struct sstable_writer *writer, uint64_t id, struct bytes row, bool closed)
{
    if (position(writer) > SSTABLE_BYTES_MAX && writer->status == STATUS_OK) writer->status = STATUS_TOO_BIG;
    if (writer->status != STATUS_OK) return writer->status;
    CHECK(writer->key.size > 0 && writer->partition.rows < UINT32_MAX);
    if (block_rows(writer->codec) == 0) {
        writer->first_id = id;
        writer->first_partition = writer->number;
    }
    block_add(writer->codec, writer->number, id, row, closed);
    if (writer->partition.rows++ == 0) writer->partition.top = id;
    writer->partition.bottom = id;
    writer->properties.info.rows++;
    if (block_is_full(writer->codec)) finish_block(writer);
    return writer->status;
}

bool sstable_writer_is_empty(const struct sstable_writer *writer)
{
    return writer->properties.info.rows == 0 && writer->properties.info.span_partitions == 0;
}

static void destroy(struct sstable_writer *writer)
{
    struct buffer *buffers[] = {&writer->payload, &writer->unit, &writer->index, &writer->directory, &writer->spans,
        &writer->schema, &writer->key, &writer->hashes};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        buffer_free(buffers[i]);
    mem_free((void *)(uintptr_t)writer->properties.info.key_min.data);
    mem_free((void *)(uintptr_t)writer->properties.info.key_max.data);
    block_codec_destroy(writer->codec);
    mem_free(writer->chunk);
    mem_free(writer);
}

void sstable_writer_abort(struct sstable_writer *writer)
{
    struct reactor *reactor = writer->store->reactor;
    if (writer->file.handle >= 0) {
        disk_close(reactor, &writer->file);
        enum status status = disk_unlink(reactor, writer->path);
        if (status != STATUS_OK) /* the next open removes it */
            LOG(reactor_log(reactor), WARN, "sstable.not_removed", "path=%s status=%s", writer->path,
                status_name(status));
    }
    destroy(writer);
}

static void append_sections(struct sstable_writer *writer, struct sstable_tail *tail)
{
    struct sstable_properties *properties = &writer->properties;
    struct block_stats stats = block_take_stats(writer->codec);
    properties->info.live = stats.live;
    properties->info.dead = stats.dead;
    properties->info.stamp_min = stats.stamp_min;
    properties->info.stamp_max = stats.stamp_max;
    properties->schema = buffer_bytes(&writer->schema);
    uint64_t filter_size = filter_bytes(properties->info.partitions);
    uint8_t *filter = mem_zalloc(filter_size);
    for (uint64_t i = 0; i < properties->info.partitions; i++) {
        uint64_t hash;
        memcpy(&hash, writer->hashes.data + i * sizeof hash, sizeof hash);
        filter_add(filter, filter_size, hash);
    }
    begin_file(writer);
    tail->file_id = properties->info.file_id;
    tail->sections_at = position(writer);
    properties->section_at[SECTION_INDEX] = append_unit(writer, buffer_bytes(&writer->index), false);
    properties->section_at[SECTION_DIRECTORY] = append_unit(writer, buffer_bytes(&writer->directory), false);
    properties->section_at[SECTION_FILTER] = append_unit(writer, bytes_of(filter, filter_size), false);
    properties->section_at[SECTION_SPANS] = append_unit(writer, buffer_bytes(&writer->spans), false);
    mem_free(filter);
    buffer_clear(&writer->payload);
    sstable_properties_encode(properties, &writer->payload);
    tail->properties_at = append_unit(writer, buffer_bytes(&writer->payload), false);
}

/* Zeros up to the alignment, the last bytes of which are the tail. */
static void append_tail(struct sstable_writer *writer, struct sstable_tail *tail)
{
    uint64_t end = position(writer) + SSTABLE_TAIL_BYTES;
    tail->file_bytes = (end + SSTABLE_ALIGN - 1) & ~(uint64_t)(SSTABLE_ALIGN - 1);
    uint8_t bytes[SSTABLE_TAIL_BYTES] = {0};
    for (uint64_t left = tail->file_bytes - end; left > 0;) {
        size_t piece = left < sizeof bytes ? (size_t)left : sizeof bytes;
        append(writer, bytes_of(bytes, piece));
        left -= piece;
    }
    sstable_tail_encode(tail, bytes);
    append(writer, bytes_of(bytes, sizeof bytes));
    write_out(writer);
}

/* Contents, size and name survive a power cut. */
static void make_durable(struct sstable_writer *writer)
{
    struct reactor *reactor = writer->store->reactor;
    enum status status = PLANT(manifest_before_files) ? STATUS_OK : disk_sync(reactor, writer->file);
    if (status != STATUS_OK) env_die(reactor_env(reactor), status, "sync of an SSTable failed");
    if (PLANT(skipped_dir_sync)) return;
    status = disk_sync_dir(reactor, writer->directory_path);
    if (status != STATUS_OK) env_die(reactor_env(reactor), status, "sync of a range's directory failed");
}

enum status sstable_writer_finish(struct sstable_writer *writer, struct sstable **out)
{
    struct sstable_tail tail = {0};
    finish_block(writer);
    finish_partition(writer);
    append_sections(writer, &tail);
    append_tail(writer, &tail);
    enum status status = writer->status;
    if (status == STATUS_OK) make_durable(writer);
    if (status == STATUS_OK)
        status = sstable_open(writer->store, writer->directory_path, writer->properties.info.file_id, NULL, out);
    if (status != STATUS_OK) {
        sstable_writer_abort(writer);
        return status;
    }
    disk_close(writer->store->reactor, &writer->file);
    destroy(writer);
    return STATUS_OK;
}
