/* sim_pipes: what the files of the simulated network share: hosts, ends, pipes and what is on its way in them. */
#ifndef TRILLIUM_TESTS_SIM_SIM_PIPES_H
#define TRILLIUM_TESTS_SIM_SIM_PIPES_H

#include "common/base/list.h"
#include "tests/sim/sim_net.h"

enum { ADDRESS_BYTES_MAX = 64 };

struct host {
    struct net net;
    struct sim_net *owner;
    struct process *process;
    uint32_t index;
    struct list ends;
};

struct direction {
    bool cut;
    uint32_t slow; /* 0: 1 */
};

struct sim_net {
    struct world *world;
    struct host *hosts[SIM_HOSTS_MAX];
    uint32_t hosts_count;
    struct direction directions[SIM_HOSTS_MAX][SIM_HOSTS_MAX];
    struct sim_net_faults faults;
    struct sim_net_counts counts;
    const struct sim_net_tap *tap; /* NULL: none */
    struct list pipes;
    uint64_t pipes_made;
};

/* A listener or dialer. Ends with link_close or with its process. */
struct link_end {
    struct list link; /* of the host */
    struct host *host;
    struct reactor *reactor;
    struct link_options options;
    const struct link_handler *handler;
    void *context;
    char address[ADDRESS_BYTES_MAX];
    struct world_event redial;
    uint64_t redial_ns;
    uint32_t pipes; /* up now */
};

/* Something on its way to one side: its up, a frame, or its down. */
enum note_kind { NOTE_UP, NOTE_FRAME, NOTE_DOWN };

struct note {
    struct list link; /* of the side it goes to: on the wire, or waiting for the reactor */
    enum note_kind kind;
    struct side *to;
    struct world_event arrive;
    struct process_delivery delivery;
    bool held;  /* by a cut */
    bool local; /* not from the network: nothing delays it */
    uint32_t size;
    uint64_t reply_to;
    uint8_t data[];
};

struct side {
    struct link_pipe base;
    struct pipe *pipe;
    struct host *host;
    struct link_end *end; /* NULL: gone (closed, refused, killed) */
    struct list notes;    /* on their way to this side, in order of sending */
    uint32_t frames;      /* of notes */
    uint64_t last_arrival_ns;
    bool accepted; /* its handler's up returned true, and down is still to come */
    bool received; /* a frame */
    bool closing;  /* by its own handler; its down is on the way */
    bool dark;     /* went without a word; whoever sends here hears nothing while the host is down */
};

struct pipe {
    struct list link;
    struct sim_net *net;
    struct side sides[2]; /* the dialer's, the listener's */
    uint32_t busy;        /* in use further up the stack: not freed */
};

static inline struct side *other(struct side *side)
{
    return &side->pipe->sides[side == &side->pipe->sides[0]];
}

static inline struct prng *chance(struct sim_net *net)
{
    return world_prng(net->world, WORLD_NET);
}

static inline const char *host_name(const struct host *host)
{
    return process_name(host->process);
}

/* A note sets out; in_order false: it may overtake and be overtaken. */
void note_launch(struct note *note, bool in_order);
/* The pipe breaks now, for both; a drawn number of frames still comes. */
void pipe_break(struct pipe *pipe);

#endif
