#include "common/cluster/router_ring.h"

#include <criterion/criterion.h>

#include "common/base/prng.h"

enum { ROUTERS = 4, WORKERS = 2, TOKENS = 4000 };

static struct view ring_of(struct view_router routers[ROUTERS], unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        routers[i] = (struct view_router){.id = {i + 1}, .workers = WORKERS};
    return (struct view){.routers = routers, .routers_count = count};
}

Test(router_ring, a_view_without_routers_has_no_owner)
{
    struct view view = {0};
    cr_assert_null(router_ring_owner(&view, 7, NULL));
}

Test(router_ring, shares_are_about_equal_and_a_router_that_goes_moves_only_its_own)
{
    struct view_router all[ROUTERS], fewer[ROUTERS];
    struct view before = ring_of(all, ROUTERS), after = ring_of(fewer, ROUTERS - 1);
    unsigned shares[ROUTERS * WORKERS] = {0};
    struct prng prng = prng_seeded(3);
    for (unsigned i = 0; i < TOKENS; i++) {
        int64_t token = (int64_t)prng_next(&prng);
        uint16_t worker, later;
        const struct view_router *owner = router_ring_owner(&before, token, &worker);
        const struct view_router *next = router_ring_owner(&after, token, &later);
        shares[(owner->id.value - 1) * WORKERS + worker]++;
        if (owner->id.value == ROUTERS) continue;
        cr_assert_eq(next->id.value, owner->id.value);
        cr_assert_eq(later, worker);
    }
    for (unsigned i = 0; i < ROUTERS * WORKERS; i++)
        cr_assert(shares[i] > TOKENS / (ROUTERS * WORKERS) * 3 / 4 && shares[i] < TOKENS / (ROUTERS * WORKERS) * 5 / 4,
            "entry %u owns %u of %u", i, shares[i], TOKENS);
}
