#include "routerd/api/worker.h"

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

Test(worker, a_slow_call_leaves_a_line_with_the_trace_that_its_replicas_saw, .init = begin, .fini = end)
{
    for (unsigned i = 0; i < CAST_NODES; i++)
        cast.nodes[i].delay_ns = 150 * WORLD_MS;
    cast_create_traced(&cast, 0xabcd01);
    cast_pass(&cast, 1000 * WORLD_MS);
    cr_assert(cast.answered == 1 && cast.last == STATUS_OK);
    cr_expect(cast_logged(&cast, "call.slow", "trace=0000000000abcd01"), "%s", cast.lines);
    cast_read(&cast, 1, 0xabcd02);
    cast_pass(&cast, 1000 * WORLD_MS);
    cr_assert(cast.answered == 2 && cast.last == STATUS_OK);
    cr_expect(cast_logged(&cast, "call.slow method=MESSAGE_LIST", "trace=0000000000abcd02"), "%s", cast.lines);
    unsigned create = 0, read = 0;
    for (unsigned i = 0; i < CAST_NODES; i++) {
        create += cast_was_asked(&cast, i, 0xabcd01);
        read += cast_was_asked(&cast, i, 0xabcd02);
    }
    cr_expect(create == CAST_NODES && read >= 2, "%u and %u replicas", create, read);
}

Test(worker, a_slow_read_that_boarded_names_the_trace_of_its_flight, .init = begin, .fini = end)
{
    for (unsigned i = 0; i < CAST_NODES; i++)
        cast.nodes[i].delay_ns = 150 * WORLD_MS;
    cast_read(&cast, 1, 0xabcd01);
    cast_read(&cast, 1, 0xabcd02);
    cast_pass(&cast, 1000 * WORLD_MS);
    cr_assert(cast.answered == 2);
    cr_expect(cast_logged(&cast, "trace=0000000000abcd02", "flight=0000000000abcd01"), "%s", cast.lines);
    cr_expect_not(cast_was_asked(&cast, 0, 0xabcd02) || cast_was_asked(&cast, 1, 0xabcd02));
}

Test(worker, calls_that_are_quick_leave_no_line, .init = begin, .fini = end)
{
    cast_create(&cast, 100, 5);
    cast_read(&cast, 1, 0xabcd02);
    cast_pass(&cast, 1000 * WORLD_MS);
    cr_assert(cast.answered == 101);
    cr_expect_not(cast_logged(&cast, "call.", ""), "%s", cast.lines);
}

Test(worker, many_slow_calls_leave_a_few_lines_a_second, .init = begin, .fini = end)
{
    for (unsigned i = 0; i < CAST_NODES; i++)
        cast.nodes[i].delay_ns = 150 * WORLD_MS;
    cast_create(&cast, 400, 5);
    cast_pass(&cast, 3000 * WORLD_MS);
    cr_assert(cast.answered == 400);
    unsigned lines = 0;
    for (size_t i = 0; i < cast.lines_size; i++)
        lines += cast.lines[i] == '\n';
    cr_expect(lines >= 10 && lines <= 60, "%u", lines);
}
