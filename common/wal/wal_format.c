/* wal_format: see wal_format.h. */
#include "common/wal/wal_format.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/runtime/file_header.h"

enum {
    SEGMENT_HEADER_BYTES = 80,
    SEGMENT_COPY_OFFSET = 2048,
    GROUP_MAGIC = 0x31474c54, /* "TLG1" */
};

_Static_assert(SEGMENT_HEADER_BYTES <= SEGMENT_COPY_OFFSET, "the copies do not overlap");
_Static_assert(SEGMENT_COPY_OFFSET + SEGMENT_HEADER_BYTES <= WAL_BLOCK_BYTES, "both copies lie in block 0");

void wal_segment_encode(struct wal_segment_header *header, uint8_t block[WAL_BLOCK_BYTES])
{
    memset(block, 0, WAL_BLOCK_BYTES);
    struct file_header file = {.kind = FILE_LOG,
        .major = WAL_FORMAT_MAJOR,
        .minor = WAL_FORMAT_MINOR,
        .cluster = header->cluster,
        .file_id = (uint64_t)header->log << 32 | header->segment};
    file_header_encode(&file, block);
    struct writer writer = writer_of(block + FILE_HEADER_BYTES, SEGMENT_HEADER_BYTES - FILE_HEADER_BYTES);
    write_u64(&writer, header->salt);
    write_u32(&writer, 0);
    write_u32(&writer, crc32c(0, block, SEGMENT_HEADER_BYTES - 4));
    CHECK(writer_ok(&writer) && writer.at == writer.end);
    memcpy(block + SEGMENT_COPY_OFFSET, block, SEGMENT_HEADER_BYTES);
    header->seed = crc32c(0, block, SEGMENT_HEADER_BYTES);
}

static enum status decode_copy(
    struct bytes copy, const struct uuid *cluster, struct wal_segment_header *out, char *why, size_t why_size)
{
    struct file_header_expected expected = {FILE_LOG, WAL_FORMAT_MAJOR, cluster};
    struct file_header file;
    enum status status = file_header_decode(copy, &expected, &file, why, why_size);
    if (status != STATUS_OK) return status;
    struct reader reader = reader_of(copy);
    read_bytes(&reader, FILE_HEADER_BYTES);
    uint64_t salt = read_u64(&reader);
    read_u32(&reader);
    uint32_t crc = read_u32(&reader);
    if (!reader_ok(&reader) || crc != crc32c(0, copy.data, SEGMENT_HEADER_BYTES - 4)) {
        snprintf(why, why_size, "has a damaged segment header");
        return STATUS_CORRUPT;
    }
    *out = (struct wal_segment_header){file.cluster, (uint8_t)(file.file_id >> 32), (uint32_t)file.file_id, salt,
        crc32c(0, copy.data, SEGMENT_HEADER_BYTES)};
    return STATUS_OK;
}

enum status wal_segment_decode(
    struct bytes block, const struct uuid *cluster, struct wal_segment_header *out, char *why, size_t why_size)
{
    char unused[1];
    if (!why) why = unused, why_size = sizeof unused;
    enum status status =
        decode_copy(bytes_of(block.data, block.size < SEGMENT_HEADER_BYTES ? block.size : SEGMENT_HEADER_BYTES),
            cluster, out, why, why_size);
    if (status != STATUS_CORRUPT || block.size < SEGMENT_COPY_OFFSET + SEGMENT_HEADER_BYTES) return status;
    struct bytes copy = bytes_of(block.data + SEGMENT_COPY_OFFSET, SEGMENT_HEADER_BYTES);
    return decode_copy(copy, cluster, out, why, why_size);
}

void wal_group_encode(uint32_t seed, const struct wal_group *group, uint8_t *out)
{
    CHECK(group->first > group->synced && group->released <= group->synced);
    struct writer writer = writer_of(out, WAL_GROUP_HEADER_BYTES);
    write_u32(&writer, GROUP_MAGIC);
    write_u32(&writer, 0);
    write_u8(&writer, group->log);
    write_u8(&writer, 0);
    write_u16(&writer, 0);
    write_u32(&writer, group->segment);
    write_u32(&writer, group->block);
    write_u32(&writer, group->count);
    write_u32(&writer, group->length);
    write_u32(&writer, crc32c(seed, out + WAL_GROUP_HEADER_BYTES, group->length));
    write_u64(&writer, group->first);
    write_u64(&writer, group->synced);
    write_u64(&writer, group->released);
    write_u64(&writer, 0);
    CHECK(writer_ok(&writer) && writer_size(&writer) == WAL_GROUP_HEADER_BYTES);
    struct writer crc = writer_of(out + 4, 4);
    write_u32(&crc, crc32c(seed, out + 8, WAL_GROUP_HEADER_BYTES - 8));
}

bool wal_group_decode(
    uint32_t seed, const uint8_t header[WAL_GROUP_HEADER_BYTES], const struct wal_group *place, struct wal_group *out)
{
    struct reader reader = reader_of(bytes_of(header, WAL_GROUP_HEADER_BYTES));
    if (read_u32(&reader) != GROUP_MAGIC) return false;
    if (read_u32(&reader) != crc32c(seed, header + 8, WAL_GROUP_HEADER_BYTES - 8)) return false;
    struct wal_group group = {.log = read_u8(&reader)};
    read_u8(&reader);
    read_u16(&reader);
    group.segment = read_u32(&reader);
    group.block = read_u32(&reader);
    group.count = read_u32(&reader);
    group.length = read_u32(&reader);
    read_u32(&reader);
    group.first = read_u64(&reader);
    group.synced = read_u64(&reader);
    group.released = read_u64(&reader);
    if (group.log != place->log || group.segment != place->segment || group.block != place->block) return false;
    if (group.first <= group.synced || group.released > group.synced) return false;
    if (group.first + group.count < group.first || group.count > group.length) return false;
    *out = group;
    return true;
}

bool wal_group_is_whole(uint32_t seed, const struct wal_group *group, struct bytes data)
{
    struct reader reader = reader_of(data);
    read_bytes(&reader, 28);
    uint32_t crc = read_u32(&reader);
    read_bytes(&reader, WAL_GROUP_HEADER_BYTES - 32);
    struct bytes records = read_bytes(&reader, group->length);
    if (!reader_ok(&reader) || crc != crc32c(seed, records.data, records.size)) return false;
    struct reader each = reader_of(records);
    uint32_t count = 0;
    uint8_t kind;
    struct bytes payload;
    while (wal_record_decode(&each, &kind, &payload))
        count++;
    return reader_done(&each) && count == group->count;
}

size_t wal_record_bytes(size_t payload_bytes)
{
    return varint_size(payload_bytes) + 1 + payload_bytes;
}

void wal_record_encode(struct writer *writer, uint8_t kind, const struct bytes *parts, unsigned count)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += parts[i].size;
    write_varint(writer, size);
    write_u8(writer, kind);
    for (unsigned i = 0; i < count; i++)
        write_bytes(writer, parts[i]);
}

bool wal_record_decode(struct reader *reader, uint8_t *kind, struct bytes *payload)
{
    if (reader_left(reader) == 0) return false;
    uint64_t size = read_varint(reader);
    uint8_t found = read_u8(reader);
    if (size > reader_left(reader)) {
        reader_fail(reader);
        return false;
    }
    struct bytes bytes = read_bytes(reader, (size_t)size);
    if (!reader_ok(reader)) return false;
    *kind = found;
    *payload = bytes;
    return true;
}

void wal_name(uint8_t log, uint32_t segment, char out[WAL_NAME_BYTES])
{
    snprintf(out, WAL_NAME_BYTES, "%02x-%08x", log, segment);
}

static bool parse_hex(const char *text, unsigned digits, uint32_t *out)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < digits; i++) {
        char digit = text[i];
        if (digit >= '0' && digit <= '9')
            value = value << 4 | (uint32_t)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            value = value << 4 | (uint32_t)(digit - 'a' + 10);
        else
            return false;
    }
    *out = value;
    return true;
}

bool wal_name_parse(const char *name, uint8_t *log, uint32_t *segment, bool *unfinished)
{
    uint32_t log_number, segment_number;
    if (!parse_hex(name, 2, &log_number) || name[2] != '-' || !parse_hex(name + 3, 8, &segment_number)) return false;
    bool is_new = strcmp(name + 11, ".new") == 0;
    if (name[11] != '\0' && !is_new) return false;
    *log = (uint8_t)log_number;
    *segment = segment_number;
    *unfinished = is_new;
    return true;
}
