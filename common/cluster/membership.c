#include "common/cluster/membership.h"

#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/runtime/disk.h"
#include "common/runtime/fiber.h"
#include "common/runtime/file_header.h"
#include "proto/control.pb-c.h"

#define VIEW_PATH "view"

enum {
    VIEW_BYTES_MAX = 64 << 20,
    VIEW_MAJOR = 1,
    RETRY_MS = 200,
    VIEW_PARK_US = 25 * 1000 * 1000, /* above the 20 s that controld parks a call */
    VIEW_TAIL_BYTES = 4,             /* crc32c of what lies between header and it */
};

struct membership {
    struct membership_options options;
    char address[ADDRESS_BYTES];
    char zone[ZONE_BYTES];
    struct shared_view *view;
    bool registered, stopping, ended;
    struct uuid replaces; /* zero, or whose place is taken */
    uint64_t replaces_boot;
    struct gate end;
};

static void publish(struct membership *membership, struct shared_view *view)
{
    shared_view_release(membership->view);
    membership->view = view;
    membership->options.changed(membership->options.context, view);
}

/* The number that a view has for this daemon; 0: none. */
static uint32_t own_id(const struct membership *membership, const struct view *view)
{
    if (membership->options.is_router) {
        for (unsigned i = 0; i < view->routers_count; i++)
            if (uuid_equal(&view->routers[i].uuid, &membership->options.uuid)) return view->routers[i].id.value;
        return 0;
    }
    for (unsigned i = 0; i < view->nodes_count; i++)
        if (uuid_equal(&view->nodes[i].uuid, &membership->options.uuid)) return view->nodes[i].id.value;
    return 0;
}

/* ---- the cached view ---- */

static void read_cached(struct membership *membership)
{
    struct reactor *reactor = membership->options.reactor;
    struct arena arena = {0};
    struct bytes data;
    char why[160] = "";
    enum status status = disk_read_file(reactor, VIEW_PATH, &arena, VIEW_BYTES_MAX, &data);
    if (status == STATUS_NOT_FOUND) {
        arena_free(&arena);
        return;
    }
    struct file_header header;
    struct file_header_expected expected = {FILE_VIEW, VIEW_MAJOR, &membership->options.cluster};
    if (status == STATUS_OK) status = file_header_decode(data, &expected, &header, why, sizeof why);
    if (status == STATUS_OK && data.size < FILE_HEADER_BYTES + VIEW_TAIL_BYTES) status = STATUS_CORRUPT;
    struct shared_view *view = NULL;
    if (status == STATUS_OK) {
        const uint8_t *body = data.data + FILE_HEADER_BYTES;
        size_t body_size = data.size - FILE_HEADER_BYTES - VIEW_TAIL_BYTES;
        uint32_t crc;
        memcpy(&crc, body + body_size, sizeof crc);
        status =
            crc == crc32c(0, body, body_size) ? shared_view_decode(bytes_of(body, body_size), &view) : STATUS_CORRUPT;
    }
    arena_free(&arena);
    if (status != STATUS_OK) {
        LOG(reactor_log(reactor), WARN, "view.unreadable", "path=%s status=%s why=\"%s\"", VIEW_PATH,
            status_name(status), why);
        return;
    }
    uint32_t id = own_id(membership, &view->view);
    publish(membership, view);
    if (id) membership->options.registered(membership->options.context, id);
}

static void write_cached(struct membership *membership, struct bytes view)
{
    struct reactor *reactor = membership->options.reactor;
    struct file_header header = {.kind = FILE_VIEW, .major = VIEW_MAJOR, .cluster = membership->options.cluster};
    struct buffer file = {0};
    file_header_encode(&header, buffer_reserve(&file, FILE_HEADER_BYTES));
    file.size += FILE_HEADER_BYTES;
    buffer_append(&file, view.data, view.size);
    uint32_t crc = crc32c(0, view.data, view.size);
    buffer_append(&file, &crc, sizeof crc);
    enum status status = disk_replace_file(reactor, VIEW_PATH, file.data, (uint32_t)file.size);
    buffer_free(&file);
    if (status != STATUS_OK)
        LOG(reactor_log(reactor), WARN, "view.unsaved", "path=%s status=%s", VIEW_PATH, status_name(status));
}

/* ---- controld ---- */

/* Whoever answers nothing that helps is not asked again at once. */
static void pause_for(struct membership *membership, uint64_t ms)
{
    struct reactor *reactor = membership->options.reactor;
    if (!membership->stopping) fiber_sleep_until(reactor, reactor_now_ns(reactor) + ms * 1000000);
}

/* The answer to a CONFLICT may name the place that this node may take. */
static void take_place(struct membership *membership, const Trillium__V1__RegisterAnswer *known)
{
    struct membership_options *options = &membership->options;
    struct uuid uuid;
    if (!known || known->known_uuid.len != sizeof uuid.bytes || !options->outdated) return;
    memcpy(uuid.bytes, known->known_uuid.data, sizeof uuid.bytes);
    uint64_t boot = options->outdated(options->context, &uuid, known->known_boot);
    if (boot == 0) return;
    options->boot = boot;
    membership->replaces = uuid;
    membership->replaces_boot = known->known_boot;
}

static void register_self(struct membership *membership)
{
    const struct membership_options *options = &membership->options;
    Trillium__V1__RegisterCall body = TRILLIUM__V1__REGISTER_CALL__INIT;
    body.role = options->is_router ? TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_ROUTER
                                   : TRILLIUM__V1__DAEMON_ROLE__DAEMON_ROLE_NODE;
    body.uuid = (ProtobufCBinaryData){sizeof options->uuid.bytes, (uint8_t *)(uintptr_t)options->uuid.bytes};
    body.boot = options->boot;
    body.address = membership->address;
    body.zone = membership->zone;
    body.shards = options->shards;
    body.version = (char *)(uintptr_t)TRILLIUM_VERSION;
    struct uuid replaces = membership->replaces;
    membership->replaces = (struct uuid){{0}}; /* for one try: the next refusal tells anew */
    if (!uuid_is_zero(&replaces)) {
        body.replaces_uuid = (ProtobufCBinaryData){sizeof replaces.bytes, replaces.bytes};
        body.replaces_boot = membership->replaces_boot;
    }
    struct controllers_call call = {.method = METHOD_CONTROL_REGISTER,
        .leader = true,
        .deadline_ns = reactor_now_ns(options->reactor) + 5000000000ull,
        .stop = &membership->stopping};
    struct arena arena = {0};
    struct rpc_reply reply;
    enum status status = controllers_call_wait(options->controllers, &call, RPC_MESSAGE(&body), &arena, &reply);
    if (status == STATUS_OK) {
        Trillium__V1__RegisterAnswer *answer =
            rpc_decode(&arena, &trillium__v1__register_answer__descriptor, reply.body);
        if (answer && answer->id) {
            membership->registered = true;
            LOG(reactor_log(options->reactor), INFO, "membership.register", "id=%u boot=%llu", answer->id,
                (unsigned long long)options->boot);
            options->registered(options->context, answer->id);
        }
    } else if (status == STATUS_CONFLICT) {
        take_place(membership, rpc_decode(&arena, &trillium__v1__register_answer__descriptor, reply.body));
    }
    arena_free(&arena);
    bool refused = status_class(status) == STATUS_CLASS_REFUSED;
    if (refused)
        LOG(reactor_log(options->reactor), ERROR, "membership.refused", "status=%s text=\"%s\"", status_name(status),
            status_text(status));
    if (!membership->registered) pause_for(membership, refused ? 1000 : RETRY_MS);
}

/* One chunk; the first call parks until there is a newer version. Returns false when the transfer is to begin again. */
static bool fetch_chunk(struct membership *membership, struct buffer *view, uint64_t *version, uint64_t *total)
{
    const struct membership_options *options = &membership->options;
    bool first = view->size == 0;
    Trillium__V1__ViewCall body = TRILLIUM__V1__VIEW_CALL__INIT;
    body.have = membership->view ? membership->view->view.version : 0;
    body.offset = view->size;
    body.version = first ? 0 : *version;
    struct controllers_call call = {.method = METHOD_CONTROL_VIEW,
        .budget_us = first ? VIEW_PARK_US : 0,
        .deadline_ns = reactor_now_ns(options->reactor),
        .stop = &membership->stopping};
    struct arena arena = {0};
    struct rpc_reply reply;
    enum status status = controllers_call_wait(options->controllers, &call, RPC_MESSAGE(&body), &arena, &reply);
    Trillium__V1__ViewAnswer *answer = NULL;
    if (status == STATUS_OK) answer = rpc_decode(&arena, &trillium__v1__view_answer__descriptor, reply.body);
    bool good = answer && answer->data.len > 0 && answer->total <= VIEW_BYTES_MAX &&
                view->size + answer->data.len <= answer->total && (first || answer->version == *version);
    if (good) {
        *version = answer->version;
        *total = answer->total;
        buffer_append(view, answer->data.data, answer->data.len);
    }
    arena_free(&arena);
    return good;
}

static void fetch_view(struct membership *membership)
{
    struct buffer bytes = {0};
    uint64_t version = 0, total = 1;
    while (bytes.size < total && !membership->stopping)
        if (!fetch_chunk(membership, &bytes, &version, &total)) break;
    struct shared_view *view;
    bool taken = false;
    if (bytes.size == total && shared_view_decode(buffer_bytes(&bytes), &view) == STATUS_OK) {
        bool newer = !membership->view || view->view.version > membership->view->view.version;
        bool ours = uuid_equal(&view->view.cluster, &membership->options.cluster);
        taken = newer && ours;
        if (taken) {
            write_cached(membership, buffer_bytes(&bytes));
            publish(membership, view);
        } else {
            shared_view_release(view);
        }
    }
    buffer_free(&bytes);
    if (!taken) pause_for(membership, RETRY_MS);
}

static void follow(void *argument)
{
    struct membership *membership = argument;
    read_cached(membership);
    while (!membership->stopping) {
        if (!membership->registered)
            register_self(membership);
        else
            fetch_view(membership);
    }
    membership->ended = true;
    gate_open(&membership->end);
}

struct membership *membership_start(const struct membership_options *options)
{
    struct membership *membership = mem_zalloc(sizeof *membership);
    membership->options = *options;
    snprintf(membership->address, sizeof membership->address, "%s", options->address);
    snprintf(membership->zone, sizeof membership->zone, "%s", options->zone);
    gate_init(&membership->end);
    fiber_start(options->reactor, "membership", follow, membership);
    return membership;
}

void membership_stop(struct membership *membership)
{
    membership->stopping = true;
    controllers_hang_up(membership->options.controllers);
    while (!membership->ended)
        gate_wait(membership->options.reactor, &membership->end, REACTOR_NEVER);
    shared_view_release(membership->view);
    mem_free(membership);
}

struct shared_view *membership_view(const struct membership *membership)
{
    return membership->view;
}

bool membership_is_registered(const struct membership *membership)
{
    return membership->registered;
}
