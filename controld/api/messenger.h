/*
 * messenger: Raft's messages between controllers, as calls RAFT_STEP over rpc peers (docs/protocols/raft.md). Batches
 * what one turn has for a peer; drops what cannot leave, as Raft allows.
 * Threads: the reactor's.
 */
#ifndef TRILLIUM_CONTROLD_API_MESSENGER_H
#define TRILLIUM_CONTROLD_API_MESSENGER_H

#include "common/model/view.h"
#include "common/rpc/rpc.h"
#include "controld/raft/raft_types.h"

struct messenger;

struct messenger_options {
    struct rpc *rpc;
    uint64_t id;                               /* this member */
    const struct view_controller *controllers; /* all members; copied */
    unsigned controllers_count;
    /* Messages to this member were lost. Never from inside messenger_send. */
    void (*unreachable)(void *context, uint64_t member);
    void *context;
};

enum status messenger_create(const struct messenger_options *options, struct messenger **out) MUST_CHECK;
/* Ends all calls; unreachable is not called any more. */
void messenger_destroy(struct messenger *messenger);

/* Sends in order per peer; entries are not needed afterwards. SNAPSHOT messages are not for it. */
void messenger_send(struct messenger *messenger, const struct raft_message *messages, uint32_t count);
bool messenger_is_up(const struct messenger *messenger, uint64_t member);
/* NULL: not another member. */
struct rpc_peer *messenger_peer(const struct messenger *messenger, uint64_t member);
uint64_t messenger_dropped(const struct messenger *messenger);

/* Calls step for each message of a RAFT_STEP body, in order, with entries that live during the call. BAD_REQUEST: the
   body is malformed or holds messages that are not from that member; those before it were stepped. */
enum status messenger_take(struct arena *arena, struct bytes body, uint64_t from,
    void (*step)(void *context, const struct raft_message *message), void *context) MUST_CHECK;

#endif
