#include "controld/controld.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/cluster/address.h"
#include "controld/api/controld_internal.h"

#define TICK_NS 1000000000ull

/* ---- the machine of the Raft member ---- */

static void machine_resume(void *context, uint64_t least, uint64_t most, uint64_t *applied)
{
    struct controld *controld = context;
    state_resume(&controld->state, least, most);
    *applied = controld->state.applied;
}

static enum status machine_install(void *context, uint64_t index, struct reader *records)
{
    struct controld *controld = context;
    enum status status = state_install(&controld->state, index, records);
    if (status == STATUS_OK && controld->started) {
        proposals_lose(&controld->proposals, 0);
        views_changed(&controld->views);
    }
    return status;
}

static void entry_applied(void *context, const struct raft_entry *entry, const struct catalog_answer *answer)
{
    struct controld *controld = context;
    if (answer) metrics_count(controld->metrics.changes, 1);
    proposals_applied(&controld->proposals, entry->index, entry->term, answer);
}

static void machine_apply(void *context, struct raft_entry *const *entries, uint32_t count)
{
    struct controld *controld = context;
    state_apply(&controld->state, entries, count, entry_applied, controld);
    views_changed(&controld->views);
    duties_look(&controld->duties);
    metrics_set(controld->metrics.applied, (int64_t)controld->state.applied);
    metrics_set(controld->metrics.view_version, (int64_t)controld->state.catalog.view_version);
    metrics_set(controld->metrics.nodes, controld->state.catalog.nodes.count);
    metrics_set(controld->metrics.ranges, controld->state.catalog.ranges_count);
    metrics_set(controld->metrics.log_bytes, (int64_t)member_log_bytes(controld->member));
}

static void add_record(void *context, struct bytes key, struct bytes value)
{
    snapshot_add(context, key, value);
}

static void machine_snapshot(void *context, struct buffer *file)
{
    struct controld *controld = context;
    catalog_records(&controld->state.catalog, add_record, file);
}

static void tell_health(struct controld *controld, const struct raft_status *status)
{
    bool ready = member_is_caught_up(controld->member);
    enum health_state state = controld->stopping ? HEALTH_DRAINING : ready ? HEALTH_READY : HEALTH_STARTING;
    if (state == HEALTH_READY) {
        health_set(controld->host.health, state, "%s controller %" PRIu64,
            status->role == RAFT_LEADER ? "leading as" : "following", status->leader);
    } else if (state == HEALTH_STARTING) {
        unsigned up = 1;
        for (unsigned i = 0; i < controld->controllers_count; i++)
            up += member_peer_is_up(controld->member, controld->controllers[i].id.value);
        health_set(controld->host.health, state, "no leader is known; %u of %u controllers are reachable", up,
            controld->controllers_count);
    }
}

/* One line for each change. */
static void tell_role(struct controld *controld, const struct raft_status *status)
{
    const struct raft_status *told = &controld->told;
    if (told->role == status->role && told->term == status->term && told->leader == status->leader) return;
    controld->told = *status;
    LOG(reactor_log(controld->reactor), INFO, "raft.role",
        "role=%s term=%" PRIu64 " leader=%" PRIu64 " applied=%" PRIu64,
        status->role == RAFT_LEADER     ? "leader"
        : status->role == RAFT_FOLLOWER ? "follower"
                                        : "candidate",
        status->term, status->leader, status->applied);
}

static void machine_changed(void *context)
{
    struct controld *controld = context;
    struct raft_status status;
    member_status(controld->member, &status);
    bool leads = status.role == RAFT_LEADER;
    tell_role(controld, &status);
    proposals_lose(&controld->proposals, leads ? status.term : 0);
    duties_lead(&controld->duties, leads && member_is_caught_up(controld->member) && !controld->stopping);
    views_set_stale(&controld->views, !member_is_caught_up(controld->member));
    metrics_set(controld->metrics.leader, leads);
    metrics_set(controld->metrics.term, (int64_t)status.term);
    tell_health(controld, &status);
}

static void tick(struct timer *timer)
{
    struct controld *controld = CONTAINER_OF(timer, struct controld, tick);
    rpc_metrics_show(&controld->metrics.rpc, controld->rpc);
    timer_start_in(timer, TICK_NS);
}

/* ---- start ---- */

static void open_identity(struct controld *controld)
{
    char why[IDENTITY_WHY_BYTES];
    const struct uuid *cluster = &controld->settings->common.cluster_uuid;
    enum status status = identity_open(controld->reactor, cluster, &controld->identity, why);
    if (status != STATUS_OK) env_die(controld->host.env, status, why);
    /* A controller's mark is its number: another one's log must not vote under a new name. */
    int64_t mark = controld->identity.identity.mark;
    if (mark == 0) {
        status = identity_set_mark(&controld->identity, (int64_t)controld->id);
        if (status != STATUS_OK) env_die(controld->host.env, status, "identity: it could not be written");
    } else if (mark != (int64_t)controld->id) {
        char words[200];
        snprintf(words, sizeof words,
            "storage.directory belongs to controller %" PRId64 ", not to %" PRIu64 "; check raft.id", mark,
            controld->id);
        env_die(controld->host.env, STATUS_CONFLICT, words);
    }
}

static void open_rpc(struct controld *controld)
{
    struct rpc_options options = {.reactor = controld->reactor,
        .self =
            rpc_info_of_start(controld->host.env, RPC_ROLE_CONTROLLER, controld->settings->common.cluster_uuid.bytes)};
    options.self.daemon_id = controld->id;
    options.self.boot = controld->identity.identity.boot;
    controld->rpc = rpc_create(&options);
    timer_init(&controld->tick, controld->reactor, tick);
    timer_start_in(&controld->tick, TICK_NS);
    enum status status = member_start(controld->member, controld->rpc);
    if (status != STATUS_OK) env_die(controld->host.env, status, "the other controllers' addresses cannot be dialed");
    status = calls_listen(controld);
    if (status == STATUS_OK) return;
    char why[200];
    snprintf(why, sizeof why, "%s: cannot listen: %s", controld->listen_address,
        status == STATUS_CONFLICT ? "another process uses this address and port" : status_text(status));
    env_die(controld->host.env, status, why);
}

static void start(void *argument)
{
    struct controld *controld = argument;
    open_identity(controld);
    struct member_options options = {.reactor = controld->reactor,
        .cluster = controld->settings->common.cluster_uuid,
        .id = controld->id,
        .controllers = controld->controllers,
        .controllers_count = controld->controllers_count,
        .snapshot_entries = (uint64_t)controld->settings->snapshot_entries,
        .append_bytes = (uint64_t)controld->settings->append_bytes,
        .machine = {.resume = machine_resume,
            .install = machine_install,
            .apply = machine_apply,
            .snapshot = machine_snapshot,
            .changed = machine_changed,
            .context = controld}};
    controld->member = member_open(&options);
    proposals_init(&controld->proposals, controld->member);
    open_rpc(controld);
    controld->started = true;
    views_changed(&controld->views);
    LOG(reactor_log(controld->reactor), INFO, "controld.start",
        "id=%" PRIu64 " address=%s boot=%" PRIu64 " applied=%" PRIu64, controld->id, controld->listen_address,
        controld->identity.identity.boot, controld->state.applied);
    gate_open(&controld->gate);
}

/* ---- create ---- */

static enum status read_member(const char *text, struct view_controller *out)
{
    char *end;
    unsigned long id = strtoul(text, &end, 10);
    if (end == text || *end != '=' || id == 0 || id > UINT32_MAX) return STATUS_BAD_REQUEST;
    *out = (struct view_controller){.id = {(uint32_t)id}};
    return address_complete(end + 1, PORT_CONTROLLER, out->address);
}

static int compare_controllers(const void *a, const void *b)
{
    uint32_t x = ((const struct view_controller *)a)->id.value, y = ((const struct view_controller *)b)->id.value;
    return x < y ? -1 : x > y;
}

static enum status read_members(struct controld *controld, char why[HOST_WHY_BYTES])
{
    const struct config_list *members = &controld->settings->raft_members;
    if (members->count == 0 || members->count > CONTROLLERS_MAX) {
        snprintf(why, HOST_WHY_BYTES, "raft.members: 1 to %d controllers", CONTROLLERS_MAX);
        return STATUS_BAD_REQUEST;
    }
    bool found = false;
    for (size_t i = 0; i < members->count; i++) {
        struct view_controller *controller = &controld->controllers[i];
        if (read_member(members->items[i], controller) != STATUS_OK) {
            snprintf(why, HOST_WHY_BYTES, "raft.members: %.100s is not id=address", members->items[i]);
            return STATUS_BAD_REQUEST;
        }
        found = found || controller->id.value == controld->id;
        for (size_t other = 0; other < i; other++) {
            const struct view_controller *before = &controld->controllers[other];
            if (before->id.value != controller->id.value && strcmp(before->address, controller->address) != 0) continue;
            snprintf(why, HOST_WHY_BYTES, "raft.members: %.100s and %.100s are the same", members->items[other],
                members->items[i]);
            return STATUS_BAD_REQUEST;
        }
    }
    if (!found) {
        snprintf(why, HOST_WHY_BYTES, "raft.id: controller %" PRIu64 " is not among raft.members", controld->id);
        return STATUS_BAD_REQUEST;
    }
    controld->controllers_count = (unsigned)members->count;
    qsort(controld->controllers, controld->controllers_count, sizeof controld->controllers[0], compare_controllers);
    return STATUS_OK;
}

static void make_metrics(struct controld_metrics *out, struct metrics *metrics)
{
    out->leader = metrics_gauge(metrics, "trillium_controld_leader", "", "1 while this controller leads");
    out->term = metrics_gauge(metrics, "trillium_controld_term", "", "Raft term");
    out->applied = metrics_gauge(metrics, "trillium_controld_applied", "", "index of the last applied entry");
    out->view_version = metrics_gauge(metrics, "trillium_controld_view_version", "", "newest version of the view");
    out->log_bytes = metrics_gauge(metrics, "trillium_controld_log_bytes", "", "size of the Raft log on disk");
    out->nodes = metrics_gauge(metrics, "trillium_controld_nodes", "", "registered nodes");
    out->ranges = metrics_gauge(metrics, "trillium_controld_ranges", "", "ranges of all tables");
    rpc_metrics_init(&out->rpc, metrics);
    out->changes = metrics_counter(metrics, "trillium_controld_changes_total", "", "applied changes");
}

enum status controld_create(const struct host *host, const struct controld_settings *settings, struct meta_store *store,
    struct controld **out, char why[HOST_WHY_BYTES])
{
    CHECK(host->reactors_count == 1);
    struct controld *controld = mem_zalloc(sizeof *controld);
    controld->host = *host;
    controld->reactor = host->reactors[0];
    controld->settings = settings;
    controld->id = (uint64_t)settings->raft_id;
    enum status status = read_members(controld, why);
    if (status == STATUS_OK && uuid_is_zero(&settings->common.cluster_uuid)) {
        snprintf(why, HOST_WHY_BYTES, "cluster.uuid: it must be given");
        status = STATUS_BAD_REQUEST;
    }
    if (status == STATUS_OK) {
        status = address_complete(settings->common.listen_address, PORT_CONTROLLER, controld->listen_address);
        if (status != STATUS_OK)
            snprintf(why, HOST_WHY_BYTES, "listen.address: %.100s is no address", settings->common.listen_address);
    }
    if (status != STATUS_OK) {
        mem_free(controld);
        return status;
    }
    gate_init(&controld->gate);
    presence_init(&controld->presence);
    state_init(&controld->state, host->env, store, &settings->common.cluster_uuid);
    make_metrics(&controld->metrics, host->metrics);
    views_init(&controld->views, controld->reactor, &controld->state.catalog, controld->controllers,
        controld->controllers_count);
    duties_init(&controld->duties, controld->reactor, &controld->state.catalog, &controld->proposals,
        (unsigned)settings->bootstrap_nodes);
    health_set(host->health, HEALTH_STARTING, "reading the Raft log");
    fiber_start(controld->reactor, "start", start, controld);
    *out = controld;
    return STATUS_OK;
}

/* ---- stop ---- */

static void goodbye_done(void *context)
{
    struct controld *controld = context;
    controld->said_goodbye = true;
    gate_open(&controld->gate);
}

static void stop(void *argument)
{
    struct controld *controld = argument;
    while (!controld->started)
        gate_wait(controld->reactor, &controld->gate, REACTOR_NEVER);
    duties_lead(&controld->duties, false);
    views_close(&controld->views);
    member_hand_over(controld->member);
    proposals_lose(&controld->proposals, 0);
    rpc_goodbye(controld->rpc, goodbye_done, controld);
    while (!controld->said_goodbye)
        gate_wait(controld->reactor, &controld->gate, REACTOR_NEVER);
    member_close(controld->member);
    controld->member = NULL;
    timer_stop(&controld->tick);
    rpc_destroy(controld->rpc);
    controld->rpc = NULL;
    identity_close(&controld->identity);
    LOG(reactor_log(controld->reactor), INFO, "controld.stop", "applied=%" PRIu64, controld->state.applied);
    controld->host.stopped(controld->host.context);
}

void controld_stop(struct controld *controld)
{
    CHECK(!controld->stopping);
    controld->stopping = true;
    health_set(controld->host.health, HEALTH_DRAINING, "stopping");
    fiber_start(controld->reactor, "stop", stop, controld);
}

void controld_destroy(struct controld *controld)
{
    CHECK(controld->member == NULL && controld->rpc == NULL);
    views_fini(&controld->views);
    presence_fini(&controld->presence);
    state_fini(&controld->state);
    mem_free(controld);
}

/* ---- sight ---- */

bool controld_sight(const struct controld *controld, struct controld_sight *out)
{
    if (!controld->started || !controld->member) return false;
    struct raft_status status;
    member_status(controld->member, &status);
    *out = (struct controld_sight){
        .id = controld->id,
        .term = member_durable_term(controld->member),
        .leader = status.leader,
        .is_leader = status.role == RAFT_LEADER,
        .is_ready = member_is_caught_up(controld->member),
        .last = status.last,
        .commit = status.commit,
        .applied = controld->state.applied,
        .snapshot = status.snapshot.index,
        .digest = catalog_digest(&controld->state.catalog),
    };
    return true;
}

bool controld_digest_at(const struct controld *controld, uint64_t index, struct digest *out)
{
    return state_digest_at(&controld->state, index, out);
}

uint64_t controld_term_at(const struct controld *controld, uint64_t index)
{
    return controld->started ? member_term_at(controld->member, index) : 0;
}
