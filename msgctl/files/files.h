/*
 * files: judges and shows any file of a data directory, offline: log segments, SSTables, manifests, identities, views,
 * snapshots. The one room outside the daemons that may use their formats' pure codecs (tests/tidy names which). Reads
 * bytes that the caller holds; changes nothing; knows no disk.
 */
#ifndef TRILLIUM_MSGCTL_FILES_FILES_H
#define TRILLIUM_MSGCTL_FILES_FILES_H

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/base/uuid.h"
#include "common/runtime/file_header.h"

enum { FILES_WHY_BYTES = 320, FILES_SUMMARY_BYTES = 320 };

/* What is found is told to a sink, thing by thing: begin, its values, end. */
struct files_sink {
    void (*begin)(struct files_sink *sink, const char *what);
    void (*id)(struct files_sink *sink, const char *name, uint64_t value); /* ids, sequences: 64 bits */
    void (*number)(struct files_sink *sink, const char *name, int64_t value);
    void (*text)(struct files_sink *sink, const char *name, struct bytes value);
    void (*bytes)(struct files_sink *sink, const char *name, struct bytes value); /* shown as hex */
    void (*end)(struct files_sink *sink);
};

struct files_report {
    struct file_header header; /* kind 0: it has none that can be read */
    char summary[FILES_SUMMARY_BYTES];
    char why[FILES_WHY_BYTES]; /* what is wrong with it, when the status is not OK */
};

/*
 * Reads the whole file. path tells a commit log from a Raft log by its folder and what the file should be by its name.
 * sink NULL: only judges. CORRUPT: damaged; CONFLICT: newer than this program, or not what its name says; NOT_FOUND: no
 * file of Trillium's (a lock, RocksDB's files); BAD_REQUEST: a kind that this program cannot read yet.
 */
enum status files_inspect(
    const char *path, struct bytes content, struct files_sink *sink, struct files_report *report) MUST_CHECK;

#endif
