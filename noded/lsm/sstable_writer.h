/*
 * sstable_writer: writes one sorted file. Rows come in key order; whatever was written is durable after finish, its
 * name after the directory was synced (which finish does too), and it counts only once a manifest names it. All
 * functions but abort's caller run in a fiber. A failed sync ends the process.
 */
#ifndef TRILLIUM_NODED_LSM_SSTABLE_WRITER_H
#define TRILLIUM_NODED_LSM_SSTABLE_WRITER_H

#include "common/model/schema.h"
#include "common/model/span.h"
#include "noded/lsm/sstable.h"

struct sstable_writer;

/* Takes a fresh file id; nothing is on disk before the first write. The table's schema is embedded; may be NULL. */
struct sstable_writer *sstable_writer_create(struct lsm_store *store, const char *directory, const struct table *table);
/* Partitions come in key order. spans may be NULL. A partition without rows and spans leaves no trace. */
void sstable_writer_partition(struct sstable_writer *writer, struct bytes key, const struct span_set *spans);
/* Ids of a partition descend. IO, NO_SPACE, TOO_BIG (64 GiB): then only abort may follow. */
enum status sstable_writer_add(struct sstable_writer *writer, uint64_t id, struct bytes row, bool closed) MUST_CHECK;
/* Nothing was added that must be kept: abort. */
bool sstable_writer_is_empty(const struct sstable_writer *writer);
/* Ends the file, makes it and its name durable, and opens it for reading. The writer is gone afterwards, in any case;
   after a failure so is the file. */
enum status sstable_writer_finish(struct sstable_writer *writer, struct sstable **out) MUST_CHECK;
/* Removes the file. */
void sstable_writer_abort(struct sstable_writer *writer);

#endif
