#include "tests/unit/routerd/cast.h"

#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/model/page.h"
#include "common/model/row.h"
#include "common/model/snowflake.h"
#include "proto/client.pb-c.h"
#include "proto/replica.pb-c.h"
#include "tests/sim/sim_mem.h"

#define ROUTER "127.0.3.1:7200"
static const struct uuid CLUSTER = {{0xc1}};

/* ---- nodes ---- */

struct late_answer {
    struct timer timer;
    struct cast_node *node;
    struct rpc_request *request;
};

static void add_message(struct page_builder *page)
{
    uint8_t author[8];
    struct buffer encoded = {0};
    struct row row;
    row_begin_create(&row);
    row_put(&row, CHAT_AUTHOR_ID, value_of_int(TYPE_BIGINT, 7, author));
    row_put(&row, CHAT_CONTENT, bytes_text("here"));
    page_add_row(page, snowflake_first_of_ms(WORLD_EPOCH_US / 1000), row_encode_buffer(&row, &encoded));
    buffer_free(&encoded);
}

static void answer_read(const struct cast_node *node, struct rpc_request *request)
{
    uint8_t digest[16] = {node->has_message};
    struct arena arena = {0};
    const Trillium__V1__ReplicaReadCall *call =
        rpc_decode(&arena, &trillium__v1__replica_read_call__descriptor, request->body);
    bool is_raw = call->mode == TRILLIUM__V1__READ_MODE__READ_MODE_RAW;
    struct page_builder page = {0};
    page_begin(&page, PAGE_NEWEST_FIRST, is_raw);
    if (node->has_message) add_message(&page);
    struct bytes bytes = page_finish(&page, call->lo, false);
    Trillium__V1__ReplicaReadAnswer read = TRILLIUM__V1__REPLICA_READ_ANSWER__INIT;
    read.digest = (ProtobufCBinaryData){sizeof digest, digest};
    read.page = (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
    read.complete_through = call->lo;
    rpc_answer(request, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&read)});
    page_free(&page);
    arena_free(&arena);
}

static void answer(struct timer *timer)
{
    struct late_answer *late = CONTAINER_OF(timer, struct late_answer, timer);
    if (late->request->method == METHOD_REPLICA_READ)
        answer_read(late->node, late->request);
    else
        rpc_answer(late->request, STATUS_OK, NULL);
    mem_free(late);
}

static void handle(void *context, struct rpc_request *request)
{
    struct cast_node *node = context;
    node->traces[node->calls++ % CAST_TRACES] = request->trace;
    if (node->is_silent) return; /* forgotten by rpc at the end */
    struct late_answer *late = mem_zalloc(sizeof *late);
    late->node = node;
    late->request = request;
    timer_init(&late->timer, node->reactor, answer);
    timer_start_in(&late->timer, node->delay_ns + (request->method == METHOD_REPLICA_WRITE ? node->write_delay_ns : 0));
}

static void tell_space(struct cast_node *node, struct rpc_request *request)
{
    Trillium__V1__ReplicaSpaceAnswer body = TRILLIUM__V1__REPLICA_SPACE_ANSWER__INIT;
    body.level = node->space;
    rpc_answer(request, STATUS_OK, &(struct rpc_answer){.body = RPC_MESSAGE(&body)});
}

static void handle_space(void *context, struct rpc_request *request)
{
    struct cast_node *node = context;
    Trillium__V1__ReplicaSpaceCall *call =
        rpc_decode(&request->arena, &trillium__v1__replica_space_call__descriptor, request->body);
    CHECK(call != NULL);
    if (call->have == node->space + 1)
        node->space_question = request;
    else
        tell_space(node, request);
}

static void boot_node(struct env *env, void *context)
{
    struct cast_node *node = context;
    const struct rpc_handler handlers[] = {{METHOD_REPLICA_WRITE, RPC_ROLES_ALL, handle, node},
        {METHOD_REPLICA_READ, RPC_ROLES_ALL, handle, node}, {METHOD_REPLICA_NEWEST, RPC_ROLES_ALL, handle, node},
        {METHOD_REPLICA_SPACE, RPC_ROLES_ALL, handle_space, node}};
    node->reactor = reactor_create(env, node->name, 0);
    struct rpc_options options = {.reactor = node->reactor, .self = {.role = RPC_ROLE_NODE}};
    memcpy(options.self.cluster, CLUSTER.bytes, sizeof options.self.cluster);
    env_entropy(env, options.self.instance, sizeof options.self.instance);
    node->rpc = rpc_create(&options);
    struct rpc_listener *listener;
    struct rpc_listen_options listen = {.address = node->address,
        .handlers = handlers,
        .handlers_count = sizeof handlers / sizeof *handlers,
        .calls_max = CAST_CALLS};
    CHECK(rpc_listen(node->rpc, &listen, &listener) == STATUS_OK);
}

/* ---- the worker ---- */

static void sink(void *context, const char *line, size_t size)
{
    struct cast *cast = context;
    if (size > sizeof cast->lines - 1 - cast->lines_size) return;
    memcpy(cast->lines + cast->lines_size, line, size);
    cast->lines_size += size;
}

static int64_t no_time(void *context)
{
    (void)context;
    return 0;
}

static struct shared_view *make_view(struct cast *cast)
{
    struct view_node nodes[CAST_NODES] = {0};
    struct view_range range = {.id = {1},
        .table = {CHAT_MESSAGES_ID},
        .lo = INT64_MIN,
        .hi = INT64_MAX,
        .epoch = 1,
        .horizon_ms = HORIZON_NONE};
    for (unsigned i = 0; i < CAST_NODES; i++) {
        nodes[i] = (struct view_node){.id = {i + 1}, .uuid = {{(uint8_t)(i + 1)}}, .shards = 1, .state = NODE_SERVING};
        snprintf(nodes[i].address, sizeof nodes[i].address, "%s", cast->nodes[i].address);
        range.replicas[range.replicas_count++] = nodes[i].id;
    }
    struct table table = CHAT_MESSAGES;
    struct view view = {.cluster = CLUSTER,
        .version = 1,
        .nodes = nodes,
        .nodes_count = CAST_NODES,
        .tables = &table,
        .tables_count = 1,
        .ranges = &range,
        .ranges_count = 1};
    struct buffer bytes = {0};
    struct shared_view *shared;
    view_encode(&view, &bytes);
    CHECK(shared_view_decode(buffer_bytes(&bytes), &shared) == STATUS_OK);
    buffer_free(&bytes);
    return shared;
}

static void boot_router(struct env *env, void *context)
{
    struct cast *cast = context;
    static const char *const controllers[] = {"127.0.1.1:7100"};
    cast->log =
        (struct log){.level = LOG_LEVEL_INFO, .daemon = "router", .wall_us = no_time, .sink = sink, .context = cast};
    env->log = &cast->log;
    cast->reactor = reactor_create(env, "router", 0);
    cast->metrics = metrics_create(METRICS_SERIES_DEFAULT);
    health_init(&cast->health);
    cast->hosting = (struct host){
        .env = env, .reactors = &cast->reactor, .reactors_count = 1, .metrics = cast->metrics, .health = &cast->health};
    struct worker_options options = {.host = &cast->hosting,
        .self = {.role = RPC_ROLE_ROUTER},
        .address = ROUTER,
        .controllers = controllers,
        .controllers_count = 1,
        .ceiling_ms = &cast->ceiling_ms,
        .given_ms = &cast->given_ms};
    memcpy(options.self.cluster, CLUSTER.bytes, sizeof options.self.cluster);
    env_entropy(env, options.self.instance, sizeof options.self.instance);
    CHECK(worker_init(&cast->worker, &options) == STATUS_OK);
    struct shared_view *view = make_view(cast);
    worker_use_view(&cast->worker, view);
    shared_view_release(view);
}

/* ---- the client ---- */

static void boot_client(struct env *env, void *context)
{
    struct cast *cast = context;
    cast->client_reactor = reactor_create(env, "client", 0);
    struct rpc_options options = {.reactor = cast->client_reactor, .self = {.role = RPC_ROLE_CLIENT}};
    env_entropy(env, options.self.instance, sizeof options.self.instance);
    cast->client_rpc = rpc_create(&options);
    struct rpc_peer_options peer = {.address = "127.0.3.1:7232", .kind = RPC_CLIENT};
    CHECK(rpc_peer_create(cast->client_rpc, &peer, &cast->peer) == STATUS_OK);
}

struct client_call {
    struct rpc_call call;
    struct cast *cast;
};

static void replied(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct client_call *own = CONTAINER_OF(call, struct client_call, call);
    own->cast->answered++;
    own->cast->last = reply->status;
    mem_free(own);
}

static void start(struct cast *cast, uint16_t method, uint64_t trace, const ProtobufCMessage *message)
{
    struct client_call *own = mem_zalloc(sizeof *own);
    own->cast = cast;
    own->call = (struct rpc_call){.done = replied, .method = method, .trace = trace, .budget_us = 10000000};
    rpc_call_start(cast->peer, &own->call, &(struct rpc_body){&(struct rpc_part){.message = message}, 1});
    cast->started++;
}

struct sending {
    struct cast *cast;
    unsigned count, content_bytes;
    uint64_t trace, channel;
};

static void send_creates(struct env *env, void *argument)
{
    (void)env;
    struct sending *sending = argument;
    struct cast *cast = sending->cast;
    uint8_t author[8];
    struct buffer encoded = {0}, content = {0};
    memset(buffer_reserve(&content, sending->content_bytes), 'x', sending->content_bytes);
    content.size = sending->content_bytes;
    struct row row;
    row_begin_create(&row);
    row_put(&row, CHAT_AUTHOR_ID, value_of_int(TYPE_BIGINT, 7, author));
    row_put(&row, CHAT_CONTENT, buffer_bytes(&content));
    struct bytes bytes = row_encode_buffer(&row, &encoded);
    for (unsigned i = 0; i < sending->count; i++) {
        Trillium__V1__MessageCreateCall call = TRILLIUM__V1__MESSAGE_CREATE_CALL__INIT;
        call.channel_id = cast->started + 1;
        call.message_id = snowflake_first_of_ms(WORLD_EPOCH_US / 1000) + cast->started;
        call.level = TRILLIUM__V1__LEVEL__LEVEL_QUORUM;
        call.row = (ProtobufCBinaryData){bytes.size, (uint8_t *)(uintptr_t)bytes.data};
        start(cast, METHOD_MESSAGE_CREATE, sending->trace, &call.base);
    }
    buffer_free(&encoded);
    buffer_free(&content);
}

static void send_read(struct env *env, void *argument)
{
    (void)env;
    struct sending *sending = argument;
    Trillium__V1__MessageListCall call = TRILLIUM__V1__MESSAGE_LIST_CALL__INIT;
    call.channel_id = sending->channel;
    call.bound = TRILLIUM__V1__BOUND__BOUND_NEWEST;
    call.limit = 50;
    call.level = sending->cast->reads_all ? TRILLIUM__V1__LEVEL__LEVEL_ALL : TRILLIUM__V1__LEVEL__LEVEL_QUORUM;
    start(sending->cast, METHOD_MESSAGE_LIST, sending->trace, &call.base);
}

void cast_create(struct cast *cast, unsigned count, unsigned content_bytes)
{
    struct sending sending = {.cast = cast, .count = count, .content_bytes = content_bytes};
    CHECK(process_call(cast->client, send_creates, &sending));
}

void cast_create_traced(struct cast *cast, uint64_t trace)
{
    struct sending sending = {.cast = cast, .count = 1, .content_bytes = 5, .trace = trace};
    CHECK(process_call(cast->client, send_creates, &sending));
}

static void answer_space(struct env *env, void *argument)
{
    (void)env;
    struct cast_node *node = argument;
    if (node->space_question) tell_space(node, node->space_question);
    node->space_question = NULL;
}

void cast_set_space(struct cast *cast, unsigned node, enum space_level level)
{
    cast->nodes[node].space = level;
    CHECK(process_call(cast->nodes[node].process, answer_space, &cast->nodes[node]));
}

void cast_read(struct cast *cast, uint64_t channel, uint64_t trace)
{
    struct sending sending = {.cast = cast, .channel = channel, .trace = trace};
    CHECK(process_call(cast->client, send_read, &sending));
}

/* ---- all of them ---- */

void cast_init(struct cast *cast)
{
    memset(cast, 0, sizeof *cast);
    cast->world = world_create(1);
    cast->net = sim_net_create(cast->world);
    for (unsigned i = 0; i < CAST_NODES; i++) {
        struct cast_node *node = &cast->nodes[i];
        node->cast = cast;
        snprintf(node->name, sizeof node->name, "node%u", i + 1);
        snprintf(node->address, sizeof node->address, "127.0.2.%u:7300", i + 1);
        node->process = process_create(cast->world, node->name, NULL);
        node->host = sim_net_attach(cast->net, node->process);
        process_start(node->process, boot_node, node);
    }
    cast->router = process_create(cast->world, "router", NULL);
    sim_net_attach(cast->net, cast->router);
    process_start(cast->router, boot_router, cast);
    cast->client = process_create(cast->world, "client", NULL);
    sim_net_attach(cast->net, cast->client);
    process_start(cast->client, boot_client, cast);
    cast_pass(cast, WORLD_S);
    CHECK(rpc_peer_is_up(cast->peer) && worker_reaches_quorums(&cast->worker));
}

void cast_fini(struct cast *cast)
{
    struct process *all[] = {
        cast->client, cast->router, cast->nodes[0].process, cast->nodes[1].process, cast->nodes[2].process};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        process_kill(all[i]);
        process_destroy(all[i]);
    }
    sim_net_destroy(cast->net);
    world_destroy(cast->world);
}

void cast_pass(struct cast *cast, uint64_t ns)
{
    world_run_until(cast->world, world_now(cast->world) + ns);
}

bool cast_was_asked(const struct cast *cast, unsigned node, uint64_t trace)
{
    for (unsigned i = 0; i < CAST_TRACES; i++)
        if (cast->nodes[node].traces[i] == trace) return true;
    return false;
}

bool cast_logged(const struct cast *cast, const char *event, const char *field)
{
    for (const char *line = cast->lines, *end; (end = strchr(line, '\n')); line = end + 1) {
        char text[1024];
        snprintf(text, sizeof text, "%.*s", (int)(end - line), line);
        if (strstr(text, event) && strstr(text, field)) return true;
    }
    return false;
}
