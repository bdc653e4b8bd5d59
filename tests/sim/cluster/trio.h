/*
 * trio: the smallest cluster: at most one controller, one node and one router, as they ship, in one thread and without
 * faults, and a stranger beside them that sends them any calls and answers theirs with anything.
 *
 * For tests of what a daemon does with bytes from a peer or from its own disk. Everything follows from the seed. The
 * stranger's host is TRIO_STRANGER; it may take the place of a daemon that does not exist.
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_TRIO_H
#define TRILLIUM_TESTS_SIM_CLUSTER_TRIO_H

#include "common/rpc/rpc.h"
#include "tests/sim/cluster/daemons.h"

enum trio_daemon { TRIO_CONTROLLER, TRIO_NODE, TRIO_ROUTER, TRIO_DAEMONS };

enum { TRIO_NUMBERS = 4 };

#define TRIO_STRANGER "127.0.9.1"

struct trio_options {
    uint64_t seed;
    uint32_t missing; /* bits of enum trio_daemon that do not exist: the stranger is dialed instead */
    struct sim_disk *disks[TRIO_DAEMONS]; /* NULL: an empty one; else the trio's from now on */
    uint32_t shards;                      /* 0: 1 */
    uint32_t nodes;                       /* that a new cluster waits for; 0: 1 */
    bool two_controllers;                 /* the stranger is the second one */
};

/* A call of the stranger. Caller's memory, which outlives it.
 */
struct trio_call {
    enum rpc_role role; /* whom the stranger pretends to be */
    uint32_t number;    /* and which of them, below TRIO_NUMBERS */
    const char *address;
    enum rpc_kind kind;
    uint16_t method;
    bool routed;
    uint64_t range, epoch, stamp;
    struct bytes body;
    /* Answered. */
    bool is_done;
    enum status status;
    struct buffer answer; /* the caller frees it */
};

/* What the stranger answers to a call that it served: fills body (and answer's other fields). */
typedef enum status trio_answer_fn(
    void *context, const struct rpc_request *request, struct buffer *body, struct rpc_answer *answer);

struct trio {
    struct world *world;
    struct sim_net *net;
    struct daemon daemons[TRIO_DAEMONS]; /* a missing one has no process */
    struct process *process;             /* the stranger */
    struct stranger *stranger;           /* inside it */
    trio_answer_fn *answer;
    void *context;
};

void trio_init(struct trio *trio, const struct trio_options *options);
void trio_fini(struct trio *trio);
/* Starts what exists and does not run. */
void trio_start(struct trio *trio);
/* Time passes until condition (NULL: never) holds, at most limit_ns. True when it held. */
bool trio_pass(struct trio *trio, uint64_t limit_ns, bool (*condition)(struct trio *trio));
/* All that exist say that they serve. */
bool trio_is_ready(struct trio *trio);
/* An orderly end of all that run, routers first. False when one does not stop within 20 s. */
bool trio_stop(struct trio *trio);
bool trio_is_running(const struct trio *trio, enum trio_daemon which);

/* Starts calls and waits until all are done, at most limit_ns. False when some are not. */
bool trio_ask(struct trio *trio, struct trio_call *calls, uint32_t count, uint64_t limit_ns);
/* Runs function in a fiber of the stranger, with a pipe of that role to the address, until it returns. False when it
   took longer than limit_ns. */
bool trio_run(struct trio *trio, const struct trio_call *as, void (*function)(struct rpc_peer *peer, void *argument),
    void *argument, uint64_t limit_ns);
/* From now on the stranger serves every method at as->address, as such a daemon. */
void trio_serve(struct trio *trio, const struct trio_call *as);

#endif
