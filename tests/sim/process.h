/*
 * process: one simulated daemon instance: an env, a memory scope, the reactors that the daemon makes in it, a clock of
 * its own, and an end: a kill, a power cut, or its own env_die. It can be started again after each; its disk stays.
 *
 * A kill drops the whole memory scope, so nothing of the daemon runs afterwards, no destructor and no goodbye, as after
 * a real SIGKILL. Code outside the daemon reaches into it only through process_call.
 */
#ifndef TRILLIUM_TESTS_SIM_PROCESS_H
#define TRILLIUM_TESTS_SIM_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/log.h"
#include "common/runtime/env.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/world.h"

struct process;

/* name and disk outlive the process; disk may be NULL for a process without one. */
struct process *process_create(struct world *world, const char *name, struct sim_disk *disk);
void process_destroy(struct process *process);

/* Starts it: boot runs inside, with the new env. Not while it runs. */
void process_start(struct process *process, void (*boot)(struct env *env, void *context), void *context);
/* Runs function inside the process (in its memory scope, where env_die works). False when it is not running, or when it
   died meanwhile. Not from inside any process. */
bool process_call(struct process *process, void (*function)(struct env *env, void *argument), void *argument);
/* SIGKILL: its memory is gone, its disk keeps the page cache. Nothing happens when it does not run. */
void process_kill(struct process *process);
/* A power cut: the disk also loses what no sync covered. */
void process_power_cut(struct process *process);
/* An orderly end: the daemon has destroyed all it made. Fails the world when memory or reactors are left. */
void process_end(struct process *process);
/* No turn runs before the time (SIGSTOP, a starved host); everything waits. */
void process_pause_until(struct process *process, uint64_t at_ns);

/* It runs, and has had the time to do what was due since it last stood still. */
bool process_is_awake(const struct process *process);
bool process_is_running(const struct process *process);
const char *process_name(const struct process *process);
/* Of the running incarnation. */
struct env *process_env(struct process *process);
struct world *process_world(const struct process *process);
struct sim_disk *process_disk(const struct process *process);
/* Starts so far; tells incarnations apart. */
uint32_t process_incarnation(const struct process *process);
/* Why the last incarnation died of itself (STATUS_OK: it did not). */
enum status process_death(const struct process *process);
/* Called after the process died of itself, outside of it. */
void process_on_death(struct process *process,
    void (*died)(void *context, struct process *process, enum status status, const char *why), void *context);

/* Clock: wall = world + offset, running at (1,000,000 + rate) / 1,000,000 of true speed; monotonic has the rate too. */
void process_clock_offset(struct process *process, int64_t offset_us);
void process_clock_rate(struct process *process, int32_t rate_ppm);
int64_t process_wall_us(const struct process *process);

/* For sim_net: the door that env.net shows, the scope that deliveries allocate in (NULL when not running), and what is
   called when an incarnation is gone, after its memory went (power: its host went dark with it). */
void process_set_net(struct process *process, struct net *net, void (*gone)(struct net *net, bool power));
struct mem_scope *process_scope(const struct process *process);
/* Something that a reactor is to be told in its next turn, inside the process. Embedded in the simulator's own memory;
   taken back by list_remove, and by the end of the incarnation. Deliveries keep their order. */
struct process_delivery {
    struct list link;
    void (*deliver)(struct process_delivery *delivery);
};
void process_deliver(struct process *process, struct reactor *reactor, struct process_delivery *delivery);
struct process *process_of_env(struct env *env);
/* Log lines below the level are dropped; LOG_LEVEL_INFO at first. Event names count as probes. */
void process_log_level(struct process *process, enum log_level level);

#endif
