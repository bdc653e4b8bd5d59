#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>

#include "tests/sim/scenario.h"

static enum status read_text(const char *text, struct scenario *scenario, char *why)
{
    FILE *file = fmemopen((char *)(uintptr_t)text, strlen(text), "r");
    enum status status = scenario_read(scenario, file, why);
    fclose(file);
    return status;
}

static char *text_of(const struct scenario *scenario)
{
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    scenario_write(scenario, file);
    fclose(file);
    return text;
}

static void expect_same(const struct scenario *a, const struct scenario *b, uint64_t seed)
{
    cr_expect_eq(a->hosts.controllers, b->hosts.controllers);
    cr_expect_eq(a->hosts.nodes, b->hosts.nodes);
    cr_expect_eq(a->hosts.routers, b->hosts.routers);
    cr_expect_eq(a->hosts.clients, b->hosts.clients);
    cr_expect_arr_eq(a->shards, b->shards, a->hosts.nodes * sizeof a->shards[0]);
    cr_expect_arr_eq(a->workers, b->workers, a->hosts.routers * sizeof a->workers[0]);
    cr_expect_arr_eq(a->clock_offset_us, b->clock_offset_us, sizeof a->clock_offset_us);
    cr_expect_eq(a->net_delay_ns, b->net_delay_ns);
    cr_expect_eq(a->net_jitter_ns, b->net_jitter_ns);
    cr_expect_eq(a->disk_keep_ppm, b->disk_keep_ppm);
    cr_expect_arr_eq(&a->workload, &b->workload, sizeof a->workload, "workload of seed %lu", (unsigned long)seed);
    cr_expect_eq(a->plan.safety_ns, b->plan.safety_ns);
    cr_expect_eq(a->plan.kinds, b->plan.kinds);
    cr_assert_eq(a->plan.events_count, b->plan.events_count, "seed %lu", (unsigned long)seed);
    for (uint32_t i = 0; i < a->plan.events_count; i++) {
        const struct plan_event *left = &a->plan.events[i], *right = &b->plan.events[i];
        bool same = left->at_ns == right->at_ns && left->length_ns == right->length_ns && left->kind == right->kind &&
                    left->target == right->target && left->argument == right->argument;
        cr_expect(same, "event %u of seed %lu", i, (unsigned long)seed);
    }
}

Test(scenario, what_is_written_reads_back_the_same)
{
    static struct scenario drawn, back;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        struct plan_bounds bounds = {.kinds = UINT64_MAX, .length = 1 + (uint32_t)(seed % 4)};
        char why[SCENARIO_WHY_BYTES] = "";
        scenario_draw(&drawn, seed, &bounds);
        char *text = text_of(&drawn);
        cr_assert_eq(read_text(text, &back, why), STATUS_OK, "seed %lu: %s", (unsigned long)seed, why);
        expect_same(&drawn, &back, seed);
        free(text);
    }
}

Test(scenario, what_is_not_said_is_usual)
{
    static struct scenario scenario;
    char why[SCENARIO_WHY_BYTES] = "";
    cr_assert_eq(
        read_text("# nothing but a fault\n\n2.5 kill node2 for 1\n1 cut client0 router1 for 0.5\n", &scenario, why),
        STATUS_OK, "%s", why);
    cr_expect_eq(scenario.hosts.controllers, 3);
    cr_expect_eq(scenario.hosts.nodes, 3);
    cr_expect_not(scenario.all_served);
    cr_assert_eq(scenario.plan.events_count, 2);
    cr_expect_eq(scenario.plan.events[0].kind, FAULT_CUT);
    cr_expect_eq(scenario.plan.events[0].target, 8); /* behind three controllers, three nodes and two routers */
    cr_expect_eq(scenario.plan.events[0].argument, 6);
    cr_expect_eq(scenario.plan.events[1].at_ns, 2500 * WORLD_MS);
    cr_expect_eq(scenario.plan.events[1].length_ns, WORLD_S);
}

Test(scenario, a_line_that_means_nothing_is_named)
{
    static struct scenario scenario;
    static const char *const wrong[] = {"seed\n", "weather fine\n", "nodes 2 x\n", "nodes\n", "lanes 99\n",
        "weights 1 2\n", "1 kill\n", "1 kill node9\n", "1 kill client0\n", "1 explode node1\n", "1 disk-slow node1\n",
        "1 kill node1 for\n", "1 kill node1 for 2 3\n", "1 kill node1 until 2\n", "1 partition node1,nobody for 2\n",
        "1 slow-link node1 node2 0 for 1\n", "1 torn-elections node1 for 9\n", "all-served yes\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char why[SCENARIO_WHY_BYTES] = "", text[200];
        snprintf(text, sizeof text, "seed 4\n%s", wrong[i]);
        cr_expect_eq(read_text(text, &scenario, why), STATUS_BAD_REQUEST, "%s", wrong[i]);
        cr_expect(strstr(why, "line 2"), "%s: %s", wrong[i], why);
    }
}
