#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "tests/unit/controld/raft/cluster.h"

enum { SEEDS = 400, STEPS = 8000 };

static void options_of(uint64_t seed, struct raft_options *options, int *nodes)
{
    struct prng prng = prng_split(seed, "options");
    static const int sizes[] = {1, 2, 3, 3, 3, 4, 5, 5};
    *nodes = sizes[prng_below(&prng, 8)];
    *options = (struct raft_options){.heartbeat_ticks = 1};
    options->election_ticks = (uint32_t)prng_between(&prng, 3, 12);
    options->inflight_messages_max = (uint32_t)prng_between(&prng, 1, 6);
    options->append_bytes_max = prng_between(&prng, 1, 40);
    options->inflight_bytes_max = prng_between(&prng, 1, 100);
    options->no_pre_vote = options->no_check_quorum = prng_chance(&prng, 400000);
}

static bool run_seed(uint64_t seed, bool skip_durability_check, struct cluster *cluster)
{
    struct raft_options options;
    int nodes;
    options_of(seed, &options, &nodes);
    cluster_init(cluster, nodes, seed, &options);
    cluster->skip_durability_check = skip_durability_check;
    cluster_random_run(cluster, STEPS);
    return cluster->why[0] == 0;
}

Test(raft_random, faults_break_no_invariant_and_progress_returns)
{
    const char *one = getenv("TRILLIUM_RAFT_SEED");
    const char *more = getenv("TRILLIUM_RAFT_SEEDS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    uint64_t last = one ? first : more ? strtoull(more, NULL, 10) : SEEDS;
    uint64_t committed = 0, elections = 0, reads = 0, installs = 0;
    for (uint64_t seed = first; seed <= last; seed++) {
        struct cluster cluster;
        bool good = run_seed(seed, false, &cluster);
        cr_assert(good, "TRILLIUM_RAFT_SEED=%llu: %s", (unsigned long long)seed, cluster.why);
        committed += cluster.committed_last;
        elections += cluster.elections;
        reads += cluster.reads_answered;
        installs += cluster.installs;
        cluster_fini(&cluster);
    }
    fprintf(stderr, "raft_random: %llu committed, %llu elections, %llu reads, %llu installs\n",
        (unsigned long long)committed, (unsigned long long)elections, (unsigned long long)reads,
        (unsigned long long)installs);
    /* The runs must reach what they are meant to test. */
    if (one) return;
    cr_expect_gt(committed, SEEDS * 20, "%llu committed", (unsigned long long)committed);
    cr_expect_gt(elections, SEEDS, "%llu elections", (unsigned long long)elections);
    cr_expect_gt(reads, SEEDS * 3, "%llu reads", (unsigned long long)reads);
    cr_expect_gt(installs, SEEDS / 4, "%llu installs", (unsigned long long)installs);
}

static uint64_t seeds_to_find(const char *bug, bool skip_durability_check, uint64_t most)
{
    plant_set(bug);
    for (uint64_t seed = 1; seed <= most; seed++) {
        struct cluster cluster;
        bool good = run_seed(seed, skip_durability_check, &cluster);
        cluster_fini(&cluster);
        if (!good) {
            fprintf(stderr, "raft_random: %s found by seed %llu: %s\n", bug, (unsigned long long)seed, cluster.why);
            return seed;
        }
    }
    return 0;
}

Test(raft_random, a_vote_before_its_sync_is_found)
{
    cr_assert_neq(seeds_to_find("vote_before_sync", false, 5), 0);
}

Test(raft_random, a_vote_before_its_sync_makes_two_leaders_in_one_term)
{
    cr_assert_neq(seeds_to_find("vote_before_sync", true, SEEDS), 0);
}

Test(raft_random, an_append_answer_before_its_sync_is_found)
{
    cr_assert_neq(seeds_to_find("append_answer_before_sync", false, 5), 0);
}

Test(raft_random, a_commit_by_counting_older_terms_is_found)
{
    cr_assert_neq(seeds_to_find("commit_older_term", false, SEEDS), 0);
}
