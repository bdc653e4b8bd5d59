#include "controld/api/transfer.h"

#include "common/base/hash.h"
#include "controld/api/snapshots.h"

enum { CHUNK_BUDGET_US = 10 * 1000 * 1000 }; /* the last one is answered after a sync */

/* ---- the leader's side ---- */

static bool send_chunk(struct rpc_peer *peer, Trillium__V1__RaftSnapshotChunkCall *chunk, uint64_t *next)
{
    struct rpc_call call = {.method = METHOD_RAFT_SNAPSHOT, .budget_us = CHUNK_BUDGET_US};
    struct arena arena = {0};
    struct rpc_reply reply;
    Trillium__V1__RaftSnapshotChunkAnswer *answer = NULL;
    if (rpc_call_wait(peer, &call, RPC_MESSAGE(chunk), &arena, &reply) == STATUS_OK)
        answer = rpc_decode(&arena, &trillium__v1__raft_snapshot_chunk_answer__descriptor, reply.body);
    if (answer) *next = answer->next_offset;
    arena_free(&arena);
    return answer != NULL;
}

bool transfer_send(struct rpc_peer *peer, const struct raft_message *message, struct bytes file)
{
    Trillium__V1__RaftSnapshotChunkCall chunk = TRILLIUM__V1__RAFT_SNAPSHOT_CHUNK_CALL__INIT;
    chunk.from = message->from;
    chunk.to = message->to;
    chunk.term = message->term;
    chunk.index = message->index;
    chunk.log_term = message->log_term;
    chunk.file_size = file.size;
    chunk.file_hash = hash64(file.data, file.size, 0);
    uint64_t offset = 0;
    while (offset < file.size) {
        size_t size = file.size - offset < TRANSFER_CHUNK_BYTES ? file.size - offset : TRANSFER_CHUNK_BYTES;
        chunk.offset = offset;
        chunk.data = (ProtobufCBinaryData){size, (uint8_t *)(uintptr_t)file.data + offset};
        uint64_t next;
        /* A receiver that wants another place lost its stream: the core begins a new one. */
        if (!send_chunk(peer, &chunk, &next) || next != offset + size) return false;
        offset = next;
    }
    return true;
}

/* ---- the receiver's side ---- */

void transfer_inbox_clear(struct transfer_inbox *inbox)
{
    buffer_free(&inbox->file);
    *inbox = (struct transfer_inbox){0};
}

static bool is_same_stream(const struct transfer_inbox *inbox, const Trillium__V1__RaftSnapshotChunkCall *chunk)
{
    return inbox->from == chunk->from && inbox->term == chunk->term && inbox->place.index == chunk->index &&
           inbox->place.term == chunk->log_term && inbox->size == chunk->file_size && inbox->hash == chunk->file_hash;
}

enum transfer_verdict transfer_take(
    struct transfer_inbox *inbox, const Trillium__V1__RaftSnapshotChunkCall *chunk, uint64_t *next_offset)
{
    if (chunk->from == 0 || chunk->index == 0 || chunk->log_term == 0 || chunk->data.len == 0 ||
        chunk->data.len > TRANSFER_CHUNK_BYTES || chunk->file_size > SNAPSHOT_BYTES_MAX ||
        chunk->offset > chunk->file_size || chunk->data.len > chunk->file_size - chunk->offset)
        return TRANSFER_BAD;
    if (chunk->offset == 0) {
        transfer_inbox_clear(inbox);
        *inbox = (struct transfer_inbox){
            chunk->from, chunk->term, chunk->file_hash, chunk->file_size, {chunk->index, chunk->log_term}, {0}};
    }
    *next_offset = is_same_stream(inbox, chunk) ? inbox->file.size : 0;
    if (!is_same_stream(inbox, chunk) || chunk->offset != inbox->file.size) return TRANSFER_MORE;
    buffer_append(&inbox->file, chunk->data.data, chunk->data.len);
    *next_offset = inbox->file.size;
    if (inbox->file.size < inbox->size) return TRANSFER_MORE;
    if (hash64(inbox->file.data, inbox->file.size, 0) == inbox->hash) return TRANSFER_WHOLE;
    transfer_inbox_clear(inbox);
    *next_offset = 0;
    return TRANSFER_MORE;
}
