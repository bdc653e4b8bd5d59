/*
 * link_nng: the link door (common/runtime/net.h) on nng 1.5.2: raw REQ dialers and raw REP listeners over TCP. The one
 * folder that includes nng. Why each rule here is as it is: docs/protocols/link.md, "What nng does".
 *
 * nng runs threads of its own (one poller, up to 16 workers); they take the affinity of the thread that calls
 * link_nng_create, so call it before any thread is pinned. Their callbacks only post mail to reactors.
 */
#ifndef TRILLIUM_COMMON_RPC_NNG_LINK_NNG_H
#define TRILLIUM_COMMON_RPC_NNG_LINK_NNG_H

#include <stdint.h>

#include "common/runtime/env.h"
#include "common/runtime/net.h"

struct link_nng_counters {
    uint64_t pipes_added, pipes_removed;
    uint64_t pipes_full; /* refused: the listener had its most */
    uint64_t closes;     /* pipes that we closed; far above pipes_removed: nng's reaper hangs (restart the daemon) */
    uint64_t frames_strange; /* freed: of unknown pipes, or flooding */
};

/* env gives time and log. Never NULL. */
struct net *link_nng_create(struct env *env);
/* Every end was closed, and its reactor turned once since. Waits for what closes in the background, 5 s at most; then
   it leaves it behind and says so in the log. */
void link_nng_destroy(struct net *net);
/* The same, but returns at once: what is still to be closed is closed in the background, or by the end of the
   process. For programs that may end now; a daemon's addresses must be free when it says so. */
void link_nng_release(struct net *net);
/* A copy; from any thread. */
struct link_nng_counters link_nng_counters(struct net *net);
/* The port that a listener of port 0 was given. */
uint16_t link_nng_port(const struct link_end *end);

#endif
