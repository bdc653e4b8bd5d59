/*
 * The public functions of libtrillium: ops are made on the caller's thread, mailed to the session's reactor, and told
 * to a callback there. Functions that wait are the same with a callback that wakes them.
 */
#include "client/trillium.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "client/messages.h"
#include "client/session.h"
#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/base/uuid.h"
#include "common/model/snowflake.h"
#include "common/rpc/nng/link_nng.h"
#include "common/runtime/posix/posix_env.h"
#include "common/runtime/uv/uv_backend.h"
#include "proto/client.pb-c.h"

enum { ROUTERS_TEXT_BYTES = 4096 };

struct trillium {
    struct env env;
    struct reactor *reactor;
    struct session *session;
    uint64_t deadline_ns;
    bool is_driven;
    pthread_t thread;
    atomic_bool is_up;
    bool closed; /* the session said goodbye */
};

_Static_assert((int)TRILLIUM_LOCAL == (int)STATUS_CLASS_LOCAL, "the public classes are the internal ones");

enum trillium_class trillium_class_of(int status)
{
    return (enum trillium_class)status_class((enum status)status);
}

const char *trillium_status_name(int status)
{
    return status_name((enum status)status);
}

const char *trillium_status_text(int status)
{
    return status_text((enum status)status);
}

const char *trillium_version(void)
{
    return TRILLIUM_VERSION;
}

int64_t trillium_id_time_ms(uint64_t message_id)
{
    return snowflake_unix_ms(message_id);
}

/* ---- beginning and end ---- */

__attribute__((noreturn)) static void client_die(struct env *env, enum status status, const char *why)
{
    (void)env;
    (void)status;
    check_failed("libtrillium", 0, why);
}

static struct backend *client_backend(struct env *env, struct reactor *reactor)
{
    (void)env;
    return uv_backend_create(reactor, -1);
}

static const struct env_ops client_ops = {posix_mono_ns, posix_wall_us, posix_entropy, client_die, client_backend};

static void *run(void *argument)
{
    struct trillium *trillium = argument;
    reactor_run(trillium->reactor);
    return NULL;
}

static void note_up(void *context, bool is_up)
{
    struct trillium *trillium = context;
    atomic_store(&trillium->is_up, is_up);
}

static void say(char *error, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void say(char *error, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (error && size) vsnprintf(error, size, format, arguments);
    va_end(arguments);
}

/* Splits "a,b" in place. */
static unsigned split(char *text, const char *out[SESSION_ROUTERS_MAX])
{
    unsigned count = 0;
    char *rest = text;
    for (char *item; (item = strtok_r(rest, ", ", &rest)) && count < SESSION_ROUTERS_MAX;)
        out[count++] = item;
    return count;
}

static void free_instance(struct trillium *trillium)
{
    if (trillium->session) session_destroy(trillium->session);
    if (trillium->reactor) {
        reactor_turn(trillium->reactor);
        reactor_turn(trillium->reactor);
        link_nng_release(trillium->env.net);
        reactor_turn(trillium->reactor);
        reactor_destroy(trillium->reactor);
    }
    mem_free(trillium);
}

struct trillium *trillium_open(const struct trillium_options *options, char *error, size_t error_size)
{
    struct trillium *trillium = mem_zalloc(sizeof *trillium);
    char text[ROUTERS_TEXT_BYTES];
    const char *routers[SESSION_ROUTERS_MAX];
    struct uuid cluster = {{0}};
    snprintf(text, sizeof text, "%s", options->routers ? options->routers : "");
    if (options->cluster_uuid && !uuid_parse(options->cluster_uuid, &cluster)) {
        say(error, error_size, "cluster %s: not a uuid", options->cluster_uuid);
        mem_free(trillium);
        return NULL;
    }
    trillium->env = (struct env){.ops = &client_ops, .guarded_stacks = true, .name = "libtrillium"};
    trillium->env.net = link_nng_create(&trillium->env);
    trillium->reactor = reactor_create(&trillium->env, "libtrillium", 0);
    trillium->is_driven = options->is_driven;
    trillium->deadline_ns =
        (uint64_t)(options->deadline_ms ? options->deadline_ms : SESSION_DEADLINE_MS_DEFAULT) * 1000000;
    struct session_options session = {.reactor = trillium->reactor,
        .routers = routers,
        .routers_count = split(text, routers),
        .is_short_lived = options->is_short_lived,
        .changed = note_up,
        .context = trillium};
    memcpy(session.cluster, cluster.bytes, sizeof session.cluster);
    if (session_create(&session, &trillium->session) != STATUS_OK) {
        say(error, error_size, "routers \"%s\": not a list of host or host:port", options->routers);
        free_instance(trillium);
        return NULL;
    }
    /* From its first turn on the descriptor tells of what is to be done. */
    if (trillium->is_driven) reactor_turn(trillium->reactor);
    if (!trillium->is_driven && pthread_create(&trillium->thread, NULL, run, trillium) != 0) {
        say(error, error_size, "no thread can be started");
        free_instance(trillium);
        return NULL;
    }
    return trillium;
}

static void said_goodbye(void *context)
{
    struct trillium *trillium = context;
    trillium->closed = true;
    if (trillium->is_driven)
        reactor_wake(trillium->reactor);
    else
        reactor_stop(trillium->reactor);
}

struct closing {
    struct mail mail;
    struct trillium *trillium;
};

static void begin_close(struct mail *mail)
{
    struct closing *closing = CONTAINER_OF(mail, struct closing, mail);
    session_close(closing->trillium->session, said_goodbye, closing->trillium);
}

void trillium_close(struct trillium *trillium)
{
    if (!trillium) return;
    struct closing closing = {.mail.deliver = begin_close, .trillium = trillium};
    reactor_post(trillium->reactor, &closing.mail);
    if (trillium->is_driven)
        while (!trillium->closed)
            reactor_step(trillium->reactor);
    else
        pthread_join(trillium->thread, NULL);
    free_instance(trillium);
}

bool trillium_is_up(struct trillium *trillium)
{
    return atomic_load(&trillium->is_up);
}

int trillium_fd(struct trillium *trillium)
{
    return reactor_fd(trillium->reactor);
}

int trillium_turn(struct trillium *trillium)
{
    CHECK(trillium->is_driven);
    uint64_t next = reactor_turn(trillium->reactor), now = posix_mono_ns(NULL);
    if (next == REACTOR_NEVER) return -1;
    return next <= now ? 0
                       : (int)((next - now + 999999) / 1000000 > 3600000 ? 3600000 : (next - now + 999999) / 1000000);
}

/* ---- ops ---- */

/* One public call under way. Whatever it needs lives in it or its arena; a create, the busiest, needs no arena. */
struct op {
    struct mail mail;
    struct trillium *trillium;
    struct arena arena;
    struct session_call call;
    struct session_id id_wait;
    const ProtobufCMessage *message;
    void (*begin)(struct op *op);
    void (*end)(struct op *op, enum status status, struct bytes body);
    void *context;
    union {
        trillium_sent_fn *sent;
        trillium_done_fn *done;
        trillium_listed_fn *listed;
    } tell;
    uint64_t channel, id;
    Trillium__V1__MessageCreateCall create;
    struct buffer row; /* create's */
    struct trillium_bytes content;
    enum trillium_level level;
    bool reverse;
};

static struct op *op_create(struct trillium *trillium, uint16_t method, void *context)
{
    struct op *op = mem_zalloc(sizeof *op);
    op->trillium = trillium;
    op->call.method = method;
    op->context = context;
    return op;
}

static void op_free(struct op *op)
{
    arena_free(&op->arena);
    buffer_free(&op->row);
    mem_free(op);
}

static void op_replied(struct session_call *call, enum status status, struct bytes body)
{
    struct op *op = CONTAINER_OF(call, struct op, call);
    op->end(op, status, body);
    op_free(op);
}

static void op_call(struct op *op)
{
    op->call.done = op_replied;
    session_call_start(op->trillium->session, &op->call, op->message);
}

static void op_deliver(struct mail *mail)
{
    struct op *op = CONTAINER_OF(mail, struct op, mail);
    op->call.deadline_ns = reactor_now_ns(op->trillium->reactor) + op->trillium->deadline_ns;
    if (op->begin)
        op->begin(op);
    else
        op_call(op);
}

static void op_start(struct op *op)
{
    op->mail.deliver = op_deliver;
    reactor_post(op->trillium->reactor, &op->mail);
}

static void op_by_channel(struct op *op, uint64_t channel)
{
    op->channel = channel;
    op->call.by_channel = true;
    op->call.channel = channel;
}

static Trillium__V1__Level level_of(enum trillium_level level)
{
    return level == TRILLIUM_LEVEL_DEFAULT ? TRILLIUM__V1__LEVEL__LEVEL_QUORUM : (Trillium__V1__Level)level;
}

/* An op that fails before it is sent still tells its callback on the library's thread. */
static void begin_failed(struct op *op)
{
    op->end(op, (enum status)op->id, bytes_of(NULL, 0));
    op_free(op);
}

static void op_fail(struct op *op, enum status status)
{
    op->begin = begin_failed;
    op->id = status;
    op_start(op);
}

/* ---- waiting ---- */

struct wait {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct trillium *trillium;
    bool done;
    bool maybe; /* an attempt before the last may have had its effect */
    int status;
    uint64_t id;
    struct trillium_page page;
    struct buffer body;
};

static void wait_init(struct wait *wait, struct trillium *trillium)
{
    *wait = (struct wait){.trillium = trillium};
    pthread_mutex_init(&wait->lock, NULL);
    pthread_cond_init(&wait->changed, NULL);
}

static void wait_tell(struct wait *wait, int status)
{
    /* A driven instance is inside a step that would wait once more after this turn. */
    if (wait->trillium->is_driven) reactor_wake(wait->trillium->reactor);
    pthread_mutex_lock(&wait->lock);
    wait->status = status;
    wait->done = true;
    pthread_cond_signal(&wait->changed);
    pthread_mutex_unlock(&wait->lock);
}

static int wait_end(struct wait *wait)
{
    if (wait->trillium->is_driven) {
        while (!wait->done)
            reactor_step(wait->trillium->reactor);
    } else {
        pthread_mutex_lock(&wait->lock);
        while (!wait->done)
            pthread_cond_wait(&wait->changed, &wait->lock);
        pthread_mutex_unlock(&wait->lock);
    }
    pthread_mutex_destroy(&wait->lock);
    pthread_cond_destroy(&wait->changed);
    return wait->status;
}

static void wait_done(void *context, int status)
{
    wait_tell(context, status);
}

static void wait_raw(struct wait *wait, enum status status, struct bytes body)
{
    buffer_append(&wait->body, body.data, body.size);
    wait_tell(wait, (int)status);
}

static void end_done(struct op *op, enum status status, struct bytes body)
{
    (void)body;
    op->tell.done(op->context, (int)status);
}

static void end_raw(struct op *op, enum status status, struct bytes body)
{
    struct wait *wait = op->context;
    wait->maybe = op->call.maybe;
    wait_raw(wait, status, body);
}

/* Calls and waits; the answer's body stays in wait->body (buffer_free). */
static int call_raw(struct trillium *trillium, struct wait *wait, uint16_t method, const ProtobufCMessage *message)
{
    wait_init(wait, trillium);
    struct op *op = op_create(trillium, method, wait);
    op->end = end_raw;
    op->message = message;
    op_start(op);
    return wait_end(wait);
}

/* ---- send ---- */

static void end_send(struct op *op, enum status status, struct bytes body)
{
    (void)body;
    op->tell.sent(op->context, (int)status, op->id);
}

static void send_with_id(struct op *op)
{
    op->create.message_id = op->id;
    op_call(op);
}

static void got_id(struct session_id *wait, enum status status, uint64_t id)
{
    struct op *op = CONTAINER_OF(wait, struct op, id_wait);
    if (status != STATUS_OK) {
        op->end(op, status, bytes_of(NULL, 0));
        op_free(op);
        return;
    }
    op->id = id;
    send_with_id(op);
}

static void begin_send(struct op *op)
{
    if (op->id) {
        send_with_id(op);
        return;
    }
    op->id_wait = (struct session_id){.deadline_ns = op->call.deadline_ns, .done = got_id};
    session_make_id(op->trillium->session, &op->id_wait);
}

void trillium_send_async(struct trillium *trillium, const struct trillium_message *message, enum trillium_level level,
    trillium_sent_fn *done, void *context)
{
    struct op *op = op_create(trillium, METHOD_MESSAGE_CREATE, context);
    op->end = end_send;
    op->tell.sent = done;
    enum status status = messages_encode(message, &op->row);
    if (status != STATUS_OK) {
        op_fail(op, status);
        return;
    }
    trillium__v1__message_create_call__init(&op->create);
    op->create.channel_id = message->channel_id;
    op->create.level = level_of(level);
    op->create.row = (ProtobufCBinaryData){op->row.size, op->row.data};
    op->create.import_session = message->import_session;
    op_by_channel(op, message->channel_id);
    op->message = &op->create.base;
    op->id = message->message_id;
    op->begin = begin_send;
    op_start(op);
}

static void wait_sent(void *context, int status, uint64_t id)
{
    struct wait *wait = context;
    wait->id = id;
    wait_tell(wait, status);
}

int trillium_send(struct trillium *trillium, struct trillium_message *message, enum trillium_level level)
{
    struct wait wait;
    wait_init(&wait, trillium);
    trillium_send_async(trillium, message, level, wait_sent, &wait);
    int status = wait_end(&wait);
    if (message->message_id == 0 && trillium_class_of(status) != TRILLIUM_REFUSED) message->message_id = wait.id;
    return status;
}

/* ---- edit, delete, status ---- */

/* The stamp is made on the routers' clock, so not before one of them was heard; every attempt carries it. */
static void pack_edit(struct session_call *session_call, struct buffer *body)
{
    struct op *op = CONTAINER_OF(session_call, struct op, call);
    Trillium__V1__MessageEditCall call = TRILLIUM__V1__MESSAGE_EDIT_CALL__INIT;
    call.stamp_us = session_stamp(op->trillium->session);
    CHECK(messages_encode_edit(op->content, call.stamp_us, &op->row) == STATUS_OK);
    call.channel_id = op->channel;
    call.message_id = op->id;
    call.level = level_of(op->level);
    call.row = (ProtobufCBinaryData){op->row.size, op->row.data};
    size_t size = protobuf_c_message_get_packed_size(&call.base);
    protobuf_c_message_pack(&call.base, buffer_reserve(body, size));
    body->size += size;
}

void trillium_edit_async(struct trillium *trillium, const struct trillium_ref *ref, struct trillium_bytes content,
    trillium_done_fn *done, void *context)
{
    struct op *op = op_create(trillium, METHOD_MESSAGE_EDIT, context);
    op_by_channel(op, ref->channel_id);
    op->id = ref->message_id;
    op->level = ref->level;
    op->content = (struct trillium_bytes){arena_copy(&op->arena, content.data, content.size), content.size};
    op->end = end_done;
    op->tell.done = done;
    op->call.pack = pack_edit;
    struct buffer tried = {0};
    enum status status = messages_encode_edit(content, 0, &tried);
    buffer_free(&tried);
    if (status == STATUS_OK)
        op_start(op);
    else
        op_fail(op, status);
}

int trillium_edit(struct trillium *trillium, const struct trillium_ref *ref, struct trillium_bytes content)
{
    struct wait wait;
    wait_init(&wait, trillium);
    trillium_edit_async(trillium, ref, content, wait_done, &wait);
    return wait_end(&wait);
}

void trillium_delete_async(
    struct trillium *trillium, const struct trillium_ref *ref, trillium_done_fn *done, void *context)
{
    struct op *op = op_create(trillium, METHOD_MESSAGE_DELETE, context);
    Trillium__V1__MessageDeleteCall *call = arena_alloc(&op->arena, sizeof *call);
    trillium__v1__message_delete_call__init(call);
    call->channel_id = ref->channel_id;
    call->message_id = ref->message_id;
    call->level = level_of(ref->level);
    op_by_channel(op, ref->channel_id);
    op->message = &call->base;
    op->end = end_done;
    op->tell.done = done;
    op_start(op);
}

int trillium_delete(struct trillium *trillium, const struct trillium_ref *ref)
{
    struct wait wait;
    wait_init(&wait, trillium);
    trillium_delete_async(trillium, ref, wait_done, &wait);
    return wait_end(&wait);
}

int trillium_status(struct trillium *trillium, const struct trillium_ref *ref, bool resolve, enum trillium_state *state)
{
    struct wait wait;
    struct arena arena = {0};
    Trillium__V1__MessageStatusCall call = TRILLIUM__V1__MESSAGE_STATUS_CALL__INIT;
    call.channel_id = ref->channel_id;
    call.message_id = ref->message_id;
    call.resolve = resolve;
    int status = call_raw(trillium, &wait, METHOD_MESSAGE_STATUS, &call.base);
    Trillium__V1__MessageStatusAnswer *answer =
        rpc_decode(&arena, &trillium__v1__message_status_answer__descriptor, buffer_bytes(&wait.body));
    *state = TRILLIUM_STATE_UNKNOWN;
    if (status == TRILLIUM_OK && answer && answer->state == TRILLIUM__V1__MESSAGE_STATE__MESSAGE_STATE_PRESENT)
        *state = TRILLIUM_STATE_PRESENT;
    /* An attempt before, whose answer was lost, may have found nothing and be deleting still. */
    if (*state == TRILLIUM_STATE_PRESENT && resolve && wait.maybe) {
        *state = TRILLIUM_STATE_UNKNOWN;
        status = (int)STATUS_UNDECIDED;
    }
    if (status == TRILLIUM_OK && answer && answer->state == TRILLIUM__V1__MESSAGE_STATE__MESSAGE_STATE_NEVER)
        *state = TRILLIUM_STATE_NEVER;
    arena_free(&arena);
    buffer_free(&wait.body);
    return status;
}

/* ---- pages ---- */

static void page_take(struct arena *arena, struct trillium_page *page)
{
    struct arena *memory = mem_alloc(sizeof *memory);
    *memory = *arena;
    page->memory = memory;
}

void trillium_page_free(struct trillium_page *page)
{
    if (!page->memory) return;
    arena_free(page->memory);
    mem_free(page->memory);
    *page = (struct trillium_page){0};
}

/* A read is OK or was not done: the notes of writes mean nothing here, and callers take DONE for a page. */
static enum status read_status(enum status status)
{
    return status_is_done(status) && status != STATUS_OK ? STATUS_BAD_REQUEST : status;
}

static void end_list(struct op *op, enum status status, struct bytes body)
{
    struct arena arena = {0};
    struct trillium_page page = {0};
    status = read_status(status);
    if (status == STATUS_OK) {
        Trillium__V1__MessageListAnswer *answer =
            rpc_decode(&arena, &trillium__v1__message_list_answer__descriptor, body);
        status = answer ? messages_decode_page(
                              op->channel, bytes_of(answer->page.data, answer->page.len), op->reverse, &arena, &page)
                        : STATUS_BAD_REQUEST;
        if (status == STATUS_OK) page.more = answer->more;
    }
    page_take(&arena, &page);
    op->tell.listed(op->context, (int)status, &page);
    trillium_page_free(&page);
}

void trillium_list_async(
    struct trillium *trillium, const struct trillium_query *query, trillium_listed_fn *done, void *context)
{
    struct op *op = op_create(trillium, METHOD_MESSAGE_LIST, context);
    Trillium__V1__MessageListCall *call = arena_alloc(&op->arena, sizeof *call);
    trillium__v1__message_list_call__init(call);
    enum trillium_bound bound = query->bound;
    if (bound == TRILLIUM_NEWEST && query->oldest_first) bound = TRILLIUM_OLDEST;
    call->channel_id = query->channel_id;
    call->bound = (Trillium__V1__Bound)bound;
    call->message_id = query->message_id;
    call->limit = query->limit;
    call->level = level_of(query->level);
    call->oldest_first = query->oldest_first || bound == TRILLIUM_OLDEST;
    op_by_channel(op, query->channel_id);
    op->reverse = bound == TRILLIUM_AFTER && !query->oldest_first;
    op->message = &call->base;
    op->end = end_list;
    op->tell.listed = done;
    op_start(op);
}

/* Keeps the page: the callback's own is freed when it returns, so its memory changes hands. */
static void wait_listed(void *context, int status, const struct trillium_page *page)
{
    struct wait *wait = context;
    wait->page = *page;
    ((struct trillium_page *)(uintptr_t)page)->memory = NULL;
    wait_tell(wait, status);
}

static int wait_page(struct wait *wait, struct trillium_page *page)
{
    int status = wait_end(wait);
    if (status == TRILLIUM_OK)
        *page = wait->page;
    else
        trillium_page_free(&wait->page);
    return status;
}

int trillium_list(struct trillium *trillium, const struct trillium_query *query, struct trillium_page *page)
{
    struct wait wait;
    wait_init(&wait, trillium);
    trillium_list_async(trillium, query, wait_listed, &wait);
    return wait_page(&wait, page);
}

static void end_get(struct op *op, enum status status, struct bytes body)
{
    struct arena arena = {0};
    struct trillium_page page = {0};
    status = read_status(status);
    if (status == STATUS_OK) {
        Trillium__V1__MessageGetAnswer *answer =
            rpc_decode(&arena, &trillium__v1__message_get_answer__descriptor, body);
        page.messages = arena_alloc(&arena, sizeof *page.messages);
        page.count = 1;
        status = answer
                     ? messages_decode(op->channel, op->id, bytes_of(answer->row.data, answer->row.len), page.messages)
                     : STATUS_BAD_REQUEST;
    }
    page_take(&arena, &page);
    op->tell.listed(op->context, (int)status, &page);
    trillium_page_free(&page);
}

int trillium_get(struct trillium *trillium, const struct trillium_ref *ref, struct trillium_page *page)
{
    struct wait wait;
    wait_init(&wait, trillium);
    struct op *op = op_create(trillium, METHOD_MESSAGE_GET, &wait);
    Trillium__V1__MessageGetCall *call = arena_alloc(&op->arena, sizeof *call);
    trillium__v1__message_get_call__init(call);
    call->channel_id = ref->channel_id;
    call->message_id = ref->message_id;
    call->level = level_of(ref->level);
    op_by_channel(op, ref->channel_id);
    op->id = ref->message_id;
    op->message = &call->base;
    op->end = end_get;
    op->tell.listed = wait_listed;
    op_start(op);
    return wait_page(&wait, page);
}

/* ---- channels ---- */

int trillium_purge(struct trillium *trillium, const struct trillium_interval *interval, uint64_t *through)
{
    struct wait wait;
    struct arena arena = {0};
    Trillium__V1__ChannelPurgeCall call = TRILLIUM__V1__CHANNEL_PURGE_CALL__INIT;
    call.channel_id = interval->channel_id;
    call.lo = interval->lo;
    call.hi = interval->hi;
    call.level = level_of(interval->level);
    int status = call_raw(trillium, &wait, METHOD_CHANNEL_PURGE, &call.base);
    Trillium__V1__ChannelPurgeAnswer *answer =
        rpc_decode(&arena, &trillium__v1__channel_purge_answer__descriptor, buffer_bytes(&wait.body));
    if (through) *through = answer ? answer->hi : 0;
    arena_free(&arena);
    buffer_free(&wait.body);
    return status;
}

int trillium_channels(struct trillium *trillium, struct trillium_cursor *cursor, enum trillium_level level,
    struct trillium_channels_page *page)
{
    struct wait wait;
    struct arena arena = {0};
    Trillium__V1__ChannelListCall call = TRILLIUM__V1__CHANNEL_LIST_CALL__INIT;
    call.cursor = (ProtobufCBinaryData){cursor->size, cursor->bytes};
    call.limit = TRILLIUM_CHANNELS_MAX;
    call.level = level_of(level);
    int status = call_raw(trillium, &wait, METHOD_CHANNEL_LIST, &call.base);
    Trillium__V1__ChannelListAnswer *answer =
        rpc_decode(&arena, &trillium__v1__channel_list_answer__descriptor, buffer_bytes(&wait.body));
    page->count = 0;
    page->more = false;
    bool fits = answer && answer->cursor.len <= TRILLIUM_CURSOR_BYTES && answer->n_channels <= TRILLIUM_CHANNELS_MAX;
    /* More after a cursor that stays where it is would never end. */
    if (fits && answer->more)
        fits = !bytes_equal(bytes_of(answer->cursor.data, answer->cursor.len), bytes_of(cursor->bytes, cursor->size));
    if (status == TRILLIUM_OK && !fits) status = (int)STATUS_BAD_REQUEST;
    if (status == TRILLIUM_OK) {
        for (size_t i = 0; i < answer->n_channels; i++)
            page->channels[i] =
                (struct trillium_channel){answer->channels[i]->channel_id, answer->channels[i]->newest_id};
        page->count = answer->n_channels;
        page->more = answer->more;
        cursor->size = (unsigned)answer->cursor.len;
        if (cursor->size > 0) memcpy(cursor->bytes, answer->cursor.data, cursor->size);
    }
    arena_free(&arena);
    buffer_free(&wait.body);
    return status;
}

/* ---- imports ---- */

static int import_call(struct trillium *trillium, const Trillium__V1__ImportCall *call, uint64_t *session)
{
    struct wait wait;
    struct arena arena = {0};
    int status = call_raw(trillium, &wait, METHOD_IMPORT, &call->base);
    Trillium__V1__ImportAnswer *answer =
        rpc_decode(&arena, &trillium__v1__import_answer__descriptor, buffer_bytes(&wait.body));
    if (session && status == TRILLIUM_OK && !(answer && answer->session)) status = (int)STATUS_BAD_REQUEST;
    if (session) *session = status == TRILLIUM_OK ? answer->session : 0;
    arena_free(&arena);
    buffer_free(&wait.body);
    return status;
}

int trillium_import_begin(struct trillium *trillium, const char *label, unsigned deadline_ms, uint64_t *session)
{
    Trillium__V1__ImportCall call = TRILLIUM__V1__IMPORT_CALL__INIT;
    call.action = TRILLIUM__V1__IMPORT_ACTION__IMPORT_ACTION_BEGIN;
    call.deadline_ms = deadline_ms;
    call.label = (char *)(uintptr_t)label;
    call.table = 1;
    return import_call(trillium, &call, session);
}

int trillium_import_renew(struct trillium *trillium, uint64_t session, unsigned deadline_ms)
{
    Trillium__V1__ImportCall call = TRILLIUM__V1__IMPORT_CALL__INIT;
    call.action = TRILLIUM__V1__IMPORT_ACTION__IMPORT_ACTION_RENEW;
    call.session = session;
    call.deadline_ms = deadline_ms;
    return import_call(trillium, &call, NULL);
}

int trillium_import_end(struct trillium *trillium, uint64_t session)
{
    Trillium__V1__ImportCall call = TRILLIUM__V1__IMPORT_CALL__INIT;
    call.action = TRILLIUM__V1__IMPORT_ACTION__IMPORT_ACTION_END;
    call.session = session;
    return import_call(trillium, &call, NULL);
}
