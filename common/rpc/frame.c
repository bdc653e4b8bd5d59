#include "common/rpc/frame.h"

#include "common/base/check.h"
#include "common/base/hash.h"

enum { CRC_OFFSET = 28, TIME_OFFSET = 12 };

static uint32_t checksum(const uint8_t *frame, size_t size)
{
    static const uint8_t zeros[4];
    uint32_t crc = crc32c(0, frame, CRC_OFFSET);
    crc = crc32c(crc, zeros, sizeof zeros);
    return crc32c(crc, frame + FRAME_HEADER_BYTES, size - FRAME_HEADER_BYTES);
}

const char *frame_fault_text(enum frame_fault fault)
{
    switch (fault) {
    case FRAME_FINE:
        return "fine";
    case FRAME_FAULT_SHORT:
        return "shorter than a header";
    case FRAME_FAULT_MAGIC:
        return "not a frame of this protocol";
    case FRAME_FAULT_VERSION:
        return "of a version that is not spoken here";
    case FRAME_FAULT_FLAGS:
        return "unknown flags";
    case FRAME_FAULT_CHECKSUM:
        return "its checksum is wrong";
    case FRAME_FAULT_COUNT:
        return "too many entries";
    case FRAME_FAULT_ENTRY:
        return "a malformed entry";
    case FRAME_FAULT_TRAILING:
        return "bytes after its last entry";
    }
    return "?";
}

struct reader frame_entries(struct bytes frame)
{
    CHECK(frame.size >= FRAME_HEADER_BYTES);
    return reader_of(bytes_of(frame.data + FRAME_HEADER_BYTES, frame.size - FRAME_HEADER_BYTES));
}

bool frame_next(struct reader *reader, struct frame_entry *out)
{
    if (reader->failed || reader_left(reader) == 0) return false;
    struct frame_entry entry = {0};
    entry.id = read_u64(reader);
    entry.kind = read_u8(reader);
    entry.flags = read_u8(reader);
    entry.code = read_u16(reader);
    entry.time_us = read_u32(reader);
    entry.trace = read_u64(reader);
    if (entry.flags & FRAME_ROUTED) {
        entry.range = read_u64(reader);
        entry.epoch = read_u64(reader);
        entry.stamp = read_u64(reader);
    }
    uint32_t size = read_u32(reader);
    entry.body = read_bytes(reader, size);
    if (reader->failed) return false;
    *out = entry;
    return true;
}

static bool entry_is_known(const struct frame_entry *entry)
{
    return entry->kind >= FRAME_CALL && entry->kind <= FRAME_CANCEL && !(entry->flags & ~(FRAME_MORE | FRAME_ROUTED));
}

enum frame_fault frame_check(struct bytes frame, struct frame_header *out)
{
    if (frame.size < FRAME_HEADER_BYTES) return FRAME_FAULT_SHORT;
    struct reader reader = reader_of(bytes_of(frame.data, FRAME_HEADER_BYTES));
    if (read_u32(&reader) != FRAME_MAGIC) return FRAME_FAULT_MAGIC;
    struct frame_header header;
    header.version = read_u8(&reader);
    header.flags = read_u8(&reader);
    header.count = read_u16(&reader);
    header.sender_wall_us = (int64_t)read_u64(&reader);
    header.calls_granted = read_u32(&reader);
    header.frame_no = read_u32(&reader);
    header.frames_seen = read_u32(&reader);
    uint32_t crc = read_u32(&reader);
    if (header.version != FRAME_VERSION) return FRAME_FAULT_VERSION;
    if (crc != checksum(frame.data, frame.size)) return FRAME_FAULT_CHECKSUM;
    if (header.flags & ~(FRAME_ONE_ANSWER | FRAME_GOODBYE)) return FRAME_FAULT_FLAGS;
    if (header.count > FRAME_ENTRIES_MAX) return FRAME_FAULT_COUNT;

    struct reader entries = frame_entries(frame);
    for (uint16_t i = 0; i < header.count; i++) {
        struct frame_entry entry;
        if (!frame_next(&entries, &entry) || !entry_is_known(&entry)) return FRAME_FAULT_ENTRY;
    }
    if (!reader_done(&entries)) return FRAME_FAULT_TRAILING;
    *out = header;
    return FRAME_FINE;
}

uint32_t frame_entry_size(bool routed, uint32_t body_bytes)
{
    return FRAME_ENTRY_BYTES + (routed ? FRAME_ROUTED_BYTES : 0) + body_bytes;
}

uint8_t *frame_entry_write(uint8_t *at, const struct frame_entry *entry)
{
    CHECK(entry_is_known(entry) && entry->body.size <= FRAME_BYTES_MAX);
    bool routed = entry->flags & FRAME_ROUTED;
    struct writer writer = writer_of(at, frame_entry_size(routed, 0));
    write_u64(&writer, entry->id);
    write_u8(&writer, entry->kind);
    write_u8(&writer, entry->flags);
    write_u16(&writer, entry->code);
    write_u32(&writer, entry->time_us);
    write_u64(&writer, entry->trace);
    if (routed) {
        write_u64(&writer, entry->range);
        write_u64(&writer, entry->epoch);
        write_u64(&writer, entry->stamp);
    }
    write_u32(&writer, (uint32_t)entry->body.size);
    CHECK(writer_ok(&writer));
    return writer.at;
}

void frame_entry_set_time(uint8_t *entry, uint32_t time_us)
{
    struct writer writer = writer_of(entry + TIME_OFFSET, 4);
    write_u32(&writer, time_us);
}

void frame_seal(uint8_t *frame, uint32_t size, const struct frame_header *header)
{
    CHECK(size >= FRAME_HEADER_BYTES && header->count <= FRAME_ENTRIES_MAX);
    struct writer writer = writer_of(frame, FRAME_HEADER_BYTES);
    write_u32(&writer, FRAME_MAGIC);
    write_u8(&writer, FRAME_VERSION);
    write_u8(&writer, header->flags);
    write_u16(&writer, header->count);
    write_u64(&writer, (uint64_t)header->sender_wall_us);
    write_u32(&writer, header->calls_granted);
    write_u32(&writer, header->frame_no);
    write_u32(&writer, header->frames_seen);
    write_u32(&writer, checksum(frame, size));
    CHECK(writer_ok(&writer));
}
