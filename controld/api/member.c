#include "controld/api/member.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/prng.h"
#include "common/runtime/fiber.h"
#include "controld/api/journal.h"
#include "controld/api/messenger.h"
#include "controld/api/snapshots.h"
#include "controld/api/transfer.h"

enum {
    TICKS_PER_REPORT = 10,
    TICKS_AT_ONCE_MAX = 3, /* a process that stood still must not campaign at once */
    SNAPSHOT_LOG_BYTES = 16 << 20,
    HAND_OVER_MS = 1000,
    RETRY_MS = 5000,
};

#define TICK_NS ((uint64_t)MEMBER_TICK_MS * 1000000)

/* A snapshot from the leader whose write is under way. */
struct install {
    struct list link;
    uint64_t token;
    struct buffer file;
};

struct member {
    struct member_options options;
    struct member_machine machine;
    struct env *env;
    struct view_controller controllers[CONTROLLERS_MAX];
    struct journal *journal;
    struct messenger *messenger;
    struct raft *raft;
    struct raft_replay replay; /* until start */
    uint64_t applied;
    struct task work;
    struct timer tick;
    uint64_t ticked_ns;
    bool processing, closing, caught_up;
    uint64_t idle_ticks; /* without a leader */
    /* Snapshots. */
    struct transfer_inbox inbox;
    bool inbox_is_busy;   /* its file is being written */
    struct buffer staged; /* the file that the last stepped SNAPSHOT told of */
    struct list installs;
    struct buffer file; /* own snapshot being written */
    struct raft_snapshot file_place;
    bool snapshotting;
    bool snapshot_is_damaged; /* the file, which a newer one shall replace */
    uint64_t generation;      /* grows with each install */
    uint64_t snapshot_not_before_ns;
    uint64_t mark_index; /* of the newest durable mark; files before it are of no use */
    bool files_busy;     /* a fiber writes or removes snapshot files */
    unsigned fibers;
    struct gate quiet; /* a fiber ended, the role changed, or the files are free */
};

__attribute__((noreturn, format(printf, 3, 4))) static void die(
    struct member *member, enum status status, const char *format, ...)
{
    char why[MEMBER_WHY_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    env_die(member->env, status, why);
}

static void kick(struct member *member)
{
    if (member->raft && !member->closing) reactor_defer(member->options.reactor, &member->work);
}

static void fiber_begin(struct member *member, const char *name, void (*main)(void *argument), void *argument)
{
    member->fibers++;
    fiber_start(member->options.reactor, name, main, argument);
}

static void fiber_end(struct member *member)
{
    member->fibers--;
    gate_open(&member->quiet);
}

/* (fiber) One at a time: what is removed could be what another fiber is about to rename. */
static void files_enter(struct member *member)
{
    while (member->files_busy)
        gate_wait(member->options.reactor, &member->quiet, REACTOR_NEVER);
    member->files_busy = true;
}

static void files_leave(struct member *member)
{
    member->files_busy = false;
    gate_open(&member->quiet);
}

/* OK or NO_SPACE. */
static enum status write_file(struct member *member, uint64_t index, struct bytes file)
{
    files_enter(member);
    enum status status = snapshot_write(member->options.reactor, index, file);
    files_leave(member);
    if (status != STATUS_OK && status != STATUS_NO_SPACE)
        die(member, status, "a snapshot could not be written: %s; look at the disk below storage.directory",
            status_text(status));
    return status;
}

/* ---- own snapshots ---- */

static void write_snapshot(void *argument)
{
    struct member *member = argument;
    uint64_t generation = member->generation;
    uint64_t now = reactor_now_ns(member->options.reactor);
    enum status status = write_file(member, member->file_place.index, buffer_bytes(&member->file));
    if (status == STATUS_NO_SPACE) {
        LOG(reactor_log(member->options.reactor), WARN, "snapshot.no_space", "index=%" PRIu64,
            member->file_place.index);
        member->snapshot_not_before_ns = now + (uint64_t)RETRY_MS * 1000000;
    }
    buffer_free(&member->file);
    /* An install that came meanwhile is newer. */
    bool wanted = status == STATUS_OK && generation == member->generation && !member->closing;
    if (wanted)
        journal_mark(member->journal, member->file_place);
    else
        member->snapshotting = false;
    fiber_end(member);
}

static void remove_old_snapshots(void *argument)
{
    struct member *member = argument;
    files_enter(member);
    snapshot_remove_before(member->options.reactor, member->mark_index);
    files_leave(member);
    fiber_end(member);
}

static void on_marked(void *context, struct raft_snapshot snapshot)
{
    struct member *member = context;
    member->snapshotting = false;
    member->mark_index = snapshot.index;
    raft_snapshot_taken(member->raft, snapshot.index);
    struct raft_status status;
    raft_status(member->raft, &status);
    uint64_t keep = member->options.snapshot_entries / 2;
    uint64_t point = snapshot.index > keep ? snapshot.index - keep : 0;
    if (point >= status.first && status.snapshot.index >= point) raft_compact(member->raft, point);
    journal_forget(member->journal, point);
    LOG(reactor_log(member->options.reactor), INFO, "snapshot.take", "index=%" PRIu64 " term=%" PRIu64, snapshot.index,
        snapshot.term);
    if (!member->closing) fiber_begin(member, "snapshot", remove_old_snapshots, member);
    kick(member);
}

static void maybe_take_snapshot(struct member *member)
{
    struct raft_status status;
    raft_status(member->raft, &status);
    uint64_t entries = status.applied - status.snapshot.index;
    bool due = entries >= member->options.snapshot_entries ||
               (entries >= 64 && journal_bytes(member->journal) >= SNAPSHOT_LOG_BYTES) ||
               (entries > 0 && member->snapshot_is_damaged);
    if (!due || member->snapshotting || member->closing || journal_is_installing(member->journal)) return;
    if (reactor_now_ns(member->options.reactor) < member->snapshot_not_before_ns) return;
    member->snapshotting = true;
    member->snapshot_is_damaged = false;
    member->file_place = (struct raft_snapshot){status.applied, raft_term_at(member->raft, status.applied)};
    CHECK(member->file_place.term != 0);
    snapshot_begin(&member->file, &member->options.cluster, member->file_place);
    member->machine.snapshot(member->machine.context, &member->file);
    snapshot_seal(&member->file);
    fiber_begin(member, "snapshot", write_snapshot, member);
}

/* ---- snapshots to others ---- */

struct sending {
    struct member *member;
    struct raft_message message;
};

static void send_snapshot(void *argument)
{
    struct sending *sending = argument;
    struct member *member = sending->member;
    const struct raft_message *message = &sending->message;
    struct buffer file = {0};
    char why[SNAPSHOT_WHY_BYTES] = "the stream was interrupted";
    bool sent = false;
    enum status status = snapshot_read(member->options.reactor, &member->options.cluster, message->index, &file, why);
    if (status == STATUS_CORRUPT) member->snapshot_is_damaged = true;
    struct rpc_peer *peer = member->closing ? NULL : messenger_peer(member->messenger, message->to);
    if (status == STATUS_OK && peer) sent = transfer_send(peer, message, buffer_bytes(&file));
    LOG(reactor_log(member->options.reactor), INFO, "snapshot.send",
        "to=%" PRIu64 " index=%" PRIu64 " bytes=%zu done=%d%s%s", message->to, message->index, file.size, sent,
        sent ? "" : " why=", sent ? "" : why);
    raft_snapshot_sent(member->raft, message->to, sent);
    buffer_free(&file);
    mem_free(sending);
    kick(member);
    fiber_end(member);
}

static void begin_to_send(struct member *member, const struct raft_message *message)
{
    if (!messenger_is_up(member->messenger, message->to)) {
        raft_snapshot_sent(member->raft, message->to, false);
        return;
    }
    struct sending *sending = mem_alloc(sizeof *sending);
    *sending = (struct sending){member, *message};
    fiber_begin(member, "snapshot send", send_snapshot, sending);
}

/* ---- snapshots from the leader ---- */

static void install_file(struct member *member, uint64_t index, struct bytes file)
{
    struct raft_snapshot place;
    struct reader records;
    char why[SNAPSHOT_WHY_BYTES];
    enum status status = snapshot_check(file, &member->options.cluster, &place, &records, why);
    if (status != STATUS_OK || place.index != index)
        die(member, status, "snapshot-%016" PRIx64 ": %s", index, status == STATUS_OK ? "it stands elsewhere" : why);
    status = member->machine.install(member->machine.context, index, &records);
    if (status != STATUS_OK)
        die(member, status,
            "snapshot-%016" PRIx64 ": its records make no sense; remove this controller's data "
            "directory and let it join again",
            index);
    member->applied = index;
}

static void finish_install(struct member *member, struct install *install)
{
    struct raft_snapshot place;
    struct reader records;
    char why[SNAPSHOT_WHY_BYTES];
    CHECK(snapshot_check(buffer_bytes(&install->file), &member->options.cluster, &place, &records, why) == STATUS_OK);
    install_file(member, place.index, buffer_bytes(&install->file));
    LOG(reactor_log(member->options.reactor), INFO, "snapshot.install", "index=%" PRIu64 " term=%" PRIu64, place.index,
        place.term);
    member->mark_index = place.index;
    list_remove(&install->link);
    buffer_free(&install->file);
    mem_free(install);
    if (!member->closing) fiber_begin(member, "snapshot", remove_old_snapshots, member);
}

/* ---- the loop ---- */

static void on_durable(void *context, uint64_t token)
{
    struct member *member = context;
    LIST_FOR_EACH (link, &member->installs) {
        struct install *install = CONTAINER_OF(link, struct install, link);
        if (install->token <= token) finish_install(member, install);
    }
    raft_storage_done(member->raft, token);
    kick(member);
}

static void start_write(struct member *member, const struct raft_write *write)
{
    if (write->install) {
        CHECK(member->staged.size > 0);
        struct install *install = mem_zalloc(sizeof *install);
        install->token = write->token;
        install->file = member->staged;
        member->staged = (struct buffer){0};
        member->generation++;
        list_push_back(&member->installs, &install->link);
    }
    journal_write(member->journal, write);
}

static void apply(struct member *member, const struct raft_ready *ready)
{
    if (ready->committed_count == 0) return;
    member->machine.apply(member->machine.context, ready->committed, ready->committed_count);
    member->applied = ready->committed[ready->committed_count - 1]->index;
    raft_applied(member->raft, member->applied);
}

static void tell_changes(struct member *member, bool role_changed)
{
    bool caught_up = member_is_caught_up(member);
    bool news = role_changed || caught_up != member->caught_up;
    member->caught_up = caught_up;
    if (!news) return;
    member->machine.changed(member->machine.context);
    gate_open(&member->quiet);
}

static void process(struct member *member)
{
    if (member->closing) return;
    CHECK(!member->processing);
    member->processing = true;
    while (raft_has_ready(member->raft)) {
        struct raft_ready ready;
        raft_ready_take(member->raft, &ready);
        if (ready.write.token) start_write(member, &ready.write);
        messenger_send(member->messenger, ready.messages, ready.messages_count);
        for (uint32_t i = 0; i < ready.messages_count; i++)
            if (ready.messages[i].kind == RAFT_MESSAGE_SNAPSHOT) begin_to_send(member, &ready.messages[i]);
        apply(member, &ready);
        bool role_changed = ready.role_changed;
        raft_ready_release(&ready);
        tell_changes(member, role_changed);
    }
    maybe_take_snapshot(member);
    member->processing = false;
}

static void work(struct task *task)
{
    process(CONTAINER_OF(task, struct member, work));
}

static void on_tick(struct timer *timer)
{
    struct member *member = CONTAINER_OF(timer, struct member, tick);
    uint64_t now = reactor_now_ns(member->options.reactor);
    uint64_t ticks = (now - member->ticked_ns) / TICK_NS;
    member->ticked_ns += ticks * TICK_NS;
    for (uint64_t i = 0; i < ticks && i < TICKS_AT_ONCE_MAX; i++)
        raft_tick(member->raft);
    timer_start_at(&member->tick, member->ticked_ns + TICK_NS);
    /* Who is reachable is part of why it is not ready. */
    if (!member->caught_up && ++member->idle_ticks % TICKS_PER_REPORT == 0)
        member->machine.changed(member->machine.context);
    kick(member);
}

static void on_unreachable(void *context, uint64_t id)
{
    struct member *member = context;
    if (member->closing) return;
    raft_unreachable(member->raft, id);
    kick(member);
}

/* ---- calls from other members ---- */

static void step(struct member *member, const struct raft_message *message)
{
    enum status status = raft_step(member->raft, message);
    if (status == STATUS_CORRUPT)
        die(member, STATUS_CORRUPT,
            "controller %" PRIu64
            " proves that this one's data directory lost what it had acknowledged; if it cannot be "
            "restored, and the others form a quorum: remove it, restart controller %" PRIu64 ", then start this one",
            message->from, message->from);
}

static void step_one(void *context, const struct raft_message *message)
{
    step(context, message);
}

void member_handle_step(void *context, struct rpc_request *request)
{
    struct member *member = context;
    if (member->closing || !member->raft) {
        rpc_answer(request, STATUS_UNAVAILABLE, NULL);
        return;
    }
    enum status status = messenger_take(&request->arena, request->body, request->from->daemon_id, step_one, member);
    rpc_answer(request, status, NULL);
    kick(member);
}

/* A snapshot that arrived whole. */
struct arrival {
    struct member *member;
    struct rpc_request *request;
    struct raft_message message;
};

static void answer_chunk(struct rpc_request *request, uint64_t next_offset)
{
    Trillium__V1__RaftSnapshotChunkAnswer body = TRILLIUM__V1__RAFT_SNAPSHOT_CHUNK_ANSWER__INIT;
    body.next_offset = next_offset;
    rpc_answer(request, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
}

static void take_snapshot_over(void *argument)
{
    struct arrival *arrival = argument;
    struct member *member = arrival->member;
    struct raft_message message = arrival->message;
    struct buffer file = member->inbox.file;
    member->inbox.file = (struct buffer){0};
    transfer_inbox_clear(&member->inbox);
    struct raft_snapshot place;
    struct reader records;
    char why[SNAPSHOT_WHY_BYTES];
    enum status status = snapshot_check(buffer_bytes(&file), &member->options.cluster, &place, &records, why);
    bool good = status == STATUS_OK && place.index == message.index && place.term == message.log_term;
    if (good) status = write_file(member, place.index, buffer_bytes(&file));
    member->inbox_is_busy = false;
    if (good && status == STATUS_OK && !member->closing) {
        uint64_t size = file.size;
        CHECK(member->staged.size == 0);
        member->staged = file;
        file = (struct buffer){0};
        step(member, &message);
        /* At once: either a write takes the file over, or the core has no use for it. */
        process(member);
        buffer_free(&member->staged);
        answer_chunk(arrival->request, size);
    } else {
        rpc_answer(arrival->request, good ? STATUS_UNAVAILABLE : STATUS_BAD_REQUEST, NULL);
    }
    buffer_free(&file);
    mem_free(arrival);
    fiber_end(member);
}

void member_handle_snapshot(void *context, struct rpc_request *request)
{
    struct member *member = context;
    if (member->closing || !member->raft || member->inbox_is_busy) {
        rpc_answer(request, STATUS_BUSY, NULL);
        return;
    }
    const Trillium__V1__RaftSnapshotChunkCall *chunk =
        rpc_decode(&request->arena, &trillium__v1__raft_snapshot_chunk_call__descriptor, request->body);
    uint64_t next = 0;
    enum transfer_verdict verdict = TRANSFER_BAD;
    if (chunk && chunk->from == request->from->daemon_id && chunk->to == member->options.id)
        verdict = transfer_take(&member->inbox, chunk, &next);
    if (verdict == TRANSFER_BAD) {
        rpc_answer(request, STATUS_BAD_REQUEST, NULL);
    } else if (verdict == TRANSFER_MORE) {
        answer_chunk(request, next);
    } else {
        struct arrival *arrival = mem_alloc(sizeof *arrival);
        *arrival = (struct arrival){member, request,
            {.kind = RAFT_MESSAGE_SNAPSHOT,
                .from = chunk->from,
                .to = chunk->to,
                .term = chunk->term,
                .index = chunk->index,
                .log_term = chunk->log_term}};
        member->inbox_is_busy = true;
        fiber_begin(member, "snapshot take", take_snapshot_over, arrival);
    }
}

/* ---- life ---- */

/* Brings the machine to the snapshot's place, unless what it kept from before is as good. */
static void resume(struct member *member)
{
    uint64_t snapshot = member->replay.snapshot.index;
    size_t count = member->replay.entries_count;
    uint64_t last = count ? member->replay.entries[count - 1]->index : snapshot;
    member->machine.resume(member->machine.context, snapshot, last, &member->applied);
    if (member->applied >= snapshot) return;
    struct buffer file = {0};
    char why[SNAPSHOT_WHY_BYTES];
    enum status status = snapshot_read(member->options.reactor, &member->options.cluster, snapshot, &file, why);
    if (status != STATUS_OK)
        die(member, status, "%s; remove this controller's data directory only if the others form a quorum", why);
    install_file(member, snapshot, buffer_bytes(&file));
    buffer_free(&file);
}

struct member *member_open(const struct member_options *options)
{
    struct member *member = mem_zalloc(sizeof *member);
    member->options = *options;
    member->machine = options->machine;
    member->env = reactor_env(options->reactor);
    memcpy(member->controllers, options->controllers, options->controllers_count * sizeof *member->controllers);
    member->options.controllers = member->controllers;
    list_init(&member->installs);
    gate_init(&member->quiet);
    task_init(&member->work, work);
    timer_init(&member->tick, options->reactor, on_tick);
    struct journal_options journal = {.reactor = options->reactor,
        .cluster = options->cluster,
        .durable = on_durable,
        .marked = on_marked,
        .context = member};
    char why[320];
    enum status status = journal_open(&journal, &member->replay, &member->journal, why);
    if (status != STATUS_OK) die(member, status, "%s", why);
    resume(member);
    return member;
}

enum status member_start(struct member *member, struct rpc *rpc)
{
    struct raft_options options = {.id = member->options.id,
        .election_ticks = MEMBER_ELECTION_TICKS,
        .heartbeat_ticks = MEMBER_HEARTBEAT_TICKS,
        .append_bytes_max = member->options.append_bytes};
    for (unsigned i = 0; i < member->options.controllers_count; i++)
        CHECK(quorum_add(&options.voters, member->controllers[i].id.value));
    env_entropy(member->env, &options.seed, sizeof options.seed);
    struct messenger_options messenger = {.rpc = rpc,
        .id = member->options.id,
        .controllers = member->controllers,
        .controllers_count = member->options.controllers_count,
        .unreachable = on_unreachable,
        .context = member};
    enum status status = messenger_create(&messenger, &member->messenger);
    if (status != STATUS_OK) return status;
    struct raft_boot boot = raft_replay_boot(&member->replay, member->applied);
    status = raft_create(&options, &boot, &member->raft);
    if (status != STATUS_OK)
        die(member, status,
            "raft/: the Raft log contradicts itself; remove this controller's data directory only if "
            "the others form a quorum");
    raft_replay_free(&member->replay);
    member->ticked_ns = reactor_now_ns(member->options.reactor);
    timer_start_in(&member->tick, TICK_NS);
    /* A group of one need not wait for others. */
    if (member->options.controllers_count == 1) raft_campaign(member->raft);
    kick(member);
    return STATUS_OK;
}

void member_hand_over(struct member *member)
{
    struct raft_status status;
    raft_status(member->raft, &status);
    const struct raft_peer_status *best = NULL;
    for (uint32_t i = 0; i < status.peers_count; i++) {
        const struct raft_peer_status *peer = &status.peers[i];
        if (peer->id == member->options.id || !messenger_is_up(member->messenger, peer->id)) continue;
        if (!best || peer->match > best->match) best = peer;
    }
    if (!best || raft_transfer(member->raft, best->id) != STATUS_OK) return;
    kick(member);
    uint64_t until = reactor_now_ns(member->options.reactor) + (uint64_t)HAND_OVER_MS * 1000000;
    while (status.role == RAFT_LEADER || status.leader == 0) {
        if (!gate_wait(member->options.reactor, &member->quiet, until)) return;
        raft_status(member->raft, &status);
    }
}

void member_close(struct member *member)
{
    member->closing = true;
    timer_stop(&member->tick);
    task_cancel(&member->work);
    while (member->fibers)
        gate_wait(member->options.reactor, &member->quiet, REACTOR_NEVER);
    journal_close(member->journal);
    if (member->messenger) messenger_destroy(member->messenger);
    LIST_FOR_EACH (link, &member->installs) {
        struct install *install = CONTAINER_OF(link, struct install, link);
        buffer_free(&install->file);
        mem_free(install);
    }
    transfer_inbox_clear(&member->inbox);
    buffer_free(&member->staged);
    buffer_free(&member->file);
    raft_replay_free(&member->replay);
    raft_destroy(member->raft);
    mem_free(member);
}

/* ---- use ---- */

enum status member_propose(struct member *member, struct bytes payload, uint64_t *index, uint64_t *term)
{
    if (member->closing || !member->raft) return STATUS_UNAVAILABLE;
    enum status status = raft_propose(member->raft, &payload, 1, index, term);
    if (status == STATUS_OK) kick(member);
    return status;
}

void member_status(const struct member *member, struct raft_status *out)
{
    raft_status(member->raft, out);
}

uint64_t member_term_at(const struct member *member, uint64_t index)
{
    return member->raft ? raft_term_at(member->raft, index) : 0;
}

uint64_t member_durable_term(const struct member *member)
{
    return journal_durable_term(member->journal);
}

bool member_is_caught_up(const struct member *member)
{
    if (!member->raft) return false;
    struct raft_status status;
    raft_status(member->raft, &status);
    return status.leader != 0 && status.term > 0 && raft_term_at(member->raft, status.applied) == status.term;
}

bool member_peer_is_up(const struct member *member, uint64_t id)
{
    return member->messenger && messenger_is_up(member->messenger, id);
}

uint64_t member_log_bytes(const struct member *member)
{
    return journal_bytes(member->journal);
}
