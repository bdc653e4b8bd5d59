#include "noded/lsm/block.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/model/row.h"
#include "common/model/snowflake.h"

enum {
    PAYLOAD_VERSION = 1,
    TAG_OPAQUE = 0,  /* the row's own bytes */
    TAG_DELETE = 1,  /* a stamp */
    TAG_NOTHING = 2, /* no row: only the closed mark */
    TAG_SHAPES = 3,  /* + number of the shape */
    TAG_CLOSED = 0x80,
    SHAPES_MAX = 100,
    SHAPE_CELLS_MAX = 32,
    SHAPE_COLUMNS_MAX = 64, /* different columns in the shapes of one block */
    TAGS_ONE = 0,           /* one tag for all rows */
    TAGS_EACH = 1,
    COLUMN_BYTES = 0,   /* lengths, then values */
    COLUMN_NUMBERS = 1, /* 8-byte numbers as differences */
    COLUMN_FIXED = 2,   /* one length, then values */
    COLUMN_WORDS = 3,   /* a dictionary of at most 255, then an index a value */
    COLUMN_SAME = 4,    /* one value for all */
    WORDS_MAX = 255,
    WORD_BYTES_MAX = 32,
};

struct shape {
    uint32_t cells_count;
    uint16_t columns[SHAPE_CELLS_MAX];
};

struct piece {
    uint32_t start, size; /* in codec->rows */
    uint16_t column;
};

struct entry {
    uint64_t id;
    uint32_t partition, start, size;
    uint8_t tag;
    bool closed;
    int64_t stamp;
};

struct block_codec {
    /* Collected rows. */
    struct buffer rows;
    uint32_t entries_count;
    struct entry entries[BLOCK_ROWS_MAX];
    /* Work. */
    struct row row;
    uint32_t shapes_count, columns_count;
    struct shape shapes[SHAPES_MAX];
    uint16_t columns[SHAPE_COLUMNS_MAX];
    struct piece *pieces; /* cells of shaped rows, in row order */
    uint32_t pieces_count, pieces_capacity;
    struct bytes *values; /* of one column */
    uint32_t values_capacity;
    /* Decoding. */
    struct buffer decoded, numbers;
    uint64_t ids[BLOCK_ROWS_MAX];
    uint32_t ends[BLOCK_ROWS_MAX];
    uint8_t tags[BLOCK_ROWS_MAX];
    uint8_t closed[BLOCK_ROWS_MAX];
    int64_t stamps[BLOCK_ROWS_MAX];
    struct block_segment segments[BLOCK_ROWS_MAX + 1];
    struct block_stats stats;
    uint32_t first_value[SHAPE_COLUMNS_MAX], next_value[SHAPE_COLUMNS_MAX];
};

struct block_codec *block_codec_create(void)
{
    struct block_codec *codec = mem_zalloc(sizeof *codec);
    block_take_stats(codec);
    return codec;
}

struct block_stats block_take_stats(struct block_codec *codec)
{
    struct block_stats stats = codec->stats;
    codec->stats = (struct block_stats){.stamp_min = INT64_MAX, .stamp_max = INT64_MIN};
    return stats;
}

void block_codec_destroy(struct block_codec *codec)
{
    if (!codec) return;
    buffer_free(&codec->rows);
    buffer_free(&codec->decoded);
    buffer_free(&codec->numbers);
    mem_free(codec->pieces);
    mem_free(codec->values);
    mem_free(codec);
}

const struct block_segment *block_find(const struct block *block, uint32_t partition)
{
    uint32_t low = 0, high = block->segments_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (block->segments[middle].partition < partition)
            low = middle + 1;
        else
            high = middle;
    }
    return low < block->segments_count && block->segments[low].partition == partition ? &block->segments[low] : NULL;
}

uint32_t block_seek(const struct block *block, const struct block_segment *segment, uint64_t id)
{
    uint32_t low = segment->first_row, high = segment[1].first_row;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (block->ids[middle] > id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- Collecting ---- */

void block_add(struct block_codec *codec, uint32_t partition, uint64_t id, struct bytes row, bool closed)
{
    CHECK(codec->entries_count < BLOCK_ROWS_MAX && row.size <= BLOCK_ROW_BYTES_MAX);
    if (codec->entries_count > 0) {
        const struct entry *last = &codec->entries[codec->entries_count - 1];
        CHECK(partition > last->partition || (partition == last->partition && id < last->id));
    }
    codec->entries[codec->entries_count++] = (struct entry){.id = id,
        .partition = partition,
        .start = (uint32_t)codec->rows.size,
        .size = (uint32_t)row.size,
        .closed = closed};
    buffer_append(&codec->rows, row.data, row.size);
}

uint32_t block_rows(const struct block_codec *codec)
{
    return codec->entries_count;
}

bool block_is_full(const struct block_codec *codec)
{
    return codec->entries_count == BLOCK_ROWS_MAX ||
           codec->rows.size + codec->entries_count * sizeof(uint64_t) >= BLOCK_TARGET_BYTES;
}

/* ---- Encoding ---- */

/* Number of the row's shape, made when new; -1 when the row does not go into columns. */
static int shape_of(struct block_codec *codec, const struct row *row)
{
    if (!row->has_create || row->is_deleted || row->cells_count > SHAPE_CELLS_MAX) return -1;
    struct shape shape = {.cells_count = row->cells_count};
    for (unsigned i = 0; i < row->cells_count; i++) {
        if (row->cells[i].edit || row->cells[i].deleted) return -1;
        shape.columns[i] = row->cells[i].column;
    }
    for (uint32_t i = 0; i < codec->shapes_count; i++)
        if (codec->shapes[i].cells_count == shape.cells_count &&
            memcmp(codec->shapes[i].columns, shape.columns, shape.cells_count * sizeof(uint16_t)) == 0)
            return (int)i;
    if (codec->shapes_count == SHAPES_MAX) return -1;
    uint32_t fresh = 0;
    for (uint32_t i = 0; i < shape.cells_count; i++) {
        uint32_t j = 0;
        while (j < codec->columns_count && codec->columns[j] != shape.columns[i])
            j++;
        if (j < codec->columns_count) continue;
        if (codec->columns_count + fresh == SHAPE_COLUMNS_MAX) return -1;
        codec->columns[codec->columns_count + fresh++] = shape.columns[i];
    }
    codec->columns_count += fresh;
    codec->shapes[codec->shapes_count] = shape;
    return (int)codec->shapes_count++;
}

static void add_piece(struct block_codec *codec, const struct cell *cell)
{
    if (codec->pieces_count == codec->pieces_capacity) {
        codec->pieces_capacity = codec->pieces_capacity ? codec->pieces_capacity * 2 : 256;
        codec->pieces = mem_realloc(codec->pieces, codec->pieces_capacity * sizeof *codec->pieces);
        codec->values = mem_realloc(codec->values, codec->pieces_capacity * sizeof *codec->values);
    }
    codec->pieces[codec->pieces_count++] = (struct piece){
        .start = (uint32_t)(cell->value.data - codec->rows.data),
        .size = (uint32_t)cell->value.size,
        .column = cell->column,
    };
}

static void count_row(struct block_stats *stats, const struct row *row, uint64_t id)
{
    int64_t low = INT64_MAX, high = INT64_MIN;
    if (row->is_deleted) low = high = row->deleted_at;
    if (row->has_create) low = high = snowflake_unix_us(id);
    for (unsigned i = 0; i < row->cells_count; i++) {
        if (!row->cells[i].edit) continue;
        int64_t stamp = row->cells[i].timestamp;
        low = stamp < low ? stamp : low;
        high = stamp > high ? stamp : high;
    }
    if (row_is_visible(row)) stats->live++;
    if (row->is_deleted) stats->dead++;
    if (low < stats->stamp_min) stats->stamp_min = low;
    if (high > stats->stamp_max) stats->stamp_max = high;
}

static void classify(struct block_codec *codec)
{
    codec->shapes_count = codec->columns_count = codec->pieces_count = 0;
    for (uint32_t i = 0; i < codec->entries_count; i++) {
        struct entry *entry = &codec->entries[i];
        entry->tag = TAG_NOTHING;
        if (entry->size == 0) continue;
        CHECK(row_decode(bytes_of(codec->rows.data + entry->start, entry->size), &codec->row) == STATUS_OK);
        int shape = shape_of(codec, &codec->row);
        count_row(&codec->stats, &codec->row, entry->id);
        if (codec->row.is_deleted) {
            entry->tag = TAG_DELETE;
            entry->stamp = codec->row.deleted_at;
        } else if (shape < 0) {
            entry->tag = TAG_OPAQUE;
        } else {
            entry->tag = (uint8_t)(TAG_SHAPES + shape);
            for (unsigned c = 0; c < codec->row.cells_count; c++)
                add_piece(codec, &codec->row.cells[c]);
        }
    }
    for (uint32_t i = 1; i < codec->columns_count; i++) /* insertion sort: few */
        for (uint32_t j = i; j > 0 && codec->columns[j] < codec->columns[j - 1]; j--) {
            uint16_t swap = codec->columns[j];
            codec->columns[j] = codec->columns[j - 1];
            codec->columns[j - 1] = swap;
        }
}

static void append_u8(struct buffer *out, uint8_t value)
{
    buffer_append(out, &value, 1);
}

static void append_signed(struct buffer *out, int64_t value)
{
    buffer_append_varint(out, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

static void append_id(struct buffer *out, uint64_t id)
{
    uint8_t bytes[8];
    struct writer writer = writer_of(bytes, sizeof bytes);
    write_u64(&writer, id);
    buffer_append(out, bytes, sizeof bytes);
}

static void write_ids(const struct block_codec *codec, struct buffer *out)
{
    uint32_t segments = 0, n = codec->entries_count;
    for (uint32_t i = 0; i < n; i++)
        if (i == 0 || codec->entries[i].partition != codec->entries[i - 1].partition) segments++;
    buffer_append_varint(out, segments);
    uint32_t before = 0;
    for (uint32_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && codec->entries[j].partition == codec->entries[i].partition; j++)
            ;
        buffer_append_varint(out, codec->entries[i].partition - before);
        buffer_append_varint(out, j - i);
        before = codec->entries[i].partition;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (i == 0 || codec->entries[i].partition != codec->entries[i - 1].partition)
            append_id(out, codec->entries[i].id);
        else
            buffer_append_varint(out, codec->entries[i - 1].id - codec->entries[i].id);
    }
}

static void write_shapes(const struct block_codec *codec, struct buffer *out)
{
    buffer_append_varint(out, codec->shapes_count);
    for (uint32_t i = 0; i < codec->shapes_count; i++) {
        const struct shape *shape = &codec->shapes[i];
        buffer_append_varint(out, shape->cells_count);
        for (uint32_t c = 0; c < shape->cells_count; c++)
            buffer_append_varint(out, shape->columns[c] - (c ? shape->columns[c - 1] : 0));
    }
}

static uint8_t tag_byte(const struct entry *entry)
{
    return entry->tag | (entry->closed ? TAG_CLOSED : 0);
}

static void write_tags(const struct block_codec *codec, struct buffer *out)
{
    bool same = true;
    for (uint32_t i = 1; i < codec->entries_count; i++)
        same &= tag_byte(&codec->entries[i]) == tag_byte(&codec->entries[0]);
    append_u8(out, same ? TAGS_ONE : TAGS_EACH);
    for (uint32_t i = 0; i < (same ? 1 : codec->entries_count); i++)
        append_u8(out, tag_byte(&codec->entries[i]));
}

static int64_t number_of(struct bytes value)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++)
        number = number << 8 | value.data[i];
    return (int64_t)number;
}

static int64_t difference(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* Tries a dictionary: fills index[] and words[] and returns their count, 0 when it does not pay. */
static uint32_t find_words(
    const struct bytes *values, uint32_t count, struct bytes words[WORDS_MAX], uint8_t index[BLOCK_ROWS_MAX])
{
    uint32_t words_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (values[i].size > WORD_BYTES_MAX) return 0;
        uint32_t w = words_count;
        while (w > 0 && !bytes_equal(words[w - 1], values[i]))
            w--;
        if (w == 0) {
            if (words_count == WORDS_MAX || words_count > 16 + i / 2) return 0;
            words[words_count++] = values[i];
            w = words_count;
        }
        index[i] = (uint8_t)(w - 1);
    }
    return words_count;
}

static void write_values(struct buffer *out, const struct bytes *values, uint32_t count, bool lengths)
{
    for (uint32_t i = 0; lengths && i < count; i++)
        buffer_append_varint(out, values[i].size);
    for (uint32_t i = 0; i < count; i++)
        buffer_append(out, values[i].data, values[i].size);
}

static void write_column(struct buffer *out, const struct bytes *values, uint32_t count)
{
    struct bytes words[WORDS_MAX];
    uint8_t index[BLOCK_ROWS_MAX];
    bool fixed = true;
    size_t numbers_bytes = 0, words_bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        fixed &= values[i].size == values[0].size;
    bool numbers = fixed && values[0].size == 8;
    for (uint32_t i = 0; numbers && i < count; i++) {
        int64_t delta = difference(number_of(values[i]), i ? number_of(values[i - 1]) : 0);
        numbers_bytes += varint_size(((uint64_t)delta << 1) ^ (uint64_t)(delta >> 63));
    }
    uint32_t words_count = find_words(values, count, words, index);
    for (uint32_t i = 0; i < words_count; i++)
        words_bytes += words[i].size + 1;
    words_bytes += count;
    if (words_count == 1) {
        append_u8(out, COLUMN_SAME);
        write_values(out, words, 1, true);
    } else if (words_count && (!numbers || words_bytes < numbers_bytes)) {
        append_u8(out, COLUMN_WORDS);
        append_u8(out, (uint8_t)words_count);
        write_values(out, words, words_count, true);
        buffer_append(out, index, count);
    } else if (numbers && numbers_bytes < (size_t)8 * count) {
        append_u8(out, COLUMN_NUMBERS);
        for (uint32_t i = 0; i < count; i++)
            append_signed(out, difference(number_of(values[i]), i ? number_of(values[i - 1]) : 0));
    } else if (fixed) {
        append_u8(out, COLUMN_FIXED);
        buffer_append_varint(out, values[0].size);
        write_values(out, values, count, false);
    } else {
        append_u8(out, COLUMN_BYTES);
        write_values(out, values, count, true);
    }
}

void block_finish(struct block_codec *codec, struct buffer *out)
{
    CHECK(codec->entries_count > 0);
    size_t start = out->size;
    classify(codec);
    append_u8(out, PAYLOAD_VERSION);
    write_ids(codec, out);
    write_shapes(codec, out);
    write_tags(codec, out);
    int64_t stamp = 0;
    for (uint32_t i = 0; i < codec->entries_count; i++) {
        if (codec->entries[i].tag != TAG_DELETE) continue;
        append_signed(out, difference(codec->entries[i].stamp, stamp));
        stamp = codec->entries[i].stamp;
    }
    for (uint32_t c = 0; c < codec->columns_count; c++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < codec->pieces_count; i++) {
            const struct piece *piece = &codec->pieces[i];
            if (piece->column == codec->columns[c])
                codec->values[count++] = bytes_of(codec->rows.data + piece->start, piece->size);
        }
        write_column(out, codec->values, count);
    }
    for (unsigned pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < codec->entries_count; i++) {
            const struct entry *entry = &codec->entries[i];
            if (entry->tag != TAG_OPAQUE) continue;
            if (pass == 0)
                buffer_append_varint(out, entry->size);
            else
                buffer_append(out, codec->rows.data + entry->start, entry->size);
        }
    CHECK(out->size - start <= BLOCK_RAW_BYTES_MAX);
    buffer_clear(&codec->rows);
    codec->entries_count = 0;
}

/* ---- Decoding ---- */

struct decoding {
    uint32_t rows_count, segments_count, pieces_count;
    struct reader reader;
};

static bool read_ids(struct block_codec *codec, struct decoding *decoding)
{
    struct reader *reader = &decoding->reader;
    uint64_t segments = read_varint(reader), partition = 0, rows = 0;
    if (segments == 0 || segments > BLOCK_ROWS_MAX) return false;
    for (uint32_t i = 0; i < segments; i++) {
        uint64_t step = read_varint(reader), count = read_varint(reader);
        if ((i > 0 && step == 0) || step > UINT32_MAX || count == 0 || count > BLOCK_ROWS_MAX - rows) return false;
        partition += step;
        if (partition > UINT32_MAX) return false;
        codec->segments[i] = (struct block_segment){(uint32_t)partition, (uint32_t)rows};
        rows += count;
    }
    codec->segments[segments] = (struct block_segment){UINT32_MAX, (uint32_t)rows};
    for (uint32_t i = 0, segment = 0; i < rows; i++) {
        if (i == codec->segments[segment].first_row) {
            codec->ids[i] = read_u64(reader);
            segment++;
            continue;
        }
        uint64_t step = read_varint(reader);
        if (step == 0 || step > codec->ids[i - 1]) return false;
        codec->ids[i] = codec->ids[i - 1] - step;
    }
    decoding->rows_count = (uint32_t)rows;
    decoding->segments_count = (uint32_t)segments;
    return reader_ok(reader);
}

static bool read_shapes(struct block_codec *codec, struct reader *reader)
{
    uint64_t shapes = read_varint(reader);
    if (shapes > SHAPES_MAX) return false;
    for (uint32_t i = 0; i < shapes; i++) {
        struct shape *shape = &codec->shapes[i];
        uint64_t cells = read_varint(reader), column = 0;
        if (cells > SHAPE_CELLS_MAX) return false;
        for (uint32_t c = 0; c < cells; c++) {
            uint64_t step = read_varint(reader);
            if (step == 0 || step > COLUMNS_MAX || column + step > COLUMNS_MAX) return false;
            column += step;
            shape->columns[c] = (uint16_t)column;
        }
        shape->cells_count = (uint32_t)cells;
    }
    codec->shapes_count = (uint32_t)shapes;
    return reader_ok(reader);
}

static bool read_tags(struct block_codec *codec, struct decoding *decoding)
{
    struct reader *reader = &decoding->reader;
    uint8_t mode = read_u8(reader), tag = 0;
    if (mode > TAGS_EACH) return false;
    for (uint32_t i = 0; i < decoding->rows_count; i++) {
        if (i == 0 || mode == TAGS_EACH) tag = read_u8(reader);
        codec->tags[i] = tag & ~TAG_CLOSED;
        codec->closed[i] = (tag & TAG_CLOSED) != 0;
        if (codec->tags[i] >= TAG_SHAPES + codec->shapes_count) return false;
    }
    uint64_t stamp = 0;
    for (uint32_t i = 0; i < decoding->rows_count; i++)
        if (codec->tags[i] == TAG_DELETE) codec->stamps[i] = (int64_t)(stamp += (uint64_t)read_varint_signed(reader));
    return reader_ok(reader);
}

/* Counts the values of each column that occurs, and gives each its stretch of codec->values. */
static void lay_out_columns(struct block_codec *codec, struct decoding *decoding)
{
    uint32_t counts[COLUMNS_MAX + 1] = {0}, total = 0;
    for (uint32_t i = 0; i < decoding->rows_count; i++) {
        if (codec->tags[i] < TAG_SHAPES) continue;
        const struct shape *shape = &codec->shapes[codec->tags[i] - TAG_SHAPES];
        for (uint32_t c = 0; c < shape->cells_count; c++)
            counts[shape->columns[c]]++;
    }
    codec->columns_count = 0;
    for (unsigned column = 1; column <= COLUMNS_MAX; column++) {
        if (counts[column] == 0) continue;
        codec->columns[codec->columns_count] = (uint16_t)column;
        codec->first_value[codec->columns_count++] = total;
        total += counts[column];
    }
    decoding->pieces_count = total;
    if (total > codec->pieces_capacity) {
        codec->pieces_capacity = total;
        codec->pieces = mem_realloc(codec->pieces, total * sizeof *codec->pieces);
        codec->values = mem_realloc(codec->values, total * sizeof *codec->values);
    }
}

/* Lengths, then values. */
static void read_values(struct reader *reader, struct bytes *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        values[i].size = read_varint(reader);
    for (uint32_t i = 0; i < count; i++)
        values[i] = read_bytes(reader, values[i].size);
}

static void read_numbers(struct reader *reader, struct bytes *values, uint32_t count, uint8_t *numbers)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < count; i++, numbers += 8) {
        number += (uint64_t)read_varint_signed(reader);
        for (unsigned b = 0; b < 8; b++)
            numbers[b] = (uint8_t)(number >> (56 - 8 * b));
        values[i] = bytes_of(numbers, 8);
    }
}

static bool read_words(struct reader *reader, struct bytes *values, uint32_t count)
{
    struct bytes words[WORDS_MAX];
    uint8_t words_count = read_u8(reader);
    read_values(reader, words, words_count);
    struct bytes index = read_bytes(reader, count);
    if (!reader_ok(reader)) return false;
    for (uint32_t i = 0; i < count; i++) {
        if (index.data[i] >= words_count) return false;
        values[i] = words[index.data[i]];
    }
    return true;
}

static bool read_column(struct reader *reader, struct bytes *values, uint32_t count, uint8_t *numbers)
{
    switch (read_u8(reader)) {
    case COLUMN_BYTES:
        read_values(reader, values, count);
        break;
    case COLUMN_NUMBERS:
        read_numbers(reader, values, count, numbers);
        break;
    case COLUMN_FIXED: {
        uint64_t size = read_varint(reader);
        for (uint32_t i = 0; i < count; i++)
            values[i] = read_bytes(reader, size);
        break;
    }
    case COLUMN_WORDS:
        return read_words(reader, values, count);
    case COLUMN_SAME:
        read_values(reader, values, 1);
        for (uint32_t i = 1; i < count; i++)
            values[i] = values[0];
        break;
    default:
        return false;
    }
    return reader_ok(reader);
}

/* Puts a shaped row together from its columns, into codec->row. */
static void rebuild_row(struct block_codec *codec, const struct shape *shape)
{
    row_begin_create(&codec->row);
    for (uint32_t c = 0, at = 0; c < shape->cells_count; c++) {
        while (codec->columns[at] != shape->columns[c])
            at++;
        row_put(&codec->row, shape->columns[c], codec->values[codec->next_value[at]++]);
    }
}

static bool rebuild_rows(struct block_codec *codec, struct decoding *decoding)
{
    struct reader *reader = &decoding->reader;
    for (uint32_t i = 0; i < decoding->rows_count; i++)
        if (codec->tags[i] == TAG_OPAQUE) codec->stamps[i] = (int64_t)read_varint(reader); /* its size */
    memcpy(codec->next_value, codec->first_value, sizeof codec->next_value);
    for (uint32_t i = 0; i < decoding->rows_count; i++) {
        size_t size = 0;
        struct bytes bytes = {NULL, 0};
        if (codec->tags[i] == TAG_OPAQUE) {
            bytes = read_bytes(reader, (uint64_t)codec->stamps[i]);
            if (!reader_ok(reader) || row_decode(bytes, &codec->row) != STATUS_OK) return false;
            size = bytes.size;
        } else if (codec->tags[i] != TAG_NOTHING) {
            if (codec->tags[i] == TAG_DELETE)
                row_make_delete(&codec->row, codec->stamps[i]);
            else
                rebuild_row(codec, &codec->shapes[codec->tags[i] - TAG_SHAPES]);
            size = row_encoded_size(&codec->row);
        }
        if (codec->decoded.size + size > BLOCK_TARGET_BYTES + BLOCK_ROW_BYTES_MAX) return false;
        if (codec->tags[i] == TAG_OPAQUE)
            buffer_append(&codec->decoded, bytes.data, bytes.size);
        else if (size > 0)
            row_encode_buffer(&codec->row, &codec->decoded);
        codec->ends[i] = (uint32_t)codec->decoded.size;
    }
    return reader_done(reader);
}

static struct block *copy_out(const struct block_codec *codec, const struct decoding *decoding)
{
    uint32_t rows = decoding->rows_count, segments = decoding->segments_count;
    size_t bytes = sizeof(struct block) + rows * (sizeof(uint64_t) + sizeof(uint32_t) + 1) +
                   (segments + 1) * sizeof(struct block_segment) + codec->decoded.size;
    struct block *block = mem_alloc(bytes);
    *block = (struct block){.rows_count = rows, .segments_count = segments, .bytes = (uint32_t)bytes};
    list_init(&block->link);
    block->ids = (uint64_t *)(block + 1);
    block->segments = (struct block_segment *)(block->ids + rows);
    block->ends = (uint32_t *)(block->segments + segments + 1);
    block->closed = (uint8_t *)(block->ends + rows);
    block->rows = block->closed + rows;
    memcpy(block->ids, codec->ids, rows * sizeof *block->ids);
    memcpy(block->segments, codec->segments, (segments + 1) * sizeof *block->segments);
    memcpy(block->ends, codec->ends, rows * sizeof *block->ends);
    memcpy(block->closed, codec->closed, rows);
    if (codec->decoded.size > 0) memcpy(block->rows, codec->decoded.data, codec->decoded.size);
    return block;
}

enum status block_decode(struct block_codec *codec, struct bytes payload, struct block **out)
{
    struct decoding decoding = {.reader = reader_of(payload)};
    if (payload.size > BLOCK_RAW_BYTES_MAX || read_u8(&decoding.reader) != PAYLOAD_VERSION) return STATUS_CORRUPT;
    if (!read_ids(codec, &decoding) || !read_shapes(codec, &decoding.reader) || !read_tags(codec, &decoding))
        return STATUS_CORRUPT;
    lay_out_columns(codec, &decoding);
    buffer_clear(&codec->decoded);
    /* Reserved at once, so that values may point into it. */
    buffer_clear(&codec->numbers);
    uint8_t *numbers = buffer_reserve(&codec->numbers, (size_t)decoding.pieces_count * 8);
    for (uint32_t c = 0; c < codec->columns_count; c++) {
        uint32_t end = c + 1 < codec->columns_count ? codec->first_value[c + 1] : decoding.pieces_count;
        uint32_t first = codec->first_value[c];
        if (!read_column(&decoding.reader, codec->values + first, end - first, numbers + (size_t)first * 8))
            return STATUS_CORRUPT;
    }
    if (!rebuild_rows(codec, &decoding)) return STATUS_CORRUPT;
    *out = copy_out(codec, &decoding);
    return STATUS_OK;
}
