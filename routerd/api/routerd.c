#include "routerd/routerd.h"

#include <stdatomic.h>
#include <stdio.h>

#include "common/base/arena.h"
#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/cluster/address.h"
#include "common/cluster/membership.h"
#include "common/obs/health.h"
#include "common/runtime/fiber.h"
#include "common/runtime/file_header.h"
#include "common/runtime/identity.h"
#include "proto/control.pb-c.h"
#include "routerd/api/sight.h"
#include "routerd/api/worker_setup.h"

#define MAKERS_PATH "makers"

enum {
    MAKER_BLOCKS_MAX = 4,
    MAKERS_FILE_MAJOR = 1,
    MAKERS_FILE_BYTES = FILE_HEADER_BYTES + 4 + MAKER_BLOCKS_MAX * 4 + 4,
    READY_POLL_MS = 100,
};

struct routerd {
    struct host host;
    const struct routerd_settings *settings;
    struct uuid cluster;
    char address[ADDRESS_BYTES];
    char **controllers;
    struct identity_file identity;
    struct membership *membership;
    struct rpc_info self;
    uint32_t id;
    _Atomic int64_t ceiling_ms, given_ms;
    int64_t floor_ms;        /* the mark that the run before left */
    enum makers_clock clock; /* as last logged */
    uint32_t blocks[MAKER_BLOCKS_MAX];
    unsigned blocks_count;
    bool stopping, keeper_ended, has_identity;
    struct gate keeper_end;
    struct timer ready_timer;
    atomic_uint draining;
    struct worker *workers;
};

/* ---- what worker 0 tells the others ---- */

struct notice {
    struct mail mail;
    struct worker *worker;
    struct shared_view *view; /* held; or NULL */
    struct rpc_info self;
    uint16_t makers[MAKERS_MAX];
    unsigned makers_count;
    int64_t floor_unix_ms;
    bool identify, drain;
};

static void drained(void *context);

static void take_notice(struct notice *notice)
{
    struct worker *worker = notice->worker;
    if (notice->view) worker_use_view(worker, notice->view);
    if (notice->identify) rpc_identify(worker->rpc, &notice->self);
    if (notice->makers_count) {
        if (worker->makers.count == 0) worker->makers.floor_unix_ms = notice->floor_unix_ms;
        makers_add(&worker->makers, notice->makers, notice->makers_count, notice->self.boot);
    }
    if (notice->drain) worker_drain(worker, drained, worker->routerd);
    shared_view_release(notice->view);
}

static void deliver_notice(struct mail *mail)
{
    struct notice *notice = CONTAINER_OF(mail, struct notice, mail);
    take_notice(notice);
    mem_free(notice);
}

/* Hands a notice to a worker: at once to worker 0, by mail to the others. */
static void tell(struct routerd *routerd, unsigned index, const struct notice *what)
{
    struct notice *notice = mem_alloc(sizeof *notice);
    *notice = *what;
    notice->worker = &routerd->workers[index];
    notice->mail.deliver = deliver_notice;
    if (notice->view) shared_view_hold(notice->view);
    if (index == 0)
        deliver_notice(&notice->mail);
    else
        reactor_post(routerd->workers[index].reactor, &notice->mail);
}

static void tell_all(struct routerd *routerd, const struct notice *what)
{
    for (unsigned i = 0; i < routerd->host.reactors_count; i++)
        tell(routerd, i, what);
}

/* ---- maker numbers: from controld, kept on disk ---- */

static void spread_makers(struct routerd *routerd)
{
    unsigned workers = routerd->host.reactors_count;
    for (unsigned w = 0; w < workers; w++) {
        struct notice notice = {.floor_unix_ms = routerd->floor_ms, .self = routerd->self};
        for (unsigned b = 0; b < routerd->blocks_count; b++)
            for (unsigned n = w; n < MAKERS_BLOCK && notice.makers_count < MAKERS_MAX; n += workers)
                notice.makers[notice.makers_count++] = (uint16_t)(routerd->blocks[b] * MAKERS_BLOCK + n);
        tell(routerd, w, &notice);
    }
}

static bool read_makers(struct routerd *routerd)
{
    struct reactor *reactor = routerd->host.reactors[0];
    struct arena arena = {0};
    struct bytes data;
    struct file_header header;
    struct file_header_expected expected = {FILE_MAKERS, MAKERS_FILE_MAJOR, &routerd->cluster};
    enum status status = disk_read_file(reactor, MAKERS_PATH, &arena, MAKERS_FILE_BYTES, &data);
    if (status == STATUS_OK) status = file_header_decode(data, &expected, &header, NULL, 0);
    if (status == STATUS_OK && data.size == MAKERS_FILE_BYTES) {
        struct bytes body = bytes_of(data.data + FILE_HEADER_BYTES, data.size - FILE_HEADER_BYTES);
        struct reader reader = reader_of(body);
        uint32_t crc = crc32c(0, body.data, body.size - 4);
        uint32_t count = read_u32(&reader), blocks[MAKER_BLOCKS_MAX];
        for (unsigned i = 0; i < MAKER_BLOCKS_MAX; i++)
            blocks[i] = read_u32(&reader);
        if (read_u32(&reader) == crc && count <= MAKER_BLOCKS_MAX) {
            memcpy(routerd->blocks, blocks, sizeof blocks);
            routerd->blocks_count = count;
        }
    }
    arena_free(&arena);
    return routerd->blocks_count > 0;
}

static void write_makers(struct routerd *routerd)
{
    struct reactor *reactor = routerd->host.reactors[0];
    uint8_t file[MAKERS_FILE_BYTES];
    struct file_header header = {.kind = FILE_MAKERS, .major = MAKERS_FILE_MAJOR, .cluster = routerd->cluster};
    file_header_encode(&header, file);
    struct writer writer = writer_of(file + FILE_HEADER_BYTES, sizeof file - FILE_HEADER_BYTES);
    write_u32(&writer, routerd->blocks_count);
    for (unsigned i = 0; i < MAKER_BLOCKS_MAX; i++)
        write_u32(&writer, i < routerd->blocks_count ? routerd->blocks[i] : 0);
    write_u32(&writer, crc32c(0, file + FILE_HEADER_BYTES, writer_size(&writer)));
    CHECK(writer_ok(&writer) && writer_size(&writer) == sizeof file - FILE_HEADER_BYTES);
    if (disk_replace_file(reactor, MAKERS_PATH, file, sizeof file) != STATUS_OK)
        LOG(reactor_log(reactor), WARN, "makers.unsaved", "path=%s", MAKERS_PATH);
}

static void fetch_makers(struct routerd *routerd)
{
    struct reactor *reactor = routerd->host.reactors[0];
    Trillium__V1__MakersCall body = TRILLIUM__V1__MAKERS_CALL__INIT;
    body.router = routerd->id;
    body.blocks = 1;
    struct controllers_call call = {.method = METHOD_CONTROL_MAKERS,
        .leader = true,
        .deadline_ns = reactor_now_ns(reactor) + 2000000000ull,
        .stop = &routerd->stopping};
    struct arena arena = {0};
    struct rpc_reply reply;
    enum status status =
        controllers_call_wait(routerd->workers[0].controllers, &call, RPC_MESSAGE(&body), &arena, &reply);
    Trillium__V1__MakersAnswer *answer = NULL;
    if (status == STATUS_OK) answer = rpc_decode(&arena, &trillium__v1__makers_answer__descriptor, reply.body);
    for (size_t i = 0; answer && i < answer->n_blocks && routerd->blocks_count < MAKER_BLOCKS_MAX; i++)
        if (answer->blocks[i] < 65536 / MAKERS_BLOCK) routerd->blocks[routerd->blocks_count++] = answer->blocks[i];
    arena_free(&arena);
    if (routerd->blocks_count) {
        write_makers(routerd);
        spread_makers(routerd);
    }
}

/* ---- the keeper: identity, membership, makers, the mark on disk ---- */

static void view_changed(void *context, struct shared_view *view)
{
    tell_all(context, &(struct notice){.view = view});
}

static void registered(void *context, uint32_t id)
{
    struct routerd *routerd = context;
    if (routerd->id == id) return;
    routerd->id = id;
    routerd->self.daemon_id = id;
    tell_all(routerd, &(struct notice){.identify = true, .self = routerd->self});
}

static void open_identity(struct routerd *routerd)
{
    struct reactor *reactor = routerd->host.reactors[0];
    char why[IDENTITY_WHY_BYTES];
    enum status status = identity_open(reactor, &routerd->cluster, &routerd->identity, why);
    if (status != STATUS_OK) env_die(routerd->host.env, status, why);
    routerd->has_identity = true;
    routerd->self.boot = routerd->identity.identity.boot;
    routerd->floor_ms = routerd->identity.identity.mark;
    struct membership_options options = {.controllers = routerd->workers[0].controllers,
        .reactor = reactor,
        .cluster = routerd->cluster,
        .is_router = true,
        .uuid = routerd->identity.identity.daemon,
        .boot = routerd->identity.identity.boot,
        .address = routerd->address,
        .zone = "",
        .shards = (uint16_t)routerd->host.reactors_count,
        .changed = view_changed,
        .registered = registered,
        .context = routerd};
    routerd->membership = membership_start(&options);
}

/* Ids up to the mark may be given out only when it is on disk. */
static void raise_ceiling(struct routerd *routerd)
{
    int64_t wall = reactor_wall_us(routerd->host.reactors[0]) / 1000;
    int64_t mark = makers_mark_ms(routerd->identity.identity.mark, wall, atomic_load(&routerd->given_ms));
    enum status status = identity_set_mark(&routerd->identity, mark);
    if (status != STATUS_OK) env_die(routerd->host.env, status, "identity: the id clock's mark cannot be written");
    atomic_store_explicit(&routerd->ceiling_ms, mark, memory_order_release);
}

static void watch_clock(struct routerd *routerd)
{
    struct reactor *reactor = routerd->host.reactors[0];
    int64_t behind;
    enum makers_clock clock = makers_clock(&routerd->workers[0].makers, reactor_wall_us(reactor) / 1000, &behind);
    if (clock == routerd->clock) return;
    routerd->clock = clock;
    if (clock == MAKERS_CLOCK_RIGHT)
        LOG(reactor_log(reactor), INFO, "clock.right", "why=\"it has passed the ids given before\"");
    else if (clock == MAKERS_CLOCK_BEHIND)
        LOG(reactor_log(reactor), WARN, "clock.set_back",
            "behind_ms=%lld why=\"this host's clock is behind the ids given before; they go on from there until it has "
            "caught up; check time synchronisation\"",
            (long long)behind);
    else
        LOG(reactor_log(reactor), ERROR, "clock.set_back",
            "behind_ms=%lld limit_ms=%d why=\"this host's clock is too far behind the ids given before, so none are "
            "given; set the clock right, then they go on by themselves\"",
            (long long)behind, CLOCK_BEHIND_MS_MAX);
}

static void keep(void *argument)
{
    struct routerd *routerd = argument;
    struct reactor *reactor = routerd->host.reactors[0];
    open_identity(routerd);
    if (read_makers(routerd)) spread_makers(routerd);
    uint64_t raise_at = 0;
    while (!routerd->stopping) {
        if (routerd->blocks_count == 0 && routerd->id) fetch_makers(routerd);
        if (reactor_now_ns(reactor) >= raise_at) {
            raise_ceiling(routerd);
            raise_at = reactor_now_ns(reactor) + (uint64_t)MARK_EVERY_MS * 1000000;
        }
        watch_clock(routerd);
        if (routerd->stopping) break; /* since we wait for the disk above: nobody opens the gate again */
        uint64_t next = routerd->blocks_count ? raise_at : reactor_now_ns(reactor) + 100000000ull;
        gate_wait(reactor, &routerd->keeper_end, next);
    }
    membership_stop(routerd->membership);
    raise_ceiling(routerd); /* the next run sees from it whether the clock was set back meanwhile */
    identity_close(&routerd->identity);
    routerd->keeper_ended = true;
    gate_open(&routerd->keeper_end);
}

/* ---- readiness ---- */

static void check_ready(struct timer *timer)
{
    struct routerd *routerd = CONTAINER_OF(timer, struct routerd, ready_timer);
    struct worker *worker = &routerd->workers[0];
    int64_t wall_ms = reactor_wall_us(routerd->host.reactors[0]) / 1000;
    const char *missing = !routerd->has_identity       ? "its data directory"
                          : !worker->view              ? "a view from a controller"
                          : routerd->blocks_count == 0 ? "maker numbers from a controller"
                          : makers_clock(&worker->makers, wall_ms, NULL) == MAKERS_CLOCK_WRONG
                              ? "its clock, which is far behind the ids given before: set this host's clock right"
                          : !worker_reaches_quorums(worker) ? "a quorum of nodes of every range"
                                                            : NULL;
    if (!missing) {
        health_set(
            routerd->host.health, HEALTH_READY, "serving view %llu", (unsigned long long)worker->view->view.version);
        return;
    }
    health_set(routerd->host.health, HEALTH_STARTING, "waiting for %s", missing);
    timer_start_in(timer, (uint64_t)READY_POLL_MS * 1000000);
}

/* ---- beginning and end ---- */

static enum status complete_addresses(struct routerd *routerd, char why[HOST_WHY_BYTES])
{
    const struct routerd_settings *settings = routerd->settings;
    if (address_complete(settings->common.listen_address, PORT_ROUTER, routerd->address) != STATUS_OK) {
        snprintf(why, HOST_WHY_BYTES, "listen.address %s: not an address", settings->common.listen_address);
        return STATUS_BAD_REQUEST;
    }
    routerd->controllers = mem_zalloc(settings->controllers.count * sizeof *routerd->controllers);
    for (size_t i = 0; i < settings->controllers.count; i++) {
        routerd->controllers[i] = mem_zalloc(ADDRESS_BYTES);
        const char *item = settings->controllers.items[i];
        if (address_complete(item, PORT_CONTROLLER, routerd->controllers[i]) == STATUS_OK) continue;
        snprintf(why, HOST_WHY_BYTES, "router.controllers: %.200s: not an address", item);
        return STATUS_BAD_REQUEST;
    }
    return STATUS_OK;
}

static void free_routerd(struct routerd *routerd)
{
    for (size_t i = 0; routerd->controllers && i < routerd->settings->controllers.count; i++)
        mem_free(routerd->controllers[i]);
    mem_free(routerd->controllers);
    mem_free(routerd->workers);
    mem_free(routerd);
}

enum status routerd_create(
    const struct host *host, const struct routerd_settings *settings, struct routerd **out, char why[HOST_WHY_BYTES])
{
    struct routerd *routerd = mem_zalloc(sizeof *routerd);
    routerd->host = *host;
    routerd->settings = settings;
    routerd->cluster = settings->common.cluster_uuid;
    gate_init(&routerd->keeper_end);
    routerd->workers = mem_zalloc(host->reactors_count * sizeof *routerd->workers);
    routerd->self = rpc_info_of_start(host->env, RPC_ROLE_ROUTER, routerd->cluster.bytes);
    enum status status = complete_addresses(routerd, why);
    for (unsigned i = 0; status == STATUS_OK && i < host->reactors_count; i++) {
        struct worker_options options = {.routerd = routerd,
            .host = host,
            .index = i,
            .self = routerd->self,
            .address = routerd->address,
            .controllers = (const char *const *)routerd->controllers,
            .controllers_count = (unsigned)settings->controllers.count,
            .ceiling_ms = &routerd->ceiling_ms,
            .given_ms = &routerd->given_ms};
        status = worker_init(&routerd->workers[i], &options);
        if (status == STATUS_OK) continue;
        snprintf(why, HOST_WHY_BYTES, "%s: cannot listen for worker %u: %s", routerd->address, i, status_text(status));
    }
    if (status != STATUS_OK) {
        free_routerd(routerd);
        return status;
    }
    health_set(host->health, HEALTH_STARTING, "waiting for its data directory");
    timer_init(&routerd->ready_timer, host->reactors[0], check_ready);
    timer_start_in(&routerd->ready_timer, 1000000);
    fiber_start(host->reactors[0], "keeper", keep, routerd);
    *out = routerd;
    return STATUS_OK;
}

static void drained(void *context)
{
    struct routerd *routerd = context;
    if (atomic_fetch_sub(&routerd->draining, 1) == 1) routerd->host.stopped(routerd->host.context);
}

/* The keeper ends first: it still makes calls. */
static void stop_all(void *argument)
{
    struct routerd *routerd = argument;
    routerd->stopping = true;
    gate_open(&routerd->keeper_end);
    while (!routerd->keeper_ended)
        gate_wait(routerd->host.reactors[0], &routerd->keeper_end, REACTOR_NEVER);
    tell_all(routerd, &(struct notice){.drain = true});
}

void routerd_stop(struct routerd *routerd)
{
    health_set(routerd->host.health, HEALTH_DRAINING, "stopping");
    timer_stop(&routerd->ready_timer);
    atomic_store(&routerd->draining, routerd->host.reactors_count);
    fiber_start(routerd->host.reactors[0], "stop", stop_all, routerd);
}

void routerd_destroy(struct routerd *routerd)
{
    for (unsigned i = 0; i < routerd->host.reactors_count; i++)
        worker_fini(&routerd->workers[i]);
    free_routerd(routerd);
}

/* ---- sight ---- */

void routerd_sight(const struct routerd *routerd, struct routerd_sight *out)
{
    *out = (struct routerd_sight){0};
    for (uint32_t i = 0; i < routerd->host.reactors_count; i++) {
        const struct worker *worker = &routerd->workers[i];
        if (worker->rpc) rpc_sight(worker->rpc, &out->rpc);
        out->space_calls += replicas_asking(&worker->coordinator.replicas);
        out->operations += worker->coordinator.open;
        out->flights += (uint32_t)worker->coalesce.chains.count;
        for (const struct list *link = worker->ring_waiters.next; link != &worker->ring_waiters; link = link->next)
            out->parked++;
    }
}
