/*
 * controld: the daemon that decides who owns what, as a library: one reactor, a Raft member whose log lies in "raft/",
 * whose snapshots are "snapshot-INDEX", and whose applied state lives behind a meta_store.
 *
 * Hosted as common/runtime/host.h says. A data directory of another cluster or another controller, a newer format, a
 * log that lost what it had acknowledged, and a full disk end the process by env_die. No mutable statics: any number of
 * instances may live in one process.
 */
#ifndef TRILLIUM_CONTROLD_CONTROLD_H
#define TRILLIUM_CONTROLD_CONTROLD_H

#include "common/base/hash.h"
#include "common/base/status.h"
#include "common/runtime/host.h"

struct controld;
struct controld_settings;
struct meta_store;

/*
 * store: what the applied state is kept in. It is disposable: empty, old or foreign contents are replaced from the
 * snapshot and the log. It stays the caller's, who destroys it after controld_destroy.
 * The settings and the store outlive the instance. host is copied (one reactor); what it points to outlives the
 * instance. BAD_REQUEST with a sentence in why.
 */
enum status controld_create(const struct host *host, const struct controld_settings *settings, struct meta_store *store,
    struct controld **out, char why[HOST_WHY_BYTES]) MUST_CHECK;
/* On the reactor's thread, once: hands leadership over, says goodbye, syncs; then host->stopped. */
void controld_stop(struct controld *controld);
/* The reactor turns no more, and either host->stopped was called or the process is a simulated one that was killed. */
void controld_destroy(struct controld *controld);

/* ---- Sight, for the simulator and tests. On the reactor's thread. ---- */

struct controld_sight {
    uint64_t id, term, leader; /* leader 0: none known */
    bool is_leader;
    bool is_ready;                            /* a leader is known and what it committed is applied here */
    uint64_t last, commit, applied, snapshot; /* last: of its log */
    struct digest digest;                     /* of the applied state as it is at applied */
};

/* False while it starts. */
bool controld_sight(const struct controld *controld, struct controld_sight *out);
/* The digest that the applied state had at index; false when index is not among the last 256 applied ones. Equal on
   every controller. */
bool controld_digest_at(const struct controld *controld, uint64_t index, struct digest *out);
/* The term of the entry at index in its log; 0: it has none there, or no longer knows. */
uint64_t controld_term_at(const struct controld *controld, uint64_t index);

#endif
