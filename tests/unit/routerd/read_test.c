#include "routerd/coordinator/read.h"

#include <criterion/criterion.h>

#include "tests/unit/routerd/cast.h"

static struct cast cast;

/* A message that the second node lacks; what it is to write takes long there. */
static void begin(void)
{
    cast_init(&cast);
    cast.nodes[0].has_message = cast.nodes[2].has_message = true;
    cast.nodes[1].write_delay_ns = 3000 * WORLD_MS;
}

static void end(void)
{
    cast_fini(&cast);
}

static const struct coordinator *coordinator(void)
{
    return &cast.worker.coordinator;
}

Test(read, what_a_replica_lacks_is_written_back_to_it_and_then_answered, .init = begin, .fini = end)
{
    cast.nodes[1].write_delay_ns = 20 * WORLD_MS;
    cast_read(&cast, 1, 0);
    cast_pass(&cast, 10 * WORLD_MS);
    cr_expect(cast.answered == 0);
    cast_pass(&cast, 40 * WORLD_MS);
    cr_assert(cast.answered == 1 && cast.last == STATUS_OK);
    cr_expect(coordinator()->counters.write_backs == 1 && coordinator()->replicas.suspicions == 0);
}

Test(read, a_replica_that_takes_its_write_back_late_is_suspected_and_another_is_asked, .init = begin, .fini = end)
{
    cast_read(&cast, 1, 7);
    cast_pass(&cast, 200 * WORLD_MS);
    cr_assert(cast.answered == 1 && cast.last == STATUS_OK);
    cr_expect(cast_was_asked(&cast, 2, 7));
    cr_expect(cast_logged(&cast, "replica.suspect", "node=2 shard=0 why=behind"));
    cast_read(&cast, 2, 8);
    cast_pass(&cast, 20 * WORLD_MS);
    cr_expect(cast.answered == 2 && cast.last == STATUS_OK);
    cr_expect_not(cast_was_asked(&cast, 1, 8), "the next read does not ask it at all");
}

Test(read, one_that_is_silent_when_asked_for_its_state_is_not_waited_for, .init = begin, .fini = end)
{
    cast.nodes[1].delay_ns = 5 * WORLD_MS;
    cast_read(&cast, 1, 7);
    cast_pass(&cast, 7 * WORLD_MS); /* its digest came */
    cast.nodes[1].is_silent = true;
    cast_pass(&cast, 200 * WORLD_MS);
    cr_expect(cast.answered == 1 && cast.last == STATUS_OK);
}

Test(read, it_is_waited_for_when_no_other_could_be_asked, .init = begin, .fini = end)
{
    cast.nodes[1].write_delay_ns = 500 * WORLD_MS;
    cast.reads_all = true;
    cast_read(&cast, 1, 0);
    cast_pass(&cast, 400 * WORLD_MS);
    cr_expect(cast.answered == 0 && coordinator()->replicas.suspicions == 0);
    cast_pass(&cast, 200 * WORLD_MS);
    cr_expect(cast.answered == 1 && cast.last == STATUS_OK);
}

Test(read, a_replica_is_not_trusted_again_while_it_still_takes_writes_late, .init = begin, .fini = end)
{
    cast_read(&cast, 1, 0);
    cast_pass(&cast, 200 * WORLD_MS);
    cr_assert(coordinator()->replicas.suspicions == 1);
    for (unsigned i = 0; i < 80; i++) {
        cast_create(&cast, 2, 5);
        cast_pass(&cast, 100 * WORLD_MS);
    }
    cr_expect(coordinator()->replicas.returns == 0);
    cast.nodes[1].write_delay_ns = 0;
    for (unsigned i = 0; i < 50; i++) {
        cast_create(&cast, 2, 5);
        cast_pass(&cast, 100 * WORLD_MS);
    }
    cr_expect(coordinator()->replicas.returns == 1 && coordinator()->replicas.suspicions == 1);
}

Test(read, a_replica_that_nothing_more_is_asked_of_is_trusted_again, .init = begin, .fini = end)
{
    cast_read(&cast, 1, 0);
    cast_pass(&cast, 10 * WORLD_S);
    cr_expect(coordinator()->replicas.suspicions == 1 && coordinator()->replicas.returns == 1);
}
