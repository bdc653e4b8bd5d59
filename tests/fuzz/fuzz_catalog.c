// links: controld_core
/* Fuzz target: entries of the Raft log as commands, and snapshot files. Whatever is accepted encodes to itself, and
   leaves a state that its records give back. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "controld/api/snapshots.h"
#include "controld/catalog/catalog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct uuid CLUSTER = {{1}};

static void load_record(void *context, struct bytes key, struct bytes value)
{
    CHECK(catalog_load(context, key, value) == STATUS_OK);
}

static void check_records(const struct catalog *catalog)
{
    struct catalog copy;
    catalog_init(&copy, &CLUSTER);
    catalog_records(catalog, load_record, &copy);
    CHECK(catalog_loaded(&copy) == STATUS_OK);
    CHECK(catalog_digest(&copy).low == catalog_digest(catalog).low);
    catalog_fini(&copy);
}

/* Commands, each behind its length in one byte (0xff: the next two). */
static void feed_commands(struct reader reader)
{
    struct catalog catalog;
    struct meta_batch batch = {0};
    struct catalog_answer answer;
    catalog_init(&catalog, &CLUSTER);
    for (uint64_t index = 1; reader_left(&reader) > 0; index++) {
        size_t length = read_u8(&reader);
        if (length == 0xff) length = read_u16(&reader);
        struct bytes payload = read_bytes(&reader, length);
        if (!reader_ok(&reader)) break;
        struct command command;
        if (command_decode(payload, &command) != STATUS_OK) continue;
        struct buffer again = {0};
        command_encode(&command, &again);
        CHECK(bytes_equal(buffer_bytes(&again), payload));
        buffer_free(&again);
        CHECK(catalog_apply(&catalog, index, payload, &answer, &batch) == STATUS_OK);
    }
    check_records(&catalog);
    meta_batch_free(&batch);
    catalog_fini(&catalog);
}

/* The records of a snapshot file whose checksums are right. */
static void feed_snapshot(struct bytes body)
{
    struct buffer file = {0};
    snapshot_begin(&file, &CLUSTER, (struct raft_snapshot){5, 1});
    buffer_append(&file, body.data, body.size);
    snapshot_seal(&file);
    struct raft_snapshot place;
    struct reader records;
    char why[SNAPSHOT_WHY_BYTES];
    CHECK(snapshot_check(buffer_bytes(&file), &CLUSTER, &place, &records, why) == STATUS_OK);
    struct catalog catalog;
    catalog_init(&catalog, &CLUSTER);
    struct bytes key, value;
    bool good = true;
    while (good && snapshot_next(&records, &key, &value))
        good = catalog_load(&catalog, key, value) == STATUS_OK;
    if (good && reader_done(&records) && catalog_loaded(&catalog) == STATUS_OK) check_records(&catalog);
    catalog_fini(&catalog);
    buffer_free(&file);
    /* As a whole file it is hardly ever one. */
    if (snapshot_check(body, &CLUSTER, &place, &records, why) == STATUS_OK) CHECK(place.index != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    if (data[0] & 1)
        feed_commands(reader_of(bytes_of(data + 1, size - 1)));
    else
        feed_snapshot(bytes_of(data + 1, size - 1));
    return 0;
}
