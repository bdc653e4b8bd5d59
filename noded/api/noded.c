/* noded: a node's beginning, its place in the cluster, and its end. */
#include "noded/noded.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/obs/health.h"
#include "common/runtime/disk.h"
#include "noded/api/node.h"

#define TMP_PATH "tmp"

enum {
    FILE_IDS_PER_BOOT_BITS = 32,
    ANSWER_SHARE = 4, /* of a shard's memory: answers that one peer may have open */
    MEET_POLL_MS = 20,
    MEET_MS_MAX = 3000, /* a dialer tries at least every 2 s */
};

/* ---- steps that all shards take together ---- */

static void proceed(struct mail *mail)
{
    struct seat *seat = CONTAINER_OF(mail, struct seat, proceed);
    seat->step++;
    gate_open(&seat->gate);
}

static void arrived(struct mail *mail)
{
    struct noded *noded = CONTAINER_OF(mail, struct seat, arrived)->noded;
    if (++noded->arrived < noded->shards) return;
    noded->arrived = 0;
    for (unsigned i = 0; i < noded->shards; i++) {
        struct seat *seat = &noded->seats[i];
        seat->proceed.deliver = proceed;
        reactor_post(seat->reactor, &seat->proceed);
    }
}

/* (fiber) Returns when every shard is here. */
static void barrier(struct seat *seat)
{
    uint32_t next = seat->step + 1;
    seat->arrived.deliver = arrived;
    reactor_post(seat->noded->host.reactors[0], &seat->arrived);
    while (seat->step != next)
        gate_wait(seat->reactor, &seat->gate, REACTOR_NEVER);
}

/* ---- the data directory: shard 0 ---- */

static void empty_tmp(struct seat *seat)
{
    struct disk_names names = {0};
    enum status status = disk_mkdir(seat->reactor, TMP_PATH);
    if (status == STATUS_OK) status = disk_list(seat->reactor, TMP_PATH, &names);
    for (uint32_t i = 0; status == STATUS_OK && i < names.count; i++) {
        char path[DISK_PATH_BYTES_MAX];
        snprintf(path, sizeof path, TMP_PATH "/%.200s", names.names[i]);
        status = disk_unlink(seat->reactor, path);
    }
    disk_names_free(&names);
    if (status != STATUS_OK) shard_die(seat->shard, status, "tmp: cannot be emptied: %s", status_text(status));
}

static void open_directory(struct seat *seat)
{
    struct noded *noded = seat->noded;
    char why[IDENTITY_WHY_BYTES];
    enum status status = identity_open(seat->reactor, &noded->cluster, &noded->identity, why);
    if (status != STATUS_OK) env_die(noded->host.env, status, why);
    const struct identity *identity = &noded->identity.identity;
    empty_tmp(seat);
    space_keeper_open(&noded->space, noded);
    if (identity->boot >> (64 - FILE_IDS_PER_BOOT_BITS))
        shard_die(seat->shard, STATUS_CONFLICT, "identity: the boot counter is exhausted");
    atomic_store(&noded->next_file_id, identity->boot << FILE_IDS_PER_BOOT_BITS | 1);
    noded->new_shards = identity->mark != noded->shards;
    noded->self.boot = identity->boot;
    if (noded->new_shards && identity->mark > 0)
        LOG(noded->host.env->log, INFO, "shards.change", "before=%" PRId64 " now=%u", identity->mark, noded->shards);
}

/* No number is given twice in a data directory: each start has numbers of its own. */
static uint64_t next_file_id(void *context)
{
    struct noded *noded = context;
    uint64_t id = atomic_fetch_add_explicit(&noded->next_file_id, 1, memory_order_relaxed);
    CHECK(id & UINT32_MAX);
    return id;
}

/* ---- recovery ---- */

/* The logs that no shard has any more: all that they had is in files. */
static void release_foreign_logs(struct seat *seat)
{
    struct wal_logs logs;
    enum status status = wal_list(seat->reactor, SHARD_LOG_DIRECTORY, &logs);
    if (status != STATUS_OK) shard_die(seat->shard, status, "log: cannot be listed: %s", status_text(status));
    for (unsigned i = 0; i < logs.count; i++)
        if (logs.numbers[i] >= seat->noded->shards) shard_release_foreign(seat->shard, logs.numbers[i]);
}

/* Another number of shards: nobody knows which log has what of whom, so everybody reads all of them. */
static void take_over_logs(struct seat *seat)
{
    struct noded *noded = seat->noded;
    shard_recover_all(seat->shard);
    barrier(seat);
    shard_flush_all(seat->shard);
    barrier(seat);
    if (seat->index == 0) release_foreign_logs(seat);
    shard_take_log(seat->shard);
    barrier(seat);
    if (seat->index == 0) {
        enum status status = identity_set_mark(&noded->identity, noded->shards);
        if (status != STATUS_OK) shard_die(seat->shard, status, "identity: cannot be written: %s", status_text(status));
    }
    barrier(seat);
}

/* ---- membership: shard 0 ---- */

struct view_mail {
    struct mail mail;
    struct seat *seat;
    struct shared_view *view; /* held */
    struct node_id node;
    struct rpc_info self;
};

static void take_view(struct mail *mail)
{
    struct view_mail *view = CONTAINER_OF(mail, struct view_mail, mail);
    struct seat *seat = view->seat;
    if (seat->face.rpc) rpc_identify(seat->face.rpc, &view->self);
    if (!seat->shard->stopping) shard_use_view(seat->shard, view->view, view->node);
    shared_view_release(view->view);
    mem_free(view);
}

static void spread_view(struct noded *noded)
{
    if (!noded->view || !noded->id) return;
    atomic_store_explicit(&noded->view_version, noded->view->view.version, memory_order_relaxed);
    for (unsigned i = 0; i < noded->shards; i++) {
        struct view_mail *mail = mem_alloc(sizeof *mail);
        *mail = (struct view_mail){.mail.deliver = take_view,
            .seat = &noded->seats[i],
            .view = shared_view_hold(noded->view),
            .node = {noded->id},
            .self = noded->self};
        reactor_post(noded->seats[i].reactor, &mail->mail);
    }
}

static void view_changed(void *context, struct shared_view *view)
{
    struct noded *noded = context;
    struct shared_view *held = shared_view_hold(view);
    shared_view_release(noded->view);
    noded->view = held;
    spread_view(noded);
}

static void registered(void *context, uint32_t id)
{
    struct noded *noded = context;
    if (noded->id == id) return;
    noded->id = id;
    noded->self.daemon_id = id;
    spread_view(noded);
}

static unsigned router_workers(const struct view *view)
{
    unsigned workers = 0;
    for (unsigned i = 0; i < view->routers_count; i++)
        workers += view->routers[i].workers;
    return workers;
}

/* Whoever restarts nodes one after the other goes on when this one is ready. It counts for nothing before the routers
   have found it again, so it says so only then; routers that are away are not waited for long. */
static void meet_routers(struct timer *timer)
{
    struct seat *seat = CONTAINER_OF(timer, struct seat, meet);
    struct noded *noded = seat->noded;
    if (atomic_load(&noded->stop_asked)) return;
    unsigned wanted = router_workers(&seat->shard->view->view), here = seat->face.router_pipes;
    if (here < wanted && reactor_now_ns(seat->reactor) < seat->meet_until_ns) {
        health_set(noded->host.health, HEALTH_STARTING,
            "waiting for routers: %u of %u workers are connected to shard %u", here, wanted, seat->index);
        timer_start_in(timer, (uint64_t)MEET_POLL_MS * 1000000);
        return;
    }
    if (atomic_fetch_add(&noded->met, 1) + 1 == noded->shards && !atomic_load(&noded->stop_asked))
        space_keeper_say_ready(&noded->space);
}

static void shard_followed(void *context, uint16_t index)
{
    struct noded *noded = context;
    struct seat *seat = &noded->seats[index];
    if (seat->meet_until_ns) return;
    seat->meet_until_ns = reactor_now_ns(seat->reactor) + (uint64_t)MEET_MS_MAX * 1000000;
    timer_start_in(&seat->meet, 0);
}

static void shard_synced(void *context, uint16_t index, uint64_t sequence)
{
    struct noded *noded = context;
    atomic_store_explicit(&noded->synced[index], sequence, memory_order_relaxed);
}

static void refresh_self(void *context, struct rpc_info *self)
{
    struct noded *noded = context;
    self->shards_count = noded->shards;
    for (unsigned i = 0; i < noded->shards; i++)
        self->synced[i] = atomic_load_explicit(&noded->synced[i], memory_order_relaxed);
}

/* ---- another data directory: shard 0 asks, every shard marks what it has ---- */

static void shard_lapsed(struct mail *mail)
{
    struct noded *noded = CONTAINER_OF(mail, struct seat, lapsed)->noded;
    noded->lapsed++;
    gate_open(&noded->changed);
}

static void lapse(void *argument)
{
    struct seat *seat = argument;
    seat->lapse_status = shard_lapse_all(seat->shard);
    seat->lapsed.deliver = shard_lapsed;
    reactor_post(seat->noded->host.reactors[0], &seat->lapsed);
}

static void begin_lapse(struct mail *mail)
{
    struct seat *seat = CONTAINER_OF(mail, struct seat, lapse);
    fiber_start(seat->reactor, "lapse", lapse, seat);
}

/* (fiber) What is here is not what the node acknowledged. */
static uint64_t outdated(void *context, const struct uuid *uuid, uint64_t boot)
{
    struct noded *noded = context;
    struct identity *identity = &noded->identity.identity;
    bool other = !uuid_equal(uuid, &identity->daemon);
    LOG(noded->host.env->log, ERROR, "node.outdated", "known_boot=%" PRIu64 " boot=%" PRIu64 " why=\"%s\"", boot,
        identity->boot,
        other ? "controllers know another data directory at this address" : "controllers know a later state of it");
    noded->lapsed = 0;
    for (unsigned i = 0; i < noded->shards; i++) {
        noded->seats[i].lapse.deliver = begin_lapse;
        reactor_post(noded->seats[i].reactor, &noded->seats[i].lapse);
    }
    while (noded->lapsed < noded->shards)
        gate_wait(noded->host.reactors[0], &noded->changed, REACTOR_NEVER);
    for (unsigned i = 0; i < noded->shards; i++)
        if (noded->seats[i].lapse_status != STATUS_OK) return 0;
    if (!other && identity_raise_boot(&noded->identity, boot + 1) != STATUS_OK) return 0;
    noded->self.boot = identity->boot;
    return identity->boot;
}

static void join(struct noded *noded)
{
    struct reactor *reactor = noded->host.reactors[0];
    enum status status = controllers_create(noded->seats[0].face.rpc, (const char *const *)noded->controller_addresses,
        (unsigned)noded->settings->controllers.count, &noded->controllers);
    if (status != STATUS_OK) env_die(noded->host.env, status, "node.controllers: cannot be dialed");
    struct membership_options options = {.controllers = noded->controllers,
        .reactor = reactor,
        .cluster = noded->cluster,
        .uuid = noded->identity.identity.daemon,
        .boot = noded->identity.identity.boot,
        .address = noded->address,
        .zone = noded->settings->zone,
        .shards = noded->shards,
        .changed = view_changed,
        .registered = registered,
        .outdated = outdated,
        .context = noded};
    noded->membership = membership_start(&options);
}

/* ---- start ---- */

static void listen_for_calls(struct seat *seat)
{
    struct noded *noded = seat->noded;
    char address[ADDRESS_BYTES];
    struct face_listen_options options = {.address = address,
        .self = noded->self,
        .refresh = refresh_self,
        .context = noded,
        .answer_budget_bytes = (uint64_t)noded->settings->common.memory_max / noded->shards / ANSWER_SHARE};
    enum status status = address_shift(noded->address, PORT_RPC + seat->index, address);
    if (status == STATUS_OK) status = face_listen(&seat->face, &options);
    if (status == STATUS_CONFLICT)
        shard_die(seat->shard, status, "%s: another process listens there; stop it or change listen.address", address);
    if (status != STATUS_OK)
        shard_die(seat->shard, status, "listen.address %s: cannot be listened on: %s", address, status_text(status));
}

static void start_rebuild(struct seat *seat)
{
    struct noded *noded = seat->noded;
    struct rebuild_options options = {.shard = seat->shard,
        .rpc = seat->face.rpc,
        .controllers = (const char *const *)noded->controller_addresses,
        .controllers_count = (unsigned)noded->settings->controllers.count,
        .bytes_per_second = (uint64_t)noded->settings->rebuild_rate / noded->shards};
    seat->rebuild = rebuild_start(&options);
}

static void start(void *argument)
{
    struct seat *seat = argument;
    struct noded *noded = seat->noded;
    if (seat->index == 0) open_directory(seat);
    barrier(seat);
    shard_open_trees(seat->shard);
    if (noded->new_shards)
        take_over_logs(seat);
    else
        shard_open_log(seat->shard);
    shard_synced(noded, seat->index, seat->shard->told);
    shard_start(seat->shard);
    listen_for_calls(seat);
    start_rebuild(seat);
    barrier(seat);
    if (seat->index != 0) return;
    LOG(noded->host.env->log, INFO, "node.recovered", "address=%s shards=%u boot=%" PRIu64 " backend=%s",
        noded->address, noded->shards, noded->identity.identity.boot, reactor_backend_name(seat->reactor));
    if (!atomic_load(&noded->stop_asked))
        health_set(noded->host.health, HEALTH_STARTING, "waiting for a view from a controller");
    join(noded);
    space_keeper_start(&noded->space);
    noded->serving = true;
    gate_open(&noded->changed);
}

static void free_noded(struct noded *noded)
{
    for (size_t i = 0; noded->controller_addresses && i < noded->settings->controllers.count; i++)
        mem_free(noded->controller_addresses[i]);
    mem_free(noded->controller_addresses);
    mem_free(noded->seats);
    mem_free(noded);
}

static enum status complete_addresses(struct noded *noded, char why[HOST_WHY_BYTES])
{
    const struct noded_settings *settings = noded->settings;
    if (address_complete(settings->common.listen_address, PORT_NODE, noded->address) != STATUS_OK) {
        snprintf(why, HOST_WHY_BYTES, "listen.address %s: not an address", settings->common.listen_address);
        return STATUS_BAD_REQUEST;
    }
    noded->controller_addresses = mem_zalloc((settings->controllers.count + 1) * sizeof(char *));
    for (size_t i = 0; i < settings->controllers.count; i++) {
        const char *item = settings->controllers.items[i];
        noded->controller_addresses[i] = mem_zalloc(ADDRESS_BYTES);
        if (address_complete(item, PORT_CONTROLLER, noded->controller_addresses[i]) == STATUS_OK) continue;
        snprintf(why, HOST_WHY_BYTES, "node.controllers: %.200s: not an address", item);
        return STATUS_BAD_REQUEST;
    }
    return STATUS_OK;
}

static void init_seat(struct noded *noded, unsigned index)
{
    struct seat *seat = &noded->seats[index];
    seat->noded = noded;
    seat->index = (uint16_t)index;
    seat->reactor = noded->host.reactors[index];
    gate_init(&seat->gate);
    timer_init(&seat->meet, seat->reactor, meet_routers);
    struct shard_options shard = {.reactor = seat->reactor,
        .index = seat->index,
        .count = noded->shards,
        .cluster = noded->cluster,
        .memory_bytes = (uint64_t)noded->settings->common.memory_max / noded->shards,
        .next_file_id = next_file_id,
        .synced = shard_synced,
        .followed = shard_followed,
        .context = noded};
    seat->shard = shard_create(&shard);
    struct face_options face = {.noded = noded, .shard = seat->shard, .metrics = noded->host.metrics};
    face_init(&seat->face, &face);
    fiber_start(seat->reactor, "start", start, seat);
}

enum status noded_create(
    const struct host *host, const struct noded_settings *settings, struct noded **out, char why[HOST_WHY_BYTES])
{
    CHECK(host->reactors_count >= 1 && host->reactors_count <= SHARDS_MAX);
    struct noded *noded = mem_zalloc(sizeof *noded);
    noded->host = *host;
    noded->settings = settings;
    noded->cluster = settings->common.cluster_uuid;
    noded->shards = (uint16_t)host->reactors_count;
    noded->started_ns = env_mono_ns(host->env);
    noded->self = rpc_info_of_start(host->env, RPC_ROLE_NODE, noded->cluster.bytes);
    noded->self.shards_count = noded->shards;
    gate_init(&noded->changed);
    noded->seats = mem_zalloc(noded->shards * sizeof *noded->seats);
    enum status status = complete_addresses(noded, why);
    if (status != STATUS_OK) {
        free_noded(noded);
        return status;
    }
    health_set(host->health, HEALTH_STARTING, "recovering");
    for (unsigned i = 0; i < noded->shards; i++)
        init_seat(noded, i);
    *out = noded;
    return STATUS_OK;
}

/* ---- end ---- */

static void shard_drained(struct mail *mail)
{
    struct noded *noded = CONTAINER_OF(mail, struct seat, drained)->noded;
    noded->drained++;
    gate_open(&noded->changed);
}

static void drain(void *argument)
{
    struct seat *seat = argument;
    timer_stop(&seat->meet);
    rebuild_stop(seat->rebuild);
    seat->rebuild = NULL;
    face_close(&seat->face);
    shard_stop(seat->shard);
    seat->drained.deliver = shard_drained;
    reactor_post(seat->noded->host.reactors[0], &seat->drained);
}

static void begin_drain(struct mail *mail)
{
    struct seat *seat = CONTAINER_OF(mail, struct seat, drain);
    fiber_start(seat->reactor, "drain", drain, seat);
}

static void stop(void *argument)
{
    struct noded *noded = argument;
    struct reactor *reactor = noded->host.reactors[0];
    while (!noded->serving)
        gate_wait(reactor, &noded->changed, REACTOR_NEVER);
    membership_stop(noded->membership);
    noded->membership = NULL;
    controllers_destroy(noded->controllers);
    space_keeper_stop(&noded->space);
    for (unsigned i = 0; i < noded->shards; i++) {
        noded->seats[i].drain.deliver = begin_drain;
        reactor_post(noded->seats[i].reactor, &noded->seats[i].drain);
    }
    while (noded->drained < noded->shards)
        gate_wait(reactor, &noded->changed, REACTOR_NEVER);
    identity_close(&noded->identity);
    LOG(noded->host.env->log, INFO, "node.stopped", "address=%s", noded->address);
    noded->host.stopped(noded->host.context);
}

void noded_stop(struct noded *noded)
{
    atomic_store(&noded->stop_asked, true);
    health_set(noded->host.health, HEALTH_DRAINING, "stopping");
    fiber_start(noded->host.reactors[0], "stop", stop, noded);
}

void noded_destroy(struct noded *noded)
{
    for (unsigned i = 0; i < noded->shards; i++)
        shard_destroy(noded->seats[i].shard);
    shared_view_release(noded->view);
    free_noded(noded);
}
