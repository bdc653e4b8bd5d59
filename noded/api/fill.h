/*
 * fill: fetches everything that a REBUILDING replica lacks from enough other replicas, by pages, through the log as any
 * write. The same interval comes from all sources; equal answers are applied once.
 */
#ifndef TRILLIUM_NODED_API_FILL_H
#define TRILLIUM_NODED_API_FILL_H

#include "noded/shard/shard.h"

struct rpc;

struct fill_options {
    struct shard *shard;
    struct rpc *rpc;
    struct replica *replica;
    uint64_t bytes_per_second;
    const bool *stop; /* gives up as soon as it is true */
};

/* So many of the others must be read that they share a member with every quorum: n - q + 1. */
unsigned fill_sources_needed(const struct view_range *record);
/* Enough of the others have not lapsed. */
bool fill_has_sources(const struct replica *replica);

/* (fiber) OK: the replica has everything, and its position says so durably. UNAVAILABLE: sources are down, or the
   replica is to be filled no more; whatever else a source or the log says. A later run goes on from where it was. */
enum status fill_run(const struct fill_options *options) MUST_CHECK;

#endif
