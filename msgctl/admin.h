/*
 * admin: questions to daemons about themselves: controllers, nodes, routers, each on its own port. Several questions
 * are asked at once. One thread, on a reactor that runs only inside admin_ask.
 */
#ifndef TRILLIUM_MSGCTL_ADMIN_H
#define TRILLIUM_MSGCTL_ADMIN_H

#include <protobuf-c/protobuf-c.h>

#include "common/base/arena.h"
#include "common/model/view.h"
#include "msgctl/cli.h"

struct admin;

/* NULL after saying why. */
struct admin *admin_open(const struct cli *cli);
void admin_close(struct admin *admin);

enum admin_target { ADMIN_CONTROLLERS, ADMIN_CONTROLLER_LEADER, ADMIN_NODE, ADMIN_ROUTER, ADMIN_ANY_ROUTER };

struct admin_ask {
    enum admin_target target;
    const char *address; /* NODE, ROUTER: host:base port */
    unsigned shard;      /* NODE: which shard; ROUTER: which worker */
    uint16_t method;
    const ProtobufCMessage *call;
    const ProtobufCMessageDescriptor *answer_type;
    unsigned budget_ms; /* of one attempt; 0: 2 s, or the deadline when that is shorter */
    /* out */
    enum status status;
    void *answer;        /* lives until admin_close; NULL unless the status is DONE */
    struct admin *admin; /* the module's own */
};

/* Asks all and waits for all: each until its answer, or the command's deadline. */
void admin_ask(struct admin *admin, struct admin_ask *asks, unsigned count);
/* One question to the controllers, said when it failed. */
enum exit_code admin_control(struct admin *admin, struct admin_ask *ask);
/* The cluster's view, as the controllers have it. */
enum status admin_view(struct admin *admin, struct view *out) MUST_CHECK;
struct arena *admin_arena(struct admin *admin);
/* Those of the settings. */
const struct config_list *admin_routers(const struct admin *admin);

#endif
