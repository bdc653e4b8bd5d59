/*
 * block: rows of one SSTable block as columns (on disk, docs/formats/sstable.md) and as plain rows (in memory). Pure
 * codec; it knows neither files, checksums nor compression.
 *
 * Rows stand in key order: partition ascending, id descending. A partition is named by its ordinal in the file's
 * directory. Plain creates are taken apart into columns; every other row is kept as its own bytes, a delete as its
 * stamp. Decoding gives back exactly the bytes that were put in. One thread.
 */
#ifndef TRILLIUM_NODED_LSM_BLOCK_H
#define TRILLIUM_NODED_LSM_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/limits.h"
#include "common/base/list.h"
#include "common/base/status.h"

enum {
    BLOCK_ROWS_MAX = 1024,
    BLOCK_TARGET_BYTES = 6 << 10,                             /* a block is closed when its rows reach this */
    BLOCK_ROW_BYTES_MAX = COLUMNS_MAX * (ROW_BYTES_MAX + 16), /* a merged row: every column from an edit of its own */
    BLOCK_RAW_BYTES_MAX = BLOCK_TARGET_BYTES + BLOCK_ROW_BYTES_MAX + (32 << 10),
};

/* Rows first_row up to the next segment's first_row belong to the partition. */
struct block_segment {
    uint32_t partition, first_row;
};

/* A decoded block; one allocation, freed by mem_free. */
struct block {
    uint32_t rows_count, segments_count;
    uint32_t bytes;                 /* of the allocation */
    struct block_segment *segments; /* one more than segments_count, the last ends the rows */
    uint64_t *ids;
    uint32_t *ends; /* of row i in rows; it begins at ends[i - 1] */
    uint8_t *closed;
    uint8_t *rows;
    /* The cache's. */
    struct list link;
    struct block *next_in_slot;
    uint64_t file_id;
    uint32_t number, refs;
    uint8_t queue;
};

static inline struct bytes block_row(const struct block *block, uint32_t row)
{
    uint32_t start = row ? block->ends[row - 1] : 0;
    return (struct bytes){block->rows + start, block->ends[row] - start};
}

/* The segment of the partition or NULL. */
const struct block_segment *block_find(const struct block *block, uint32_t partition);
/* First row of the segment with an id of at most id; the segment's end when there is none. */
uint32_t block_seek(const struct block *block, const struct block_segment *segment, uint64_t id);

/* Working memory of encoding and decoding, kept between blocks. */
struct block_codec;
struct block_codec *block_codec_create(void);
void block_codec_destroy(struct block_codec *codec);

/* Collects rows for one block; they come in key order. Row bytes are canonical and copied. */
void block_add(struct block_codec *codec, uint32_t partition, uint64_t id, struct bytes row, bool closed);
uint32_t block_rows(const struct block_codec *codec);
/* The block has reached its size and must be finished before the next add. */
bool block_is_full(const struct block_codec *codec);
/* Writes the collected rows (at least one) to out and begins the next block. At most BLOCK_RAW_BYTES_MAX bytes. */
void block_finish(struct block_codec *codec, struct buffer *out);

/* Of the rows finished since the last taking; stamps are INT64_MAX and INT64_MIN when there were none. */
struct block_stats {
    uint64_t live, dead; /* rows with a visible create; deletes */
    int64_t stamp_min, stamp_max;
};
struct block_stats block_take_stats(struct block_codec *codec);

/* CORRUPT when the bytes are none that block_finish writes. A codec that is collecting may decode meanwhile. */
enum status block_decode(struct block_codec *codec, struct bytes payload, struct block **out) MUST_CHECK;

#endif
