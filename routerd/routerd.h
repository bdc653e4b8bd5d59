/*
 * routerd: the daemon library of routerd. Workers serve clients; worker 0 also belongs to the cluster: it registers,
 * follows the view and hands it to the others, fetches maker numbers, and keeps the id clock's mark on disk ahead.
 */
#ifndef TRILLIUM_ROUTERD_ROUTERD_H
#define TRILLIUM_ROUTERD_ROUTERD_H

#include "common/base/status.h"
#include "common/runtime/host.h"
#include "routerd/settings.h"

struct routerd;

/* host->reactors_count is the number of workers. settings live as long as the instance. CONFLICT: an address is in use;
   BAD_REQUEST: a malformed address; IO. why says it in a sentence. */
enum status routerd_create(const struct host *host, const struct routerd_settings *settings, struct routerd **out,
    char why[HOST_WHY_BYTES]) MUST_CHECK;
/* On worker 0's thread. */
void routerd_stop(struct routerd *routerd);
void routerd_destroy(struct routerd *routerd);

#endif
