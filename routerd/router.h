/*
 * router: the daemon library of routerd. Workers serve clients; worker 0 also belongs to the cluster: it registers,
 * follows the view and hands it to the others, fetches maker numbers, and keeps the id clock's mark on disk ahead.
 */
#ifndef TRILLIUM_ROUTERD_ROUTER_H
#define TRILLIUM_ROUTERD_ROUTER_H

#include "common/base/status.h"
#include "common/rpc/rpc.h"
#include "common/runtime/host.h"
#include "routerd/settings.h"

struct router;

/* host->reactors_count is the number of workers. settings live as long as the router. CONFLICT: an address is in use;
   BAD_REQUEST: a malformed address; IO. why says it in a sentence. */
enum status router_create(const struct host *host, const struct routerd_settings *settings, struct router **out,
    char why[HOST_WHY_BYTES]) MUST_CHECK;
/* On worker 0's thread. */
void router_stop(struct router *router);
void router_destroy(struct router *router);

/* ---- Sight, for the simulator and tests. Between turns of all its reactors. ---- */

struct router_sight {
    struct rpc_sight rpc;         /* of all workers */
    uint32_t operations, flights; /* reads and writes under way; keys that somebody flies or boards for */
    uint32_t parked;              /* of the requests: those that wait for a newer ring */
};

void router_sight(const struct router *router, struct router_sight *out);

#endif
