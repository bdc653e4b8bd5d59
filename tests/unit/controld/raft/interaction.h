/*
 * interaction: runs the published interaction files (corpus.h) on the core, in their language: members, readies,
 * messages, printed in that implementation's words. For members that finish each write within the ready that asks for
 * it.
 *
 * It looks into raft_internal.h where our core deliberately works in another rhythm: there, a message that waits for
 * a write is printed with the ready that starts it; committed entries are printed with the write that stores them.
 */
#ifndef TRILLIUM_TESTS_UNIT_CONTROLD_RAFT_INTERACTION_H
#define TRILLIUM_TESTS_UNIT_CONTROLD_RAFT_INTERACTION_H

#include "controld/raft/raft.h"
#include "tests/unit/controld/raft/corpus.h"

enum { INTERACTION_NODES_MAX = 8, INTERACTION_MESSAGES_MAX = 256 };

struct interaction_node {
    struct raft *raft;
    struct raft_hard_state hard; /* as last printed */
    uint64_t leader;
    enum raft_role role;
    uint64_t applied;
};

struct interaction {
    struct interaction_node nodes[INTERACTION_NODES_MAX]; /* node i has id i + 1 */
    int count;
    struct raft_message messages[INTERACTION_MESSAGES_MAX];
    int messages_count;
    bool quiet; /* log-level none */
    int indent;
    char out[CORPUS_TEXT_MAX];
    size_t out_size;
};

void interaction_fini(struct interaction *run);
/* Runs a command; its output is in run->out ("ok" when there is none). False when the command is not known. */
bool interaction_run(struct interaction *run, const struct corpus_block *block);

#endif
