/*
 * manifest: the one file that says what a range replica consists of (docs/formats/manifest.md): its SSTables, the log
 * positions that they cover, the replica layer's state. Replaced as a whole: MANIFEST-(n+1) appears complete and
 * durable, then MANIFEST-n goes. The highest number counts; a damaged one is never passed over for an older one.
 */
#ifndef TRILLIUM_NODED_LSM_MANIFEST_H
#define TRILLIUM_NODED_LSM_MANIFEST_H

#include "common/base/arena.h"
#include "common/base/uuid.h"
#include "noded/lsm/lsm.h"
#include "noded/lsm/sstable_format.h"

enum {
    MANIFEST_MAJOR = 1,
    MANIFEST_MINOR = 0,
    MANIFEST_FILES_MAX = 65536,
    MANIFEST_BYTES_MAX = 256 << 20,
    MANIFEST_HEAD_BYTES = 64 + 8, /* file header, size, checksum */
    MANIFEST_WHY_BYTES = 160,
};

struct manifest {
    uint64_t range, number;
    uint32_t flushed_count, files_count;
    struct lsm_position *flushed; /* all records of the range in that log up to this sequence are in files */
    struct sstable_info *files;
    struct bytes state;
};

/* ---- Pure codec ---- */

void manifest_encode(const struct manifest *manifest, const struct uuid *cluster, struct buffer *out);
/* Arrays live in the arena, byte views in the given bytes. CORRUPT; CONFLICT: another cluster's, or newer. After a
   refusal, why says what is wrong. */
enum status manifest_decode(struct bytes bytes, const struct uuid *cluster, struct arena *arena, struct manifest *out,
    char why[MANIFEST_WHY_BYTES]) MUST_CHECK;
/* False when the name is not that of a manifest. */
bool manifest_name_parse(const char *name, uint64_t *number);

/* ---- Files (fiber) ---- */

struct reactor;
/* NOT_FOUND: there is none, and no SSTable either; CORRUPT: damaged, or missing beside SSTables; IO. */
enum status manifest_load(struct reactor *reactor, const char *directory, const struct uuid *cluster,
    struct arena *arena, struct manifest *out) MUST_CHECK;
/* Makes this the manifest; its number is above every earlier one. After a failure (NO_SPACE, IO) the old one counts. A
   failed sync or rename ends the process. */
enum status manifest_install(struct reactor *reactor, const char *directory, const struct uuid *cluster,
    const struct manifest *manifest) MUST_CHECK;

#endif
