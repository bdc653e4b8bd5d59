#include "common/model/page.h"

#include "common/base/check.h"
#include "common/model/row.h"
#include "common/model/wire.h"

enum { PAGE_FORMAT_VERSION = 1 };
enum { FLAG_OLDEST_FIRST = 1, FLAG_RAW = 2, FLAG_MORE = 4, FLAGS_KNOWN = 7 };
enum { FLAGS_AT = 1, THROUGH_AT = 2, HEAD_BYTES = 10 };
/* Kinds of entries. Deletes stand in runs of equal openness. */
enum { ENTRY_ROW = 1, ENTRY_CLOSED_RUN = 2, ENTRY_OPEN_RUN = 3, ENTRY_SPAN = 4 };

void page_begin(struct page_builder *builder, enum page_direction direction, bool raw)
{
    struct buffer buffer = builder->buffer;
    *builder = (struct page_builder){.buffer = buffer, .start = buffer.size, .direction = direction, .raw = raw};
    uint8_t flags = (direction == PAGE_OLDEST_FIRST ? FLAG_OLDEST_FIRST : 0) | (raw ? FLAG_RAW : 0);
    append_u8(&builder->buffer, PAGE_FORMAT_VERSION);
    append_u8(&builder->buffer, flags);
    append_u64(&builder->buffer, 0);
}

size_t page_size(const struct page_builder *builder)
{
    return builder->buffer.size - builder->start;
}

static bool follows(enum page_direction direction, uint64_t last_id, uint64_t id)
{
    return direction == PAGE_OLDEST_FIRST ? id > last_id : id < last_id;
}

static void take_id(struct page_builder *builder, uint64_t id)
{
    CHECK(!builder->any || follows(builder->direction, builder->last_id, id));
    builder->any = true;
    builder->last_id = id;
}

static void end_run(struct page_builder *builder)
{
    if (builder->run_count_at == 0) return;
    memcpy(builder->buffer.data + builder->run_count_at, &builder->run_count, 4);
    builder->run_count_at = 0;
}

void page_add_row(struct page_builder *builder, uint64_t id, struct bytes row)
{
    end_run(builder);
    take_id(builder, id);
    append_u8(&builder->buffer, ENTRY_ROW);
    append_u64(&builder->buffer, id);
    buffer_append_varint(&builder->buffer, row.size);
    buffer_append(&builder->buffer, row.data, row.size);
    builder->rows_count++;
}

void page_add_delete(struct page_builder *builder, uint64_t id, int64_t stamp, bool open)
{
    CHECK(builder->raw);
    uint64_t last_id = builder->last_id;
    take_id(builder, id);
    builder->deletes_count++;
    if (builder->run_count_at != 0 && builder->run_open == open) {
        buffer_append_varint(&builder->buffer, id > last_id ? id - last_id : last_id - id);
        append_signed(&builder->buffer, (int64_t)((uint64_t)stamp - (uint64_t)builder->run_stamp));
    } else {
        uint32_t no_count = 0;
        end_run(builder);
        append_u8(&builder->buffer, open ? ENTRY_OPEN_RUN : ENTRY_CLOSED_RUN);
        builder->run_count_at = builder->buffer.size;
        builder->run_count = 0;
        builder->run_open = open;
        buffer_append(&builder->buffer, &no_count, 4);
        append_u64(&builder->buffer, id);
        append_signed(&builder->buffer, stamp);
    }
    builder->run_stamp = stamp;
    builder->run_count++;
}

void page_add_span(struct page_builder *builder, const struct span *span)
{
    CHECK(builder->raw && span->lo <= span->hi);
    end_run(builder);
    append_u8(&builder->buffer, ENTRY_SPAN);
    append_u64(&builder->buffer, span->lo);
    append_u64(&builder->buffer, span->hi);
    append_signed(&builder->buffer, span->stamp);
    append_u8(&builder->buffer, span->open);
}

struct bytes page_finish(struct page_builder *builder, uint64_t through, bool more)
{
    end_run(builder);
    uint8_t *head = builder->buffer.data + builder->start;
    if (more) head[FLAGS_AT] |= FLAG_MORE;
    memcpy(head + THROUGH_AT, &through, 8);
    return bytes_of(head, page_size(builder));
}

void page_free(struct page_builder *builder)
{
    buffer_free(&builder->buffer);
    *builder = (struct page_builder){0};
}

enum status page_open(struct bytes page, struct page_reader *out)
{
    struct page_reader reader = {.reader = reader_of(page)};
    uint8_t version = read_u8(&reader.reader), flags = read_u8(&reader.reader);
    reader.through = read_u64(&reader.reader);
    if (!reader_ok(&reader.reader) || version != PAGE_FORMAT_VERSION || (flags & ~FLAGS_KNOWN))
        return STATUS_BAD_REQUEST;
    reader.direction = flags & FLAG_OLDEST_FIRST ? PAGE_OLDEST_FIRST : PAGE_NEWEST_FIRST;
    reader.raw = flags & FLAG_RAW;
    reader.more = flags & FLAG_MORE;
    *out = reader;
    return STATUS_OK;
}

/* True when id may stand here. */
static bool accept_id(struct page_reader *reader, uint64_t id)
{
    if (reader->any && !follows(reader->direction, reader->last_id, id)) return false;
    reader->any = true;
    reader->last_id = id;
    return true;
}

static bool next_row(struct page_reader *reader, struct page_entry *entry)
{
    entry->kind = PAGE_ROW;
    entry->id = read_u64(&reader->reader);
    entry->row = read_sized(&reader->reader);
    return reader_ok(&reader->reader) && accept_id(reader, entry->id);
}

/* The next delete of the run that is open; the first one has its id and stamp whole. */
static bool next_delete(struct page_reader *reader, struct page_entry *entry)
{
    uint64_t id;
    if (reader->run_first) {
        id = read_u64(&reader->reader);
    } else {
        uint64_t gap = read_varint(&reader->reader);
        id = reader->direction == PAGE_OLDEST_FIRST ? reader->last_id + gap : reader->last_id - gap;
    }
    int64_t delta = read_varint_signed(&reader->reader);
    reader->run_stamp = (int64_t)((reader->run_first ? 0 : (uint64_t)reader->run_stamp) + (uint64_t)delta);
    reader->run_first = false;
    reader->run_left--;
    *entry = (struct page_entry){.kind = PAGE_DELETE, .id = id, .stamp = reader->run_stamp, .open = reader->run_open};
    return reader_ok(&reader->reader) && accept_id(reader, id);
}

static bool next_span(struct page_reader *reader, struct page_entry *entry)
{
    entry->kind = PAGE_SPAN;
    entry->span.lo = read_u64(&reader->reader);
    entry->span.hi = read_u64(&reader->reader);
    entry->span.stamp = read_varint_signed(&reader->reader);
    uint8_t open = read_u8(&reader->reader);
    entry->span.open = open;
    return reader_ok(&reader->reader) && open <= 1 && entry->span.lo <= entry->span.hi;
}

static bool next_entry(struct page_reader *reader, struct page_entry *entry)
{
    if (reader->run_left > 0) return next_delete(reader, entry);
    uint8_t kind = read_u8(&reader->reader);
    if (kind == ENTRY_ROW) return next_row(reader, entry);
    if (!reader->raw) return false;
    if (kind == ENTRY_SPAN) return next_span(reader, entry);
    if (kind != ENTRY_CLOSED_RUN && kind != ENTRY_OPEN_RUN) return false;
    reader->run_left = read_u32(&reader->reader);
    reader->run_first = true;
    reader->run_open = kind == ENTRY_OPEN_RUN;
    return reader->run_left > 0 && next_delete(reader, entry);
}

bool page_next(struct page_reader *reader, struct page_entry *entry)
{
    if (reader->status != STATUS_OK) return false;
    if (reader->run_left == 0 && reader_left(&reader->reader) == 0) return false;
    *entry = (struct page_entry){0};
    if (next_entry(reader, entry)) return true;
    reader->status = STATUS_BAD_REQUEST;
    return false;
}

/* A visible page has visible rows; in a raw one deletes stand in runs, not as rows. */
static bool row_belongs(const struct page_reader *reader, struct bytes bytes)
{
    struct row row;
    if (row_decode(bytes, &row) != STATUS_OK) return false;
    return reader->raw ? !row.is_deleted : row_is_visible(&row);
}

enum status page_check(struct bytes page)
{
    struct page_reader reader;
    struct page_entry entry;
    enum status status = page_open(page, &reader);
    if (status != STATUS_OK) return status;
    while (page_next(&reader, &entry))
        if (entry.kind == PAGE_ROW && !row_belongs(&reader, entry.row)) return STATUS_BAD_REQUEST;
    return reader.status;
}

bool page_is_answer(struct bytes page, enum page_direction direction, uint64_t lo, uint64_t hi, uint32_t rows_max)
{
    struct page_reader reader;
    struct page_entry entry;
    uint32_t rows = 0;
    if (page_open(page, &reader) != STATUS_OK || reader.raw || reader.direction != direction) return false;
    while (page_next(&reader, &entry))
        if (entry.id < lo || entry.id > hi || ++rows > rows_max) return false;
    return reader.status == STATUS_OK;
}

void page_spans(struct bytes page, struct span_set *set)
{
    struct page_reader reader;
    struct page_entry entry;
    CHECK(page_open(page, &reader) == STATUS_OK);
    while (page_next(&reader, &entry))
        if (entry.kind == PAGE_SPAN) span_set_add(set, entry.span);
    CHECK(reader.status == STATUS_OK);
}

/* What is folded in, so that a row can never stand for a delete. */
enum { DIGEST_ROW = 1, DIGEST_DELETE, DIGEST_SPAN, DIGEST_END };

static void fold(struct digest *digest, struct digest item)
{
    digest->low = hash_u64(digest->low ^ item.low) + item.high;
    digest->high = hash_u64(digest->high ^ item.high) + item.low;
}

static void fold_numbers(struct digest *digest, uint64_t kind, uint64_t a, uint64_t b)
{
    uint64_t numbers[3] = {kind, a, b};
    fold(digest, hash128(numbers, sizeof numbers, 0));
}

void read_digest_begin(struct digest *digest)
{
    *digest = (struct digest){1, 1};
}

void read_digest_row(struct digest *digest, uint64_t id, struct bytes row)
{
    fold(digest, hash128(row.data, row.size, hash_u64(id) ^ DIGEST_ROW));
}

void read_digest_open_delete(struct digest *digest, uint64_t id)
{
    if (!PLANT(digest_ignores_deletes)) fold_numbers(digest, DIGEST_DELETE, id, 0);
}

void read_digest_open_span(struct digest *digest, uint64_t lo, uint64_t hi)
{
    if (!PLANT(digest_ignores_deletes)) fold_numbers(digest, DIGEST_SPAN, lo, hi);
}

void read_digest_finish(struct digest *digest, uint64_t through, bool more)
{
    fold_numbers(digest, DIGEST_END, through, more);
}
