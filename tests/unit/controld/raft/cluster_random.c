/* The random run of cluster.h: which faults exist, and how often, is drawn from the seed (a swarm profile). */
#include <stdio.h>

#include "tests/unit/controld/raft/cluster.h"

/* Weights of the kinds of events. */
struct profile {
    uint32_t tick, deliver, sync, propose, read, crash, restart, cut, part, mend, snapshot, transfer, unreachable;
    uint32_t campaign;
    uint32_t drop_ppm, duplicate_ppm, in_order_ppm, lose_unsynced_ppm;
};

static struct profile draw_profile(struct prng *prng)
{
    struct profile profile = {.tick = 300, .deliver = 600, .sync = 400, .propose = 60, .read = 20, .restart = 30};
    profile.mend = 20;
    if (prng_chance(prng, 300000)) profile.sync = 40; /* a slow disk everywhere */
    if (prng_chance(prng, 700000)) profile.crash = (uint32_t)prng_between(prng, 1, 20);
    if (prng_chance(prng, 500000)) profile.propose = (uint32_t)prng_between(prng, 60, 400);
    if (prng_chance(prng, 500000)) profile.cut = (uint32_t)prng_between(prng, 1, 20);
    if (prng_chance(prng, 500000)) profile.part = (uint32_t)prng_between(prng, 1, 20);
    if (prng_chance(prng, 600000)) profile.snapshot = (uint32_t)prng_between(prng, 1, 40);
    if (prng_chance(prng, 400000)) profile.transfer = 5;
    if (prng_chance(prng, 400000)) profile.unreachable = 5;
    if (prng_chance(prng, 400000)) profile.campaign = (uint32_t)prng_between(prng, 1, 40);
    if (prng_chance(prng, 500000)) profile.drop_ppm = (uint32_t)prng_below(prng, 200000);
    if (prng_chance(prng, 500000)) profile.duplicate_ppm = (uint32_t)prng_below(prng, 200000);
    profile.in_order_ppm = (uint32_t)prng_below(prng, 1000000);
    profile.lose_unsynced_ppm = (uint32_t)prng_below(prng, 1000000);
    return profile;
}

static void deliver_one(struct cluster *cluster, const struct profile *profile)
{
    if (cluster->messages_count == 0) return;
    bool in_order = prng_chance(&cluster->prng, profile->in_order_ppm);
    size_t position = in_order ? 0 : prng_below(&cluster->prng, cluster->messages_count);
    if (prng_chance(&cluster->prng, profile->drop_ppm)) {
        cluster_drop(cluster, position);
        return;
    }
    bool may_duplicate = cluster->messages[position].message.kind != RAFT_MESSAGE_SNAPSHOT;
    if (may_duplicate && prng_chance(&cluster->prng, profile->duplicate_ppm)) cluster_duplicate(cluster, position);
    cluster_deliver(cluster, position);
}

/* True when the roll falls into this weight; else the roll goes down by it. */
static bool rolled(uint64_t *roll, uint32_t weight)
{
    if (*roll < weight) return true;
    *roll -= weight;
    return false;
}

/* Splits the members into two sides, or, half of the time, mends everything. */
static void part(struct cluster *cluster)
{
    bool mend = prng_chance(&cluster->prng, 500000);
    uint64_t side = mend ? 0 : prng_next(&cluster->prng);
    for (uint64_t a = 1; a <= (uint64_t)cluster->count; a++)
        for (uint64_t b = a + 1; b <= (uint64_t)cluster->count; b++)
            cluster_cut(cluster, a, b, (side >> a & 1) != (side >> b & 1));
}

static void step(struct cluster *cluster, const struct profile *p, int number)
{
    struct prng *prng = &cluster->prng;
    uint64_t id = prng_between(prng, 1, (uint64_t)cluster->count);
    struct cluster_node *node = cluster_node(cluster, id);
    uint64_t roll =
        prng_below(prng, p->tick + p->deliver + p->sync + p->propose + p->read + p->crash + p->restart + p->cut +
                             p->part + p->mend + p->snapshot + p->transfer + p->unreachable + p->campaign);
    if (rolled(&roll, p->tick)) {
        cluster_tick(cluster, id, 1);
    } else if (rolled(&roll, p->deliver)) {
        deliver_one(cluster, p);
    } else if (rolled(&roll, p->sync)) {
        cluster_sync(cluster, id, prng_between(prng, 1, 3));
    } else if (rolled(&roll, p->propose)) {
        char text[32];
        snprintf(text, sizeof text, "%d", number);
        uint64_t leader = cluster_leader(cluster);
        cluster_propose(cluster, leader && prng_chance(prng, 500000) ? leader : id, text);
    } else if (rolled(&roll, p->read)) {
        cluster_read(cluster, id);
    } else if (rolled(&roll, p->crash)) {
        cluster_crash(cluster, id, prng_chance(prng, p->lose_unsynced_ppm));
    } else if (rolled(&roll, p->restart)) {
        cluster_restart(cluster, id);
    } else if (rolled(&roll, p->cut)) {
        cluster->cut[id][prng_between(prng, 1, (uint64_t)cluster->count)] = true;
    } else if (rolled(&roll, p->part)) {
        part(cluster);
    } else if (rolled(&roll, p->mend)) {
        uint64_t other = prng_between(prng, 1, (uint64_t)cluster->count);
        cluster_cut(cluster, id, other, false);
    } else if (rolled(&roll, p->snapshot)) {
        cluster_snapshot(cluster, id, prng_below(prng, 4));
    } else if (rolled(&roll, p->transfer)) {
        if (node->raft) (void)!raft_transfer(node->raft, prng_between(prng, 1, (uint64_t)cluster->count));
        cluster_process(cluster, id);
    } else if (rolled(&roll, p->unreachable)) {
        if (node->raft) raft_unreachable(node->raft, prng_between(prng, 1, (uint64_t)cluster->count));
        cluster_process(cluster, id);
    } else {
        cluster_campaign(cluster, id);
    }
}

static void demand_progress(struct cluster *cluster)
{
    for (uint64_t id = 1; id <= (uint64_t)cluster->count; id++) {
        for (uint64_t other = 1; other <= (uint64_t)cluster->count; other++)
            cluster_cut(cluster, id, other, false);
        cluster_restart(cluster, id);
    }
    uint32_t timeout = cluster->options.election_ticks ? cluster->options.election_ticks : 20;
    /* Without pre-vote a member that is behind can disturb the others for many rounds. */
    cluster_run(cluster, (cluster->options.no_pre_vote ? 60 : 10) * timeout);
    uint64_t leader = cluster_leader(cluster), index = leader ? cluster_propose(cluster, leader, "last") : 0;
    cluster_run(cluster, 2 * timeout);
    if (cluster->why[0]) return;
    if (index == 0) snprintf(cluster->why, sizeof cluster->why, "liveness: no leader after healing");
    for (uint64_t id = 1; id <= (uint64_t)cluster->count; id++)
        if (cluster_node(cluster, id)->applied < index)
            snprintf(cluster->why, sizeof cluster->why, "liveness: node %llu applied %llu of %llu",
                (unsigned long long)id, (unsigned long long)cluster_node(cluster, id)->applied,
                (unsigned long long)index);
}

void cluster_random_run(struct cluster *cluster, int steps)
{
    struct profile profile = draw_profile(&cluster->prng);
    for (int i = 0; i < steps && !cluster->why[0]; i++)
        step(cluster, &profile, i);
    if (!cluster->why[0]) demand_progress(cluster);
}
