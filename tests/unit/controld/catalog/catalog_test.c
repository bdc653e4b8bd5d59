#include "controld/catalog/catalog.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "common/base/prng.h"
#include "controld/catalog/placement.h"
#include "controld/store/meta_memory.h"

/* A catalog that is fed by the test, with a second one that a store of records mirrors. */
struct bench {
    struct catalog catalog;
    struct meta_batch batch; /* of all entries */
    uint64_t index;
    struct catalog_answer answer;
};

static const struct uuid CLUSTER = {{7}};

static void bench_init(struct bench *bench)
{
    *bench = (struct bench){0};
    catalog_init(&bench->catalog, &CLUSTER);
}

static void bench_fini(struct bench *bench)
{
    catalog_fini(&bench->catalog);
    meta_batch_free(&bench->batch);
}

static enum status feed(struct bench *bench, const struct command *command)
{
    struct buffer payload = {0};
    command_encode(command, &payload);
    cr_assert_eq(catalog_apply(&bench->catalog, ++bench->index, buffer_bytes(&payload), &bench->answer, &bench->batch),
        STATUS_OK);
    buffer_free(&payload);
    return bench->answer.status;
}

static struct command registration(uint8_t role, uint8_t name, uint64_t boot)
{
    struct command command = {.kind = COMMAND_REGISTER, .stamp_us = 1000};
    command.registration = (struct command_register){
        .role = role, .uuid = {{name}}, .instance = {{name, (uint8_t)boot}}, .boot = boot, .shards = 2};
    snprintf(command.registration.address, sizeof command.registration.address, "127.0.%u.%u:7300", role, name);
    snprintf(command.registration.zone, sizeof command.registration.zone, "zone%u", name);
    return command;
}

static enum status feed_daemon(struct bench *bench, uint8_t role, uint8_t name, uint64_t boot)
{
    struct command command = registration(role, name, boot);
    return feed(bench, &command);
}

static void feed_table(struct bench *bench)
{
    struct command command = {.kind = COMMAND_TABLE, .table = CHAT_MESSAGES};
    cr_assert_eq(feed(bench, &command), STATUS_OK);
}

static enum status feed_place(struct bench *bench)
{
    struct command command = {.kind = COMMAND_PLACE};
    placement_first(&bench->catalog, (struct table_id){CHAT_MESSAGES_ID}, 16, 3, &command.place);
    return feed(bench, &command);
}

static enum status feed_makers(struct bench *bench, uint32_t router, uint16_t blocks)
{
    struct command command = {.kind = COMMAND_MAKERS, .makers = {{router}, blocks}};
    return feed(bench, &command);
}

static enum status feed_import(struct bench *bench, enum command_kind kind, uint64_t import, int64_t deadline_us)
{
    struct command command = {.kind = kind, .import = {import, {CHAT_MESSAGES_ID}, deadline_us, "an import"}};
    return feed(bench, &command);
}

static void feed_a_cluster(struct bench *bench)
{
    feed_table(bench);
    for (uint8_t node = 1; node <= 3; node++)
        cr_assert_eq(feed_daemon(bench, DAEMON_NODE, node, 1), STATUS_OK);
    for (uint8_t router = 1; router <= 2; router++)
        cr_assert_eq(feed_daemon(bench, DAEMON_ROUTER, router, 1), STATUS_OK);
    cr_assert_eq(feed_place(bench), STATUS_OK);
}

static bool same_digest(struct digest a, struct digest b)
{
    return a.low == b.low && a.high == b.high;
}

/* ---- daemons ---- */

Test(catalog, a_daemon_keeps_its_number_over_restarts)
{
    struct bench bench;
    bench_init(&bench);
    cr_assert_eq(feed_daemon(&bench, DAEMON_NODE, 1, 1), STATUS_OK);
    cr_expect_eq(bench.answer.id, 1);
    cr_assert_eq(feed_daemon(&bench, DAEMON_NODE, 2, 1), STATUS_OK);
    cr_expect_eq(bench.answer.id, 2);
    cr_assert_eq(feed_daemon(&bench, DAEMON_ROUTER, 1, 1), STATUS_OK);
    cr_expect_eq(bench.answer.id, 1, "routers are counted apart");
    cr_assert_eq(feed_daemon(&bench, DAEMON_NODE, 1, 2), STATUS_OK);
    cr_expect_eq(bench.answer.id, 1);
    cr_expect(bench.answer.view_changed);
    bench_fini(&bench);
}

Test(catalog, registering_again_changes_nothing_that_a_view_shows)
{
    struct bench bench;
    bench_init(&bench);
    feed_daemon(&bench, DAEMON_NODE, 1, 1);
    uint64_t version = bench.catalog.view_version;
    struct digest before = catalog_digest(&bench.catalog);
    cr_assert_eq(feed_daemon(&bench, DAEMON_NODE, 1, 1), STATUS_OK);
    cr_expect_eq(bench.answer.id, 1);
    cr_expect_not(bench.answer.view_changed);
    cr_expect_eq(bench.catalog.view_version, version);
    cr_expect(same_digest(before, catalog_digest(&bench.catalog)));
    bench_fini(&bench);
}

Test(catalog, a_lower_boot_counter_is_a_conflict)
{
    struct bench bench;
    bench_init(&bench);
    feed_daemon(&bench, DAEMON_NODE, 1, 5);
    cr_expect_eq(feed_daemon(&bench, DAEMON_NODE, 1, 4), STATUS_CONFLICT);
    cr_expect_eq(catalog_node(&bench.catalog, 1)->is.boot, 5);
    bench_fini(&bench);
}

/* ---- placement ---- */

static unsigned load_of(const struct command_place *place, uint32_t node)
{
    unsigned load = 0;
    for (unsigned i = 0; i < place->ranges_count; i++)
        for (unsigned r = 0; r < place->ranges[i].replicas_count; r++)
            load += place->ranges[i].replicas[r].value == node;
    return load;
}

static void place_nodes(struct bench *bench, unsigned nodes, unsigned zones, struct command_place *place)
{
    bench_init(bench);
    for (unsigned i = 1; i <= nodes; i++) {
        struct command command = registration(DAEMON_NODE, (uint8_t)i, 1);
        snprintf(command.registration.zone, sizeof command.registration.zone, "z%u", i % zones);
        cr_assert_eq(feed(bench, &command), STATUS_OK);
    }
    placement_first(&bench->catalog, (struct table_id){1}, 16, 3, place);
}

Test(placement, ranges_are_equal_and_cover_all_tokens)
{
    struct bench bench;
    struct command_place place;
    place_nodes(&bench, 3, 3, &place);
    cr_assert_eq(place.ranges_count, 16);
    cr_expect_eq(place.ranges[0].lo, INT64_MIN);
    cr_expect_eq(place.ranges[15].hi, INT64_MAX);
    for (unsigned i = 1; i < 16; i++) {
        cr_expect_eq(place.ranges[i].lo, place.ranges[i - 1].hi);
        cr_expect_eq((uint64_t)place.ranges[i].lo - (uint64_t)place.ranges[i - 1].lo, UINT64_C(1) << 60);
    }
    bench_fini(&bench);
}

Test(placement, nodes_share_the_ranges_evenly)
{
    for (unsigned nodes = 1; nodes <= 12; nodes++) {
        struct bench bench;
        struct command_place place;
        place_nodes(&bench, nodes, nodes, &place);
        unsigned least = UINT32_MAX, most = 0;
        for (uint32_t node = 1; node <= nodes; node++) {
            unsigned load = load_of(&place, node);
            least = load < least ? load : least;
            most = load > most ? load : most;
        }
        cr_expect_leq(most - least, 1, "%u nodes: %u to %u ranges", nodes, least, most);
        cr_expect_eq(place.ranges[0].replicas_count, nodes < 3 ? nodes : 3);
        bench_fini(&bench);
    }
}

Test(placement, replicas_lie_in_distinct_zones_while_there_are_enough)
{
    struct bench bench;
    struct command_place place;
    place_nodes(&bench, 7, 3, &place);
    for (unsigned i = 0; i < place.ranges_count; i++)
        for (unsigned r = 0; r < 3; r++)
            for (unsigned other = 0; other < r; other++)
                cr_expect_neq(place.ranges[i].replicas[r].value % 3, place.ranges[i].replicas[other].value % 3);
    bench_fini(&bench);
    place_nodes(&bench, 4, 2, &place);
    for (unsigned i = 0; i < place.ranges_count; i++) {
        bool zones[2] = {false, false};
        for (unsigned r = 0; r < 3; r++)
            zones[place.ranges[i].replicas[r].value % 2] = true;
        cr_expect(zones[0] && zones[1]);
    }
    bench_fini(&bench);
}

Test(catalog, ranges_are_placed_once)
{
    struct bench bench;
    bench_init(&bench);
    feed_a_cluster(&bench);
    cr_expect_eq(bench.catalog.ranges_count, 16);
    cr_expect_eq(feed_place(&bench), STATUS_CONFLICT);
    cr_expect_eq(bench.catalog.ranges_count, 16);
    cr_expect_eq(catalog_ranges_of(&bench.catalog, (struct node_id){2}), 16);
    bench_fini(&bench);
}

/* ---- makers ---- */

Test(catalog, a_block_of_makers_is_never_given_twice)
{
    struct bench bench;
    bench_init(&bench);
    feed_a_cluster(&bench);
    cr_assert_eq(feed_makers(&bench, 1, 2), STATUS_OK);
    cr_expect_eq(bench.answer.blocks_count, 2);
    cr_assert_eq(feed_makers(&bench, 2, 3), STATUS_OK);
    cr_expect_eq(bench.answer.blocks_count, 3);
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(bench.catalog.block_owner[bench.answer.blocks[i]], 2);
    cr_expect_eq(feed_makers(&bench, 9, 1), STATUS_NOT_FOUND);
    bench_fini(&bench);
}

Test(catalog, asking_again_for_as_many_blocks_leaks_none)
{
    struct bench bench;
    bench_init(&bench);
    feed_a_cluster(&bench);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(feed_makers(&bench, 1, 1), STATUS_OK);
        cr_expect_eq(bench.answer.blocks_count, 1);
        cr_expect_eq(bench.answer.blocks[0], 0);
    }
    cr_assert_eq(feed_makers(&bench, 1, CATALOG_BLOCKS), STATUS_OK);
    cr_expect_eq(bench.answer.blocks_count, CATALOG_BLOCKS);
    cr_expect_eq(feed_makers(&bench, 2, 1), STATUS_CONFLICT, "none is left");
    bench_fini(&bench);
}

/* ---- imports ---- */

Test(catalog, an_import_lives_until_it_is_ended_or_expires)
{
    struct bench bench;
    bench_init(&bench);
    feed_a_cluster(&bench);
    cr_assert_eq(feed_import(&bench, COMMAND_IMPORT_BEGIN, 0, 100), STATUS_OK);
    uint64_t first = bench.answer.number;
    cr_expect_eq(first, bench.index, "a session's number is never used twice");
    cr_assert_eq(feed_import(&bench, COMMAND_IMPORT_BEGIN, 0, 100), STATUS_OK);
    uint64_t second = bench.answer.number;
    cr_assert_eq(feed_import(&bench, COMMAND_IMPORT_RENEW, first, 200), STATUS_OK);
    cr_assert_eq(feed_import(&bench, COMMAND_IMPORT_EXPIRE, first, 100), STATUS_OK);
    cr_expect_eq(bench.catalog.imports_count, 2, "it was renewed after the leader looked");
    cr_assert_eq(feed_import(&bench, COMMAND_IMPORT_EXPIRE, second, 100), STATUS_OK);
    cr_expect_eq(bench.catalog.imports_count, 1);
    cr_expect_eq(feed_import(&bench, COMMAND_IMPORT_RENEW, second, 300), STATUS_NOT_FOUND);
    cr_assert_eq(feed_import(&bench, COMMAND_IMPORT_END, first, 0), STATUS_OK);
    cr_expect_eq(bench.catalog.imports_count, 0);
    cr_expect_eq(feed_import(&bench, COMMAND_IMPORT_END, first, 0), STATUS_OK, "ending twice is no error");
    bench_fini(&bench);
}

/* ---- ranges ---- */

Test(catalog, horizons_rise_and_epochs_follow)
{
    struct bench bench;
    bench_init(&bench);
    feed_a_cluster(&bench);
    struct command horizon = {.kind = COMMAND_HORIZON, .horizon = {{CHAT_MESSAGES_ID}, 1000}};
    cr_assert_eq(feed(&bench, &horizon), STATUS_OK);
    cr_expect_eq(bench.catalog.ranges[3].horizon_ms, 1000);
    cr_expect_eq(bench.catalog.ranges[3].epoch, 2);
    horizon.horizon.unix_ms = 500;
    cr_assert_eq(feed(&bench, &horizon), STATUS_OK);
    cr_expect_eq(bench.catalog.ranges[3].horizon_ms, 1000);
    cr_expect_eq(bench.catalog.ranges[3].epoch, 2);
    struct command epoch = {.kind = COMMAND_EPOCH, .epoch = bench.catalog.ranges[3].id};
    cr_assert_eq(feed(&bench, &epoch), STATUS_OK);
    cr_expect_eq(bench.answer.number, 3);
    cr_expect_eq(bench.catalog.ranges[4].epoch, 2);
    epoch.epoch.value = 99;
    cr_expect_eq(feed(&bench, &epoch), STATUS_NOT_FOUND);
    bench_fini(&bench);
}

/* ---- entries ---- */

/* ---- lapses ---- */

static enum status feed_lapse(struct bench *bench, uint32_t node, uint64_t range, uint64_t known)
{
    struct command command = {.kind = COMMAND_LAPSE, .lapse = {{node}, 1, {{{range}, known}}}};
    return feed(bench, &command);
}

static enum status feed_rebuilt(struct bench *bench, uint32_t node, uint64_t range, uint64_t lapsed_at)
{
    struct command command = {.kind = COMMAND_REBUILT, .rebuilt = {{node}, {range}, lapsed_at}};
    return feed(bench, &command);
}

Test(catalog, a_lapse_is_a_new_epoch_and_so_is_its_end)
{
    struct bench bench;
    bench_init(&bench);
    feed_a_cluster(&bench);
    const struct view_range *range = catalog_range(&bench.catalog, (struct range_id){7});
    unsigned place = view_range_place(range, (struct node_id){2});
    cr_assert_eq(feed_lapse(&bench, 2, 7, 1), STATUS_OK);
    cr_expect(bench.answer.view_changed);
    cr_expect_eq(range->epoch, 2);
    cr_expect(view_range_is_lapsed(range, place));
    cr_expect_eq(catalog_lapsed_of(&bench.catalog, (struct node_id){2}), 1);
    cr_assert_eq(feed_rebuilt(&bench, 2, 7, 2), STATUS_OK);
    cr_expect_eq(range->epoch, 3);
    cr_expect_not(view_range_is_lapsed(range, place));
    cr_expect_not(view_range_counts(range, place, 2));
    cr_expect(view_range_counts(range, place, 3));
    bench_fini(&bench);
}

Test(catalog, a_repeated_lapse_changes_nothing_and_a_second_one_outlives_the_first_rebuild)
{
    struct bench bench;
    bench_init(&bench);
    feed_a_cluster(&bench);
    const struct view_range *range = catalog_range(&bench.catalog, (struct range_id){7});
    unsigned place = view_range_place(range, (struct node_id){2});
    cr_assert_eq(feed_lapse(&bench, 2, 7, 1), STATUS_OK);
    cr_assert_eq(feed_lapse(&bench, 2, 7, 1), STATUS_OK);
    cr_expect_eq(range->epoch, 2);
    cr_assert_eq(feed_lapse(&bench, 2, 7, 2), STATUS_OK);
    cr_expect_eq(range->epoch, 3);
    cr_expect_eq(feed_rebuilt(&bench, 2, 7, 2), STATUS_CONFLICT);
    cr_expect(view_range_is_lapsed(range, place));
    cr_expect_eq(feed_rebuilt(&bench, 2, 7, 3), STATUS_OK);
    cr_expect_eq(feed_rebuilt(&bench, 2, 7, 3), STATUS_OK);
    cr_expect_eq(range->epoch, 4);
    cr_expect_eq(feed_lapse(&bench, 9, 7, 3), STATUS_NOT_FOUND);
    bench_fini(&bench);
}

Test(catalog, a_node_with_another_disk_keeps_its_number_and_loses_its_replicas)
{
    struct bench bench;
    bench_init(&bench);
    feed_a_cluster(&bench);
    struct command replace = {
        .kind = COMMAND_REPLACE, .replace = {.boot = 1, .registration = registration(DAEMON_NODE, 9, 1).registration}};
    replace.replace.uuid.bytes[0] = 8;
    cr_expect_eq(feed(&bench, &replace), STATUS_CONFLICT, "nobody is registered so");
    replace.replace.uuid.bytes[0] = 2;
    replace.replace.boot = 2;
    cr_expect_eq(feed(&bench, &replace), STATUS_CONFLICT, "it was started again meanwhile");
    replace.replace.boot = 1;
    cr_assert_eq(feed(&bench, &replace), STATUS_OK);
    cr_expect_eq(bench.answer.id, 2);
    cr_expect_eq(catalog_lapsed_of(&bench.catalog, (struct node_id){2}), 16);
    cr_expect_eq(catalog_lapsed_of(&bench.catalog, (struct node_id){1}), 0);
    cr_expect_null(catalog_daemon_by_uuid(&bench.catalog, DAEMON_NODE, &replace.replace.uuid));
    cr_expect_eq(feed(&bench, &replace), STATUS_CONFLICT, "a late repetition has no effect");
    bench_fini(&bench);
}

Test(catalog, one_count_of_two_starts_is_a_conflict)
{
    struct bench bench;
    bench_init(&bench);
    feed_a_cluster(&bench);
    struct command copy = registration(DAEMON_NODE, 2, 1);
    copy.registration.instance.bytes[5] = 1;
    cr_expect_eq(feed(&bench, &copy), STATUS_CONFLICT);
    struct command replace = {.kind = COMMAND_REPLACE,
        .replace = {.uuid = {{2}}, .boot = 1, .registration = registration(DAEMON_NODE, 2, 1).registration}};
    cr_expect_eq(feed(&bench, &replace), STATUS_CONFLICT, "it must count above what is known");
    replace.replace.registration.boot = 2;
    cr_expect_eq(feed(&bench, &replace), STATUS_OK);
    cr_expect_eq(catalog_lapsed_of(&bench.catalog, (struct node_id){2}), 16);
    bench_fini(&bench);
}

Test(catalog, an_unknown_kind_stops_an_old_program)
{
    struct bench bench;
    bench_init(&bench);
    uint8_t newer[] = {1, 70, 0}, newer_format[] = {2, 1, 0}, cut[] = {1};
    cr_expect_eq(catalog_apply(&bench.catalog, 1, bytes_of(newer, 3), &bench.answer, &bench.batch), STATUS_CONFLICT);
    cr_expect_eq(
        catalog_apply(&bench.catalog, 1, bytes_of(newer_format, 3), &bench.answer, &bench.batch), STATUS_CONFLICT);
    cr_expect_eq(catalog_apply(&bench.catalog, 1, bytes_of(cut, 1), &bench.answer, &bench.batch), STATUS_CORRUPT);
    bench_fini(&bench);
}

/* ---- records ---- */

static void load_record(void *context, struct bytes key, struct bytes value)
{
    cr_assert_eq(catalog_load(context, key, value), STATUS_OK);
}

static void random_command(struct bench *bench, struct prng *prng)
{
    switch (prng_below(prng, 7)) {
    case 0:
        feed_daemon(bench, DAEMON_NODE, (uint8_t)prng_between(prng, 1, 5), prng_between(prng, 1, 4));
        return;
    case 1:
        feed_daemon(bench, DAEMON_ROUTER, (uint8_t)prng_between(prng, 1, 3), prng_between(prng, 1, 4));
        return;
    case 2:
        feed_makers(bench, (uint32_t)prng_between(prng, 1, 3), (uint16_t)prng_below(prng, 6));
        return;
    case 3:
        feed_import(bench, COMMAND_IMPORT_BEGIN, 0, (int64_t)prng_below(prng, 100));
        return;
    case 4:
        feed_import(bench, COMMAND_IMPORT_END, prng_below(prng, bench->index + 1), 0);
        return;
    case 5: {
        struct command horizon = {
            .kind = COMMAND_HORIZON, .horizon = {{CHAT_MESSAGES_ID}, (int64_t)prng_below(prng, 1000)}};
        feed(bench, &horizon);
        return;
    }
    default: {
        struct command epoch = {.kind = COMMAND_EPOCH, .epoch = {prng_between(prng, 1, 17)}};
        feed(bench, &epoch);
    }
    }
}

Test(catalog, a_state_is_its_records)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct prng prng = prng_seeded(seed);
        struct bench bench;
        bench_init(&bench);
        feed_a_cluster(&bench);
        for (int i = 0; i < 200; i++)
            random_command(&bench, &prng);
        struct catalog copy;
        catalog_init(&copy, &CLUSTER);
        catalog_records(&bench.catalog, load_record, &copy);
        cr_assert_eq(catalog_loaded(&copy), STATUS_OK);
        cr_expect(same_digest(catalog_digest(&bench.catalog), catalog_digest(&copy)), "seed %lu", (unsigned long)seed);
        cr_expect_eq(copy.view_version, bench.catalog.view_version);
        /* Both go on alike. */
        struct bench other = {.catalog = copy, .index = bench.index};
        struct command epoch = {.kind = COMMAND_EPOCH, .epoch = {4}};
        feed(&bench, &epoch);
        feed(&other, &epoch);
        cr_expect(same_digest(catalog_digest(&bench.catalog), catalog_digest(&other.catalog)));
        bench_fini(&bench);
        bench_fini(&other);
    }
}

Test(catalog, the_changes_of_all_entries_add_up_to_the_records)
{
    struct prng prng = prng_seeded(5);
    struct bench bench;
    bench_init(&bench);
    feed_a_cluster(&bench);
    for (int i = 0; i < 300; i++)
        random_command(&bench, &prng);
    struct meta_store *store = meta_memory_create();
    cr_assert_eq(meta_commit(store, &bench.batch, bench.index), STATUS_OK);
    struct catalog copy;
    catalog_init(&copy, &CLUSTER);
    struct meta_cursor *cursor = meta_cursor_create(store, bytes_of(NULL, 0), bytes_of(NULL, 0));
    struct bytes key, value;
    while (meta_cursor_next(cursor, &key, &value))
        cr_assert_eq(catalog_load(&copy, key, value), STATUS_OK);
    meta_cursor_destroy(cursor);
    meta_store_destroy(store);
    cr_assert_eq(catalog_loaded(&copy), STATUS_OK);
    cr_expect(same_digest(catalog_digest(&bench.catalog), catalog_digest(&copy)));
    catalog_fini(&copy);
    bench_fini(&bench);
}

Test(catalog, damaged_records_are_refused)
{
    struct bench bench;
    bench_init(&bench);
    feed_a_cluster(&bench);
    struct catalog copy;
    uint8_t key[9] = {'g', 0, 0, 0, 0, 0, 0, 0, 1}, value[40] = {1};
    catalog_init(&copy, &CLUSTER);
    cr_expect_eq(catalog_load(&copy, bytes_of(key, 9), bytes_of(value, 40)), STATUS_CORRUPT);
    cr_expect_eq(catalog_load(&copy, bytes_of(key, 8), bytes_of(value, 40)), STATUS_CORRUPT);
    catalog_fini(&copy);
    struct uuid other = {{8}};
    catalog_init(&copy, &other);
    uint8_t head[9] = {'h'};
    struct buffer foreign = {0};
    buffer_append(&foreign, "\1", 1);
    buffer_append(&foreign, CLUSTER.bytes, 16);
    buffer_append(&foreign, "\1\0\0\0\0\0\0\0", 8);
    cr_expect_eq(catalog_load(&copy, bytes_of(head, 9), buffer_bytes(&foreign)), STATUS_CORRUPT);
    buffer_free(&foreign);
    catalog_fini(&copy);
    bench_fini(&bench);
}

/* ---- view ---- */

Test(catalog, a_view_survives_encoding)
{
    struct bench bench;
    bench_init(&bench);
    feed_a_cluster(&bench);
    feed_import(&bench, COMMAND_IMPORT_BEGIN, 0, 100);
    struct view_controller controllers[1] = {{.id = {1}, .address = "127.0.1.1:7100"}};
    struct arena arena = {0};
    struct view view, decoded;
    catalog_view(&bench.catalog, controllers, 1, &arena, &view);
    struct buffer bytes = {0};
    view_encode(&view, &bytes);
    cr_assert_eq(view_decode(buffer_bytes(&bytes), &arena, &decoded), STATUS_OK);
    cr_expect_eq(decoded.version, bench.index);
    cr_expect_eq(decoded.ranges_count, 16);
    cr_expect_eq(decoded.nodes_count, 3);
    cr_expect_eq(decoded.routers_count, 2);
    cr_expect_eq(decoded.imports_count, 1);
    cr_expect_eq(decoded.tables_count, 1);
    cr_expect_not_null(view_range_of(&decoded, (struct table_id){CHAT_MESSAGES_ID}, 0));
    buffer_free(&bytes);
    arena_free(&arena);
    bench_fini(&bench);
}
