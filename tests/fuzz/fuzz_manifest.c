// links: noded_core
/*
 * Fuzz target: manifests. The input is a body, which gets a right header and checksum; or, when its first byte is odd,
 * a whole file. What is accepted encodes to the same again.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/runtime/file_header.h"
#include "noded/lsm/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct uuid cluster = {{1, 2, 3}};

static void try_file(struct bytes bytes)
{
    struct arena arena = {0};
    struct manifest manifest;
    struct buffer again = {0};
    char why[MANIFEST_WHY_BYTES];
    if (manifest_decode(bytes, &cluster, &arena, &manifest, why) == STATUS_OK) {
        manifest_encode(&manifest, &cluster, &again);
        CHECK(bytes_equal(bytes, buffer_bytes(&again)));
    }
    buffer_free(&again);
    arena_free(&arena);
}

static void try_body(struct bytes body)
{
    struct buffer file = {0};
    struct file_header header = {
        .kind = FILE_MANIFEST, .major = MANIFEST_MAJOR, .minor = MANIFEST_MINOR, .cluster = cluster};
    struct reader reader = reader_of(body); /* version, range, number */
    (void)read_varint(&reader);
    (void)read_varint(&reader);
    header.file_id = read_varint(&reader);
    uint8_t *head = buffer_reserve(&file, MANIFEST_HEAD_BYTES + body.size);
    file_header_encode(&header, head);
    struct writer writer = writer_of(head + FILE_HEADER_BYTES, 8);
    write_u32(&writer, (uint32_t)body.size);
    uint32_t crc = crc32c(0, head, FILE_HEADER_BYTES + 4);
    write_u32(&writer, crc32c(crc, body.data, body.size));
    file.size = MANIFEST_HEAD_BYTES;
    buffer_append(&file, body.data, body.size);
    try_file(buffer_bytes(&file));
    buffer_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct bytes rest = {data + 1, size - 1};
    if (data[0] & 1)
        try_file(rest);
    else
        try_body(rest);
    return 0;
}
