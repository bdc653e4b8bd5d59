/*
 * plan: what goes wrong in a run, and when. First a profile is drawn: which kinds of faults exist at all in this run
 * (swarm: some runs have many kinds, some few, so that bugs that need the absence of a fault are found too). From it
 * comes the plan, an explicit list of (time, kind, target, argument, length) that can be printed, cut down and
 * replayed.
 *
 * Phases of a run: warm-up without faults; safety, in which faults come and nothing is demanded but the truth; heal, in
 * which all faults end; liveness, in which progress is demanded; and reading everything.
 */
#ifndef TRILLIUM_TESTS_SIM_PLAN_H
#define TRILLIUM_TESTS_SIM_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/prng.h"
#include "common/base/status.h"
#include "tests/sim/world.h"

enum fault_kind {
    FAULT_KILL,              /* SIGKILL of a daemon, restarted after the length */
    FAULT_POWER,             /* power cut of a daemon's host, back after the length */
    FAULT_POWER_ALL,         /* of all daemons at once */
    FAULT_POWER_CONTROLLERS, /* of all controllers at once */
    FAULT_TORN,              /* elections of three controllers (cluster/torn.h) */
    FAULT_SLOW_CUT,          /* a very slow disk for the length, then a power cut of that host, back within a second */
    FAULT_STOP,              /* SIGTERM: an orderly stop, restarted after the length */
    FAULT_PAUSE,             /* SIGSTOP for the length */
    FAULT_CUT,               /* one direction between two hosts */
    FAULT_PARTITION,         /* hosts of a mask from the others */
    FAULT_SLOW_LINK,         /* one direction, times the argument */
    FAULT_RESET,             /* every pipe between two hosts */
    FAULT_NET_LOSS,          /* the following are of the whole network, with the argument as parts per million */
    FAULT_NET_DUPLICATE,
    FAULT_NET_REORDER,
    FAULT_NET_SPIKE,
    FAULT_NET_RESET,
    FAULT_NET_QUEUE,
    FAULT_DISK_READ,  /* one disk: EIO on reads, ppm; this and the next two may cost replicas: see cluster/faults.c */
    FAULT_DISK_FLIP,  /* bit flips on reads, ppm */
    FAULT_DISK_ROT,   /* a node is killed, and a few bits of its files are others when it comes back after the length */
    FAULT_DISK_SYNC,  /* a sync fails, ppm */
    FAULT_DISK_WRITE, /* a write fails, ppm */
    FAULT_DISK_SLOW,  /* times the argument */
    FAULT_DISK_FULL,  /* so many percent of it are used; 100: nothing more fits */
    FAULT_CLOCK_STEP, /* of the wall clock, us (signed) */
    FAULT_CLOCK_RATE, /* ppm (signed) */
    FAULT_EPOCH,      /* a range gets a new epoch by a Raft entry */
    FAULT_CLIENT_KILL,
    FAULT_FLUSH,   /* no fault: a shard writes its memory into files */
    FAULT_COMPACT, /* no fault: a shard merges its files */
    FAULT_HORIZON, /* no fault: the table's horizon rises to what lies so many ms back */
    FAULT_KINDS,
};

enum { PLAN_EVENTS_MAX = 2048 };

struct plan_event {
    uint64_t at_ns, length_ns; /* at: since the start of the safety phase */
    enum fault_kind kind;
    uint32_t target;  /* host number; for the network as a whole 0 */
    int64_t argument; /* parts per million, factor, other host, mask: see the kinds */
};

struct plan {
    uint64_t safety_ns;                        /* length of the phase */
    uint64_t kinds;                            /* bit per kind that exists */
    struct plan_event events[PLAN_EVENTS_MAX]; /* by time */
    uint32_t events_count;
};

#define PLAN_NO_FAULTS (1ull << FAULT_EPOCH | 1ull << FAULT_FLUSH | 1ull << FAULT_COMPACT | 1ull << FAULT_HORIZON)

/* Hosts as the cluster numbers them: controllers, nodes, routers, clients. */
struct plan_hosts {
    uint32_t controllers, nodes, routers, clients;
};
static inline uint32_t plan_daemons(const struct plan_hosts *hosts)
{
    return hosts->controllers + hosts->nodes + hosts->routers;
}

struct plan_bounds {
    uint64_t kinds;  /* that may be drawn at all (bits) */
    uint32_t length; /* of the safety phase, times the usual 40 to 70 s */
};
void plan_draw(struct plan *plan, struct prng *prng, const struct plan_hosts *hosts, const struct plan_bounds *bounds);
const char *fault_name(enum fault_kind kind);
/* FAULT_KINDS when there is none of the name. */
enum fault_kind fault_named(const char *name);
/* As text, one line per event: `SECONDS KIND WHO WHAT for SECONDS`, where WHO and WHAT depend on the kind
   (docs/formats/scenario.md). */
void plan_write(const struct plan *plan, const struct plan_hosts *hosts, FILE *file);
/* One such line, whose end is no part of it, behind the events that there are. BAD_REQUEST: it is none. */
enum status plan_read_line(struct plan *plan, const struct plan_hosts *hosts, const char *line) MUST_CHECK;
/* Seconds with up to three digits behind the point, and nothing else. */
bool plan_read_seconds(const char *text, uint64_t *out_ns);
/* By time, as events must be; after the last plan_read_line. */
void plan_sort(struct plan *plan);
/* Time during the safety phase with at least one fault active (those that are moments count half a second). */
uint64_t plan_active_ns(const struct plan *plan);

#endif
