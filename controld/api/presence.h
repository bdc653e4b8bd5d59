/*
 * presence: which daemons have a pipe to this controller right now, by what they said in HELLO. Link pings end the pipe
 * of a daemon that is dead or cut off, so a pipe that is there means that the daemon lives.
 * Threads: the reactor's.
 */
#ifndef TRILLIUM_CONTROLD_API_PRESENCE_H
#define TRILLIUM_CONTROLD_API_PRESENCE_H

#include "common/base/list.h"
#include "common/rpc/rpc.h"
#include "controld/catalog/catalog.h"

struct presence {
    struct list seen; /* struct presence_entry */
};

void presence_init(struct presence *presence);
void presence_fini(struct presence *presence);
/* One call of gone for each of came, with the same info. */
void presence_came(struct presence *presence, const struct rpc_info *info);
void presence_gone(struct presence *presence, const struct rpc_info *info);
/* A process that registered under this record, or that calls itself by its number, has a pipe. */
bool presence_is_up(const struct presence *presence, const struct catalog_daemon *daemon);
/* The same of a process other than this one. */
bool presence_is_up_beside(
    const struct presence *presence, const struct catalog_daemon *daemon, const struct uuid *instance);

#endif
