#include "common/model/view.h"

#include <criterion/criterion.h>

#include "common/base/hash.h"
#include "common/base/prng.h"
#include "common/model/key.h"

static struct view_node nodes[3] = {
    {.id = {1}, .uuid = {{1}}, .boot = 1, .address = "127.0.2.1:7300", .zone = "a", .shards = 2, .state = NODE_SERVING},
    {.id = {2}, .uuid = {{2}}, .boot = 5, .address = "127.0.2.2:7300", .zone = "b", .shards = 2, .state = NODE_SERVING},
    {.id = {9}, .uuid = {{3}}, .boot = 1, .address = "127.0.2.3:7300", .zone = "c", .shards = 4, .state = NODE_JOINING},
};
static struct view_router routers[1] = {{.id = {1}, .uuid = {{7}}, .address = "127.0.3.1:7200", .workers = 2}};
static struct view_controller controllers[1] = {{.id = {3}, .address = "127.0.1.1:7100"}};
static struct view_import imports[1] = {{.id = 77, .table = {CHAT_MESSAGES_ID}, .deadline_us = 123}};

/* Two tables, the first with three ranges over all tokens, the second with a hole. */
static struct view_range ranges[5] = {
    {.id = {30},
        .table = {1},
        .replicas_count = 3,
        .lo = INT64_MIN,
        .hi = -100,
        .epoch = 1,
        .horizon_ms = HORIZON_NONE,
        .replicas = {{1}, {2}, {9}}},
    {.id = {10},
        .table = {1},
        .replicas_count = 3,
        .lo = -100,
        .hi = 100,
        .epoch = 7,
        .horizon_ms = 1763800000123,
        .replicas = {{1}, {2}, {9}}},
    {.id = {20},
        .table = {1},
        .replicas_count = 1,
        .next_count = 2,
        .lo = 100,
        .hi = INT64_MAX,
        .epoch = 2,
        .horizon_ms = HORIZON_NONE,
        .replicas = {{2}},
        .next = {{2}, {9}}},
    {.id = {50},
        .table = {2},
        .replicas_count = 1,
        .lo = -5,
        .hi = 5,
        .epoch = 1,
        .horizon_ms = HORIZON_NONE,
        .replicas = {{1}}},
    {.id = {40},
        .table = {2},
        .replicas_count = 1,
        .lo = 6,
        .hi = 7,
        .epoch = 1,
        .horizon_ms = HORIZON_NONE,
        .replicas = {{1}}},
};

static struct view make_view(struct arena *arena)
{
    struct table *tables = arena_copy(arena, (struct table[]){CHAT_MESSAGES, CHAT_MESSAGES}, 2 * sizeof *tables);
    tables[1].id.value = 2;
    strcpy(tables[1].name, "chat.other");
    struct view view = {.cluster = {{0xaa}},
        .version = 12,
        .nodes_count = 3,
        .routers_count = 1,
        .controllers_count = 1,
        .tables_count = 2,
        .ranges_count = 5,
        .imports_count = 1,
        .nodes = nodes,
        .routers = routers,
        .controllers = controllers,
        .tables = tables,
        .ranges = ranges,
        .imports = imports};
    cr_assert(view_index(&view, arena));
    return view;
}

static uint64_t range_at(const struct view *view, uint32_t table, int64_t token)
{
    const struct view_range *range = view_range_of(view, (struct table_id){table}, token);
    return range ? range->id.value : 0;
}

static void expect_lookups(const struct view *view)
{
    cr_assert_eq(range_at(view, 1, INT64_MIN), 30);
    cr_assert_eq(range_at(view, 1, INT64_MIN + 1), 30);
    cr_assert_eq(range_at(view, 1, -100), 30);
    cr_assert_eq(range_at(view, 1, -99), 10);
    cr_assert_eq(range_at(view, 1, 100), 10);
    cr_assert_eq(range_at(view, 1, 101), 20);
    cr_assert_eq(range_at(view, 1, INT64_MAX), 20);
    cr_assert_eq(range_at(view, 2, -5), 0);
    cr_assert_eq(range_at(view, 2, INT64_MIN), 0);
    cr_assert_eq(range_at(view, 2, 5), 50);
    cr_assert_eq(range_at(view, 2, 6), 0);
    cr_assert_eq(range_at(view, 2, 7), 40);
    cr_assert_eq(range_at(view, 2, 8), 0);
    cr_assert_eq(range_at(view, 0, 0), 0);
    cr_assert_eq(range_at(view, 3, 0), 0);
    for (unsigned i = 0; i < view->ranges_count; i++)
        cr_assert_eq(view_range_by_id(view, view->ranges[i].id), &view->ranges[i]);
    cr_assert_null(view_range_by_id(view, (struct range_id){11}));
    cr_assert_null(view_range_by_id(view, (struct range_id){99}));
    cr_assert_str_eq(view_node_by_id(view, (struct node_id){9})->address, "127.0.2.3:7300");
    cr_assert_null(view_node_by_id(view, (struct node_id){3}));
    cr_assert_eq(view_router_by_id(view, (struct router_id){1})->workers, 2);
    cr_assert_not_null(view_controller_by_id(view, (struct controller_id){3}));
    cr_assert_eq(view_table_named(view, bytes_text("chat.other"))->id.value, 2);
    cr_assert_str_eq(view_table_by_id(view, (struct table_id){1})->name, "chat.messages");
    cr_assert_eq(view_import_by_id(view, 77)->deadline_us, 123);
    cr_assert_null(view_import_by_id(view, 78));
    cr_assert(view_range_has(&view->ranges[2], (struct node_id){9}));
    cr_assert_not(view_range_has(&view->ranges[2], (struct node_id){1}));
}

Test(view, lookups_find_what_is_there)
{
    struct arena arena = {0};
    struct view view = make_view(&arena);
    expect_lookups(&view);
    view.ranges_by_id = NULL;
    expect_lookups(&view);
    arena_free(&arena);
}

Test(view, comes_back_from_its_bytes)
{
    struct arena arena = {0};
    struct buffer out = {0}, again = {0};
    struct view view = make_view(&arena), decoded, copied;
    view_encode(&view, &out);
    cr_assert_eq(view_decode(buffer_bytes(&out), &arena, &decoded), STATUS_OK);
    expect_lookups(&decoded);
    cr_assert_eq(decoded.version, 12);
    view_copy(&decoded, &arena, &copied);
    expect_lookups(&copied);
    view_encode(&copied, &again);
    cr_assert(bytes_equal(buffer_bytes(&out), buffer_bytes(&again)));
    cr_assert_eq(out.size, 724);
    cr_assert_eq(crc32c(0, out.data, out.size), 0xad18ac0e);
    buffer_free(&out);
    buffer_free(&again);
    arena_free(&arena);
}

Test(view, an_empty_view_is_a_view)
{
    struct arena arena = {0};
    struct buffer out = {0};
    struct view view = {0}, decoded;
    view_encode(&view, &out);
    cr_assert_eq(view_decode(buffer_bytes(&out), &arena, &decoded), STATUS_OK);
    cr_assert_eq(range_at(&decoded, 1, 0), 0);
    cr_assert_null(view_node_by_id(&decoded, (struct node_id){1}));
    buffer_free(&out);
    arena_free(&arena);
}

Test(view, damage_is_refused_or_canonical)
{
    struct arena arena = {0}, scratch = {0};
    struct buffer out = {0}, again = {0};
    struct view view = make_view(&arena), decoded;
    struct prng prng = prng_seeded(13);
    view_encode(&view, &out);
    for (size_t size = 0; size < out.size; size++) {
        cr_assert_eq(view_decode(bytes_of(out.data, size), &scratch, &decoded), STATUS_BAD_REQUEST);
        arena_reset(&scratch);
    }
    for (int i = 0; i < 20000; i++) {
        size_t at = prng_below(&prng, out.size);
        uint8_t kept = out.data[at];
        out.data[at] = (uint8_t)prng_next(&prng);
        buffer_clear(&again);
        if (view_decode(buffer_bytes(&out), &scratch, &decoded) == STATUS_OK) {
            view_encode(&decoded, &again);
            cr_assert(bytes_equal(buffer_bytes(&out), buffer_bytes(&again)));
        }
        arena_reset(&scratch);
        out.data[at] = kept;
    }
    buffer_free(&out);
    buffer_free(&again);
    arena_free(&scratch);
    arena_free(&arena);
}

Test(view, a_range_lies_on_one_shard_and_all_shards_get_some)
{
    unsigned counts[4] = {0};
    for (uint64_t id = 1; id <= 64; id++)
        counts[view_shard_of((struct range_id){id}, 4)]++;
    for (int i = 0; i < 4; i++)
        cr_assert_gt(counts[i], 4);
    cr_assert_eq(view_shard_of((struct range_id){5}, 1), 0);
}

Test(view, a_lapse_travels_with_its_range)
{
    struct view_range range = ranges[1], decoded;
    range.lapsed_at[1] = 5;
    range.rebuilt_at[1] = 6;
    range.lapsed_at[2] = 7;
    struct buffer bytes = {0}, plain = {0};
    view_range_encode(&range, &bytes);
    view_range_encode(&ranges[1], &plain);
    cr_expect_eq(bytes.size, plain.size + 6, "ranges without a lapse pay nothing");
    struct reader reader = reader_of(buffer_bytes(&bytes));
    cr_assert_eq(view_range_decode(&reader, &decoded), STATUS_OK);
    cr_assert(reader_done(&reader));
    cr_expect_arr_eq(decoded.lapsed_at, range.lapsed_at, sizeof range.lapsed_at);
    cr_expect_arr_eq(decoded.rebuilt_at, range.rebuilt_at, sizeof range.rebuilt_at);
    for (size_t size = 0; size < bytes.size; size++) {
        reader = reader_of(bytes_of(bytes.data, size));
        cr_expect_eq(view_range_decode(&reader, &decoded), STATUS_BAD_REQUEST, "%zu", size);
    }
    range.lapsed_at[2] = 8;
    buffer_clear(&bytes);
    view_range_encode(&range, &bytes);
    reader = reader_of(buffer_bytes(&bytes));
    cr_expect_eq(view_range_decode(&reader, &decoded), STATUS_BAD_REQUEST, "no lapse is newer than its record");
    buffer_free(&bytes);
    buffer_free(&plain);
}

Test(view, what_was_answered_before_a_lapse_or_within_it_counts_nowhere)
{
    struct view_range range = ranges[1];
    cr_expect(view_range_counts(&range, 1, 1));
    range.lapsed_at[1] = 5;
    cr_expect(view_range_is_lapsed(&range, 1));
    cr_expect_not(view_range_counts(&range, 1, 4));
    cr_expect_not(view_range_counts(&range, 1, 7));
    range.rebuilt_at[1] = 7;
    cr_expect_not(view_range_is_lapsed(&range, 1));
    cr_expect_not(view_range_counts(&range, 1, 6));
    cr_expect(view_range_counts(&range, 1, 7));
    cr_expect(view_range_counts(&range, 0, 4), "the others are not concerned");
    cr_expect_eq(view_range_place(&range, (struct node_id){9}), 2);
    cr_expect_eq(view_range_place(&range, (struct node_id){8}), 3);
}
