/*
 * proposals: changes that were asked for and are on their way through the log, each with who waits for its outcome.
 *
 * An outcome comes exactly once, never from inside proposals_make: what the entry answered when it was applied here; or
 * LOST when this controller cannot say whether it will be (it does not lead any more).
 * Threads: the reactor's.
 */
#ifndef TRILLIUM_CONTROLD_API_PROPOSALS_H
#define TRILLIUM_CONTROLD_API_PROPOSALS_H

#include "common/base/list.h"
#include "controld/api/member.h"
#include "controld/catalog/catalog.h"

enum { PROPOSALS_MAX = 4096 };

/* Embedded in its owner, who keeps it until done is called. */
struct proposal {
    struct list link;
    uint64_t index, term;
    /* answer is NULL unless status is what the applied entry answered. */
    void (*done)(struct proposal *proposal, enum status status, const struct catalog_answer *answer);
};

struct proposals {
    struct member *member;
    struct list waiting; /* by index */
    unsigned count;
    uint64_t made, lost;
};

void proposals_init(struct proposals *proposals, struct member *member);
/* NOT_OWNER: not the leader. BUSY, UNAVAILABLE, TOO_BIG as raft_propose. On an error done is not called. */
enum status proposals_make(
    struct proposals *proposals, const struct command *command, struct proposal *proposal) MUST_CHECK;
/* The entry at (index, term) was applied. */
void proposals_applied(struct proposals *proposals, uint64_t index, uint64_t term, const struct catalog_answer *answer);
/* Leadership or term changed: proposals of other terms are LOST. term 0: all. */
void proposals_lose(struct proposals *proposals, uint64_t term);

#endif
