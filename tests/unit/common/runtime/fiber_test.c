#include "common/runtime/fiber.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/runtime/disk.h"
#include "common/runtime/reactor.h"
#include "tests/unit/common/runtime/fake.h"

static struct fake fake;
static char trace[4096];

static void note(const char *text)
{
    strncat(trace, text, sizeof trace - strlen(trace) - 1);
}

static void setup(void)
{
    memset(trace, 0, sizeof trace);
    fake_init(&fake);
}

static void teardown(void)
{
    cr_assert_eq(fiber_count(fake.reactor), 0u);
    fake_fini(&fake);
}

TestSuite(fiber, .init = setup, .fini = teardown);

static struct fiber *sleeper;

static void suspend_once(void *argument)
{
    sleeper = fiber_current(fake.reactor);
    note(argument);
    fiber_suspend(fake.reactor);
    note(argument);
}

Test(fiber, runs_in_the_turn_after_its_start_and_again_when_woken)
{
    fiber_start(fake.reactor, "test", suspend_once, "a");
    cr_assert_str_empty(trace);
    fake_settle(&fake);
    cr_assert_str_eq(trace, "a");
    cr_assert_null(fiber_current(fake.reactor));
    cr_assert_str_eq(fiber_name(sleeper), "test");
    fiber_wake(sleeper);
    fiber_wake(sleeper);
    fake_settle(&fake);
    cr_assert_str_eq(trace, "aa");
}

static void wake_itself(void *argument)
{
    fiber_wake(fiber_current(fake.reactor));
    fiber_suspend(fake.reactor);
    note(argument);
}

Test(fiber, a_wake_that_came_before_makes_suspend_return_at_once)
{
    fiber_start(fake.reactor, "test", wake_itself, "w");
    reactor_turn(fake.reactor);
    cr_assert_str_eq(trace, "w");
}

static void yield_twice(void *argument)
{
    for (int i = 0; i < 3; i++) {
        note(argument);
        fiber_yield(fake.reactor);
    }
}

Test(fiber, yields_take_turns)
{
    fiber_start(fake.reactor, "a", yield_twice, "a");
    fiber_start(fake.reactor, "b", yield_twice, "b");
    fake_settle(&fake);
    cr_assert_str_eq(trace, "ababab");
}

static void sleep_some(void *argument)
{
    fiber_sleep_until(fake.reactor, *(uint64_t *)argument);
    note(".");
    cr_assert_geq(reactor_now_ns(fake.reactor), *(uint64_t *)argument);
}

Test(fiber, sleeps_until_its_time)
{
    uint64_t at = 5000;
    fiber_start(fake.reactor, "sleep", sleep_some, &at);
    cr_assert_eq(fake_settle(&fake), 5000u);
    fake_pass(&fake, 3999);
    cr_assert_str_empty(trace);
    fake_pass(&fake, 1);
    cr_assert_str_eq(trace, ".");
}

static struct gate gate;

static void wait_at_gate(void *argument)
{
    note(gate_wait(fake.reactor, &gate, *(uint64_t *)argument) ? "o" : "t");
}

Test(fiber, a_gate_wakes_all_that_wait_and_others_pass_by_time)
{
    uint64_t never = REACTOR_NEVER, soon = 2000, past = 1000;
    gate_init(&gate);
    fiber_start(fake.reactor, "a", wait_at_gate, &never);
    fiber_start(fake.reactor, "b", wait_at_gate, &soon);
    fiber_start(fake.reactor, "c", wait_at_gate, &past);
    fake_settle(&fake);
    cr_assert_str_eq(trace, "t");
    fake_pass(&fake, 1000);
    cr_assert_str_eq(trace, "tt");
    fiber_start(fake.reactor, "d", wait_at_gate, &never);
    fake_settle(&fake);
    gate_open(&gate);
    cr_assert_eq(fake_settle(&fake), REACTOR_NEVER);
    cr_assert_str_eq(trace, "ttoo");
}

/* Stacks are used deeply, and keep their contents across switches. */
static void fill_stack(void *argument)
{
    unsigned char bytes[40 << 10];
    unsigned seed = *(unsigned *)argument;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(seed + i);
    for (int round = 0; round < 3; round++)
        fiber_yield(fake.reactor);
    for (size_t i = 0; i < sizeof bytes; i++)
        if (bytes[i] != (unsigned char)(seed + i)) note("!");
}

Test(fiber, hundreds_of_stacks_do_not_touch_each_other)
{
    unsigned seeds[400];
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 400; i++) {
            seeds[i] = i * 7;
            fiber_start(fake.reactor, "fill", fill_stack, &seeds[i]);
        }
        fake_settle(&fake);
    }
    cr_assert_str_empty(trace);
}

static void nothing(void *argument)
{
    (void)argument;
}

Test(fiber, starting_one_allocates_nothing_once_the_pool_is_warm)
{
    fiber_start(fake.reactor, "warm", nothing, NULL);
    fake_settle(&fake);
    uint64_t before = mem_allocations();
    for (int i = 0; i < 100; i++) {
        fiber_start(fake.reactor, "warm", nothing, NULL);
        fake_settle(&fake);
    }
    cr_assert_eq(mem_allocations(), before);
}

static void overflow(void *argument)
{
    /* Writes below the stack by less than the guard page. */
    volatile unsigned char *here = __builtin_frame_address(0);
    volatile unsigned char *below = (unsigned char *)(((uintptr_t)here & ~(uintptr_t)4095) - *(size_t *)argument);
    *below = 1;
}

#if defined(__SANITIZE_ADDRESS__)
enum { STACK_BYTES = 256 << 10 };
#else
enum { STACK_BYTES = 64 << 10 };
#endif

Test(fiber, a_stack_that_overflows_its_canary_crashes, .signal = SIGABRT)
{
    size_t depth = STACK_BYTES - 4096 + 8;
    fiber_start(fake.reactor, "deep", overflow, &depth);
    fake_settle(&fake);
}

static void read_short(void *argument)
{
    char data[16];
    (void)argument;
    note(status_name(disk_read(fake.reactor, (struct disk_file){1}, data, sizeof data, 0)));
}

Test(fiber, a_short_disk_read_is_corrupt)
{
    fake.result = 15;
    fiber_start(fake.reactor, "read", read_short, NULL);
    fake_settle(&fake);
    cr_assert_str_eq(trace, "CORRUPT");
}

Test(fiber, a_failed_disk_read_returns_its_status)
{
    fake.status = STATUS_IO;
    fiber_start(fake.reactor, "read", read_short, NULL);
    fake_settle(&fake);
    cr_assert_str_eq(trace, "IO");
}

/* The death of a daemon: its env jumps out of a turn from a fiber's stack and all its memory is dropped. */
static void die_in_fiber(void *argument)
{
    (void)argument;
    char *block = mem_alloc(100);
    memset(block, 1, 100);
    env_die(reactor_env(fake.reactor), STATUS_IO, "sync failed");
}

static void wait_for_ever(void *argument)
{
    (void)argument;
    fiber_suspend(fake.reactor);
}

static void settle(void *argument)
{
    fake_settle(argument);
}

static void die_once(bool in_fiber)
{
    struct fake doomed;
    struct escape escape;
    struct reactor *kept = fake.reactor;
    struct mem_scope *scope = mem_scope_create();
    struct mem_scope *outer = mem_scope_enter(scope);
    fake_init(&doomed);
    doomed.escape = &escape;
    struct task task;
    task_init(&task, (void (*)(struct task *))die_in_fiber);
    fake.reactor = doomed.reactor;
    fiber_start(doomed.reactor, "waits", wait_for_ever, NULL);
    fiber_start(doomed.reactor, "waits", wait_for_ever, NULL);
    if (in_fiber)
        fiber_start(doomed.reactor, "dies", die_in_fiber, NULL);
    else
        reactor_defer(doomed.reactor, &task);
    bool lived = escape_run(&escape, settle, &doomed);
    mem_scope_enter(outer);
    cr_assert_not(lived);
    cr_assert_eq(doomed.died, STATUS_IO);
    cr_assert_gt(mem_scope_blocks(scope), 3u);
    mem_scope_destroy(scope);
    fake.reactor = kept;
}

Test(fiber, a_daemon_can_die_inside_a_turn_and_its_memory_is_dropped)
{
    for (int i = 0; i < 50; i++) {
        die_once(true);
        die_once(false);
    }
    fiber_start(fake.reactor, "a", yield_twice, "a");
    fake_settle(&fake);
    cr_assert_str_eq(trace, "aaa");
}

Test(fiber, an_escape_that_is_not_taken_reports_so)
{
    struct escape escape;
    cr_assert(escape_run(&escape, settle, &fake));
}
