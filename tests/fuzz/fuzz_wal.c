// links: wal simlib
/*
 * Fuzz target: recovery of a log. The input describes segments and groups, which are encoded with right checksums and
 * then damaged at places that the input names; or it is a segment as it stands. Whatever lies on the disk, recovery
 * must not crash, must hand out sequences in order, and the log it opens must keep what is appended.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/runtime/disk.h"
#include "common/wal/wal.h"
#include "common/wal/wal_format.h"
#include "tests/sim/solo.h"

enum { SEGMENTS = 3, BLOCKS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    struct reader reader;
    uint64_t newest; /* sequence handed out */
};

static void write_file(struct reactor *reactor, uint32_t number, const uint8_t *data, uint32_t size)
{
    char name[WAL_NAME_BYTES], path[32] = "log/";
    wal_name(0, number, name);
    memcpy(path + 4, name, strlen(name) + 1);
    struct disk_file file;
    CHECK(disk_open(reactor, path, DISK_CREATE, &file) == STATUS_OK);
    CHECK(size == 0 || disk_write(reactor, file, data, size, 0) == STATUS_OK);
    disk_close(reactor, &file);
}

/* A group whose fields are near the right ones, with right checksums. Returns its blocks. */
static uint32_t put_group(struct reader *reader, uint32_t seed, struct wal_group group, uint8_t *at)
{
    uint8_t shape = read_u8(reader);
    group.count = shape & 3;
    group.first += (shape >> 2 & 3) == 3 ? read_u8(reader) : 0;
    group.synced = group.first - 1 - (shape >> 4 & 1 ? read_u8(reader) % group.first : 0);
    group.released = shape >> 5 & 1 ? group.synced - read_u8(reader) % (group.synced + 1) : 0;
    struct writer writer = writer_of(at + WAL_GROUP_HEADER_BYTES, 2000);
    for (uint32_t i = 0; i < group.count; i++) {
        struct bytes part = {at, read_u8(reader)};
        uint8_t payload[256] = {0};
        part.data = payload;
        wal_record_encode(&writer, read_u8(reader), &part, 1);
    }
    group.length = (uint32_t)writer_size(&writer) + (shape >> 6 == 3 ? read_u8(reader) : 0);
    wal_group_encode(seed, &group, at);
    return (uint32_t)(wal_group_bytes(&group) / WAL_BLOCK_BYTES);
}

static void write_segments(struct reactor *reactor, struct reader *reader)
{
    static uint8_t data[BLOCKS * WAL_BLOCK_BYTES];
    uint64_t next = 1 + read_u8(reader);
    for (uint32_t number = 1; number <= SEGMENTS; number++) {
        memset(data, 0, sizeof data);
        struct wal_segment_header header = {.cluster = {{1}}, .segment = number, .salt = read_u8(reader)};
        if (read_u8(reader) == 255) header.segment++;
        wal_segment_encode(&header, data);
        uint32_t seed = header.seed, block = 1;
        for (unsigned groups = read_u8(reader) % 6; groups > 0 && block < BLOCKS; groups--) {
            struct wal_group group = {.segment = header.segment, .block = block, .first = next};
            uint8_t *at = data + block * WAL_BLOCK_BYTES;
            block += put_group(reader, seed, group, at);
            struct wal_group found;
            if (wal_group_decode(seed, at, &group, &found)) next = found.first + found.count;
        }
        for (unsigned flips = read_u8(reader) % 4; flips > 0; flips--) {
            uint32_t offset = (uint32_t)read_u16(reader) % sizeof data;
            data[offset] ^= read_u8(reader);
        }
        write_file(reactor, number, data, sizeof data - read_u8(reader) % 2 * 5000);
    }
}

static enum status take(void *context, const struct wal_record *record)
{
    struct input *input = context;
    CHECK(record->sequence > input->newest);
    input->newest = record->sequence;
    CHECK(hash64(record->payload.data, record->payload.size, 0) != 1); /* reads all of it */
    return STATUS_OK;
}

static void recover(struct reactor *reactor, void *argument)
{
    struct input *input = argument;
    CHECK(disk_mkdir(reactor, "log") == STATUS_OK);
    uint8_t how = read_u8(&input->reader);
    if (how & 1)
        write_file(reactor, 1, input->reader.at, (uint32_t)reader_left(&input->reader));
    else
        write_segments(reactor, &input->reader);
    struct wal_config config = {.dir = "log",
        .cluster = {{1}},
        .segment_bytes = BLOCKS * WAL_BLOCK_BYTES,
        .group_bytes = 2 * WAL_BLOCK_BYTES,
        .buffers = 3,
        .replay = {.record = take, .context = input, .after = how >> 4, .accept_damage = how & 2}};
    struct wal_recovery recovery;
    struct wal *wal;
    enum status status = wal_open(reactor, &config, &recovery, &wal);
    CHECK(status == STATUS_OK || status == STATUS_CORRUPT || status == STATUS_CONFLICT);
    CHECK(status != STATUS_CORRUPT || (recovery.damaged && !(how & 2)));
    if (status != STATUS_OK) return;
    CHECK(input->newest <= wal_last_sequence(wal));
    struct bytes part = bytes_text("more");
    uint64_t sequence;
    CHECK(wal_append_wait(wal, 1, &part, 1, &sequence) == STATUS_OK);
    wal_release(wal, sequence - 1);
    wal_close(wal);
    input->newest = 0;
    config.replay.after = sequence - 1;
    config.replay.accept_damage = false;
    status = wal_open(reactor, &config, &recovery, &wal);
    CHECK(status == STATUS_OK && input->newest == sequence);
    wal_close(wal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {.reader = reader_of(bytes_of(data, size))};
    struct solo *solo = solo_create(1, NULL);
    CHECK(solo_run(solo, recover, &input, SOLO_TO_THE_END) == SOLO_RETURNED);
    solo_destroy(solo);
    return 0;
}
