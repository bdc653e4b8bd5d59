#include "common/rpc/window.h"

#include <criterion/criterion.h>

#include "common/base/prng.h"

static struct frame_header counted(uint32_t number, uint32_t seen)
{
    return (struct frame_header){.count = 1, .frame_no = number, .frames_seen = seen};
}

static struct rpc_window window;

static void setup(void)
{
    rpc_window_init(&window, LINK_WINDOW_BYTES);
}

TestSuite(window, .init = setup);

Test(window, thirty_two_frames_may_be_unseen_and_no_more)
{
    for (int i = 0; i < LINK_WINDOW_FRAMES; i++) {
        cr_assert(rpc_window_may_send(&window, 100));
        rpc_window_send(&window, 100);
    }
    cr_assert_not(rpc_window_may_send(&window, 100));
    struct frame_header ack = {.frames_seen = 1};
    cr_assert_eq(rpc_window_receive(&window, &ack, 32), RPC_WINDOW_FINE);
    cr_assert(rpc_window_may_send(&window, 100));
}

Test(window, bytes_bound_it_too_but_one_frame_may_always_go)
{
    cr_assert(rpc_window_may_send(&window, LINK_WINDOW_BYTES * 2));
    rpc_window_send(&window, LINK_WINDOW_BYTES - 10);
    cr_assert(rpc_window_may_send(&window, 10));
    cr_assert_not(rpc_window_may_send(&window, 11));
}

Test(window, gaps_repeats_and_lies_are_told_apart)
{
    struct frame_header header = counted(2, 0);
    cr_assert_eq(rpc_window_receive(&window, &header, 50), RPC_WINDOW_GAP);
    header = counted(1, 0);
    cr_assert_eq(rpc_window_receive(&window, &header, 50), RPC_WINDOW_FINE);
    cr_assert_eq(rpc_window_receive(&window, &header, 50), RPC_WINDOW_REPEAT);
    header = counted(2, 1);
    cr_assert_eq(rpc_window_receive(&window, &header, 50), RPC_WINDOW_LIE);
    struct frame_header empty = {.frame_no = 2};
    cr_assert_eq(rpc_window_receive(&window, &empty, 32), RPC_WINDOW_GAP);
    empty.frame_no = 0;
    cr_assert_eq(rpc_window_receive(&window, &empty, 32), RPC_WINDOW_REPEAT);
    empty.frame_no = 1;
    cr_assert_eq(rpc_window_receive(&window, &empty, 32), RPC_WINDOW_FINE);
}

Test(window, what_was_seen_cannot_become_unseen)
{
    rpc_window_send(&window, 10);
    rpc_window_send(&window, 10);
    struct frame_header header = counted(1, 2);
    cr_assert_eq(rpc_window_receive(&window, &header, 50), RPC_WINDOW_FINE);
    header = counted(2, 1);
    cr_assert_eq(rpc_window_receive(&window, &header, 50), RPC_WINDOW_LIE);
}

Test(window, a_peer_that_overruns_the_window_is_found)
{
    for (uint32_t i = 1; i <= LINK_WINDOW_FRAMES; i++) {
        struct frame_header header = counted(i, 0);
        cr_assert_eq(rpc_window_receive(&window, &header, 50), RPC_WINDOW_FINE);
    }
    struct frame_header header = counted(LINK_WINDOW_FRAMES + 1, 0);
    cr_assert_eq(rpc_window_receive(&window, &header, 50), RPC_WINDOW_OVERRUN);
    rpc_window_say(&window);
    cr_assert_eq(rpc_window_receive(&window, &header, 50), RPC_WINDOW_FINE);
}

Test(window, an_acknowledgement_is_due_by_frames_or_by_bytes)
{
    for (uint32_t i = 1; i < 8; i++) {
        struct frame_header header = counted(i, 0);
        rpc_window_receive(&window, &header, 50);
        cr_assert_not(rpc_window_ack_is_due(&window));
    }
    struct frame_header header = counted(8, 0);
    rpc_window_receive(&window, &header, 50);
    cr_assert(rpc_window_ack_is_due(&window));
    cr_assert_eq(rpc_window_say(&window), 8u);
    cr_assert_not(rpc_window_ack_is_due(&window));
    header = counted(9, 0);
    rpc_window_receive(&window, &header, LINK_WINDOW_BYTES / 4);
    cr_assert(rpc_window_ack_is_due(&window));
}

Test(window, two_sides_that_only_obey_it_never_stop_for_good)
{
    /* Each side sends what it may and acknowledges what is due; sizes are any. Neither may come to a halt. */
    struct prng prng = prng_seeded(3);
    struct rpc_window a, b;
    rpc_window_init(&a, LINK_WINDOW_BYTES);
    rpc_window_init(&b, LINK_WINDOW_BYTES);
    for (int round = 0; round < 20000; round++) {
        uint32_t size = (uint32_t)prng_between(&prng, 32, FRAME_BYTES_MAX), sent = 0;
        while (rpc_window_may_send(&a, size)) {
            struct frame_header header = counted(rpc_window_send(&a, size), rpc_window_say(&a));
            cr_assert_eq(rpc_window_receive(&b, &header, size), RPC_WINDOW_FINE);
            sent++;
        }
        cr_assert(sent > 0 || rpc_window_ack_is_due(&b));
        if (rpc_window_ack_is_due(&b)) {
            struct frame_header ack = {.frame_no = b.sent, .frames_seen = rpc_window_say(&b)};
            cr_assert_eq(rpc_window_receive(&a, &ack, 32), RPC_WINDOW_FINE);
        }
    }
}

Test(window, numbers_wrap_around)
{
    struct rpc_window a, b;
    rpc_window_init(&a, LINK_WINDOW_BYTES);
    rpc_window_init(&b, LINK_WINDOW_BYTES);
    a.sent = a.peer_seen = b.received = b.said_seen = UINT32_MAX - 5;
    for (int i = 0; i < 100; i++) {
        struct frame_header header = counted(rpc_window_send(&a, 64), 0);
        cr_assert_eq(rpc_window_receive(&b, &header, 64), RPC_WINDOW_FINE);
        struct frame_header ack = {.frame_no = 0, .frames_seen = rpc_window_say(&b)};
        cr_assert_eq(rpc_window_receive(&a, &ack, 32), RPC_WINDOW_FINE);
    }
    cr_assert_eq(a.sent, 94u);
}
