/*
 * files: the files of a node's ranges, in the synced image of its disk (I13): every file that the manifest in force
 * names is there, whole; none goes while it is named; and the trees read from no other. One thread.
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_FILES_H
#define TRILLIUM_TESTS_SIM_CLUSTER_FILES_H

#include "tests/sim/cluster/daemons.h"

struct files;

struct files *files_create(struct world *world, struct daemon *node);
void files_destroy(struct files *files);
/* The node is about to start on its disk as it is. */
void files_reboot(struct files *files);
/* The name of a file is about to go from what reads see. */
void files_unlinking(struct files *files, const char *path);
/* The file was damaged at rest: a manifest may be none any more. */
void files_rot(struct files *files, const char *path);
/* Looks at all ranges as a power cut would leave them. */
void files_judge(struct files *files);
/* Looks at what the running node reads from. */
void files_judge_live(struct files *files);

#endif
