#include "tests/sim/cluster/raft_ledger.h"

#include <inttypes.h>
#include <stdio.h>

#include "controld/raft/raft_record.h"
#include "tests/sim/cluster/node_ledger.h"
#include "tests/sim/sim_mem.h"

/* A record of the log, kept to replay it again when a recovery drops what came after it. */
struct raft_kept {
    size_t at, size; /* in bytes */
};

struct raft_ledger {
    struct world *world;
    const char *name;
    struct synced_log *synced;
    struct raft_replay replay;
    struct buffer bytes, kept; /* kept: struct raft_kept by sequence, from 1 on */
};

static void replay_one(struct raft_ledger *ledger, struct bytes record)
{
    if (raft_replay_record(&ledger->replay, record) != STATUS_OK)
        world_fail(ledger->world, "I14", "%s: its synced Raft log contradicts itself", ledger->name);
}

static void take_record(void *context, uint64_t sequence, uint8_t kind, struct bytes payload)
{
    (void)kind;
    struct raft_ledger *ledger = context;
    struct raft_kept kept = {ledger->bytes.size, payload.size};
    if (ledger->kept.size / sizeof kept != sequence - 1)
        world_fail(ledger->world, "I14", "%s: its Raft log has a gap before record %" PRIu64, ledger->name, sequence);
    buffer_append(&ledger->bytes, payload.data, payload.size);
    buffer_append(&ledger->kept, &kept, sizeof kept);
    replay_one(ledger, payload);
}

static void take_recovery(void *context, const struct synced_recovery *recovery)
{
    struct raft_ledger *ledger = context;
    ledger_judge_recovery(ledger->world, ledger->name, "raft", 0, recovery);
    size_t keep = (size_t)(recovery->first - 1);
    if (keep >= ledger->kept.size / sizeof(struct raft_kept)) return;
    raft_replay_free(&ledger->replay);
    const struct raft_kept *kept = (const struct raft_kept *)(const void *)ledger->kept.data;
    for (size_t i = 0; i < keep; i++)
        replay_one(ledger, bytes_of(ledger->bytes.data + kept[i].at, kept[i].size));
    ledger->bytes.size = kept[keep].at;
    ledger->kept.size = keep * sizeof *kept;
}

struct raft_ledger *raft_ledger_create(struct world *world, const char *name, const struct sim_disk *disk)
{
    struct raft_ledger *ledger = sim_alloc(sizeof *ledger);
    ledger->world = world;
    ledger->name = name;
    struct synced_log_sink sink = {take_recovery, take_record, ledger};
    ledger->synced = synced_log_create(disk, "raft", 0, &sink);
    return ledger;
}

void raft_ledger_destroy(struct raft_ledger *ledger)
{
    synced_log_destroy(ledger->synced);
    raft_replay_free(&ledger->replay);
    buffer_free(&ledger->bytes);
    buffer_free(&ledger->kept);
    mem_free(ledger);
}

void raft_ledger_follow(struct raft_ledger *ledger, bool names)
{
    synced_log_follow(ledger->synced, names);
}

void raft_ledger_reboot(struct raft_ledger *ledger)
{
    raft_ledger_follow(ledger, true);
    synced_log_reboot(ledger->synced);
}

static uint64_t last_entry(const struct raft_ledger *ledger)
{
    size_t count = ledger->replay.entries_count;
    uint64_t last = count ? ledger->replay.entries[count - 1]->index : 0;
    return last > ledger->replay.snapshot.index ? last : ledger->replay.snapshot.index;
}

/* A message that was held until its write was done may leave when newer terms are durable too: those say nothing about
   the older ones' votes and entries any more. */
void raft_ledger_judge(const struct raft_ledger *ledger, const struct raft_message *message)
{
    const struct raft_hard_state *hard = &ledger->replay.hard;
    bool pre =
        message->kind == RAFT_MESSAGE_PRE_VOTE || (message->kind == RAFT_MESSAGE_PRE_VOTE_ANSWER && !message->reject);
    if (message->term > hard->term + (pre ? 1 : 0)) {
        /* A grant of a pre-vote carries the term that was asked about; it promises nothing. */
        if (message->kind == RAFT_MESSAGE_PRE_VOTE_ANSWER && !message->reject) return;
        world_fail(ledger->world, "I5",
            "%s tells of term %" PRIu64 " (message kind %d) while only term %" PRIu64 " is synced", ledger->name,
            message->term, (int)message->kind, hard->term);
        return;
    }
    if (message->term != hard->term) return;
    uint64_t vote = message->kind == RAFT_MESSAGE_VOTE                              ? message->from
                    : message->kind == RAFT_MESSAGE_VOTE_ANSWER && !message->reject ? message->to
                                                                                    : 0;
    if (vote && hard->vote != vote)
        world_fail(ledger->world, "I5",
            "%s votes for %" PRIu64 " in term %" PRIu64 " while its synced vote is %" PRIu64, ledger->name, vote,
            message->term, hard->vote);
    bool ack = message->kind == RAFT_MESSAGE_APPEND_ANSWER && !message->reject;
    if (ack && message->index > last_entry(ledger))
        world_fail(ledger->world, "I5", "%s acknowledges entry %" PRIu64 " while its synced log ends at %" PRIu64,
            ledger->name, message->index, last_entry(ledger));
}
