#include "tests/model/rules.h"

#include "common/base/check.h"
#include "common/base/hash.h"
#include "tests/model/replica.h"

#define RULE_NAME(name, text) #name,
static const char *const names[] = {RULES(RULE_NAME)};
#define RULE_TEXT(name, text) text,
static const char *const texts[] = {RULES(RULE_TEXT)};

const char *rule_name(enum rule rule)
{
    return names[rule];
}

const char *rule_text(enum rule rule)
{
    return texts[rule];
}

/* Phases of an operation. RAW: a read's digests differed. SPREAD: write-backs, or a delete that is made known. */
enum { PHASE_NEW, PHASE_RUN, PHASE_RAW, PHASE_SPREAD, PHASE_DONE };

/* Deletes that a quorum is known to have acked: the notices that may still arrive anywhere. */
enum { NOTICE_NONE = 0, NOTICE_ROW = 1, NOTICE_SPAN = 1 << MESSAGES }; /* NOTICE_ROW << message */

struct op_state {
    uint8_t phase;
    uint8_t dead_by;           /* in SPREAD of a write: ANSWER_DEAD_ROW or ANSWER_DEAD_SPAN */
    uint8_t call[REPLICAS];    /* a write's own messages */
    uint8_t spread[REPLICAS];  /* write-backs, or the delete that is made known */
    uint8_t asked;             /* bits: replicas that answered in this phase of a read */
    struct held got[REPLICAS]; /* what they answered */
    struct held merged;        /* of a read in SPREAD */
    uint8_t floor[MESSAGES];   /* the floor when it was invoked */
};

/* Violations, in the order of `wrongs`. */
enum wrong { FINE, LOST, RESURRECTED, WENT_BACK, OK_UNDER_DELETE, OK_UNDER_EDIT, PARTIAL, INVENTED };
static const char *const wrongs[] = {
    NULL,
    "an acked message is absent and nobody deleted it",
    "a dead message is seen again",
    "an older version is seen after a newer one was acked or seen",
    "plain OK for a write that was sent after its delete was acked",
    "plain OK for an edit that was sent after a newer one was acked",
    "a partial message is seen",
    "a message is seen that nobody wrote",
};

struct state {
    struct held replica[REPLICAS];
    uint8_t floor[MESSAGES]; /* per message: the merge of all that was acked or seen */
    uint8_t wrong;
    uint8_t notices;
    struct op_state op[RULES_OPS_MAX];
};
_Static_assert(sizeof(struct state) <= EXPLORE_STATE_BYTES_MAX, "states fit the explorer");

static uint8_t merge(struct rules_run *run, uint8_t a, uint8_t b)
{
    return rows_merge(run->rows, a, b);
}

/* Monitors. */

static bool delete_was_invoked(const struct rules_run *run, const struct state *state, unsigned message)
{
    for (unsigned k = 0; k < run->ops_count; k++) {
        const struct op *op = &run->ops[k];
        if (state->op[k].phase == PHASE_NEW) continue;
        if (op->kind == OP_WRITE && op->row == ROW_DELETE && op->message == message) return true;
        if (op->kind == OP_SPAN && (run->span_covers >> message & 1)) return true;
    }
    return false;
}

static uint8_t invoked_writes(const struct rules_run *run, const struct state *state, unsigned message)
{
    bool before = run->preloaded_both || (run->preloaded && message == 0);
    uint8_t writes = before ? 1 << ROW_CREATE_A : 0;
    for (unsigned k = 0; k < run->ops_count; k++)
        if (run->ops[k].kind == OP_WRITE && run->ops[k].message == message && state->op[k].phase != PHASE_NEW)
            writes |= 1 << run->ops[k].row;
    return writes;
}

static enum wrong judge(struct rules_run *run, const struct state *state, unsigned message, uint8_t seen, uint8_t floor)
{
    const struct rows *rows = run->rows;
    if (!rows_visible(rows, seen))
        return rows_visible(rows, floor) && !delete_was_invoked(run, state, message) ? LOST : FINE;
    if (!rows->whole[seen]) return PARTIAL;
    if (rows->made_of[seen] & ~invoked_writes(run, state, message)) return INVENTED;
    if (rows_deleted(rows, floor)) return RESURRECTED;
    return merge(run, seen, floor) == seen ? FINE : WENT_BACK;
}

/* A read answers what `view` shows. */
static void answer_read(struct rules_run *run, struct state *state, unsigned k, const struct held *view)
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        uint8_t seen = under_span(run, view, i) ? ROW_NONE : view->row[i], before = state->op[k].floor[i];
        enum wrong wrong = judge(run, state, i, seen, before);
        if (wrong != FINE) state->wrong = (uint8_t)wrong;
        if (rows_visible(run->rows, seen))
            state->floor[i] = merge(run, state->floor[i], seen);
        else if (rows_visible(run->rows, before))
            state->floor[i] = ROW_DELETE; /* absent after it was there: dead from now on */
    }
}

/* Steps. */

/* Keeps only what can still have an effect, so that states which differ in history alone are one. */
static void finish(struct state *state, unsigned k, uint8_t notices)
{
    struct op_state *op = &state->op[k];
    struct op_state done = {.phase = PHASE_DONE};
    for (unsigned r = 0; r < REPLICAS; r++) {
        done.call[r] = op->call[r] == IN_FLIGHT ? IN_FLIGHT : NOT_SENT;
        done.spread[r] = op->spread[r] == IN_FLIGHT ? IN_FLIGHT : NOT_SENT;
        if (done.spread[r] == IN_FLIGHT) done.dead_by = op->dead_by;
    }
    *op = done;
    state->notices |= notices;
}

/* The notice of a write that is a delete. */
static uint8_t notice_of(const struct op *op)
{
    if (op->kind == OP_SPAN) return NOTICE_SPAN;
    return op->row == ROW_DELETE ? (uint8_t)(NOTICE_ROW << op->message) : NOTICE_NONE;
}

static unsigned count_answers(const uint8_t calls[REPLICAS], uint8_t answer)
{
    unsigned count = 0;
    for (unsigned r = 0; r < REPLICAS; r++)
        count += calls[r] == answer;
    return count;
}

static const char *op_name(const struct op *op)
{
    static const char *const writes[] = {"?", "create", "create'", "edit 1", "edit 2", "delete"};
    return op->kind == OP_READ ? "read" : op->kind == OP_SPAN ? "span delete" : writes[op->row];
}

#define EMIT(text, ...) explore_emit(explorer, &next, "%s (op %u, m%u) " text, op_name(op), k, op->message, __VA_ARGS__)

static void raise_floor(struct rules_run *run, struct state *state, const struct op *op)
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        bool touched = op->kind == OP_SPAN ? run->span_covers >> i & 1 : i == op->message;
        uint8_t row = op->kind == OP_SPAN ? ROW_DELETE : op->row;
        if (touched) state->floor[i] = merge(run, state->floor[i], row);
    }
}

/* The coordinator of a write answers OK, or SUPERSEDED when dominated acks are needed for a quorum. */
static void answer_write(struct rules_run *run, const struct state *state, unsigned k, struct explorer *explorer)
{
    const struct op *op = &run->ops[k];
    const struct op_state *now = &state->op[k];
    unsigned needed = run->off[RULE_WRITE_QUORUM] ? 1 : QUORUM;
    unsigned ok = count_answers(now->call, ANSWER_OK), beaten = count_answers(now->call, ANSWER_DOMINATED);
    if (ok + beaten < needed) return;
    bool superseded = ok < needed;
    struct state next = *state;
    uint8_t before = now->floor[op->message];
    if (op->kind == OP_WRITE && op->row != ROW_DELETE && rows_deleted(run->rows, before)) next.wrong = OK_UNDER_DELETE;
    if (!superseded && op->kind == OP_WRITE && op->row == ROW_EDIT_1 && !rows_deleted(run->rows, before) &&
        rows_apply_status(run->rows, before, op->row) == STATUS_DOMINATED)
        next.wrong = OK_UNDER_EDIT;
    raise_floor(run, &next, op);
    finish(&next, k, notice_of(op));
    EMIT("answers %s", superseded ? "SUPERSEDED" : "OK");
}

/* It met a DEAD: the delete goes to the others, and DELETED is answered when a quorum has it. */
static void meet_dead(const struct rules_run *run, const struct state *state, unsigned k, struct explorer *explorer)
{
    const struct op *op = &run->ops[k];
    for (unsigned r = 0; r < REPLICAS; r++) {
        uint8_t answer = state->op[k].call[r];
        if (answer != ANSWER_DEAD_ROW && answer != ANSWER_DEAD_SPAN) continue;
        struct state next = *state;
        struct op_state *now = &next.op[k];
        now->phase = PHASE_SPREAD;
        now->dead_by = answer;
        for (unsigned q = 0; q < REPLICAS; q++) {
            now->spread[q] = q == r ? ANSWER_OK : IN_FLIGHT;
            if (now->call[q] != IN_FLIGHT) now->call[q] = NOT_SENT;
        }
        EMIT("learns DEAD from %u", r);
    }
}

static void answer_deleted(struct rules_run *run, const struct state *state, unsigned k, struct explorer *explorer)
{
    const struct op *op = &run->ops[k];
    unsigned needed = run->off[RULE_DEAD_MADE_KNOWN] ? 1 : QUORUM;
    if (count_answers(state->op[k].spread, ANSWER_OK) < needed) return;
    struct state next = *state;
    next.floor[op->message] = ROW_DELETE;
    finish(&next, k, state->op[k].dead_by == ANSWER_DEAD_ROW ? (uint8_t)(NOTICE_ROW << op->message) : NOTICE_SPAN);
    EMIT("answers %s", "DELETED");
}

/* Messages of a write that are on their way, also after its coordinator has answered. */
static void deliver_write(struct rules_run *run, const struct state *state, unsigned k, struct explorer *explorer)
{
    const struct op *op = &run->ops[k];
    const struct op_state *now = &state->op[k];
    for (unsigned r = 0; r < REPLICAS; r++) {
        if (now->call[r] == IN_FLIGHT) {
            struct state next = *state;
            uint8_t answer = replica_apply(run, op, &next.replica[r]);
            next.op[k].call[r] = now->phase == PHASE_RUN ? answer : NOT_SENT;
            EMIT("arrives at %u", r);
        }
        if (now->spread[r] == IN_FLIGHT) {
            struct state next = *state;
            replica_take_delete(run, now->dead_by, op->message, &next.replica[r]);
            next.op[k].spread[r] = now->phase == PHASE_DONE ? NOT_SENT : ANSWER_OK;
            EMIT("makes the delete known at %u", r);
        }
    }
}

static void deliver_notices(const struct rules_run *run, const struct state *state, struct explorer *explorer)
{
    for (unsigned r = 0; r < REPLICAS; r++) {
        for (unsigned i = 0; i < MESSAGES; i++) {
            struct state next = *state;
            if ((state->notices & NOTICE_ROW << i) && replica_close_row(run, &next.replica[r], i))
                explore_emit(explorer, &next, "notice: %u closes its delete of m%u", r, i);
        }
        struct state next = *state;
        if ((state->notices & NOTICE_SPAN) && replica_close_span(&next.replica[r]))
            explore_emit(explorer, &next, "notice: %u closes its span", r);
    }
}

static void write_steps(struct rules_run *run, const struct state *state, unsigned k, struct explorer *explorer)
{
    const struct op *op = &run->ops[k];
    const struct op_state *now = &state->op[k];
    if (now->phase == PHASE_NEW) {
        /* Invoked together with its first effect: the strictest moment for the monitors. */
        for (unsigned r = 0; r < REPLICAS; r++) {
            struct state next = *state;
            struct op_state *started = &next.op[k];
            started->phase = PHASE_RUN;
            memcpy(started->floor, state->floor, sizeof started->floor);
            memset(started->call, IN_FLIGHT, REPLICAS);
            started->call[r] = replica_apply(run, op, &next.replica[r]);
            EMIT("is sent and arrives at %u", r);
        }
        return;
    }
    deliver_write(run, state, k, explorer);
    if (now->phase == PHASE_RUN) {
        answer_write(run, state, k, explorer);
        meet_dead(run, state, k, explorer);
        if (run->off[RULE_CLOSE_AFTER_QUORUM] && (notice_of(op) & ~state->notices)) {
            struct state next = *state;
            next.notices |= notice_of(op);
            EMIT("sends its notice %s", "too early");
        }
    }
    if (now->phase == PHASE_SPREAD) answer_deleted(run, state, k, explorer);
}

/* As many hold the merge of a read as its level asks. */
static void read_is_held(struct rules_run *run, struct state *state, unsigned k)
{
    struct held merged = state->op[k].merged;
    uint8_t notices = merged.span ? NOTICE_SPAN : NOTICE_NONE;
    for (unsigned i = 0; i < MESSAGES; i++)
        if (rows_deleted(run->rows, merged.row[i])) notices |= (uint8_t)(NOTICE_ROW << i);
    answer_read(run, state, k, &merged);
    finish(state, k, notices);
}

/* The second raw state has come: merge, and write back to those who differ. */
static void merge_raw(struct rules_run *run, struct state *state, unsigned k, unsigned first, unsigned second)
{
    struct op_state *now = &state->op[k];
    struct held states[2] = {now->got[first], state->replica[second]}, merged = states[0];
    replica_take(run, &merged, &states[1]);
    struct held content = held_bare(&merged), one = held_bare(&states[0]), two = held_bare(&states[1]);
    bool differs[2] = {!held_equal(&one, &content), !held_equal(&two, &content)};
    memset(now->got, 0, sizeof now->got);
    now->asked = 0;
    now->phase = PHASE_SPREAD;
    now->merged = content;
    now->spread[first] = differs[0] && !run->off[RULE_WRITE_BACK] ? IN_FLIGHT : ANSWER_OK;
    now->spread[second] = differs[1] && !run->off[RULE_WRITE_BACK] ? IN_FLIGHT : ANSWER_OK;
    if (count_answers(now->spread, ANSWER_OK) >= QUORUM) read_is_held(run, state, k);
}

/* One more replica answers a read. Any two decide; the third could change nothing. */
static void read_answer(
    struct rules_run *run, const struct state *state, unsigned k, unsigned r, struct explorer *explorer)
{
    const struct op *op = &run->ops[k];
    bool raw = state->op[k].phase == PHASE_RAW;
    struct state next = *state;
    struct op_state *now = &next.op[k];
    if (now->phase == PHASE_NEW) {
        now->phase = PHASE_RUN;
        memcpy(now->floor, state->floor, sizeof now->floor);
    }
    struct held answer = raw ? state->replica[r] : held_digest(run, &state->replica[r]);
    if (run->off[RULE_READ_QUORUM]) {
        answer_read(run, &next, k, &answer);
        finish(&next, k, NOTICE_NONE);
        EMIT("answers from %u alone", r);
        return;
    }
    if (now->asked == 0) {
        now->asked = (uint8_t)(1 << r);
        now->got[r] = answer;
        EMIT("gets %s of %u", raw ? "the raw state" : "the digest", r);
        return;
    }
    unsigned first = (unsigned)__builtin_ctz(now->asked);
    if (raw) {
        merge_raw(run, &next, k, first, r);
        EMIT("gets the raw state of %u and merges", r);
        return;
    }
    bool equal = held_equal(&now->got[first], &answer);
    memset(now->got, 0, sizeof now->got);
    now->asked = 0;
    if (equal) {
        answer_read(run, &next, k, &answer);
        finish(&next, k, NOTICE_NONE);
    } else {
        now->phase = PHASE_RAW;
    }
    EMIT("gets the digest of %u, which is %s", r, equal ? "equal: answers" : "different");
}

static void read_steps(struct rules_run *run, const struct state *state, unsigned k, struct explorer *explorer)
{
    const struct op *op = &run->ops[k];
    const struct op_state *now = &state->op[k];
    if (now->phase <= PHASE_RAW) {
        for (unsigned r = 0; r < REPLICAS; r++)
            if (!(now->asked >> r & 1)) read_answer(run, state, k, r, explorer);
        return;
    }
    for (unsigned r = 0; r < REPLICAS; r++) {
        if (now->spread[r] != IN_FLIGHT) continue;
        struct state next = *state;
        replica_take(run, &next.replica[r], &now->merged);
        next.op[k].spread[r] = now->phase == PHASE_DONE ? NOT_SENT : ANSWER_OK;
        if (now->phase == PHASE_SPREAD && count_answers(next.op[k].spread, ANSWER_OK) >= QUORUM)
            read_is_held(run, &next, k);
        EMIT("writes back to %u", r);
    }
}

/* Of equal operations the first starts first. Unless reads overlap, a read also starts after the one before it has
   merged (which it may have done long ago, with its write-backs still on their way). */
static bool must_wait(const struct rules_run *run, const struct state *state, unsigned k)
{
    if (k == 0 || state->op[k].phase != PHASE_NEW) return false;
    if (memcmp(&run->ops[k], &run->ops[k - 1], sizeof run->ops[k]) != 0) return false;
    uint8_t before = state->op[k - 1].phase;
    return run->ops[k].kind == OP_READ && !run->reads_overlap ? before < PHASE_SPREAD : before == PHASE_NEW;
}

static void successors(void *context, const void *from, struct explorer *explorer)
{
    struct rules_run *run = context;
    const struct state *state = from;
    for (unsigned k = 0; k < run->ops_count; k++) {
        const struct op *op = &run->ops[k];
        if (must_wait(run, state, k)) continue;
        if (op->kind == OP_READ)
            read_steps(run, state, k, explorer);
        else
            write_steps(run, state, k, explorer);
    }
    deliver_notices(run, state, explorer);
}

static void initial(void *context, struct explorer *explorer)
{
    struct rules_run *run = context;
    struct state state = {0};
    if (run->preloaded_both) {
        for (unsigned i = 0; i < MESSAGES; i++) {
            state.floor[i] = ROW_CREATE_A;
            state.replica[i].row[i] = state.replica[i + 1].row[i] = ROW_CREATE_A;
        }
    }
    if (!run->preloaded) {
        explore_emit(explorer, &state, "start");
        return;
    }
    state.floor[0] = ROW_CREATE_A;
    for (unsigned r = 0; r < REPLICAS; r++) {
        state.replica[r].row[0] = ROW_CREATE_A;
        if (r >= QUORUM - 1) explore_emit(explorer, &state, "start");
    }
}

static uint64_t hash_more(uint64_t hash, uint64_t word)
{
    return (hash ^ hash >> 32 ^ word) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t word_of(const struct held *held)
{
    uint32_t word;
    memcpy(&word, held, sizeof word);
    return word;
}

/* Replicas are interchangeable: what belongs to one is hashed by itself, and those hashes are added. */
static uint64_t fingerprint(void *context, const void *of)
{
    const struct rules_run *run = context;
    const struct state *state = of;
    uint64_t column[REPLICAS], columns = 0;
    uint64_t common = (uint64_t)state->floor[0] | (uint64_t)state->floor[1] << 8 | (uint64_t)state->wrong << 16 |
                      (uint64_t)state->notices << 24;
    common = hash_more(1, common);
    for (unsigned r = 0; r < REPLICAS; r++)
        column[r] = hash_more(1, word_of(&state->replica[r]));
    for (unsigned k = 0; k < run->ops_count; k++) {
        const struct op_state *op = &state->op[k];
        uint64_t part = (uint64_t)op->phase | (uint64_t)op->dead_by << 8 | (uint64_t)op->floor[0] << 16 |
                        (uint64_t)op->floor[1] << 24;
        common = hash_more(common, part | word_of(&op->merged) << 32);
        for (unsigned r = 0; r < REPLICAS; r++) {
            uint64_t calls = (uint64_t)op->call[r] | (uint64_t)op->spread[r] << 8 | (op->asked >> r & 1u) << 16;
            column[r] = hash_more(column[r], calls | word_of(&op->got[r]) << 32);
        }
    }
    for (unsigned r = 0; r < REPLICAS; r++)
        columns += hash_u64(column[r]);
    return hash_u64(hash_more(common, columns));
}

static const char *violation(void *context, const void *of)
{
    (void)context;
    return wrongs[((const struct state *)of)->wrong];
}

struct explore_result rules_explore(struct rules_run *run, uint64_t states_max, bool trace)
{
    CHECK(run->ops_count <= RULES_OPS_MAX);
    struct explore_model model = {.context = run,
        .state_bytes = sizeof(struct state),
        .initial = initial,
        .successors = successors,
        .fingerprint = fingerprint,
        .violation = violation};
    return explore(&model, states_max, trace);
}
