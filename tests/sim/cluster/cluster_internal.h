/*
 * cluster_internal: the inside of a simulated cluster, for the files of this room: cluster.c runs it through its
 * phases, topology.c makes what it consists of, faults.c is what goes wrong and what comes back.
 */
#ifndef TRILLIUM_TESTS_SIM_CLUSTER_CLUSTER_INTERNAL_H
#define TRILLIUM_TESTS_SIM_CLUSTER_CLUSTER_INTERNAL_H

#include "tests/sim/cluster/admin.h"
#include "tests/sim/cluster/cluster.h"
#include "tests/sim/cluster/daemons.h"
#include "tests/sim/cluster/figure8.h"
#include "tests/sim/cluster/torn.h"
#include "tests/sim/cluster/watch.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/workload.h"

enum { DAEMONS_MAX = 16, CLIENTS_MAX = 8, CLUSTER_STOP_MS = 10000 };

/* A fault of the plan: fires at its start, and again at its end. */
struct fault {
    struct world_event event;
    struct cluster *cluster;
    const struct plan_event *plan;
    bool begun;
};

/* A daemon's or client's way back. */
struct comeback {
    struct world_event event;
    struct cluster *cluster;
    uint32_t index;
};

struct cluster {
    const struct cluster_run_options *options;
    const struct scenario *scenario;
    struct world *world;
    struct sim_net *net;
    struct daemon daemons[DAEMONS_MAX];
    struct comeback comebacks[DAEMONS_MAX], client_comebacks[CLIENTS_MAX];
    uint32_t daemons_count;
    struct process *clients[CLIENTS_MAX];
    char client_names[CLIENTS_MAX][24];
    char router_addresses[CLIENTS_MAX][32];
    const char *routers[CLIENTS_MAX];
    struct admin *admin;
    struct watch *watch;
    struct torn *torn;
    struct figure8 *figure8;
    bool single_entries; /* of Raft messages */
    bool elections;      /* torn or figure 8, under way */
    uint32_t plays;      /* of the latter two so far, where both can come about */
    struct workload *workload;
    struct fault faults[PLAN_EVENTS_MAX];
    struct world_event stops; /* looks after orderly stops */
    uint64_t stop_begun_ns[DAEMONS_MAX];
    bool deaths_allowed, healed, ending;
    uint64_t failures_before; /* the first fault */
    struct cluster_result *result;
};

/* ---- topology.c ---- */

/* Daemons with their disks and settings, none started. */
void cluster_make_daemons(struct cluster *cluster);
/* The workload and its users. */
void cluster_make_clients(struct cluster *cluster);
/* What the whole run is like: network, disks, clocks. */
void cluster_set_weather(struct cluster *cluster);

/* ---- faults.c ---- */

/* Comebacks, stops, and the helpers that faults need. */
void cluster_faults_init(struct cluster *cluster);
/* The plan begins now. */
void cluster_faults_begin(struct cluster *cluster);
/* Every fault ends, everything comes back. */
void cluster_heal(struct cluster *cluster);
/* An orderly stop. */
void cluster_stop_daemon(struct cluster *cluster, uint32_t index);

#endif
