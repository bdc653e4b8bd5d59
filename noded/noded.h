/*
 * noded: the daemon that keeps the messages, as a library. One reactor per shard; each shard owns the ranges that
 * view_shard_of gives it, with a log, a memory budget and a listener (listen.address:7300 + shard) of its own.
 *
 * Hosted as common/runtime/host.h says. A data directory of another cluster, a newer format or a damaged log ends the
 * process by env_die. No mutable statics: any number of instances may live in one process.
 */
#ifndef TRILLIUM_NODED_NODED_H
#define TRILLIUM_NODED_NODED_H

#include "common/base/status.h"
#include "common/runtime/host.h"

struct noded;
struct noded_settings;

/* The settings outlive the instance. host is copied; what it points to outlives the instance. host->reactors_count is
   the number of shards (settings->shards is main's business). BAD_REQUEST with a sentence in why. */
enum status noded_create(const struct host *host, const struct noded_settings *settings, struct noded **out,
    char why[HOST_WHY_BYTES]) MUST_CHECK;
/* On reactor 0's thread, once: goodbye to peers, drain, sync; then host->stopped. */
void noded_stop(struct noded *noded);
/* No reactor turns any more, and either host->stopped was called or the process is a simulated one that was killed. */
void noded_destroy(struct noded *noded);

#endif
