#include "controld/raft/raft_progress.h"

#include "common/base/check.h"
#include "common/base/mem.h"

void raft_progress_init(struct raft_progress *progress, uint64_t id, uint32_t messages_max, uint64_t bytes_max)
{
    CHECK(id != 0 && messages_max > 0 && bytes_max > 0);
    *progress = (struct raft_progress){.id = id, .next = 1, .inflight_max = messages_max};
    progress->inflight_bytes_max = bytes_max;
    progress->inflight = mem_alloc(messages_max * sizeof *progress->inflight);
}

void raft_progress_fini(struct raft_progress *progress)
{
    mem_free(progress->inflight);
}

static void change(struct raft_progress *progress, enum raft_progress_state state)
{
    progress->state = state;
    progress->flow_paused = false;
    progress->pending_snapshot = 0;
    progress->inflight_head = progress->inflight_count = 0;
    progress->inflight_bytes = 0;
}

/* A follower can use a commit index only up to what it holds. */
static void move_next(struct raft_progress *progress, uint64_t next)
{
    progress->next = next;
    if (progress->sent_commit > next - 1) progress->sent_commit = next - 1;
}

void raft_progress_reset(struct raft_progress *progress, uint64_t next)
{
    change(progress, RAFT_PROBE);
    progress->match = 0;
    progress->next = next;
    progress->active = false;
    progress->read_round = 0;
    progress->sent_commit = 0;
}

void raft_progress_probe(struct raft_progress *progress)
{
    uint64_t next = progress->match + 1;
    /* A snapshot that was sent may have arrived: go on behind it; a refusal would say otherwise. */
    if (progress->state == RAFT_SNAPSHOT && progress->pending_snapshot + 1 > next)
        next = progress->pending_snapshot + 1;
    change(progress, RAFT_PROBE);
    move_next(progress, next);
}

void raft_progress_replicate(struct raft_progress *progress)
{
    change(progress, RAFT_REPLICATE);
    progress->next = progress->match + 1;
}

void raft_progress_snapshot(struct raft_progress *progress, uint64_t index)
{
    change(progress, RAFT_SNAPSHOT);
    progress->pending_snapshot = index;
    progress->next = index + 1;
    progress->sent_commit = index;
}

bool raft_progress_is_paused(const struct raft_progress *progress)
{
    return progress->state == RAFT_SNAPSHOT || progress->flow_paused;
}

bool raft_progress_is_full(const struct raft_progress *progress)
{
    return progress->inflight_count == progress->inflight_max ||
           progress->inflight_bytes >= progress->inflight_bytes_max;
}

void raft_progress_sent(struct raft_progress *progress, uint32_t count, uint64_t bytes)
{
    if (progress->state == RAFT_PROBE) {
        if (count > 0) progress->flow_paused = true;
        return;
    }
    CHECK(progress->state == RAFT_REPLICATE);
    if (count > 0) {
        CHECK(!raft_progress_is_full(progress));
        uint32_t slot = (progress->inflight_head + progress->inflight_count++) % progress->inflight_max;
        progress->next += count;
        progress->inflight[slot] = (struct raft_inflight){progress->next - 1, bytes};
        progress->inflight_bytes += bytes;
    }
    /* When full, this message is the last until an answer or the next heartbeat. */
    progress->flow_paused = raft_progress_is_full(progress);
}

bool raft_progress_lacks_commit(const struct raft_progress *progress, uint64_t commit)
{
    return commit > progress->sent_commit && progress->sent_commit < progress->next - 1;
}

void raft_progress_sent_commit(struct raft_progress *progress, uint64_t commit)
{
    progress->sent_commit = commit;
}

bool raft_progress_acked(struct raft_progress *progress, uint64_t index)
{
    if (index <= progress->match) return false;
    progress->match = index;
    if (progress->next <= index) progress->next = index + 1;
    progress->flow_paused = false;
    return true;
}

void raft_progress_free_to(struct raft_progress *progress, uint64_t index)
{
    while (progress->inflight_count > 0 && progress->inflight[progress->inflight_head].last <= index) {
        progress->inflight_bytes -= progress->inflight[progress->inflight_head].bytes;
        progress->inflight_head = (progress->inflight_head + 1) % progress->inflight_max;
        progress->inflight_count--;
    }
}

bool raft_progress_rejected(struct raft_progress *progress, uint64_t rejected, uint64_t hint)
{
    if (progress->state == RAFT_REPLICATE) {
        /* Reordered with an answer that already proved more. */
        if (rejected <= progress->match) return false;
        move_next(progress, progress->match + 1);
        return true;
    }
    if (progress->next - 1 != rejected) return false;
    uint64_t next = rejected < hint + 1 ? rejected : hint + 1;
    move_next(progress, next > progress->match ? next : progress->match + 1);
    progress->flow_paused = false;
    return true;
}
