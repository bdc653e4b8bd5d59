#include "tests/model/lapse.h"

#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"

#define RULE_NAME(name, text) #name,
static const char *const names[] = {LAPSE_RULES(RULE_NAME)};
#define RULE_TEXT(name, text) text,
static const char *const texts[] = {LAPSE_RULES(RULE_TEXT)};

const char *lapse_rule_name(enum lapse_rule rule)
{
    return names[rule];
}

const char *lapse_rule_text(enum lapse_rule rule)
{
    return texts[rule];
}

enum { EPOCHS_MAX = 6, NOBODY = 0xff };
enum { CREATE, DELETE, OPS };
enum { ROW_CREATE = 1, ROW_DELETE = 2 };
enum health { WHOLE, LOST, REBUILDING };

/* What a coordinator knows of one replica. */
enum { CALL_NONE, CALL_SENT, CALL_OK, CALL_DEAD };

struct op {
    uint8_t epoch;                 /* the newest that the coordinator knows; 0: not begun */
    bool done, dead, after_delete; /* after_delete: the delete was done when this began */
    uint8_t call[LAPSE_REPLICAS_MAX];
    uint8_t call_epoch[LAPSE_REPLICAS_MAX]; /* sent or answered at */
};

struct state {
    uint8_t epoch, lapses;         /* controld's; how many have happened */
    uint8_t lapsed_at[EPOCHS_MAX]; /* by epoch: the replica that this epoch says has lapsed, or NOBODY */
    uint8_t rebuilt_at[EPOCHS_MAX];
    uint8_t rows[LAPSE_REPLICAS_MAX], adopted[LAPSE_REPLICAS_MAX], health[LAPSE_REPLICAS_MAX];
    uint8_t read; /* sources that the rebuild under way has read */
    uint8_t wrong;
    struct op ops[OPS];
};
_Static_assert(sizeof(struct state) <= EXPLORE_STATE_BYTES_MAX, "states fit the explorer");

static unsigned quorum(const struct lapse_run *run)
{
    return run->replicas / 2 + 1;
}

/* ---- records: as they are at an epoch ---- */

/* The newest epoch up to this one that names the replica; 0: none. */
static unsigned newest(const uint8_t *by_epoch, unsigned epoch, unsigned replica)
{
    for (unsigned e = epoch; e > 0; e--)
        if (by_epoch[e] == replica) return e;
    return 0;
}

static bool is_lapsed(const struct state *state, unsigned epoch, unsigned replica)
{
    return newest(state->lapsed_at, epoch, replica) > newest(state->rebuilt_at, epoch, replica);
}

/* What the replica answered at an epoch counts under the record of another one. */
static bool counts(
    const struct lapse_run *run, const struct state *state, unsigned replica, unsigned at, unsigned record)
{
    unsigned since = newest(state->rebuilt_at, record, replica);
    bool lapsed = is_lapsed(state, record, replica);
    if (run->off[LAPSE_RULE_LAPSE_FORGETS_ACKS]) return true;
    if (run->off[LAPSE_RULE_REBUILD_COUNTS_LATER]) return at >= newest(state->lapsed_at, record, replica);
    return !lapsed && at >= since;
}

/* ---- what must be true ---- */

/* A read of these replicas, all at one epoch, under whose record all of them count. */
static bool can_be_read(const struct lapse_run *run, const struct state *state, unsigned mask, unsigned *rows)
{
    unsigned epoch = 0, count = 0;
    *rows = 0;
    for (unsigned r = 0; r < run->replicas; r++) {
        if (!(mask >> r & 1)) continue;
        bool serves =
            state->health[r] == WHOLE || (state->health[r] == REBUILDING && run->off[LAPSE_RULE_REBUILD_READS_LATER]);
        bool known = run->off[LAPSE_RULE_REBUILD_READS_LATER] || !is_lapsed(state, state->adopted[r], r);
        if (!serves || !known || (epoch && state->adopted[r] != epoch)) return false;
        epoch = state->adopted[r];
        *rows |= state->rows[r];
        count++;
    }
    return count == quorum(run);
}

static const char *violation(void *context, const void *raw)
{
    const struct lapse_run *run = context;
    const struct state *state = raw;
    const struct op *create = &state->ops[CREATE], *delete = &state->ops[DELETE];
    if (create->done && !create->dead && create->after_delete) return "a plain OK for a create under an acked delete";
    for (unsigned mask = 1; mask < 1u << run->replicas; mask++) {
        unsigned rows;
        if (!can_be_read(run, state, mask, &rows)) continue;
        if (create->done && !delete->epoch && !(rows & ROW_CREATE)) return "a quorum does not show an acked message";
        if (delete->done && !(rows & ROW_DELETE)) return "a quorum does not know of an acked delete";
    }
    return NULL;
}

/* ---- steps ---- */

static void judge(const struct lapse_run *run, struct state *state, struct op *op)
{
    unsigned acks = 0;
    bool dead = false;
    if (op->done) return;
    for (unsigned r = 0; r < run->replicas; r++) {
        if (op->call[r] != CALL_OK && op->call[r] != CALL_DEAD) continue;
        if (!counts(run, state, r, op->call_epoch[r], op->epoch)) continue;
        acks++;
        dead |= op->call[r] == CALL_DEAD;
    }
    op->done = acks >= quorum(run);
    op->dead = op->done && dead;
}

/* The coordinator takes a newer record over: what does not count any more is asked for again. */
static void learn(const struct lapse_run *run, struct state *state, struct op *op, uint8_t epoch)
{
    if (epoch <= op->epoch) return;
    op->epoch = epoch;
    for (unsigned r = 0; r < run->replicas && !op->done; r++) {
        bool acked = op->call[r] == CALL_OK || op->call[r] == CALL_DEAD;
        bool again = acked && !counts(run, state, r, op->call_epoch[r], epoch);
        if (!again) continue;
        op->call[r] = CALL_SENT;
        op->call_epoch[r] = epoch;
    }
    judge(run, state, op);
}

static void begin(const struct lapse_run *run, const struct state *state, unsigned which, struct explorer *explorer)
{
    if (state->ops[which].epoch) return;
    for (uint8_t epoch = 1; epoch <= state->epoch; epoch++) {
        struct state next = *state;
        struct op *op = &next.ops[which];
        op->epoch = epoch;
        op->after_delete = which == CREATE && state->ops[DELETE].done;
        for (unsigned r = 0; r < run->replicas; r++) {
            op->call[r] = CALL_SENT;
            op->call_epoch[r] = epoch;
        }
        explore_emit(explorer, &next, "%s is sent at epoch %u", which == CREATE ? "create" : "delete", epoch);
    }
}

static void arrive(
    const struct lapse_run *run, const struct state *state, unsigned which, unsigned r, struct explorer *explorer)
{
    if (state->ops[which].call[r] != CALL_SENT || state->health[r] == LOST) return;
    struct state next = *state;
    struct op *op = &next.ops[which];
    const char *what = which == CREATE ? "create" : "delete";
    unsigned epoch = op->call_epoch[r];
    if (epoch < next.adopted[r]) {
        learn(run, &next, op, next.adopted[r]);
        op->call_epoch[r] = op->epoch;
        explore_emit(explorer, &next, "%s is stale at %u, and is sent again at %u", what, r, op->epoch);
        return;
    }
    if (epoch > next.adopted[r]) return; /* it adopts first, which is a step of its own */
    bool dead = which == CREATE && (next.rows[r] & ROW_DELETE);
    next.rows[r] |= which == CREATE ? ROW_CREATE : ROW_DELETE;
    op->call[r] = dead ? CALL_DEAD : CALL_OK;
    judge(run, &next, op);
    explore_emit(explorer, &next, "%s is acked by %u at %u%s", what, r, epoch, op->done ? ", and done" : "");
}

static void adopt(const struct state *state, unsigned r, struct explorer *explorer)
{
    for (uint8_t epoch = (uint8_t)(state->adopted[r] + 1); epoch <= state->epoch; epoch++) {
        struct state next = *state;
        bool mine = newest(next.lapsed_at, epoch, r) > state->adopted[r];
        next.adopted[r] = epoch;
        if (state->health[r] == LOST && mine) next.health[r] = REBUILDING;
        if (next.health[r] != LOST && next.health[r] != WHOLE && !is_lapsed(&next, epoch, r)) next.health[r] = WHOLE;
        explore_emit(explorer, &next, "%u adopts epoch %u", r, epoch);
    }
}

static bool all_whole(const struct lapse_run *run, const struct state *state)
{
    for (unsigned r = 0; r < run->replicas; r++)
        if (state->health[r] != WHOLE || is_lapsed(state, state->epoch, r)) return false;
    return true;
}

static void lapse(const struct lapse_run *run, const struct state *state, unsigned r, struct explorer *explorer)
{
    struct state next = *state;
    if (state->health[r] == LOST && !is_lapsed(state, state->epoch, r)) {
        next.lapsed_at[++next.epoch] = (uint8_t)r;
        next.read = 0;
        explore_emit(explorer, &next, "epoch %u says that %u has lapsed", next.epoch, r);
    } else if (state->lapses < run->lapses && all_whole(run, state)) {
        next.lapses++;
        next.rows[r] = 0;
        next.health[r] = LOST;
        explore_emit(explorer, &next, "%u loses everything", r);
    }
}

static void rebuild(const struct lapse_run *run, const struct state *state, unsigned r, struct explorer *explorer)
{
    if (state->health[r] != REBUILDING || !is_lapsed(state, state->epoch, r)) return;
    unsigned needed = run->off[LAPSE_RULE_REBUILD_SOURCES] ? 1 : run->replicas - quorum(run) + 1, got = 0;
    for (unsigned s = 0; s < run->replicas; s++) {
        got += state->read >> s & 1;
        bool adopted = state->adopted[s] >= newest(state->lapsed_at, state->epoch, r);
        if (s == r || (state->read >> s & 1) || state->health[s] != WHOLE) continue;
        if (!adopted && !run->off[LAPSE_RULE_REBUILD_ADOPT_FIRST]) continue;
        struct state next = *state;
        next.read |= (uint8_t)(1 << s);
        next.rows[r] |= next.rows[s];
        explore_emit(explorer, &next, "%u copies what %u has", r, s);
    }
    if (got < needed) return;
    struct state next = *state;
    next.rebuilt_at[++next.epoch] = (uint8_t)r;
    next.read = 0;
    explore_emit(explorer, &next, "epoch %u says that %u is rebuilt", next.epoch, r);
}

static void successors(void *context, const void *raw, struct explorer *explorer)
{
    const struct lapse_run *run = context;
    const struct state *state = raw;
    for (unsigned which = 0; which < OPS; which++) {
        if (which == DELETE && !run->with_delete) continue;
        begin(run, state, which, explorer);
        for (unsigned r = 0; r < run->replicas; r++)
            arrive(run, state, which, r, explorer);
    }
    for (unsigned r = 0; r < run->replicas; r++) {
        adopt(state, r, explorer);
        lapse(run, state, r, explorer);
        rebuild(run, state, r, explorer);
    }
}

static void initial(void *context, struct explorer *explorer)
{
    const struct lapse_run *run = context;
    struct state state = {.epoch = 1};
    memset(state.lapsed_at, NOBODY, sizeof state.lapsed_at);
    memset(state.rebuilt_at, NOBODY, sizeof state.rebuilt_at);
    for (unsigned r = 0; r < run->replicas; r++)
        state.adopted[r] = 1;
    explore_emit(explorer, &state, "%s", "");
}

static uint64_t fingerprint(void *context, const void *state)
{
    (void)context;
    return hash64(state, sizeof(struct state), 0);
}

struct explore_result lapse_explore(struct lapse_run *run, uint64_t states_max, bool trace)
{
    CHECK(run->replicas <= LAPSE_REPLICAS_MAX && 1 + 2 * run->lapses < EPOCHS_MAX);
    struct explore_model model = {.context = run,
        .state_bytes = sizeof(struct state),
        .initial = initial,
        .successors = successors,
        .fingerprint = fingerprint,
        .violation = violation};
    return explore(&model, states_max, trace);
}
