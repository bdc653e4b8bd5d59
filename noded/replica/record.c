#include "noded/replica/record.h"

#include "common/base/check.h"

struct bytes record_encode_head(const struct record *record, uint8_t out[RECORD_HEAD_BYTES_MAX])
{
    struct writer writer = writer_of(out, RECORD_HEAD_BYTES_MAX);
    write_u64(&writer, record->range.value);
    if (record->kind != RECORD_STATE) {
        write_varint(&writer, record->table.value);
        write_sized(&writer, record->partition);
    }
    if (record->kind == RECORD_ROW) write_u64(&writer, record->lo);
    if (record->kind == RECORD_SPAN) {
        write_u64(&writer, record->lo);
        write_u64(&writer, record->hi);
        write_varint_signed(&writer, record->stamp);
    }
    CHECK(writer_ok(&writer));
    return writer_bytes(&writer);
}

enum status record_decode(uint8_t kind, struct bytes payload, struct record *out)
{
    if (kind < RECORD_ROW || kind > RECORD_STATE) return STATUS_CORRUPT;
    struct reader reader = reader_of(payload);
    struct record record = {.kind = (enum record_kind)kind, .range = {read_u64(&reader)}, .hi = UINT64_MAX};
    if (kind != RECORD_STATE) {
        uint64_t table = read_varint(&reader);
        if (table > UINT32_MAX) return STATUS_CORRUPT;
        record.table.value = (uint32_t)table;
        record.partition = read_sized(&reader);
        if (record.partition.size == 0 || record.partition.size > KEY_BYTES_MAX) return STATUS_CORRUPT;
    }
    if (kind == RECORD_ROW) record.lo = record.hi = read_u64(&reader);
    if (kind == RECORD_SPAN) {
        record.lo = read_u64(&reader);
        record.hi = read_u64(&reader);
        record.stamp = read_varint_signed(&reader);
        if (record.lo > record.hi) return STATUS_CORRUPT;
    }
    record.body = read_bytes(&reader, reader_left(&reader));
    if (!reader_ok(&reader) || (record.body.size == 0) != (kind == RECORD_SPAN)) return STATUS_CORRUPT;
    *out = record;
    return STATUS_OK;
}

void closed_encode(const uint64_t *ids, uint32_t ids_count, const struct span_set *spans, struct buffer *out)
{
    buffer_append_varint(out, ids_count);
    if (ids_count) buffer_append(out, ids, ids_count * sizeof *ids);
    span_set_encode(spans, out);
}

enum status closed_decode(struct bytes body, struct closed *out)
{
    struct reader reader = reader_of(body);
    struct closed closed = {0};
    uint64_t count = read_varint(&reader);
    if (count > reader_left(&reader) / sizeof(uint64_t)) return STATUS_CORRUPT;
    closed.ids_count = (uint32_t)count;
    closed.ids = read_bytes(&reader, count * sizeof(uint64_t)).data;
    if (span_set_decode(&reader, &closed.spans) != STATUS_OK || !reader_done(&reader)) {
        closed_free(&closed);
        return STATUS_CORRUPT;
    }
    *out = closed;
    return STATUS_OK;
}

uint64_t closed_id(const struct closed *closed, uint32_t i)
{
    CHECK(i < closed->ids_count);
    uint64_t id;
    memcpy(&id, closed->ids + i * sizeof id, sizeof id);
    return id;
}

void closed_free(struct closed *closed)
{
    span_set_free(&closed->spans);
}
