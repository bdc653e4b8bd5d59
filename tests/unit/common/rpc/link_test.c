/* What happens on a pipe: HELLO, window, acknowledgements, grants, silence, lame ends, goodbye. */
#include <criterion/criterion.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/rpc/frame.h"
#include "tests/unit/common/rpc/pair.h"

enum { ECHO = METHOD_REPLICA_WRITE, PARK = METHOD_REPLICA_READ, CALLS = 4000 };

static struct pair pair;

/* ---- handlers ---- */

static struct rpc_request *parked[CALLS];
static uint32_t parked_count, cancelled;

static void on_cancel(struct rpc_request *request)
{
    (void)request;
    cancelled++;
}

static void echo(void *context, struct rpc_request *request)
{
    (void)context;
    struct rpc_answer answer = {.stamp = request->stamp, .body = RPC_BYTES(request->body)};
    rpc_answer(request, STATUS_OK, &answer);
}

static void park(void *context, struct rpc_request *request)
{
    (void)context;
    request->on_cancel = on_cancel;
    parked[parked_count++] = request;
}

static const struct rpc_handler HANDLERS[] = {
    {ECHO, RPC_ROLES_DAEMONS, echo, NULL},
    {PARK, RPC_ROLES_DAEMONS | RPC_ROLE_BIT(RPC_ROLE_CLIENT), park, NULL},
};
enum { HANDLERS_COUNT = 2 };

/* ---- calls ---- */

struct tried {
    struct rpc_call call;
    uint32_t dones;
    enum status status;
    uint64_t stamp;
    size_t body_size;
};
static struct tried tried[CALLS];

static void on_done(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct tried *it = CONTAINER_OF(call, struct tried, call);
    it->dones++;
    it->status = reply->status;
    it->stamp = reply->stamp;
    it->body_size = reply->body.size;
}

static struct tried *start(int index, uint16_t method, uint32_t budget_ms, struct bytes body)
{
    struct tried *it = &tried[index];
    *it = (struct tried){
        .call = {.done = on_done, .method = method, .budget_us = budget_ms * 1000, .routed = true, .stamp = 42}};
    rpc_call_start(pair.peer, &it->call, RPC_BYTES(body));
    return it;
}

static uint32_t count_status(int calls, enum status status)
{
    uint32_t count = 0;
    for (int i = 0; i < calls; i++)
        if (tried[i].dones == 1 && tried[i].status == status) count++;
    return count;
}

static void setup(void)
{
    memset(tried, 0, sizeof tried);
    parked_count = cancelled = 0;
    pair_init(&pair);
}

static void teardown(void)
{
    plant_set(NULL);
    pair_fini(&pair);
}

TestSuite(link, .init = setup, .fini = teardown);

static void connect(void)
{
    pair_connect(&pair, HANDLERS, HANDLERS_COUNT);
}

/* ---- calls and answers ---- */

Test(link, a_call_is_answered_with_its_body_and_stamp)
{
    connect();
    struct tried *it = start(0, ECHO, 0, bytes_text("hello"));
    cr_assert_eq(it->dones, 0u, "done is never called from inside start");
    pair_settle(&pair);
    cr_assert_eq(it->dones, 1u);
    cr_assert_eq(it->status, STATUS_OK);
    cr_assert_eq(it->stamp, 42u);
    cr_assert_eq(it->body_size, 5u);
    cr_assert_not(rpc_call_is_open(&it->call));
}

Test(link, calls_of_one_turn_leave_in_one_frame_and_so_do_their_answers)
{
    connect();
    uint32_t before[2] = {pair.net.ways[0].frames, pair.net.ways[1].frames};
    for (int i = 0; i < 200; i++)
        start(i, ECHO, 0, bytes_text("x"));
    pair_settle(&pair);
    cr_assert_eq(count_status(200, STATUS_OK), 200u);
    cr_assert_eq(pair.net.ways[PAIR_DIALER].frames - before[0], 1u);
    cr_assert_eq(pair.net.ways[PAIR_LISTENER].frames - before[1], 1u);
}

Test(link, unknown_methods_and_roles_without_leave_are_refused)
{
    struct rpc_handler handlers[] = {{ECHO, RPC_ROLE_BIT(RPC_ROLE_CONTROLLER), echo, NULL}};
    pair_connect(&pair, handlers, 1);
    start(0, ECHO, 0, bytes_text(""));
    start(1, METHOD_RAFT_STEP, 0, bytes_text(""));
    pair_settle(&pair);
    cr_assert_eq(tried[0].status, STATUS_DENIED);
    cr_assert_eq(tried[1].status, STATUS_BAD_REQUEST);
}

Test(link, a_body_above_the_largest_frame_never_leaves)
{
    connect();
    static uint8_t big[FRAME_BYTES_MAX];
    start(0, ECHO, 0, bytes_of(big, FRAME_BYTES_MAX - FRAME_HEADER_BYTES - FRAME_ENTRY_BYTES - FRAME_ROUTED_BYTES));
    start(1, ECHO, 0, bytes_of(big, FRAME_BYTES_MAX - FRAME_HEADER_BYTES - FRAME_ENTRY_BYTES - FRAME_ROUTED_BYTES + 1));
    pair_settle(&pair);
    cr_assert_eq(tried[0].status, STATUS_OK);
    cr_assert_eq(tried[1].status, STATUS_TOO_BIG);
}

Test(link, a_peer_that_is_not_up_is_unavailable)
{
    struct rpc_peer_options options = {.address = PAIR_ADDRESS};
    cr_assert_eq(rpc_peer_create(pair.dialer, &options, &pair.peer), STATUS_OK);
    pair_settle(&pair);
    start(0, ECHO, 0, bytes_text("x"));
    cr_assert_eq(tried[0].dones, 0u);
    pair_settle(&pair);
    cr_assert_eq(tried[0].status, STATUS_UNAVAILABLE);
}

/* ---- deadlines and cancels ---- */

Test(link, a_call_without_answer_times_out_and_its_late_answer_is_dropped)
{
    connect();
    start(0, PARK, 500, bytes_text("x"));
    pair_pass(&pair, 499 * PAIR_MS);
    cr_assert_eq(tried[0].dones, 0u);
    pair_pass(&pair, 2 * PAIR_MS);
    cr_assert_eq(tried[0].status, STATUS_TIMEOUT);
    rpc_answer(parked[0], STATUS_OK, NULL);
    pair_settle(&pair);
    cr_assert_eq(tried[0].dones, 1u);
    cr_assert_eq(rpc_counters(pair.dialer)->answers_unknown, 1u);
}

Test(link, a_call_that_never_left_is_unavailable_at_its_deadline_and_never_leaves)
{
    struct rpc_listen_options listen = {
        .address = PAIR_ADDRESS, .handlers = HANDLERS, .handlers_count = HANDLERS_COUNT, .calls_max = 1};
    cr_assert_eq(rpc_listen(pair.listener, &listen, &pair.listening), STATUS_OK);
    struct rpc_peer_options options = {.address = PAIR_ADDRESS};
    cr_assert_eq(rpc_peer_create(pair.dialer, &options, &pair.peer), STATUS_OK);
    pair_settle(&pair);
    start(0, PARK, 2000, bytes_text("x"));
    start(1, PARK, 500, bytes_text("x"));
    start(2, PARK, 3000, bytes_text("x"));
    pair_pass(&pair, 600 * PAIR_MS);
    cr_assert_eq(tried[1].status, STATUS_UNAVAILABLE);
    cr_assert_eq(parked_count, 1u);
    rpc_answer(parked[0], STATUS_OK, NULL);
    pair_settle(&pair);
    cr_assert_eq(tried[0].status, STATUS_OK);
    cr_assert_eq(parked_count, 2u, "the third call came, the second did not");
    uint64_t left_ns = parked[1]->deadline_ns - pair.fakes[PAIR_LISTENER].mono_ns;
    cr_assert_leq(left_ns, 2400 * PAIR_MS, "the time that it waited is taken off its budget");
    rpc_answer(parked[1], STATUS_OK, NULL);
}

Test(link, a_cancelled_call_is_not_done_and_its_handler_hears_of_it)
{
    connect();
    start(0, PARK, 0, bytes_text("x"));
    pair_settle(&pair);
    rpc_call_cancel(&tried[0].call);
    pair_settle(&pair);
    cr_assert_eq(cancelled, 1u);
    cr_assert(parked[0]->cancelled);
    rpc_answer(parked[0], STATUS_OK, NULL);
    pair_settle(&pair);
    cr_assert_eq(tried[0].dones, 0u);
    cr_assert_eq(rpc_counters(pair.dialer)->answers_unknown, 0u);
}

/* ---- loss ---- */

Test(link, a_lost_frame_ends_the_pipe_and_its_calls_are_lost)
{
    connect();
    pair.net.ways[PAIR_LISTENER].lose = 1;
    start(0, ECHO, 0, bytes_text("x"));
    pair_settle(&pair);
    cr_assert_eq(tried[0].dones, 0u);
    start(1, ECHO, 0, bytes_text("x"));
    pair_settle(&pair);
    cr_assert_eq(count_status(2, STATUS_LOST), 2u);
    cr_assert_eq(rpc_counters(pair.dialer)->pipes_gap, 1u);
    cr_assert_not(rpc_peer_is_up(pair.peer));
    pair_pass(&pair, 1000 * PAIR_MS);
    cr_assert(rpc_peer_is_up(pair.peer), "it is dialed again");
}

Test(link, the_planted_bug_takes_lost_answers_for_done)
{
    plant_set("answers_dropped_taken_for_done");
    connect();
    pair.net.ways[PAIR_LISTENER].lose = 1;
    start(0, ECHO, 0, bytes_text("x"));
    pair_settle(&pair);
    start(1, ECHO, 0, bytes_text("x"));
    pair_settle(&pair);
    cr_assert_eq(count_status(2, STATUS_OK), 2u);
}

Test(link, a_repeated_frame_ends_the_pipe_and_acts_once)
{
    connect();
    pair.net.ways[PAIR_DIALER].repeat = 1;
    start(0, PARK, 0, bytes_text("x"));
    pair_settle(&pair);
    cr_assert_eq(parked_count, 1u);
    cr_assert_eq(rpc_counters(pair.listener)->pipes_gap, 1u);
    cr_assert_eq(cancelled, 1u);
    rpc_answer(parked[0], STATUS_OK, NULL);
    pair_pass(&pair, 2000 * PAIR_MS);
    cr_assert_eq(tried[0].status, STATUS_LOST);
}

Test(link, a_reset_loses_what_had_left_and_only_that)
{
    struct rpc_listen_options listen = {
        .address = PAIR_ADDRESS, .handlers = HANDLERS, .handlers_count = HANDLERS_COUNT, .calls_max = 2};
    cr_assert_eq(rpc_listen(pair.listener, &listen, &pair.listening), STATUS_OK);
    struct rpc_peer_options options = {.address = PAIR_ADDRESS};
    cr_assert_eq(rpc_peer_create(pair.dialer, &options, &pair.peer), STATUS_OK);
    pair_settle(&pair);
    for (int i = 0; i < 5; i++)
        start(i, PARK, 0, bytes_text("x"));
    pair_settle(&pair);
    pair_reset(&pair);
    cr_assert_eq(count_status(5, STATUS_LOST), 2u);
    cr_assert_eq(count_status(5, STATUS_UNAVAILABLE), 3u);
    rpc_answer(parked[0], STATUS_OK, NULL); /* of a dead pipe: no effect */
    rpc_answer(parked[1], STATUS_OK, NULL);
    pair_settle(&pair);
    cr_assert_eq(rpc_counters(pair.listener)->requests_open, 0u);
}

/* ---- window and grants ---- */

Test(link, a_stopped_peer_is_sent_one_window_and_the_rest_batches)
{
    connect();
    static uint8_t body[1000];
    pair.net.ways[PAIR_DIALER].hold = true;
    uint32_t before = pair.net.ways[PAIR_DIALER].frames;
    for (int i = 0; i < 1000; i++) {
        start(i, ECHO, 0, bytes_of(body, sizeof body));
        pair_settle(&pair);
    }
    cr_assert_eq(pair.net.ways[PAIR_DIALER].frames - before, (uint32_t)LINK_WINDOW_FRAMES);
    cr_assert_eq(rpc_counters(pair.dialer)->window_stalls, 1u);
    pair.net.ways[PAIR_DIALER].hold = false;
    pair_settle(&pair);
    cr_assert_eq(count_status(1000, STATUS_OK), 1000u);
    cr_assert_lt(pair.net.ways[PAIR_DIALER].frames - before, (uint32_t)LINK_WINDOW_FRAMES + 10);
}

Test(link, both_windows_full_do_not_deadlock)
{
    connect();
    static uint8_t body[40000];
    for (int i = 0; i < 900; i++)
        start(i, PARK, 20000, bytes_of(body, sizeof body));
    pair_settle(&pair);
    /* The listener answers what it has, with nobody hearing it, while more calls come. */
    pair.net.ways[PAIR_LISTENER].hold = true;
    for (uint32_t i = 0; i < parked_count; i++) {
        struct rpc_answer answer = {.body = RPC_BYTES(bytes_of(body, sizeof body))};
        rpc_answer(parked[i], STATUS_OK, &answer);
        parked[i] = NULL;
    }
    uint32_t answered = parked_count;
    for (int i = 900; i < 1100; i++)
        start(i, ECHO, 20000, bytes_of(body, sizeof body));
    pair_settle(&pair);
    cr_assert_gt(rpc_counters(pair.listener)->window_stalls, 0u);
    pair.net.ways[PAIR_LISTENER].hold = false;
    pair_settle(&pair);
    for (uint32_t i = answered; i < parked_count; i++)
        rpc_answer(parked[i], STATUS_OK, NULL);
    pair_settle(&pair);
    cr_assert_eq(count_status(1100, STATUS_OK), 1100u - count_status(1100, STATUS_BUSY));
}

Test(link, unseen_frames_and_empties_stay_below_the_queue_of_nng)
{
    connect();
    static uint8_t body[1000];
    pair.net.ways[PAIR_DIALER].hold = true;
    uint32_t before = pair.net.ways[PAIR_DIALER].frames;
    for (int second = 0; second < 9; second++) {
        for (int i = 0; i < 100; i++)
            start(second * 100 + i, ECHO, 20000, bytes_of(body, sizeof body));
        pair_pass(&pair, 1000 * PAIR_MS);
    }
    cr_assert_leq(pair.net.ways[PAIR_DIALER].frames - before, (uint32_t)LINK_QUEUE_FRAMES_MAX);
}

Test(link, no_more_calls_are_open_than_were_granted)
{
    struct rpc_listen_options listen = {
        .address = PAIR_ADDRESS, .handlers = HANDLERS, .handlers_count = HANDLERS_COUNT, .calls_max = 10};
    cr_assert_eq(rpc_listen(pair.listener, &listen, &pair.listening), STATUS_OK);
    struct rpc_peer_options options = {.address = PAIR_ADDRESS};
    cr_assert_eq(rpc_peer_create(pair.dialer, &options, &pair.peer), STATUS_OK);
    pair_settle(&pair);
    for (int i = 0; i < 300; i++)
        start(i, PARK, 0, bytes_text("x"));
    uint32_t answered = 0;
    while (answered < 300) {
        pair_settle(&pair);
        cr_assert_leq(parked_count - answered, 10u);
        cr_assert_gt(parked_count, answered);
        rpc_answer(parked[answered++], STATUS_OK, NULL);
    }
    pair_settle(&pair);
    cr_assert_eq(count_status(300, STATUS_OK), 300u);
}

Test(link, slots_of_cancelled_calls_come_back_without_an_answer)
{
    struct rpc_listen_options listen = {
        .address = PAIR_ADDRESS, .handlers = HANDLERS, .handlers_count = HANDLERS_COUNT, .calls_max = 4};
    cr_assert_eq(rpc_listen(pair.listener, &listen, &pair.listening), STATUS_OK);
    struct rpc_peer_options options = {.address = PAIR_ADDRESS};
    cr_assert_eq(rpc_peer_create(pair.dialer, &options, &pair.peer), STATUS_OK);
    pair_settle(&pair);
    for (int i = 0; i < 3; i++)
        start(i, PARK, 0, bytes_text("x"));
    pair_settle(&pair);
    for (int i = 0; i < 3; i++)
        rpc_call_cancel(&tried[i].call);
    pair_settle(&pair);
    for (int i = 10; i < 14; i++)
        start(i, PARK, 0, bytes_text("x"));
    pair_settle(&pair);
    cr_assert_eq(parked_count, 7u);
    for (uint32_t i = 0; i < 7; i++)
        rpc_answer(parked[i], STATUS_OK, NULL);
}

/* ---- HELLO ---- */

static void connect_as(const struct rpc_info *dialer)
{
    rpc_identify(pair.dialer, dialer);
    struct rpc_listen_options listen = {
        .address = PAIR_ADDRESS, .handlers = HANDLERS, .handlers_count = HANDLERS_COUNT};
    cr_assert_eq(rpc_listen(pair.listener, &listen, &pair.listening), STATUS_OK);
    struct rpc_peer_options options = {.address = PAIR_ADDRESS};
    cr_assert_eq(rpc_peer_create(pair.dialer, &options, &pair.peer), STATUS_OK);
    pair_settle(&pair);
}

Test(link, hello_tells_who_the_peer_is)
{
    struct rpc_info node = pair_info(PAIR_LISTENER);
    node.boot = 17;
    node.shards_count = 2;
    node.synced[0] = 100;
    node.synced[1] = 200;
    rpc_identify(pair.listener, &node);
    connect();
    const struct rpc_info *info = rpc_peer_info(pair.peer);
    cr_assert_eq(info->role, RPC_ROLE_NODE);
    cr_assert_eq(info->boot, 17u);
    cr_assert_eq(info->daemon_id, 2u);
    cr_assert_eq(info->shards_count, 2u);
    cr_assert_eq(info->synced[1], 200u);
    cr_assert_eq(info->protocol, 1u);
    cr_assert_eq(memcmp(info->instance, node.instance, 16), 0);
}

Test(link, a_daemon_of_another_cluster_is_refused)
{
    struct rpc_info other = pair_info(PAIR_DIALER);
    memset(other.cluster, 8, sizeof other.cluster);
    connect_as(&other);
    pair_pass(&pair, 1000 * PAIR_MS);
    cr_assert_not(rpc_peer_is_up(pair.peer));
    cr_assert_gt(rpc_counters(pair.listener)->pipes_refused, 0u);
    cr_assert_gt(rpc_counters(pair.dialer)->pipes_refused, 0u);
}

Test(link, who_does_not_know_its_cluster_yet_is_let_in)
{
    struct rpc_info other = pair_info(PAIR_DIALER);
    memset(other.cluster, 0, sizeof other.cluster);
    connect_as(&other);
    cr_assert(rpc_peer_is_up(pair.peer));
}

Test(link, a_wrong_role_at_an_address_is_refused)
{
    struct rpc_listen_options listen = {.address = PAIR_ADDRESS};
    cr_assert_eq(rpc_listen(pair.listener, &listen, &pair.listening), STATUS_OK);
    struct rpc_peer_options options = {.address = PAIR_ADDRESS, .roles = RPC_ROLE_BIT(RPC_ROLE_CONTROLLER)};
    cr_assert_eq(rpc_peer_create(pair.dialer, &options, &pair.peer), STATUS_OK);
    pair_pass(&pair, 1000 * PAIR_MS);
    cr_assert_not(rpc_peer_is_up(pair.peer));
}

Test(link, a_daemon_whose_clock_is_ahead_is_refused_and_counted)
{
    pair.fakes[PAIR_DIALER].wall_us += 600 * 1000;
    connect_as(&(struct rpc_info){.role = RPC_ROLE_NODE});
    cr_assert_not(rpc_peer_is_up(pair.peer));
    cr_assert_gt(rpc_counters(pair.listener)->clock_ahead, 0u);
}

Test(link, a_daemon_whose_clock_is_behind_is_served_by_the_one_that_is_right)
{
    /* Seen from behind, the other is ahead: that side refuses, and says so. */
    pair.fakes[PAIR_DIALER].wall_us -= 600 * 1000;
    connect_as(&(struct rpc_info){.role = RPC_ROLE_NODE});
    cr_assert_eq(rpc_counters(pair.listener)->clock_ahead, 0u);
    cr_assert_gt(rpc_counters(pair.dialer)->clock_ahead, 0u);
}

Test(link, a_clock_that_steps_ahead_later_ends_the_pipe)
{
    connect();
    pair.fakes[PAIR_DIALER].wall_us += 600 * 1000;
    start(0, ECHO, 0, bytes_text("x"));
    pair_pass(&pair, 2000 * PAIR_MS);
    cr_assert_eq(tried[0].dones, 1u);
    cr_assert_neq(tried[0].status, STATUS_OK);
    cr_assert_eq(rpc_counters(pair.listener)->requests_taken, 0u);
}

Test(link, a_clients_clock_is_ignored)
{
    pair.fakes[PAIR_DIALER].wall_us += (int64_t)3600 * 1000000;
    connect_as(&(struct rpc_info){.role = RPC_ROLE_CLIENT});
    cr_assert(rpc_peer_is_up(pair.peer));
    start(0, PARK, 0, bytes_text("x"));
    pair_settle(&pair);
    rpc_answer(parked[0], STATUS_OK, NULL);
    pair_settle(&pair);
    cr_assert_eq(tried[0].status, STATUS_OK);
}

Test(link, a_newer_pipe_of_an_instance_supersedes_the_older_one)
{
    connect();
    start(0, PARK, 20000, bytes_text("x"));
    pair_settle(&pair);
    /* The dialer's machine forgets its connection; the listener has not noticed when the next one comes. */
    struct rpc_options options = {.reactor = pair.fakes[PAIR_DIALER].reactor, .self = pair_info(PAIR_DIALER)};
    struct rpc *again = rpc_create(&options);
    struct rpc_peer_options peer_options = {.address = PAIR_ADDRESS};
    struct rpc_peer *peer;
    cr_assert_eq(rpc_peer_create(again, &peer_options, &peer), STATUS_OK);
    pair_settle(&pair);
    cr_assert(rpc_peer_is_up(peer));
    cr_assert_eq(rpc_counters(pair.listener)->pipes_superseded, 1u);
    cr_assert_eq(cancelled, 1u);
    rpc_answer(parked[0], STATUS_OK, NULL);
    rpc_destroy(again);
}

static enum status admit_nobody(void *context, const struct rpc_info *info, const char *remote)
{
    (void)context;
    (void)info;
    (void)remote;
    return STATUS_NOT_OWNER;
}

Test(link, a_listener_may_refuse_to_admit)
{
    struct rpc_listen_options listen = {.address = PAIR_ADDRESS, .admit = admit_nobody};
    cr_assert_eq(rpc_listen(pair.listener, &listen, &pair.listening), STATUS_OK);
    struct rpc_peer_options options = {.address = PAIR_ADDRESS};
    cr_assert_eq(rpc_peer_create(pair.dialer, &options, &pair.peer), STATUS_OK);
    pair_settle(&pair);
    cr_assert_not(rpc_peer_is_up(pair.peer));
}

/* ---- silence ---- */

Test(link, pings_keep_an_idle_pipe)
{
    connect();
    pair_pass(&pair, 60000 * PAIR_MS);
    cr_assert(rpc_peer_is_up(pair.peer));
    cr_assert_eq(rpc_counters(pair.dialer)->pipes_up, 1u);
    cr_assert_leq(rpc_counters(pair.dialer)->empties_sent, 21u);
}

Test(link, a_silent_peer_is_given_up_after_ten_seconds)
{
    connect();
    start(0, PARK, 30000, bytes_text("x"));
    pair_settle(&pair);
    pair.net.ways[PAIR_LISTENER].hold = true;
    pair_pass(&pair, 9500 * PAIR_MS);
    cr_assert(rpc_peer_is_up(pair.peer));
    pair_pass(&pair, 600 * PAIR_MS);
    cr_assert_not(rpc_peer_is_up(pair.peer));
    cr_assert_eq(tried[0].status, STATUS_LOST);
    rpc_answer(parked[0], STATUS_OK, NULL);
}

Test(link, ones_own_standstill_is_no_silence_of_the_peer)
{
    connect();
    for (int side = 0; side < 2; side++)
        pair.fakes[side].mono_ns += 30000 * PAIR_MS;
    pair_settle(&pair);
    cr_assert(rpc_peer_is_up(pair.peer));
    pair_pass(&pair, 20000 * PAIR_MS);
    cr_assert(rpc_peer_is_up(pair.peer));
    cr_assert_eq(rpc_counters(pair.dialer)->pipes_up, 1u);
}

/* ---- goodbye ---- */

static void on_goodbye(void *context)
{
    ++*(int *)context;
}

Test(link, a_stopping_server_answers_what_is_open_and_takes_no_more)
{
    connect();
    start(0, PARK, 0, bytes_text("x"));
    pair_settle(&pair);
    int done = 0;
    rpc_goodbye(pair.listener, on_goodbye, &done);
    pair_settle(&pair);
    cr_assert_not(rpc_peer_is_up(pair.peer));
    start(1, ECHO, 0, bytes_text("x"));
    pair_settle(&pair);
    cr_assert_eq(tried[1].status, STATUS_UNAVAILABLE);
    cr_assert_eq(done, 0);
    rpc_answer(parked[0], STATUS_OK, NULL);
    pair_settle(&pair);
    cr_assert_eq(tried[0].status, STATUS_OK);
    pair_pass(&pair, 400 * PAIR_MS);
    cr_assert_eq(done, 1, "the dialer closed after 300 ms of quiet");
}

Test(link, calls_that_cross_a_goodbye_are_refused_without_effect)
{
    connect();
    int done = 0;
    pair.net.ways[PAIR_LISTENER].hold = true;
    rpc_goodbye(pair.listener, on_goodbye, &done);
    pair_settle(&pair);
    start(0, ECHO, 0, bytes_text("x"));
    pair_settle(&pair);
    pair.net.ways[PAIR_LISTENER].hold = false;
    pair_settle(&pair);
    cr_assert_eq(tried[0].status, STATUS_UNAVAILABLE);
}

Test(link, a_stopping_client_waits_for_its_answers)
{
    connect();
    start(0, PARK, 0, bytes_text("x"));
    pair_settle(&pair);
    int done = 0;
    rpc_goodbye(pair.dialer, on_goodbye, &done);
    pair_settle(&pair);
    cr_assert_eq(done, 0);
    rpc_answer(parked[0], STATUS_OK, NULL);
    pair_settle(&pair);
    cr_assert_eq(tried[0].status, STATUS_OK);
    cr_assert_eq(done, 1);
}

Test(link, what_is_being_served_may_call_on_until_it_is_answered)
{
    connect();
    struct rpc_listener *behind;
    struct rpc_peer *onward;
    struct rpc_listen_options listen = {
        .address = "127.0.0.1:7400", .handlers = HANDLERS, .handlers_count = HANDLERS_COUNT};
    struct rpc_peer_options options = {.address = "127.0.0.1:7400"};
    cr_assert_eq(rpc_listen(pair.dialer, &listen, &behind), STATUS_OK);
    cr_assert_eq(rpc_peer_create(pair.listener, &options, &onward), STATUS_OK);
    start(0, PARK, 0, bytes_text("x"));
    pair_settle(&pair);
    int done = 0;
    rpc_goodbye(pair.listener, on_goodbye, &done);
    pair_settle(&pair);
    tried[1] = (struct tried){.call = {.done = on_done, .method = ECHO}};
    rpc_call_start(onward, &tried[1].call, RPC_EMPTY);
    pair_settle(&pair);
    cr_assert_eq(tried[1].status, STATUS_OK);
    cr_assert_eq(tried[1].dones, 1u);
    rpc_answer(parked[0], STATUS_OK, NULL);
    pair_settle(&pair);
    cr_assert_eq(tried[0].status, STATUS_OK);
    cr_assert_not(rpc_peer_is_up(onward));
    pair_pass(&pair, 400 * PAIR_MS);
    cr_assert_eq(done, 1);
}

Test(link, goodbye_takes_two_seconds_at_most)
{
    connect();
    start(0, PARK, 20000, bytes_text("x"));
    pair_settle(&pair);
    int done = 0;
    rpc_goodbye(pair.listener, on_goodbye, &done);
    pair_pass(&pair, 2001 * PAIR_MS);
    cr_assert_eq(done, 1);
    rpc_answer(parked[0], STATUS_OK, NULL);
}

/* ---- callers that misbehave, within their rights ---- */

static void destroy_peer(struct rpc_call *call, const struct rpc_reply *reply)
{
    on_done(call, reply);
    if (pair.peer) rpc_peer_destroy(pair.peer);
    pair.peer = NULL;
}

Test(link, a_peer_may_be_destroyed_by_the_done_of_its_call)
{
    connect();
    for (int i = 0; i < 3; i++) {
        tried[i] = (struct tried){.call = {.done = destroy_peer, .method = ECHO}};
        rpc_call_start(pair.peer, &tried[i].call, RPC_EMPTY);
    }
    pair_settle(&pair);
    cr_assert_eq(tried[0].status, STATUS_OK);
    cr_assert_eq(count_status(3, STATUS_LOST), 2u);
}

static void start_again(struct rpc_call *call, const struct rpc_reply *reply)
{
    struct tried *it = CONTAINER_OF(call, struct tried, call);
    it->status = reply->status;
    if (++it->dones < 3) rpc_call_start(pair.peer, call, RPC_EMPTY);
}

Test(link, a_call_may_be_started_again_from_its_done)
{
    connect();
    tried[0] = (struct tried){.call = {.done = start_again, .method = ECHO}};
    rpc_call_start(pair.peer, &tried[0].call, RPC_EMPTY);
    pair_settle(&pair);
    cr_assert_eq(tried[0].dones, 3u);
    cr_assert_eq(tried[0].status, STATUS_OK);
}

Test(link, an_open_call_ends_with_its_endpoint)
{
    connect();
    start(0, PARK, 0, bytes_text("x"));
    pair_settle(&pair);
    struct rpc_options options = {.reactor = pair.fakes[PAIR_DIALER].reactor, .self = pair_info(PAIR_DIALER)};
    rpc_destroy(pair.dialer);
    cr_assert_eq(tried[0].status, STATUS_LOST);
    pair.dialer = rpc_create(&options);
    pair_settle(&pair);
    rpc_answer(parked[0], STATUS_OK, NULL);
}

Test(link, steady_calls_allocate_nothing_in_rpc)
{
    connect();
    for (int i = 0; i < 100; i++)
        start(i, ECHO, 0, bytes_text("x"));
    pair_settle(&pair);
    uint64_t frames_before = pair.net.ways[0].frames + pair.net.ways[1].frames;
    uint64_t before = mem_allocations();
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 100; i++)
            start(i, ECHO, 0, bytes_text("x"));
        pair_settle(&pair);
    }
    uint64_t frames = pair.net.ways[0].frames + pair.net.ways[1].frames - frames_before;
    /* Per frame the fake door's three. */
    cr_assert_leq(mem_allocations() - before, frames * 3);
}
