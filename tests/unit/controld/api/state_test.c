#include "controld/api/state.h"

#include <criterion/criterion.h>

#include "common/runtime/env.h"
#include "controld/api/snapshots.h"
#include "controld/store/meta_memory.h"

static const struct uuid CLUSTER = {{9}};

/* A state over a store, fed with registrations. Nothing here dies, so the env has no operations. */
struct bench {
    struct env env;
    struct meta_store *store;
    struct state state;
    uint64_t told;
};

static void bench_init(struct bench *bench)
{
    *bench = (struct bench){.store = meta_memory_create()};
    state_init(&bench->state, &bench->env, bench->store, &CLUSTER);
    state_resume(&bench->state, 0, 0);
}

static void bench_fini(struct bench *bench)
{
    state_fini(&bench->state);
    meta_store_destroy(bench->store);
}

/* The process starts again, with the store that is left. */
static void restart(struct bench *bench, uint64_t least, uint64_t most)
{
    state_fini(&bench->state);
    state_init(&bench->state, &bench->env, bench->store, &CLUSTER);
    state_resume(&bench->state, least, most);
}

static void told(void *context, const struct raft_entry *entry, const struct catalog_answer *answer)
{
    struct bench *bench = context;
    cr_expect_eq(entry->kind == RAFT_ENTRY_NORMAL, answer != NULL);
    bench->told = entry->index;
}

static void apply_registration(struct bench *bench, uint8_t name)
{
    struct command command = {.kind = COMMAND_REGISTER};
    command.registration =
        (struct command_register){.role = DAEMON_NODE, .uuid = {{name}}, .boot = 1, .address = "h:1", .shards = 1};
    struct buffer payload = {0};
    command_encode(&command, &payload);
    uint64_t index = bench->state.applied + 1;
    struct raft_entry *entries[2] = {raft_entry_create(1, index, RAFT_ENTRY_NORMAL, buffer_bytes(&payload)),
        raft_entry_create(1, index + 1, RAFT_ENTRY_NOOP, bytes_of(NULL, 0))};
    state_apply(&bench->state, entries, 2, told, bench);
    raft_entry_unref(entries[0]);
    raft_entry_unref(entries[1]);
    buffer_free(&payload);
}

static void fill(struct bench *bench)
{
    bench_init(bench);
    for (uint8_t name = 1; name <= 5; name++)
        apply_registration(bench, name);
    cr_assert_eq(bench->state.applied, 10);
    cr_expect_eq(bench->told, 10);
    cr_expect_eq(meta_applied(bench->store), 10);
}

Test(state, a_store_within_the_log_is_taken_over)
{
    struct bench bench;
    fill(&bench);
    struct digest before = catalog_digest(&bench.state.catalog), after;
    restart(&bench, 4, 20);
    cr_expect_eq(bench.state.applied, 10);
    cr_expect_eq(bench.state.catalog.nodes.count, 5);
    cr_assert(state_digest_at(&bench.state, 10, &after));
    cr_expect_eq(before.low, after.low);
    bench_fini(&bench);
}

Test(state, a_store_ahead_of_the_log_or_behind_its_snapshot_is_emptied)
{
    struct bench bench;
    fill(&bench);
    restart(&bench, 0, 9);
    cr_expect_eq(bench.state.applied, 0);
    cr_expect_eq(meta_applied(bench.store), 0);
    bench_fini(&bench);
    fill(&bench);
    restart(&bench, 11, 20);
    cr_expect_eq(bench.state.applied, 0);
    cr_expect_eq(bench.state.catalog.nodes.count, 0);
    bench_fini(&bench);
}

Test(state, a_store_that_makes_no_sense_is_emptied)
{
    struct bench bench;
    fill(&bench);
    struct meta_batch batch = {0};
    meta_batch_delete(&batch, bytes_of("n\0\0\0\0\0\0\0\3", 9));
    cr_assert_eq(meta_commit(bench.store, &batch, 10), STATUS_OK);
    meta_batch_free(&batch);
    restart(&bench, 0, 20);
    cr_expect_eq(bench.state.applied, 0);
    bench_fini(&bench);
}

static void add_record(void *context, struct bytes key, struct bytes value)
{
    snapshot_add(context, key, value);
}

Test(state, a_snapshot_carries_the_whole_state)
{
    struct bench bench, other;
    fill(&bench);
    struct buffer file = {0};
    snapshot_begin(&file, &CLUSTER, (struct raft_snapshot){10, 1});
    catalog_records(&bench.state.catalog, add_record, &file);
    snapshot_seal(&file);
    bench_init(&other);
    apply_registration(&other, 77);
    struct raft_snapshot place;
    struct reader records;
    char why[SNAPSHOT_WHY_BYTES];
    cr_assert_eq(snapshot_check(buffer_bytes(&file), &CLUSTER, &place, &records, why), STATUS_OK);
    cr_expect_eq(place.index, 10);
    cr_assert_eq(state_install(&other.state, 10, &records), STATUS_OK);
    cr_expect_eq(other.state.applied, 10);
    cr_expect_eq(catalog_digest(&other.state.catalog).low, catalog_digest(&bench.state.catalog).low);
    restart(&other, 10, 10);
    cr_expect_eq(other.state.applied, 10, "the store was replaced too");
    cr_expect_eq(catalog_digest(&other.state.catalog).low, catalog_digest(&bench.state.catalog).low);
    /* Every flipped byte is noticed. */
    for (size_t at = 0; at < file.size; at++) {
        file.data[at] ^= 0x10;
        cr_expect_neq(snapshot_check(buffer_bytes(&file), &CLUSTER, &place, &records, why), STATUS_OK, "%zu", at);
        file.data[at] ^= 0x10;
    }
    buffer_free(&file);
    bench_fini(&bench);
    bench_fini(&other);
}
