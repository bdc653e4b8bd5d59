/* raft: life of a member, events from outside, sight. */
#include "controld/raft/raft.h"

#include "common/base/mem.h"
#include "controld/raft/raft_internal.h"

struct raft_progress *raft_peer(struct raft *raft, uint64_t id)
{
    for (uint32_t i = 0; i < raft->peers_count; i++)
        if (raft->peers[i].id == id) return &raft->peers[i];
    return NULL;
}

/* ---- Life ---- */

#define DEFAULT(field, value)                                                                                          \
    do {                                                                                                               \
        if ((field) == 0) (field) = (value);                                                                           \
    } while (0)

static void set_defaults(struct raft_options *options)
{
    DEFAULT(options->election_ticks, 20);
    DEFAULT(options->heartbeat_ticks, 2);
    DEFAULT(options->inflight_messages_max, 256);
    DEFAULT(options->inflight_bytes_max, 8ull << 20);
    DEFAULT(options->append_bytes_max, 256ull << 10);
    DEFAULT(options->uncommitted_bytes_max, 64ull << 20);
    DEFAULT(options->reads_pending_max, 4096);
}

/* Contiguous, terms not falling nor above the hard state's, and the snapshot's place among them or right before. */
static bool boot_is_sound(const struct raft_boot *boot)
{
    const struct raft_snapshot *snapshot = &boot->snapshot;
    if ((snapshot->index == 0) != (snapshot->term == 0) || snapshot->term > boot->hard.term) return false;
    uint64_t last = snapshot->index;
    if (boot->entries_count > 0) {
        if (boot->entries[0]->index == 0 || boot->entries[0]->index > snapshot->index + 1) return false;
        last = boot->entries[boot->entries_count - 1]->index;
        if (last < snapshot->index) return false;
    }
    for (size_t i = 0; i < boot->entries_count; i++) {
        const struct raft_entry *entry = boot->entries[i];
        if (entry->index != boot->entries[0]->index + i || entry->term == 0) return false;
        if (i > 0 && entry->term < boot->entries[i - 1]->term) return false;
        if (entry->index == snapshot->index && entry->term != snapshot->term) return false;
        if (entry->index == snapshot->index + 1 && entry->term < snapshot->term) return false;
        if (entry->term > boot->hard.term) return false;
    }
    return boot->hard.commit <= last && boot->applied <= last;
}

static void load_log(struct raft *raft, const struct raft_boot *boot)
{
    struct raft_snapshot start = boot->snapshot;
    size_t first = 0;
    if (boot->entries_count > 0 && boot->entries[0]->index <= boot->snapshot.index) {
        /* Entries kept behind the snapshot: the oldest one serves as the place before the rest. */
        start = (struct raft_snapshot){boot->entries[0]->index, boot->entries[0]->term};
        first = 1;
    }
    struct raft_log *log = &raft->log;
    raft_log_init(log, start);
    for (size_t i = first; i < boot->entries_count; i++)
        raft_log_append(log, boot->entries[i]);
    log->submitted = log->durable = log->disk_last = raft_log_last(log);
    uint64_t applied = boot->applied > boot->snapshot.index ? boot->applied : boot->snapshot.index;
    log->applied = log->applying = applied;
    /* What was applied had been committed, though the hint on disk may not say so. */
    log->commit = boot->hard.commit > applied ? boot->hard.commit : applied;
    raft_log_check(log);
}

enum status raft_create(const struct raft_options *options, const struct raft_boot *boot, struct raft **out)
{
    CHECK(options->id != 0 && options->voters.count > 0 && quorum_has(&options->voters, options->id));
    if (!boot_is_sound(boot)) return STATUS_CORRUPT;
    struct raft *raft = mem_zalloc(sizeof *raft);
    raft->options = *options;
    set_defaults(&raft->options);
    CHECK(raft->options.heartbeat_ticks < raft->options.election_ticks);
    raft->voters.incoming = options->voters;
    raft->prng = prng_split(options->seed, "raft election");
    for (uint32_t i = 0; i < options->voters.count; i++)
        raft_progress_init(&raft->peers[raft->peers_count++], options->voters.ids[i],
            raft->options.inflight_messages_max, raft->options.inflight_bytes_max);
    list_init(&raft->writes);
    load_log(raft, boot);
    raft->snapshot = boot->snapshot;
    raft->term = boot->hard.term;
    raft->vote = boot->hard.vote;
    raft->hard_given = raft->hard_durable = boot->hard;
    raft_become_follower(raft, raft->term, 0);
    raft->term_told = raft->term;
    *out = raft;
    return STATUS_OK;
}

void raft_destroy(struct raft *raft)
{
    if (!raft) return;
    struct list *link;
    while ((link = list_pop_front(&raft->writes))) {
        struct raft_write_record *record = CONTAINER_OF(link, struct raft_write_record, link);
        raft_messages_free(&record->after);
        mem_free(record);
    }
    raft_messages_free(&raft->out);
    raft_messages_free(&raft->held);
    for (uint32_t i = 0; i < raft->peers_count; i++)
        raft_progress_fini(&raft->peers[i]);
    raft_log_fini(&raft->log);
    mem_free(raft->reads);
    mem_free(raft->read_answers);
    mem_free(raft);
}

/* ---- Events ---- */

void raft_tick(struct raft *raft)
{
    if (raft->role == RAFT_LEADER)
        raft_leader_tick(raft);
    else
        raft_election_tick(raft);
    raft_settle(raft);
}

void raft_campaign(struct raft *raft)
{
    raft_start_election(raft, false);
    raft_settle(raft);
}

enum status raft_propose(
    struct raft *raft, const struct bytes *payloads, size_t count, uint64_t *first_index, uint64_t *term)
{
    CHECK(count > 0);
    if (raft->role != RAFT_LEADER) return STATUS_NOT_OWNER;
    if (raft->transfer_to != 0) return STATUS_BUSY;
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (payloads[i].size > RAFT_ENTRY_BYTES_MAX) return STATUS_TOO_BIG;
        bytes += payloads[i].size;
    }
    /* One batch may always pass, or a large one never would. */
    if (raft->uncommitted_bytes > 0 && raft->uncommitted_bytes + bytes > raft->options.uncommitted_bytes_max)
        return STATUS_BUSY;
    *first_index = raft_log_last(&raft->log) + 1;
    *term = raft->term;
    raft_leader_append(raft, RAFT_ENTRY_NORMAL, payloads, count);
    return STATUS_OK;
}

enum status raft_read_index(struct raft *raft, uint64_t context)
{
    if (raft->role == RAFT_LEADER) return raft_leader_read(raft, raft->options.id, context);
    if (raft->leader == 0) return STATUS_UNAVAILABLE;
    raft_send(raft, (struct raft_message){.kind = RAFT_MESSAGE_READ_INDEX, .to = raft->leader, .context = context});
    raft_settle(raft);
    return STATUS_OK;
}

void raft_applied(struct raft *raft, uint64_t index)
{
    if (index <= raft->log.applied) return; /* a snapshot went past it */
    CHECK(index <= raft->log.applying);
    raft->log.applied = index;
}

void raft_snapshot_taken(struct raft *raft, uint64_t index)
{
    if (index <= raft->snapshot.index) return;
    CHECK(index <= raft->log.applied);
    struct raft_snapshot snapshot = {.index = index};
    CHECK(raft_log_term(&raft->log, index, &snapshot.term));
    raft->snapshot = snapshot;
}

void raft_compact(struct raft *raft, uint64_t index)
{
    CHECK(index <= raft->snapshot.index);
    raft_log_compact(&raft->log, index);
    raft_log_check(&raft->log);
}

void raft_snapshot_sent(struct raft *raft, uint64_t to, bool ok)
{
    struct raft_progress *peer = raft_peer(raft, to);
    if (raft->role != RAFT_LEADER || !peer || peer->state != RAFT_SNAPSHOT) return;
    if (!ok) peer->pending_snapshot = 0;
    raft_progress_probe(peer);
    /* When it arrived, wait for its answer; when it did not, do not try again before the next heartbeat's answer. */
    peer->flow_paused = true;
}

void raft_unreachable(struct raft *raft, uint64_t id)
{
    struct raft_progress *peer = raft_peer(raft, id);
    if (raft->role == RAFT_LEADER && peer && id != raft->options.id && peer->state == RAFT_REPLICATE)
        raft_progress_probe(peer);
}

enum status raft_transfer(struct raft *raft, uint64_t to)
{
    if (raft->role != RAFT_LEADER) return STATUS_NOT_OWNER;
    if (to == raft->options.id || !quorum_joint_has(&raft->voters, to)) return STATUS_NOT_FOUND;
    if (raft->transfer_to == to) return STATUS_OK;
    raft->transfer_to = to;
    raft->election_elapsed = 0; /* it gets one election timeout */
    raft_try_transfer(raft);
    return STATUS_OK;
}

/* ---- Sight ---- */

void raft_status(const struct raft *raft, struct raft_status *out)
{
    *out = (struct raft_status){
        .id = raft->options.id,
        .term = raft->term,
        .vote = raft->vote,
        .leader = raft->leader,
        .role = raft->role,
        .first = raft_log_first(&raft->log),
        .last = raft_log_last(&raft->log),
        .durable = raft->log.durable,
        .commit = raft->log.commit,
        .applied = raft->log.applied,
        .snapshot = raft->snapshot,
        .transfer_to = raft->transfer_to,
        .reads_pending = raft->reads_count,
        .uncommitted_bytes = raft->uncommitted_bytes,
    };
    LIST_FOR_EACH (link, &raft->writes)
        out->writes_underway++;
    if (raft->role != RAFT_LEADER) return;
    out->peers_count = raft->peers_count;
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        const struct raft_progress *peer = &raft->peers[i];
        bool self = peer->id == raft->options.id;
        out->peers[i] = (struct raft_peer_status){
            .id = peer->id,
            .state = peer->state,
            .match = peer->match,
            .next = self ? peer->match + 1 : peer->next,
            .pending_snapshot = peer->pending_snapshot,
            .inflight_messages = peer->inflight_count,
            .paused = raft_progress_is_paused(peer),
            .recently_active = peer->active,
        };
    }
}

const struct raft_entry *raft_entry_at(const struct raft *raft, uint64_t index)
{
    if (index < raft_log_first(&raft->log) || index > raft_log_last(&raft->log)) return NULL;
    return raft_log_entry(&raft->log, index);
}

uint64_t raft_term_at(const struct raft *raft, uint64_t index)
{
    uint64_t term;
    return raft_log_term(&raft->log, index, &term) ? term : 0;
}
