/*
 * client_calls: the bodies and answers of the client conversation, for clients of the workload. A client brings a door:
 * how a call is sent, where ids and stamps come from. Calls run in fibers of the client's reactor.
 */
#ifndef TRILLIUM_TESTS_SIM_CLIENT_CALLS_H
#define TRILLIUM_TESTS_SIM_CLIENT_CALLS_H

#include <protobuf-c/protobuf-c.h>

#include "common/base/arena.h"
#include "common/base/bytes.h"
#include "common/base/status.h"
#include "tests/sim/client_ops.h"

struct client_door;

/* One call under way, in a fiber. */
struct client_attempt {
    struct client_door *door;
    struct sim_call *call;
    struct arena arena;
    bool maybe;          /* something sent before may have had its effect */
    struct bytes answer; /* of the last send, in arena */
};

/* Embedded in a client; all functions wait in the calling fiber. */
struct client_door {
    struct reactor *reactor;
    /* The answer's body goes into attempt->answer. */
    enum status (*send)(struct client_attempt *attempt, uint16_t method, const ProtobufCMessage *message);
    /* Not done: nothing was sent, and the call is worth another attempt. */
    enum status (*make_id)(struct client_attempt *attempt, uint64_t *id);
    enum status (*make_stamp)(struct client_attempt *attempt, int64_t *stamp);
    /* Whether to go on after an attempt of the class RETRY or UNKNOWN; called with what failed. */
    void (*failed)(struct client_attempt *attempt);
};

/* Starts the fiber. */
void client_calls_start(struct client_door *door, struct sim_call *call);

#endif
