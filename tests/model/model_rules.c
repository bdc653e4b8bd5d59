/*
 * model_rules: explores the data rules exhaustively, and shows of each rule that it matters.
 *
 *   model_rules [--all] [--trace] [--rule NAME]
 * By default: the laws of merge over every row that two creates, two edits and a delete can make; every pair of writes
 * with one and with two reads; every rule switched off once, which must end in a violation.
 * --all adds reads that overlap in every way and triples of writes (minutes). --rule takes only the runs with that rule
 * off. --trace prints the steps to each violation. Ends with `N passed, N failed`.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "tests/model/lapse.h"
#include "tests/model/rules.h"

static const struct op CREATE = {OP_WRITE, 0, ROW_CREATE_A}, OTHER = {OP_WRITE, 0, ROW_CREATE_B},
                       EDIT_1 = {OP_WRITE, 0, ROW_EDIT_1}, EDIT_2 = {OP_WRITE, 0, ROW_EDIT_2},
                       DELETE = {OP_WRITE, 0, ROW_DELETE}, SPAN = {OP_SPAN, 0, 0}, READ = {OP_READ, 0, 0};

/* At 40 million states the explorer gives up; no run comes near. */
enum { STATES_MAX = 40000000 };

struct session {
    struct rows *rows;
    bool trace;
    unsigned passed, failed;
    uint64_t states;
};

static void note(struct session *session, bool passed)
{
    session->passed += passed;
    session->failed += !passed;
}

static void add(struct rules_run *run, struct op op, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        CHECK(run->ops_count < RULES_OPS_MAX);
        run->ops[run->ops_count++] = op;
    }
}

static const char *op_text(const struct op *op)
{
    static const char *const writes[] = {"?", "create", "create'", "edit1", "edit2", "delete"};
    return op->kind == OP_READ ? "read" : op->kind == OP_SPAN ? "span" : writes[op->row];
}

static void print_run(const struct rules_run *run)
{
    printf("  %s", run->preloaded_both ? "[two messages] " : run->preloaded ? "[a message] " : "");
    for (unsigned k = 0; k < run->ops_count; k++)
        printf("%s ", op_text(&run->ops[k]));
}

/* A run in which every rule holds: all states are right. */
static void expect_right(struct session *session, struct rules_run *run)
{
    struct explore_result result = rules_explore(run, STATES_MAX, true);
    bool passed = result.complete && !result.violation;
    session->states += result.states;
    note(session, passed);
    if (passed) return;
    print_run(run);
    printf(": FAILED after %llu states: %s\n", (unsigned long long)result.states,
        result.violation ? result.violation : "too many states");
}

/* A run in which one rule is off: some state is wrong. */
static void expect_wrong(struct session *session, enum rule rule, struct rules_run *run)
{
    run->rows = session->rows;
    run->off[rule] = true;
    printf("  %-18s off:", rule_name(rule));
    if (session->trace) printf("\n");
    struct explore_result result = rules_explore(run, STATES_MAX, session->trace);
    note(session, result.violation != NULL);
    if (session->trace) printf("  ");
    print_run(run);
    if (result.violation)
        printf("-> %s (%u steps)\n", result.violation, result.steps);
    else
        printf("-> FAILED: nothing goes wrong without the rule \"%s\"\n", rule_text(rule));
}

static void check_laws(struct session *session)
{
    struct rows *rows = mem_alloc(sizeof *rows);
    unsigned long triples;
    rows_init(rows);
    unsigned failed = rows_check_laws(rows, &triples);
    printf("merge: %u rows, %lu triples, %u breaches of commutative, associative, idempotent\n", rows->count, triples,
        failed);
    rows_fini(rows);
    mem_free(rows);
    note(session, failed == 0);
}

/* True when another pair is the same run with the two edits, or the two creates, swapped. */
static bool is_mirrored(const struct op *first, const struct op *second, bool preloaded)
{
    bool edit_1 = first->row == ROW_EDIT_1, edit_2 = first->row == ROW_EDIT_2 || second->row == ROW_EDIT_2;
    bool create = first->row == ROW_CREATE_A || preloaded;
    bool other = first->row == ROW_CREATE_B || second->row == ROW_CREATE_B;
    return (edit_2 && !edit_1) || (other && !create);
}

static void check_pairs(struct session *session, unsigned reads, bool reads_overlap)
{
    const struct op writes[] = {CREATE, OTHER, EDIT_1, EDIT_2, DELETE, SPAN};
    unsigned runs = 0;
    uint64_t before = session->states;
    for (unsigned preloaded = 0; preloaded < 2; preloaded++)
        for (unsigned i = 0; i < 6; i++)
            for (unsigned j = i; j < 6; j++) {
                struct rules_run run = {.rows = session->rows, .preloaded = preloaded, .span_covers = 1};
                if (is_mirrored(&writes[i], &writes[j], preloaded)) continue;
                run.reads_overlap = reads_overlap;
                add(&run, writes[i], 1);
                add(&run, writes[j], 1);
                add(&run, READ, reads);
                expect_right(session, &run);
                runs++;
            }
    printf("all pairs of writes, %u read%s%s: %u runs, %llu states\n", reads, reads > 1 ? "s" : "",
        reads_overlap ? " that overlap" : "", runs, (unsigned long long)(session->states - before));
    fflush(stdout);
}

static void check_triples(struct session *session)
{
    const struct op writes[] = {CREATE, OTHER, EDIT_1, EDIT_2, DELETE, SPAN};
    unsigned runs = 0;
    uint64_t before = session->states;
    for (unsigned i = 0; i < 6; i++)
        for (unsigned j = i; j < 6; j++)
            for (unsigned k = j; k < 6; k++, runs++) {
                struct rules_run run = {.rows = session->rows, .span_covers = 1};
                add(&run, writes[i], 1);
                add(&run, writes[j], 1);
                add(&run, writes[k], 1);
                add(&run, READ, 1);
                expect_right(session, &run);
            }
    printf(
        "all triples of writes, 1 read: %u runs, %llu states\n", runs, (unsigned long long)(session->states - before));
    fflush(stdout);
}

/* Two messages whose replicas differ: a read that merges one writes back deletes of the other. */
static void check_two_messages(struct session *session)
{
    const struct op deletes[] = {DELETE, SPAN};
    uint64_t before = session->states;
    for (unsigned i = 0; i < 2; i++) {
        struct rules_run run = {.rows = session->rows, .preloaded_both = true, .span_covers = 1};
        add(&run, deletes[i], 1);
        add(&run, READ, 3);
        expect_right(session, &run);
    }
    printf("two messages, a delete, 3 reads: 2 runs, %llu states\n", (unsigned long long)(session->states - before));
    fflush(stdout);
}

/* The smallest run in which each rule matters. */
static void check_rule(struct session *session, enum rule rule)
{
    struct rules_run run = {.span_covers = 1};
    switch (rule) {
    case RULE_WRITE_QUORUM:
    case RULE_READ_QUORUM:
        add(&run, CREATE, 1);
        break;
    case RULE_WRITE_BACK:
        add(&run, CREATE, 1);
        add(&run, READ, 1);
        break;
    case RULE_DIGEST_OPEN:
    case RULE_CLOSE_AFTER_QUORUM:
        run.preloaded = true;
        add(&run, DELETE, 1);
        add(&run, READ, 1);
        break;
    case RULE_WRITE_BACK_OPEN:
        run.preloaded_both = true;
        add(&run, DELETE, 1);
        add(&run, READ, 2);
        break;
    case RULE_DELETE_FINAL:
    case RULE_DEAD_ANSWER:
    case RULE_DEAD_MADE_KNOWN:
        add(&run, CREATE, 1);
        add(&run, DELETE, 1);
        break;
    case RULE_SPAN_FINAL:
        add(&run, CREATE, 1);
        add(&run, SPAN, 1);
        break;
    case RULE_EDIT_NEVER_CREATES:
    case RULE_PENDING_KEPT:
    case RULE_EDIT_BEATS_CREATE:
        add(&run, CREATE, 1);
        add(&run, EDIT_1, 1);
        break;
    case RULE_EDITS_BY_STAMP:
    case RULE_DOMINATED_NOT_OK:
        run.preloaded = true;
        add(&run, EDIT_1, 1);
        add(&run, EDIT_2, 1);
        break;
    case RULE_LARGER_CREATE:
        add(&run, CREATE, 1);
        add(&run, OTHER, 1);
        break;
    case RULES_COUNT:
        CHECK(!"a rule");
    }
    add(&run, READ, 1);
    expect_wrong(session, rule, &run);
}

/* ---- lapses ---- */

static void check_lapses(struct session *session, unsigned replicas, unsigned lapses, bool with_delete)
{
    struct lapse_run run = {.replicas = replicas, .lapses = lapses, .with_delete = with_delete};
    struct explore_result result = lapse_explore(&run, STATES_MAX, true);
    bool passed = result.complete && !result.violation;
    session->states += result.states;
    note(session, passed);
    printf("%u replicas, %u lapse%s, a create%s: %llu states%s%s\n", replicas, lapses, lapses > 1 ? "s" : "",
        with_delete ? ", a delete" : "", (unsigned long long)result.states,
        passed ? "" : ": FAILED: ", result.violation ? result.violation : "");
    fflush(stdout);
}

static void check_lapse_rule(struct session *session, enum lapse_rule rule)
{
    struct lapse_run run = {.replicas = 3, .lapses = 1, .with_delete = rule == LAPSE_RULE_REBUILD_COUNTS_LATER};
    run.off[rule] = true;
    printf("  %-18s off:", lapse_rule_name(rule));
    if (session->trace) printf("\n");
    struct explore_result result = lapse_explore(&run, STATES_MAX, session->trace);
    note(session, result.violation != NULL);
    if (result.violation)
        printf("  a lapse -> %s (%u steps)\n", result.violation, result.steps);
    else
        printf("  a lapse -> FAILED: nothing goes wrong without the rule \"%s\"\n", lapse_rule_text(rule));
}

int main(int argc, char **argv)
{
    struct session session = {0};
    const char *only = NULL;
    bool all = false;
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--all") == 0) {
            all = true;
        } else if (strcmp(argv[i], "--trace") == 0) {
            session.trace = true;
        } else if (strcmp(argv[i], "--rule") == 0 && has_value) {
            only = argv[++i];
        } else {
            fprintf(stderr, "usage: model_rules [--all] [--trace] [--rule NAME]\n");
            return 2;
        }
    }
    session.rows = mem_alloc(sizeof *session.rows);
    rows_init(session.rows);
    if (!only) {
        check_laws(&session);
        check_pairs(&session, 1, true);
        check_pairs(&session, 2, false);
        check_two_messages(&session);
        check_lapses(&session, 3, 1, true);
        check_lapses(&session, 3, 2, false);
        if (all) check_lapses(&session, 3, 2, true);
        if (all) check_lapses(&session, 5, 1, false);
        if (all) check_pairs(&session, 2, true);
        if (all) check_triples(&session);
        printf("%llu states, all right; each rule switched off:\n", (unsigned long long)session.states);
    }
    for (enum rule rule = 0; rule < RULES_COUNT; rule++)
        if (!only || strcmp(only, rule_name(rule)) == 0) check_rule(&session, rule);
    for (enum lapse_rule rule = 0; rule < LAPSE_RULES_COUNT; rule++)
        if (!only || strcmp(only, lapse_rule_name(rule)) == 0) check_lapse_rule(&session, rule);
    rows_fini(session.rows);
    mem_free(session.rows);
    if (session.passed + session.failed == 0) fprintf(stderr, "model_rules: no rule is named %s\n", only);
    printf("%u passed, %u failed\n", session.passed, session.failed);
    return session.failed > 0 || session.passed == 0;
}
