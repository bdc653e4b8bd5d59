/*
 * client_ops: what the workload needs of a client, whichever library stands behind it. A client lives in a simulated
 * process; everything here but the call itself is called inside that process, on its reactor's turns.
 */
#ifndef TRILLIUM_TESTS_SIM_CLIENT_OPS_H
#define TRILLIUM_TESTS_SIM_CLIENT_OPS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/checker/history.h"

struct env;
struct reactor;

enum { SIM_CALL_ROWS_MAX = 64, SIM_CONTENT_BYTES_MAX = 16384 };

/* What a call is, beside the operations that a history holds. */
enum sim_errand { SIM_OPERATION, SIM_IMPORT_BEGIN, SIM_IMPORT_RENEW, SIM_IMPORT_END };

/* One operation. Lives in the simulator's memory, so that it survives the client's death. */
struct sim_call {
    /* Asked. Of the kind VIEW a client asks what the replicas of a channel hold, and answers the state PRESENT when
       they hold the same, ABSENT when not. kind, level, channel, id, id2, bound, limit, oldest_first, version as in the
       history. A create with id 0 gets one from the client before it is sent. */
    struct history_op op;
    char content[SIM_CONTENT_BYTES_MAX]; /* creates and edits */
    uint32_t content_size;
    enum sim_errand errand;
    uint64_t import;       /* the session of import: named by a create, of an errand; the answer of BEGIN */
    uint32_t import_ms;    /* its deadline */
    uint32_t attempts_max; /* the same write is sent again after RETRY and UNKNOWN classes */
    uint32_t budget_ms;
    /* Answered: op.outcome, id, id2, body, stamp, state, more; rows. */
    struct history_row rows[SIM_CALL_ROWS_MAX];
    uint32_t rows_count;
    int status; /* enum status of the last attempt */
    /* Called once, inside the process. */
    void (*done)(struct sim_call *call);
    void *context;
    void *client_private; /* the client's, gone with its process */
};

struct sim_client_ops {
    const char *name;
    /* routers: hosts, on the default ports. */
    void *(*create)(struct env *env, struct reactor *reactor, const char *const *routers, uint32_t routers_count);
    /* True once calls have a chance. */
    bool (*is_ready)(void *client);
    void (*start)(void *client, struct sim_call *call);
};

/* Of everything that a reader sees of a message. author_id and type of a create follow from its id. */
uint64_t sim_body_hash(const char *content, uint32_t size, int64_t author, int64_t type);
int64_t sim_author_of(uint64_t id);
int64_t sim_type_of(uint64_t id);

#endif
