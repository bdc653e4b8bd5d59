#include "common/runtime/identity.h"

#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/runtime/env.h"
#include "common/runtime/file_header.h"
#include "common/runtime/reactor.h"

enum {
    MAJOR = 1,
    COPY_BYTES = DISK_BLOCK_BYTES,
    BODY_BYTES = 16 + 8 + 8 + 8, /* daemon, boot, mark, generation */
    USED_BYTES = FILE_HEADER_BYTES + BODY_BYTES + 4,
};
_Static_assert((int)IDENTITY_FILE_BYTES == 2 * (int)COPY_BYTES, "two copies");

static void encode(const struct identity_file *file, uint8_t *out)
{
    const struct identity *identity = &file->identity;
    struct file_header header = {
        .kind = FILE_IDENTITY, .major = MAJOR, .cluster = identity->cluster, .file_id = file->generation % 2};
    file_header_encode(&header, out);
    struct writer writer = writer_of(out + FILE_HEADER_BYTES, COPY_BYTES - FILE_HEADER_BYTES);
    write_bytes(&writer, bytes_of(identity->daemon.bytes, sizeof identity->daemon.bytes));
    write_u64(&writer, identity->boot);
    write_u64(&writer, (uint64_t)identity->mark);
    write_u64(&writer, file->generation);
    write_u32(&writer, crc32c(0, out + FILE_HEADER_BYTES, BODY_BYTES));
    CHECK(writer_ok(&writer));
}

static enum status decode(const uint8_t *copy, const struct uuid *cluster, struct identity_file *out, char *why)
{
    struct file_header header;
    struct file_header_expected expected = {FILE_IDENTITY, MAJOR, cluster};
    enum status status =
        file_header_decode(bytes_of(copy, COPY_BYTES), &expected, &header, why, IDENTITY_WHY_BYTES - 32);
    if (status != STATUS_OK) return status;
    struct reader reader = reader_of(bytes_of(copy + FILE_HEADER_BYTES, BODY_BYTES + 4));
    struct bytes daemon = read_bytes(&reader, 16);
    out->identity.cluster = header.cluster;
    out->identity.boot = read_u64(&reader);
    out->identity.mark = (int64_t)read_u64(&reader);
    out->generation = read_u64(&reader);
    uint32_t crc = read_u32(&reader);
    memcpy(out->identity.daemon.bytes, daemon.data, 16);
    if (crc == crc32c(0, copy + FILE_HEADER_BYTES, BODY_BYTES)) return STATUS_OK;
    snprintf(why, IDENTITY_WHY_BYTES - 32, "wrong checksum");
    return STATUS_CORRUPT;
}

enum status identity_decode(struct bytes copy, const struct uuid *cluster, struct identity *out, uint64_t *generation,
    char why[IDENTITY_WHY_BYTES])
{
    struct identity_file file;
    if (copy.size < COPY_BYTES) {
        snprintf(why, IDENTITY_WHY_BYTES, "it is cut short");
        return STATUS_CORRUPT;
    }
    enum status status = decode(copy.data, cluster, &file, why);
    if (status != STATUS_OK) return status;
    *out = file.identity;
    *generation = file.generation;
    return STATUS_OK;
}

/* Of the copies that are whole the newer generation wins; one that is refused by name refuses the file. */
static enum status choose(struct bytes copies, const struct uuid *cluster, struct identity_file *out, char *why)
{
    bool found = false;
    for (size_t at = 0; at + COPY_BYTES <= copies.size; at += COPY_BYTES) {
        struct identity_file copy = *out;
        enum status judged = decode(copies.data + at, cluster, &copy, why);
        if (judged == STATUS_CONFLICT) return judged;
        if (judged != STATUS_OK || (found && copy.generation < out->generation)) continue;
        *out = copy;
        found = true;
    }
    return found ? STATUS_OK : STATUS_CORRUPT;
}

enum status identity_judge(
    struct bytes file, const struct uuid *cluster, struct identity *out, char why[IDENTITY_WHY_BYTES])
{
    struct identity_file chosen = {.generation = 0};
    snprintf(why, IDENTITY_WHY_BYTES, "it is cut short");
    enum status status = choose(file, cluster, &chosen, why);
    if (status == STATUS_OK) *out = chosen.identity;
    return status;
}

static enum status write_next(struct identity_file *file)
{
    file->generation++;
    uint8_t *copy = mem_alloc_aligned(DISK_BLOCK_BYTES, COPY_BYTES);
    memset(copy, 0, COPY_BYTES);
    encode(file, copy);
    enum status status = disk_write(file->reactor, file->file, copy, COPY_BYTES, (file->generation % 2) * COPY_BYTES);
    if (status == STATUS_OK) status = disk_sync(file->reactor, file->file);
    mem_free(copy);
    return status;
}

/* Both copies, one after the other: a torn write leaves the other copy, and once this has returned a copy that rots
   takes neither a boot nor a mark back. */
static enum status write_both(struct identity_file *file)
{
    enum status status = write_next(file);
    return status == STATUS_OK ? write_next(file) : status;
}

/* The first identity appears whole or not at all. */
static enum status create(struct identity_file *file, const struct uuid *cluster)
{
    file->identity.cluster = *cluster;
    env_entropy(reactor_env(file->reactor), file->identity.daemon.bytes, sizeof file->identity.daemon.bytes);
    uint8_t *copies = mem_zalloc(2 * COPY_BYTES);
    for (file->generation = 0; file->generation < 2; file->generation++)
        encode(file, copies + file->generation * COPY_BYTES);
    file->generation = 1;
    enum status status = disk_replace_file(file->reactor, IDENTITY_PATH, copies, 2 * COPY_BYTES);
    mem_free(copies);
    return status;
}

/* Reads whichever copies are whole; the newer generation wins. */
static enum status read_copies(struct identity_file *file, const struct uuid *cluster, uint64_t size, char *why)
{
    uint8_t *copies = mem_alloc_aligned(DISK_BLOCK_BYTES, 2 * COPY_BYTES);
    enum status status = STATUS_OK;
    uint32_t present = size >= 2 * COPY_BYTES ? 2 * COPY_BYTES : size >= COPY_BYTES ? COPY_BYTES : 0;
    if (present) status = disk_read(file->reactor, file->file, copies, present, 0);
    if (status == STATUS_OK) status = choose(bytes_of(copies, present), cluster, file, why);
    mem_free(copies);
    return status;
}

enum status identity_open(
    struct reactor *reactor, const struct uuid *cluster, struct identity_file *out, char why[IDENTITY_WHY_BYTES])
{
    struct identity_file file = {.reactor = reactor, .file = {-1}};
    char reason[IDENTITY_WHY_BYTES] = "";
    uint64_t size = 0;
    enum status status = disk_open(reactor, IDENTITY_PATH, 0, &file.file);
    if (status == STATUS_NOT_FOUND) {
        status = create(&file, cluster);
        if (status == STATUS_OK) status = disk_open(reactor, IDENTITY_PATH, 0, &file.file);
    }
    if (status == STATUS_OK) status = disk_size(reactor, file.file, &size);
    if (status == STATUS_OK) status = read_copies(&file, cluster, size, reason);
    if (status == STATUS_OK) {
        file.identity.boot++;
        status = write_both(&file);
    }
    if (status != STATUS_OK) {
        snprintf(why, IDENTITY_WHY_BYTES, "identity: %.200s", reason[0] ? reason : status_text(status));
        if (file.file.handle >= 0) disk_close(reactor, &file.file);
        return status;
    }
    *out = file;
    return STATUS_OK;
}

enum status identity_set_mark(struct identity_file *file, int64_t mark)
{
    file->identity.mark = mark;
    return write_both(file);
}

enum status identity_raise_boot(struct identity_file *file, uint64_t boot)
{
    uint64_t before = file->identity.boot;
    if (boot <= before) return STATUS_OK;
    file->identity.boot = boot;
    enum status status = write_both(file);
    if (status != STATUS_OK) file->identity.boot = before;
    return status;
}

void identity_close(struct identity_file *file)
{
    disk_close(file->reactor, &file->file);
}
