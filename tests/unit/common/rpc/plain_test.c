/* Plain REQ clients, and peers that say anything at all. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/base/prng.h"
#include "common/rpc/frame.h"
#include "tests/unit/common/rpc/pair.h"

enum { ECHO = METHOD_MESSAGE_GET, PARK = METHOD_MESSAGE_LIST };

static struct pair pair;
static struct rpc_request *parked[64];
static uint32_t parked_count;
static struct pair_raw raw;

static void echo(void *context, struct rpc_request *request)
{
    (void)context;
    struct rpc_answer answer = {.body = RPC_BYTES(request->body)};
    rpc_answer(request, STATUS_OK, &answer);
}

static void park(void *context, struct rpc_request *request)
{
    (void)context;
    parked[parked_count++] = request;
}

static void setup(void)
{
    parked_count = 0;
    pair_init(&pair);
    struct rpc_handler handlers[] = {{ECHO, RPC_ROLES_ALL, echo, NULL}, {PARK, RPC_ROLES_ALL, park, NULL}};
    struct rpc_listen_options listen = {
        .address = PAIR_ADDRESS, .kind = RPC_CLIENT, .handlers = handlers, .handlers_count = 2};
    cr_assert_eq(rpc_listen(pair.listener, &listen, &pair.listening), STATUS_OK);
    pair_raw_dial(&pair, &raw);
}

static void teardown(void)
{
    link_close(&pair.net.net, raw.end);
    pair_settle(&pair);
    pair_fini(&pair);
}

TestSuite(plain, .init = setup, .fini = teardown);

static uint32_t call_frame(uint8_t *frame, uint8_t flags, uint16_t method, uint32_t frame_no)
{
    struct frame_entry entry = {
        .id = 77, .kind = FRAME_CALL, .code = method, .time_us = 1000000, .body = bytes_text("hi")};
    uint8_t *at = frame_entry_write(frame + FRAME_HEADER_BYTES, &entry);
    memcpy(at, entry.body.data, entry.body.size);
    uint32_t size = (uint32_t)(at + 2 - frame);
    struct frame_header header = {.flags = flags, .count = 1, .frame_no = frame_no};
    frame_seal(frame, size, &header);
    return size;
}

static void send_plain(uint16_t method, uint64_t reply_to)
{
    uint8_t frame[256];
    pair_raw_send(&pair, &raw, frame, call_frame(frame, FRAME_ONE_ANSWER, method, 0), reply_to);
}

static enum status answer_status(void)
{
    struct frame_header header;
    struct bytes frame = bytes_of(raw.last, raw.last_size);
    cr_assert_eq(frame_check(frame, &header), FRAME_FINE);
    cr_assert_eq(header.flags, FRAME_ONE_ANSWER);
    cr_assert_eq(header.count, 1);
    struct reader reader = frame_entries(frame);
    struct frame_entry entry;
    cr_assert(frame_next(&reader, &entry));
    cr_assert_eq(entry.id, 77u);
    cr_assert_eq(entry.kind, FRAME_ANSWER);
    return (enum status)entry.code;
}

Test(plain, one_frame_gets_one_frame_under_its_own_header)
{
    send_plain(ECHO, 0x80000123);
    cr_assert_eq(raw.received, 1u);
    cr_assert_eq(raw.last_reply_to, 0x80000123u);
    cr_assert_eq(answer_status(), STATUS_OK);
}

Test(plain, every_request_is_answered_within_thirty_seconds)
{
    send_plain(PARK, 5);
    pair_pass(&pair, 29900 * PAIR_MS);
    cr_assert_eq(raw.received, 0u);
    pair_pass(&pair, 200 * PAIR_MS);
    cr_assert_eq(raw.received, 1u);
    cr_assert_eq(answer_status(), STATUS_TIMEOUT);
    rpc_answer(parked[0], STATUS_OK, NULL);
    pair_settle(&pair);
    cr_assert_eq(raw.received, 1u);
}

Test(plain, too_many_open_requests_are_busy)
{
    for (uint64_t i = 0; i < 32; i++)
        send_plain(PARK, i + 1);
    cr_assert_eq(raw.received, 0u);
    send_plain(PARK, 99);
    cr_assert_eq(raw.received, 1u);
    cr_assert_eq(answer_status(), STATUS_BUSY);
    for (uint32_t i = 0; i < parked_count; i++)
        rpc_answer(parked[i], STATUS_OK, NULL);
    pair_settle(&pair);
    cr_assert_eq(raw.received, 33u);
}

Test(plain, an_idle_plain_client_is_closed_after_fifty_seconds)
{
    send_plain(ECHO, 1);
    pair_pass(&pair, 49000 * PAIR_MS);
    cr_assert_eq(raw.downs, 0u);
    pair_pass(&pair, 2000 * PAIR_MS);
    cr_assert_eq(raw.downs, 1u);
}

Test(plain, an_unknown_method_is_refused)
{
    send_plain(200, 1);
    cr_assert_eq(answer_status(), STATUS_BAD_REQUEST);
}

Test(plain, a_peer_that_says_nothing_is_closed)
{
    pair_pass(&pair, 2200 * PAIR_MS);
    cr_assert_eq(raw.downs, 0u);
    pair_pass(&pair, 200 * PAIR_MS);
    cr_assert_eq(raw.downs, 1u);
    cr_assert_eq(rpc_counters(pair.listener)->pipes_no_hello, 1u);
}

Test(plain, a_call_before_hello_ends_the_pipe_without_effect)
{
    uint8_t frame[256];
    pair_raw_send(&pair, &raw, frame, call_frame(frame, 0, ECHO, 1), 0);
    cr_assert_eq(raw.received, 0u);
    cr_assert_eq(rpc_counters(pair.listener)->pipes_no_hello, 1u);
    cr_assert_eq(rpc_counters(pair.listener)->requests_taken, 0u);
    pair_pass(&pair, 400 * PAIR_MS);
    cr_assert_eq(raw.downs, 1u);
}

Test(plain, garbage_ends_the_pipe)
{
    struct prng prng = prng_seeded(5);
    for (int i = 0; i < 50; i++) {
        uint8_t junk[300];
        uint32_t size = (uint32_t)prng_below(&prng, sizeof junk);
        prng_fill(&prng, junk, sizeof junk);
        pair_raw_send(&pair, &raw, junk, size, 0);
        pair_pass(&pair, 400 * PAIR_MS);
    }
    cr_assert_eq(rpc_counters(pair.listener)->pipes_malformed, 50u);
    cr_assert_eq(raw.received, 0u);
    send_plain(ECHO, 3);
    cr_assert_eq(answer_status(), STATUS_OK);
}

Test(plain, a_lame_pipe_whose_peer_goes_on_is_closed_all_the_same)
{
    uint8_t frame[256];
    uint32_t size = call_frame(frame, 0, ECHO, 1);
    for (int i = 0; i < 60 && raw.downs == 0; i++) {
        pair_raw_send(&pair, &raw, frame, size, 0);
        pair_pass(&pair, 200 * PAIR_MS);
    }
    cr_assert_eq(raw.downs, 1u);
    cr_assert_eq(rpc_counters(pair.listener)->closed_loud, 1u);
}
