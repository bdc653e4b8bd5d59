/*
 * imports: what users of a simulated cluster do with old ids: they begin, renew and end sessions of import, create
 * messages that are older than the run in them, and sometimes outside of them; and what the horizon must answer. A part
 * of the workload.
 *
 * Judged: TOO_OLD is never the answer to a create whose id no horizon that was asked for has passed, nor to one that
 * named a session which surely lived; and once every node knows a horizon, a create below it that names no session is
 * never done.
 */
#ifndef TRILLIUM_TESTS_SIM_IMPORTS_H
#define TRILLIUM_TESTS_SIM_IMPORTS_H

#include "tests/sim/client_ops.h"
#include "tests/sim/world.h"

/* Of the whole workload. */
struct imports {
    struct world *world;
    int64_t asked_ms;   /* the highest horizon that anybody asked for, ms since 1970 */
    int64_t settled_ms; /* what every node holds since settled_ns */
    uint64_t settled_ns;
};

/* Of one user. Zero: no session. */
struct import_session {
    uint64_t session;
    uint64_t sure_until_ns; /* whatever the controllers' clocks say */
    bool asked;             /* one begins, is renewed or ends right now */
    uint64_t made;          /* ids, of this user */
    uint64_t last_id, last_channel;
};

void imports_init(struct imports *imports, struct world *world);
/* Now ms in the simulated past, as ms since 1970. */
int64_t imports_ago_ms(const struct imports *imports, uint64_t ago_ms);
void imports_asked(struct imports *imports, int64_t horizon_ms);
void imports_settled(struct imports *imports, int64_t horizon_ms);

/* What the user does next: fills the call, whose op has client, level and channel. */
void imports_choose(struct imports *imports, struct import_session *session, struct sim_call *call);
/* Judges an answer. True: it was refused as it should be. */
bool imports_answered(struct imports *imports, struct import_session *session, const struct sim_call *call);
/* The user's process was killed: its session goes on without it, and ends by its deadline. */
void imports_forget(struct import_session *session);

#endif
