#include "noded/lsm/inspect.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/model/key.h"
#include "common/model/row.h"
#include "common/model/span.h"
#include "common/runtime/file_header.h"
#include "noded/lsm/block.h"
#include "noded/lsm/compress.h"
#include "noded/lsm/filter.h"
#include "noded/lsm/manifest.h"

__attribute__((format(printf, 2, 3))) static void tell(const struct inspect *inspect, const char *format, ...)
{
    char text[256];
    if (!inspect->line) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    inspect->line(inspect->context, text);
}

__attribute__((format(printf, 2, 3))) static enum status refuse(struct inspect *inspect, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(inspect->why, sizeof inspect->why, format, arguments);
    va_end(arguments);
    return STATUS_CORRUPT;
}

static const char *key_text(struct bytes key, char out[72])
{
    uint64_t channel;
    uint8_t whole[KEY_MESSAGE_BYTES] = {0};
    if (key.size == KEY_CHANNEL_BYTES) {
        uint64_t id;
        memcpy(whole, key.data, key.size);
        if (key_message_parse(bytes_of(whole, sizeof whole), &channel, &id)) {
            snprintf(out, 72, "channel %" PRIu64, channel);
            return out;
        }
    }
    int at = snprintf(out, 72, "key ");
    for (size_t i = 0; i < key.size && i < 32; i++)
        at += snprintf(out + at, (size_t)(72 - at), "%02x", key.data[i]);
    return out;
}

static void tell_info(const struct inspect *inspect, const struct sstable_info *info)
{
    char low[72], high[72];
    tell(inspect,
        "file %016" PRIx64 ": %" PRIu64 " bytes, %" PRIu64 " rows (%" PRIu64 " live, %" PRIu64 " deletes) in %" PRIu64
        " partitions and %" PRIu64 " blocks, spans in %" PRIu64,
        info->file_id, info->file_bytes, info->rows, info->live, info->dead, info->partitions, info->blocks,
        info->span_partitions);
    tell(inspect, "  table %u, schema %u, window %u, %s, properties crc %08x", info->table_id, info->schema_version,
        info->window, info->verified ? "verified" : "unverified", info->properties_crc);
    if (info->rows > 0)
        tell(inspect, "  ids %" PRIu64 " to %" PRIu64 ", stamps %" PRId64 " to %" PRId64, info->id_min, info->id_max,
            info->stamp_min, info->stamp_max);
    if (info->partitions > 0) tell(inspect, "  %s to %s", key_text(info->key_min, low), key_text(info->key_max, high));
}

/* ---- SSTables ---- */

struct reading {
    struct inspect *inspect;
    struct bytes file;
    struct sstable_map map;
    struct block_codec *codec;
    struct compressor *compressor;
    struct buffer raw;
    uint64_t rows, live, dead, id_min, id_max;
    uint32_t *rows_of; /* by partition */
};

static enum status read_block(struct reading *reading, uint32_t number, struct block **out)
{
    const struct sstable_block_entry *entry = &reading->map.blocks[number];
    uint64_t at = (uint64_t)entry[0].place * STORED_ALIGN, end = (uint64_t)entry[1].place * STORED_ALIGN;
    struct stored stored;
    struct bytes unit = {reading->file.data + at, end - at};
    enum status status = stored_open(unit, reading->map.properties.info.file_id, at, &stored);
    if (status == STATUS_OK && stored.raw_bytes > BLOCK_RAW_BYTES_MAX) status = STATUS_CORRUPT;
    if (status == STATUS_OK && stored_bytes(unit) != unit.size) status = STATUS_CORRUPT;
    if (status != STATUS_OK) return refuse(reading->inspect, "block %u: wrong checksum", number);
    struct bytes payload = stored.payload;
    if (stored.codec == STORED_ZSTD) {
        buffer_clear(&reading->raw);
        payload = bytes_of(buffer_reserve(&reading->raw, stored.raw_bytes), stored.raw_bytes);
        status = compressor_unpack(reading->compressor, stored.payload, reading->raw.data, stored.raw_bytes);
    }
    if (status == STATUS_OK) status = block_decode(reading->codec, payload, out);
    if (status != STATUS_OK) return refuse(reading->inspect, "block %u: malformed", number);
    return STATUS_OK;
}

static void count_row(struct reading *reading, uint32_t partition, uint64_t id, struct bytes row)
{
    reading->rows++;
    reading->rows_of[partition]++;
    reading->live += row_bytes_is_visible(row);
    reading->dead += row_bytes_is_delete(row);
    if (id < reading->id_min) reading->id_min = id;
    if (id > reading->id_max) reading->id_max = id;
}

static enum status walk_block(struct reading *reading, uint32_t number, const struct block *block)
{
    const struct sstable_block_entry *entry = &reading->map.blocks[number];
    if (block->segments[0].partition != entry->first_partition || block->ids[0] != entry->first_id)
        return refuse(reading->inspect, "block %u: the index says that it begins elsewhere", number);
    for (uint32_t s = 0; s < block->segments_count; s++) {
        uint32_t partition = block->segments[s].partition;
        char key[72];
        if (partition >= reading->map.properties.info.partitions)
            return refuse(reading->inspect, "block %u: a partition that the directory does not have", number);
        const struct sstable_partition *directory = &reading->map.partitions[partition];
        for (uint32_t i = block->segments[s].first_row; i < block->segments[s + 1].first_row; i++) {
            uint64_t id = block->ids[i];
            struct bytes row = block_row(block, i);
            if (id > directory->top || id < directory->bottom)
                return refuse(
                    reading->inspect, "block %u: id %" PRIu64 " is beyond its partition's bounds", number, id);
            count_row(reading, partition, id, row);
            if (reading->inspect->rows)
                tell(reading->inspect, "%s id %" PRIu64 " %s%s %zu bytes",
                    key_text(sstable_map_key(&reading->map, partition), key), id,
                    row.size == 0               ? "mark"
                    : row_bytes_is_visible(row) ? "message"
                    : row_bytes_is_delete(row)  ? "delete"
                                                : "pending edits",
                    block->closed[i] ? " closed" : "", row.size);
        }
        const struct sstable_block_entry *next = entry + 1; /* the next block goes on after this one */
        bool last = s + 1 == block->segments_count && number + 1 < reading->map.properties.info.blocks;
        if (last && (next->first_partition < partition ||
                        (next->first_partition == partition && next->first_id >= block->ids[block->rows_count - 1])))
            return refuse(reading->inspect, "block %u: overlaps the next one", number);
    }
    return STATUS_OK;
}

static enum status walk_spans(struct reading *reading)
{
    const struct sstable_info *info = &reading->map.properties.info;
    struct reader reader = reader_of(reading->map.spans);
    uint64_t partition = 0;
    for (uint64_t i = 0; i < info->span_partitions; i++) {
        struct span_set set = {0};
        char key[72];
        partition += read_varint(&reader);
        if (!reader_ok(&reader) || partition >= info->partitions || span_set_decode(&reader, &set) != STATUS_OK) {
            span_set_free(&set);
            return refuse(reading->inspect, "malformed spans");
        }
        for (size_t s = 0; s < set.count && reading->inspect->rows; s++)
            tell(reading->inspect, "%s deleted %" PRIu64 " to %" PRIu64 "%s",
                key_text(sstable_map_key(&reading->map, (uint32_t)partition), key), set.spans[s].lo, set.spans[s].hi,
                set.spans[s].open ? " open" : "");
        span_set_free(&set);
    }
    return reader_done(&reader) ? STATUS_OK : refuse(reading->inspect, "bytes left over after the spans");
}

static enum status check_counts(struct reading *reading)
{
    const struct sstable_info *info = &reading->map.properties.info;
    for (uint32_t i = 0; i < info->partitions; i++) {
        struct bytes key = sstable_map_key(&reading->map, i);
        if (reading->rows_of[i] != reading->map.partitions[i].rows)
            return refuse(reading->inspect, "partition %u has %u rows, its directory entry says %u", i,
                reading->rows_of[i], reading->map.partitions[i].rows);
        if (!filter_may_have(reading->map.filter, hash64(key.data, key.size, 0)))
            return refuse(reading->inspect, "the filter denies partition %u", i);
    }
    if (reading->rows != info->rows || reading->live != info->live || reading->dead != info->dead ||
        (info->rows > 0 && (reading->id_min != info->id_min || reading->id_max != info->id_max)))
        return refuse(reading->inspect, "the properties count other rows than the blocks hold");
    return STATUS_OK;
}

static enum status walk_file(struct reading *reading)
{
    const struct sstable_info *info = &reading->map.properties.info;
    tell_info(reading->inspect, info);
    reading->rows_of = mem_zalloc((info->partitions + 1) * sizeof *reading->rows_of);
    enum status status = STATUS_OK;
    for (uint32_t number = 0; number < info->blocks && status == STATUS_OK; number++) {
        struct block *block;
        status = read_block(reading, number, &block);
        if (status != STATUS_OK) break;
        status = walk_block(reading, number, block);
        mem_free(block);
    }
    if (status == STATUS_OK) status = walk_spans(reading);
    if (status == STATUS_OK) status = check_counts(reading);
    mem_free(reading->rows_of);
    return status;
}

enum status inspect_sstable(struct inspect *inspect, struct bytes file)
{
    struct file_header header;
    struct file_header_expected expected = {.kind = FILE_SSTABLE, .major = SSTABLE_MAJOR, .cluster = inspect->cluster};
    enum status status = file_header_decode(file, &expected, &header, inspect->why, sizeof inspect->why);
    if (status != STATUS_OK) return status;
    if (file.size < FILE_HEADER_BYTES + SSTABLE_TAIL_BYTES) return refuse(inspect, "cut off");
    struct sstable_tail tail;
    struct bytes end = {file.data + file.size - SSTABLE_TAIL_BYTES, SSTABLE_TAIL_BYTES};
    if (sstable_tail_decode(end, header.file_id, file.size, &tail) != STATUS_OK)
        return refuse(inspect, "damaged tail, or not the whole file");
    struct reading reading = {.inspect = inspect, .file = file, .id_min = UINT64_MAX};
    struct bytes region = {file.data + tail.sections_at, file.size - tail.sections_at};
    if (sstable_map_init(&reading.map, region, &tail) != STATUS_OK) return refuse(inspect, "damaged sections");
    reading.codec = block_codec_create();
    reading.compressor = compressor_create();
    status = walk_file(&reading);
    block_codec_destroy(reading.codec);
    compressor_destroy(reading.compressor);
    buffer_free(&reading.raw);
    sstable_map_fini(&reading.map);
    return status;
}

/* ---- Manifests ---- */

enum status inspect_manifest(struct inspect *inspect, struct bytes file)
{
    struct arena arena = {0};
    struct manifest manifest;
    enum status status = manifest_decode(file, inspect->cluster, &arena, &manifest, inspect->why);
    if (status == STATUS_OK) {
        tell(inspect, "manifest %" PRIu64 " of range %016" PRIx64 ": %u files, %zu bytes of replica state",
            manifest.number, manifest.range, manifest.files_count, manifest.state.size);
        for (uint32_t i = 0; i < manifest.flushed_count; i++)
            tell(inspect, "log %02x: all up to %" PRIu64 " is in the files", manifest.flushed[i].log,
                manifest.flushed[i].sequence);
        for (uint32_t i = 0; i < manifest.files_count; i++)
            tell_info(inspect, &manifest.files[i]);
    }
    arena_free(&arena);
    return status;
}
