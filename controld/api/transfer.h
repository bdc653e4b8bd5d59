/*
 * transfer: a snapshot file's way from the leader to a member that lags, in chunks (docs/protocols/raft.md).
 *
 * transfer_send is one fiber's work. A transfer_inbox puts arriving chunks together, one stream at a time; a whole and
 * verified file is handed to its owner, who makes it durable.
 * Threads: the reactor's.
 */
#ifndef TRILLIUM_CONTROLD_API_TRANSFER_H
#define TRILLIUM_CONTROLD_API_TRANSFER_H

#include "common/base/bytes.h"
#include "common/base/uuid.h"
#include "common/rpc/rpc.h"
#include "controld/raft/raft_types.h"
#include "proto/raft.pb-c.h"

enum { TRANSFER_CHUNK_BYTES = 256 << 10 };

/* (fiber) Sends the file that the SNAPSHOT message speaks of. True when the receiver said that it holds all. */
bool transfer_send(struct rpc_peer *peer, const struct raft_message *message, struct bytes file);

/* The stream that is arriving. Zero-initialised: none. */
struct transfer_inbox {
    uint64_t from, term, hash, size;
    struct raft_snapshot place;
    struct buffer file;
};

enum transfer_verdict {
    TRANSFER_MORE,  /* answer with *next_offset */
    TRANSFER_WHOLE, /* the file is complete and has its hash; nothing is answered yet */
    TRANSFER_BAD,   /* malformed */
};

enum transfer_verdict transfer_take(
    struct transfer_inbox *inbox, const Trillium__V1__RaftSnapshotChunkCall *chunk, uint64_t *next_offset);
void transfer_inbox_clear(struct transfer_inbox *inbox);

#endif
