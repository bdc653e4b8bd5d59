/* file_header: see file_header.h. */
#include "common/runtime/file_header.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/hash.h"

static const uint8_t magic[8] = {'T', 'R', 'I', 'L', 'L', 'I', 'U', 'M'};

enum { CRC_OFFSET = FILE_HEADER_BYTES - 4, RESERVED_BYTES = 20 };

const char *file_kind_name(enum file_kind kind)
{
    switch (kind) {
    case FILE_LOG:
        return "log";
    case FILE_SSTABLE:
        return "sstable";
    case FILE_SIDECAR:
        return "sidecar";
    case FILE_MANIFEST:
        return "manifest";
    case FILE_IDENTITY:
        return "identity";
    case FILE_VIEW:
        return "view";
    case FILE_SNAPSHOT:
        return "snapshot";
    case FILE_HINTS:
        return "hints";
    case FILE_MAKERS:
        return "makers";
    }
    return "?";
}

void file_header_encode(const struct file_header *header, uint8_t out[FILE_HEADER_BYTES])
{
    static const uint8_t zeros[RESERVED_BYTES];
    struct writer writer = writer_of(out, FILE_HEADER_BYTES);
    write_bytes(&writer, bytes_of(magic, sizeof magic));
    write_u16(&writer, (uint16_t)header->kind);
    write_u16(&writer, header->major);
    write_u16(&writer, header->minor);
    write_u16(&writer, 0);
    write_bytes(&writer, bytes_of(header->cluster.bytes, sizeof header->cluster.bytes));
    write_u64(&writer, header->file_id);
    write_bytes(&writer, bytes_of(zeros, sizeof zeros));
    CHECK(writer_ok(&writer) && writer_size(&writer) == CRC_OFFSET);
    write_u32(&writer, crc32c(0, out, CRC_OFFSET));
}

static enum status judge(
    const struct file_header *header, const struct file_header_expected *expected, char *why, size_t why_size)
{
    if (header->kind != expected->kind) {
        snprintf(
            why, why_size, "is a %s file, not a %s file", file_kind_name(header->kind), file_kind_name(expected->kind));
        return STATUS_CONFLICT;
    }
    if (header->major > expected->major) {
        snprintf(why, why_size, "%s format %u.%u is newer than %u, which this program reads; run the newer program",
            file_kind_name(header->kind), header->major, header->minor, expected->major);
        return STATUS_CONFLICT;
    }
    if (expected->cluster && !uuid_equal(&header->cluster, expected->cluster)) {
        char theirs[UUID_TEXT_BYTES], ours[UUID_TEXT_BYTES];
        uuid_text(&header->cluster, theirs);
        uuid_text(expected->cluster, ours);
        snprintf(why, why_size, "belongs to cluster %s, not to %s", theirs, ours);
        return STATUS_CONFLICT;
    }
    return STATUS_OK;
}

enum status file_header_decode(
    struct bytes data, const struct file_header_expected *expected, struct file_header *out, char *why, size_t why_size)
{
    char unused[1];
    if (!why) why = unused, why_size = sizeof unused;
    struct reader reader = reader_of(data);
    struct bytes found = read_bytes(&reader, sizeof magic);
    struct file_header header;
    header.kind = read_u16(&reader);
    header.major = read_u16(&reader);
    header.minor = read_u16(&reader);
    read_u16(&reader);
    struct bytes cluster = read_bytes(&reader, sizeof header.cluster.bytes);
    header.file_id = read_u64(&reader);
    read_bytes(&reader, RESERVED_BYTES);
    uint32_t crc = read_u32(&reader);
    if (!reader_ok(&reader)) {
        snprintf(why, why_size, "is shorter than a file header");
        return STATUS_CORRUPT;
    }
    if (!bytes_equal(found, bytes_of(magic, sizeof magic)) || crc != crc32c(0, data.data, CRC_OFFSET)) {
        snprintf(why, why_size, "has a damaged file header");
        return STATUS_CORRUPT;
    }
    memcpy(header.cluster.bytes, cluster.data, sizeof header.cluster.bytes);
    enum status status = judge(&header, expected, why, why_size);
    if (status == STATUS_OK) *out = header;
    return status;
}
