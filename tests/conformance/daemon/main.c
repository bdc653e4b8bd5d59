/*
 * The shell of the daemons in real processes: how it starts, refuses and ends. A daemon here is one fiber that says
 * through a pipe that it runs, and behaves as storage.directory's last part tells.
 */
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/config/settings.h"
#include "common/daemon/daemon.h"
#include "common/obs/health.h"
#include "common/runtime/disk.h"
#include "common/runtime/fiber.h"
#include "common/runtime/reactor.h"

enum { REACTORS = 2, READY_FD = 9, HTTP_PORT = 7999 };

struct toy_settings {
    struct settings common;
    char *mood;
};

static const struct config_field fields[] = {
    SETTINGS_FIELDS(toy_settings, common),
    {"toy.mood", CONFIG_CHOICE, offsetof(struct toy_settings, mood), "kind", 0, 0, "kind|stubborn|refused|broken|sick",
        NULL},
};
static const struct config_table table = {"toy", fields, sizeof fields / sizeof fields[0]};

struct toy {
    struct daemon *daemon;
    const char *mood;
    bool stopping;
    struct gate gate;
};

static void write_last_words(struct toy *toy, struct reactor *reactor)
{
    struct disk_file file;
    CHECK(disk_open(reactor, "last-words", DISK_CREATE, &file) == STATUS_OK);
    CHECK(disk_write(reactor, file, toy->mood, (uint32_t)strlen(toy->mood), 0) == STATUS_OK);
    CHECK(disk_sync(reactor, file) == STATUS_OK);
    disk_close(reactor, &file);
}

static void toy_main(void *argument)
{
    struct toy *toy = argument;
    struct reactor *reactor = daemon_reactors(toy->daemon)[0];
    struct env *env = reactor_env(reactor);
    if (strcmp(toy->mood, "refused") == 0) env_die(env, STATUS_CONFLICT, "the directory is of another cluster");
    if (strcmp(toy->mood, "broken") == 0) env_die(env, STATUS_IO, "a sync failed");
    health_set(daemon_health(toy->daemon), HEALTH_READY, "ready");
    CHECK(write(READY_FD, "r", 1) == 1);
    while (!toy->stopping)
        gate_wait(reactor, &toy->gate, REACTOR_NEVER);
    write_last_words(toy, reactor);
    if (strcmp(toy->mood, "stubborn") != 0)
        daemon_stopped(toy->daemon);
    else
        CHECK(write(READY_FD, "s", 1) == 1);
}

static enum status toy_create(struct daemon *daemon, void **instance, char why[ENV_WHY_BYTES])
{
    const struct toy_settings *settings = daemon_settings(daemon);
    if (strcmp(settings->mood, "sick") == 0) {
        snprintf(why, ENV_WHY_BYTES, "feeling sick");
        return STATUS_IO;
    }
    struct toy *toy = mem_zalloc(sizeof *toy);
    toy->daemon = daemon;
    toy->mood = settings->mood;
    gate_init(&toy->gate);
    fiber_start(daemon_reactors(daemon)[0], "toy", toy_main, toy);
    *instance = toy;
    return STATUS_OK;
}

static void toy_stop(struct daemon *daemon, void *instance)
{
    struct toy *toy = instance;
    CHECK(toy->daemon == daemon);
    toy->stopping = true;
    gate_open(&toy->gate);
}

static unsigned toy_reactors(const void *settings)
{
    (void)settings;
    return REACTORS;
}

static bool toy_pinned(const void *settings)
{
    (void)settings;
    return true;
}

static const struct daemon_program program = {
    .table = &table,
    .settings_bytes = sizeof(struct toy_settings),
    .http_port = HTTP_PORT,
    .reactor_label = "toy",
    .reactors_count = toy_reactors,
    .is_pinned = toy_pinned,
    .create = toy_create,
    .stop = toy_stop,
};

/* The test: children that run the toy. */
struct child {
    pid_t pid;
    int ready;
};

static unsigned failed;
static char directory[64];
static const char *test_name;

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("daemon: %s: line %d: expected %s\n", test_name, __LINE__, #condition);                             \
            failed++;                                                                                                  \
        }                                                                                                              \
    } while (0)

/* An address of this run's own. */
static void own_address(char out[64])
{
    unsigned pid = (unsigned)getppid();
    snprintf(out, 64, "--set=listen.address=127.%u.%u.%u", 128 + (pid >> 16 & 63), pid >> 8 & 255, 1 + (pid & 127));
}

static int run_toy(const char *mood)
{
    char address[64], data[128], log[128], set_mood[64];
    own_address(address);
    snprintf(data, sizeof data, "--set=storage.directory=%s/new/data", directory);
    snprintf(log, sizeof log, "--set=log.file=%s/log", directory);
    snprintf(set_mood, sizeof set_mood, "--set=toy.mood=%s", mood);
    char uuid[] = "--set=cluster.uuid=00112233-4455-6677-8899-aabbccddeeff", name[] = "toy",
         config[] = "--config=/dev/null";
    char *arguments[] = {name, config, uuid, address, data, log, set_mood, NULL};
    return daemon_main(&program, 7, arguments);
}

static struct child start(const char *mood)
{
    int ends[2];
    struct child child;
    CHECK(pipe(ends) == 0);
    fflush(NULL);
    child.pid = fork();
    CHECK(child.pid >= 0);
    if (child.pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        CHECK(dup2(ends[1], READY_FD) == READY_FD);
        close(ends[0]);
        close(ends[1]);
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(99);
        _exit(run_toy(mood));
    }
    close(ends[1]);
    child.ready = ends[0];
    return child;
}

/* The byte that the child says; 0 when it ended without one. */
static char hear(struct child *child)
{
    char byte = 0;
    return read(child->ready, &byte, 1) == 1 ? byte : 0;
}

static int end(struct child *child)
{
    int status;
    CHECK(waitpid(child->pid, &status, 0) == child->pid);
    close(child->ready);
    return status;
}

static bool exited_with(int status, int code)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == code;
}

static bool file_holds(const char *file, const char *text)
{
    char path[128], found[8192] = {0};
    snprintf(path, sizeof path, "%s/%s", directory, file);
    FILE *stream = fopen(path, "r");
    if (stream == NULL) return false;
    size_t size = fread(found, 1, sizeof found - 1, stream);
    fclose(stream);
    return size > 0 && strstr(found, text) != NULL;
}

static void a_term_signal_stops_it_in_order(void)
{
    struct child child = start("kind");
    EXPECT(hear(&child) == 'r');
    kill(child.pid, SIGTERM);
    EXPECT(exited_with(end(&child), 0));
    EXPECT(file_holds("new/data/last-words", "kind"));
    EXPECT(file_holds("log", "daemon.start"));
    EXPECT(file_holds("log", "daemon.end"));
}

static void a_start_raises_the_limit_of_descriptors(void)
{
    struct rlimit before, low, raised;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    low = (struct rlimit){.rlim_cur = 128, .rlim_max = before.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
    struct child child = start("kind");
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    EXPECT(hear(&child) == 'r');
    CHECK(prlimit(child.pid, RLIMIT_NOFILE, NULL, &raised) == 0);
    EXPECT(raised.rlim_cur == before.rlim_max);
    kill(child.pid, SIGTERM);
    EXPECT(exited_with(end(&child), 0));
}

static void a_second_process_is_refused_by_name(void)
{
    char sentence[64];
    struct child first = start("kind");
    EXPECT(hear(&first) == 'r');
    struct child second = start("kind");
    EXPECT(hear(&second) == 0);
    EXPECT(exited_with(end(&second), 1));
    snprintf(sentence, sizeof sentence, "in use by process %ld", (long)first.pid);
    EXPECT(file_holds("log", sentence));
    kill(first.pid, SIGINT);
    EXPECT(exited_with(end(&first), 0));
}

static void a_killed_one_leaves_no_lock(void)
{
    struct child child = start("kind");
    EXPECT(hear(&child) == 'r');
    kill(child.pid, SIGKILL);
    end(&child);
    child = start("kind");
    EXPECT(hear(&child) == 'r');
    kill(child.pid, SIGTERM);
    EXPECT(exited_with(end(&child), 0));
}

static void a_second_signal_cuts_the_stop_off(void)
{
    struct child child = start("stubborn");
    EXPECT(hear(&child) == 'r');
    kill(child.pid, SIGTERM);
    EXPECT(hear(&child) == 's');
    kill(child.pid, SIGTERM);
    EXPECT(exited_with(end(&child), 1));
    EXPECT(file_holds("log", "second signal"));
}

static void deaths_and_failures_have_their_exit_status(void)
{
    struct child refused = start("refused"), broken, sick, wrong;
    EXPECT(exited_with(end(&refused), 3));
    broken = start("broken");
    int status = end(&broken);
    EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    EXPECT(file_holds("log", "a sync failed"));
    sick = start("sick");
    EXPECT(exited_with(end(&sick), 1));
    EXPECT(file_holds("log", "feeling sick"));
    wrong = start("angry");
    EXPECT(exited_with(end(&wrong), 2));
}

static int remove_entry(const char *path, const struct stat *stat, int kind, struct FTW *at)
{
    (void)stat;
    (void)kind;
    (void)at;
    return remove(path);
}

#define CASE(name)                                                                                                     \
    {                                                                                                                  \
#name, name                                                                                                    \
    }
static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
    CASE(a_term_signal_stops_it_in_order),
    CASE(a_start_raises_the_limit_of_descriptors),
    CASE(a_second_process_is_refused_by_name),
    CASE(a_killed_one_leaves_no_lock),
    CASE(a_second_signal_cuts_the_stop_off),
    CASE(deaths_and_failures_have_their_exit_status),
};

int main(void)
{
    unsigned passed = 0, count = sizeof cases / sizeof cases[0];
    for (unsigned i = 0; i < count; i++) {
        unsigned before = failed;
        test_name = cases[i].name;
        snprintf(directory, sizeof directory, "conformance.XXXXXX");
        CHECK(mkdtemp(directory) != NULL);
        cases[i].run();
        CHECK(nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0);
        if (failed == before) passed++;
    }
    printf("daemon: %u passed, %u failed\n", passed, count - passed);
    return passed == count ? 0 : 1;
}
