// links: model
/* Fuzz target: tables and keys. An accepted table encodes to itself; a key that one of two tables accepts is the one
   that its values encode to. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/model/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct table MIXED = {
    .id = {2},
    .kind = TABLE_ORDINARY,
    .name = "test.mixed",
    .partition_count = 1,
    .clustering_count = 5,
    .partition = {{.name = "p", .type = TYPE_TEXT}},
    .clustering = {{.name = "a", .type = TYPE_TEXT, .descending = true}, {.name = "b", .type = TYPE_DOUBLE},
        {.name = "c", .type = TYPE_UUID, .descending = true}, {.name = "d", .type = TYPE_BOOLEAN, .descending = true},
        {.name = "e", .type = TYPE_BLOB}},
};

static void check_key(const struct table *table, struct bytes key)
{
    struct arena arena = {0};
    struct key_values values;
    uint8_t again[KEY_BYTES_MAX];
    if (key_decode(table, key, &arena, &values) == STATUS_OK) {
        struct writer writer = writer_of(again, sizeof again);
        CHECK(key_encode_partition(table, values.partition, &writer) == STATUS_OK);
        CHECK(key_encode_clustering(table, values.clustering, values.clustering_count, &writer) == STATUS_OK);
        CHECK(bytes_equal(writer_bytes(&writer), key));
    }
    arena_free(&arena);
}

/* A fuzzer does not guess hashes: the bytes without a token get the one that belongs to their text. */
static void check_key_without_token(struct bytes rest)
{
    uint8_t key[KEY_BYTES_MAX];
    struct writer writer = writer_of(key, sizeof key);
    size_t size = 0;
    while (size < rest.size && rest.data[size] >= 1 && rest.data[size] < 0x80)
        size++;
    struct bytes text = bytes_of(rest.data, size);
    if (key_encode_partition(&MIXED, &text, &writer) != STATUS_OK) return;
    write_bytes(&writer, bytes_of(rest.data + size, rest.size - size));
    if (writer_ok(&writer)) check_key(&MIXED, writer_bytes(&writer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader = reader_of(bytes_of(data, size));
    struct buffer again = {0};
    struct table table;
    if (table_decode(&reader, &table) == STATUS_OK) {
        table_encode(&table, &again);
        CHECK(again.size == size - reader_left(&reader) && memcmp(again.data, data, again.size) == 0);
    }
    buffer_free(&again);
    check_key(&CHAT_MESSAGES, bytes_of(data, size));
    check_key(&MIXED, bytes_of(data, size));
    check_key_without_token(bytes_of(data, size));
    return 0;
}
