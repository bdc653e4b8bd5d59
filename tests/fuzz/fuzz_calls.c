// links: simcluster
/*
 * fuzz_calls: calls of a stranger to a whole small cluster: any method with any body to controller, node and router, as
 * any role that HELLO lets it claim. Each is answered, none ends a daemon, and the cluster still serves afterwards.
 *
 * The input is a list of calls: who (a pair of role and address), method, routing, range, length (16 bits), body.
 */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/model/view.h"
#include "proto/control.pb-c.h"
#include "tests/sim/cluster/trio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CALLS_MAX = 24, KNOWN_MAX = 64 };

struct ranges {
    uint64_t ids[KNOWN_MAX], epochs[KNOWN_MAX];
    uint32_t count;
};

static const uint16_t methods[] = {
#define METHOD(number, name) METHOD_##name,
#include "common/rpc/methods.def"
#undef METHOD
};

static const struct {
    enum rpc_role role;
    enum rpc_kind kind;
    const char *address;
} doors[] = {
    {RPC_ROLE_ADMIN, RPC_INTERNAL, "127.0.1.1:7100"},
    {RPC_ROLE_NODE, RPC_INTERNAL, "127.0.1.1:7100"},
    {RPC_ROLE_ROUTER, RPC_INTERNAL, "127.0.1.1:7100"},
    {RPC_ROLE_ROUTER, RPC_INTERNAL, "127.0.2.1:7300"},
    {RPC_ROLE_ADMIN, RPC_INTERNAL, "127.0.2.1:7300"},
    {RPC_ROLE_CLIENT, RPC_CLIENT, "127.0.3.1:7232"},
    {RPC_ROLE_ADMIN, RPC_CLIENT, "127.0.3.1:7232"},
    {RPC_ROLE_NODE, RPC_INTERNAL, "127.0.2.1:7300"},
};
enum { DOORS = sizeof doors / sizeof *doors, METHODS = sizeof methods / sizeof *methods };

static void learn_ranges(struct trio *trio, struct ranges *out)
{
    struct trio_call call = {.role = RPC_ROLE_ADMIN, .address = doors[0].address, .method = METHOD_CONTROL_VIEW};
    struct arena arena = {0};
    struct view view;
    CHECK(trio_ask(trio, &call, 1, 10 * WORLD_S) && call.status == STATUS_OK);
    const Trillium__V1__ViewAnswer *answer =
        rpc_decode(&arena, &trillium__v1__view_answer__descriptor, buffer_bytes(&call.answer));
    CHECK(answer && view_decode(bytes_of(answer->data.data, answer->data.len), &arena, &view) == STATUS_OK);
    out->count = 0;
    for (unsigned i = 0; i < view.ranges_count && i < KNOWN_MAX; i++, out->count++) {
        out->ids[i] = view.ranges[i].id.value;
        out->epochs[i] = view.ranges[i].epoch;
    }
    arena_free(&arena);
    buffer_free(&call.answer);
}

/* Bits of routing. */
enum { ROUTED = 1, NO_SUCH_RANGE = 2, EPOCH_LESS = 4, EPOCH_MORE = 8, EPOCH_FAR = 16, MUCH_LATER = 64, LATER = 128 };

static struct trio_call read_call(struct reader *reader, const struct ranges *ranges, uint64_t *wait_ns)
{
    uint8_t door = read_u8(reader) % DOORS, method = read_u8(reader), routing = read_u8(reader);
    uint32_t range = read_u8(reader) % ranges->count;
    uint16_t length = read_u16(reader);
    struct trio_call call = {.role = doors[door].role, .kind = doors[door].kind, .address = doors[door].address};
    call.method = method < METHODS ? methods[method] : method;
    call.routed = routing & ROUTED;
    call.range = routing & NO_SUCH_RANGE ? 77777 : ranges->ids[range];
    call.epoch = ranges->epochs[range] - !!(routing & EPOCH_LESS) + !!(routing & EPOCH_MORE);
    if (routing & EPOCH_FAR) call.epoch = UINT64_MAX;
    *wait_ns = routing & MUCH_LATER ? 12 * WORLD_S : routing & LATER ? 100 * WORLD_MS : 0;
    if (length > reader_left(reader)) length = (uint16_t)reader_left(reader);
    call.body = read_bytes(reader, length);
    return call;
}

static void ask(struct trio *trio, struct trio_call *calls, uint32_t count)
{
    CHECK(trio_ask(trio, calls, count, 60 * WORLD_S));
    for (uint32_t i = 0; i < count; i++)
        buffer_free(&calls[i].answer);
}

/* Calls leave together, but for those that say LATER: what was sent before them is answered then. */
static void run_calls(struct trio *trio, struct reader *reader, const struct ranges *ranges)
{
    struct trio_call calls[CALLS_MAX];
    uint32_t first = 0, count = 0;
    while (count < CALLS_MAX && reader_left(reader) >= 6) {
        uint64_t wait_ns;
        struct trio_call call = read_call(reader, ranges, &wait_ns);
        if (wait_ns) {
            ask(trio, calls + first, count - first);
            trio_pass(trio, wait_ns, NULL);
            first = count;
        }
        calls[count++] = call;
    }
    ask(trio, calls + first, count - first);
}

static void check_serves(struct trio *trio)
{
    struct trio_call last[] = {
        {.role = RPC_ROLE_ADMIN, .address = doors[0].address, .method = METHOD_CONTROL_INFO},
        {.role = RPC_ROLE_ADMIN, .address = doors[4].address, .method = METHOD_ADMIN_NODE_STATUS},
        {.role = RPC_ROLE_ADMIN, .kind = RPC_CLIENT, .address = doors[6].address, .method = METHOD_ADMIN_ROUTER_STATUS},
    };
    CHECK(trio_ask(trio, last, 3, 10 * WORLD_S));
    for (int i = 0; i < 3; i++) {
        CHECK(last[i].status == STATUS_OK);
        buffer_free(&last[i].answer);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trio trio;
    struct ranges ranges;
    struct reader reader = reader_of(bytes_of(data, size));
    trio_init(&trio, &(struct trio_options){.seed = 1});
    trio_start(&trio);
    CHECK(trio_pass(&trio, 30 * WORLD_S, trio_is_ready));
    learn_ranges(&trio, &ranges);
    run_calls(&trio, &reader, &ranges);
    for (int i = 0; i < TRIO_DAEMONS; i++)
        CHECK(trio_is_running(&trio, (enum trio_daemon)i));
    check_serves(&trio);
    CHECK(world_failure(trio.world) == NULL);
    trio_fini(&trio);
    return 0;
}
