#include "controld/api/journal.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/runtime/reactor.h"
#include "common/wal/wal.h"

enum {
    JOURNAL_LOG = 0,
    JOURNAL_KIND = 1, /* of the wal's records; the records' own kinds lie inside */
    JOURNAL_GROUP_BYTES = 320 << 10,
    JOURNAL_SEGMENT_BYTES = 4 << 20,
    JOURNAL_BUFFERS = 4,
    JOURNAL_SPARES = 1,
};
_Static_assert(JOURNAL_GROUP_BYTES >= RAFT_RECORD_BYTES_MAX + WAL_RECORD_OVERHEAD_BYTES, "the largest record fits");

/* Where an entry's record lies in the log; void ones too, until the front of the log passes them. */
struct place {
    uint64_t index, sequence;
};

struct places {
    struct place *items;
    size_t head, count, capacity; /* items[head .. head + count) */
};

struct job;

/* A record on its way. */
struct piece {
    struct wal_waiter waiter;
    struct job *job;
    uint32_t size;
    uint64_t index; /* ENTRY's; 0: another kind */
    bool is_mark;
};

/* One write or mark on its way. */
struct job {
    struct list link;
    struct journal *journal;
    uint64_t token; /* 0: an own mark */
    bool install;
    uint64_t term;                 /* of the hard state in it; 0: none */
    struct raft_snapshot snapshot; /* install, or mark */
    uint64_t mark_sequence;
    struct buffer bytes;
    struct piece *pieces;
    unsigned pieces_count, pieces_done;
    size_t bytes_done;
};

struct journal {
    struct journal_options options;
    struct wal *wal;
    struct list waiting; /* struct job: not wholly appended yet */
    struct list flying;  /* struct job: appended, not durable */
    bool pumping;
    unsigned installs;
    struct raft_hard_state hard; /* as last given to the log */
    uint64_t durable_term;
    struct places places;
    uint64_t keep_sequence; /* what the last durable mark needs begins here; 0: there is none */
    struct raft_replay *replay;
};

/* ---- places ---- */

static void places_push(struct places *places, struct place place)
{
    if (places->head + places->count == places->capacity) {
        if (places->head > places->count) {
            memmove(places->items, places->items + places->head, places->count * sizeof *places->items);
            places->head = 0;
        } else {
            places->capacity = places->capacity ? places->capacity * 2 : 256;
            places->items = mem_realloc(places->items, places->capacity * sizeof *places->items);
        }
    }
    places->items[places->head + places->count++] = place;
}

static const struct place *places_first(const struct places *places)
{
    return places->count ? &places->items[places->head] : NULL;
}

static void places_pop(struct places *places)
{
    places->head++;
    if (--places->count == 0) places->head = 0;
}

static void places_drop_before(struct places *places, uint64_t sequence)
{
    while (places->count && places_first(places)->sequence < sequence)
        places_pop(places);
}

/* ---- open ---- */

static enum status replay_record(void *context, const struct wal_record *record)
{
    struct journal *journal = context;
    struct raft_record decoded;
    if (record->kind != JOURNAL_KIND || raft_record_decode(record->payload, &decoded) != STATUS_OK)
        return STATUS_CORRUPT;
    enum status status = raft_replay_record(journal->replay, record->payload);
    if (status != STATUS_OK) return status;
    if (decoded.kind == RAFT_RECORD_ENTRY)
        places_push(&journal->places, (struct place){decoded.index, record->sequence});
    if (decoded.kind == RAFT_RECORD_SNAPSHOT_MARK) {
        /* The hard state lies right before a reset, right behind an own mark. */
        journal->keep_sequence = record->sequence > 1 ? record->sequence - 1 : 1;
        if (decoded.reset) places_drop_before(&journal->places, record->sequence);
    }
    return STATUS_OK;
}

static void journal_free(struct journal *journal)
{
    mem_free(journal->places.items);
    mem_free(journal);
}

enum status journal_open(
    const struct journal_options *options, struct raft_replay *replay, struct journal **out, char why[320])
{
    struct journal *journal = mem_zalloc(sizeof *journal);
    journal->options = *options;
    journal->replay = replay;
    list_init(&journal->waiting);
    list_init(&journal->flying);
    struct wal_config config = {
        .dir = "raft",
        .log = JOURNAL_LOG,
        .cluster = options->cluster,
        .segment_bytes = JOURNAL_SEGMENT_BYTES,
        .group_bytes = JOURNAL_GROUP_BYTES,
        .buffers = JOURNAL_BUFFERS,
        .spares = JOURNAL_SPARES,
        .replay = {.record = replay_record, .context = journal},
    };
    struct wal_recovery recovery = {0};
    enum status status = wal_open(options->reactor, &config, &recovery, &journal->wal);
    if (status != STATUS_OK) {
        snprintf(why, 320, "raft/: the Raft log cannot be used: %s",
            recovery.why[0] ? recovery.why : "its records contradict each other");
        journal_free(journal);
        return status;
    }
    LOG(reactor_log(options->reactor), INFO, "journal.open", "records=%llu entries=%zu snapshot=%llu torn=%d",
        (unsigned long long)recovery.records, replay->entries_count, (unsigned long long)replay->snapshot.index,
        recovery.torn);
    journal->hard = replay->hard;
    journal->durable_term = replay->hard.term;
    journal->replay = NULL;
    *out = journal;
    return STATUS_OK;
}

void journal_close(struct journal *journal)
{
    while (!list_is_empty(&journal->waiting) || !list_is_empty(&journal->flying))
        wal_sync(journal->wal);
    wal_close(journal->wal);
    journal_free(journal);
}

/* ---- writing ---- */

static void job_add(struct job *job, const struct raft_record *record, unsigned capacity)
{
    CHECK(job->pieces_count < capacity);
    size_t before = job->bytes.size;
    raft_record_encode(record, &job->bytes);
    job->pieces[job->pieces_count++] = (struct piece){
        .job = job,
        .size = (uint32_t)(job->bytes.size - before),
        .index = record->kind == RAFT_RECORD_ENTRY ? record->index : 0,
        .is_mark = record->kind == RAFT_RECORD_SNAPSHOT_MARK,
    };
}

static struct job *job_create(struct journal *journal, unsigned pieces)
{
    struct job *job = mem_zalloc(sizeof *job);
    job->journal = journal;
    job->pieces = mem_zalloc(pieces * sizeof *job->pieces);
    list_push_back(&journal->waiting, &job->link);
    return job;
}

static void job_free(struct job *job)
{
    buffer_free(&job->bytes);
    mem_free(job->pieces);
    mem_free(job);
}

static void pump(struct journal *journal);

static void job_done(struct journal *journal, struct job *job)
{
    list_remove(&job->link);
    if (job->term) journal->durable_term = job->term;
    if (job->mark_sequence) journal->keep_sequence = job->mark_sequence - 1;
    if (job->install) {
        journal->installs--;
        places_drop_before(&journal->places, job->mark_sequence);
        journal_forget(journal, 0);
    }
    if (job->token)
        journal->options.durable(journal->options.context, job->token);
    else
        journal->options.marked(journal->options.context, job->snapshot);
    job_free(job);
}

static void piece_done(struct wal_waiter *waiter)
{
    struct piece *piece = CONTAINER_OF(waiter, struct piece, waiter);
    struct job *job = piece->job;
    struct journal *journal = job->journal;
    if (piece + 1 == job->pieces + job->pieces_count) job_done(journal, job);
    pump(journal);
}

/* Appends the job's next record. False: the log has no room now. */
static bool append_next(struct journal *journal, struct job *job)
{
    struct piece *piece = &job->pieces[job->pieces_done];
    struct bytes record = bytes_of(job->bytes.data + job->bytes_done, piece->size);
    piece->waiter.done = piece_done;
    enum status status = wal_append(journal->wal, JOURNAL_KIND, &record, 1, &piece->waiter);
    if (status == STATUS_BUSY) return false;
    if (status != STATUS_OK)
        env_die(reactor_env(journal->options.reactor), status,
            "raft/: no room for the Raft log; free disk space in storage.directory");
    uint64_t sequence = wal_last_sequence(journal->wal);
    if (piece->index) places_push(&journal->places, (struct place){piece->index, sequence});
    if (piece->is_mark) job->mark_sequence = sequence;
    job->pieces_done++;
    job->bytes_done += piece->size;
    return true;
}

/* Hands waiting records to the log until it has no room; what becomes durable calls again. */
static void pump(struct journal *journal)
{
    if (journal->pumping) return;
    journal->pumping = true;
    while (!list_is_empty(&journal->waiting)) {
        struct job *job = CONTAINER_OF(journal->waiting.next, struct job, link);
        while (job->pieces_done < job->pieces_count)
            if (!append_next(journal, job)) {
                journal->pumping = false;
                return;
            }
        list_remove(&job->link);
        list_push_back(&journal->flying, &job->link);
    }
    journal->pumping = false;
}

void journal_write(struct journal *journal, const struct raft_write *write)
{
    CHECK(write->token != 0);
    unsigned capacity = write->entries_count + 4;
    struct job *job = job_create(journal, capacity);
    job->token = write->token;
    job->install = write->install;
    job->snapshot = write->snapshot;
    /* A reset releases all before it, so it always has a hard state at its side. */
    struct raft_write whole = *write;
    if (write->install) whole.has_hard = true;
    if (whole.has_hard) {
        journal->hard = write->hard;
        job->term = write->hard.term;
    }
    journal->installs += write->install;
    struct raft_record record;
    for (uint32_t position = 0; raft_write_next(&whole, &position, &record);)
        job_add(job, &record, capacity);
    CHECK(job->pieces_count > 0);
    pump(journal);
}

void journal_mark(struct journal *journal, struct raft_snapshot snapshot)
{
    CHECK(journal->installs == 0);
    struct job *job = job_create(journal, 2);
    job->snapshot = snapshot;
    struct raft_record mark = {
        .kind = RAFT_RECORD_SNAPSHOT_MARK, .index = snapshot.index, .term = snapshot.term, .reset = false};
    struct raft_record hard = {.kind = RAFT_RECORD_HARD_STATE, .hard = journal->hard};
    job_add(job, &mark, 2);
    job_add(job, &hard, 2);
    pump(journal);
}

bool journal_is_installing(const struct journal *journal)
{
    return journal->installs > 0;
}

void journal_forget(struct journal *journal, uint64_t index)
{
    struct places *places = &journal->places;
    while (places->count && places_first(places)->index <= index)
        places_pop(places);
    if (journal->keep_sequence == 0) return;
    uint64_t keep = journal->keep_sequence;
    const struct place *first = places_first(places);
    if (first && first->sequence < keep) keep = first->sequence;
    if (keep > 1 && keep - 1 > wal_released_sequence(journal->wal)) wal_release(journal->wal, keep - 1);
}

uint64_t journal_durable_term(const struct journal *journal)
{
    return journal->durable_term;
}

uint64_t journal_bytes(const struct journal *journal)
{
    return wal_bytes(journal->wal);
}
