/*
 * cast: one worker of routerd in a simulated world, with three nodes that say what a test wants them to say, and a
 * client. Time passes when the test lets it.
 */
#ifndef TRILLIUM_TESTS_UNIT_ROUTERD_CAST_H
#define TRILLIUM_TESTS_UNIT_ROUTERD_CAST_H

#include "common/model/view.h"
#include "common/obs/health.h"
#include "routerd/api/worker_setup.h"
#include "tests/sim/process.h"
#include "tests/sim/sim_net.h"

enum { CAST_NODES = 3, CAST_TRACES = 64, CAST_LOG_BYTES = 1 << 16, CAST_CALLS = 32768 };

struct cast;

/* A node with one shard. What it is asked, it answers with OK after a delay. Every channel has one message or none. */
struct cast_node {
    struct cast *cast;
    struct process *process;
    uint32_t host;
    char name[16], address[ADDRESS_BYTES];
    struct reactor *reactor;
    struct rpc *rpc;
    uint64_t delay_ns, write_delay_ns; /* the second in addition, of writes */
    bool is_silent;                    /* answers never */
    bool has_message;
    uint32_t space;                     /* the level of its disk that it tells */
    struct rpc_request *space_question; /* parked; NULL: none */
    unsigned calls;                     /* it was asked */
    uint64_t traces[CAST_TRACES];
};

struct cast {
    struct world *world;
    struct sim_net *net;
    struct cast_node nodes[CAST_NODES];
    struct process *router, *client;
    struct log log; /* the worker's, into lines */
    char lines[CAST_LOG_BYTES];
    size_t lines_size;
    struct reactor *reactor;
    struct metrics *metrics;
    struct health health;
    struct host hosting;
    struct worker worker;
    _Atomic int64_t ceiling_ms, given_ms;
    struct reactor *client_reactor;
    struct rpc *client_rpc;
    struct rpc_peer *peer;
    bool reads_all; /* reads are at level ALL, not QUORUM */
    unsigned started, answered;
    enum status last;
};

/* All are up and connected; the worker has a view of one range on the three nodes. */
void cast_init(struct cast *cast);
void cast_fini(struct cast *cast);
void cast_pass(struct cast *cast, uint64_t ns);
/* The client sends so many creates (of as many channels, with so many bytes of content), or one read. */
void cast_create(struct cast *cast, unsigned count, unsigned content_bytes);
void cast_read(struct cast *cast, uint64_t channel, uint64_t trace);
void cast_create_traced(struct cast *cast, uint64_t trace);
/* The node's disk has another level from now on. */
void cast_set_space(struct cast *cast, unsigned node, enum space_level level);
/* Whether a node was asked under the trace. */
bool cast_was_asked(const struct cast *cast, unsigned node, uint64_t trace);
/* Whether a line of the worker's log has both texts. */
bool cast_logged(const struct cast *cast, const char *event, const char *field);

#endif
