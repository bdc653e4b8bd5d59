/* raft_ready: what leaves the core: messages held until what they say is durable, writes, and readies. */
#include "controld/raft/raft_internal.h"

#include "common/base/mem.h"

enum { COMMITTED_PER_READY_MAX = 1024, HELD_APART_MAX = 64 };

/* ---- Messages ---- */

static void push(struct raft_messages *messages, struct raft_message message)
{
    if (messages->count == messages->capacity) {
        messages->capacity = messages->capacity ? messages->capacity * 2 : 8;
        messages->items = mem_realloc(messages->items, messages->capacity * sizeof *messages->items);
    }
    messages->items[messages->count++] = message;
}

static void message_fini(struct raft_message *message)
{
    for (uint32_t i = 0; i < message->entries_count; i++)
        raft_entry_unref(message->entries[i]);
    mem_free(message->entries);
}

void raft_messages_free(struct raft_messages *messages)
{
    for (uint32_t i = 0; i < messages->count; i++)
        message_fini(&messages->items[i]);
    mem_free(messages->items);
    *messages = (struct raft_messages){0};
}

/* Moves the contents of from to the end of to. */
static void move_messages(struct raft_messages *to, struct raft_messages *from)
{
    for (uint32_t i = 0; i < from->count; i++)
        push(to, from->items[i]);
    from->count = 0;
}

/* May the message leave before this member's newest state is durable? */
static bool may_leave_now(const struct raft *raft, const struct raft_message *message)
{
    if (PLANT(vote_before_sync) && message->kind == RAFT_MESSAGE_VOTE_ANSWER && message->to != raft->options.id)
        return true;
    if (PLANT(append_answer_before_sync) && message->kind == RAFT_MESSAGE_APPEND_ANSWER) return true;
    /* No message tells of a term that could be forgotten. (A leader's term is durable: it voted for itself.) */
    if (raft->hard_durable.term != raft->term) return false;
    switch (message->kind) {
    case RAFT_MESSAGE_APPEND:
    case RAFT_MESSAGE_HEARTBEAT:
    case RAFT_MESSAGE_SNAPSHOT:
    case RAFT_MESSAGE_TIMEOUT_NOW:
    case RAFT_MESSAGE_READ_INDEX:
    case RAFT_MESSAGE_READ_INDEX_ANSWER:
    case RAFT_MESSAGE_HEARTBEAT_ANSWER:
        return true;
    case RAFT_MESSAGE_VOTE:
    case RAFT_MESSAGE_PRE_VOTE:
    case RAFT_MESSAGE_PRE_VOTE_ANSWER:
        return false;
    case RAFT_MESSAGE_VOTE_ANSWER:
    case RAFT_MESSAGE_APPEND_ANSWER:
        return message->reject;
    }
    return false;
}

static struct raft_write_record *record_of(struct list *link)
{
    return CONTAINER_OF(link, struct raft_write_record, link);
}

static bool needs_write(const struct raft *raft)
{
    return raft->install_unwritten || raft_log_last(&raft->log) > raft->log.submitted ||
           raft->hard_given.term != raft->term || raft->hard_given.vote != raft->vote;
}

/* While the disk stands still the messages that wait for it must not grow for ever: beyond a few, a newer one takes the
   place of its like. Answers to appends are cumulative, so the best says it all. */
static bool merge_held(struct raft_messages *held, const struct raft_message *message)
{
    if (held->count < HELD_APART_MAX) return false;
    for (uint32_t i = held->count; i-- > 0;) {
        struct raft_message *older = &held->items[i];
        if (older->kind != message->kind || older->to != message->to || older->term != message->term) continue;
        uint64_t index = older->index > message->index ? older->index : message->index;
        *older = *message;
        if (message->kind == RAFT_MESSAGE_APPEND_ANSWER) older->index = index;
        return true;
    }
    return false;
}

void raft_send(struct raft *raft, struct raft_message message)
{
    message.from = raft->options.id;
    if (message.term == 0) message.term = raft->term;
    if (may_leave_now(raft, &message)) {
        push(&raft->out, message);
        return;
    }
    CHECK(message.entries_count == 0);
    /* Messages wait for the newest write; one that is still to come takes them over when it is handed out. */
    if (!needs_write(raft) && !list_is_empty(&raft->writes)) {
        struct raft_messages *after = &record_of(raft->writes.previous)->after;
        if (!merge_held(after, &message)) push(after, message);
        return;
    }
    if (!merge_held(&raft->held, &message)) push(&raft->held, message);
}

/* The messages' conditions hold: ours to ourselves take effect, the others may leave. */
static void release(struct raft *raft, struct raft_messages *messages)
{
    for (uint32_t i = 0; i < messages->count; i++) {
        struct raft_message message = messages->items[i];
        if (message.to == raft->options.id)
            raft_handle(raft, &message);
        else
            push(&raft->out, message);
    }
    messages->count = 0;
}

void raft_settle(struct raft *raft)
{
    while (raft->held.count > 0 && !needs_write(raft) && list_is_empty(&raft->writes)) {
        struct raft_messages held = raft->held;
        raft->held = (struct raft_messages){0};
        release(raft, &held);
        raft_messages_free(&held);
    }
}

void raft_read_answer(struct raft *raft, uint64_t context, uint64_t index)
{
    if (raft->read_answers_count == raft->read_answers_capacity) {
        raft->read_answers_capacity = raft->read_answers_capacity ? raft->read_answers_capacity * 2 : 16;
        raft->read_answers = mem_realloc(raft->read_answers, raft->read_answers_capacity * sizeof *raft->read_answers);
    }
    raft->read_answers[raft->read_answers_count++] = (struct raft_read){context, index};
}

/* ---- Writes ---- */

static void take_write(struct raft *raft, struct raft_write *write)
{
    struct raft_log *log = &raft->log;
    struct raft_write_record *record = mem_zalloc(sizeof *record);
    uint64_t first = log->submitted + 1, last = raft_log_last(log);
    record->token = write->token = ++raft->token_last;
    if (raft->install_unwritten) {
        write->install = record->install = true;
        write->snapshot = raft->snapshot;
        raft->install_unwritten = false;
        raft->installs_underway++;
        record->first = first;
    }
    if (last >= first) {
        write->truncate = first <= log->disk_last;
        write->truncate_after = first - 1;
        write->entries_count = (uint32_t)(last - first + 1);
        write->entries = mem_alloc(write->entries_count * sizeof(*write->entries));
        for (uint64_t index = first; index <= last; index++)
            write->entries[index - first] = raft_entry_ref(raft_log_entry(log, index));
        record->first = first;
        log->submitted = log->disk_last = last;
    }
    record->last = last;
    /* The hint never names an entry that a torn write could leave out. */
    uint64_t commit = log->commit < log->durable ? log->commit : log->durable;
    if (write->install) commit = raft->hard_given.commit;
    record->hard = write->hard = (struct raft_hard_state){raft->term, raft->vote, commit};
    write->has_hard = memcmp(&write->hard, &raft->hard_given, sizeof write->hard) != 0;
    raft->hard_given = record->hard;
    list_push_back(&raft->writes, &record->link);
}

/* How far the log, as it is in memory now, is durable once the given write is: later writes, under way or still to
   come, replace what it held from their first entry on. */
static void advance_durable(struct raft *raft, const struct raft_write_record *done)
{
    uint64_t durable = done->last < raft->log.submitted ? done->last : raft->log.submitted;
    LIST_FOR_EACH (link, &raft->writes) {
        const struct raft_write_record *later = record_of(link);
        if (later->first != 0 && durable >= later->first) durable = later->first - 1;
    }
    if (durable > raft->log.durable) raft->log.durable = durable;
}

void raft_storage_done(struct raft *raft, uint64_t token)
{
    CHECK(token > 0 && token <= raft->token_last);
    struct raft_messages after = {0};
    LIST_FOR_EACH (link, &raft->writes) {
        struct raft_write_record *record = record_of(link);
        if (record->token > token) break;
        list_remove(link);
        advance_durable(raft, record);
        raft->hard_durable = record->hard;
        if (record->install) raft->installs_underway--;
        move_messages(&after, &record->after);
        raft_messages_free(&record->after);
        mem_free(record);
    }
    if (raft->role == RAFT_LEADER) raft_leader_durable(raft);
    release(raft, &after);
    raft_messages_free(&after);
    raft_settle(raft);
    raft_log_check(&raft->log);
}

/* ---- Readies ---- */

static uint64_t committed_to_hand_out(const struct raft *raft)
{
    uint64_t commit = raft->log.commit < raft->log.durable ? raft->log.commit : raft->log.durable;
    if (raft->install_unwritten || raft->installs_underway) return raft->log.applying;
    uint64_t most = raft->log.applying + COMMITTED_PER_READY_MAX;
    return commit < most ? commit : most;
}

static bool role_changed(const struct raft *raft)
{
    return raft->role_told != raft->role || raft->leader_told != raft->leader || raft->term_told != raft->term;
}

bool raft_has_ready(const struct raft *raft)
{
    return raft->out.count > 0 || needs_write(raft) || raft->reads_unsent || raft->read_answers_count > 0 ||
           committed_to_hand_out(raft) > raft->log.applying || role_changed(raft);
}

void raft_ready_take(struct raft *raft, struct raft_ready *ready)
{
    *ready = (struct raft_ready){0};
    if (raft->reads_unsent) raft_leader_begin_reads(raft);
    if (needs_write(raft)) take_write(raft, &ready->write);
    if (raft->held.count > 0) {
        CHECK(!list_is_empty(&raft->writes));
        /* Held since before this ready's write was needed, or for it. */
        move_messages(&record_of(raft->writes.previous)->after, &raft->held);
    }
    ready->messages = raft->out.items;
    ready->messages_count = raft->out.count;
    raft->out = (struct raft_messages){0};
    uint64_t committed = committed_to_hand_out(raft);
    ready->committed_count = (uint32_t)(committed - raft->log.applying);
    if (ready->committed_count > 0) ready->committed = mem_alloc(ready->committed_count * sizeof(*ready->committed));
    for (uint32_t i = 0; i < ready->committed_count; i++)
        ready->committed[i] = raft_entry_ref(raft_log_entry(&raft->log, ++raft->log.applying));
    ready->reads = raft->read_answers;
    ready->reads_count = raft->read_answers_count;
    raft->read_answers = NULL;
    raft->read_answers_count = raft->read_answers_capacity = 0;
    ready->role_changed = role_changed(raft);
    raft->role_told = raft->role;
    raft->leader_told = raft->leader;
    raft->term_told = raft->term;
    raft_log_check(&raft->log);
}

void raft_ready_release(struct raft_ready *ready)
{
    for (uint32_t i = 0; i < ready->write.entries_count; i++)
        raft_entry_unref(ready->write.entries[i]);
    mem_free(ready->write.entries);
    struct raft_messages messages = {ready->messages, ready->messages_count, ready->messages_count};
    raft_messages_free(&messages);
    for (uint32_t i = 0; i < ready->committed_count; i++)
        raft_entry_unref(ready->committed[i]);
    mem_free(ready->committed);
    mem_free(ready->reads);
    *ready = (struct raft_ready){0};
}
