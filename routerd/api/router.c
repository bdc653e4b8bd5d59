#include "routerd/router.h"

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
#include "routerd/api/worker_setup.h"

#define MAKERS_PATH "makers"

enum {
    MAKER_BLOCKS_MAX = 4,
    MAKERS_FILE_MAJOR = 1,
    MAKERS_FILE_BYTES = FILE_HEADER_BYTES + 4 + MAKER_BLOCKS_MAX * 4 + 4,
    READY_POLL_MS = 100,
};

struct router {
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
    if (notice->drain) worker_drain(worker, drained, worker->router);
    shared_view_release(notice->view);
}

static void deliver_notice(struct mail *mail)
{
    struct notice *notice = CONTAINER_OF(mail, struct notice, mail);
    take_notice(notice);
    mem_free(notice);
}

/* Hands a notice to a worker: at once to worker 0, by mail to the others. */
static void tell(struct router *router, unsigned index, const struct notice *what)
{
    struct notice *notice = mem_alloc(sizeof *notice);
    *notice = *what;
    notice->worker = &router->workers[index];
    notice->mail.deliver = deliver_notice;
    if (notice->view) shared_view_hold(notice->view);
    if (index == 0)
        deliver_notice(&notice->mail);
    else
        reactor_post(router->workers[index].reactor, &notice->mail);
}

static void tell_all(struct router *router, const struct notice *what)
{
    for (unsigned i = 0; i < router->host.reactors_count; i++)
        tell(router, i, what);
}

/* ---- maker numbers: from controld, kept on disk ---- */

static void spread_makers(struct router *router)
{
    unsigned workers = router->host.reactors_count;
    for (unsigned w = 0; w < workers; w++) {
        struct notice notice = {.floor_unix_ms = router->floor_ms, .self = router->self};
        for (unsigned b = 0; b < router->blocks_count; b++)
            for (unsigned n = w; n < MAKERS_BLOCK && notice.makers_count < MAKERS_MAX; n += workers)
                notice.makers[notice.makers_count++] = (uint16_t)(router->blocks[b] * MAKERS_BLOCK + n);
        tell(router, w, &notice);
    }
}

static bool read_makers(struct router *router)
{
    struct reactor *reactor = router->host.reactors[0];
    struct arena arena = {0};
    void *data;
    uint32_t size;
    struct file_header header;
    struct file_header_expected expected = {FILE_MAKERS, MAKERS_FILE_MAJOR, &router->cluster};
    enum status status = disk_read_file(reactor, MAKERS_PATH, &arena, MAKERS_FILE_BYTES, &data, &size);
    if (status == STATUS_OK) status = file_header_decode(bytes_of(data, size), &expected, &header, NULL, 0);
    if (status == STATUS_OK && size == MAKERS_FILE_BYTES) {
        struct reader reader = reader_of(bytes_of((uint8_t *)data + FILE_HEADER_BYTES, size - FILE_HEADER_BYTES));
        uint32_t crc = crc32c(0, (uint8_t *)data + FILE_HEADER_BYTES, size - FILE_HEADER_BYTES - 4);
        uint32_t count = read_u32(&reader), blocks[MAKER_BLOCKS_MAX];
        for (unsigned i = 0; i < MAKER_BLOCKS_MAX; i++)
            blocks[i] = read_u32(&reader);
        if (read_u32(&reader) == crc && count <= MAKER_BLOCKS_MAX) {
            memcpy(router->blocks, blocks, sizeof blocks);
            router->blocks_count = count;
        }
    }
    arena_free(&arena);
    return router->blocks_count > 0;
}

static void write_makers(struct router *router)
{
    struct reactor *reactor = router->host.reactors[0];
    uint8_t file[MAKERS_FILE_BYTES];
    struct file_header header = {.kind = FILE_MAKERS, .major = MAKERS_FILE_MAJOR, .cluster = router->cluster};
    file_header_encode(&header, file);
    struct writer writer = writer_of(file + FILE_HEADER_BYTES, sizeof file - FILE_HEADER_BYTES);
    write_u32(&writer, router->blocks_count);
    for (unsigned i = 0; i < MAKER_BLOCKS_MAX; i++)
        write_u32(&writer, i < router->blocks_count ? router->blocks[i] : 0);
    write_u32(&writer, crc32c(0, file + FILE_HEADER_BYTES, writer_size(&writer)));
    CHECK(writer_ok(&writer) && writer_size(&writer) == sizeof file - FILE_HEADER_BYTES);
    if (disk_replace_file(reactor, MAKERS_PATH, file, sizeof file) != STATUS_OK)
        LOG(reactor_log(reactor), WARN, "makers.unsaved", "path=%s", MAKERS_PATH);
}

static void fetch_makers(struct router *router)
{
    struct reactor *reactor = router->host.reactors[0];
    Trillium__V1__MakersCall body = TRILLIUM__V1__MAKERS_CALL__INIT;
    body.router = router->id;
    body.blocks = 1;
    struct controllers_call call = {.method = METHOD_CONTROL_MAKERS,
        .leader = true,
        .deadline_ns = reactor_now_ns(reactor) + 2000000000ull,
        .stop = &router->stopping};
    struct arena arena = {0};
    struct rpc_reply reply;
    enum status status =
        controllers_call_wait(router->workers[0].controllers, &call, RPC_MESSAGE(&body), &arena, &reply);
    Trillium__V1__MakersAnswer *answer = NULL;
    if (status == STATUS_OK) answer = rpc_decode(&arena, &trillium__v1__makers_answer__descriptor, reply.body);
    for (size_t i = 0; answer && i < answer->n_blocks && router->blocks_count < MAKER_BLOCKS_MAX; i++)
        if (answer->blocks[i] < 65536 / MAKERS_BLOCK) router->blocks[router->blocks_count++] = answer->blocks[i];
    arena_free(&arena);
    if (router->blocks_count) {
        write_makers(router);
        spread_makers(router);
    }
}

/* ---- the keeper: identity, membership, makers, the mark on disk ---- */

static void view_changed(void *context, struct shared_view *view)
{
    tell_all(context, &(struct notice){.view = view});
}

static void registered(void *context, uint32_t id)
{
    struct router *router = context;
    if (router->id == id) return;
    router->id = id;
    router->self.daemon_id = id;
    tell_all(router, &(struct notice){.identify = true, .self = router->self});
}

static void open_identity(struct router *router)
{
    struct reactor *reactor = router->host.reactors[0];
    char why[IDENTITY_WHY_BYTES];
    enum status status = identity_open(reactor, &router->cluster, &router->identity, why);
    if (status != STATUS_OK) env_die(router->host.env, status, why);
    router->has_identity = true;
    router->self.boot = router->identity.identity.boot;
    router->floor_ms = router->identity.identity.mark;
    struct membership_options options = {.controllers = router->workers[0].controllers,
        .reactor = reactor,
        .cluster = router->cluster,
        .is_router = true,
        .uuid = router->identity.identity.daemon,
        .boot = router->identity.identity.boot,
        .address = router->address,
        .zone = "",
        .shards = (uint16_t)router->host.reactors_count,
        .changed = view_changed,
        .registered = registered,
        .context = router};
    router->membership = membership_start(&options);
}

/* Ids up to the mark may be given out only when it is on disk. */
static void raise_ceiling(struct router *router)
{
    int64_t wall = reactor_wall_us(router->host.reactors[0]) / 1000;
    int64_t mark = makers_mark_ms(router->identity.identity.mark, wall, atomic_load(&router->given_ms));
    enum status status = identity_set_mark(&router->identity, mark);
    if (status != STATUS_OK) env_die(router->host.env, status, "identity: the id clock's mark cannot be written");
    atomic_store_explicit(&router->ceiling_ms, mark, memory_order_release);
}

static void watch_clock(struct router *router)
{
    struct reactor *reactor = router->host.reactors[0];
    int64_t behind;
    enum makers_clock clock = makers_clock(&router->workers[0].makers, reactor_wall_us(reactor) / 1000, &behind);
    if (clock == router->clock) return;
    router->clock = clock;
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
    struct router *router = argument;
    struct reactor *reactor = router->host.reactors[0];
    open_identity(router);
    if (read_makers(router)) spread_makers(router);
    uint64_t raise_at = 0;
    while (!router->stopping) {
        if (router->blocks_count == 0 && router->id) fetch_makers(router);
        if (reactor_now_ns(reactor) >= raise_at) {
            raise_ceiling(router);
            raise_at = reactor_now_ns(reactor) + (uint64_t)MARK_EVERY_MS * 1000000;
        }
        watch_clock(router);
        uint64_t next = router->blocks_count ? raise_at : reactor_now_ns(reactor) + 100000000ull;
        gate_wait(reactor, &router->keeper_end, next);
    }
    membership_stop(router->membership);
    raise_ceiling(router); /* the next run sees from it whether the clock was set back meanwhile */
    identity_close(&router->identity);
    router->keeper_ended = true;
    gate_open(&router->keeper_end);
}

/* ---- readiness ---- */

static void check_ready(struct timer *timer)
{
    struct router *router = CONTAINER_OF(timer, struct router, ready_timer);
    struct worker *worker = &router->workers[0];
    int64_t wall_ms = reactor_wall_us(router->host.reactors[0]) / 1000;
    const char *missing = !router->has_identity       ? "its data directory"
                          : !worker->view             ? "a view from a controller"
                          : router->blocks_count == 0 ? "maker numbers from a controller"
                          : makers_clock(&worker->makers, wall_ms, NULL) == MAKERS_CLOCK_WRONG
                              ? "its clock, which is far behind the ids given before: set this host's clock right"
                          : !worker_reaches_quorums(worker) ? "a quorum of nodes of every range"
                                                            : NULL;
    if (!missing) {
        health_set(
            router->host.health, HEALTH_READY, "serving view %llu", (unsigned long long)worker->view->view.version);
        return;
    }
    health_set(router->host.health, HEALTH_STARTING, "waiting for %s", missing);
    timer_start_in(timer, (uint64_t)READY_POLL_MS * 1000000);
}

/* ---- beginning and end ---- */

static enum status complete_addresses(struct router *router, char why[HOST_WHY_BYTES])
{
    const struct routerd_settings *settings = router->settings;
    if (address_complete(settings->common.listen_address, PORT_ROUTER, router->address) != STATUS_OK) {
        snprintf(why, HOST_WHY_BYTES, "listen.address %s: not an address", settings->common.listen_address);
        return STATUS_BAD_REQUEST;
    }
    router->controllers = mem_zalloc(settings->controllers.count * sizeof *router->controllers);
    for (size_t i = 0; i < settings->controllers.count; i++) {
        router->controllers[i] = mem_zalloc(ADDRESS_BYTES);
        const char *item = settings->controllers.items[i];
        if (address_complete(item, PORT_CONTROLLER, router->controllers[i]) == STATUS_OK) continue;
        snprintf(why, HOST_WHY_BYTES, "router.controllers: %.200s: not an address", item);
        return STATUS_BAD_REQUEST;
    }
    return STATUS_OK;
}

static void free_router(struct router *router)
{
    for (size_t i = 0; router->controllers && i < router->settings->controllers.count; i++)
        mem_free(router->controllers[i]);
    mem_free(router->controllers);
    mem_free(router->workers);
    mem_free(router);
}

enum status router_create(
    const struct host *host, const struct routerd_settings *settings, struct router **out, char why[HOST_WHY_BYTES])
{
    struct router *router = mem_zalloc(sizeof *router);
    router->host = *host;
    router->settings = settings;
    router->cluster = settings->common.cluster_uuid;
    gate_init(&router->keeper_end);
    router->workers = mem_zalloc(host->reactors_count * sizeof *router->workers);
    router->self = rpc_info_of_start(host->env, RPC_ROLE_ROUTER, router->cluster.bytes);
    enum status status = complete_addresses(router, why);
    for (unsigned i = 0; status == STATUS_OK && i < host->reactors_count; i++) {
        struct worker_options options = {.router = router,
            .host = host,
            .index = i,
            .self = router->self,
            .address = router->address,
            .controllers = (const char *const *)router->controllers,
            .controllers_count = (unsigned)settings->controllers.count,
            .ceiling_ms = &router->ceiling_ms,
            .given_ms = &router->given_ms};
        status = worker_init(&router->workers[i], &options);
        if (status == STATUS_OK) continue;
        snprintf(why, HOST_WHY_BYTES, "%s: cannot listen for worker %u: %s", router->address, i, status_text(status));
    }
    if (status != STATUS_OK) {
        free_router(router);
        return status;
    }
    health_set(host->health, HEALTH_STARTING, "waiting for its data directory");
    timer_init(&router->ready_timer, host->reactors[0], check_ready);
    timer_start_in(&router->ready_timer, 1000000);
    fiber_start(host->reactors[0], "keeper", keep, router);
    *out = router;
    return STATUS_OK;
}

static void drained(void *context)
{
    struct router *router = context;
    if (atomic_fetch_sub(&router->draining, 1) == 1) router->host.stopped(router->host.context);
}

/* The keeper ends first: it still makes calls. */
static void stop_all(void *argument)
{
    struct router *router = argument;
    router->stopping = true;
    gate_open(&router->keeper_end);
    while (!router->keeper_ended)
        gate_wait(router->host.reactors[0], &router->keeper_end, REACTOR_NEVER);
    tell_all(router, &(struct notice){.drain = true});
}

void router_stop(struct router *router)
{
    health_set(router->host.health, HEALTH_DRAINING, "stopping");
    timer_stop(&router->ready_timer);
    atomic_store(&router->draining, router->host.reactors_count);
    fiber_start(router->host.reactors[0], "stop", stop_all, router);
}

void router_destroy(struct router *router)
{
    for (unsigned i = 0; i < router->host.reactors_count; i++)
        worker_fini(&router->workers[i]);
    free_router(router);
}

/* ---- sight ---- */

void router_sight(const struct router *router, struct router_sight *out)
{
    *out = (struct router_sight){0};
    for (uint32_t i = 0; i < router->host.reactors_count; i++) {
        const struct worker *worker = &router->workers[i];
        if (worker->rpc) rpc_sight(worker->rpc, &out->rpc);
        out->operations += worker->coordinator.open;
        out->flights += (uint32_t)worker->coalesce.chains.count;
        for (const struct list *link = worker->ring_waiters.next; link != &worker->ring_waiters; link = link->next)
            out->parked++;
    }
}
