#include "tests/sim/runs/apart.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"

enum { REAL_SECONDS_MAX = 300 };

__attribute__((noreturn)) static void run(const struct scenario *scenario, int pipe)
{
    struct cluster_run_options options = {.scenario = scenario, .quiet = true};
    struct cluster_result result;
    int nothing = open("/dev/null", O_WRONLY);
    if (nothing >= 0) dup2(nothing, STDOUT_FILENO);
    signal(SIGABRT, SIG_DFL);
    alarm(REAL_SECONDS_MAX);
    cluster_run(&options, &result);
    ssize_t written = write(pipe, &result, sizeof result);
    _exit(written == (ssize_t)sizeof result ? 0 : 1);
}

void apart_start(struct apart *apart, const struct scenario *scenario)
{
    int ends[2];
    fflush(stdout);
    if (pipe(ends) != 0 || (apart->pid = fork()) < 0) {
        perror("sim");
        exit(1);
    }
    if (apart->pid == 0) run(scenario, ends[1]);
    close(ends[1]);
    apart->pipe = ends[0];
}

void apart_wait(struct apart *apart, struct cluster_result *result)
{
    int status = 0;
    ssize_t size = read(apart->pipe, result, sizeof *result);
    close(apart->pipe);
    CHECK(waitpid(apart->pid, &status, 0) == apart->pid);
    if (size == (ssize_t)sizeof *result) return;
    *result = (struct cluster_result){.failed = true};
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        snprintf(result->why, sizeof result->why, "endless: no end within %d s of real time", REAL_SECONDS_MAX);
    else
        snprintf(result->why, sizeof result->why, "crash: by signal %d (a CHECK fires as signal %d)",
            WIFSIGNALED(status) ? WTERMSIG(status) : 0, SIGABRT);
}

/* Minimising. */

static bool same_rule(const struct cluster_result *a, const struct cluster_result *b)
{
    size_t size = strcspn(a->why, ":");
    return a->failed && b->failed && size == strcspn(b->why, ":") && memcmp(a->why, b->why, size) == 0;
}

static void run_apart(const struct scenario *scenario, struct cluster_result *result)
{
    struct apart apart;
    apart_start(&apart, scenario);
    apart_wait(&apart, result);
}

static void remove_events(struct plan *plan, uint32_t first, uint32_t count)
{
    plan->events_count -= count;
    memmove(plan->events + first, plan->events + first + count, (plan->events_count - first) * sizeof *plan->events);
    plan->kinds = 0;
    for (uint32_t i = 0; i < plan->events_count; i++)
        plan->kinds |= 1ull << plan->events[i].kind;
}

/* Tries to do without each part of the size. */
static bool drop_parts(struct scenario *scenario, struct cluster_result *result, uint32_t size)
{
    struct scenario less;
    struct cluster_result outcome;
    bool dropped = false;
    for (uint32_t first = 0; first < scenario->plan.events_count;) {
        uint32_t left = scenario->plan.events_count - first, count = size < left ? size : left;
        less = *scenario;
        remove_events(&less.plan, first, count);
        run_apart(&less, &outcome);
        if (same_rule(&outcome, result)) {
            *scenario = less;
            *result = outcome;
            dropped = true;
            printf("%u events: %s\n", scenario->plan.events_count, result->why);
        } else {
            first += count;
        }
    }
    return dropped;
}

bool apart_minimise(struct scenario *scenario, struct cluster_result *result)
{
    run_apart(scenario, result);
    if (!result->failed) return false;
    printf("%u events: %s\n", scenario->plan.events_count, result->why);
    for (uint32_t size = (scenario->plan.events_count + 1) / 2; size > 1; size = (size + 1) / 2)
        drop_parts(scenario, result, size);
    while (drop_parts(scenario, result, 1))
        continue;
    return true;
}
