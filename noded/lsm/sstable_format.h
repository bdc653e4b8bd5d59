/*
 * sstable_format: the bytes of an SSTable outside its blocks (docs/formats/sstable.md): stored units, index, partition
 * directory, filter, spans, properties and tail. A pure codec; sizes from the bytes are checked before they are used.
 *
 * A *stored unit* is 16 bytes of header (sizes, codec, checksum seeded by file id and offset), the payload, and zeros
 * up to a multiple of 16. Blocks and sections are stored units, so a unit that was misplaced, in its file or into
 * another, is CORRUPT.
 */
#ifndef TRILLIUM_NODED_LSM_SSTABLE_FORMAT_H
#define TRILLIUM_NODED_LSM_SSTABLE_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/limits.h"
#include "common/base/status.h"

struct compressor;

enum {
    SSTABLE_MAJOR = 1,
    SSTABLE_MINOR = 0,
    STORED_HEADER_BYTES = 16,
    STORED_ALIGN = 16,
    SSTABLE_TAIL_BYTES = 64,
    SSTABLE_ALIGN = 4096, /* of the whole file's size */
};

/* ---- Stored units ---- */

enum stored_codec { STORED_RAW = 0, STORED_ZSTD = 1 };

/* Appends a unit that will lie at offset of the file; compressor NULL: raw. */
void stored_append(struct buffer *out, uint64_t file_id, uint64_t offset, struct bytes raw, struct compressor *packer);

struct stored {
    struct bytes payload;
    uint32_t raw_bytes;
    enum stored_codec codec;
};
/* unit: at least the unit's bytes, maybe more. CORRUPT. */
enum status stored_open(struct bytes unit, uint64_t file_id, uint64_t offset, struct stored *out) MUST_CHECK;
/* Bytes of the unit in the file, from its header (not checked yet); 0 when the header is cut off or absurd. */
uint64_t stored_bytes(struct bytes header);

/* ---- What is known of a file as a whole: its properties, and its entry in the manifest ---- */

struct sstable_info {
    uint64_t file_id, file_bytes;
    uint32_t window; /* of id time; 0 until windows exist */
    bool verified;   /* equal on all replicas up to verified_w */
    int64_t verified_w;
    uint32_t table_id, schema_version;
    uint64_t dictionary_id, sidecar_id; /* reserved: 0 */
    uint64_t rows, live, dead;          /* rows; rows with a create that is visible; deletes */
    uint64_t partitions, blocks, span_partitions;
    uint64_t id_min, id_max;       /* of rows; id_min > id_max when there are none */
    int64_t stamp_min, stamp_max;  /* the same */
    uint32_t properties_crc;       /* checksum of the file's properties: which bytes the manifest means */
    struct bytes key_min, key_max; /* partitions; borrowed */
};

void sstable_info_encode(const struct sstable_info *info, struct buffer *out);
/* Key views point into the reader's bytes. CORRUPT. */
enum status sstable_info_decode(struct reader *reader, struct sstable_info *out) MUST_CHECK;

/* ---- Sections ---- */

struct sstable_block_entry {
    uint64_t first_id; /* of the block's first row */
    uint32_t first_partition;
    uint32_t place; /* offset / STORED_ALIGN */
};

struct sstable_partition {
    uint64_t top, bottom; /* newest and oldest id of its rows; 0 and 0 when it has spans alone */
    uint32_t rows;
    uint16_t key_size;
    uint32_t key_at; /* in the directory's bytes */
};

enum sstable_section { SECTION_INDEX, SECTION_DIRECTORY, SECTION_FILTER, SECTION_SPANS, SECTIONS_COUNT };

struct sstable_properties {
    struct sstable_info info;
    struct bytes schema; /* table_encode, may be empty */
    uint64_t section_at[SECTIONS_COUNT];
};
void sstable_properties_encode(const struct sstable_properties *properties, struct buffer *out);

void sstable_index_append(struct buffer *out, const struct sstable_block_entry *entry,
    const struct sstable_block_entry *previous); /* previous NULL: the first */
void sstable_directory_append(struct buffer *out, struct bytes key, const struct sstable_partition *partition);

struct sstable_tail {
    uint64_t file_id, file_bytes;
    uint64_t sections_at;   /* blocks end, sections begin */
    uint64_t properties_at; /* the last unit */
};
void sstable_tail_encode(const struct sstable_tail *tail, uint8_t out[SSTABLE_TAIL_BYTES]);
/* The tail belongs to that file, of that size. CORRUPT. */
enum status sstable_tail_decode(
    struct bytes bytes, uint64_t file_id, uint64_t file_bytes, struct sstable_tail *out) MUST_CHECK;

/* A file's sections, taken apart. */
struct sstable_map {
    struct sstable_properties properties;
    struct sstable_block_entry *blocks; /* info.blocks of them */
    struct sstable_partition *partitions;
    struct bytes directory, filter, spans; /* views into the region */
};

/* region: the file's bytes from tail.sections_at to its end, which outlive the map. CORRUPT. */
enum status sstable_map_init(struct sstable_map *map, struct bytes region, const struct sstable_tail *tail) MUST_CHECK;
void sstable_map_fini(struct sstable_map *map);

static inline struct bytes sstable_map_key(const struct sstable_map *map, uint32_t partition)
{
    const struct sstable_partition *entry = &map->partitions[partition];
    return (struct bytes){map->directory.data + entry->key_at, entry->key_size};
}

/* Number of the first partition with a key of at least this one; info.partitions when there is none. */
uint32_t sstable_map_seek(const struct sstable_map *map, struct bytes key);
/* The last block that begins at or before (partition, id) in key order; 0 when all begin after it. */
uint32_t sstable_map_block(const struct sstable_map *map, uint32_t partition, uint64_t id);

#endif
