#include "tests/unit/controld/raft/cluster.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/mem.h"

__attribute__((format(printf, 2, 3))) static void violated(struct cluster *cluster, const char *format, ...)
{
    if (cluster->why[0]) return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cluster->why, sizeof cluster->why, format, arguments);
    va_end(arguments);
}

#define ID(id) ((unsigned long long)(id))

#define GROW(array, count, capacity)                                                                                   \
    do {                                                                                                               \
        if ((count) == (capacity)) {                                                                                   \
            (capacity) = (capacity) ? (capacity)*2 : 16;                                                               \
            (array) = mem_realloc((array), (size_t)(capacity) * sizeof *(array));                                      \
        }                                                                                                              \
    } while (0)

/* ---- Disk ---- */

static void append_record(struct cluster_node *node, const struct raft_record *record)
{
    GROW(node->records, node->records_count, node->records_capacity);
    struct buffer *buffer = &node->records[node->records_count++];
    *buffer = (struct buffer){0};
    raft_record_encode(record, buffer);
}

static void sync_records(struct cluster *cluster, struct cluster_node *node, size_t end)
{
    for (; node->synced < end; node->synced++)
        if (raft_replay_record(&node->on_disk, buffer_bytes(&node->records[node->synced])) != STATUS_OK)
            violated(cluster, "node %llu: its own record cannot be replayed", ID(node->id));
}

static void drop_records_from(struct cluster_node *node, size_t first)
{
    while (node->records_count > first)
        buffer_free(&node->records[--node->records_count]);
}

static uint64_t term_on_disk(const struct cluster_node *node, uint64_t index)
{
    const struct raft_replay *disk = &node->on_disk;
    if (index == disk->snapshot.index) return disk->snapshot.term;
    if (disk->entries_count == 0 || index < disk->entries[0]->index) return 0;
    size_t at = (size_t)(index - disk->entries[0]->index);
    return at < disk->entries_count ? disk->entries[at]->term : 0;
}

static struct cluster_snapshot *file_at(struct cluster_node *node, uint64_t index)
{
    for (int i = 0; i < CLUSTER_FILES; i++)
        if (node->files[i].index == index) return &node->files[i];
    return NULL;
}

static void keep_file(struct cluster_node *node, struct cluster_snapshot snapshot)
{
    int oldest = 0;
    for (int i = 1; i < CLUSTER_FILES; i++)
        if (node->files[i].index < node->files[oldest].index) oldest = i;
    node->files[oldest] = snapshot;
}

/* ---- Witnesses ---- */

/* A vote or an acknowledgement that leaves must be on the synced disk (I5). */
static void check_promise(struct cluster *cluster, struct cluster_node *node, const struct raft_message *message)
{
    if (cluster->skip_durability_check) return;
    const struct raft_hard_state *hard = &node->on_disk.hard;
    if (message->term > hard->term && message->kind != RAFT_MESSAGE_PRE_VOTE &&
        message->kind != RAFT_MESSAGE_PRE_VOTE_ANSWER)
        violated(cluster, "I5: node %llu told term %llu before it was durable", ID(node->id), ID(message->term));
    bool votes = message->kind == RAFT_MESSAGE_VOTE_ANSWER && !message->reject;
    if (votes && hard->term == message->term && hard->vote != message->to)
        violated(cluster, "I5: node %llu voted for %llu before it was durable", ID(node->id), ID(message->to));
    bool acks = message->kind == RAFT_MESSAGE_APPEND_ANSWER && !message->reject && message->index > 0;
    /* An answer of an older term may tell of entries that were replaced since: only its own term can use it. */
    if (acks && message->term == hard->term && message->index > node->on_disk.snapshot.index &&
        term_on_disk(node, message->index) == 0)
        violated(cluster, "I5: node %llu acknowledged %llu before it was durable", ID(node->id), ID(message->index));
}

static void check_leader(struct cluster *cluster, struct cluster_node *node)
{
    struct raft_status status;
    raft_status(node->raft, &status);
    if (status.role != RAFT_LEADER) return;
    void *other = map_get(&cluster->leaders, status.term);
    if (other == NULL) {
        map_put(&cluster->leaders, status.term, (void *)(uintptr_t)node->id);
        cluster->elections++;
        uint64_t last = cluster->committed_last;
        bool holds =
            last < status.first - 1 ||
            (last <= status.last && (last == 0 || raft_term_at(node->raft, last) == cluster->committed[last].term));
        if (!holds)
            violated(cluster, "I3: leader %llu of term %llu lacks entry %llu", ID(node->id), ID(status.term), ID(last));
    } else if ((uintptr_t)other != node->id) {
        violated(cluster, "I1: %llu and %llu lead in term %llu", ID((uintptr_t)other), ID(node->id), ID(status.term));
    }
}

static uint64_t hash_entry(const struct raft_entry *entry, uint64_t seed)
{
    uint64_t words[3] = {entry->term, entry->index, (uint64_t)entry->kind};
    return hash64(entry->data, entry->data_size, hash64(words, sizeof words, seed));
}

static void check_written(struct cluster *cluster, struct cluster_node *node, const struct raft_write *write)
{
    for (uint32_t i = 0; i < write->entries_count; i++) {
        const struct raft_entry *entry = write->entries[i];
        uint64_t before = raft_term_at(node->raft, entry->index - 1);
        uint64_t hash = hash_entry(entry, before) | 1;
        uint64_t key = entry->term << 32 | entry->index;
        void *known = map_get(&cluster->entries, key);
        if (!known)
            map_put(&cluster->entries, key, (void *)(uintptr_t)hash);
        else if ((uintptr_t)known != hash)
            violated(cluster, "I2: two entries (%llu, %llu) differ", ID(entry->term), ID(entry->index));
    }
}

static void check_monotonic(struct cluster *cluster, struct cluster_node *node)
{
    struct raft_status now;
    raft_status(node->raft, &now);
    bool vote_moved = now.term == node->last_term && node->last_vote != 0 && now.vote != node->last_vote;
    if (now.term < node->last_term || vote_moved || now.commit < node->last_commit)
        violated(cluster, "I4: node %llu went back", ID(node->id));
    if (now.applied > now.commit || now.commit > now.last || now.applied > now.durable)
        violated(cluster, "I4: node %llu: applied %llu commit %llu durable %llu last %llu", ID(node->id),
            ID(now.applied), ID(now.commit), ID(now.durable), ID(now.last));
    node->last_term = now.term;
    node->last_vote = now.vote;
    node->last_commit = now.commit;
}

static void apply(struct cluster *cluster, struct cluster_node *node, const struct raft_entry *entry)
{
    if (entry->index != node->applied + 1) {
        violated(cluster, "node %llu applies %llu after %llu", ID(node->id), ID(entry->index), ID(node->applied));
        return;
    }
    node->applied = entry->index;
    node->state = hash_entry(entry, node->state);
    struct cluster_snapshot now = {entry->index, entry->term, node->state};
    if (entry->index > cluster->committed_last) {
        while (cluster->committed_capacity <= entry->index) {
            uint64_t unused = cluster->committed_capacity;
            GROW(cluster->committed, unused, cluster->committed_capacity);
        }
        cluster->committed_last = entry->index;
        cluster->committed[entry->index] = now;
    } else if (memcmp(&cluster->committed[entry->index], &now, sizeof now) != 0) {
        violated(cluster, "I2/I7: node %llu applied another entry %llu", ID(node->id), ID(entry->index));
    }
}

static void check_read(struct cluster *cluster, struct cluster_node *node, struct raft_read read)
{
    for (size_t i = 0; i < cluster->reads_count; i++) {
        if (cluster->reads[i].context != read.context) continue;
        if (read.index < cluster->reads[i].least)
            violated(cluster, "I8: node %llu read at %llu, %llu was committed", ID(node->id), ID(read.index),
                ID(cluster->reads[i].least));
        cluster->reads_answered++;
        cluster->answered_context = read.context;
        cluster->answered_index = read.index;
    }
}

/* ---- Readies ---- */

static void start_write(struct cluster *cluster, struct cluster_node *node, const struct raft_write *write)
{
    check_written(cluster, node, write);
    struct raft_record record;
    for (uint32_t position = 0; raft_write_next(write, &position, &record);)
        append_record(node, &record);
    node->hard_given = write->hard;
    GROW(node->writes, node->writes_count, node->writes_capacity);
    struct cluster_write *pending = &node->writes[node->writes_count++];
    *pending = (struct cluster_write){write->token, node->records_count, write->install, {0}};
    if (write->install) {
        CHECK(node->staged.index == write->snapshot.index);
        keep_file(node, node->staged);
        pending->snapshot = node->staged;
        cluster->installs++;
    }
}

static struct raft_message copy_message(const struct raft_message *message)
{
    struct raft_message copy = *message;
    copy.entries = NULL;
    if (message->entries_count == 0) return copy;
    copy.entries = mem_alloc(message->entries_count * sizeof(*message->entries));
    for (uint32_t i = 0; i < message->entries_count; i++)
        copy.entries[i] = raft_entry_ref(message->entries[i]);
    return copy;
}

void cluster_duplicate(struct cluster *cluster, size_t position)
{
    GROW(cluster->messages, cluster->messages_count, cluster->messages_capacity);
    struct cluster_message copy = cluster->messages[position];
    copy.message = copy_message(&copy.message);
    cluster->messages[cluster->messages_count++] = copy;
}

static void send(struct cluster *cluster, struct cluster_node *node, const struct raft_message *message)
{
    check_promise(cluster, node, message);
    GROW(cluster->messages, cluster->messages_count, cluster->messages_capacity);
    struct cluster_message *copy = &cluster->messages[cluster->messages_count++];
    *copy = (struct cluster_message){.message = copy_message(message)};
    if (message->kind == RAFT_MESSAGE_SNAPSHOT) {
        struct cluster_snapshot *file = file_at(node, message->index);
        CHECK(file && file->term == message->log_term);
        copy->snapshot = *file;
    }
}

void cluster_process(struct cluster *cluster, uint64_t id)
{
    struct cluster_node *node = cluster_node(cluster, id);
    while (node->raft && raft_has_ready(node->raft)) {
        struct raft_ready ready;
        raft_ready_take(node->raft, &ready);
        if (ready.role_changed) check_leader(cluster, node);
        if (ready.write.token) start_write(cluster, node, &ready.write);
        for (uint32_t i = 0; i < ready.messages_count; i++)
            send(cluster, node, &ready.messages[i]);
        for (uint32_t i = 0; i < ready.committed_count; i++)
            apply(cluster, node, ready.committed[i]);
        if (ready.committed_count) raft_applied(node->raft, node->applied);
        for (uint32_t i = 0; i < ready.reads_count; i++)
            check_read(cluster, node, ready.reads[i]);
        raft_ready_release(&ready);
        check_monotonic(cluster, node);
    }
}

void cluster_sync(struct cluster *cluster, uint64_t id, size_t writes)
{
    struct cluster_node *node = cluster_node(cluster, id);
    if (writes > node->writes_count) writes = node->writes_count;
    if (!node->raft || writes == 0) return;
    for (size_t i = 0; i < writes; i++) {
        sync_records(cluster, node, node->writes[i].records_end);
        if (node->writes[i].install) {
            node->applied = node->writes[i].snapshot.index;
            node->state = node->writes[i].snapshot.state;
        }
    }
    uint64_t token = node->writes[writes - 1].token;
    node->writes_count -= writes;
    memmove(node->writes, node->writes + writes, node->writes_count * sizeof *node->writes);
    raft_storage_done(node->raft, token);
    cluster_process(cluster, id);
}

/* ---- Life ---- */

static void start(struct cluster *cluster, struct cluster_node *node)
{
    struct raft_boot boot = raft_replay_boot(&node->on_disk, node->applied);
    if (node->applied < boot.snapshot.index) {
        struct cluster_snapshot *file = file_at(node, boot.snapshot.index);
        CHECK(file);
        node->applied = boot.applied = file->index;
        node->state = file->state;
    }
    struct raft_options options = cluster->options;
    options.id = node->id;
    options.seed = cluster->seed * 1000 + node->id * 100 + node->starts++;
    if (raft_create(&options, &boot, &node->raft) != STATUS_OK) {
        violated(cluster, "node %llu: its disk makes no sense at start", ID(node->id));
        node->raft = NULL;
        return;
    }
    node->hard_given = node->on_disk.hard;
    node->last_term = node->last_vote = node->last_commit = 0;
    check_monotonic(cluster, node);
}

void cluster_init(struct cluster *cluster, int n, uint64_t seed, const struct raft_options *options)
{
    CHECK(n >= 1 && n <= CLUSTER_NODES_MAX);
    *cluster = (struct cluster){.count = n, .seed = seed, .prng = prng_split(seed, "cluster")};
    if (options) cluster->options = *options;
    cluster->options.voters = (struct quorum){0};
    for (int i = 0; i < n; i++)
        CHECK(quorum_add(&cluster->options.voters, (uint64_t)i + 1));
    for (int i = 0; i < n; i++) {
        cluster->nodes[i].id = (uint64_t)i + 1;
        start(cluster, &cluster->nodes[i]);
    }
}

static void message_fini(struct cluster_message *message)
{
    for (uint32_t i = 0; i < message->message.entries_count; i++)
        raft_entry_unref(message->message.entries[i]);
    mem_free(message->message.entries);
}

void cluster_fini(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->messages_count; i++)
        message_fini(&cluster->messages[i]);
    mem_free(cluster->messages);
    for (int i = 0; i < cluster->count; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        raft_destroy(node->raft);
        drop_records_from(node, 0);
        mem_free(node->records);
        mem_free(node->writes);
        raft_replay_free(&node->on_disk);
    }
    map_free(&cluster->leaders);
    map_free(&cluster->entries);
    mem_free(cluster->committed);
    mem_free(cluster->reads);
}

void cluster_crash(struct cluster *cluster, uint64_t id, bool lose_unsynced)
{
    struct cluster_node *node = cluster_node(cluster, id);
    if (!node->raft) return;
    raft_destroy(node->raft);
    node->raft = NULL;
    node->writes_count = 0;
    size_t keep = node->synced;
    if (!lose_unsynced) keep += prng_below(&cluster->prng, node->records_count - node->synced + 1);
    drop_records_from(node, keep);
    sync_records(cluster, node, keep);
}

void cluster_restart(struct cluster *cluster, uint64_t id)
{
    struct cluster_node *node = cluster_node(cluster, id);
    if (node->raft) return;
    /* What the process reads back must be what the checks believe to be there. */
    struct raft_replay fresh = {0};
    for (size_t i = 0; i < node->records_count; i++)
        if (raft_replay_record(&fresh, buffer_bytes(&node->records[i])) != STATUS_OK)
            violated(cluster, "node %llu: record %zu cannot be replayed", ID(id), i);
    raft_replay_free(&node->on_disk);
    node->on_disk = fresh;
    start(cluster, node);
    cluster_process(cluster, id);
}

bool cluster_snapshot(struct cluster *cluster, uint64_t id, uint64_t keep)
{
    struct cluster_node *node = cluster_node(cluster, id);
    if (!node->raft || node->writes_count > 0 || node->applied == 0) return false;
    struct raft_status status;
    raft_status(node->raft, &status);
    if (status.applied != node->applied || status.snapshot.index >= node->applied) return false;
    struct cluster_snapshot snapshot = {node->applied, raft_term_at(node->raft, node->applied), node->state};
    keep_file(node, snapshot);
    size_t mark = node->records_count;
    append_record(
        node, &(struct raft_record){.kind = RAFT_RECORD_SNAPSHOT_MARK, .index = snapshot.index, .term = snapshot.term});
    append_record(node, &(struct raft_record){.kind = RAFT_RECORD_HARD_STATE, .hard = node->hard_given});
    sync_records(cluster, node, node->records_count);
    raft_snapshot_taken(node->raft, snapshot.index);
    uint64_t compact = snapshot.index > keep ? snapshot.index - keep : 0;
    raft_compact(node->raft, compact);
    /* The front of the log file goes as far as it holds nothing beyond that point. */
    size_t gone = 0;
    for (; gone < mark; gone++) {
        struct raft_record record;
        CHECK(raft_record_decode(buffer_bytes(&node->records[gone]), &record) == STATUS_OK);
        if (record.kind == RAFT_RECORD_ENTRY && record.index > compact) break;
    }
    for (size_t i = 0; i < gone; i++)
        buffer_free(&node->records[i]);
    node->records_count -= gone;
    node->synced -= gone;
    memmove(node->records, node->records + gone, node->records_count * sizeof *node->records);
    cluster_process(cluster, id);
    return true;
}

/* ---- Events ---- */

struct raft_status cluster_status(struct cluster *cluster, uint64_t id)
{
    struct raft_status status = {0};
    if (cluster_node(cluster, id)->raft) raft_status(cluster_node(cluster, id)->raft, &status);
    return status;
}

uint64_t cluster_leader(struct cluster *cluster)
{
    uint64_t leader = 0, term = 0;
    for (int i = 0; i < cluster->count; i++) {
        struct raft_status status = cluster_status(cluster, (uint64_t)i + 1);
        if (status.role == RAFT_LEADER && status.term > term) {
            term = status.term;
            leader = status.id;
        }
    }
    return leader;
}

void cluster_tick(struct cluster *cluster, uint64_t id, uint32_t ticks)
{
    struct cluster_node *node = cluster_node(cluster, id);
    for (uint32_t i = 0; node->raft && i < ticks; i++) {
        raft_tick(node->raft);
        cluster_process(cluster, id);
    }
}

void cluster_campaign(struct cluster *cluster, uint64_t id)
{
    struct cluster_node *node = cluster_node(cluster, id);
    if (!node->raft) return;
    raft_campaign(node->raft);
    cluster_process(cluster, id);
}

uint64_t cluster_propose(struct cluster *cluster, uint64_t id, const char *text)
{
    struct cluster_node *node = cluster_node(cluster, id);
    uint64_t index = 0, term;
    struct bytes payload = bytes_text(text);
    if (!node->raft || raft_propose(node->raft, &payload, 1, &index, &term) != STATUS_OK) return 0;
    cluster->proposals++;
    cluster_process(cluster, id);
    return index;
}

bool cluster_read(struct cluster *cluster, uint64_t id)
{
    struct cluster_node *node = cluster_node(cluster, id);
    if (!node->raft) return false;
    uint64_t least = cluster->committed_last;
    for (int i = 0; i < cluster->count; i++) {
        struct raft_status status = cluster_status(cluster, (uint64_t)i + 1);
        if (status.commit > least) least = status.commit;
    }
    uint64_t context = ++cluster->reads_made;
    if (raft_read_index(node->raft, context) != STATUS_OK) return false;
    GROW(cluster->reads, cluster->reads_count, cluster->reads_capacity);
    cluster->reads[cluster->reads_count++] = (struct cluster_read){context, least};
    cluster_process(cluster, id);
    return true;
}

static struct cluster_message take_message(struct cluster *cluster, size_t position)
{
    struct cluster_message message = cluster->messages[position];
    cluster->messages_count--;
    memmove(cluster->messages + position, cluster->messages + position + 1,
        (cluster->messages_count - position) * sizeof *cluster->messages);
    return message;
}

static void report_snapshot(struct cluster *cluster, const struct raft_message *message, bool ok)
{
    struct cluster_node *sender = cluster_node(cluster, message->from);
    if (message->kind != RAFT_MESSAGE_SNAPSHOT || !sender->raft) return;
    raft_snapshot_sent(sender->raft, message->to, ok);
    cluster_process(cluster, message->from);
}

void cluster_drop(struct cluster *cluster, size_t position)
{
    struct cluster_message lost = take_message(cluster, position);
    report_snapshot(cluster, &lost.message, false);
    message_fini(&lost);
}

void cluster_deliver(struct cluster *cluster, size_t position)
{
    struct raft_message *message = &cluster->messages[position].message;
    struct cluster_node *node = cluster_node(cluster, message->to);
    if (!node->raft || cluster->cut[message->from][message->to]) {
        cluster_drop(cluster, position);
        return;
    }
    struct cluster_message taken = take_message(cluster, position);
    if (taken.message.kind == RAFT_MESSAGE_SNAPSHOT) node->staged = taken.snapshot;
    enum status status = raft_step(node->raft, &taken.message);
    if (status != STATUS_OK)
        violated(cluster, "node %llu refused a message from %llu as %s", ID(node->id), ID(taken.message.from),
            status_name(status));
    cluster_process(cluster, node->id);
    report_snapshot(cluster, &taken.message, true);
    message_fini(&taken);
}

static bool concerns(const struct cluster_message *message, uint64_t from, uint64_t to)
{
    return (from == 0 || message->message.from == from) && (to == 0 || message->message.to == to);
}

void cluster_drop_all(struct cluster *cluster, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < cluster->messages_count;)
        if (concerns(&cluster->messages[i], from, to))
            cluster_drop(cluster, i);
        else
            i++;
}

void cluster_deliver_all(struct cluster *cluster, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < cluster->messages_count && !cluster->why[0];)
        if (concerns(&cluster->messages[i], from, to))
            cluster_deliver(cluster, i);
        else
            i++;
}

void cluster_settle(struct cluster *cluster)
{
    bool moved = true;
    while (moved && !cluster->why[0]) {
        moved = false;
        for (int i = 0; i < cluster->count; i++) {
            cluster_process(cluster, (uint64_t)i + 1);
            moved |= cluster->nodes[i].raft && cluster->nodes[i].writes_count > 0;
            cluster_sync(cluster, (uint64_t)i + 1, SIZE_MAX);
        }
        moved |= cluster->messages_count > 0;
        cluster_deliver_all(cluster, 0, 0);
    }
}

void cluster_run(struct cluster *cluster, uint32_t ticks)
{
    for (uint32_t t = 0; t < ticks && !cluster->why[0]; t++) {
        for (int i = 0; i < cluster->count; i++)
            cluster_tick(cluster, (uint64_t)i + 1, 1);
        cluster_settle(cluster);
    }
}

void cluster_cut(struct cluster *cluster, uint64_t a, uint64_t b, bool is_cut)
{
    cluster->cut[a][b] = cluster->cut[b][a] = is_cut;
}

void cluster_isolate(struct cluster *cluster, uint64_t id, bool is_cut)
{
    for (int i = 0; i < cluster->count; i++)
        if ((uint64_t)i + 1 != id) cluster_cut(cluster, id, (uint64_t)i + 1, is_cut);
}
