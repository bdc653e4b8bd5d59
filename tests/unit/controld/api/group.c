#include "tests/unit/controld/api/group.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/check.h"
#include "common/obs/health.h"
#include "common/obs/metrics.h"
#include "common/runtime/fiber.h"
#include "common/runtime/identity.h"
#include "controld/settings.h"
#include "controld/store/meta_memory.h"
#include "tests/sim/sim_mem.h"

static const struct uuid CLUSTER = {{0xc1}};

struct group_body {
    struct controld_settings settings;
    char *members[GROUP_MAX];
    struct meta_store *store;
    struct reactor *reactor;
    struct metrics *metrics;
    struct health health;
    struct controld *controld;
};

/* ---- controllers ---- */

static void host_stopped(void *context)
{
    struct group_controller *controller = context;
    controller->stopped = true;
}

static void boot_controller(struct env *env, void *context)
{
    struct group_controller *controller = context;
    struct group *group = controller->group;
    struct group_body *body = mem_zalloc(sizeof *body);
    controller->body = body;
    body->settings = (struct controld_settings){.raft_id = controller->number,
        .raft_members = {body->members, group->count},
        .snapshot_entries = group->snapshot_entries,
        .bootstrap_nodes = group->bootstrap_nodes};
    body->settings.common.cluster_uuid = CLUSTER;
    body->settings.common.cluster_name = mem_strdup("test");
    body->settings.common.listen_address = mem_strdup(controller->address);
    for (unsigned i = 0; i < group->count; i++)
        body->members[i] = controller->members[i];
    body->store = meta_memory_create();
    body->reactor = reactor_create(env, controller->name, 0);
    body->metrics = metrics_create(METRICS_SERIES_DEFAULT);
    health_init(&body->health);
    struct host host = {.env = env,
        .reactors = &body->reactor,
        .reactors_count = 1,
        .metrics = body->metrics,
        .health = &body->health,
        .stopped = host_stopped,
        .context = controller};
    char why[HOST_WHY_BYTES];
    enum status status = controld_create(&host, &body->settings, body->store, &body->controld, why);
    if (status != STATUS_OK) env_die(env, status, why);
}

static void begin_stop(struct env *env, void *argument)
{
    (void)env;
    struct group_controller *controller = argument;
    controld_stop(controller->body->controld);
}

static void take_apart(struct env *env, void *argument)
{
    (void)env;
    struct group_controller *controller = argument;
    struct group_body *body = controller->body;
    controld_destroy(body->controld);
    meta_store_destroy(body->store);
    reactor_destroy(body->reactor);
    metrics_destroy(body->metrics);
    health_fini(&body->health);
    mem_free(body->settings.common.cluster_name);
    mem_free(body->settings.common.listen_address);
    mem_free(body);
}

static struct group_controller *at(struct group *group, unsigned number)
{
    CHECK(number >= 1 && number <= group->count);
    return &group->controllers[number - 1];
}

void group_start(struct group *group, unsigned number)
{
    struct group_controller *controller = at(group, number);
    controller->stopped = false;
    process_start(controller->process, boot_controller, controller);
}

void group_start_all(struct group *group)
{
    for (unsigned i = 1; i <= group->count; i++)
        if (!group_is_running(group, i)) group_start(group, i);
}

void group_kill(struct group *group, unsigned number)
{
    process_kill(at(group, number)->process);
}

void group_power_cut(struct group *group, unsigned number)
{
    process_power_cut(at(group, number)->process);
}

static void remove_all(struct reactor *reactor, const char *folder)
{
    struct disk_names names;
    CHECK(disk_list(reactor, folder, &names) == STATUS_OK);
    for (uint32_t i = 0; i < names.count; i++) {
        char path[DISK_PATH_BYTES_MAX];
        snprintf(path, sizeof path, "%s%s%s", folder, folder[0] ? "/" : "", names.names[i]);
        if (strcmp(path, "raft") == 0)
            remove_all(reactor, path);
        else
            CHECK(disk_unlink(reactor, path) == STATUS_OK);
    }
    disk_names_free(&names);
    CHECK(disk_sync_dir(reactor, folder) == STATUS_OK);
}

static void wipe_fiber(void *argument)
{
    remove_all(argument, "");
}

static void boot_wiper(struct env *env, void *context)
{
    (void)context;
    struct reactor *reactor = reactor_create(env, "wiper", 0);
    fiber_start(reactor, "wiper", wipe_fiber, reactor);
}

void group_wipe(struct group *group, unsigned number)
{
    struct process *process = at(group, number)->process;
    process_start(process, boot_wiper, NULL);
    world_run_until(group->world, world_now(group->world) + WORLD_S);
    process_kill(process);
}

bool group_is_running(const struct group *group, unsigned number)
{
    return process_is_running(group->controllers[number - 1].process);
}

void group_stop(struct group *group, unsigned number)
{
    struct group_controller *controller = at(group, number);
    process_call(controller->process, begin_stop, controller);
    for (int i = 0; i < 1000 && !controller->stopped && !world_failure(group->world); i++)
        group_run(group, 10);
    if (!controller->stopped)
        world_fail(group->world, "stop", "%s does not stop", controller->name);
    else if (process_call(controller->process, take_apart, controller))
        process_end(controller->process);
}

static void died(void *context, struct process *process, enum status status, const char *why)
{
    struct group *group = context;
    group->deaths++;
    if (group->may_die && status_class(status) == STATUS_CLASS_LOCAL) return;
    world_fail(group->world, "death", "%s dies of itself: %s: %s", process_name(process), status_name(status), why);
}

/* ---- sight ---- */

struct look {
    struct group_controller *controller;
    struct controld_sight *sight;
    uint64_t index;
    struct digest digest;
    bool found;
};

static void take_sight(struct env *env, void *argument)
{
    (void)env;
    struct look *look = argument;
    look->found = controld_sight(look->controller->body->controld, look->sight);
}

static void take_digest(struct env *env, void *argument)
{
    (void)env;
    struct look *look = argument;
    look->found = controld_digest_at(look->controller->body->controld, look->index, &look->digest);
}

bool group_sight(struct group *group, unsigned number, struct controld_sight *out)
{
    struct look look = {.controller = at(group, number), .sight = out};
    return process_call(look.controller->process, take_sight, &look) && look.found;
}

static bool digest_of(struct group *group, unsigned number, uint64_t index, struct digest *out)
{
    struct look look = {.controller = at(group, number), .index = index};
    if (!process_call(look.controller->process, take_digest, &look) || !look.found) return false;
    *out = look.digest;
    return true;
}

static void check_leader(struct group *group, const struct controld_sight *sight)
{
    if (!sight->is_leader || sight->term >= GROUP_TERMS_MAX) return;
    uint8_t *leader = &group->leaders[sight->term];
    if (*leader && *leader != sight->id)
        world_fail(
            group->world, "I1", "term %" PRIu64 " has two leaders, %u and %" PRIu64, sight->term, *leader, sight->id);
    *leader = (uint8_t)sight->id;
}

static void compare(struct group *group)
{
    struct controld_sight sight;
    for (unsigned a = 1; a <= group->count; a++) {
        if (!group_sight(group, a, &sight)) continue;
        check_leader(group, &sight);
        for (unsigned b = 1; b <= group->count; b++) {
            struct digest mine, other;
            if (a == b || !digest_of(group, a, sight.applied, &mine) || !digest_of(group, b, sight.applied, &other))
                continue;
            group->compared++;
            if (mine.low == other.low && mine.high == other.high) continue;
            world_fail(group->world, "I7", "controllers %u and %u differ at %" PRIu64, a, b, sight.applied);
        }
    }
}

void group_run(struct group *group, uint64_t ms)
{
    uint64_t end = world_now(group->world) + ms * WORLD_MS;
    while (world_now(group->world) < end && !world_failure(group->world)) {
        uint64_t next = world_now(group->world) + 50 * WORLD_MS;
        world_run_until(group->world, next < end ? next : end);
        compare(group);
    }
}

unsigned group_leader(struct group *group)
{
    unsigned leader = 0;
    uint64_t term = 0;
    for (unsigned i = 1; i <= group->count; i++) {
        struct controld_sight sight;
        if (!group_sight(group, i, &sight) || !sight.is_leader || sight.term < term) continue;
        leader = i;
        term = sight.term;
    }
    return leader;
}

unsigned group_await_leader(struct group *group, uint64_t ms)
{
    for (uint64_t waited = 0; waited < ms && !world_failure(group->world); waited += 20) {
        unsigned leader = group_leader(group);
        struct controld_sight sight;
        if (leader && group_sight(group, leader, &sight) && sight.is_ready) return leader;
        group_run(group, 20);
    }
    return 0;
}

static bool all_equal(struct group *group)
{
    struct controld_sight first = {0};
    for (unsigned i = 1; i <= group->count; i++) {
        struct controld_sight sight;
        if (!group_is_running(group, i)) continue;
        if (!group_sight(group, i, &sight) || !sight.is_ready) return false;
        if (first.applied && (first.applied != sight.applied || first.digest.low != sight.digest.low)) return false;
        first = sight;
    }
    return first.applied > 0;
}

bool group_await_equal(struct group *group, uint64_t ms)
{
    for (uint64_t waited = 0; waited < ms && !world_failure(group->world); waited += 50) {
        if (all_equal(group)) return true;
        group_run(group, 50);
    }
    return false;
}

void group_partition(struct group *group, uint32_t set)
{
    uint64_t hosts = 0;
    for (unsigned i = 1; i <= group->count; i++)
        if (set & 1u << i) hosts |= UINT64_C(1) << at(group, i)->host;
    if (set)
        sim_net_partition(group->net, hosts);
    else
        sim_net_heal(group->net);
}

/* ---- the client ---- */

static void open_calls(
    struct group *group, struct env *env, struct rpc_info self, struct reactor **reactor, struct controllers **calls)
{
    *reactor = reactor_create(env, "client", 0);
    memcpy(self.cluster, CLUSTER.bytes, sizeof self.cluster);
    env_entropy(env, self.instance, sizeof self.instance);
    struct rpc *rpc = rpc_create(&(struct rpc_options){.reactor = *reactor, .self = self});
    const char *addresses[GROUP_MAX];
    for (unsigned i = 0; i < group->count; i++)
        addresses[i] = group->controllers[i].address;
    CHECK(controllers_create(rpc, addresses, group->count, calls) == STATUS_OK);
    group->rpc = rpc;
}

static void boot_admin(struct env *env, void *context)
{
    struct group *group = context;
    struct reactor *reactor;
    open_calls(group, env, (struct rpc_info){.role = RPC_ROLE_ADMIN}, &reactor, &group->calls);
}

static void ask_fiber(void *argument)
{
    struct asked *asked = argument;
    struct group *group = asked->group;
    struct controllers_call call = {.method = asked->method,
        .leader = asked->leader,
        .budget_us = 1000000,
        .deadline_ns = reactor_now_ns(rpc_reactor(group->rpc)) + asked->deadline_ms * WORLD_MS};
    struct arena arena = {0};
    struct rpc_reply reply;
    asked->status =
        controllers_call_wait(group->calls, &call, RPC_BYTES(bytes_of(asked->sent, asked->sent_bytes)), &arena, &reply);
    CHECK(reply.body.size <= sizeof asked->body);
    asked->bytes = (uint32_t)reply.body.size;
    if (asked->bytes) memcpy(asked->body, reply.body.data, asked->bytes);
    asked->done = true;
    arena_free(&arena);
}

static void ask_inside(struct env *env, void *argument)
{
    (void)env;
    struct asked *asked = argument;
    fiber_start(rpc_reactor(asked->group->rpc), "ask", ask_fiber, asked);
}

void group_ask(struct group *group, struct asked *asked, uint16_t method, const ProtobufCMessage *message)
{
    asked->group = group;
    asked->method = method;
    asked->leader = method != METHOD_CONTROL_INFO && method != METHOD_CONTROL_VIEW;
    asked->done = false;
    if (asked->deadline_ms == 0) asked->deadline_ms = 10000;
    CHECK(protobuf_c_message_get_packed_size(message) <= sizeof asked->sent);
    asked->sent_bytes = (uint32_t)protobuf_c_message_pack(message, asked->sent);
    process_call(group->admin, ask_inside, asked);
    /* A reactor that sleeps learns of it. */
    reactor_wake(rpc_reactor(group->rpc));
}

enum status group_call(struct group *group, struct asked *asked, uint16_t method, const ProtobufCMessage *message)
{
    group_ask(group, asked, method, message);
    while (!asked->done && !world_failure(group->world))
        group_run(group, 20);
    return asked->done ? asked->status : STATUS_TIMEOUT;
}

/* ---- nodes ---- */

static void node_changed(void *context, struct shared_view *view)
{
    struct group_node *node = context;
    if (view->view.version < node->version)
        world_fail(node->group->world, "view", "%s: the view goes back", node->name);
    node->views++;
    node->version = view->view.version;
    node->ranges = view->view.ranges_count;
    node->nodes = view->view.nodes_count;
}

static void node_registered(void *context, uint32_t id)
{
    struct group_node *node = context;
    if (node->id && node->id != id)
        world_fail(node->group->world, "register", "%s: its number changes from %u to %u", node->name, node->id, id);
    node->id = id;
}

struct node_start {
    struct group_node *node;
    struct reactor *reactor;
    struct controllers *calls;
};

static void node_fiber(void *argument)
{
    struct node_start *start = argument;
    struct identity_file identity;
    char why[IDENTITY_WHY_BYTES];
    CHECK(identity_open(start->reactor, &CLUSTER, &identity, why) == STATUS_OK);
    struct membership_options options = {.controllers = start->calls,
        .reactor = start->reactor,
        .cluster = CLUSTER,
        .uuid = identity.identity.daemon,
        .boot = identity.identity.boot,
        .address = start->node->address,
        .zone = start->node->name,
        .shards = 2,
        .changed = node_changed,
        .registered = node_registered,
        .context = start->node};
    start->node->membership = membership_start(&options);
}

static void boot_node(struct env *env, void *context)
{
    struct group_node *node = context;
    struct node_start *start = mem_zalloc(sizeof *start);
    start->node = node;
    struct rpc *admins = node->group->rpc;
    open_calls(node->group, env, (struct rpc_info){.role = RPC_ROLE_NODE}, &start->reactor, &start->calls);
    node->group->rpc = admins;
    fiber_start(start->reactor, "node", node_fiber, start);
}

void group_start_node(struct group *group)
{
    CHECK(group->nodes_count < GROUP_NODES_MAX);
    struct group_node *node = &group->nodes[group->nodes_count++];
    node->group = group;
    node->number = group->nodes_count;
    snprintf(node->name, sizeof node->name, "node%u", node->number);
    snprintf(node->address, sizeof node->address, "127.0.2.%u:7300", node->number);
    node->disk = sim_disk_create(world_seed_for(group->world, node->name));
    node->process = process_create(group->world, node->name, node->disk);
    sim_net_attach(group->net, node->process);
    process_start(node->process, boot_node, node);
}

/* ---- life ---- */

struct group *group_create(uint64_t seed, unsigned controllers, unsigned snapshot_entries)
{
    struct group *group = sim_alloc(sizeof *group);
    group->world = world_create(seed);
    group->net = sim_net_create(group->world);
    group->count = controllers;
    group->snapshot_entries = snapshot_entries;
    group->bootstrap_nodes = 3;
    for (unsigned i = 0; i < controllers; i++) {
        struct group_controller *controller = &group->controllers[i];
        controller->group = group;
        controller->number = i + 1;
        snprintf(controller->name, sizeof controller->name, "controller%u", i + 1);
        snprintf(controller->address, sizeof controller->address, "127.0.1.%u:7100", i + 1);
        for (unsigned m = 0; m < controllers; m++)
            snprintf(controller->members[m], sizeof controller->members[m], "%u=127.0.1.%u", m + 1, m + 1);
        controller->disk = sim_disk_create(world_seed_for(group->world, controller->name));
        controller->process = process_create(group->world, controller->name, controller->disk);
        controller->host = sim_net_attach(group->net, controller->process);
        process_on_death(controller->process, died, group);
    }
    group->admin = process_create(group->world, "admin", NULL);
    sim_net_attach(group->net, group->admin);
    process_start(group->admin, boot_admin, group);
    return group;
}

void group_destroy(struct group *group)
{
    process_destroy(group->admin);
    for (unsigned i = 0; i < group->nodes_count; i++) {
        process_destroy(group->nodes[i].process);
        sim_disk_destroy(group->nodes[i].disk);
    }
    for (unsigned i = 0; i < group->count; i++) {
        process_destroy(group->controllers[i].process);
        sim_disk_destroy(group->controllers[i].disk);
    }
    sim_net_destroy(group->net);
    world_destroy(group->world);
    mem_free(group);
}
