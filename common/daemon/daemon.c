#include "common/daemon/daemon.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/config/command.h"
#include "common/config/settings.h"
#include "common/daemon/link_metrics.h"
#include "common/daemon/log_file.h"
#include "common/obs/health.h"
#include "common/obs/http/http.h"
#include "common/obs/metrics.h"
#include "common/rpc/sp/link_sp.h"
#include "common/runtime/reactor.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, NS_PER_MS = 1000000, NAME_BYTES = 320, THREAD_NAME_BYTES = 16 };

/* What daemon_stopped sends to the main thread; blocked everywhere else. */
enum { SIGNAL_STOPPED = SIGUSR1 };

struct daemon {
    const struct daemon_program *program;
    void *settings;
    void *instance;
    char name[NAME_BYTES]; /* "noded@127.0.2.1" */
    struct log_file *log_file;
    struct log log;
    struct env_real *real;
    struct metrics *metrics;
    struct health health;
    struct http *http;
    pthread_t main_thread;
    unsigned reactors_count;
    struct reactor *reactors[DAEMON_REACTORS_MAX];
    pthread_t threads[DAEMON_REACTORS_MAX];
    char thread_names[DAEMON_REACTORS_MAX][THREAD_NAME_BYTES];
    struct mail stop_mail;
};

static void host_stopped(void *context)
{
    daemon_stopped(context);
}

struct host daemon_host(struct daemon *daemon)
{
    _Static_assert((int)HOST_WHY_BYTES <= (int)ENV_WHY_BYTES, "a library's sentence fits");
    return (struct host){.env = daemon_env(daemon),
        .reactors = daemon_reactors(daemon),
        .reactors_count = daemon_reactors_count(daemon),
        .metrics = daemon_metrics(daemon),
        .health = daemon_health(daemon),
        .stopped = host_stopped,
        .context = daemon};
}

const void *daemon_settings(const struct daemon *daemon)
{
    return daemon->settings;
}

struct env *daemon_env(const struct daemon *daemon)
{
    return env_real_env(daemon->real);
}

struct reactor **daemon_reactors(struct daemon *daemon)
{
    return daemon->reactors;
}

unsigned daemon_reactors_count(const struct daemon *daemon)
{
    return daemon->reactors_count;
}

struct metrics *daemon_metrics(const struct daemon *daemon)
{
    return daemon->metrics;
}

struct health *daemon_health(struct daemon *daemon)
{
    return &daemon->health;
}

const char *daemon_backend_why(const struct daemon *daemon)
{
    return env_real_backend_why(daemon->real);
}

void daemon_stopped(struct daemon *daemon)
{
    pthread_kill(daemon->main_thread, SIGNAL_STOPPED);
}

static const struct settings *common_of(const struct daemon *daemon)
{
    return daemon->settings;
}

static int64_t log_wall_us(void *context)
{
    (void)context;
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* To the log, and to whoever started us when the log is a file. */
static void say_failure(struct daemon *daemon, const char *why)
{
    LOG(&daemon->log, ERROR, "daemon.fail", "%s", why);
    if (daemon->log_file == NULL || *common_of(daemon)->log_file) fprintf(stderr, "%s: %s\n", daemon->name, why);
}

static bool open_log(struct daemon *daemon)
{
    const struct settings *common = common_of(daemon);
    snprintf(daemon->name, sizeof daemon->name, "%s@%s", daemon->program->table->daemon, common->listen_address);
    if (log_file_open(common->log_file, common->log_bytes_max, &daemon->log_file) != STATUS_OK) {
        fprintf(stderr, "%s: log file %s: %s; make its directory writable or set log.file\n", daemon->name,
            common->log_file, strerror(errno));
        return false;
    }
    int level = log_level_parse(common->log_level);
    CHECK(level >= 0);
    daemon->log = (struct log){.level = (enum log_level)level,
        .daemon = daemon->name,
        .wall_us = log_wall_us,
        .sink = log_file_sink,
        .context = daemon->log_file};
    return true;
}

/* A directory that is refused must stay as it is, byte for byte: whoever started the wrong program in it starts the
   right one next. Dies, so that a supervisor sees that a restart would meet the same. */
static void judge_directory(struct daemon *daemon)
{
    char why[ENV_WHY_BYTES];
    struct identity identity;
    const struct uuid *cluster = &common_of(daemon)->cluster_uuid;
    enum status status = env_real_identity(daemon->real, uuid_is_zero(cluster) ? NULL : cluster, &identity, why);
    if (status == STATUS_OK && daemon->program->judge)
        status = daemon->program->judge(daemon->settings, &identity, why);
    if (status == STATUS_NOT_FOUND) status = STATUS_OK;
    if (status == STATUS_OK && !env_real_has_space(daemon->real, daemon->program->space_bytes_min)) {
        snprintf(
            why, sizeof why, "it needs %llu MiB to start", (unsigned long long)daemon->program->space_bytes_min >> 20);
        status = STATUS_NO_SPACE;
    }
    if (status == STATUS_OK) status = env_real_sign(daemon->real, why);
    if (status != STATUS_OK) env_die(daemon_env(daemon), status, why);
}

static bool open_env(struct daemon *daemon)
{
    const struct daemon_program *program = daemon->program;
    char why[ENV_WHY_BYTES];
    struct env_real_options options = {.name = daemon->name,
        .directory = common_of(daemon)->storage_directory,
        .backend = program->backend ? program->backend(daemon->settings) : ENV_BACKEND_UV,
        .log = &daemon->log};
    if (env_real_open(&options, &daemon->real, why) != STATUS_OK) {
        say_failure(daemon, why);
        return false;
    }
    judge_directory(daemon);
    struct env *env = daemon_env(daemon);
    if (program->net_create) env->net = program->net_create(env);
    if (env->net && strcmp(common_of(daemon)->listen_backend, "sp") == 0) env->listen_net = link_sp_create(env);
    return true;
}

static bool open_http(struct daemon *daemon)
{
    char why[200], text[300];
    daemon->metrics = metrics_create(METRICS_SERIES_DEFAULT);
    health_init(&daemon->health);
    struct http_options options = {.address = common_of(daemon)->listen_address,
        .port = daemon->program->http_port,
        .metrics = daemon->metrics,
        .health = &daemon->health};
    if (http_start(&options, &daemon->http, why) == STATUS_OK) return true;
    snprintf(text, sizeof text, "http: %s", why);
    say_failure(daemon, text);
    return false;
}

static bool create_instance(struct daemon *daemon)
{
    const struct daemon_program *program = daemon->program;
    char why[ENV_WHY_BYTES];
    daemon->reactors_count = program->reactors_count ? program->reactors_count(daemon->settings) : 1;
    CHECK(daemon->reactors_count >= 1 && daemon->reactors_count <= DAEMON_REACTORS_MAX);
    for (unsigned i = 0; i < daemon->reactors_count; i++) {
        snprintf(daemon->thread_names[i], THREAD_NAME_BYTES, "%s-%u", program->reactor_label, i);
        daemon->reactors[i] = reactor_create(daemon_env(daemon), daemon->thread_names[i], i);
    }
    struct net *listen_net = daemon_env(daemon)->listen_net;
    if (listen_net) link_metrics_start(daemon->reactors[0], daemon->metrics, listen_net);
    LOG(&daemon->log, INFO, "daemon.start", "version=%s pid=%ld backend=%s reactors=%u directory=%s", TRILLIUM_VERSION,
        (long)getpid(), reactor_backend_name(daemon->reactors[0]), daemon->reactors_count,
        common_of(daemon)->storage_directory);
    if (*daemon_backend_why(daemon))
        LOG(&daemon->log, WARN, "daemon.backend", "io_uring is not available, using libuv: %s",
            daemon_backend_why(daemon));
    enum status status = program->create(daemon, &daemon->instance, why);
    if (status == STATUS_OK) return true;
    if (status == STATUS_NO_SPACE) env_die(daemon_env(daemon), status, why);
    say_failure(daemon, why);
    return false;
}

static void *thread_main(void *reactor)
{
    reactor_run(reactor);
    return NULL;
}

/* The index-th of the processors that this process may use, when there is one for each reactor. */
static void pin(struct daemon *daemon, unsigned index)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    if ((unsigned)CPU_COUNT(&allowed) < daemon->reactors_count) return;
    unsigned left = index;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || left-- > 0) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        int error = pthread_setaffinity_np(daemon->threads[index], sizeof one, &one);
        if (error) LOG(&daemon->log, WARN, "daemon.pin", "reactor=%u cpu=%d %s", index, cpu, strerror(error));
        return;
    }
}

static void start_threads(struct daemon *daemon)
{
    bool pinned = daemon->program->is_pinned && daemon->program->is_pinned(daemon->settings);
    for (unsigned i = 0; i < daemon->reactors_count; i++) {
        CHECK(pthread_create(&daemon->threads[i], NULL, thread_main, daemon->reactors[i]) == 0);
        pthread_setname_np(daemon->threads[i], daemon->thread_names[i]);
        if (pinned) pin(daemon, i);
    }
}

static void deliver_stop(struct mail *mail)
{
    struct daemon *daemon = CONTAINER_OF(mail, struct daemon, stop_mail);
    daemon->program->stop(daemon, daemon->instance);
}

static void ending_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGNAL_STOPPED);
}

/* Waits for a signal until the monotonic time (0: for ever); 0 when the time came first. */
static int wait_signal(const sigset_t *set, uint64_t until_ns)
{
    for (;;) {
        struct timespec rest;
        if (until_ns) {
            struct timespec time;
            CHECK(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
            uint64_t now = (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
            uint64_t left = until_ns > now ? until_ns - now : 0;
            rest = (struct timespec){(time_t)(left / 1000000000), (long)(left % 1000000000)};
        }
        int signal = sigtimedwait(set, NULL, until_ns ? &rest : NULL);
        if (signal > 0) return signal;
        if (errno == EAGAIN) return 0;
    }
}

/* Lets the instance stop itself. False when it took too long or the operator insisted. */
static bool drain(struct daemon *daemon, const sigset_t *set)
{
    health_set(&daemon->health, HEALTH_DRAINING, "stopping");
    daemon->stop_mail.deliver = deliver_stop;
    reactor_post(daemon->reactors[0], &daemon->stop_mail);
    uint64_t until = env_mono_ns(daemon_env(daemon)) + (uint64_t)DAEMON_STOP_MS_MAX * NS_PER_MS;
    int signal = wait_signal(set, until);
    if (signal == SIGNAL_STOPPED) return true;
    LOG(&daemon->log, WARN, "daemon.cut", "stopping was cut off %s", signal ? "by a second signal" : "after 9 s");
    return false;
}

/* Runs until a signal; returns the exit status. */
static int serve(struct daemon *daemon, const sigset_t *set)
{
    start_threads(daemon);
    int signal = wait_signal(set, 0);
    LOG(&daemon->log, INFO, "daemon.stop", "signal=%s", signal == SIGNAL_STOPPED ? "none" : sigabbrev_np(signal));
    if (signal != SIGNAL_STOPPED && !drain(daemon, set)) return EXIT_FAILED;
    for (unsigned i = 0; i < daemon->reactors_count; i++)
        reactor_stop(daemon->reactors[i]);
    for (unsigned i = 0; i < daemon->reactors_count; i++)
        CHECK(pthread_join(daemon->threads[i], NULL) == 0);
    if (daemon->program->destroy) daemon->program->destroy(daemon->instance);
    LOG(&daemon->log, INFO, "daemon.end", "stopped");
    return EXIT_DONE;
}

/* As many descriptors as the system lets us have: files, pipes, and whatever knocks at a listener. Nothing here uses
   select, for which the usual soft limit is low. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    (void)!setrlimit(RLIMIT_NOFILE, &limit); /* then it stays as it was */
}

static int run(struct daemon *daemon)
{
    sigset_t set;
    ending_signals(&set);
    /* Before any thread starts, so that all inherit it and signals reach only wait_signal. */
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    daemon->main_thread = pthread_self();
    raise_descriptors();
    if (!open_log(daemon) || !open_env(daemon) || !open_http(daemon) || !create_instance(daemon)) return EXIT_FAILED;
    return serve(daemon, &set);
}

int daemon_main(const struct daemon_program *program, int argc, char **argv)
{
    struct daemon *daemon = mem_zalloc(sizeof *daemon);
    daemon->program = program;
    daemon->settings = mem_zalloc(program->settings_bytes);
    switch (command_read(program->table, argc, argv, daemon->settings)) {
    case COMMAND_DONE:
        return EXIT_DONE;
    case COMMAND_USAGE:
        return EXIT_USAGE;
    case COMMAND_RUN:
        break;
    }
    int status = run(daemon);
    fflush(NULL);
    /* Libraries' threads still run: leave without the clean-up that would race with them. The end of the process frees
       the memory and unlocks the directory. */
    _exit(status);
}
