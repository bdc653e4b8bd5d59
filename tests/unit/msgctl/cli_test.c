#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdlib.h>

#include "msgctl/cli.h"

static int run(const char *a, const char *b, const char *c)
{
    char *argv[] = {"msgctl", (char *)(uintptr_t)a, (char *)(uintptr_t)b, (char *)(uintptr_t)c, NULL};
    int argc = 1 + (a != NULL) + (b != NULL) + (c != NULL);
    setenv("TRILLIUM_CONFIG", "/dev/null", 1);
    return cli_main(argc, argv);
}

Test(cli, a_mistyped_command_is_answered_with_the_nearest, .init = cr_redirect_stderr)
{
    cr_expect(run("mesage", "lst", NULL) == EXIT_USAGE);
    fflush(stderr);
    cr_expect_stderr_eq_str("msgctl: there is no command 'mesage lst'; did you mean 'message list'?\n");
}

Test(cli, a_mistyped_option_is_answered_with_the_nearest, .init = cr_redirect_stderr)
{
    cr_expect(run("message", "list", "--limt=5") == EXIT_USAGE);
    fflush(stderr);
    cr_expect_stderr_eq_str("msgctl message list: there is no option --limt; did you mean --limit?\n");
}

Test(cli, a_change_whose_outcome_is_unknown_says_so, .init = cr_redirect_stderr)
{
    static const struct command command = {.name = "message send"};
    struct cli cli = {.command = &command, .deadline_ms = 1000};
    cr_expect(cli_outcome(&cli, TRILLIUM_TIMEOUT, "not sent") == EXIT_FAILED);
    fflush(stderr);
    cr_expect_stderr_eq_str("msgctl message send: not sent: TIMEOUT: no answer within the deadline "
                            "(it may or may not have happened)\n");
}

Test(cli, a_read_that_failed_leaves_no_doubt, .init = cr_redirect_stderr)
{
    static const struct command command = {.name = "message get"};
    struct cli cli = {.command = &command, .deadline_ms = 1000};
    cr_expect(cli_outcome_read(&cli, TRILLIUM_TIMEOUT, "not read") == EXIT_FAILED);
    fflush(stderr);
    cr_expect_stderr_eq_str("msgctl message get: not read: TIMEOUT: no answer within the deadline\n");
}

Test(cli, a_noun_alone_lists_its_verbs, .init = cr_redirect_stderr)
{
    cr_redirect_stdout();
    cr_expect(run("ring", NULL, NULL) == EXIT_USAGE);
    fflush(stderr);
    cr_expect_stderr_eq_str("msgctl: what about ring? one of:\n");
}

Test(cli, missing_arguments_are_said, .init = cr_redirect_stderr)
{
    cr_expect(run("message", "get", "5") == EXIT_USAGE);
    fflush(stderr);
    cr_expect_stderr_eq_str("msgctl message get: something is missing; usage: msgctl message get CHANNEL ID\n");
}

Test(cli, numbers_are_judged_before_anything_is_done, .init = cr_redirect_stderr)
{
    cr_expect(run("message", "list", "x7") == EXIT_USAGE);
    fflush(stderr);
    cr_expect_stderr_eq_str("msgctl message list: CHANNEL is a number in decimal digits, not 'x7'\n");
}

Test(cli, without_a_cluster_it_says_how_to_name_one, .init = cr_redirect_stderr)
{
    cr_expect(run("message", "list", "7") == EXIT_USAGE);
    fflush(stderr);
    cr_expect_stderr_eq_str(
        "msgctl message list: no router is named: start a cluster (./dev up), or set TRILLIUM_ROUTERS "
        "or --routers HOST,HOST\n");
}

Test(cli, the_version_is_said, .init = cr_redirect_stdout)
{
    cr_expect(run("--version", NULL, NULL) == EXIT_DONE);
    fflush(stdout);
    cr_expect_stdout_eq_str("msgctl " TRILLIUM_VERSION "\n");
}

Test(cli, exit_statuses_follow_from_the_class)
{
    cr_expect(cli_exit_of(TRILLIUM_OK) == EXIT_DONE);
    cr_expect(cli_exit_of(TRILLIUM_NOT_FOUND) == EXIT_FAILED);
    cr_expect(cli_exit_of(TRILLIUM_DELETED) == EXIT_FAILED);
    cr_expect(cli_exit_of(TRILLIUM_UNAVAILABLE) == EXIT_UNREACHABLE);
    cr_expect(cli_exit_of(TRILLIUM_TIMEOUT) == EXIT_FAILED);
}
