/*
 * group: a simulated group of controllers with a client, for tests of controld alone: real daemon libraries, simulated
 * disks, network and time, all from one seed. The client asks as nodes and msgctl do, through common/cluster.
 * What the client learns lies in the test's own memory. One thread.
 */
#ifndef TRILLIUM_TESTS_UNIT_CONTROLD_API_GROUP_H
#define TRILLIUM_TESTS_UNIT_CONTROLD_API_GROUP_H

#include "common/cluster/membership.h"
#include "common/rpc/rpc.h"
#include "controld/controld.h"
#include "tests/sim/sim_net.h"

enum { GROUP_MAX = 5, GROUP_NODES_MAX = 4, GROUP_TERMS_MAX = 4096, GROUP_BODY_BYTES = 16 << 10 };

struct group_body; /* what a controller's process holds; dies with it */

struct group_controller {
    struct group *group;
    unsigned number; /* from 1 */
    char name[24], address[32], members[GROUP_MAX][40];
    struct sim_disk *disk;
    struct process *process;
    uint32_t host;
    struct group_body *body;
    bool stopped;
};

/* A node as controld sees one: it registers and follows the view. */
struct group_node {
    struct group *group;
    unsigned number;
    char name[24], address[32];
    struct sim_disk *disk;
    struct process *process;
    struct membership *membership;
    uint32_t id, views; /* of the newest view: */
    uint64_t version;
    unsigned ranges, nodes;
};

struct group {
    struct world *world;
    struct sim_net *net;
    unsigned count, nodes_count, snapshot_entries, bootstrap_nodes;
    struct group_controller controllers[GROUP_MAX];
    struct group_node nodes[GROUP_NODES_MAX];
    struct process *admin;
    struct controllers *calls; /* inside admin */
    struct rpc *rpc;
    bool may_die; /* of bad disks; otherwise a death fails the world */
    unsigned deaths;
    uint64_t compared;                /* pairs of digests */
    uint8_t leaders[GROUP_TERMS_MAX]; /* by term */
};

/* Nothing runs yet but the client. */
struct group *group_create(uint64_t seed, unsigned controllers, unsigned snapshot_entries);
void group_destroy(struct group *group);

void group_start(struct group *group, unsigned number);
void group_start_all(struct group *group);
void group_kill(struct group *group, unsigned number);
void group_power_cut(struct group *group, unsigned number);
/* An orderly stop, waited for; fails the world when it takes 10 s or leaves memory. */
void group_stop(struct group *group, unsigned number);
/* Removes its data directory; it does not run. */
void group_wipe(struct group *group, unsigned number);
bool group_is_running(const struct group *group, unsigned number);
void group_start_node(struct group *group);

/* Runs on; every 50 ms all digests are compared (I7), and leaders of one term (I1). */
void group_run(struct group *group, uint64_t ms);
/* Runs until there is a leader that is ready; its number, 0 when there is none within the time. */
unsigned group_await_leader(struct group *group, uint64_t ms);
/* Runs until all running controllers are ready and have applied the same; false when not within the time. */
bool group_await_equal(struct group *group, uint64_t ms);
bool group_sight(struct group *group, unsigned number, struct controld_sight *out);
/* The one with the highest term that leads and runs; 0: none. */
unsigned group_leader(struct group *group);
/* Cuts the controllers of the set (bits by number) from the others and the clients; 0 heals. */
void group_partition(struct group *group, uint32_t set);

/* One call of the client and its outcome. */
struct asked {
    struct group *group;
    uint16_t method;
    bool leader, done;
    enum status status;
    uint64_t deadline_ms;
    uint32_t sent_bytes, bytes;
    uint8_t sent[512], body[GROUP_BODY_BYTES];
};
/* Begins to ask. */
void group_ask(struct group *group, struct asked *asked, uint16_t method, const ProtobufCMessage *message);
/* Asks and runs until it is answered. */
enum status group_call(struct group *group, struct asked *asked, uint16_t method, const ProtobufCMessage *message);

#endif
