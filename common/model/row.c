#include "common/model/row.h"

#include "common/base/check.h"
#include "common/model/snowflake.h"
#include "common/model/wire.h"

enum { ROW_FORMAT_VERSION = 1 };

/* Byte 1 of a row. Bits that are not listed are refused. */
enum {
    ROW_HAS_CREATE = 0x01,
    ROW_IS_DELETED = 0x02,
    ROW_HAS_DIGEST = 0x04, /* an edited create: the create's own bytes are no longer whole */
    ROW_MARKER = 0x08,     /* reserved: ordinary tables, the row exists without cells */
    ROW_KNOWN_FLAGS = ROW_HAS_CREATE | ROW_IS_DELETED | ROW_HAS_DIGEST,
};

/* The low bits of a cell's head. */
enum {
    CELL_EDIT = 0x01,
    CELL_DELETED = 0x02,
    CELL_EXPIRY = 0x04, /* reserved: time to live */
    CELL_PATH = 0x08,   /* reserved: element of a collection */
    CELL_STATIC = 0x10, /* reserved: belongs to the partition */
    CELL_FLAG_BITS = 5,
    CELL_KNOWN_FLAGS = CELL_EDIT | CELL_DELETED,
};

/* 0 stands for "no create", so no digest is 0. */
static uint64_t digest_of_create(struct bytes bytes)
{
    uint64_t digest = hash64(bytes.data, bytes.size, 0);
    return digest ? digest : 1;
}

/* Reads the cell after column `previous`; false when there is none or it is malformed. */
static bool decode_cell(struct reader *reader, uint16_t previous, int64_t *last_stamp, struct cell *out)
{
    uint64_t head = read_varint(reader);
    uint64_t gap = head >> CELL_FLAG_BITS;
    unsigned flags = head & ((1 << CELL_FLAG_BITS) - 1);
    if (gap >= COLUMNS_MAX || previous + gap + 1 > COLUMNS_MAX || (flags & ~(unsigned)CELL_KNOWN_FLAGS) ||
        flags == CELL_DELETED)
        return false;
    *out = (struct cell){
        .column = (uint16_t)(previous + gap + 1), .edit = flags & CELL_EDIT, .deleted = flags & CELL_DELETED};
    if (out->edit) {
        *last_stamp = (int64_t)((uint64_t)*last_stamp + (uint64_t)read_varint_signed(reader));
        out->timestamp = *last_stamp;
    }
    if (!out->deleted) out->value = read_sized(reader);
    return reader_ok(reader);
}

static enum status decode_delete(struct reader *reader, struct row *out)
{
    int64_t stamp = read_varint_signed(reader);
    if (!reader_done(reader)) return STATUS_BAD_REQUEST;
    row_make_delete(out, stamp);
    return STATUS_OK;
}

enum status row_decode(struct bytes bytes, struct row *out)
{
    struct reader reader = reader_of(bytes);
    uint8_t version = read_u8(&reader), flags = read_u8(&reader);
    if (!reader_ok(&reader) || version != ROW_FORMAT_VERSION || (flags & ~ROW_KNOWN_FLAGS)) return STATUS_BAD_REQUEST;
    if (flags == ROW_IS_DELETED) return decode_delete(&reader, out);
    if (flags & ROW_IS_DELETED) return STATUS_BAD_REQUEST;

    bool has_create = flags & ROW_HAS_CREATE, has_digest = flags & ROW_HAS_DIGEST;
    uint64_t digest = has_digest ? read_u64(&reader) : 0;
    unsigned count = 0, edits = 0;
    int64_t last_stamp = 0;
    uint16_t previous = 0;
    while (reader_left(&reader) > 0) {
        struct cell *cell = &out->cells[count];
        if (!decode_cell(&reader, previous, &last_stamp, cell)) return STATUS_BAD_REQUEST;
        if (!cell->edit && !has_create) return STATUS_BAD_REQUEST;
        previous = cell->column;
        edits += cell->edit;
        count++;
    }
    /* A create carries its digest exactly when edits have taken cells away; a row without create has edits. */
    bool expects_digest = has_create && edits > 0;
    if (!reader_done(&reader) || has_digest != expects_digest || (has_digest && digest == 0)) return STATUS_BAD_REQUEST;
    if (!has_create && edits == 0) return STATUS_BAD_REQUEST;
    out->has_create = has_create;
    out->is_deleted = false;
    out->deleted_at = 0;
    out->cells_count = count;
    out->create_digest = !has_create ? 0 : has_digest ? digest : digest_of_create(bytes);
    return STATUS_OK;
}

static bool row_has_edits(const struct row *row)
{
    for (unsigned i = 0; i < row->cells_count; i++)
        if (row->cells[i].edit) return true;
    return false;
}

static void encode_cell(const struct cell *cell, uint16_t previous, int64_t *last_stamp, struct writer *out)
{
    CHECK(cell->column > previous && cell->column <= COLUMNS_MAX);
    CHECK(cell->edit || (!cell->deleted && cell->timestamp == 0));
    unsigned flags = (cell->edit ? CELL_EDIT : 0) | (cell->deleted ? CELL_DELETED : 0);
    write_varint(out, (uint64_t)(cell->column - previous - 1) << CELL_FLAG_BITS | flags);
    if (cell->edit) {
        write_varint(out, zigzag((uint64_t)cell->timestamp - (uint64_t)*last_stamp));
        *last_stamp = cell->timestamp;
    }
    if (!cell->deleted) write_sized(out, cell->value);
}

void row_encode(const struct row *row, struct writer *out)
{
    CHECK(!row_is_empty(row) && row->cells_count <= COLUMNS_MAX);
    bool has_digest = row->has_create && row_has_edits(row);
    write_u8(out, ROW_FORMAT_VERSION);
    if (row->is_deleted) {
        CHECK(!row->has_create && row->cells_count == 0);
        write_u8(out, ROW_IS_DELETED);
        write_varint(out, zigzag((uint64_t)row->deleted_at));
        return;
    }
    write_u8(out, (row->has_create ? ROW_HAS_CREATE : 0) | (has_digest ? ROW_HAS_DIGEST : 0));
    if (has_digest) {
        CHECK(row->create_digest != 0);
        write_u64(out, row->create_digest);
    }
    int64_t last_stamp = 0;
    uint16_t previous = 0;
    for (unsigned i = 0; i < row->cells_count; i++) {
        CHECK(row->cells[i].edit || row->has_create);
        encode_cell(&row->cells[i], previous, &last_stamp, out);
        previous = row->cells[i].column;
    }
}

size_t row_encoded_size(const struct row *row)
{
    if (row->is_deleted) return 2 + varint_size(zigzag((uint64_t)row->deleted_at));
    size_t size = 2 + (row->has_create && row_has_edits(row) ? 8 : 0);
    uint64_t last_stamp = 0;
    uint16_t previous = 0;
    for (unsigned i = 0; i < row->cells_count; i++) {
        const struct cell *cell = &row->cells[i];
        size += varint_size((uint64_t)(cell->column - previous - 1) << CELL_FLAG_BITS);
        previous = cell->column;
        if (cell->edit) {
            size += varint_size(zigzag((uint64_t)cell->timestamp - last_stamp));
            last_stamp = (uint64_t)cell->timestamp;
        }
        if (!cell->deleted) size += varint_size(cell->value.size) + cell->value.size;
    }
    return size;
}

struct bytes row_encode_buffer(const struct row *row, struct buffer *out)
{
    size_t size = row_encoded_size(row);
    struct writer writer = writer_of(buffer_reserve(out, size), size);
    row_encode(row, &writer);
    CHECK(writer_ok(&writer) && writer_size(&writer) == size);
    out->size += size;
    return writer_bytes(&writer);
}

bool row_bytes_is_delete(struct bytes bytes)
{
    return bytes.size > 2 && bytes.data[0] == ROW_FORMAT_VERSION && bytes.data[1] == ROW_IS_DELETED;
}

bool row_bytes_is_visible(struct bytes bytes)
{
    return bytes.size >= 2 && bytes.data[0] == ROW_FORMAT_VERSION && (bytes.data[1] & ROW_HAS_CREATE) &&
           !(bytes.data[1] & ROW_IS_DELETED);
}

struct digest row_digest(struct bytes key, struct bytes bytes)
{
    return hash128(bytes.data, bytes.size, hash64(key.data, key.size, 0));
}

/* Everything but the cells, which hold nothing before cells_count. */
static void row_clear(struct row *row)
{
    row->has_create = row->is_deleted = false;
    row->cells_count = 0;
    row->create_digest = 0;
    row->deleted_at = 0;
}

void row_begin_create(struct row *row)
{
    row_clear(row);
    row->has_create = true;
}

void row_begin_edit(struct row *row)
{
    row_clear(row);
}

void row_make_delete(struct row *row, int64_t stamp)
{
    row_clear(row);
    row->is_deleted = true;
    row->deleted_at = stamp;
}

static void insert_cell(struct row *row, struct cell cell)
{
    CHECK(cell.column >= 1 && cell.column <= COLUMNS_MAX && !row->is_deleted);
    unsigned at = row->cells_count;
    while (at > 0 && row->cells[at - 1].column > cell.column) {
        row->cells[at] = row->cells[at - 1];
        at--;
    }
    CHECK(at == 0 || row->cells[at - 1].column < cell.column);
    row->cells[at] = cell;
    row->cells_count++;
}

void row_put(struct row *row, uint16_t column, struct bytes value)
{
    CHECK(row->has_create);
    insert_cell(row, (struct cell){.column = column, .value = value});
}

void row_put_edit(struct row *row, uint16_t column, int64_t timestamp, struct bytes value)
{
    insert_cell(row, (struct cell){.column = column, .edit = true, .timestamp = timestamp, .value = value});
}

void row_put_clear(struct row *row, uint16_t column, int64_t timestamp)
{
    insert_cell(row, (struct cell){.column = column, .edit = true, .deleted = true, .timestamp = timestamp});
}

const struct cell *row_find(const struct row *row, uint16_t column)
{
    for (unsigned i = 0; i < row->cells_count && row->cells[i].column <= column; i++)
        if (row->cells[i].column == column) return &row->cells[i];
    return NULL;
}

struct bytes row_value(const struct row *row, uint16_t column)
{
    const struct cell *cell = row_find(row, column);
    return cell && !cell->deleted ? cell->value : bytes_of(NULL, 0);
}

int64_t cell_timestamp(const struct cell *cell, uint64_t id)
{
    return cell->edit ? cell->timestamp : snowflake_unix_us(id);
}

int64_t row_newest_edit(const struct row *row)
{
    int64_t newest = INT64_MIN;
    for (unsigned i = 0; i < row->cells_count; i++)
        if (row->cells[i].edit && row->cells[i].timestamp > newest) newest = row->cells[i].timestamp;
    return newest;
}

static enum status check_values(const struct table *table, const struct row *row)
{
    for (unsigned i = 0; i < row->cells_count; i++) {
        const struct cell *cell = &row->cells[i];
        const struct column *column = table_column(table, cell->column);
        if (cell->deleted) continue;
        if (column && !value_is_valid(column->type, cell->value)) return STATUS_BAD_REQUEST;
        size_t most = !column                        ? CELL_BYTES_MAX_UNKNOWN
                      : column->role == ROLE_CONTENT ? CONTENT_BYTES_MAX
                                                     : CELL_BYTES_MAX;
        if (cell->value.size > most) return STATUS_TOO_BIG;
    }
    return row_encoded_size(row) > ROW_BYTES_MAX ? STATUS_TOO_BIG : STATUS_OK;
}

static const struct cell *author_of(const struct table *table, const struct row *row)
{
    const struct column *author = table_column_with_role(table, ROLE_AUTHOR);
    CHECK(author); /* messages tables have one: table_check */
    return row_find(row, author->id);
}

enum status row_check_create(const struct table *table, const struct row *row)
{
    if (!row_is_visible(row) || row_has_edits(row) || !author_of(table, row)) return STATUS_BAD_REQUEST;
    return check_values(table, row);
}

enum status row_check_edit(const struct table *table, const struct row *row)
{
    if (row->has_create || row->is_deleted || row->cells_count == 0 || author_of(table, row)) return STATUS_BAD_REQUEST;
    return check_values(table, row);
}
