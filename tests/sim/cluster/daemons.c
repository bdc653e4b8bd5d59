#include "tests/sim/cluster/daemons.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/config/config.h"
#include "common/obs/health.h"
#include "common/obs/metrics.h"
#include "common/runtime/reactor.h"
#include "controld/controld.h"
#include "controld/settings.h"
#include "controld/store/meta_memory.h"
#include "noded/noded.h"
#include "noded/settings.h"
#include "routerd/routerd.h"
#include "routerd/settings.h"

enum { REACTORS_MAX = 8 };

/* What main and the daemon's shell hold. */
struct daemon_body {
    void *settings, *instance, *private_state;
    struct reactor *reactors[REACTORS_MAX];
    struct metrics *metrics;
    struct health health;
};

/* The kinds. */

static enum status controld_make(
    const struct host *host, const void *settings, void **private_state, void **out, char *why)
{
    struct meta_store *store = meta_memory_create();
    *private_state = store;
    return controld_create(host, settings, store, (struct controld **)out, why);
}

static void controld_halt(void *instance)
{
    controld_stop(instance);
}

static void controld_unmake(void *instance, void *private_state)
{
    controld_destroy(instance);
    meta_store_destroy(private_state);
}

static enum status noded_make(
    const struct host *host, const void *settings, void **private_state, void **out, char *why)
{
    (void)private_state;
    return noded_create(host, settings, (struct noded **)out, why);
}

static void noded_halt(void *instance)
{
    noded_stop(instance);
}

static void noded_unmake(void *instance, void *private_state)
{
    (void)private_state;
    noded_destroy(instance);
}

static enum status routerd_make(
    const struct host *host, const void *settings, void **private_state, void **out, char *why)
{
    (void)private_state;
    return routerd_create(host, settings, (struct routerd **)out, why);
}

static void routerd_halt(void *instance)
{
    routerd_stop(instance);
}

static void routerd_unmake(void *instance, void *private_state)
{
    (void)private_state;
    routerd_destroy(instance);
}

const struct daemon_kind KIND_CONTROLD = {
    "controld", &controld_table, sizeof(struct controld_settings), controld_make, controld_halt, controld_unmake};
const struct daemon_kind KIND_NODED = {
    "noded", &noded_table, sizeof(struct noded_settings), noded_make, noded_halt, noded_unmake};
const struct daemon_kind KIND_ROUTERD = {
    "routerd", &routerd_table, sizeof(struct routerd_settings), routerd_make, routerd_halt, routerd_unmake};

/* Life. */

void daemon_override(struct daemon *daemon, const char *format, ...)
{
    CHECK(daemon->overrides_count < DAEMON_OVERRIDES_MAX);
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(daemon->overrides[daemon->overrides_count++], DAEMON_OVERRIDE_BYTES, format, arguments);
    va_end(arguments);
    CHECK(size < DAEMON_OVERRIDE_BYTES);
}

static void host_stopped(void *context)
{
    struct daemon *daemon = context;
    daemon->stopped = true;
}

static void *load_settings(const struct daemon *daemon)
{
    const char *overrides[DAEMON_OVERRIDES_MAX];
    for (uint32_t i = 0; i < daemon->overrides_count; i++)
        overrides[i] = daemon->overrides[i];
    struct config_input input = {.overrides = overrides, .overrides_count = daemon->overrides_count};
    struct config_errors errors = {0};
    void *settings = mem_zalloc(daemon->kind->settings_bytes);
    if (config_load(daemon->kind->table, &input, settings, &errors) != STATUS_OK) {
        printf("%s: %s", daemon->name, config_errors_text(&errors));
        CHECK(!"settings that load");
    }
    config_errors_free(&errors);
    return settings;
}

static void boot(struct env *env, void *context)
{
    struct daemon *daemon = context;
    struct daemon_body *body = mem_zalloc(sizeof *body);
    daemon->body = body;
    body->settings = load_settings(daemon);
    body->metrics = metrics_create(METRICS_SERIES_DEFAULT);
    health_init(&body->health);
    for (unsigned i = 0; i < daemon->reactors_count; i++)
        body->reactors[i] = reactor_create(env, daemon->name, i);
    struct host host = {.env = env,
        .reactors = body->reactors,
        .reactors_count = daemon->reactors_count,
        .metrics = body->metrics,
        .health = &body->health,
        .stopped = host_stopped,
        .context = daemon};
    char why[HOST_WHY_BYTES] = "";
    enum status status = daemon->kind->create(&host, body->settings, &body->private_state, &body->instance, why);
    if (status != STATUS_OK) env_die(env, status, why);
}

void daemon_start(struct daemon *daemon)
{
    daemon->stopping = daemon->stopped = false;
    daemon->body = NULL;
    process_start(daemon->process, boot, daemon);
    if (!process_is_running(daemon->process)) daemon->body = NULL;
}

static void begin_stop(struct env *env, void *argument)
{
    (void)env;
    struct daemon *daemon = argument;
    daemon->kind->stop(daemon->body->instance);
}

void daemon_stop(struct daemon *daemon)
{
    if (daemon->stopping || !process_is_running(daemon->process)) return;
    daemon->stopping = true;
    process_call(daemon->process, begin_stop, daemon);
}

static void take_apart(struct env *env, void *argument)
{
    (void)env;
    struct daemon *daemon = argument;
    struct daemon_body *body = daemon->body;
    daemon->kind->destroy(body->instance, body->private_state);
    for (unsigned i = 0; i < daemon->reactors_count; i++)
        reactor_destroy(body->reactors[i]);
    metrics_destroy(body->metrics);
    health_fini(&body->health);
    config_free(daemon->kind->table, body->settings);
    mem_free(body->settings);
    mem_free(body);
    daemon->body = NULL;
}

void daemon_finish(struct daemon *daemon)
{
    CHECK(daemon->stopped);
    if (process_call(daemon->process, take_apart, daemon)) process_end(daemon->process);
    daemon->stopping = daemon->stopped = false;
}

bool daemon_is_ready(struct daemon *daemon)
{
    return process_is_running(daemon->process) && daemon->body &&
           health_get(&daemon->body->health, NULL) == HEALTH_READY;
}

void *daemon_instance(const struct daemon *daemon)
{
    return process_is_running(daemon->process) && daemon->body ? daemon->body->instance : NULL;
}

uint32_t daemon_timers(const struct daemon *daemon)
{
    uint32_t count = 0;
    for (unsigned i = 0; daemon_instance(daemon) && i < daemon->reactors_count; i++)
        count += reactor_timers(daemon->body->reactors[i]);
    return count;
}
