/*
 * wal_format: the bytes of a log segment (docs/formats/log.md). A pure codec; thread-safe.
 *
 * A segment is block 0 (the segment header, twice) and then groups, each starting on a block. All checksums of a
 * segment's groups are seeded with its header, which holds a random salt: what an earlier life of a reused file left
 * behind, or what a user wrote into a message, can never pass for a group.
 */
#ifndef TRILLIUM_COMMON_WAL_WAL_FORMAT_H
#define TRILLIUM_COMMON_WAL_WAL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/base/uuid.h"

enum {
    WAL_FORMAT_MAJOR = 1,
    WAL_FORMAT_MINOR = 0,
    WAL_BLOCK_BYTES = 4096,
    WAL_GROUP_HEADER_BYTES = 64,
    WAL_NAME_BYTES = 16, /* "ff-ffffffff" and a terminating zero, or ".new" more */
};

struct wal_segment_header {
    struct uuid cluster;
    uint8_t log;
    uint32_t segment;
    uint64_t salt;
    uint32_t seed; /* of the segment's groups; filled in by both functions below */
};

/* Fills block 0. */
void wal_segment_encode(struct wal_segment_header *header, uint8_t block[WAL_BLOCK_BYTES]);
/* Reads either copy. cluster NULL: any. CORRUPT: both copies are damaged; CONFLICT: not a log, another cluster, a newer
   major (why says which, as in file_header_decode). */
enum status wal_segment_decode(struct bytes block, const struct uuid *cluster, struct wal_segment_header *out,
    char *why, size_t why_size) MUST_CHECK;

/* A group: count records with sequences first, first + 1, ...; count 0 is a marker. */
struct wal_group {
    uint8_t log;
    uint32_t segment;
    uint32_t block; /* where it starts; a misplaced group is no group */
    uint64_t first;
    uint32_t count;
    uint32_t length;   /* bytes of its records */
    uint64_t synced;   /* everything up to it was durable when this group was written; below first */
    uint64_t released; /* nothing up to it is needed; at most synced */
};

/* Bytes on the disk: header and records, padded to blocks. */
static inline uint64_t wal_group_bytes(const struct wal_group *group)
{
    uint64_t bytes = WAL_GROUP_HEADER_BYTES + (uint64_t)group->length;
    return (bytes + WAL_BLOCK_BYTES - 1) / WAL_BLOCK_BYTES * WAL_BLOCK_BYTES;
}

/* Writes the header in front of the records, which lie at out + WAL_GROUP_HEADER_BYTES already. */
void wal_group_encode(uint32_t seed, const struct wal_group *group, uint8_t *out);
/* Judges the header alone: true when a group with this log, segment and place was written here. */
bool wal_group_decode(
    uint32_t seed, const uint8_t header[WAL_GROUP_HEADER_BYTES], const struct wal_group *place, struct wal_group *out);
/* Judges the records: data is header and records. */
bool wal_group_is_whole(uint32_t seed, const struct wal_group *group, struct bytes data);

/* Encoded size of a record. */
size_t wal_record_bytes(size_t payload_bytes);
void wal_record_encode(struct writer *writer, uint8_t kind, const struct bytes *parts, unsigned count);
/* The next record of a group. False at the end and when malformed (the reader tells). */
bool wal_record_decode(struct reader *reader, uint8_t *kind, struct bytes *payload);

/* "LL-SSSSSSSS", lower-case hex. */
void wal_name(uint8_t log, uint32_t segment, char out[WAL_NAME_BYTES]);
/* False when name is no segment's. unfinished: it ends in ".new". */
bool wal_name_parse(const char *name, uint8_t *log, uint32_t *segment, bool *unfinished);

#endif
