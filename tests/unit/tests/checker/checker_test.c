#include "tests/checker/checker.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/checker/generate.h"

Test(checker, right_histories_pass_and_every_mutation_is_found)
{
    cr_assert_eq(generate_self_test(6, 1500), 0);
}

static struct history read_text(const char *text, enum status expected, uint32_t expected_line)
{
    struct history history = {0};
    uint32_t line;
    FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    cr_assert_eq(history_read(&history, file, &line), expected);
    if (expected != STATUS_OK) cr_assert_eq(line, expected_line);
    fclose(file);
    return history;
}

static uint32_t first_rule(const char *text)
{
    struct history history = read_text(text, STATUS_OK, 0);
    struct check_result result;
    check_history(&history, &result);
    history_free(&history);
    return result.violations_count ? result.violations[0].rule : 0;
}

Test(checker, a_history_printed_and_read_again_is_the_same)
{
    struct history history = generate_history(9, 300), again = {0};
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    history_write(&history, file);
    fclose(file);
    uint32_t line;
    file = fmemopen(text, size, "r");
    cr_assert_eq(history_read(&again, file, &line), STATUS_OK);
    fclose(file);
    cr_assert_eq(again.ops_count, history.ops_count);
    for (size_t i = 0; i < history.ops_count; i++) {
        char one[4000], two[4000];
        history_print_op(&history, &history.ops[i], one, sizeof one);
        history_print_op(&again, &again.ops[i], two, sizeof two);
        cr_assert_str_eq(one, two);
    }
    free(text);
    history_free(&history);
    history_free(&again);
}

Test(checker, a_malformed_line_is_named)
{
    struct history history =
        read_text("# comment\n\ncreate id=1 body=a invoke=1 return=2\nget id=x\n", STATUS_BAD_REQUEST, 4);
    history_free(&history);
    history = read_text("create id=1 body=a invoke=3 return=2\n", STATUS_BAD_REQUEST, 1);
    history_free(&history);
    history = read_text("jump id=1\n", STATUS_BAD_REQUEST, 1);
    history_free(&history);
}

Test(checker, an_unknown_create_may_be_seen_or_not_but_not_vanish)
{
    const char *create = "create client=1 session=1 channel=1 id=5 body=a invoke=1 return=9 outcome=unknown\n";
    char text[1000];
    snprintf(text, sizeof text, "%sget channel=1 id=5 invoke=10 return=11\n", create);
    cr_assert_eq(first_rule(text), 0);
    snprintf(text, sizeof text,
        "%sget channel=1 id=5 invoke=10 return=11 rows=5:a\nget channel=1 id=5 invoke=12 return=13\n", create);
    cr_assert_eq(first_rule(text), 5);
}

Test(checker, levels_below_quorum_promise_only_that_nothing_is_invented)
{
    cr_assert_eq(first_rule("create channel=1 id=5 body=a invoke=1 return=2\n"
                            "get level=one channel=1 id=5 invoke=3 return=4\n"),
        0);
    cr_assert_eq(first_rule("create channel=1 id=5 level=one body=a invoke=1 return=2\n"
                            "get channel=1 id=5 invoke=3 return=4\n"),
        0);
    cr_assert_eq(first_rule("get level=one channel=1 id=5 invoke=3 return=4 rows=5:a\n"), 3);
}

Test(checker, a_stamp_decides_which_edit_is_newer_and_an_unknown_stamp_accuses_nobody)
{
    const char *start = "create channel=1 id=5 body=a invoke=1 return=2\n"
                        "edit channel=1 id=5 version=1 body=b stamp=100 invoke=3 return=4\n";
    char text[1000];
    snprintf(text, sizeof text,
        "%sedit channel=1 id=5 version=2 body=c stamp=90 invoke=5 return=6 outcome=superseded\n"
        "get channel=1 id=5 invoke=7 return=8 rows=5:b\n",
        start);
    cr_assert_eq(first_rule(text), 0);
    snprintf(text, sizeof text,
        "%sedit channel=1 id=5 version=2 body=c stamp=90 invoke=5 return=6 outcome=superseded\n"
        "get channel=1 id=5 invoke=7 return=8 rows=5:c\n",
        start);
    cr_assert_eq(first_rule(text), 4);
    snprintf(text, sizeof text,
        "%sedit channel=1 id=5 version=2 body=c invoke=5 return=6\n"
        "get channel=1 id=5 invoke=7 return=8 rows=5:b\n",
        start);
    cr_assert_eq(first_rule(text), 0);
}
