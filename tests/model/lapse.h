/*
 * lapse: replicas that lose what they had and are rebuilt, as a model to explore (docs/protocols/rebuild.md).
 *
 * One message, a create and a delete of it, each at QUORUM; a replica at a time may lose everything; controld counts
 * epochs; coordinators and replicas learn newer records at any time, or when they meet one. A message that is late for
 * ever is lost, and whoever takes no next step has crashed. Each rule can be switched off.
 */
#ifndef TRILLIUM_TESTS_MODEL_LAPSE_H
#define TRILLIUM_TESTS_MODEL_LAPSE_H

#include "tests/model/explore.h"

enum { LAPSE_REPLICAS_MAX = 5 };

#define LAPSE_RULES(RULE)                                                                                              \
    RULE(REBUILD_ADOPT_FIRST, "a source adopts the lapse's epoch before it is read")                                   \
    RULE(REBUILD_SOURCES, "n-q+1 others are read")                                                                     \
    RULE(REBUILD_READS_LATER, "a replica that is being rebuilt answers no read")                                       \
    RULE(LAPSE_FORGETS_ACKS, "acks from before a lapse do not count")                                                  \
    RULE(REBUILD_COUNTS_LATER, "acks from within a rebuild do not count")

#define LAPSE_RULE_NUMBER(name, text) LAPSE_RULE_##name,
enum lapse_rule { LAPSE_RULES(LAPSE_RULE_NUMBER) LAPSE_RULES_COUNT };
#undef LAPSE_RULE_NUMBER

const char *lapse_rule_name(enum lapse_rule rule);
const char *lapse_rule_text(enum lapse_rule rule);

struct lapse_run {
    bool off[LAPSE_RULES_COUNT];
    unsigned replicas, lapses; /* how many lapses there may be, one after the other */
    bool with_delete;
};

struct explore_result lapse_explore(struct lapse_run *run, uint64_t states_max, bool trace);

#endif
