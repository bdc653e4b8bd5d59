#include "controld/catalog/placement.h"

#include "common/base/check.h"

/* A node to choose from, and how many ranges it was given so far. */
struct candidate {
    const struct catalog_daemon *node;
    unsigned load;
};

static bool in_taken_zone(
    const struct catalog *catalog, const struct command_place_range *range, const struct catalog_daemon *node)
{
    for (unsigned i = 0; i < range->replicas_count; i++)
        if (strcmp(catalog_node(catalog, range->replicas[i].value)->is.zone, node->is.zone) == 0) return true;
    return false;
}

static bool is_taken(const struct command_place_range *range, const struct catalog_daemon *node)
{
    for (unsigned i = 0; i < range->replicas_count; i++)
        if (range->replicas[i].value == node->id) return true;
    return false;
}

/* The least loaded node in a zone of its own, else the least loaded at all. The search begins at another node for each
   range, so that first replicas are spread too. */
static struct candidate *choose(const struct catalog *catalog, const struct command_place_range *range,
    struct candidate *candidates, unsigned count, unsigned start)
{
    struct candidate *best = NULL;
    bool best_shares = false;
    for (unsigned i = 0; i < count; i++) {
        struct candidate *candidate = &candidates[(start + i) % count];
        if (is_taken(range, candidate->node)) continue;
        bool shares = in_taken_zone(catalog, range, candidate->node);
        bool better = !best || (best_shares && !shares) || (best_shares == shares && candidate->load < best->load);
        if (!better) continue;
        best = candidate;
        best_shares = shares;
    }
    CHECK(best != NULL);
    return best;
}

void placement_first(const struct catalog *catalog, struct table_id table, unsigned ranges_count, unsigned replication,
    struct command_place *out)
{
    struct candidate candidates[NODES_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < catalog->nodes.count; i++)
        if (catalog->nodes.items[i].state == NODE_SERVING)
            candidates[count++] = (struct candidate){&catalog->nodes.items[i], 0};
    CHECK(count > 0 && ranges_count > 0 && ranges_count <= RANGES_PER_PLACE_MAX && replication <= REPLICAS_MAX);
    *out = (struct command_place){.table = table, .ranges_count = (uint16_t)ranges_count};
    /* 2^64 / ranges_count, rounded down. */
    uint64_t width = UINT64_MAX / ranges_count + (UINT64_MAX % ranges_count == ranges_count - 1);
    for (unsigned i = 0; i < ranges_count; i++) {
        struct command_place_range *range = &out->ranges[i];
        range->lo = i == 0 ? INT64_MIN : out->ranges[i - 1].hi;
        range->hi = i + 1 == ranges_count ? INT64_MAX : (int64_t)((uint64_t)range->lo + width);
        for (unsigned r = 0; r < replication && r < count; r++) {
            struct candidate *chosen = choose(catalog, range, candidates, count, i);
            chosen->load++;
            range->replicas[range->replicas_count++].value = chosen->node->id;
        }
    }
}
