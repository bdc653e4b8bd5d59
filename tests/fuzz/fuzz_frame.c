/* fuzz_frame: any bytes as a frame are refused whole, or every entry can be read and writes itself back. */
// links: rpc
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/rpc/frame.h"
#include "common/rpc/rpc.h"
#include "proto/link.pb-c.h"

static void read_back(struct bytes frame, uint16_t count)
{
    static uint8_t again[1 << 20];
    struct reader reader = frame_entries(frame);
    struct frame_entry entry;
    uint16_t seen = 0;
    size_t size = 0;
    while (frame_next(&reader, &entry)) {
        CHECK(entry.body.data >= frame.data && entry.body.data + entry.body.size <= frame.data + frame.size);
        uint8_t *at = frame_entry_write(again + size, &entry);
        if (entry.body.size) memcpy(at, entry.body.data, entry.body.size);
        size = (size_t)(at - again) + entry.body.size;
        struct arena arena = {0};
        rpc_decode(&arena, &trillium__v1__hello__descriptor, entry.body);
        CHECK(arena.total <= 4096 + 8 * entry.body.size);
        arena_free(&arena);
        seen++;
    }
    CHECK(seen == count && reader_done(&reader));
    CHECK(size == frame.size - FRAME_HEADER_BYTES && memcmp(again, frame.data + FRAME_HEADER_BYTES, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t copy[1 << 20];
    struct frame_header header;
    if (size > sizeof copy) return 0;
    if (size < FRAME_HEADER_BYTES) {
        CHECK(frame_check(bytes_of(size ? data : copy, size), &header) == FRAME_FAULT_SHORT);
        return 0;
    }
    frame_check(bytes_of(data, size), &header);
    /* With magic, version and checksum set right the fuzzer gets at what lies behind them. */
    static const uint8_t start[5] = {0x54, 0x52, 0x4d, 0x31, FRAME_VERSION};
    memcpy(copy, data, size);
    memcpy(copy, start, sizeof start);
    memset(copy + 28, 0, 4);
    uint32_t crc = crc32c(0, copy, size);
    for (int i = 0; i < 4; i++)
        copy[28 + i] = (uint8_t)(crc >> (8 * i));
    struct bytes frame = bytes_of(copy, size);
    if (frame_check(frame, &header) == FRAME_FINE) read_back(frame, header.count);
    return 0;
}
