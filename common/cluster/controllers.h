/*
 * controllers: calls to controld from whoever is not controld. Keeps a peer to each controller and remembers which one
 * leads. Belongs to one reactor; calls are made in fibers.
 */
#ifndef TRILLIUM_COMMON_CLUSTER_CONTROLLERS_H
#define TRILLIUM_COMMON_CLUSTER_CONTROLLERS_H

#include "common/rpc/rpc.h"

struct controllers;

/* addresses are copied; at least one. BAD_REQUEST: a malformed address. */
enum status controllers_create(
    struct rpc *rpc, const char *const *addresses, unsigned count, struct controllers **out) MUST_CHECK;
/* No call is under way. */
void controllers_destroy(struct controllers *controllers);
/* Ends all calls under way (UNAVAILABLE or LOST) and makes none any more: the first step of stopping. */
void controllers_hang_up(struct controllers *controllers);
unsigned controllers_up(const struct controllers *controllers);

struct controllers_call {
    uint16_t method;
    bool leader;          /* goes to the leader, following hints; otherwise any controller that is up */
    bool once;            /* not repeated after LOST or TIMEOUT: the caller must know that it may have happened */
    uint32_t budget_us;   /* of one attempt; 0: the default */
    uint64_t deadline_ns; /* of the whole; attempts are repeated until then */
    const bool *stop;     /* may be NULL: gives up as soon as *stop is true */
};

/* Returns the last attempt's status; the reply's body lives in arena. UNAVAILABLE: no controller could be reached. */
enum status controllers_call_wait(struct controllers *controllers, const struct controllers_call *call,
    const struct rpc_body *body, struct arena *arena, struct rpc_reply *reply);

#endif
