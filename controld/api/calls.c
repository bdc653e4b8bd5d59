/* calls: the handlers of the control conversation (docs/protocols/control.md). */
#include <inttypes.h>

#include "common/base/check.h"
#include "common/cluster/address.h"
#include "controld/api/controld_internal.h"
#include "proto/client.pb-c.h"
#include "proto/control.pb-c.h"

enum {
    IMPORT_DEADLINE_MS_DEFAULT = 60 * 1000,
    IMPORT_DEADLINE_MS_MAX = 60 * 60 * 1000,
    BLOCKS_PER_ROUTER_MAX = 64,
};

/* A change that a call asked for. Lies in the request's arena. */
struct asking {
    struct proposal proposal;
    struct controld *controld;
    struct rpc_request *request;
    enum command_kind kind;
    struct uuid uuid; /* REGISTER, REPLACE: the caller's */
};

/* ---- outcomes ---- */

/* CONFLICT: tells a node as what it is known, if it is, and if that one does not live. */
static void answer_known(struct controld *controld, struct rpc_request *request, struct uuid uuid)
{
    const struct catalog_daemon *known = catalog_daemon_by_uuid(&controld->state.catalog, DAEMON_NODE, &uuid);
    Trillium__V1__RegisterAnswer body = TRILLIUM__V1__REGISTER_ANSWER__INIT;
    struct uuid caller;
    memcpy(caller.bytes, request->from->instance, sizeof caller.bytes);
    if (known && !presence_is_up_beside(&controld->presence, known, &caller)) {
        body.known_uuid =
            (ProtobufCBinaryData){sizeof known->is.uuid.bytes, (uint8_t *)(uintptr_t)known->is.uuid.bytes};
        body.known_boot = known->is.boot;
    }
    rpc_answer(request, STATUS_CONFLICT, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
}

static void answer_not_leader(struct controld *controld, struct rpc_request *request)
{
    struct raft_status status;
    member_status(controld->member, &status);
    Trillium__V1__LeaderHint hint = TRILLIUM__V1__LEADER_HINT__INIT;
    hint.controller = (uint32_t)status.leader;
    for (unsigned i = 0; i < controld->controllers_count; i++)
        if (controld->controllers[i].id.value == status.leader && status.leader != controld->id)
            hint.address = controld->controllers[i].address;
    rpc_answer(request, STATUS_NOT_OWNER, &(struct rpc_answer){.body = RPC_MESSAGE(&hint)});
}

static void answer_change(struct asking *asking, const struct catalog_answer *answer)
{
    struct rpc_request *request = asking->request;
    struct rpc_answer out = {0};
    switch (asking->kind) {
    case COMMAND_REGISTER:
    case COMMAND_REPLACE: {
        if (answer->status == STATUS_CONFLICT) {
            answer_known(asking->controld, request, asking->uuid);
            return;
        }
        Trillium__V1__RegisterAnswer body = TRILLIUM__V1__REGISTER_ANSWER__INIT;
        body.id = answer->id;
        body.view_version = asking->controld->state.catalog.view_version;
        out.body = RPC_MESSAGE(&body);
        rpc_answer(request, answer->status, &out);
        return;
    }
    case COMMAND_MAKERS: {
        Trillium__V1__MakersAnswer body = TRILLIUM__V1__MAKERS_ANSWER__INIT;
        uint32_t blocks[CATALOG_BLOCKS];
        for (unsigned i = 0; i < answer->blocks_count; i++)
            blocks[i] = answer->blocks[i];
        body.n_blocks = answer->blocks_count;
        body.blocks = blocks;
        out.body = RPC_MESSAGE(&body);
        rpc_answer(request, answer->status, &out);
        return;
    }
    case COMMAND_IMPORT_BEGIN:
    case COMMAND_IMPORT_RENEW:
    case COMMAND_IMPORT_END: {
        Trillium__V1__ImportAnswer body = TRILLIUM__V1__IMPORT_ANSWER__INIT;
        body.session = answer->number;
        out.body = RPC_MESSAGE(&body);
        rpc_answer(request, answer->status, &out);
        return;
    }
    case COMMAND_EPOCH: {
        Trillium__V1__EpochAnswer body = TRILLIUM__V1__EPOCH_ANSWER__INIT;
        body.epoch = answer->number;
        out.body = RPC_MESSAGE(&body);
        rpc_answer(request, answer->status, &out);
        return;
    }
    default:
        rpc_answer(request, answer->status, NULL);
    }
}

static void change_done(struct proposal *proposal, enum status status, const struct catalog_answer *answer)
{
    struct asking *asking = CONTAINER_OF(proposal, struct asking, proposal);
    if (answer)
        answer_change(asking, answer);
    else if (status == STATUS_NOT_OWNER)
        answer_not_leader(asking->controld, asking->request);
    else
        rpc_answer(asking->request, status, NULL);
}

static void ask(struct controld *controld, struct rpc_request *request, struct command *command)
{
    command->stamp_us = reactor_wall_us(controld->reactor);
    struct asking *asking = arena_zalloc(&request->arena, sizeof *asking);
    asking->proposal.done = change_done;
    asking->controld = controld;
    asking->request = request;
    asking->kind = command->kind;
    if (command->kind == COMMAND_REGISTER) asking->uuid = command->registration.uuid;
    if (command->kind == COMMAND_REPLACE) asking->uuid = command->replace.uuid;
    enum status status =
        controld->stopping ? STATUS_UNAVAILABLE : proposals_make(&controld->proposals, command, &asking->proposal);
    if (status == STATUS_OK) return;
    if (status == STATUS_NOT_OWNER)
        answer_not_leader(controld, request);
    else
        rpc_answer(request, status, NULL);
}

/* ---- register ---- */

static bool copy_text(char *out, size_t size, const char *text)
{
    size_t length = strlen(text);
    if (length >= size) return false;
    memcpy(out, text, length + 1);
    return true;
}

static bool read_registration(
    const Trillium__V1__RegisterCall *call, const struct rpc_info *from, struct command_register *out)
{
    *out = (struct command_register){.boot = call->boot, .shards = (uint16_t)call->shards};
    if (call->role == TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_NODE) out->role = DAEMON_NODE;
    if (call->role == TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_ROUTER) out->role = DAEMON_ROUTER;
    enum rpc_role role = out->role == DAEMON_NODE ? RPC_ROLE_NODE : RPC_ROLE_ROUTER;
    if (out->role == 0 || from->role != role) return false;
    if (call->uuid.len != sizeof out->uuid.bytes || call->boot == 0) return false;
    memcpy(out->uuid.bytes, call->uuid.data, sizeof out->uuid.bytes);
    memcpy(out->instance.bytes, from->instance, sizeof out->instance.bytes);
    if (uuid_is_zero(&out->uuid) || call->shards == 0 || call->shards > SHARDS_MAX) return false;
    uint16_t port = out->role == DAEMON_NODE ? PORT_NODE : PORT_ROUTER;
    if (address_complete(call->address, port, out->address) != STATUS_OK) return false;
    if (!copy_text(out->version, sizeof out->version, call->version)) out->version[0] = 0;
    return copy_text(out->zone, sizeof out->zone, call->zone);
}

/* Another daemon that has a pipe to us is registered at this address. */
static bool address_is_taken(const struct controld *controld, const struct command_register *registration)
{
    const struct catalog_daemons *both[2] = {&controld->state.catalog.nodes, &controld->state.catalog.routers};
    for (unsigned kind = 0; kind < 2; kind++)
        for (unsigned i = 0; i < both[kind]->count; i++) {
            const struct catalog_daemon *daemon = &both[kind]->items[i];
            if (strcmp(daemon->is.address, registration->address) != 0) continue;
            if (uuid_equal(&daemon->is.uuid, &registration->uuid)) continue;
            if (uuid_equal(&daemon->is.instance, &registration->instance)) continue;
            if (presence_is_up(&controld->presence, daemon)) return true;
        }
    return false;
}

/* The node, dead now, whose address a data directory that nobody knows comes up at: its disk was replaced or emptied.
 */
static const struct catalog_daemon *node_without_disk(
    const struct controld *controld, const struct command_register *registration)
{
    const struct catalog *catalog = &controld->state.catalog;
    if (registration->role != DAEMON_NODE || catalog_daemon_by_uuid(catalog, DAEMON_NODE, &registration->uuid))
        return NULL;
    for (unsigned i = 0; i < catalog->nodes.count; i++)
        if (strcmp(catalog->nodes.items[i].is.address, registration->address) == 0) return &catalog->nodes.items[i];
    return NULL;
}

static void register_daemon(
    struct controld *controld, struct rpc_request *request, const struct command_register *registration)
{
    const struct catalog_daemon *node = node_without_disk(controld, registration);
    if (node) {
        LOG(reactor_log(controld->reactor), WARN, "register.unknown",
            "node=%u address=%s why=\"its data directory is another one\"", node->id, registration->address);
        answer_known(controld, request, node->is.uuid);
        return;
    }
    struct command command = {.kind = COMMAND_REGISTER, .registration = *registration};
    ask(controld, request, &command);
}

static void replace_node(struct controld *controld, struct rpc_request *request, const Trillium__V1__RegisterCall *call,
    const struct command_register *registration)
{
    struct command command = {
        .kind = COMMAND_REPLACE, .replace = {.boot = call->replaces_boot, .registration = *registration}};
    if (call->replaces_uuid.len != sizeof command.replace.uuid.bytes || registration->role != DAEMON_NODE) {
        rpc_answer(request, STATUS_BAD_REQUEST, NULL);
        return;
    }
    memcpy(command.replace.uuid.bytes, call->replaces_uuid.data, sizeof command.replace.uuid.bytes);
    LOG(reactor_log(controld->reactor), WARN, "register.replace", "address=%s boot=%" PRIu64, registration->address,
        registration->boot);
    ask(controld, request, &command);
}

static void handle_register(void *context, struct rpc_request *request)
{
    struct controld *controld = context;
    const Trillium__V1__RegisterCall *call =
        rpc_decode(&request->arena, &trillium__v1__register_call__descriptor, request->body);
    struct command_register registration;
    if (!call || !read_registration(call, request->from, &registration)) {
        rpc_answer(request, STATUS_BAD_REQUEST, NULL);
    } else if (address_is_taken(controld, &registration)) {
        LOG(reactor_log(controld->reactor), WARN, "register.refused", "address=%s why=\"a live daemon has it\"",
            registration.address);
        rpc_answer(request, STATUS_CONFLICT, NULL);
    } else if (call->replaces_uuid.len) {
        replace_node(controld, request, call, &registration);
    } else {
        register_daemon(controld, request, &registration);
    }
}

/* ---- makers, imports, ranges ---- */

static void handle_makers(void *context, struct rpc_request *request)
{
    const Trillium__V1__MakersCall *call =
        rpc_decode(&request->arena, &trillium__v1__makers_call__descriptor, request->body);
    if (!call || call->router == 0 || call->blocks > BLOCKS_PER_ROUTER_MAX) {
        rpc_answer(request, STATUS_BAD_REQUEST, NULL);
        return;
    }
    struct command command = {.kind = COMMAND_MAKERS, .makers = {{call->router}, (uint16_t)call->blocks}};
    ask(context, request, &command);
}

static void handle_import(void *context, struct rpc_request *request)
{
    struct controld *controld = context;
    const Trillium__V1__ImportCall *call =
        rpc_decode(&request->arena, &trillium__v1__import_call__descriptor, request->body);
    struct command command = {0};
    if (call && call->action == TRILLIUM__V1__IMPORT_ACTION__IMPORT_ACTION_BEGIN) command.kind = COMMAND_IMPORT_BEGIN;
    if (call && call->action == TRILLIUM__V1__IMPORT_ACTION__IMPORT_ACTION_RENEW) command.kind = COMMAND_IMPORT_RENEW;
    if (call && call->action == TRILLIUM__V1__IMPORT_ACTION__IMPORT_ACTION_END) command.kind = COMMAND_IMPORT_END;
    bool begins = command.kind == COMMAND_IMPORT_BEGIN;
    if (command.kind == 0 || begins != (call->session == 0) || call->deadline_ms > IMPORT_DEADLINE_MS_MAX ||
        !copy_text(command.import.label, sizeof command.import.label, call->label)) {
        rpc_answer(request, STATUS_BAD_REQUEST, NULL);
        return;
    }
    int64_t deadline_ms = call->deadline_ms ? call->deadline_ms : IMPORT_DEADLINE_MS_DEFAULT;
    command.import.import = call->session;
    command.import.table.value = call->table ? call->table : CHAT_MESSAGES_ID;
    command.import.deadline_us = reactor_wall_us(controld->reactor) + deadline_ms * 1000;
    ask(controld, request, &command);
}

static void handle_horizon(void *context, struct rpc_request *request)
{
    const Trillium__V1__HorizonCall *call = rpc_request_decode(request, &trillium__v1__horizon_call__descriptor);
    if (!call) return;
    struct command command = {.kind = COMMAND_HORIZON, .horizon = {{call->table}, call->unix_ms}};
    ask(context, request, &command);
}

static void handle_epoch(void *context, struct rpc_request *request)
{
    const Trillium__V1__EpochCall *call = rpc_request_decode(request, &trillium__v1__epoch_call__descriptor);
    if (!call) return;
    struct command command = {.kind = COMMAND_EPOCH, .epoch = {call->range}};
    ask(context, request, &command);
}

/* ---- lapses ---- */

static void handle_lapse(void *context, struct rpc_request *request)
{
    struct controld *controld = context;
    const Trillium__V1__LapseCall *call =
        rpc_decode(&request->arena, &trillium__v1__lapse_call__descriptor, request->body);
    struct command command = {.kind = COMMAND_LAPSE};
    if (!call || call->n_ranges == 0 || call->n_ranges > RANGES_PER_LAPSE_MAX) {
        rpc_answer(request, STATUS_BAD_REQUEST, NULL);
        return;
    }
    command.lapse.node.value = call->node;
    command.lapse.ranges_count = (uint16_t)call->n_ranges;
    for (size_t i = 0; i < call->n_ranges; i++)
        command.lapse.ranges[i] = (struct command_lapsed_range){{call->ranges[i]->range}, call->ranges[i]->known};
    LOG(reactor_log(controld->reactor), WARN, "replicas.lapse", "node=%u ranges=%zu", call->node, call->n_ranges);
    ask(controld, request, &command);
}

static void handle_rebuilt(void *context, struct rpc_request *request)
{
    const Trillium__V1__RebuiltCall *call = rpc_request_decode(request, &trillium__v1__rebuilt_call__descriptor);
    if (!call) return;
    struct command command = {.kind = COMMAND_REBUILT, .rebuilt = {{call->node}, {call->range}, call->lapsed_at}};
    ask(context, request, &command);
}

/* ---- info ---- */

static void add_controllers(struct controld *controld, const struct raft_status *status, struct arena *arena,
    Trillium__V1__ClusterInfoAnswer *body)
{
    body->n_controllers = controld->controllers_count;
    body->controllers = arena_alloc(arena, controld->controllers_count * sizeof(*body->controllers));
    for (unsigned i = 0; i < controld->controllers_count; i++) {
        Trillium__V1__ControllerInfo *info = arena_alloc(arena, sizeof *info);
        *info = (Trillium__V1__ControllerInfo)TRILLIUM__V1__CONTROLLER_INFO__INIT;
        info->id = controld->controllers[i].id.value;
        info->address = controld->controllers[i].address;
        info->leader = info->id == status->leader;
        info->up = info->id == controld->id || member_peer_is_up(controld->member, info->id);
        for (uint32_t p = 0; p < status->peers_count; p++)
            if (status->peers[p].id == info->id) info->match = status->peers[p].match;
        body->controllers[i] = info;
    }
}

static Trillium__V1__DaemonInfo *daemon_info(
    const struct controld *controld, const struct catalog_daemon *daemon, struct arena *arena)
{
    bool is_node = daemon->is.role == DAEMON_NODE;
    Trillium__V1__DaemonInfo *info = arena_alloc(arena, sizeof *info);
    *info = (Trillium__V1__DaemonInfo)TRILLIUM__V1__DAEMON_INFO__INIT;
    info->role = is_node ? TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_NODE : TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_ROUTER;
    info->id = daemon->id;
    info->uuid = (ProtobufCBinaryData){sizeof daemon->is.uuid.bytes, (uint8_t *)(uintptr_t)daemon->is.uuid.bytes};
    info->address = (char *)(uintptr_t)daemon->is.address;
    info->zone = (char *)(uintptr_t)daemon->is.zone;
    info->shards = daemon->is.shards;
    info->boot = daemon->is.boot;
    info->up = presence_is_up(&controld->presence, daemon);
    info->version = (char *)(uintptr_t)daemon->is.version;
    if (is_node) info->ranges = catalog_ranges_of(&controld->state.catalog, (struct node_id){daemon->id});
    if (is_node) info->ranges_lapsed = catalog_lapsed_of(&controld->state.catalog, (struct node_id){daemon->id});
    return info;
}

static void add_daemons(struct controld *controld, struct arena *arena, Trillium__V1__ClusterInfoAnswer *body)
{
    const struct catalog *catalog = &controld->state.catalog;
    body->daemons = arena_alloc(arena, (catalog->nodes.count + catalog->routers.count) * sizeof(*body->daemons));
    for (unsigned i = 0; i < catalog->nodes.count; i++)
        body->daemons[body->n_daemons++] = daemon_info(controld, &catalog->nodes.items[i], arena);
    for (unsigned i = 0; i < catalog->routers.count; i++)
        body->daemons[body->n_daemons++] = daemon_info(controld, &catalog->routers.items[i], arena);
}

static void add_ranges(struct controld *controld, struct arena *arena, Trillium__V1__ClusterInfoAnswer *body)
{
    const struct catalog *catalog = &controld->state.catalog;
    bool *up = arena_zalloc(arena, catalog->nodes.count + 1);
    for (unsigned i = 0; i < catalog->nodes.count; i++)
        up[catalog->nodes.items[i].id] = presence_is_up(&controld->presence, &catalog->nodes.items[i]);
    body->ranges = catalog->ranges_count;
    for (unsigned i = 0; i < catalog->ranges_count; i++) {
        const struct view_range *range = &catalog->ranges[i];
        unsigned live = 0;
        for (unsigned r = 0; r < range->replicas_count; r++) {
            live += up[range->replicas[r].value] && !view_range_is_lapsed(range, r);
            body->replicas_lapsed += view_range_is_lapsed(range, r);
        }
        body->ranges_below_quorum += live < range->replicas_count / 2u + 1;
        if (range->replicas_count > body->replication) body->replication = range->replicas_count;
    }
}

static void handle_info(void *context, struct rpc_request *request)
{
    struct controld *controld = context;
    const struct catalog *catalog = &controld->state.catalog;
    struct raft_status status;
    member_status(controld->member, &status);
    Trillium__V1__ClusterInfoAnswer body = TRILLIUM__V1__CLUSTER_INFO_ANSWER__INIT;
    body.cluster_uuid =
        (ProtobufCBinaryData){sizeof catalog->cluster.bytes, (uint8_t *)(uintptr_t)catalog->cluster.bytes};
    body.cluster_name = controld->settings->common.cluster_name;
    body.view_version = catalog->view_version;
    body.term = status.term;
    body.applied = status.applied;
    body.leader = (uint32_t)status.leader;
    body.imports = catalog->imports_count;
    add_controllers(controld, &status, &request->arena, &body);
    add_daemons(controld, &request->arena, &body);
    add_ranges(controld, &request->arena, &body);
    rpc_answer(request, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
}

/* ---- listening ---- */

static enum status admit(void *context, const struct rpc_info *info, const char *remote)
{
    (void)remote;
    struct controld *controld = context;
    if (info->role == RPC_ROLE_CONTROLLER) {
        for (unsigned i = 0; i < controld->controllers_count; i++)
            if (controld->controllers[i].id.value == info->daemon_id && info->daemon_id != controld->id)
                return STATUS_OK;
        return STATUS_DENIED;
    }
    presence_came(&controld->presence, info);
    return STATUS_OK;
}

static void gone(void *context, const struct rpc_info *info)
{
    struct controld *controld = context;
    presence_gone(&controld->presence, info);
}

enum status calls_listen(struct controld *controld)
{
    const uint16_t controller = RPC_ROLE_BIT(RPC_ROLE_CONTROLLER), router = RPC_ROLE_BIT(RPC_ROLE_ROUTER),
                   node = RPC_ROLE_BIT(RPC_ROLE_NODE), admin = RPC_ROLE_BIT(RPC_ROLE_ADMIN);
    const uint16_t all = RPC_ROLES_DAEMONS | admin;
    const struct rpc_handler handlers[] = {
        {METHOD_CONTROL_REGISTER, router | node, handle_register, controld},
        {METHOD_CONTROL_VIEW, all, views_handle, &controld->views},
        {METHOD_CONTROL_MAKERS, router, handle_makers, controld},
        {METHOD_CONTROL_IMPORT, router | admin, handle_import, controld},
        {METHOD_CONTROL_HORIZON, all, handle_horizon, controld},
        {METHOD_CONTROL_EPOCH, all, handle_epoch, controld},
        {METHOD_CONTROL_INFO, all, handle_info, controld},
        {METHOD_CONTROL_LAPSE, node, handle_lapse, controld},
        {METHOD_CONTROL_REBUILT, node, handle_rebuilt, controld},
        {METHOD_RAFT_STEP, controller, member_handle_step, controld->member},
        {METHOD_RAFT_SNAPSHOT, controller, member_handle_snapshot, controld->member},
    };
    struct rpc_listen_options options = {.address = controld->listen_address,
        .kind = RPC_INTERNAL,
        .pipes_max = 4096,
        .handlers = handlers,
        .handlers_count = sizeof handlers / sizeof handlers[0],
        .admit = admit,
        .gone = gone,
        .context = controld};
    return rpc_listen(controld->rpc, &options, &controld->listener);
}
