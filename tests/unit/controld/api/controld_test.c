#include "controld/controld.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/prng.h"
#include "proto/client.pb-c.h"
#include "proto/control.pb-c.h"
#include "tests/unit/controld/api/group.h"

static void expect_fine(struct group *group)
{
    if (!world_failure(group->world)) return;
    world_trace_dump(group->world, 60);
    cr_assert_fail("%s", world_failure(group->world));
}

static struct group *serving_group(uint64_t seed, unsigned controllers, unsigned snapshot_entries)
{
    struct group *group = group_create(seed, controllers, snapshot_entries);
    group_start_all(group);
    cr_assert_neq(group_await_leader(group, 10000), 0);
    for (int i = 0; i < 3; i++)
        group_start_node(group);
    for (int i = 0; i < 200 && group->nodes[2].ranges == 0; i++)
        group_run(group, 50);
    expect_fine(group);
    cr_assert_eq(group->nodes[2].ranges, 16);
    return group;
}

static unsigned follower_of(unsigned leader)
{
    return leader == 1 ? 2 : 1;
}

static enum status bump(struct group *group, struct asked *asked, uint64_t range)
{
    Trillium__V1__EpochCall call = TRILLIUM__V1__EPOCH_CALL__INIT;
    call.range = range;
    return group_call(group, asked, METHOD_CONTROL_EPOCH, &call.base);
}

static uint64_t epoch_in(const struct asked *asked)
{
    struct arena arena = {0};
    Trillium__V1__EpochAnswer *answer =
        rpc_decode(&arena, &trillium__v1__epoch_answer__descriptor, bytes_of(asked->body, asked->bytes));
    uint64_t epoch = answer ? answer->epoch : 0;
    arena_free(&arena);
    return epoch;
}

Test(controld, one_controller_alone_serves)
{
    struct group *group = group_create(1, 1, 64);
    group->bootstrap_nodes = 1;
    group_start_all(group);
    cr_assert_eq(group_await_leader(group, 3000), 1);
    group_start_node(group);
    group_run(group, 3000);
    expect_fine(group);
    cr_expect_eq(group->nodes[0].id, 1);
    cr_expect_eq(group->nodes[0].ranges, 16);
    group_destroy(group);
}

Test(controld, three_nodes_register_and_get_ranges)
{
    struct group *group = serving_group(2, 3, 64);
    for (unsigned i = 0; i < 3; i++) {
        cr_expect_neq(group->nodes[i].id, 0);
        cr_expect_eq(group->nodes[i].nodes, 3);
    }
    cr_expect(group_await_equal(group, 5000));
    cr_expect_gt(group->compared, 0);
    expect_fine(group);
    group_destroy(group);
}

Test(controld, a_stop_hands_leadership_over_and_leaves_nothing)
{
    struct group *group = serving_group(3, 3, 64);
    for (int i = 0; i < 3; i++) {
        unsigned leader = group_await_leader(group, 5000);
        cr_assert_neq(leader, 0);
        uint64_t from = world_now(group->world);
        group_stop(group, leader);
        expect_fine(group);
        cr_expect_neq(group_leader(group), 0, "the next one leads before the old one is gone");
        cr_expect_lt((world_now(group->world) - from) / WORLD_MS, 4000);
        group_start(group, leader);
        cr_expect(group_await_equal(group, 10000));
    }
    expect_fine(group);
    group_destroy(group);
}

Test(controld, the_death_of_a_leader_costs_seconds)
{
    struct group *group = serving_group(4, 3, 64);
    struct asked asked = {0};
    uint64_t epoch = 1;
    for (int i = 0; i < 4; i++) {
        unsigned leader = group_await_leader(group, 5000);
        if (i % 2)
            group_kill(group, leader);
        else
            group_power_cut(group, leader);
        cr_assert_eq(bump(group, &asked, 3), STATUS_OK);
        cr_expect_gt(epoch_in(&asked), epoch);
        epoch = epoch_in(&asked);
        group_start(group, leader);
    }
    cr_expect(group_await_equal(group, 10000));
    expect_fine(group);
    group_destroy(group);
}

Test(controld, a_power_cut_of_all_loses_nothing_that_was_answered)
{
    for (uint64_t seed = 10; seed < 20; seed++) {
        struct group *group = serving_group(seed, 3, 16);
        struct asked asked = {0};
        uint64_t epoch = 1;
        for (int round = 0; round < 3; round++) {
            for (int i = 0; i < 10; i++) {
                cr_assert_eq(bump(group, &asked, 5), STATUS_OK);
                cr_expect_gt(epoch_in(&asked), epoch);
                epoch = epoch_in(&asked);
            }
            for (unsigned i = 1; i <= 3; i++)
                group_power_cut(group, i);
            group_run(group, 200);
            group_start_all(group);
        }
        cr_assert_eq(bump(group, &asked, 5), STATUS_OK);
        cr_expect_gt(epoch_in(&asked), epoch);
        cr_expect(group_await_equal(group, 10000));
        expect_fine(group);
        group_destroy(group);
    }
}

Test(controld, a_minority_answers_no_change_and_catches_up)
{
    struct group *group = serving_group(5, 3, 16);
    unsigned leader = group_await_leader(group, 5000);
    group_partition(group, 1u << leader);
    struct asked asked = {0};
    for (int i = 0; i < 60; i++)
        cr_assert_eq(bump(group, &asked, 2), STATUS_OK);
    unsigned next = group_leader(group);
    cr_expect_neq(next, leader);
    struct controld_sight old;
    cr_assert(group_sight(group, leader, &old));
    cr_expect_not(old.is_leader, "a leader that hears of no quorum steps down");
    group_partition(group, 0);
    cr_expect(group_await_equal(group, 15000));
    cr_assert(group_sight(group, leader, &old));
    cr_expect_gt(old.snapshot, 0, "it was too far behind for the log");
    expect_fine(group);
    group_destroy(group);
}

Test(controld, a_lost_data_directory_stops_it_until_the_leader_forgets)
{
    struct group *group = serving_group(6, 3, 16);
    struct asked asked = {0};
    for (int i = 0; i < 40; i++)
        cr_assert_eq(bump(group, &asked, 1), STATUS_OK);
    cr_assert(group_await_equal(group, 5000));
    unsigned leader = group_await_leader(group, 5000), lost = follower_of(leader);
    group_kill(group, lost);
    group_wipe(group, lost);
    group->may_die = true;
    group_start(group, lost);
    group_run(group, 5000);
    cr_expect_eq(group->deaths, 1, "the leader remembers what it had acknowledged");
    /* As its last words say: */
    group_stop(group, leader);
    group_start(group, leader);
    group_start(group, lost);
    cr_expect(group_await_equal(group, 15000));
    cr_expect_eq(group->deaths, 1);
    struct controld_sight sight;
    cr_assert(group_sight(group, lost, &sight));
    cr_expect_gt(sight.snapshot, 0);
    expect_fine(group);
    group_destroy(group);
}

/* From the other controllers only: nodes still reach it. */
static void cut_off(struct group *group, unsigned number)
{
    uint32_t host = group->controllers[number - 1].host;
    for (unsigned other = 0; other < group->count; other++) {
        sim_net_cut(group->net, host, group->controllers[other].host, true);
        sim_net_cut(group->net, group->controllers[other].host, host, true);
    }
}

Test(controld, views_come_past_a_controller_that_is_cut_off)
{
    struct group *group = serving_group(9, 3, 64);
    struct asked asked = {0};
    for (int round = 0; round < 3; round++) {
        /* Nodes stay with the leader that they registered with, for their views too. */
        unsigned leader = group_await_leader(group, 5000);
        cut_off(group, leader);
        group_run(group, 5000);
        unsigned next = group_leader(group);
        cr_assert_neq(next, leader);
        cr_assert_eq(bump(group, &asked, 4), STATUS_OK);
        struct controld_sight sight;
        cr_assert(group_sight(group, next, &sight));
        group_run(group, 25000);
        for (unsigned i = 0; i < group->nodes_count; i++)
            cr_expect_geq(group->nodes[i].version, sight.applied, "round %d: node %u", round, i + 1);
        group_partition(group, 0);
        cr_expect(group_await_equal(group, 10000));
    }
    expect_fine(group);
    group_destroy(group);
}

Test(controld, everybody_answers_info_and_the_leader_is_named)
{
    struct group *group = serving_group(7, 3, 64);
    group_run(group, 2000);
    struct asked asked = {0};
    Trillium__V1__ClusterInfoCall call = TRILLIUM__V1__CLUSTER_INFO_CALL__INIT;
    cr_assert_eq(group_call(group, &asked, METHOD_CONTROL_INFO, &call.base), STATUS_OK);
    struct arena arena = {0};
    Trillium__V1__ClusterInfoAnswer *answer =
        rpc_decode(&arena, &trillium__v1__cluster_info_answer__descriptor, bytes_of(asked.body, asked.bytes));
    cr_assert_not_null(answer);
    cr_expect_eq(answer->leader, group_leader(group));
    cr_expect_eq(answer->n_controllers, 3);
    cr_assert_eq(answer->n_daemons, 3);
    for (unsigned i = 0; i < 3; i++) {
        cr_expect(answer->controllers[i]->up);
        cr_expect(answer->daemons[i]->up, "node %u", i + 1);
        cr_expect_eq(answer->daemons[i]->ranges, 16);
    }
    cr_expect_eq(answer->ranges, 16);
    cr_expect_eq(answer->ranges_below_quorum, 0);
    cr_expect_eq(answer->replication, 3);
    arena_reset(&arena);
    process_kill(group->nodes[0].process);
    process_kill(group->nodes[1].process);
    group_run(group, 1000);
    cr_assert_eq(group_call(group, &asked, METHOD_CONTROL_INFO, &call.base), STATUS_OK);
    answer = rpc_decode(&arena, &trillium__v1__cluster_info_answer__descriptor, bytes_of(asked.body, asked.bytes));
    cr_expect_not(answer->daemons[0]->up && answer->daemons[1]->up);
    cr_expect_eq(answer->ranges_below_quorum, 16);
    arena_free(&arena);
    expect_fine(group);
    group_destroy(group);
}

Test(controld, an_import_session_ends_by_itself)
{
    struct group *group = serving_group(8, 3, 64);
    struct asked asked = {0};
    Trillium__V1__ImportCall call = TRILLIUM__V1__IMPORT_CALL__INIT;
    call.action = TRILLIUM__V1__IMPORT_ACTION__IMPORT_ACTION_BEGIN;
    call.deadline_ms = 3000;
    cr_assert_eq(group_call(group, &asked, METHOD_CONTROL_IMPORT, &call.base), STATUS_OK);
    struct arena arena = {0};
    Trillium__V1__ImportAnswer *begun =
        rpc_decode(&arena, &trillium__v1__import_answer__descriptor, bytes_of(asked.body, asked.bytes));
    cr_assert_neq(begun->session, 0);
    call.action = TRILLIUM__V1__IMPORT_ACTION__IMPORT_ACTION_RENEW;
    call.session = begun->session;
    for (int i = 0; i < 4; i++) {
        group_run(group, 2000);
        cr_expect_eq(group_call(group, &asked, METHOD_CONTROL_IMPORT, &call.base), STATUS_OK);
    }
    group_run(group, 6000);
    cr_expect_eq(group_call(group, &asked, METHOD_CONTROL_IMPORT, &call.base), STATUS_NOT_FOUND);
    arena_free(&arena);
    expect_fine(group);
    group_destroy(group);
}

static void swarm(uint64_t seed, const struct sim_disk_faults *disks)
{
    struct group *group = serving_group(seed, seed % 4 == 0 ? 5 : 3, 16);
    struct prng prng = prng_seeded(seed);
    struct sim_net_faults *faults = sim_net_faults(group->net);
    if (seed % 2) *faults = (struct sim_net_faults){.spike_ppm = 2000, .loss_ppm = 2000, .reset_ppm = 1000};
    for (unsigned i = 0; disks && i < group->count; i++)
        *sim_disk_faults(group->controllers[i].disk) = *disks;
    group->may_die = disks != NULL;
    struct asked asked = {.deadline_ms = 3000};
    uint64_t epoch = 0;
    for (int step = 0; step < 60 && !world_failure(group->world); step++) {
        unsigned number = (unsigned)prng_between(&prng, 1, group->count);
        switch (prng_below(&prng, 6)) {
        case 0:
            group_kill(group, number);
            break;
        case 1:
            group_power_cut(group, number);
            break;
        case 2:
            group_partition(group, (uint32_t)prng_below(&prng, 1u << (group->count + 1)) & ~1u);
            break;
        case 3:
            group_partition(group, 0);
            break;
        default:
            group_start_all(group);
        }
        group_run(group, prng_below(&prng, 1500));
        for (uint64_t bumps = prng_below(&prng, 8); bumps > 0 && bump(group, &asked, 7) == STATUS_OK; bumps--) {
            cr_expect_gt(epoch_in(&asked), epoch, "seed %lu", (unsigned long)seed);
            epoch = epoch_in(&asked);
        }
    }
    *faults = (struct sim_net_faults){0};
    for (unsigned i = 0; disks && i < group->count; i++)
        *sim_disk_faults(group->controllers[i].disk) = (struct sim_disk_faults){0};
    group_partition(group, 0);
    group_start_all(group);
    cr_expect(group_await_equal(group, 30000), "seed %lu: they do not agree after all healed", (unsigned long)seed);
    asked.deadline_ms = 10000;
    cr_expect_eq(bump(group, &asked, 7), STATUS_OK);
    cr_expect_gt(epoch_in(&asked), epoch);
    expect_fine(group);
    group_destroy(group);
}

Test(controld, crashes_and_partitions_leave_one_history, .timeout = 100)
{
    for (uint64_t seed = 100; seed < 120; seed++)
        swarm(seed, NULL);
}

Test(controld, disks_that_fail_now_and_then_lose_nothing, .timeout = 100)
{
    const struct sim_disk_faults disks = {.read_error_ppm = 500,
        .read_flip_ppm = 500,
        .write_error_ppm = 500,
        .sync_error_ppm = 500,
        .slow_factor = 20,
        .crash_keep_ppm = 300000,
        .crash_tear_ppm = 300000,
        .crash_garble_ppm = 100000,
        .crash_zero_ppm = 100000};
    for (uint64_t seed = 200; seed < 220; seed++)
        swarm(seed, &disks);
}

/* The moment a leader appears the others lose power and the leader is cut off: who forgot its vote would elect a second
   leader of that term. Disks are slow, so that syncs take as long as a message and back. */
static const char *elections_under_power_cuts(uint64_t seed)
{
    static char failure[WORLD_FAILURE_BYTES];
    failure[0] = 0;
    struct group *group = group_create(seed, 3, 64);
    for (unsigned i = 0; i < 3; i++)
        sim_disk_faults(group->controllers[i].disk)->slow_factor = 100;
    group_start_all(group);
    for (int round = 0; round < 6 && !world_failure(group->world); round++) {
        unsigned leader = 0;
        for (int ms = 0; ms < 10000 && !leader; ms++) {
            group_run(group, 1);
            leader = group_leader(group);
        }
        group_partition(group, 1u << leader);
        for (unsigned i = 1; i <= 3; i++)
            if (i != leader) group_power_cut(group, i);
        group_start_all(group);
        group_run(group, 4000);
        group_partition(group, 0);
        group_run(group, 1000);
        group_kill(group, leader);
        group_start_all(group);
    }
    if (world_failure(group->world)) snprintf(failure, sizeof failure, "%s", world_failure(group->world));
    group_destroy(group);
    return failure[0] ? failure : NULL;
}

Test(controld, no_vote_is_forgotten_in_a_power_cut)
{
    for (uint64_t seed = 1; seed <= 20; seed++)
        cr_expect_null(elections_under_power_cuts(seed), "seed %lu", (unsigned long)seed);
}

Test(controld, a_planted_vote_before_sync_is_found_within_twenty_seeds)
{
    plant_set("vote_before_sync");
    bool found = false;
    for (uint64_t seed = 1; seed <= 20 && !found; seed++)
        found = elections_under_power_cuts(seed) != NULL;
    plant_set(NULL);
    cr_expect(found);
}
