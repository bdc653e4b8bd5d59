// links: noded_core
/*
 * Fuzz target: SSTables. The first byte chooses: a block's payload; or sections and properties, which are wrapped into
 * stored units and a tail with right checksums, so that what is behind them is reached; or a whole end of a file. What
 * is accepted must be walked without a crash.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/model/row.h"
#include "noded/lsm/block.h"
#include "noded/lsm/sstable_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_ID = 7, SECTIONS_AT = 4096 };

static void try_block(struct bytes payload)
{
    struct block_codec *codec = block_codec_create();
    struct block *block, *again;
    struct buffer bytes = {0};
    struct row row;
    if (block_decode(codec, payload, &block) == STATUS_OK) {
        for (uint32_t s = 0; s < block->segments_count; s++)
            for (uint32_t i = block->segments[s].first_row; i < block->segments[s + 1].first_row; i++) {
                struct bytes held = block_row(block, i);
                CHECK(held.size == 0 || row_decode(held, &row) == STATUS_OK);
                CHECK(block_seek(block, &block->segments[s], block->ids[i]) == i);
                block_add(codec, block->segments[s].partition, block->ids[i], held, block->closed[i]);
            }
        block_finish(codec, &bytes);
        CHECK(block_decode(codec, buffer_bytes(&bytes), &again) == STATUS_OK);
        CHECK(again->rows_count == block->rows_count);
        mem_free(again);
        mem_free(block);
    }
    buffer_free(&bytes);
    block_codec_destroy(codec);
}

static void walk(struct bytes region, const struct sstable_tail *tail)
{
    struct sstable_map map;
    if (sstable_map_init(&map, region, tail) != STATUS_OK) return;
    const struct sstable_info *info = &map.properties.info;
    for (uint32_t i = 0; i < info->partitions; i++) {
        CHECK(sstable_map_seek(&map, sstable_map_key(&map, i)) == i);
        uint32_t block = sstable_map_block(&map, i, map.partitions[i].top);
        CHECK(info->blocks == 0 || block < info->blocks);
    }
    sstable_map_fini(&map);
}

static void try_sections(struct bytes bytes)
{
    struct reader reader = reader_of(bytes);
    struct buffer region = {0}, properties = {0};
    struct sstable_properties made = {.info = {.file_id = FILE_ID}};
    made.info.partitions = read_u8(&reader);
    made.info.blocks = read_u8(&reader);
    made.info.rows = read_u8(&reader);
    for (unsigned i = 0; i < SECTIONS_COUNT; i++) {
        made.section_at[i] = SECTIONS_AT + region.size;
        struct bytes section = read_bytes(&reader, read_u8(&reader));
        if (!reader_ok(&reader)) section = bytes_of(NULL, 0);
        stored_append(&region, FILE_ID, made.section_at[i], section, NULL);
    }
    struct sstable_tail tail = {.file_id = FILE_ID, .sections_at = SECTIONS_AT};
    tail.properties_at = SECTIONS_AT + region.size;
    sstable_properties_encode(&made, &properties);
    bool own = read_u8(&reader) & 1; /* properties from the input as they are */
    struct bytes rest = read_bytes(&reader, reader_left(&reader));
    stored_append(&region, FILE_ID, tail.properties_at, own ? rest : buffer_bytes(&properties), NULL);
    buffer_append(&region, (uint8_t[SSTABLE_TAIL_BYTES]){0}, SSTABLE_TAIL_BYTES);
    tail.file_bytes = SECTIONS_AT + region.size;
    walk(buffer_bytes(&region), &tail);
    buffer_free(&region);
    buffer_free(&properties);
}

static void try_end(struct bytes bytes)
{
    struct sstable_tail tail;
    struct stored stored;
    if (stored_open(bytes, FILE_ID, 0, &stored) == STATUS_OK) CHECK(stored.payload.size <= bytes.size);
    if (bytes.size < SSTABLE_TAIL_BYTES) return;
    struct bytes end = bytes_of(bytes.data + bytes.size - SSTABLE_TAIL_BYTES, SSTABLE_TAIL_BYTES);
    if (sstable_tail_decode(end, FILE_ID, bytes.size, &tail) != STATUS_OK) return;
    walk(bytes_of(bytes.data + tail.sections_at, bytes.size - tail.sections_at), &tail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct bytes rest = {data + 1, size - 1};
    if (data[0] % 3 == 0)
        try_block(rest);
    else if (data[0] % 3 == 1)
        try_sections(rest);
    else
        try_end(rest);
    return 0;
}
