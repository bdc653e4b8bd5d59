/*
 * sim_net: the link door (common/runtime/net.h) of all processes of a world, over a network that misbehaves.
 *
 * Without faults a pipe is what the door promises. With them, per frame: lost, repeated, overtaken, late; per
 * listener's pipe: frames beyond 64 that its peer has not taken are freed without a word, as nng does; per pipe: reset
 * with any prefix delivered; per pair of hosts: cut in one direction or both (frames wait, and come late when the cut
 * heals; connecting fails). A killed process's peers hear of it; those of one that lost power hear nothing until they
 * send to its next incarnation. A host is a process. One thread.
 */
#ifndef TRILLIUM_TESTS_SIM_SIM_NET_H
#define TRILLIUM_TESTS_SIM_SIM_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/runtime/net.h"
#include "tests/sim/process.h"

enum { SIM_HOSTS_MAX = 64, SIM_QUEUE_FRAMES = 64 };

struct sim_net;

/* Of the whole network; chances in parts per million of frames. Zero is a network that never fails. */
struct sim_net_faults {
    uint64_t delay_ns, jitter_ns; /* one way; 0: 50 us and 50 us */
    uint32_t spike_ppm;           /* late by up to 500 ms; later frames of the pipe wait behind it */
    uint32_t loss_ppm, duplicate_ppm, reorder_ppm;
    uint32_t full_queue_ppm; /* a listener's frame is freed as by a full queue */
    uint32_t reset_ppm;      /* the pipe ends instead */
    uint32_t refuse_ppm;     /* of attempts to connect */
};

struct sim_net_counts {
    uint64_t frames, bytes, lost, duplicated, reordered, queue_drops, resets, connects, downs;
};

/* A frame as it passes between two hosts. */
struct sim_net_frame {
    uint32_t from, to;    /* hosts; SIM_HOSTS_MAX: a plain client */
    uint64_t pipe;        /* the same number in both directions, never used again */
    bool to_listener;     /* false: it goes to the one who dialed */
    const char *listener; /* its address; NULL: it is gone */
    const uint8_t *data;
    uint32_t size;
};

/* Somebody who looks at all frames: when they leave a process, whatever becomes of them, and right before a process
   hears of them. Called inside that process, in the simulator's memory scope. */
struct sim_net_tap {
    void (*sent)(void *context, const struct sim_net_frame *frame);
    void (*heard)(void *context, const struct sim_net_frame *frame);
    void *context;
};

struct sim_net *sim_net_create(struct world *world);
/* Every process is destroyed. */
void sim_net_destroy(struct sim_net *net);
/* Gives the process its net; before it starts. Returns its host number. */
uint32_t sim_net_attach(struct sim_net *net, struct process *process);
/* One at most; outlives the network. */
void sim_net_tap(struct sim_net *net, const struct sim_net_tap *tap);
struct sim_net_faults *sim_net_faults(struct sim_net *net);
const struct sim_net_counts *sim_net_counts(const struct sim_net *net);

/* One direction between two hosts. */
void sim_net_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut);
bool sim_net_is_cut(const struct sim_net *net, uint32_t from, uint32_t to);
/* Every direction between hosts whose sides differ is cut (both ways); the rest is healed. */
void sim_net_partition(struct sim_net *net, uint64_t hosts_on_one_side);
void sim_net_heal(struct sim_net *net);
/* Multiplies the delay of one direction; 1 is normal. */
void sim_net_slow(struct sim_net *net, uint32_t from, uint32_t to, uint32_t factor);
/* Ends every pipe between two hosts. */
void sim_net_reset(struct sim_net *net, uint32_t a, uint32_t b);

#endif
