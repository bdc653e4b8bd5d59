#include "noded/replica/copy_position.h"

#include "common/base/limits.h"

enum { AT_BEGINNING, AT_PARTITION, AT_END };

static int stage(const struct copy_position *position)
{
    return position->done ? AT_END : position->partition.size > 0 ? AT_PARTITION : AT_BEGINNING;
}

void copy_position_set(struct copy_position *position, struct bytes partition, uint64_t hi)
{
    buffer_clear(&position->partition);
    buffer_append(&position->partition, partition.data, partition.size);
    position->hi = hi;
    position->done = false;
}

void copy_position_set_done(struct copy_position *position)
{
    buffer_clear(&position->partition);
    position->hi = 0;
    position->done = true;
}

void copy_position_assign(struct copy_position *position, const struct copy_position *from)
{
    copy_position_set(position, buffer_bytes(&from->partition), from->hi);
    position->done = from->done;
}

void copy_position_reset(struct copy_position *position)
{
    copy_position_set(position, bytes_of(NULL, 0), 0);
}

void copy_position_free(struct copy_position *position)
{
    buffer_free(&position->partition);
}

int copy_position_compare(const struct copy_position *a, const struct copy_position *b)
{
    if (stage(a) != stage(b) || stage(a) != AT_PARTITION) return stage(a) - stage(b);
    int order = bytes_compare(buffer_bytes(&a->partition), buffer_bytes(&b->partition));
    if (order != 0) return order;
    return a->hi > b->hi ? -1 : a->hi < b->hi;
}

void copy_position_encode(const struct copy_position *position, struct buffer *out)
{
    uint8_t at = (uint8_t)stage(position);
    buffer_append(out, &at, 1);
    if (at != AT_PARTITION) return;
    buffer_append_varint(out, position->partition.size);
    buffer_append(out, position->partition.data, position->partition.size);
    buffer_append_varint(out, position->hi);
}

void copy_position_decode(struct reader *reader, struct copy_position *out)
{
    uint8_t at = read_u8(reader);
    *out = (struct copy_position){.done = at == AT_END};
    if (at > AT_END) reader_fail(reader);
    if (at != AT_PARTITION) return;
    struct bytes partition = read_sized(reader);
    uint64_t hi = read_varint(reader);
    if (partition.size == 0 || partition.size > KEY_BYTES_MAX) reader_fail(reader);
    if (reader_ok(reader)) copy_position_set(out, partition, hi);
}
