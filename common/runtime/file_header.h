/*
 * file_header: the 64 bytes that every file of a data directory starts with: what it is, whose it is, which version
 * wrote it (docs/formats/file_header.md). A pure codec; thread-safe.
 */
#ifndef TRILLIUM_COMMON_RUNTIME_FILE_HEADER_H
#define TRILLIUM_COMMON_RUNTIME_FILE_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/base/uuid.h"

enum { FILE_HEADER_BYTES = 64 };

/* Numbers are on disks and never reused. */
enum file_kind {
    FILE_LOG = 1,
    FILE_SSTABLE = 2,
    FILE_SIDECAR = 3,
    FILE_MANIFEST = 4,
    FILE_IDENTITY = 5,
    FILE_VIEW = 6,
    FILE_SNAPSHOT = 7,
    FILE_HINTS = 8,
    FILE_MAKERS = 9,
};

struct file_header {
    enum file_kind kind;
    uint16_t major, minor;
    struct uuid cluster;
    uint64_t file_id; /* by kind: the file's number, so that a misplaced file is noticed */
};

/* "log", "sstable", ...; "?" for an unknown number. */
const char *file_kind_name(enum file_kind kind);

void file_header_encode(const struct file_header *header, uint8_t out[FILE_HEADER_BYTES]);

/* What a reader can read and insists on. */
struct file_header_expected {
    enum file_kind kind;
    uint16_t major;             /* newest major that this program reads; older ones are the caller's business */
    const struct uuid *cluster; /* NULL: any */
};

/* Reads and judges. CORRUPT: shorter than the header, no magic or a wrong checksum. CONFLICT: another kind, another
   cluster or a newer major. After a refusal, why holds what is wrong (the caller puts the path before it): "log
   format 2.0 is newer than 1, which this program reads; run the newer program". why may be NULL. */
enum status file_header_decode(struct bytes data, const struct file_header_expected *expected, struct file_header *out,
    char *why, size_t why_size) MUST_CHECK;

#endif
