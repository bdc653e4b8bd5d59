// links: controld_core
/* Fuzz target: bodies of RAFT_STEP and RAFT_SNAPSHOT from a controller gone mad. What is taken is within its limits. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "controld/api/messenger.h"
#include "controld/api/snapshots.h"
#include "controld/api/transfer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void step(void *context, const struct raft_message *message)
{
    (void)context;
    CHECK(message->from == 1 && message->kind <= RAFT_MESSAGE_KIND_LAST);
    CHECK(message->entries_count <= RAFT_MESSAGE_ENTRIES_MAX);
    for (uint32_t i = 0; i < message->entries_count; i++)
        CHECK(message->entries[i]->data_size <= RAFT_ENTRY_BYTES_MAX);
}

static void take_chunk(struct arena *arena, struct bytes body)
{
    struct transfer_inbox inbox = {0};
    const Trillium__V1__RaftSnapshotChunkCall *chunk =
        rpc_decode(arena, &trillium__v1__raft_snapshot_chunk_call__descriptor, body);
    uint64_t next = 0;
    for (int i = 0; chunk && i < 2; i++)
        if (transfer_take(&inbox, chunk, &next) != TRANSFER_BAD) CHECK(next <= SNAPSHOT_BYTES_MAX);
    transfer_inbox_clear(&inbox);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct bytes body = bytes_of(data, size);
    enum status status = messenger_take(&arena, body, 1, step, NULL);
    CHECK(status == STATUS_OK || status == STATUS_BAD_REQUEST);
    take_chunk(&arena, body);
    arena_free(&arena);
    return 0;
}
