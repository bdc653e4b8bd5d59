/* sstable: sorted files (docs/formats/sstable.md): every block is unpacked, every row decoded, and what index,
   directory, filter and properties say of them is held against them. */
#include <stdio.h>
#include <string.h>

#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/model/span.h"
#include "msgctl/files/kinds.h"
#include "noded/lsm/block.h"
#include "noded/lsm/compress.h"
#include "noded/lsm/filter.h"
#include "noded/lsm/sstable_format.h"

struct table_look {
    struct look *look;
    struct sstable_map map;
    struct compressor *compressor;
    struct block_codec *codec;
    struct buffer scratch;
    struct table schema;
    uint64_t file_id, rows, live, dead, id_min, id_max;
    uint32_t *rows_of; /* by partition */
    /* the row before */
    bool any;
    uint32_t partition;
    uint64_t id;
};

static enum status unpack(struct table_look *table, uint32_t number, struct block **out)
{
    const struct sstable_block_entry *entry = &table->map.blocks[number];
    uint64_t at = (uint64_t)entry[0].place * STORED_ALIGN, end = (uint64_t)entry[1].place * STORED_ALIGN;
    struct bytes content = table->look->content;
    if (at >= end || end > content.size) return STATUS_CORRUPT;
    struct bytes unit = bytes_of(content.data + at, (size_t)(end - at));
    struct stored stored;
    enum status status = stored_open(unit, table->file_id, at, &stored);
    if (status != STATUS_OK) return status;
    struct bytes payload = stored.payload;
    if (stored.raw_bytes > BLOCK_RAW_BYTES_MAX || stored_bytes(unit) != unit.size) return STATUS_CORRUPT;
    if (stored.codec == STORED_ZSTD) {
        buffer_clear(&table->scratch);
        uint8_t *raw = buffer_reserve(&table->scratch, stored.raw_bytes);
        status = compressor_unpack(table->compressor, payload, raw, stored.raw_bytes);
        if (status != STATUS_OK) return status;
        payload = bytes_of(raw, stored.raw_bytes);
    }
    return block_decode(table->codec, payload, out);
}

/* Whether a row may stand here: behind the one before, and within what the directory says of its partition. */
static bool row_belongs(const struct table_look *table, uint32_t partition, uint64_t id)
{
    if (partition >= table->map.properties.info.partitions) return false;
    const struct sstable_partition *directory = &table->map.partitions[partition];
    if (id > directory->top || id < directory->bottom) return false;
    return !table->any || partition > table->partition || (partition == table->partition && id < table->id);
}

static void count_row(struct table_look *table, uint32_t partition, uint64_t id, struct bytes row)
{
    if (!table->any || id < table->id_min) table->id_min = id;
    if (!table->any || id > table->id_max) table->id_max = id;
    table->any = true;
    table->partition = partition;
    table->id = id;
    table->rows++;
    table->rows_of[partition]++;
    table->live += row_bytes_is_visible(row);
    table->dead += row_bytes_is_delete(row);
}

static enum status look_row(struct table_look *table, uint32_t partition, const struct block *block, uint32_t row)
{
    struct look *look = table->look;
    uint64_t id = block->ids[row];
    if (!row_belongs(table, partition, id)) return STATUS_CORRUPT;
    count_row(table, partition, id, block_row(block, row));
    tell_begin(look, "row");
    tell_partition(look, sstable_map_key(&table->map, partition));
    tell_id(look, "id", id);
    if (block->closed[row]) tell_number(look, "closed", 1);
    struct bytes bytes = block_row(block, row);
    enum status status = bytes.size == 0 ? STATUS_OK : tell_row(look, bytes, &table->schema);
    tell_end(look);
    return status;
}

static enum status look_block(struct table_look *table, uint32_t number)
{
    struct block *block;
    enum status status = unpack(table, number, &block);
    if (status != STATUS_OK) return status;
    const struct sstable_block_entry *entry = &table->map.blocks[number];
    if (block->segments[0].partition != entry->first_partition || block->ids[0] != entry->first_id)
        status = STATUS_CORRUPT;
    for (uint32_t i = 0; i < block->segments_count && status == STATUS_OK; i++) {
        const struct block_segment *segment = &block->segments[i];
        for (uint32_t row = segment->first_row; row < segment[1].first_row && status == STATUS_OK; row++)
            status = look_row(table, segment->partition, block, row);
    }
    mem_free(block);
    return status;
}

static enum status look_spans(struct table_look *table)
{
    struct look *look = table->look;
    struct reader reader = reader_of(table->map.spans);
    uint64_t partition = 0;
    for (uint64_t i = 0; i < table->map.properties.info.span_partitions; i++) {
        struct span_set set = {0};
        partition += read_varint(&reader);
        if (span_set_decode(&reader, &set) != STATUS_OK || partition >= table->map.properties.info.partitions) {
            span_set_free(&set);
            return look_fails(look, STATUS_CORRUPT, "its span deletes are malformed");
        }
        for (size_t j = 0; j < set.count; j++) {
            tell_begin(look, "span");
            tell_partition(look, sstable_map_key(&table->map, (uint32_t)partition));
            tell_id(look, "lo", set.spans[j].lo);
            tell_id(look, "hi", set.spans[j].hi);
            tell_number(look, "stamp_us", set.spans[j].stamp);
            tell_text(look, "state", set.spans[j].open ? "open" : "closed");
            tell_end(look);
        }
        span_set_free(&set);
    }
    if (!reader_done(&reader)) return look_fails(look, STATUS_CORRUPT, "bytes are left over after its span deletes");
    return STATUS_OK;
}

static void tell_properties(struct look *look, const struct sstable_info *info)
{
    tell_begin(look, "properties");
    tell_number(look, "rows", (int64_t)info->rows);
    tell_number(look, "live", (int64_t)info->live);
    tell_number(look, "dead", (int64_t)info->dead);
    tell_number(look, "partitions", (int64_t)info->partitions);
    tell_number(look, "blocks", (int64_t)info->blocks);
    tell_id(look, "id_min", info->id_min);
    tell_id(look, "id_max", info->id_max);
    tell_number(look, "stamp_min_us", info->stamp_min);
    tell_number(look, "stamp_max_us", info->stamp_max);
    tell_number(look, "table", info->table_id);
    tell_end(look);
}

/* What was seen against what directory, filter and properties say. */
static enum status look_counts(struct table_look *table)
{
    struct look *look = table->look;
    const struct sstable_info *info = &table->map.properties.info;
    for (uint32_t i = 0; i < info->partitions; i++) {
        struct bytes key = sstable_map_key(&table->map, i);
        if (table->rows_of[i] != table->map.partitions[i].rows)
            return look_fails(look, STATUS_CORRUPT, "partition %u has %u rows; its directory says %u", i,
                table->rows_of[i], table->map.partitions[i].rows);
        if (!filter_may_have(table->map.filter, hash64(key.data, key.size, 0)))
            return look_fails(look, STATUS_CORRUPT, "its filter denies partition %u", i);
    }
    bool ids = info->rows == 0 || (table->id_min == info->id_min && table->id_max == info->id_max);
    if (ids && table->rows == info->rows && table->live == info->live && table->dead == info->dead) return STATUS_OK;
    return look_fails(look, STATUS_CORRUPT, "it has %llu rows, %llu live, %llu deletes; its properties say otherwise",
        (unsigned long long)table->rows, (unsigned long long)table->live, (unsigned long long)table->dead);
}

static enum status look_blocks(struct table_look *table)
{
    const struct sstable_info *info = &table->map.properties.info;
    for (uint32_t i = 0; i < info->blocks; i++) {
        enum status status = look_block(table, i);
        if (status != STATUS_OK)
            return look_fails(table->look, STATUS_CORRUPT, "block %u of %llu, at byte %llu, is damaged", i,
                (unsigned long long)info->blocks, (unsigned long long)table->map.blocks[i].place * STORED_ALIGN);
    }
    enum status status = look_counts(table);
    return status == STATUS_OK ? look_spans(table) : status;
}

static enum status open_map(struct table_look *table)
{
    struct look *look = table->look;
    struct bytes content = look->content;
    struct sstable_tail tail;
    if (look->report->header.major > SSTABLE_MAJOR)
        return look_fails(look, STATUS_CONFLICT, "sstable format %u is newer than %d; run the newer program",
            look->report->header.major, SSTABLE_MAJOR);
    if (content.size < FILE_HEADER_BYTES + SSTABLE_TAIL_BYTES) return look_fails(look, STATUS_CORRUPT, "cut short");
    struct bytes end = bytes_of(content.data + content.size - SSTABLE_TAIL_BYTES, SSTABLE_TAIL_BYTES);
    if (sstable_tail_decode(end, table->file_id, content.size, &tail) != STATUS_OK)
        return look_fails(look, STATUS_CORRUPT, "its tail is damaged, or the file is cut short or another one");
    struct bytes region = bytes_of(content.data + tail.sections_at, (size_t)(content.size - tail.sections_at));
    if (sstable_map_init(&table->map, region, &tail) != STATUS_OK)
        return look_fails(look, STATUS_CORRUPT, "its sections are damaged");
    struct reader schema = reader_of(table->map.properties.schema);
    if (table->map.properties.schema.size == 0 || table_decode(&schema, &table->schema) != STATUS_OK)
        table->schema = CHAT_MESSAGES;
    return STATUS_OK;
}

enum status look_sstable(struct look *look)
{
    struct table_look *table = mem_zalloc(sizeof *table);
    table->look = look;
    table->file_id = look->report->header.file_id;
    enum status status = open_map(table);
    if (status == STATUS_OK) {
        const struct sstable_info *info = &table->map.properties.info;
        table->compressor = compressor_create();
        table->codec = block_codec_create();
        table->rows_of = mem_zalloc((info->partitions + 1) * sizeof *table->rows_of);
        tell_properties(look, info);
        status = look_blocks(table);
        look_sums_up(look,
            "%llu rows of %llu partitions in %llu blocks, %llu live, %llu deletes, %llu partitions with spans",
            (unsigned long long)info->rows, (unsigned long long)info->partitions, (unsigned long long)info->blocks,
            (unsigned long long)info->live, (unsigned long long)info->dead, (unsigned long long)info->span_partitions);
        mem_free(table->rows_of);
        block_codec_destroy(table->codec);
        compressor_destroy(table->compressor);
        sstable_map_fini(&table->map);
    }
    buffer_free(&table->scratch);
    mem_free(table);
    return status;
}
