/*
 * scenario: all that is drawn before a run: who takes part, with which settings, in which weather, what clients do, and
 * the plan of faults. It is drawn from a seed, or read from a file; the same scenario is the same run for the same
 * program, and a scenario in a file stays what it was when drawing changes. docs/formats/scenario.md.
 *
 * The seed of a scenario goes on to decide what is drawn while it runs (delays, what a crash keeps, what clients do
 * next). One thread.
 */
#ifndef TRILLIUM_TESTS_SIM_SCENARIO_H
#define TRILLIUM_TESTS_SIM_SCENARIO_H

#include "tests/sim/plan.h"
#include "tests/sim/workload.h"

enum { SCENARIO_HOSTS_MAX = 16, SCENARIO_WHY_BYTES = 200 };

struct scenario {
    uint64_t seed;
    struct plan_hosts hosts;                     /* clients: the workload's users */
    uint32_t shards[SCENARIO_HOSTS_MAX];         /* of each node */
    uint32_t workers[SCENARIO_HOSTS_MAX];        /* of each router */
    int64_t clock_offset_us[SCENARIO_HOSTS_MAX]; /* of each daemon's wall clock, at the start and after the faults */
    uint64_t net_delay_ns, net_jitter_ns;        /* a network of one rack, or of a continent */
    uint32_t node_memory_mib;                    /* a node's memory.max */
    uint32_t snapshot_entries;                   /* of controllers: raft.snapshot_entries */
    uint32_t append_bytes;                       /* and raft.append_bytes */
    uint32_t disk_keep_ppm;                      /* of what was not synced, what a power cut leaves */
    bool none_lapsed;                            /* no replica may lapse */
    bool all_served;                             /* no operation may fail from the first fault on */
    struct workload_options workload;
    struct plan plan;
};

void scenario_draw(struct scenario *scenario, uint64_t seed, const struct plan_bounds *bounds);
void scenario_write(const struct scenario *scenario, FILE *file);
/* BAD_REQUEST: why says what is wrong, in which line. */
enum status scenario_read(struct scenario *scenario, FILE *file, char why[SCENARIO_WHY_BYTES]) MUST_CHECK;

#endif
