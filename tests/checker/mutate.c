/* Mutators: each makes one wrong answer out of a right one, at a place where no excuse exists. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/prng.h"
#include "tests/checker/checker.h"
#include "tests/checker/generate.h"
#include "tests/checker/messages.h"

/* A row of a read, with what is known of its message. */
struct place {
    size_t op;
    uint32_t row;
    const struct message *message;
};

typedef bool place_test(const struct messages *messages, const struct place *place);

/* A drawn row (of reads, not of views) that passes the test. */
static bool choose(const struct messages *messages, uint64_t seed, place_test *test, struct place *out)
{
    struct prng prng = prng_seeded(seed);
    uint64_t found = 0;
    const struct history *history = messages->history;
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (op->outcome != HISTORY_OK || (op->kind != HISTORY_GET && op->kind != HISTORY_LIST)) continue;
        for (uint32_t row = 0; row < op->rows_count; row++) {
            struct place place = {i, row, messages_find(messages, op->channel, history_rows(history, op)[row].id)};
            if (!test(messages, &place) || prng_below(&prng, ++found) != 0) continue;
            *out = place;
        }
    }
    return found > 0;
}

static const struct history_op *op_of(const struct messages *messages, const struct place *place)
{
    return &messages->history->ops[place->op];
}

static struct history_row *row_of(struct history *history, const struct place *place)
{
    return &history->rows[history->ops[place->op].rows_first + place->row];
}

static void remove_row(struct history *history, const struct place *place)
{
    struct history_op *op = &history->ops[place->op];
    struct history_row *row = row_of(history, place);
    memmove(row, row + 1, (op->rows_count - place->row - 1) * sizeof *row);
    op->rows_count--;
}

static bool surely_there(const struct messages *messages, const struct place *place)
{
    const struct history_op *op = op_of(messages, place);
    const struct message *message = place->message;
    bool inside = op->kind == HISTORY_GET || (place->row > 0 && place->row + 1 < op->rows_count);
    return inside && message->create_ack <= op->invoke && message->delete_invoke >= op->ret;
}

static bool hide_row(struct history *history, uint64_t seed)
{
    struct messages messages;
    struct place place;
    messages_build(&messages, history);
    bool found = choose(&messages, seed, surely_there, &place);
    if (found) remove_row(history, &place);
    messages_free(&messages);
    return found;
}

static bool any_row(const struct messages *messages, const struct place *place)
{
    (void)messages;
    (void)place;
    return true;
}

static bool change_body(struct history *history, uint64_t seed)
{
    struct messages messages;
    struct place place;
    messages_build(&messages, history);
    bool found = choose(&messages, seed, any_row, &place);
    if (found) row_of(history, &place)->body ^= 0x100;
    messages_free(&messages);
    return found;
}

static bool has_next_row(const struct messages *messages, const struct place *place)
{
    return place->row + 1 < op_of(messages, place)->rows_count;
}

static bool swap_bodies(struct history *history, uint64_t seed)
{
    struct messages messages;
    struct place place;
    messages_build(&messages, history);
    bool found = choose(&messages, seed, has_next_row, &place);
    if (found) {
        struct history_row *row = row_of(history, &place);
        uint64_t body = row[0].body;
        row[0].body = row[1].body;
        row[1].body = body;
    }
    messages_free(&messages);
    return found;
}

static bool reorder_rows(struct history *history, uint64_t seed)
{
    struct messages messages;
    struct place place;
    messages_build(&messages, history);
    bool found = choose(&messages, seed, has_next_row, &place);
    if (found) {
        struct history_row *row = row_of(history, &place), first = row[0];
        row[0] = row[1];
        row[1] = first;
    }
    messages_free(&messages);
    return found;
}

static bool repeat_row(struct history *history, uint64_t seed)
{
    struct messages messages;
    struct place place;
    messages_build(&messages, history);
    bool found = choose(&messages, seed, has_next_row, &place);
    if (found) row_of(history, &place)[1] = *row_of(history, &place);
    messages_free(&messages);
    return found;
}

static const struct history_op *create_of(const struct messages *messages, const struct message *message)
{
    for (size_t i = 0; i < message->writes_count; i++) {
        const struct history_op *op = &messages->history->ops[messages->writes[message->writes_first + i]];
        if (op->kind == HISTORY_CREATE) return op;
    }
    return NULL;
}

static bool shows_acked_edit(const struct messages *messages, const struct place *place)
{
    const struct message *message = place->message;
    const struct history_op *op = op_of(messages, place);
    if (message->acked_count == 0 || messages->acked[message->acked_first].ret > op->invoke) return false;
    return create_of(messages, message) != NULL;
}

static bool show_old_version(struct history *history, uint64_t seed)
{
    struct messages messages;
    struct place place;
    messages_build(&messages, history);
    bool found = choose(&messages, seed, shows_acked_edit, &place);
    if (found) row_of(history, &place)->body = create_of(&messages, place.message)->body;
    messages_free(&messages);
    return found;
}

static bool shows_create(const struct messages *messages, const struct place *place)
{
    const struct history_op *create = create_of(messages, place->message);
    return create && history_rows(messages->history, op_of(messages, place))[place->row].body == create->body;
}

static bool refuse_what_is_seen(struct history *history, uint64_t seed)
{
    struct messages messages;
    struct place place;
    messages_build(&messages, history);
    bool found = choose(&messages, seed, shows_create, &place);
    if (found) history->ops[create_of(&messages, place.message) - history->ops].outcome = HISTORY_REFUSED;
    messages_free(&messages);
    return found;
}

static bool show_the_future(struct history *history, uint64_t seed)
{
    struct messages messages;
    struct place place;
    messages_build(&messages, history);
    bool found = choose(&messages, seed, shows_create, &place);
    if (found) {
        struct history_op *create = &history->ops[create_of(&messages, place.message) - history->ops];
        create->invoke = history->ops[place.op].ret;
        if (create->ret < create->invoke) create->ret = create->invoke;
    }
    messages_free(&messages);
    return found;
}

static bool shows_an_edit(const struct messages *messages, const struct place *place)
{
    return create_of(messages, place->message) && !shows_create(messages, place);
}

/* An edit that is seen although its message was never created. */
static bool let_an_edit_create(struct history *history, uint64_t seed)
{
    struct messages messages;
    struct place place;
    messages_build(&messages, history);
    bool found = choose(&messages, seed, shows_an_edit, &place);
    if (found) history->ops[create_of(&messages, place.message) - history->ops].outcome = HISTORY_REFUSED;
    messages_free(&messages);
    return found;
}

/* A get that began after a delete was acked shows the message. */
static bool resurrect(struct history *history, uint64_t seed)
{
    struct messages messages;
    messages_build(&messages, history);
    struct prng prng = prng_seeded(seed);
    uint64_t candidates = 0;
    const struct message *message = NULL;
    for (size_t i = 0; i < messages.count; i++) {
        const struct message *one = &messages.all[i];
        bool fits =
            one->delete_ack != MESSAGES_NEVER && create_of(&messages, one) && one->create_invoke < one->delete_ack;
        if (fits && prng_below(&prng, ++candidates) == 0) message = one;
    }
    if (message) {
        uint64_t end = history->ops[history->ops_count - 1].ret;
        struct history_op get = {.kind = HISTORY_GET,
            .level = HISTORY_QUORUM,
            .channel = message->channel,
            .id = message->id,
            .invoke = end + 1,
            .ret = end + 2};
        struct history_row row = {message->id, create_of(&messages, message)->body};
        history_add(history, &get, &row, 1);
    }
    messages_free(&messages);
    return message != NULL;
}

static bool choose_op(
    const struct history *history, uint64_t seed, bool (*test)(const struct history_op *op), size_t *out)
{
    struct prng prng = prng_seeded(seed);
    uint64_t found = 0;
    for (size_t i = 0; i < history->ops_count; i++)
        if (test(&history->ops[i]) && prng_below(&prng, ++found) == 0) *out = i;
    return found > 0;
}

static bool answers_deleted(const struct history_op *op)
{
    return op->outcome == HISTORY_DELETED;
}

/* A write under a delete that was acked before it began is acked. */
static bool ack_under_delete(struct history *history, uint64_t seed)
{
    size_t at = 0;
    if (!choose_op(history, seed, answers_deleted, &at)) return false;
    uint64_t end = history->ops[history->ops_count - 1].ret;
    struct history_op late = history->ops[at];
    late.invoke = end + 1;
    late.ret = end + 2;
    late.outcome = HISTORY_OK;
    history_add(history, &late, NULL, 0);
    return true;
}

static bool is_create(const struct history_op *op)
{
    return op->kind == HISTORY_CREATE;
}

static bool reuse_id(struct history *history, uint64_t seed)
{
    size_t at = 0;
    if (!choose_op(history, seed, is_create, &at)) return false;
    struct history_op again = history->ops[at];
    again.body ^= 0x10;
    history_add(history, &again, NULL, 0);
    return true;
}

static bool goes_on_in_scan(const struct history_op *op)
{
    return op->kind == HISTORY_LIST && op->outcome == HISTORY_OK && op->scan && op->bound >= HISTORY_BEFORE;
}

static bool skip_in_scan(struct history *history, uint64_t seed)
{
    size_t at = 0;
    if (!choose_op(history, seed, goes_on_in_scan, &at)) return false;
    history->ops[at].id += history->ops[at].bound == HISTORY_BEFORE ? (uint64_t)-1 : 1;
    return true;
}

static bool is_full_view(const struct history_op *op)
{
    return op->kind == HISTORY_VIEW && op->rows_count > 0;
}

static bool make_replicas_differ(struct history *history, uint64_t seed)
{
    size_t at = 0;
    if (!choose_op(history, seed, is_full_view, &at)) return false;
    history->ops[at].rows_count--;
    return true;
}

/* A message that two reads saw, one after the other, is missing in a third although nobody deleted it. */
static bool shows_unacked(const struct messages *messages, const struct place *place)
{
    (void)messages;
    const struct message *message = place->message;
    return message->create_ack == MESSAGES_NEVER && message->delete_invoke == MESSAGES_NEVER;
}

static bool forget_what_was_seen(struct history *history, uint64_t seed)
{
    struct messages messages;
    struct place place;
    messages_build(&messages, history);
    bool found = choose(&messages, seed, shows_unacked, &place);
    if (found) {
        uint64_t end = history->ops[history->ops_count - 1].ret;
        struct history_op get = {.kind = HISTORY_GET,
            .level = HISTORY_QUORUM,
            .channel = place.message->channel,
            .id = place.message->id,
            .invoke = end + 1,
            .ret = end + 2};
        history_add(history, &get, NULL, 0);
    }
    messages_free(&messages);
    return found;
}

const struct mutator mutators[] = {
    {"hide_row", 1, hide_row},
    {"show_old_version", 1, show_old_version},
    {"resurrect", 2, resurrect},
    {"ack_under_delete", 2, ack_under_delete},
    {"change_body", 3, change_body},
    {"swap_bodies", 3, swap_bodies},
    {"refuse_what_is_seen", 3, refuse_what_is_seen},
    {"show_the_future", 3, show_the_future},
    {"let_an_edit_create", 3, let_an_edit_create},
    {"forget_what_was_seen", 5, forget_what_was_seen},
    {"make_replicas_differ", 6, make_replicas_differ},
    {"reorder_rows", 7, reorder_rows},
    {"repeat_row", 7, repeat_row},
    {"skip_in_scan", 7, skip_in_scan},
    {"reuse_id", 8, reuse_id},
};
const uint32_t mutators_count = sizeof mutators / sizeof mutators[0];

static bool breaks(const struct check_result *result, uint32_t rule)
{
    if (rule == 1) return result->by_rule[1] || result->by_rule[4] || result->by_rule[5];
    return result->by_rule[rule] > 0;
}

uint32_t generate_self_test(uint32_t seeds, uint32_t ops)
{
    uint32_t passed = 0, failed = 0;
    struct check_result result;
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct history green = generate_history(seed, ops);
        check_history(&green, &result);
        if (result.violations_count) {
            printf("seed %u: a right history is called wrong\n", (unsigned)seed);
            check_print(&green, &result, stdout);
            failed++;
        } else {
            passed++;
        }
        for (uint32_t i = 0; i < mutators_count; i++) {
            struct history red = history_copy(&green);
            if (!mutators[i].mutate(&red, seed)) {
                printf("seed %u: no place for %s\n", (unsigned)seed, mutators[i].name);
                failed++;
            } else {
                check_history(&red, &result);
                if (!breaks(&result, mutators[i].rule))
                    printf("seed %u: %s is not found\n", (unsigned)seed, mutators[i].name);
                *(breaks(&result, mutators[i].rule) ? &passed : &failed) += 1;
            }
            history_free(&red);
        }
        history_free(&green);
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed;
}
