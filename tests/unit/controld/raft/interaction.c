#include "tests/unit/controld/raft/interaction.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "controld/raft/raft_internal.h"

#define LLU(value) ((unsigned long long)(value))

/* ---- Printing ---- */

__attribute__((format(printf, 2, 3))) static void say(struct interaction *run, const char *format, ...)
{
    if (run->quiet) return;
    bool line_begins = run->out_size == 0 || run->out[run->out_size - 1] == '\n';
    size_t room = CORPUS_TEXT_MAX - run->out_size;
    va_list arguments;
    va_start(arguments, format);
    int indent = line_begins ? snprintf(run->out + run->out_size, room, "%*s", run->indent, "") : 0;
    int size = vsnprintf(run->out + run->out_size + indent, room - (size_t)indent, format, arguments);
    va_end(arguments);
    run->out_size += (size_t)(indent + size);
    cr_assert_lt(run->out_size, CORPUS_TEXT_MAX);
}

static const char *role_name(enum raft_role role)
{
    static const char *const names[] = {"StateFollower", "StatePreCandidate", "StateCandidate", "StateLeader"};
    return names[role];
}

static void say_entry(struct interaction *run, const struct raft_entry *entry)
{
    char text[256];
    size_t size = 0;
    for (uint32_t i = 0; i < entry->data_size; i++) {
        if (entry->data[i] == '"') text[size++] = '\\';
        text[size++] = (char)entry->data[i];
    }
    say(run, "%llu/%llu EntryNormal \"%.*s\"", LLU(entry->term), LLU(entry->index), (int)size, text);
}

static void say_snapshot(struct interaction *run, uint64_t index, uint64_t term)
{
    say(run,
        "Index:%llu Term:%llu ConfState:Voters:[1 2 3] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false\n",
        LLU(index), LLU(term));
}

static void say_message(struct interaction *run, const struct raft_message *message)
{
    static const char *const names[] = {[RAFT_MESSAGE_APPEND] = "MsgApp",
        [RAFT_MESSAGE_APPEND_ANSWER] = "MsgAppResp",
        [RAFT_MESSAGE_HEARTBEAT] = "MsgHeartbeat",
        [RAFT_MESSAGE_HEARTBEAT_ANSWER] = "MsgHeartbeatResp",
        [RAFT_MESSAGE_VOTE] = "MsgVote",
        [RAFT_MESSAGE_VOTE_ANSWER] = "MsgVoteResp",
        [RAFT_MESSAGE_PRE_VOTE] = "MsgPreVote",
        [RAFT_MESSAGE_PRE_VOTE_ANSWER] = "MsgPreVoteResp",
        [RAFT_MESSAGE_SNAPSHOT] = "MsgSnap"};
    bool is_snapshot = message->kind == RAFT_MESSAGE_SNAPSHOT;
    say(run, "%llu->%llu %s Term:%llu Log:%llu/%llu", LLU(message->from), LLU(message->to), names[message->kind],
        LLU(message->term), LLU(is_snapshot ? 0 : message->log_term), LLU(is_snapshot ? 0 : message->index));
    if (message->reject) say(run, " Rejected (Hint: %llu)", LLU(message->reject_hint));
    if (message->commit) say(run, " Commit:%llu", LLU(message->commit));
    if (message->entries_count == 1) {
        say(run, " Entries:[");
        say_entry(run, message->entries[0]);
        say(run, "]");
    } else if (message->entries_count > 1) {
        say(run, " Entries:[");
        for (uint32_t i = 0; i < message->entries_count; i++) {
            say(run, "\n");
            run->indent += 2;
            say_entry(run, message->entries[i]);
            run->indent -= 2;
        }
        say(run, "\n");
        say(run, "]");
    }
    say(run, "\n");
    if (is_snapshot) {
        say(run, "  Snapshot: ");
        say_snapshot(run, message->index, message->log_term);
    }
}

/* ---- Readies ---- */

static struct interaction_node *node_of(struct interaction *run, uint64_t id)
{
    cr_assert(id >= 1 && id <= (uint64_t)run->count);
    return &run->nodes[id - 1];
}

static bool has_ready(const struct interaction_node *node)
{
    return raft_has_ready(node->raft) || node->raft->log.commit != node->hard.commit;
}

static void keep_message(struct interaction *run, struct raft_message message)
{
    cr_assert_lt(run->messages_count, INTERACTION_MESSAGES_MAX);
    run->messages[run->messages_count++] = message;
}

static bool is_promise(enum raft_message_kind kind)
{
    return kind == RAFT_MESSAGE_APPEND_ANSWER || kind == RAFT_MESSAGE_VOTE_ANSWER ||
           kind == RAFT_MESSAGE_PRE_VOTE_ANSWER;
}

/* Moves the ready's messages, then those that wait for its write, to the network; promises come last. */
static void send_messages(struct interaction *run, struct interaction_node *node, struct raft_ready *ready)
{
    int first = run->messages_count;
    for (int promises = 0; promises < 2; promises++)
        for (uint32_t i = 0; i < ready->messages_count; i++)
            if (is_promise(ready->messages[i].kind) == promises) keep_message(run, ready->messages[i]);
    ready->messages_count = 0; /* their entries now belong to the network */
    if (ready->write.token) {
        struct raft_messages *after = &CONTAINER_OF(node->raft->writes.previous, struct raft_write_record, link)->after;
        uint32_t kept = 0;
        for (uint32_t i = 0; i < after->count; i++)
            if (after->items[i].to == after->items[i].from)
                after->items[kept++] = after->items[i];
            else
                keep_message(run, after->items[i]);
        after->count = kept;
    }
    if (run->messages_count > first) say(run, "Messages:\n");
    for (int i = first; i < run->messages_count; i++)
        say_message(run, &run->messages[i]);
}

static void say_state(struct interaction *run, struct interaction_node *node, const struct raft_ready *ready)
{
    const struct raft *raft = node->raft;
    bool term_or_vote = raft->term != node->hard.term || raft->vote != node->hard.vote;
    say(run, "Ready MustSync=%s:\n", term_or_vote || ready->write.entries_count ? "true" : "false");
    if (raft->leader != node->leader || raft->role != node->role)
        say(run, "Lead:%llu State:%s\n", LLU(raft->leader), role_name(raft->role));
    if (term_or_vote || raft->log.commit != node->hard.commit) {
        say(run, "HardState Term:%llu", LLU(raft->term));
        if (raft->vote) say(run, " Vote:%llu", LLU(raft->vote));
        say(run, " Commit:%llu\n", LLU(raft->log.commit));
    }
    node->leader = raft->leader;
    node->role = raft->role;
    node->hard = (struct raft_hard_state){raft->term, raft->vote, raft->log.commit};
}

static void process_ready(struct interaction *run, uint64_t id)
{
    struct interaction_node *node = node_of(run, id);
    struct raft *raft = node->raft;
    if (!has_ready(node)) {
        say(run, "<empty Ready>\n");
        return;
    }
    struct raft_ready ready;
    raft_ready_take(raft, &ready);
    say_state(run, node, &ready);
    if (ready.write.entries_count) say(run, "Entries:\n");
    for (uint32_t i = 0; i < ready.write.entries_count; i++) {
        say_entry(run, ready.write.entries[i]);
        say(run, "\n");
    }
    if (ready.write.install) {
        say(run, "Snapshot ");
        say_snapshot(run, ready.write.snapshot.index, ready.write.snapshot.term);
        node->applied = ready.write.snapshot.index;
    }
    uint64_t commit = raft->log.commit;
    if (commit > node->applied) say(run, "CommittedEntries:\n");
    for (; node->applied < commit; node->applied++) {
        say_entry(run, raft_log_entry(&raft->log, node->applied + 1));
        say(run, "\n");
    }
    send_messages(run, node, &ready);
    if (ready.write.token) raft_storage_done(raft, ready.write.token);
    raft_ready_release(&ready);
    raft->log.applying = raft->log.applied = commit;
    raft_snapshot_taken(raft, commit);
}

/* ---- Commands ---- */

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 10);
}

static uint64_t id_at(const struct corpus_block *block, int position)
{
    cr_assert_lt(position, block->arguments_count);
    return number(block->arguments[position].key);
}

static struct raft *raft_at(struct interaction *run, const struct corpus_block *block)
{
    return node_of(run, id_at(block, 0))->raft;
}

static void add_nodes(struct interaction *run, const struct corpus_block *block)
{
    const struct corpus_argument *voters = corpus_argument(block, "voters"), *index = corpus_argument(block, "index");
    const struct corpus_argument *inflight = corpus_argument(block, "inflight");
    struct raft_options options = {.election_ticks = 3, .heartbeat_ticks = 1};
    options.append_bytes_max = options.inflight_bytes_max = UINT64_MAX;
    options.inflight_messages_max = inflight ? (uint32_t)number(inflight->values[0]) : 256;
    options.no_pre_vote = !corpus_argument(block, "prevote");
    options.no_check_quorum = !corpus_argument(block, "checkquorum");
    for (int i = 0; voters && i < voters->values_count; i++)
        cr_assert(quorum_add(&options.voters, number(voters->values[i])));
    for (uint64_t i = 1; !voters && i <= 3; i++)
        cr_assert(quorum_add(&options.voters, i)); /* ours never starts without its fixed members */
    struct raft_boot boot = {0};
    if (index) boot.snapshot = (struct raft_snapshot){number(index->values[0]), 1};
    boot.hard.term = index ? 1 : 0;
    for (uint64_t i = id_at(block, 0); i > 0; i--) {
        struct interaction_node *node = &run->nodes[run->count++];
        options.id = (uint64_t)run->count;
        options.seed = options.id;
        cr_assert_eq(raft_create(&options, &boot, &node->raft), STATUS_OK);
        /* There, a member may hold a snapshot of a term that it has not heard of. */
        struct raft *raft = node->raft;
        raft->term = raft->hard_given.term = raft->hard_durable.term = raft->term_told = 0;
        node->hard.commit = node->applied = boot.snapshot.index;
    }
}

static void deliver_to(struct interaction *run, uint64_t id, bool drop, const struct corpus_argument *type)
{
    struct raft_message taken[INTERACTION_MESSAGES_MAX];
    int count = 0, kept = 0;
    for (int i = 0; i < run->messages_count; i++) {
        const struct raft_message *message = &run->messages[i];
        bool matches = message->to == id && (!type || message->kind == RAFT_MESSAGE_APPEND);
        if (matches)
            taken[count++] = *message;
        else
            run->messages[kept++] = *message;
    }
    run->messages_count = kept;
    for (int i = 0; i < count; i++) {
        if (drop) say(run, "dropped: ");
        say_message(run, &taken[i]);
        if (!drop) cr_assert_eq(raft_step(node_of(run, id)->raft, &taken[i]), STATUS_OK);
        struct raft_messages done = {mem_alloc(sizeof taken[i]), 1, 1};
        done.items[0] = taken[i];
        raft_messages_free(&done);
    }
}

static void deliver(struct interaction *run, const struct corpus_block *block)
{
    for (int i = 0; i < block->arguments_count; i++) {
        const struct corpus_argument *argument = &block->arguments[i];
        if (argument->values_count == 0) deliver_to(run, number(argument->key), false, corpus_argument(block, "type"));
        for (int j = 0; strcmp(argument->key, "drop") == 0 && j < argument->values_count; j++)
            deliver_to(run, number(argument->values[j]), true, NULL);
    }
}

static bool has_mail(const struct interaction *run, uint64_t id)
{
    for (int i = 0; i < run->messages_count; i++)
        if (run->messages[i].to == id) return true;
    return false;
}

static void stabilize(struct interaction *run, const struct corpus_block *block)
{
    int count = block->arguments_count ? block->arguments_count : run->count;
    for (bool moved = true; moved;) {
        moved = false;
        for (int receiving = 0; receiving < 2; receiving++) {
            for (int i = 0; i < count; i++) {
                uint64_t id = block->arguments_count ? id_at(block, i) : (uint64_t)i + 1;
                if (receiving ? !has_mail(run, id) : !has_ready(node_of(run, id))) continue;
                say(run, "> %llu %s\n", LLU(id), receiving ? "receiving messages" : "handling Ready");
                run->indent = 2;
                if (receiving)
                    deliver_to(run, id, false, NULL);
                else
                    process_ready(run, id);
                run->indent = 0;
                moved = true;
            }
        }
    }
}

static void print_log(struct interaction *run, const struct raft *raft)
{
    uint64_t first = raft_log_first(&raft->log), last = raft_log_last(&raft->log);
    if (first > last) say(run, "log is empty: first index=%llu, last index=%llu\n", LLU(first), LLU(last));
    for (uint64_t index = first; index <= last; index++) {
        say_entry(run, raft_log_entry(&raft->log, index));
        say(run, "\n");
    }
}

static void print_status(struct interaction *run, const struct raft *raft)
{
    static const char *const names[] = {"StateProbe", "StateReplicate", "StateSnapshot"};
    struct raft_status status;
    raft_status(raft, &status);
    for (uint32_t i = 0; i < status.peers_count; i++) {
        const struct raft_peer_status *peer = &status.peers[i];
        say(run, "%llu: %s match=%llu next=%llu", LLU(peer->id), names[peer->state], LLU(peer->match), LLU(peer->next));
        if (peer->paused) say(run, " paused");
        if (peer->pending_snapshot) say(run, " pendingSnap=%llu", LLU(peer->pending_snapshot));
        if (!peer->recently_active) say(run, " inactive");
        if (peer->inflight_messages) {
            bool full = peer->inflight_messages == raft->options.inflight_messages_max;
            say(run, " inflight=%u%s", peer->inflight_messages, full ? "[full]" : "");
        }
        say(run, "\n");
    }
}

static void run_process_ready(struct interaction *run, const struct corpus_block *block)
{
    for (int i = 0; i < block->arguments_count; i++) {
        if (block->arguments_count > 1) {
            say(run, "> %llu handling Ready\n", LLU(id_at(block, i)));
            run->indent = 2;
        }
        process_ready(run, id_at(block, i));
        run->indent = 0;
    }
}

static void run_add_nodes(struct interaction *run, const struct corpus_block *block)
{
    add_nodes(run, block);
}

static void run_campaign(struct interaction *run, const struct corpus_block *block)
{
    raft_campaign(raft_at(run, block));
}

static void run_compact(struct interaction *run, const struct corpus_block *block)
{
    raft_compact(raft_at(run, block), id_at(block, 1));
    print_log(run, raft_at(run, block));
}

static void run_log_level(struct interaction *run, const struct corpus_block *block)
{
    run->quiet = strcmp(block->arguments[0].key, "none") == 0;
}

static void run_propose(struct interaction *run, const struct corpus_block *block)
{
    struct bytes payload = bytes_text(block->arguments[1].key);
    uint64_t index, term;
    cr_assert_eq(raft_propose(raft_at(run, block), &payload, 1, &index, &term), STATUS_OK);
}

static void run_raft_log(struct interaction *run, const struct corpus_block *block)
{
    print_log(run, raft_at(run, block));
}

static void run_raft_state(struct interaction *run, const struct corpus_block *block)
{
    (void)block;
    for (int i = 0; i < run->count; i++) {
        const struct raft *raft = run->nodes[i].raft;
        say(run, "%d: %s (Voter) Term:%llu Lead:%llu\n", i + 1, role_name(raft->role), LLU(raft->term),
            LLU(raft->leader));
    }
}

static void run_unreachable(struct interaction *run, const struct corpus_block *block)
{
    raft_unreachable(raft_at(run, block), id_at(block, 1));
}

static void run_send_snapshot(struct interaction *run, const struct corpus_block *block)
{
    struct raft *raft = raft_at(run, block);
    struct raft_message message = {.kind = RAFT_MESSAGE_SNAPSHOT, .from = id_at(block, 0), .to = id_at(block, 1)};
    message.term = raft->term;
    message.index = raft->snapshot.index;
    message.log_term = raft->snapshot.term;
    say_message(run, &message);
    keep_message(run, message);
}

static void run_set_timeout(struct interaction *run, const struct corpus_block *block)
{
    raft_at(run, block)->election_timeout = (uint32_t)number(corpus_argument(block, "timeout")->values[0]);
}

static void run_status(struct interaction *run, const struct corpus_block *block)
{
    print_status(run, raft_at(run, block));
}

static void run_tick(struct interaction *run, const struct corpus_block *block)
{
    struct raft *raft = raft_at(run, block);
    bool election = strcmp(block->command, "tick-election") == 0;
    for (uint32_t i = election ? raft->options.election_ticks : raft->options.heartbeat_ticks; i > 0; i--)
        raft_tick(raft);
}

static const struct {
    const char *name;
    void (*run)(struct interaction *run, const struct corpus_block *block);
} commands[] = {
    {"add-nodes", run_add_nodes},
    {"campaign", run_campaign},
    {"compact", run_compact},
    {"deliver-msgs", deliver},
    {"log-level", run_log_level},
    {"process-ready", run_process_ready},
    {"propose", run_propose},
    {"raft-log", run_raft_log},
    {"raft-state", run_raft_state},
    {"report-unreachable", run_unreachable},
    {"send-snapshot", run_send_snapshot},
    {"set-randomized-election-timeout", run_set_timeout},
    {"stabilize", stabilize},
    {"status", run_status},
    {"tick-election", run_tick},
    {"tick-heartbeat", run_tick},
};

bool interaction_run(struct interaction *run, const struct corpus_block *block)
{
    run->out_size = 0;
    run->out[0] = 0;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, block->command) != 0) continue;
        commands[i].run(run, block);
        if (run->out_size == 0) snprintf(run->out, sizeof run->out, "ok\n");
        return true;
    }
    return false;
}

void interaction_fini(struct interaction *run)
{
    struct raft_messages left = {NULL, 0, 0};
    left.items = mem_alloc(sizeof run->messages);
    left.count = left.capacity = (uint32_t)run->messages_count;
    memcpy(left.items, run->messages, (size_t)run->messages_count * sizeof *run->messages);
    raft_messages_free(&left);
    for (int i = 0; i < run->count; i++)
        raft_destroy(run->nodes[i].raft);
}
