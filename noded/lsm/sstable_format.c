#include "noded/lsm/sstable_format.h"

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "noded/lsm/block.h"
#include "noded/lsm/compress.h"

enum {
    TAIL_MAGIC = 0x45545354, /* "TSTE" */
    INFO_VERSION = 1,
    PROPERTIES_BYTES_MAX = 64 << 10,
};

/* ---- Stored units ---- */

static uint32_t unit_crc(uint64_t file_id, uint64_t offset, const uint8_t *header, struct bytes payload)
{
    uint8_t seed[16];
    struct writer writer = writer_of(seed, sizeof seed);
    write_u64(&writer, file_id);
    write_u64(&writer, offset);
    uint32_t crc = crc32c(0, seed, sizeof seed);
    crc = crc32c(crc, header, STORED_HEADER_BYTES - 4);
    return crc32c(crc, payload.data, payload.size);
}

static uint64_t unit_bytes(uint64_t payload_bytes)
{
    uint64_t bytes = STORED_HEADER_BYTES + payload_bytes;
    return (bytes + STORED_ALIGN - 1) & ~(uint64_t)(STORED_ALIGN - 1);
}

void stored_append(struct buffer *out, uint64_t file_id, uint64_t offset, struct bytes raw, struct compressor *packer)
{
    CHECK(offset % STORED_ALIGN == 0 && raw.size <= UINT32_MAX);
    size_t start = out->size;
    buffer_reserve(out, STORED_HEADER_BYTES + raw.size + STORED_ALIGN);
    out->size += STORED_HEADER_BYTES;
    bool packed = packer && compressor_pack(packer, raw, out);
    if (!packed) buffer_append(out, raw.data, raw.size);
    struct bytes payload = {out->data + start + STORED_HEADER_BYTES, out->size - start - STORED_HEADER_BYTES};
    struct writer writer = writer_of(out->data + start, STORED_HEADER_BYTES);
    write_u32(&writer, (uint32_t)payload.size);
    write_u32(&writer, (uint32_t)raw.size);
    write_u32(&writer, packed ? STORED_ZSTD : STORED_RAW);
    write_u32(&writer, unit_crc(file_id, offset, out->data + start, payload));
    size_t padding = unit_bytes(payload.size) - STORED_HEADER_BYTES - payload.size;
    memset(buffer_reserve(out, STORED_ALIGN), 0, padding);
    out->size += padding;
}

uint64_t stored_bytes(struct bytes header)
{
    struct reader reader = reader_of(header);
    uint32_t payload = read_u32(&reader);
    return reader_left(&reader) < STORED_HEADER_BYTES - 4 ? 0 : unit_bytes(payload);
}

enum status stored_open(struct bytes unit, uint64_t file_id, uint64_t offset, struct stored *out)
{
    struct reader reader = reader_of(unit);
    uint32_t payload_bytes = read_u32(&reader), raw_bytes = read_u32(&reader), codec = read_u32(&reader);
    uint32_t crc = read_u32(&reader);
    struct bytes payload = read_bytes(&reader, payload_bytes);
    if (!reader_ok(&reader)) return STATUS_CORRUPT;
    if (crc != unit_crc(file_id, offset, unit.data, payload) && !PLANT(block_checksum_ignored)) return STATUS_CORRUPT;
    if (codec > STORED_ZSTD || (codec == STORED_RAW && raw_bytes != payload_bytes)) return STATUS_CORRUPT;
    *out = (struct stored){payload, raw_bytes, (enum stored_codec)codec};
    return STATUS_OK;
}

/* ---- Info and properties ---- */

static void append_signed(struct buffer *out, int64_t value)
{
    buffer_append_varint(out, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

static void append_sized(struct buffer *out, struct bytes bytes)
{
    buffer_append_varint(out, bytes.size);
    buffer_append(out, bytes.data, bytes.size);
}

void sstable_info_encode(const struct sstable_info *info, struct buffer *out)
{
    const uint64_t numbers[] = {INFO_VERSION, info->file_id, info->file_bytes, info->window, info->verified,
        info->table_id, info->schema_version, info->dictionary_id, info->sidecar_id, info->rows, info->live, info->dead,
        info->partitions, info->blocks, info->span_partitions, info->id_min, info->id_max, info->properties_crc};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        buffer_append_varint(out, numbers[i]);
    append_signed(out, info->verified_w);
    append_signed(out, info->stamp_min);
    append_signed(out, info->stamp_max);
    append_sized(out, info->key_min);
    append_sized(out, info->key_max);
}

static uint32_t read_varint_u32(struct reader *reader)
{
    uint64_t value = read_varint(reader);
    if (value > UINT32_MAX) reader_fail(reader);
    return (uint32_t)value;
}

enum status sstable_info_decode(struct reader *reader, struct sstable_info *out)
{
    struct sstable_info info = {0};
    if (read_varint(reader) != INFO_VERSION) return STATUS_CORRUPT;
    info.file_id = read_varint(reader);
    info.file_bytes = read_varint(reader);
    info.window = read_varint_u32(reader);
    uint64_t verified = read_varint(reader);
    info.verified = verified == 1;
    info.table_id = read_varint_u32(reader);
    info.schema_version = read_varint_u32(reader);
    info.dictionary_id = read_varint(reader);
    info.sidecar_id = read_varint(reader);
    info.rows = read_varint(reader);
    info.live = read_varint(reader);
    info.dead = read_varint(reader);
    info.partitions = read_varint_u32(reader);
    info.blocks = read_varint_u32(reader);
    info.span_partitions = read_varint(reader);
    info.id_min = read_varint(reader);
    info.id_max = read_varint(reader);
    info.properties_crc = read_varint_u32(reader);
    info.verified_w = read_varint_signed(reader);
    info.stamp_min = read_varint_signed(reader);
    info.stamp_max = read_varint_signed(reader);
    info.key_min = read_sized(reader);
    info.key_max = read_sized(reader);
    if (!reader_ok(reader) || verified > 1 || info.key_min.size > KEY_BYTES_MAX || info.key_max.size > KEY_BYTES_MAX)
        return STATUS_CORRUPT;
    *out = info;
    return STATUS_OK;
}

void sstable_properties_encode(const struct sstable_properties *properties, struct buffer *out)
{
    sstable_info_encode(&properties->info, out);
    append_sized(out, properties->schema);
    for (unsigned i = 0; i < SECTIONS_COUNT; i++)
        buffer_append_varint(out, properties->section_at[i]);
}

static enum status properties_decode(struct bytes bytes, struct sstable_properties *out)
{
    struct reader reader = reader_of(bytes);
    enum status status = sstable_info_decode(&reader, &out->info);
    if (status != STATUS_OK) return status;
    out->schema = read_sized(&reader);
    for (unsigned i = 0; i < SECTIONS_COUNT; i++)
        out->section_at[i] = read_varint(&reader);
    return reader_done(&reader) ? STATUS_OK : STATUS_CORRUPT;
}

/* ---- Tail ---- */

void sstable_tail_encode(const struct sstable_tail *tail, uint8_t out[SSTABLE_TAIL_BYTES])
{
    memset(out, 0, SSTABLE_TAIL_BYTES);
    struct writer writer = writer_of(out, SSTABLE_TAIL_BYTES);
    write_u32(&writer, TAIL_MAGIC);
    write_u32(&writer, 0);
    write_u64(&writer, tail->file_id);
    write_u64(&writer, tail->file_bytes);
    write_u64(&writer, tail->sections_at);
    write_u64(&writer, tail->properties_at);
    writer = writer_of(out + SSTABLE_TAIL_BYTES - 4, 4);
    write_u32(&writer, crc32c(0, out, SSTABLE_TAIL_BYTES - 4));
}

enum status sstable_tail_decode(struct bytes bytes, uint64_t file_id, uint64_t file_bytes, struct sstable_tail *out)
{
    if (bytes.size != SSTABLE_TAIL_BYTES) return STATUS_CORRUPT;
    struct reader reader = reader_of(bytes_of(bytes.data + SSTABLE_TAIL_BYTES - 4, 4));
    if (read_u32(&reader) != crc32c(0, bytes.data, SSTABLE_TAIL_BYTES - 4)) return STATUS_CORRUPT;
    reader = reader_of(bytes);
    uint32_t magic = read_u32(&reader), flags = read_u32(&reader);
    struct sstable_tail tail = {.file_id = read_u64(&reader)};
    tail.file_bytes = read_u64(&reader);
    tail.sections_at = read_u64(&reader);
    tail.properties_at = read_u64(&reader);
    if (magic != TAIL_MAGIC || flags != 0 || tail.file_id != file_id || tail.file_bytes != file_bytes)
        return STATUS_CORRUPT;
    if (tail.sections_at > tail.properties_at || tail.properties_at >= file_bytes - SSTABLE_TAIL_BYTES ||
        tail.sections_at % STORED_ALIGN || tail.properties_at % STORED_ALIGN)
        return STATUS_CORRUPT;
    *out = tail;
    return STATUS_OK;
}

/* ---- Sections ---- */

void sstable_index_append(
    struct buffer *out, const struct sstable_block_entry *entry, const struct sstable_block_entry *previous)
{
    uint8_t id[8];
    struct writer writer = writer_of(id, sizeof id);
    write_u64(&writer, entry->first_id);
    buffer_append_varint(out, entry->first_partition - (previous ? previous->first_partition : 0));
    buffer_append(out, id, sizeof id);
    buffer_append_varint(out, entry->place - (previous ? previous->place : 0));
}

static bool read_index(struct sstable_map *map, struct bytes bytes, uint64_t blocks_end)
{
    struct reader reader = reader_of(bytes);
    uint64_t count = map->properties.info.blocks, partition = 0, place = 0;
    if (count > bytes.size / 10) return false; /* an entry is at least 10 bytes */
    map->blocks = mem_alloc((count + 1) * sizeof *map->blocks);
    for (uint64_t i = 0; i < count; i++) {
        partition += read_varint_u32(&reader);
        uint64_t id = read_u64(&reader);
        uint32_t step = read_varint_u32(&reader);
        place += step;
        if (step == 0 || partition >= map->properties.info.partitions || place * STORED_ALIGN >= blocks_end)
            return false;
        map->blocks[i] = (struct sstable_block_entry){id, (uint32_t)partition, (uint32_t)place};
    }
    map->blocks[count] = (struct sstable_block_entry){0, UINT32_MAX, (uint32_t)(blocks_end / STORED_ALIGN)};
    return reader_done(&reader);
}

void sstable_directory_append(struct buffer *out, struct bytes key, const struct sstable_partition *partition)
{
    uint8_t top[8];
    struct writer writer = writer_of(top, sizeof top);
    write_u64(&writer, partition->top);
    append_sized(out, key);
    buffer_append_varint(out, partition->rows);
    buffer_append(out, top, sizeof top);
    buffer_append_varint(out, partition->top - partition->bottom);
}

static bool read_directory(struct sstable_map *map)
{
    struct reader reader = reader_of(map->directory);
    uint64_t count = map->properties.info.partitions, rows = 0;
    if (count > map->directory.size / 11) return false;
    map->partitions = mem_alloc((count ? count : 1) * sizeof *map->partitions);
    for (uint64_t i = 0; i < count; i++) {
        struct bytes key = read_sized(&reader);
        struct sstable_partition *partition = &map->partitions[i];
        partition->rows = read_varint_u32(&reader);
        partition->top = read_u64(&reader);
        uint64_t span = read_varint(&reader);
        if (!reader_ok(&reader) || key.size == 0 || key.size > KEY_BYTES_MAX || span > partition->top) return false;
        partition->bottom = partition->top - span;
        partition->key_size = (uint16_t)key.size;
        partition->key_at = (uint32_t)(key.data - map->directory.data);
        if (i > 0 && bytes_compare(sstable_map_key(map, (uint32_t)i - 1), key) >= 0) return false;
        rows += partition->rows;
    }
    return reader_done(&reader) && rows == map->properties.info.rows;
}

/* The raw payload of the unit at an absolute offset. */
static enum status section(
    struct bytes region, const struct sstable_tail *tail, uint64_t at, struct bytes *out, uint32_t *crc)
{
    if (at < tail->sections_at || at > tail->properties_at || at % STORED_ALIGN) return STATUS_CORRUPT;
    uint64_t start = at - tail->sections_at;
    struct stored stored;
    struct bytes unit = {region.data + start, region.size - start};
    enum status status = stored_open(unit, tail->file_id, at, &stored);
    if (status != STATUS_OK) return status;
    if (stored.codec != STORED_RAW) return STATUS_CORRUPT;
    struct reader reader = reader_of(bytes_of(unit.data + 12, 4));
    *crc = read_u32(&reader);
    *out = stored.payload;
    return STATUS_OK;
}

enum status sstable_map_init(struct sstable_map *map, struct bytes region, const struct sstable_tail *tail)
{
    *map = (struct sstable_map){0};
    if (region.size != tail->file_bytes - tail->sections_at) return STATUS_CORRUPT;
    struct sstable_properties *properties = &map->properties;
    struct bytes bytes, index;
    uint32_t properties_crc, crc;
    enum status status = section(region, tail, tail->properties_at, &bytes, &properties_crc);
    if (status == STATUS_OK) status = properties_decode(bytes, properties);
    if (status == STATUS_OK) status = section(region, tail, properties->section_at[SECTION_INDEX], &index, &crc);
    if (status == STATUS_OK)
        status = section(region, tail, properties->section_at[SECTION_DIRECTORY], &map->directory, &crc);
    if (status == STATUS_OK) status = section(region, tail, properties->section_at[SECTION_FILTER], &map->filter, &crc);
    if (status == STATUS_OK) status = section(region, tail, properties->section_at[SECTION_SPANS], &map->spans, &crc);
    if (status != STATUS_OK) return status;
    properties->info.file_bytes = tail->file_bytes;
    properties->info.properties_crc = properties_crc;
    if (properties->info.file_id != tail->file_id || !read_index(map, index, tail->sections_at) ||
        !read_directory(map)) {
        sstable_map_fini(map);
        return STATUS_CORRUPT;
    }
    return STATUS_OK;
}

void sstable_map_fini(struct sstable_map *map)
{
    mem_free(map->blocks);
    mem_free(map->partitions);
    *map = (struct sstable_map){0};
}

uint32_t sstable_map_seek(const struct sstable_map *map, struct bytes key)
{
    uint32_t low = 0, high = (uint32_t)map->properties.info.partitions;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bytes_compare(sstable_map_key(map, middle), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t sstable_map_block(const struct sstable_map *map, uint32_t partition, uint64_t id)
{
    uint32_t low = 0, high = (uint32_t)map->properties.info.blocks;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        const struct sstable_block_entry *entry = &map->blocks[middle];
        if (entry->first_partition < partition || (entry->first_partition == partition && entry->first_id >= id))
            low = middle;
        else
            high = middle;
    }
    return low;
}
