/*
 * state: the applied state of this controller: the catalog in memory, its mirror in the meta_store, and the digests of
 * the last applied entries. What the store holds is disposable; every entry's effect and its index go into it in one
 * batch. A store that fails ends the process (env_die).
 * Threads: the reactor's; calls may block on the store's disk.
 */
#ifndef TRILLIUM_CONTROLD_API_STATE_H
#define TRILLIUM_CONTROLD_API_STATE_H

#include "controld/catalog/catalog.h"
#include "controld/raft/raft_types.h"

struct env;

enum { STATE_DIGESTS = 256 };

struct state_digest {
    uint64_t index;
    struct digest digest;
};

struct state {
    struct env *env;
    struct meta_store *store; /* borrowed */
    struct catalog catalog;
    uint64_t applied;
    struct state_digest digests[STATE_DIGESTS]; /* by index modulo */
};

void state_init(struct state *state, struct env *env, struct meta_store *store, const struct uuid *cluster);
void state_fini(struct state *state);

/* Takes what the store holds when it is sound and its index lies in [least, most]; else state and store are emptied. */
void state_resume(struct state *state, uint64_t least, uint64_t most);
/* Replaces everything by a snapshot's records. CORRUPT: they make no sense; the state is empty then. */
enum status state_install(struct state *state, uint64_t index, struct reader *records) MUST_CHECK;
/* Applies committed entries, ascending and contiguous. told is called for each, once all are stored; answer is NULL for
   entries that are no command. */
void state_apply(struct state *state, struct raft_entry *const *entries, uint32_t count,
    void (*told)(void *context, const struct raft_entry *entry, const struct catalog_answer *answer), void *context);
/* False when index is not among the last STATE_DIGESTS ones. */
bool state_digest_at(const struct state *state, uint64_t index, struct digest *out);

#endif
