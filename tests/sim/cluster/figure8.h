/*
 * figure8: three controllers are led through figure 8 of the Raft paper, by cuts alone. A leader gets an entry that
 * nobody else has and is cut off; a rival is elected and gets an entry of its own that nobody else has; the first one
 * leads again, brings its old entry to the third, and is cut off before it brings anything of its new term; the rival
 * may lead again. Who counts copies of the old entry as a commit loses it now. A part that does not come about begins
 * anew.
 *
 * Needs Raft messages of one entry (raft.append_bytes=1), else old and new arrive together.
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_FIGURE8_H
#define TRILLIUM_TESTS_SIM_CLUSTER_FIGURE8_H

#include "tests/sim/cluster/admin.h"
#include "tests/sim/cluster/daemons.h"
#include "tests/sim/sim_net.h"

struct figure8;

struct figure8 *figure8_create(
    struct world *world, struct sim_net *net, struct daemon *controllers, struct admin *admin);
void figure8_destroy(struct figure8 *figure8);
void figure8_begin(struct figure8 *figure8);
/* No-op when it is not under way. */
void figure8_end(struct figure8 *figure8);

#endif
