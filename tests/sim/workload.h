/*
 * workload: users of a simulated cluster, each a process with a client in it, who create, edit, delete, purge, get and
 * list messages; everything they do and see goes into a history for the checker.
 *
 * Which operation comes next is drawn from the world's workload stream. Bodies are computable from seed, channel, id
 * and version. An operation whose process dies under it is unknown. One thread.
 */
#ifndef TRILLIUM_TESTS_SIM_WORKLOAD_H
#define TRILLIUM_TESTS_SIM_WORKLOAD_H

#include "tests/checker/history.h"
#include "tests/sim/client_ops.h"
#include "tests/sim/process.h"
#include "tests/sim/world.h"

enum { WORKLOAD_USERS_MAX = 16, WORKLOAD_LANES_MAX = 8, WORKLOAD_CHANNELS_MAX = 32 };

/* Drawn by workload_draw, or read from a scenario. */
struct workload_options {
    uint32_t users, lanes; /* lanes: operations that one user has under way at most */
    uint32_t channels;
    uint32_t think_ms;         /* mean pause of a lane */
    uint32_t weights[7];       /* of the kinds up to HISTORY_STATUS */
    uint32_t sessions;         /* users on libtrillium's core; the others call routers themselves */
    uint32_t import_ppm;       /* operations that are about old ids (imports.h) */
    uint32_t one_ppm, all_ppm; /* operations at ONE and ALL; the rest is at QUORUM */
    uint32_t hot_ppm;          /* of lists: the newest 10 of channel 0, so that many want the same */
    uint32_t follow_ppm;       /* of done writes: their channel's newest 10 are read at once */
    uint32_t content_bytes_max;
    uint32_t attempts_max;
    uint32_t budget_ms;
};
void workload_draw(struct prng *prng, struct workload_options *options);

struct workload;

struct workload_counts {
    uint64_t by_kind[HISTORY_KINDS], by_outcome[5];
    uint64_t too_old; /* refused as the horizon wants it; not in by_outcome */
};

struct workload *workload_create(struct world *world, const struct workload_options *options);
void workload_destroy(struct workload *workload);
/* Adds a user in the process, which is started; routers are addresses, copied pointers that outlive the workload. */
void workload_add_user(struct workload *workload, struct process *process, const struct sim_client_ops *ops,
    const char *const *routers, uint32_t routers_count);
/* New operations begin, or no longer. */
void workload_run(struct workload *workload, bool on);
/* The user's process was killed: what was under way is unknown. Restart it with workload_user_start. */
void workload_user_killed(struct workload *workload, uint32_t user);
void workload_user_start(struct workload *workload, uint32_t user);
uint32_t workload_under_way(const struct workload *workload);

/* Somebody asks for a horizon that lies so far back. Returns it, in ms since 1970. */
int64_t workload_horizon(struct workload *workload, uint64_t ago_ms);
/* From now on every node holds this horizon. */
void workload_horizon_settled(struct workload *workload, int64_t horizon_ms);

/* Reads every channel from oldest to newest at the level and, when that is ALL, compares what its replicas hold; again
   and again until all of it worked. workload_is_read tells when; replicas that differ after a channel was read fail the
   world. */
void workload_read_all(struct workload *workload, enum history_level level);
bool workload_is_read(const struct workload *workload);

const struct history *workload_history(const struct workload *workload);
const struct workload_counts *workload_counts(const struct workload *workload);
/* World time at which the last operation other than unknown or refused returned. */
uint64_t workload_last_success(const struct workload *workload);

#endif
