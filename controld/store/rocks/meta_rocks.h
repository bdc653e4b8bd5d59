/* meta_rocks: a meta_store over RocksDB. meta_rocks.c is the only file that includes RocksDB's header. */
#ifndef TRILLIUM_CONTROLD_STORE_ROCKS_META_ROCKS_H
#define TRILLIUM_CONTROLD_STORE_ROCKS_META_ROCKS_H

#include "controld/store/meta_store.h"

enum { META_ROCKS_ERROR_BYTES = 256 };

/*
 * Opens or creates the store in the folder path. On failure error gets RocksDB's words (cut); CORRUPT when it speaks of
 * corruption: the caller may remove the folder (meta_rocks_remove) and rebuild from the Raft snapshot and log.
 */
enum status meta_rocks_open(const char *path, struct meta_store **out, char error[META_ROCKS_ERROR_BYTES]) MUST_CHECK;

/* Removes a closed store's files. */
enum status meta_rocks_remove(const char *path) MUST_CHECK;

#endif
