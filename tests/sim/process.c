#include "tests/sim/process.h"

#include <string.h>

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/runtime/backend.h"
#include "common/runtime/escape.h"
#include "common/runtime/reactor.h"
#include "tests/sim/sim_mem.h"

enum { TURNS_AT_ONE_TIME_MAX = 200000 };

struct process {
    struct env env;
    struct log log;
    struct world *world;
    const char *name;
    struct sim_disk *disk;
    struct mem_scope *scope; /* NULL: not running */
    struct list backends;
    void (*net_gone)(struct net *net, bool power);
    struct prng entropy;
    uint32_t incarnation;
    uint64_t paused_until_ns;
    /* Clock: monotonic was mono_base_ns when the world was at base_ns. */
    uint64_t base_ns, mono_base_ns;
    int64_t wall_base_us;
    int32_t rate_ppm;
    /* Death. */
    struct escape escape;
    bool inside, escape_known;
    enum status death;
    char why[200];
    void (*died)(void *context, struct process *process, enum status status, const char *why);
    void *died_context;
};

/* Where one reactor stands. Lives in the simulator's memory, since events refer to it. */
struct sim_backend {
    struct backend base;
    struct list link;
    struct process *process;
    struct reactor *reactor;
    struct list operations; /* ordered by due_ns */
    struct list deliveries;
    struct world_event turn;
    bool in_turn;
    uint64_t turns_at_ns, turns_count; /* to find a reactor that spins */
};

struct pending {
    struct list link;
    uint64_t due_ns;
    struct sim_disk_operation *operation;
};

/* Clock. */

static uint64_t scaled(uint64_t elapsed_ns, int32_t rate_ppm)
{
    return (uint64_t)((unsigned __int128)elapsed_ns * (uint64_t)(1000000 + rate_ppm) / 1000000);
}

static uint64_t mono_of(const struct process *process)
{
    return process->mono_base_ns + scaled(world_now(process->world) - process->base_ns, process->rate_ppm);
}

/* The world's time when the process's monotonic clock shows mono_ns, rounded up. */
static uint64_t world_time_of(const struct process *process, uint64_t mono_ns)
{
    if (mono_ns <= process->mono_base_ns) return process->base_ns;
    unsigned __int128 elapsed = (unsigned __int128)(mono_ns - process->mono_base_ns) * 1000000;
    uint64_t rate = (uint64_t)(INT64_C(1000000) + process->rate_ppm);
    return process->base_ns + (uint64_t)((elapsed + rate - 1) / rate);
}

int64_t process_wall_us(const struct process *process)
{
    uint64_t elapsed = scaled(world_now(process->world) - process->base_ns, process->rate_ppm);
    return process->wall_base_us + (int64_t)(elapsed / 1000);
}

static void clock_rebase(struct process *process)
{
    uint64_t mono = mono_of(process);
    process->wall_base_us = process_wall_us(process);
    process->mono_base_ns = mono;
    process->base_ns = world_now(process->world);
}

void process_clock_offset(struct process *process, int64_t offset_us)
{
    clock_rebase(process);
    process->wall_base_us = WORLD_EPOCH_US + (int64_t)(world_now(process->world) / 1000) + offset_us;
    world_trace(process->world, process->name, "clock offset us", (uint64_t)offset_us, 0);
}

void process_clock_rate(struct process *process, int32_t rate_ppm)
{
    CHECK(rate_ppm > -900000 && rate_ppm < 9000000);
    clock_rebase(process);
    process->rate_ppm = rate_ppm;
    world_trace(process->world, process->name, "clock rate ppm", (uint64_t)(int64_t)rate_ppm, 0);
}

/* Backend. */

static struct sim_backend *sim_backend(struct backend *backend)
{
    return CONTAINER_OF(backend, struct sim_backend, base);
}

/* A turn is due at the world's time or earlier. */
static void turn_due(struct sim_backend *backend, uint64_t at_ns)
{
    struct process *process = backend->process;
    if (at_ns < process->paused_until_ns) at_ns = process->paused_until_ns;
    if (world_event_is_set(&backend->turn) && backend->turn.at_ns <= at_ns) return;
    world_event_at(&backend->turn, at_ns);
}

static void backend_submit(struct backend *base, struct disk_request *request)
{
    struct sim_backend *backend = sim_backend(base);
    CHECK(backend->process->disk != NULL);
    struct pending *pending = sim_alloc(sizeof *pending);
    pending->operation = sim_disk_start(backend->process->disk, request);
    pending->due_ns = world_now(backend->process->world) + pending->operation->latency_ns;
    struct list *at = backend->operations.previous;
    while (at != &backend->operations && CONTAINER_OF(at, struct pending, link)->due_ns > pending->due_ns)
        at = at->previous;
    list_add_after(at, &pending->link);
    world_note(backend->process->world, "disk", request->op, request->size);
    turn_due(backend, pending->due_ns);
}

static void backend_poll(struct backend *base)
{
    struct sim_backend *backend = sim_backend(base);
    struct process *process = backend->process;
    for (struct list *link; (link = list_pop_front(&backend->deliveries));) {
        struct process_delivery *delivery = CONTAINER_OF(link, struct process_delivery, link);
        delivery->deliver(delivery);
    }
    while (!list_is_empty(&backend->operations)) {
        struct pending *pending = CONTAINER_OF(backend->operations.next, struct pending, link);
        if (pending->due_ns > world_now(process->world)) return;
        struct disk_request *request = pending->operation->request;
        list_remove(&pending->link);
        sim_disk_finish(process->disk, pending->operation);
        mem_free(pending);
        if (request->status != STATUS_OK && request->status != STATUS_NOT_FOUND)
            world_trace(process->world, process->name, "disk answers", request->op, request->status);
        reactor_disk_done(backend->reactor, request);
    }
}

static void backend_wait(struct backend *base, uint64_t until_ns)
{
    (void)base;
    (void)until_ns;
    CHECK(!"the simulator never waits");
}

static void backend_wake(struct backend *base)
{
    struct sim_backend *backend = sim_backend(base);
    struct world *world = backend->process->world;
    turn_due(backend, world_now(world) + prng_below(world_prng(world, WORLD_SCHEDULE), 20 * WORLD_US));
}

static void backend_free(struct sim_backend *backend)
{
    while (list_pop_front(&backend->deliveries)) {
    }
    world_event_cancel(&backend->turn);
    list_remove(&backend->link);
    mem_free(backend);
}

static void backend_destroy(struct backend *base)
{
    struct sim_backend *backend = sim_backend(base);
    CHECK(list_is_empty(&backend->operations));
    backend_free(backend);
}

static const struct backend_ops sim_backend_ops = {
    "sim", backend_submit, backend_poll, backend_wait, backend_wake, backend_destroy};

void process_deliver(struct process *process, struct reactor *reactor, struct process_delivery *delivery)
{
    LIST_FOR_EACH (link, &process->backends) {
        struct sim_backend *backend = CONTAINER_OF(link, struct sim_backend, link);
        if (backend->reactor != reactor) continue;
        list_push_back(&backend->deliveries, &delivery->link);
        backend_wake(&backend->base);
        return;
    }
    CHECK(!"a reactor of this process");
}

/* The scheduler's side of a turn. */

static void one_turn(struct env *env, void *argument)
{
    (void)env;
    struct sim_backend *backend = argument;
    struct process *process = backend->process;
    struct world *world = process->world;
    uint64_t now = world_now(world);
    if (backend->turns_at_ns != now) {
        backend->turns_at_ns = now;
        backend->turns_count = 0;
    }
    if (++backend->turns_count > TURNS_AT_ONE_TIME_MAX) {
        world_fail(world, "spin", "%s: a reactor never rests", process->name);
        return;
    }
    uint64_t next = reactor_turn(backend->reactor);
    world_note(world, "turn", process->incarnation, next);
    if (next != REACTOR_NEVER) {
        uint64_t at = world_time_of(process, next);
        uint64_t soon = now + 200 + prng_below(world_prng(world, WORLD_SCHEDULE), 5 * WORLD_US);
        turn_due(backend, at > soon ? at : soon);
    }
    if (!list_is_empty(&backend->operations))
        turn_due(backend, CONTAINER_OF(backend->operations.next, struct pending, link)->due_ns);
}

static void turn_event(struct world_event *event)
{
    struct sim_backend *backend = CONTAINER_OF(event, struct sim_backend, turn);
    if (world_now(event->world) < backend->process->paused_until_ns) {
        world_event_at(event, backend->process->paused_until_ns);
        return;
    }
    process_call(backend->process, one_turn, backend);
}

/* Env. */

struct process *process_of_env(struct env *env)
{
    return CONTAINER_OF(env, struct process, env);
}

static uint64_t process_mono_ns(struct env *env)
{
    return mono_of(process_of_env(env));
}

static int64_t process_env_wall_us(struct env *env)
{
    return process_wall_us(process_of_env(env));
}

static void process_entropy(struct env *env, void *out, size_t size)
{
    prng_fill(&process_of_env(env)->entropy, out, size);
}

__attribute__((noreturn)) static void process_die(struct env *env, enum status status, const char *why)
{
    struct process *process = process_of_env(env);
    CHECK(process->inside);
    process->death = status == STATUS_OK ? STATUS_IO : status;
    strncpy(process->why, why, sizeof process->why - 1);
    escape_jump(&process->escape);
}

static struct backend *process_backend_create(struct env *env, struct reactor *reactor)
{
    struct process *process = process_of_env(env);
    struct sim_backend *backend = sim_alloc(sizeof *backend);
    backend->base.ops = &sim_backend_ops;
    backend->process = process;
    backend->reactor = reactor;
    list_init(&backend->operations);
    list_init(&backend->deliveries);
    list_push_back(&process->backends, &backend->link);
    world_event_init(&backend->turn, process->world, turn_event);
    backend_wake(&backend->base);
    return &backend->base;
}

static const struct env_ops process_env_ops = {
    process_mono_ns, process_env_wall_us, process_entropy, process_die, process_backend_create};

/* "2026-... info  node1 node.up node=3": the fourth word names the event. */
static void log_sink(void *context, const char *line, size_t size)
{
    struct process *process = context;
    if (size && line[size - 1] == '\n') size--;
    world_trace_text(process->world, process->name, line, size);
    const char *at = line, *end = line + size;
    for (int word = 0; word < 3 && at < end; word++) {
        while (at < end && *at != ' ')
            at++;
        while (at < end && *at == ' ')
            at++;
    }
    const char *stop = at;
    while (stop < end && *stop != ' ')
        stop++;
    world_probe(process->world, at, (size_t)(stop - at));
}

static int64_t log_wall_us(void *context)
{
    return process_wall_us(context);
}

/* Life. */

struct process *process_create(struct world *world, const char *name, struct sim_disk *disk)
{
    struct process *process = sim_alloc(sizeof *process);
    process->world = world;
    process->name = name;
    process->disk = disk;
    list_init(&process->backends);
    process->log = (struct log){LOG_LEVEL_INFO, name, log_wall_us, log_sink, process};
    process->env = (struct env){.ops = &process_env_ops, .log = &process->log, .name = name};
    process->base_ns = world_now(world);
    process->mono_base_ns = world_now(world);
    process->wall_base_us = WORLD_EPOCH_US + (int64_t)(world_now(world) / 1000);
    return process;
}

void process_destroy(struct process *process)
{
    process_kill(process);
    mem_free(process);
}

void process_start(struct process *process, void (*boot)(struct env *env, void *context), void *context)
{
    CHECK(process->scope == NULL);
    process->scope = mem_scope_create();
    process->incarnation++;
    process->death = STATUS_OK;
    process->paused_until_ns = 0;
    process->entropy = prng_seeded(world_seed_for(process->world, process->name) + process->incarnation);
    world_trace(process->world, process->name, "starts", process->incarnation, 0);
    process_call(process, boot, context);
}

static void drop_everything(struct process *process, bool power)
{
    struct mem_scope *entered = mem_scope_enter(NULL);
    LIST_FOR_EACH (link, &process->backends) {
        struct sim_backend *backend = CONTAINER_OF(link, struct sim_backend, link);
        LIST_FOR_EACH (item, &backend->operations) {
            struct pending *pending = CONTAINER_OF(item, struct pending, link);
            list_remove(&pending->link);
            sim_disk_abandon(process->disk, pending->operation);
            mem_free(pending);
        }
        backend_free(backend);
    }
    if (process->disk) sim_disk_process_end(process->disk);
    mem_scope_destroy(process->scope);
    process->scope = NULL;
    if (process->net_gone) process->net_gone(process->env.net, power);
    mem_scope_enter(entered);
}

struct call {
    struct process *process;
    void (*function)(struct env *env, void *argument);
    void *argument;
};

static void call_body(void *argument)
{
    struct call *call = argument;
    call->function(&call->process->env, call->argument);
}

bool process_call(struct process *process, void (*function)(struct env *env, void *argument), void *argument)
{
    if (process->scope == NULL) return false;
    CHECK(!process->inside);
    struct call call = {process, function, argument};
    struct mem_scope *entered = mem_scope_enter(process->scope);
    process->inside = true;
    bool returned = (process->escape_known ? escape_run_again : escape_run)(&process->escape, call_body, &call);
    process->escape_known = true;
    process->inside = false;
    mem_scope_enter(entered);
    if (returned) return true;
    world_trace(process->world, process->name, "dies of itself", process->death, process->incarnation);
    world_trace_text(process->world, process->name, process->why, strlen(process->why));
    drop_everything(process, false);
    if (process->died) process->died(process->died_context, process, process->death, process->why);
    return false;
}

static void stop_dead(struct process *process, bool power)
{
    CHECK(!process->inside);
    if (process->scope == NULL) return;
    world_trace(process->world, process->name, "is killed", process->incarnation, 0);
    drop_everything(process, power);
}

void process_kill(struct process *process)
{
    stop_dead(process, false);
}

void process_power_cut(struct process *process)
{
    stop_dead(process, true);
    if (process->disk == NULL) return;
    world_trace(process->world, process->name, "loses power", sim_disk_unsynced(process->disk), 0);
    sim_disk_crash(process->disk);
}

void process_end(struct process *process)
{
    CHECK(!process->inside);
    if (process->scope == NULL) return;
    if (!list_is_empty(&process->backends))
        world_fail(process->world, "end", "%s ended with a reactor left", process->name);
    else if (mem_scope_blocks(process->scope))
        world_fail(process->world, "end", "%s ended with %llu blocks of memory left", process->name,
            (unsigned long long)mem_scope_blocks(process->scope));
    world_trace(process->world, process->name, "ends", process->incarnation, 0);
    drop_everything(process, false);
}

void process_pause_until(struct process *process, uint64_t at_ns)
{
    process->paused_until_ns = at_ns;
    LIST_FOR_EACH (link, &process->backends)
        turn_due(CONTAINER_OF(link, struct sim_backend, link), at_ns);
    world_trace(process->world, process->name, "pauses until ns", at_ns, 0);
}

bool process_is_awake(const struct process *process)
{
    return process->scope && world_now(process->world) >= process->paused_until_ns + 100 * WORLD_MS;
}

bool process_is_running(const struct process *process)
{
    return process->scope != NULL;
}

const char *process_name(const struct process *process)
{
    return process->name;
}

struct env *process_env(struct process *process)
{
    return &process->env;
}

struct world *process_world(const struct process *process)
{
    return process->world;
}

struct sim_disk *process_disk(const struct process *process)
{
    return process->disk;
}

uint32_t process_incarnation(const struct process *process)
{
    return process->incarnation;
}

enum status process_death(const struct process *process)
{
    return process->death;
}

void process_on_death(struct process *process,
    void (*died)(void *context, struct process *process, enum status status, const char *why), void *context)
{
    process->died = died;
    process->died_context = context;
}

void process_set_net(struct process *process, struct net *net, void (*gone)(struct net *net, bool power))
{
    process->env.net = net;
    process->net_gone = gone;
}

struct mem_scope *process_scope(const struct process *process)
{
    return process->scope;
}

void process_log_level(struct process *process, enum log_level level)
{
    process->log.level = level;
}
