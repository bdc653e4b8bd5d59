#include "controld/store/rocks/meta_rocks.h"

#include <rocksdb/c.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/mem.h"

/*
 * One column family, a write-ahead log that is synced by every commit, no ingestion, few threads and small buffers: the
 * metadata is some tens of MiB at most. What a torn log loses at its end is replayed from the Raft log, since the
 * applied index is lost with it.
 */
enum {
    WRITE_BUFFER_BYTES = 2 << 20,
    CACHE_BYTES = 4 << 20,
    OPEN_FILES_MAX = 64,
    INFO_LOG_BYTES = 1 << 20,
    WAL_POINT_IN_TIME = 2, /* rocksdb::WALRecoveryMode */
    INFO_LOG_ERRORS = 3,   /* rocksdb::InfoLogLevel */
};

static const uint8_t applied_key[] = {META_OWN_BYTE, 'a', 'p', 'p', 'l', 'i', 'e', 'd'};

struct rocks {
    struct meta_store base;
    char *path;
    rocksdb_t *db; /* NULL after a wipe that could not reopen */
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *table_options;
    rocksdb_cache_t *cache;
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write;
    uint64_t applied;
    uint32_t cursors;
};

struct rocks_cursor {
    struct meta_cursor base;
    struct rocks *rocks;
    rocksdb_readoptions_t *read;
    rocksdb_iterator_t *iterator;
    bool begun;
    size_t to_size;
    uint8_t to[]; /* RocksDB refers to the bound while the iterator lives */
};

/* Frees RocksDB's words and judges them; OK when there are none. */
static enum status judge(char *words, char error[META_ROCKS_ERROR_BYTES])
{
    if (!words) return STATUS_OK;
    enum status status = STATUS_IO;
    if (strstr(words, "Corruption")) status = STATUS_CORRUPT;
    if (strstr(words, "No space")) status = STATUS_NO_SPACE;
    if (error) snprintf(error, META_ROCKS_ERROR_BYTES, "%s", words);
    rocksdb_free(words);
    return status;
}

static void make_options(struct rocks *rocks)
{
    rocksdb_options_t *options = rocks->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_paranoid_checks(options, 1);
    rocksdb_options_set_wal_recovery_mode(options, WAL_POINT_IN_TIME);
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(options, WRITE_BUFFER_BYTES);
    rocksdb_options_set_max_background_jobs(options, 2);
    rocksdb_options_set_max_open_files(options, OPEN_FILES_MAX);
    rocksdb_options_set_info_log_level(options, INFO_LOG_ERRORS);
    rocksdb_options_set_max_log_file_size(options, INFO_LOG_BYTES);
    rocksdb_options_set_keep_log_file_num(options, 2);
    rocksdb_options_set_max_manifest_file_size(options, INFO_LOG_BYTES);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_stats_persist_period_sec(options, 0);
    rocks->cache = rocksdb_cache_create_lru(CACHE_BYTES);
    rocks->table_options = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(rocks->table_options, rocks->cache);
    rocksdb_options_set_block_based_table_factory(options, rocks->table_options);
    rocks->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(rocks->read, 1);
    rocks->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(rocks->write, 1);
}

static enum status read_applied(struct rocks *rocks, char error[META_ROCKS_ERROR_BYTES])
{
    char *words = NULL;
    size_t size = 0;
    char *value = rocksdb_get(rocks->db, rocks->read, (const char *)applied_key, sizeof applied_key, &size, &words);
    enum status status = judge(words, error);
    if (status != STATUS_OK) return status;
    rocks->applied = 0;
    if (!value) return STATUS_OK;
    struct reader reader = reader_of(bytes_of(value, size));
    rocks->applied = read_u64(&reader);
    bool good = reader_done(&reader);
    rocksdb_free(value);
    return good ? STATUS_OK : STATUS_CORRUPT;
}

static enum status open_db(struct rocks *rocks, char error[META_ROCKS_ERROR_BYTES])
{
    char *words = NULL;
    rocks->db = rocksdb_open(rocks->options, rocks->path, &words);
    enum status status = judge(words, error);
    return status == STATUS_OK ? read_applied(rocks, error) : status;
}

static struct rocks *rocks_of(struct meta_store *store)
{
    return CONTAINER_OF(store, struct rocks, base);
}

static enum status rocks_get(struct meta_store *store, struct bytes key, struct buffer *value)
{
    struct rocks *rocks = rocks_of(store);
    if (!rocks->db) return STATUS_IO;
    char *words = NULL;
    rocksdb_pinnableslice_t *slice =
        rocksdb_get_pinned(rocks->db, rocks->read, (const char *)key.data, key.size, &words);
    enum status status = judge(words, NULL);
    if (status != STATUS_OK) return status;
    if (!slice) return STATUS_NOT_FOUND;
    size_t size = 0;
    const char *data = rocksdb_pinnableslice_value(slice, &size);
    if (value) {
        buffer_clear(value);
        if (size) buffer_append(value, data, size);
    }
    rocksdb_pinnableslice_destroy(slice);
    return STATUS_OK;
}

static enum status rocks_commit(struct meta_store *store, const struct meta_batch *batch, uint64_t applied)
{
    struct rocks *rocks = rocks_of(store);
    if (!rocks->db) return STATUS_IO;
    rocksdb_writebatch_t *writes = rocksdb_writebatch_create();
    struct meta_change change;
    for (size_t at = 0; meta_batch_next(batch, &at, &change);) {
        const char *key = (const char *)change.key.data;
        if (change.is_delete)
            rocksdb_writebatch_delete(writes, key, change.key.size);
        else
            rocksdb_writebatch_put(writes, key, change.key.size, (const char *)change.value.data, change.value.size);
    }
    uint8_t index[8];
    struct writer writer = writer_of(index, sizeof index);
    write_u64(&writer, applied);
    rocksdb_writebatch_put(writes, (const char *)applied_key, sizeof applied_key, (const char *)index, sizeof index);
    char *words = NULL;
    rocksdb_write(rocks->db, rocks->write, writes, &words);
    rocksdb_writebatch_destroy(writes);
    enum status status = judge(words, NULL);
    if (status == STATUS_OK) rocks->applied = applied;
    return status;
}

static enum status rocks_wipe(struct meta_store *store)
{
    struct rocks *rocks = rocks_of(store);
    CHECK(rocks->cursors == 0);
    if (rocks->db) rocksdb_close(rocks->db);
    rocks->db = NULL;
    char *words = NULL;
    rocksdb_destroy_db(rocks->options, rocks->path, &words);
    enum status status = judge(words, NULL);
    return status == STATUS_OK ? open_db(rocks, NULL) : status;
}

static uint64_t rocks_applied(struct meta_store *store)
{
    return rocks_of(store)->applied;
}

static const struct meta_store_operations rocks_operations;

static struct meta_cursor *rocks_cursor_create(struct meta_store *store, struct bytes from, struct bytes to)
{
    struct rocks *rocks = rocks_of(store);
    struct rocks_cursor *cursor = mem_zalloc(sizeof *cursor + to.size);
    cursor->base.operations = &rocks_operations;
    cursor->rocks = rocks;
    cursor->to_size = to.size;
    memcpy(cursor->to, to.data, to.size);
    cursor->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(cursor->read, 1);
    rocksdb_readoptions_set_fill_cache(cursor->read, 0);
    rocksdb_readoptions_set_iterate_upper_bound(cursor->read, (const char *)cursor->to, cursor->to_size);
    if (rocks->db) {
        cursor->iterator = rocksdb_create_iterator(rocks->db, cursor->read);
        rocksdb_iter_seek(cursor->iterator, from.size ? (const char *)from.data : "", from.size);
    }
    rocks->cursors++;
    return &cursor->base;
}

static bool rocks_cursor_next(struct meta_cursor *base, struct bytes *key, struct bytes *value)
{
    struct rocks_cursor *cursor = CONTAINER_OF(base, struct rocks_cursor, base);
    if (!cursor->iterator || !rocksdb_iter_valid(cursor->iterator)) return false;
    if (cursor->begun) rocksdb_iter_next(cursor->iterator);
    cursor->begun = true;
    if (!rocksdb_iter_valid(cursor->iterator)) return false;
    size_t key_size = 0, value_size = 0;
    const char *key_data = rocksdb_iter_key(cursor->iterator, &key_size);
    const char *value_data = rocksdb_iter_value(cursor->iterator, &value_size);
    *key = bytes_of(key_data, key_size);
    *value = bytes_of(value_data, value_size);
    return true;
}

static enum status rocks_cursor_status(const struct meta_cursor *base)
{
    const struct rocks_cursor *cursor = (const struct rocks_cursor *)base;
    if (!cursor->iterator) return STATUS_IO;
    char *words = NULL;
    rocksdb_iter_get_error(cursor->iterator, &words);
    return judge(words, NULL);
}

static void rocks_cursor_destroy(struct meta_cursor *base)
{
    struct rocks_cursor *cursor = CONTAINER_OF(base, struct rocks_cursor, base);
    if (cursor->iterator) rocksdb_iter_destroy(cursor->iterator);
    rocksdb_readoptions_destroy(cursor->read);
    cursor->rocks->cursors--;
    mem_free(cursor);
}

static void rocks_destroy(struct meta_store *store)
{
    struct rocks *rocks = rocks_of(store);
    CHECK(rocks->cursors == 0);
    if (rocks->db) rocksdb_close(rocks->db);
    rocksdb_writeoptions_destroy(rocks->write);
    rocksdb_readoptions_destroy(rocks->read);
    rocksdb_options_destroy(rocks->options);
    rocksdb_block_based_options_destroy(rocks->table_options);
    rocksdb_cache_destroy(rocks->cache);
    mem_free(rocks->path);
    mem_free(rocks);
}

static const struct meta_store_operations rocks_operations = {
    .get = rocks_get,
    .commit = rocks_commit,
    .wipe = rocks_wipe,
    .applied = rocks_applied,
    .cursor_create = rocks_cursor_create,
    .cursor_next = rocks_cursor_next,
    .cursor_status = rocks_cursor_status,
    .cursor_destroy = rocks_cursor_destroy,
    .destroy = rocks_destroy,
};

enum status meta_rocks_open(const char *path, struct meta_store **out, char error[META_ROCKS_ERROR_BYTES])
{
    struct rocks *rocks = mem_zalloc(sizeof *rocks);
    rocks->base.operations = &rocks_operations;
    rocks->path = mem_strdup(path);
    error[0] = 0;
    make_options(rocks);
    enum status status = open_db(rocks, error);
    if (status == STATUS_OK)
        *out = &rocks->base;
    else
        rocks_destroy(&rocks->base);
    return status;
}

enum status meta_rocks_remove(const char *path)
{
    rocksdb_options_t *options = rocksdb_options_create();
    char *words = NULL;
    rocksdb_destroy_db(options, path, &words);
    rocksdb_options_destroy(options);
    return judge(words, NULL);
}
