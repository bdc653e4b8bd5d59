/*
 * placement: which nodes hold the first ranges of a table. A pure function of the nodes; the leader runs it and
 * proposes the result, so a later version may choose otherwise.
 */
#ifndef TRILLIUM_CONTROLD_CATALOG_PLACEMENT_H
#define TRILLIUM_CONTROLD_CATALOG_PLACEMENT_H

#include "controld/catalog/catalog.h"

/*
 * Equal ranges over all tokens, each with min(replication, nodes) replicas: in distinct zones while there are enough,
 * and no node holds more than one range above another unless zones demand it. There is at least one node that serves;
 * ranges_count is at most RANGES_PER_PLACE_MAX.
 */
void placement_first(const struct catalog *catalog, struct table_id table, unsigned ranges_count, unsigned replication,
    struct command_place *out);

#endif
