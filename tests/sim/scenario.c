#include "tests/sim/scenario.h"

#include "common/base/check.h"

static void draw_hosts(struct scenario *scenario, struct prng *prng)
{
    struct plan_hosts *hosts = &scenario->hosts;
    hosts->controllers = prng_chance(prng, 200000) ? 1 : 3;
    hosts->nodes = (uint32_t)prng_between(prng, 3, 5);
    hosts->routers = (uint32_t)prng_between(prng, 1, 3);
    for (uint32_t i = 0; i < hosts->nodes; i++)
        scenario->shards[i] = (uint32_t)prng_between(prng, 1, 3);
    for (uint32_t i = 0; i < hosts->routers; i++)
        scenario->workers[i] = (uint32_t)prng_between(prng, 1, 2);
}

/* A network of one rack or of a continent, disks that lose all that was not synced or nearly nothing. */
static void draw_weather(struct scenario *scenario, struct prng *prng)
{
    static const uint32_t keeps[3] = {0, 500000, 900000};
    scenario->net_delay_ns = (50ull << prng_below(prng, 8)) * WORLD_US;
    scenario->net_jitter_ns = scenario->net_delay_ns * prng_between(prng, 1, 4) / 2;
    static const uint32_t memories[4] = {16, 16, 16, 48}, snapshots[3] = {16, 16, 200},
                          appends[3] = {100, 2000, 262144};
    scenario->node_memory_mib = memories[prng_below(prng, 4)];
    scenario->snapshot_entries = snapshots[prng_below(prng, 3)];
    scenario->append_bytes = appends[prng_below(prng, 3)];
    scenario->disk_keep_ppm = keeps[prng_below(prng, 3)];
}

void scenario_draw(struct scenario *scenario, uint64_t seed, const struct plan_bounds *bounds)
{
    struct prng topology = prng_split(seed, "topology"), plan = prng_split(seed, "plan"),
                clock = prng_split(seed, "clock");
    *scenario = (struct scenario){.seed = seed};
    draw_hosts(scenario, &topology);
    workload_draw(&topology, &scenario->workload);
    scenario->hosts.clients = scenario->workload.users;
    plan_draw(&scenario->plan, &plan, &scenario->hosts, bounds);
    draw_weather(scenario, &topology);
    bool clocks = scenario->plan.kinds & (1ull << FAULT_CLOCK_STEP | 1ull << FAULT_CLOCK_RATE);
    for (uint32_t i = 0; i < plan_daemons(&scenario->hosts); i++) {
        uint64_t draw = prng_below(&clock, 200000);
        scenario->clock_offset_us[i] = clocks ? (int64_t)draw - 100000 : 0;
    }
    CHECK(plan_daemons(&scenario->hosts) <= SCENARIO_HOSTS_MAX);
}
