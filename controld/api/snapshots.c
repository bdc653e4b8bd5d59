#include "controld/api/snapshots.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/runtime/disk.h"
#include "common/runtime/file_header.h"
#include "common/runtime/reactor.h"

enum { SNAPSHOT_MAJOR = 1, PLACE_BYTES = 16, TAIL_BYTES = 8, PATH_BYTES = 40, READS_MAX = 3 };

#define PREFIX "snapshot-"

static void path_of(char out[PATH_BYTES], uint64_t index)
{
    snprintf(out, PATH_BYTES, PREFIX "%016" PRIx64, index);
}

static void append_u64(struct buffer *out, uint64_t value)
{
    struct writer writer = writer_of(buffer_reserve(out, 8), 8);
    write_u64(&writer, value);
    out->size += 8;
}

/* ---- bytes ---- */

void snapshot_begin(struct buffer *file, const struct uuid *cluster, struct raft_snapshot place)
{
    struct file_header header = {
        .kind = FILE_SNAPSHOT, .major = SNAPSHOT_MAJOR, .cluster = *cluster, .file_id = place.index};
    buffer_clear(file);
    file_header_encode(&header, buffer_reserve(file, FILE_HEADER_BYTES));
    file->size = FILE_HEADER_BYTES;
    append_u64(file, place.index);
    append_u64(file, place.term);
}

void snapshot_add(struct buffer *file, struct bytes key, struct bytes value)
{
    buffer_append_varint(file, key.size);
    buffer_append(file, key.data, key.size);
    buffer_append_varint(file, value.size);
    buffer_append(file, value.data, value.size);
}

void snapshot_seal(struct buffer *file)
{
    append_u64(file, hash64(file->data, file->size, 0));
}

enum status snapshot_check(struct bytes file, const struct uuid *cluster, struct raft_snapshot *place,
    struct reader *records, char why[SNAPSHOT_WHY_BYTES])
{
    struct file_header_expected expected = {FILE_SNAPSHOT, SNAPSHOT_MAJOR, cluster};
    struct file_header header;
    enum status status = file_header_decode(file, &expected, &header, why, SNAPSHOT_WHY_BYTES);
    if (status != STATUS_OK) return status;
    if (file.size < FILE_HEADER_BYTES + PLACE_BYTES + TAIL_BYTES) {
        snprintf(why, SNAPSHOT_WHY_BYTES, "it is cut short");
        return STATUS_CORRUPT;
    }
    size_t tail = file.size - TAIL_BYTES;
    struct reader reader = reader_of(bytes_of(file.data + tail, TAIL_BYTES));
    if (read_u64(&reader) != hash64(file.data, tail, 0)) {
        snprintf(why, SNAPSHOT_WHY_BYTES, "its checksum is wrong");
        return STATUS_CORRUPT;
    }
    reader = reader_of(bytes_of(file.data + FILE_HEADER_BYTES, tail - FILE_HEADER_BYTES));
    struct raft_snapshot found = {.index = read_u64(&reader), .term = read_u64(&reader)};
    if (found.index != header.file_id || found.index == 0 || found.term == 0) {
        snprintf(why, SNAPSHOT_WHY_BYTES, "it contradicts itself");
        return STATUS_CORRUPT;
    }
    *place = found;
    *records = reader;
    return STATUS_OK;
}

bool snapshot_next(struct reader *records, struct bytes *key, struct bytes *value)
{
    if (!reader_ok(records) || reader_left(records) == 0) return false;
    *key = read_sized(records);
    *value = read_sized(records);
    return reader_ok(records);
}

/* ---- files ---- */

enum status snapshot_write(struct reactor *reactor, uint64_t index, struct bytes file)
{
    CHECK(file.size <= SNAPSHOT_BYTES_MAX);
    char path[PATH_BYTES];
    path_of(path, index);
    return disk_replace_file(reactor, path, file.data, (uint32_t)file.size);
}

static enum status read_once(struct reactor *reactor, const struct uuid *cluster, uint64_t index, struct buffer *file,
    char why[SNAPSHOT_WHY_BYTES])
{
    char path[PATH_BYTES];
    path_of(path, index);
    struct arena arena = {0};
    struct bytes data;
    enum status status = disk_read_file(reactor, path, &arena, SNAPSHOT_BYTES_MAX, &data);
    struct raft_snapshot place;
    struct reader records;
    if (status != STATUS_OK)
        snprintf(why, SNAPSHOT_WHY_BYTES, "%s", status_text(status));
    else
        status = snapshot_check(data, cluster, &place, &records, why);
    if (status == STATUS_OK && place.index != index) {
        snprintf(why, SNAPSHOT_WHY_BYTES, "it is another snapshot's file");
        status = STATUS_CORRUPT;
    }
    if (status == STATUS_OK) {
        buffer_clear(file);
        buffer_append(file, data.data, data.size);
    }
    arena_free(&arena);
    return status;
}

enum status snapshot_read(struct reactor *reactor, const struct uuid *cluster, uint64_t index, struct buffer *file,
    char why[SNAPSHOT_WHY_BYTES])
{
    char words[SNAPSHOT_WHY_BYTES] = "";
    enum status status = STATUS_IO;
    for (unsigned i = 0; i < READS_MAX; i++) {
        status = read_once(reactor, cluster, index, file, words);
        if (status != STATUS_CORRUPT && status != STATUS_IO) break;
    }
    if (status != STATUS_OK) snprintf(why, SNAPSHOT_WHY_BYTES, PREFIX "%016" PRIx64 ": %.180s", index, words);
    return status;
}

/* The index that a name stands for; 0: it is no snapshot's. */
static uint64_t index_of(const char *name)
{
    size_t prefix = sizeof PREFIX - 1;
    if (strncmp(name, PREFIX, prefix) != 0) return 0;
    return strtoull(name + prefix, NULL, 16);
}

void snapshot_remove_before(struct reactor *reactor, uint64_t index)
{
    struct disk_names names;
    if (disk_list(reactor, "", &names) != STATUS_OK) return;
    for (uint32_t i = 0; i < names.count; i++) {
        uint64_t found = index_of(names.names[i]);
        if (found == 0 || found >= index) continue;
        /* What stays behind is removed the next time. */
        enum status status = disk_unlink(reactor, names.names[i]);
        if (status != STATUS_OK && status != STATUS_NOT_FOUND)
            LOG(reactor_log(reactor), WARN, "snapshot.stays", "file=%s status=%s", names.names[i], status_name(status));
    }
    disk_names_free(&names);
}
