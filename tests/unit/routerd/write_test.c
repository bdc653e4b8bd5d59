#include "routerd/coordinator/write.h"

#include <criterion/criterion.h>

#include "tests/unit/routerd/cast.h"

static struct cast cast;

static void begin(void)
{
    cast_init(&cast);
}

static void end(void)
{
    cast_fini(&cast);
}

static const struct coordinator *coordinator(void)
{
    return &cast.worker.coordinator;
}

/* A read that must ask all finds out; it waits on. */
static void silence_and_suspect(void)
{
    cast.nodes[2].is_silent = true;
    cast.reads_all = true;
    cast_read(&cast, 1, 0);
    cast_pass(&cast, 500 * WORLD_MS);
    cr_assert(coordinator()->replicas.suspicions == 1);
}

Test(write, a_write_that_all_answered_leaves_nothing_open, .init = begin, .fini = end)
{
    cast_create(&cast, 1000, 5);
    cast_pass(&cast, 1000 * WORLD_MS);
    cr_assert(cast.answered == 1000 && cast.last == STATUS_OK);
    cr_expect(coordinator()->open == 0 && coordinator()->late_count == 0 && coordinator()->late_bytes == 0);
    for (unsigned i = 0; i < CAST_NODES; i++)
        cr_expect(cast.nodes[i].calls == 1000);
    cr_expect(coordinator()->counters.abandoned == 0);
}

Test(write, the_slowest_replica_is_waited_for_while_few_wait, .init = begin, .fini = end)
{
    cast.nodes[2].delay_ns = 500 * WORLD_MS;
    cast_create(&cast, 100, 5);
    cast_pass(&cast, 200 * WORLD_MS);
    cr_assert(cast.answered == 100 && cast.last == STATUS_OK);
    cr_expect(coordinator()->late_count == 100);
    cast_pass(&cast, 1000 * WORLD_MS);
    cr_expect(coordinator()->open == 0 && coordinator()->late_count == 0);
    cr_expect(coordinator()->counters.abandoned == 0);
}

Test(write, what_waits_for_a_stopped_replica_is_bounded_by_count, .init = begin, .fini = end)
{
    process_pause_until(cast.nodes[2].process, world_now(cast.world) + 3600 * WORLD_S);
    for (unsigned i = 0; i < 40; i++) {
        cast_create(&cast, 500, 5);
        cast_pass(&cast, 20 * WORLD_MS);
    }
    cr_assert(cast.answered == 20000 && cast.last == STATUS_OK, "%u answered", cast.answered);
    cr_expect(coordinator()->late_count <= LATE_WRITES_MAX);
    cr_expect(coordinator()->open <= LATE_WRITES_MAX);
    cr_expect(coordinator()->counters.abandoned > 0);
}

Test(write, what_waits_for_a_stopped_replica_is_bounded_by_bytes, .init = begin, .fini = end)
{
    process_pause_until(cast.nodes[2].process, world_now(cast.world) + 3600 * WORLD_S);
    for (unsigned i = 0; i < 100; i++) {
        cast_create(&cast, 10, 60000);
        cast_pass(&cast, 20 * WORLD_MS);
    }
    cr_assert(cast.answered == 1000 && cast.last == STATUS_OK, "%u answered", cast.answered);
    cr_expect(coordinator()->late_bytes <= LATE_BYTES_MAX);
    cr_expect(coordinator()->counters.abandoned > 0);
    cast_pass(&cast, 20 * WORLD_S);
    cr_expect(coordinator()->open == 0 && coordinator()->late_count == 0 && coordinator()->late_bytes == 0);
}

Test(write, a_suspected_replica_that_answers_nothing_gets_no_more, .init = begin, .fini = end)
{
    silence_and_suspect();
    unsigned answered = cast.answered;
    unsigned before = cast.nodes[2].calls;
    cast_create(&cast, 2 * SUSPECTED_OPEN_MAX, 5);
    cast_pass(&cast, 100 * WORLD_MS);
    cr_assert(cast.last == STATUS_OK && cast.answered - answered == 2 * SUSPECTED_OPEN_MAX);
    cr_expect_leq(cast.nodes[2].calls - before, SUSPECTED_OPEN_MAX + 2);
    cr_expect_geq(cast.nodes[2].calls - before, SUSPECTED_OPEN_MAX / 2, "it still gets some: it may be slow only");
}

Test(write, a_replica_that_is_back_gets_writes_again, .init = begin, .fini = end)
{
    silence_and_suspect();
    cast_create(&cast, 2 * SUSPECTED_OPEN_MAX, 5);
    cast_pass(&cast, 100 * WORLD_MS);
    cast.nodes[2].is_silent = false;
    cast_pass(&cast, 12 * WORLD_S); /* probes are answered, and what was open has ended */
    unsigned before = cast.nodes[2].calls;
    cast_create(&cast, 1000, 5);
    cast_pass(&cast, 1000 * WORLD_MS);
    cr_expect(cast.nodes[2].calls - before >= 1000);
}

/* ---- full disks ---- */

static unsigned asked_in_all(void)
{
    return cast.nodes[0].calls + cast.nodes[1].calls + cast.nodes[2].calls;
}

Test(write, one_that_too_few_disks_have_room_for_is_refused_and_not_sent, .init = begin, .fini = end)
{
    cast_pass(&cast, 2 * WORLD_S);
    cast_set_space(&cast, 0, SPACE_LEVEL_NO_WRITES);
    cast_set_space(&cast, 2, SPACE_LEVEL_NO_REPAIR);
    cast_pass(&cast, 100 * WORLD_MS);
    cast_create(&cast, 10, 5);
    cast_pass(&cast, 100 * WORLD_MS);
    cr_expect(cast.answered == 10 && cast.last == STATUS_FULL, "%u answered %s", cast.answered, status_name(cast.last));
    cr_expect_eq(asked_in_all(), 0);
    cr_expect_eq(coordinator()->counters.full, 10);
    cr_expect(cast_logged(&cast, "replica.space", "node=1"));
    cr_expect(cast_logged(&cast, "replica.space", "node=3"));
    /* Space returns, and nobody has to ask. */
    cast_pass(&cast, WORLD_S);
    cast_set_space(&cast, 2, SPACE_LEVEL_NO_IMPORTS);
    cast_pass(&cast, 100 * WORLD_MS);
    cast_create(&cast, 10, 5);
    cast_pass(&cast, 100 * WORLD_MS);
    cr_expect(cast.answered == 20 && cast.last == STATUS_OK, "%u answered %s", cast.answered, status_name(cast.last));
    cr_expect(cast.nodes[0].calls == 0 && cast.nodes[1].calls == 10 && cast.nodes[2].calls == 10);
}

Test(write, a_node_with_a_full_disk_is_left_out_and_the_others_are_enough, .init = begin, .fini = end)
{
    cast_pass(&cast, 2 * WORLD_S);
    cast_set_space(&cast, 1, SPACE_LEVEL_NO_WRITES);
    cast_pass(&cast, 100 * WORLD_MS);
    cast_create(&cast, 10, 5);
    cast_pass(&cast, 100 * WORLD_MS);
    cr_expect(cast.answered == 10 && cast.last == STATUS_OK);
    cr_expect(cast.nodes[0].calls == 10 && cast.nodes[1].calls == 0 && cast.nodes[2].calls == 10);
    cr_expect(coordinator()->open == 0);
}

Test(write, reads_prefer_nodes_that_take_what_is_new, .init = begin, .fini = end)
{
    cast_pass(&cast, 2 * WORLD_S);
    cast_set_space(&cast, 1, SPACE_LEVEL_NO_WRITES);
    cast_pass(&cast, 100 * WORLD_MS);
    for (unsigned i = 0; i < 20; i++) {
        cast_read(&cast, i + 1, 0);
        cast_pass(&cast, 20 * WORLD_MS);
    }
    cr_expect(cast.answered == 20 && cast.last == STATUS_OK);
    cr_expect_eq(cast.nodes[1].calls, 0);
}
