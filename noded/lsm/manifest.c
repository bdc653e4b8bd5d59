#include "noded/lsm/manifest.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/log.h"
#include "common/runtime/disk.h"
#include "common/runtime/file_header.h"
#include "common/runtime/reactor.h"
#include "noded/lsm/store.h"

enum { BODY_VERSION = 1, FILE_ENTRY_BYTES_MIN = 24 };

static const char NAME_PREFIX[] = "MANIFEST-";

/* ---- Codec ---- */

static void encode_body(const struct manifest *manifest, struct buffer *out)
{
    struct buffer entry = {0};
    buffer_append_varint(out, BODY_VERSION);
    buffer_append_varint(out, manifest->range);
    buffer_append_varint(out, manifest->number);
    buffer_append_varint(out, manifest->flushed_count);
    for (uint32_t i = 0; i < manifest->flushed_count; i++) {
        buffer_append_varint(out, manifest->flushed[i].log);
        buffer_append_varint(out, manifest->flushed[i].sequence);
    }
    buffer_append_varint(out, manifest->state.size);
    buffer_append(out, manifest->state.data, manifest->state.size);
    buffer_append_varint(out, manifest->files_count);
    for (uint32_t i = 0; i < manifest->files_count; i++) {
        buffer_clear(&entry);
        sstable_info_encode(&manifest->files[i], &entry);
        buffer_append_varint(out, entry.size);
        buffer_append(out, entry.data, entry.size);
    }
    buffer_free(&entry);
}

void manifest_encode(const struct manifest *manifest, const struct uuid *cluster, struct buffer *out)
{
    CHECK(manifest->flushed_count <= LSM_LOGS_MAX && manifest->files_count <= MANIFEST_FILES_MAX);
    CHECK(manifest->state.size <= LSM_STATE_BYTES_MAX);
    size_t start = out->size;
    struct file_header header = {.kind = FILE_MANIFEST,
        .major = MANIFEST_MAJOR,
        .minor = MANIFEST_MINOR,
        .cluster = *cluster,
        .file_id = manifest->number};
    file_header_encode(&header, buffer_reserve(out, MANIFEST_HEAD_BYTES));
    out->size += MANIFEST_HEAD_BYTES;
    encode_body(manifest, out);
    uint8_t *head = out->data + start;
    size_t body_bytes = out->size - start - MANIFEST_HEAD_BYTES;
    CHECK(out->size - start <= MANIFEST_BYTES_MAX);
    struct writer writer = writer_of(head + FILE_HEADER_BYTES, 8);
    write_u32(&writer, (uint32_t)body_bytes);
    uint32_t crc = crc32c(0, head, FILE_HEADER_BYTES + 4);
    write_u32(&writer, crc32c(crc, head + MANIFEST_HEAD_BYTES, body_bytes));
}

static bool decode_files(struct reader *reader, struct arena *arena, struct manifest *out)
{
    uint64_t files = read_varint(reader);
    if (files > MANIFEST_FILES_MAX || files > reader_left(reader) / FILE_ENTRY_BYTES_MIN) return false;
    out->files_count = (uint32_t)files;
    out->files = arena_zalloc(arena, (files + 1) * sizeof *out->files);
    for (uint32_t i = 0; i < files; i++) {
        struct reader entry = reader_of(read_sized(reader));
        if (sstable_info_decode(&entry, &out->files[i]) != STATUS_OK || !reader_done(&entry)) return false;
        if (i > 0 && out->files[i].file_id <= out->files[i - 1].file_id) return false;
    }
    return true;
}

static bool decode_body(struct reader *reader, struct arena *arena, struct manifest *out)
{
    if (read_varint(reader) != BODY_VERSION) return false;
    out->range = read_varint(reader);
    out->number = read_varint(reader);
    uint64_t logs = read_varint(reader);
    if (logs > LSM_LOGS_MAX) return false;
    out->flushed_count = (uint32_t)logs;
    out->flushed = arena_zalloc(arena, (logs + 1) * sizeof *out->flushed);
    for (uint32_t i = 0; i < logs; i++) {
        uint64_t log = read_varint(reader);
        if (log > UINT32_MAX) return false;
        out->flushed[i] = (struct lsm_position){(uint32_t)log, read_varint(reader)};
    }
    out->state = read_sized(reader);
    if (out->state.size > LSM_STATE_BYTES_MAX) return false;
    return decode_files(reader, arena, out) && reader_done(reader);
}

enum status manifest_decode(struct bytes bytes, const struct uuid *cluster, struct arena *arena, struct manifest *out,
    char why[MANIFEST_WHY_BYTES])
{
    struct file_header_expected expected = {.kind = FILE_MANIFEST, .major = MANIFEST_MAJOR, .cluster = cluster};
    struct file_header header;
    enum status status = file_header_decode(bytes, &expected, &header, why, MANIFEST_WHY_BYTES);
    if (status != STATUS_OK) return status;
    struct reader reader = reader_of(bytes_of(bytes.data + FILE_HEADER_BYTES, bytes.size - FILE_HEADER_BYTES));
    uint32_t body_bytes = read_u32(&reader), crc = read_u32(&reader);
    struct manifest manifest = {0};
    snprintf(why, MANIFEST_WHY_BYTES, "damaged manifest");
    if (!reader_ok(&reader) || reader_left(&reader) != body_bytes) return STATUS_CORRUPT;
    uint32_t head_crc = crc32c(0, bytes.data, FILE_HEADER_BYTES + 4);
    if (crc != crc32c(head_crc, bytes.data + MANIFEST_HEAD_BYTES, body_bytes)) return STATUS_CORRUPT;
    if (!decode_body(&reader, arena, &manifest) || manifest.number != header.file_id) return STATUS_CORRUPT;
    *out = manifest;
    return STATUS_OK;
}

bool manifest_name_parse(const char *name, uint64_t *number)
{
    size_t prefix = sizeof NAME_PREFIX - 1, digits = 0;
    uint64_t value = 0;
    if (strncmp(name, NAME_PREFIX, prefix) != 0) return false;
    for (const char *at = name + prefix; *at; at++, digits++) {
        if (*at < '0' || *at > '9' || digits == 18) return false;
        value = value * 10 + (uint64_t)(*at - '0');
    }
    *number = value;
    return digits > 0;
}

/* ---- Files ---- */

static void manifest_path(char out[LSM_PATH_BYTES], const char *directory, uint64_t number, const char *suffix)
{
    snprintf(out, LSM_PATH_BYTES, "%s/%s%" PRIu64 "%s", directory, NAME_PREFIX, number, suffix);
}

static bool is_sstable_name(const char *name)
{
    size_t size = strlen(name);
    return size > 4 && strcmp(name + size - 4, ".sst") == 0;
}

enum status manifest_load(struct reactor *reactor, const char *directory, const struct uuid *cluster,
    struct arena *arena, struct manifest *out)
{
    struct disk_names names;
    enum status status = disk_list(reactor, directory, &names);
    if (status != STATUS_OK) return status;
    uint64_t highest = 0, number;
    bool any = false, tables = false;
    for (uint32_t i = 0; i < names.count; i++) {
        tables |= is_sstable_name(names.names[i]);
        if (!manifest_name_parse(names.names[i], &number)) continue;
        any = true;
        if (number > highest) highest = number;
    }
    disk_names_free(&names);
    if (!any && !tables) return STATUS_NOT_FOUND;
    char path[LSM_PATH_BYTES], why[MANIFEST_WHY_BYTES] = "SSTables without a manifest";
    manifest_path(path, directory, highest, "");
    status = STATUS_CORRUPT;
    for (unsigned tries = 0; any && status == STATUS_CORRUPT && tries < 2; tries++) { /* as sstable_open */
        struct bytes data;
        status = disk_read_file(reactor, path, arena, MANIFEST_BYTES_MAX, &data);
        if (status == STATUS_TOO_BIG) status = STATUS_CORRUPT;
        if (status == STATUS_OK) status = manifest_decode(data, cluster, arena, out, why);
        if (status == STATUS_OK && out->number != highest) status = STATUS_CORRUPT;
    }
    if (status != STATUS_OK)
        LOG(reactor_log(reactor), ERROR, "manifest.refused", "path=%s status=%s reason=%s", path, status_name(status),
            why);
    return status;
}

/* Writes and syncs the file under a name that does not count yet. */
static enum status write_new(struct reactor *reactor, const char *path, struct bytes bytes)
{
    struct disk_file file;
    enum status status = disk_open(reactor, path, DISK_CREATE, &file);
    if (status != STATUS_OK) return status;
    status = disk_truncate(reactor, file, 0);
    if (status == STATUS_OK) status = disk_write(reactor, file, bytes.data, (uint32_t)bytes.size, 0);
    if (status == STATUS_OK) {
        enum status synced = disk_sync(reactor, file);
        if (synced != STATUS_OK) env_die(reactor_env(reactor), synced, "sync of a manifest failed");
    }
    disk_close(reactor, &file);
    return status;
}

enum status manifest_install(
    struct reactor *reactor, const char *directory, const struct uuid *cluster, const struct manifest *manifest)
{
    char fresh[LSM_PATH_BYTES], path[LSM_PATH_BYTES], old[LSM_PATH_BYTES];
    manifest_path(fresh, directory, manifest->number, ".new");
    manifest_path(path, directory, manifest->number, "");
    struct buffer bytes = {0};
    manifest_encode(manifest, cluster, &bytes);
    enum status status = write_new(reactor, fresh, buffer_bytes(&bytes));
    buffer_free(&bytes);
    if (status != STATUS_OK) {
        enum status removed = disk_unlink(reactor, fresh);
        if (removed != STATUS_OK) /* harmless: the next install or open replaces it */
            LOG(reactor_log(reactor), WARN, "manifest.not_removed", "path=%s status=%s", fresh, status_name(removed));
        return status == STATUS_NO_SPACE ? STATUS_NO_SPACE : STATUS_IO;
    }
    status = disk_rename(reactor, fresh, path);
    if (status != STATUS_OK) env_die(reactor_env(reactor), status, "rename of a manifest failed");
    if (!PLANT(skipped_dir_sync)) {
        status = disk_sync_dir(reactor, directory);
        if (status != STATUS_OK) env_die(reactor_env(reactor), status, "sync of a range's directory failed");
    }
    if (manifest->number > 1) {
        manifest_path(old, directory, manifest->number - 1, "");
        status = disk_unlink(reactor, old);
        if (status != STATUS_OK && status != STATUS_NOT_FOUND) /* a lower number does not count */
            LOG(reactor_log(reactor), WARN, "manifest.not_removed", "path=%s status=%s", old, status_name(status));
    }
    return STATUS_OK;
}
