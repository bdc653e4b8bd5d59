// links: raft
/*
 * Fuzz target: any bytes as records of a Raft log give a state that boots or is refused; any sequence of messages,
 * ticks, completions and requests leaves a member that holds its invariants. Peers that lie may break what Raft
 * promises, but never crash us.
 */
#include "common/base/check.h"
#include "controld/raft/raft_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct raft *boot(struct reader *reader)
{
    struct raft_replay replay = {0};
    struct raft_options options = {.id = 1, .election_ticks = 4, .heartbeat_ticks = 1};
    options.inflight_messages_max = 2;
    options.reads_pending_max = 4;
    for (uint64_t id = 1; id <= 3; id++)
        CHECK(quorum_add(&options.voters, id));
    for (uint8_t records = read_u8(reader) % 16; records > 0; records--) {
        struct bytes record = read_bytes(reader, read_u8(reader) % 32);
        if (!reader_ok(reader) || raft_replay_record(&replay, record) != STATUS_OK) break;
    }
    struct raft_boot state = raft_replay_boot(&replay, read_u8(reader) % 8);
    struct raft *raft = NULL;
    if (raft_create(&options, &state, &raft) != STATUS_OK) raft = NULL;
    raft_replay_free(&replay);
    return raft;
}

static void step(struct raft *raft, struct reader *reader)
{
    struct raft_message message = {.kind = read_u8(reader) % 14, .from = read_u8(reader) % 5, .to = 1};
    message.term = read_u8(reader) % 8;
    message.index = read_u8(reader) % 16;
    message.log_term = read_u8(reader) % 8;
    message.commit = read_u8(reader) % 16;
    message.context = read_u8(reader) % 4;
    uint8_t flags = read_u8(reader);
    message.reject = flags & 1;
    message.transfer = flags & 2;
    message.reject_hint = flags & 4 ? UINT64_MAX : read_u8(reader) % 16;
    struct raft_entry *entries[3];
    message.entries = entries;
    for (; message.kind == RAFT_MESSAGE_APPEND && message.entries_count < (flags >> 3) % 4; message.entries_count++) {
        uint64_t term = read_u8(reader) % 8, index = message.index + message.entries_count + (flags & 64 ? 2 : 1);
        entries[message.entries_count] = raft_entry_create(term, index, RAFT_ENTRY_NORMAL, bytes_of("x", 1));
    }
    (void)!raft_step(raft, &message);
    for (uint32_t i = 0; i < message.entries_count; i++)
        raft_entry_unref(entries[i]);
}

static void take(struct raft *raft, uint64_t *token)
{
    struct raft_ready ready;
    raft_ready_take(raft, &ready);
    if (ready.write.token) *token = ready.write.token;
    uint64_t applied = ready.committed_count ? ready.committed[ready.committed_count - 1]->index : 0;
    raft_ready_release(&ready);
    if (applied) raft_applied(raft, applied);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t nothing = 0;
    struct reader reader = reader_of(bytes_of(size ? data : &nothing, size));
    struct raft *raft = boot(&reader);
    uint64_t token = 0, index, term;
    struct bytes payload = bytes_of("y", 1);
    struct raft_status status;
    while (raft && reader_left(&reader) > 0) {
        switch (read_u8(&reader) % 9) {
        case 0:
            raft_tick(raft);
            break;
        case 1:
        case 2:
            step(raft, &reader);
            break;
        case 3:
            if (raft_has_ready(raft)) take(raft, &token);
            break;
        case 4:
            if (token) raft_storage_done(raft, token);
            break;
        case 5:
            (void)!raft_propose(raft, &payload, 1, &index, &term);
            break;
        case 6:
            (void)!raft_read_index(raft, reader_left(&reader));
            break;
        case 7:
            raft_campaign(raft);
            break;
        case 8:
            raft_status(raft, &status);
            if (status.applied > status.snapshot.index) raft_snapshot_taken(raft, status.applied);
            raft_status(raft, &status);
            if (status.snapshot.index <= status.applied) raft_compact(raft, status.snapshot.index);
            raft_snapshot_sent(raft, 2, true);
            (void)!raft_transfer(raft, 3);
            break;
        }
    }
    raft_destroy(raft);
    return 0;
}
