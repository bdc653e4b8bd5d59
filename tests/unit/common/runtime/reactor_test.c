#include "common/runtime/reactor.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/prng.h"
#include "common/runtime/disk.h"
#include "tests/unit/common/runtime/fake.h"

/* Tasks, timers and mail that write their letter. */
static char trace[4096];

static void note(char letter)
{
    size_t used = strlen(trace);
    if (used + 1 < sizeof trace) trace[used] = letter;
}

struct lettered {
    struct task task;
    struct timer timer;
    struct mail mail;
    char letter;
};

static void run_task(struct task *task)
{
    note(CONTAINER_OF(task, struct lettered, task)->letter);
}

static void fire_timer(struct timer *timer)
{
    note(CONTAINER_OF(timer, struct lettered, timer)->letter);
}

static void deliver_mail(struct mail *mail)
{
    note(CONTAINER_OF(mail, struct lettered, mail)->letter);
}

static struct lettered lettered(struct fake *fake, char letter)
{
    struct lettered it = {.letter = letter, .mail.deliver = deliver_mail, .task.run = run_task};
    timer_init(&it.timer, fake->reactor, fire_timer);
    return it;
}

static struct fake fake;
static struct lettered a, b, c, d;

static void setup(void)
{
    memset(trace, 0, sizeof trace);
    fake_init(&fake);
    a = lettered(&fake, 'a');
    b = lettered(&fake, 'b');
    c = lettered(&fake, 'c');
    d = lettered(&fake, 'd');
    task_init(&a.task, run_task);
    task_init(&b.task, run_task);
    task_init(&c.task, run_task);
    task_init(&d.task, run_task);
}

static void teardown(void)
{
    fake_fini(&fake);
}

TestSuite(reactor, .init = setup, .fini = teardown);

Test(reactor, an_idle_reactor_never_asks_for_a_turn)
{
    cr_assert_eq(reactor_turn(fake.reactor), REACTOR_NEVER);
    cr_assert_eq(fake.polls, 1u);
}

Test(reactor, clocks_are_read_once_a_turn)
{
    reactor_turn(fake.reactor);
    fake.mono_ns += 10;
    fake.wall_us += 20;
    cr_assert_eq(reactor_now_ns(fake.reactor), 1000u);
    cr_assert_eq(reactor_wall_us(fake.reactor), 5);
    reactor_turn(fake.reactor);
    cr_assert_eq(reactor_now_ns(fake.reactor), 1010u);
    cr_assert_eq(reactor_wall_us(fake.reactor), 25);
}

Test(reactor, a_monotonic_clock_that_goes_back_is_not_believed)
{
    fake.mono_ns = 500;
    reactor_turn(fake.reactor);
    cr_assert_eq(reactor_now_ns(fake.reactor), 1000u);
}

Test(reactor, the_order_in_a_turn_is_mail_timers_tasks_last_tasks)
{
    reactor_defer_last(fake.reactor, &d.task);
    reactor_defer(fake.reactor, &c.task);
    timer_start_in(&b.timer, 0);
    reactor_post(fake.reactor, &a.mail);
    fake_settle(&fake);
    cr_assert_str_eq(trace, "abcd");
}

static void note_and_send(struct task *task)
{
    run_task(task);
    reactor_defer_send(fake.reactor, &c.task);
}

Test(reactor, send_tasks_run_at_the_end_of_the_turn_that_caused_them)
{
    a.task.run = note_and_send;
    reactor_defer_send(fake.reactor, &d.task);
    reactor_defer_last(fake.reactor, &a.task);
    reactor_defer(fake.reactor, &b.task);
    reactor_turn(fake.reactor);
    cr_assert_str_eq(trace, "badc");
}

Test(reactor, a_send_task_deferred_from_a_send_task_runs_in_the_next_turn)
{
    a.task.run = note_and_send;
    reactor_defer_send(fake.reactor, &a.task);
    cr_assert_eq(reactor_turn(fake.reactor), reactor_now_ns(fake.reactor));
    cr_assert_str_eq(trace, "a");
    reactor_turn(fake.reactor);
    cr_assert_str_eq(trace, "ac");
}

Test(reactor, mail_keeps_its_order)
{
    reactor_post(fake.reactor, &b.mail);
    reactor_post(fake.reactor, &a.mail);
    reactor_post(fake.reactor, &c.mail);
    fake_settle(&fake);
    cr_assert_str_eq(trace, "bac");
}

Test(reactor, work_from_outside_wakes_a_sleeping_reactor_once)
{
    fake_settle(&fake);
    unsigned before = fake.wakes;
    reactor_post(fake.reactor, &a.mail);
    reactor_post(fake.reactor, &b.mail);
    cr_assert_eq(fake.wakes, before + 1);
    fake_settle(&fake);
    timer_start_in(&a.timer, 5);
    cr_assert_eq(fake.wakes, before + 2);
    timer_stop(&a.timer);
    fake_settle(&fake);
    reactor_wake(fake.reactor);
    cr_assert_eq(fake.wakes, before + 3);
}

static void post_to_self(struct task *task)
{
    run_task(task);
    reactor_post(fake.reactor, &b.mail);
}

Test(reactor, mail_posted_inside_a_turn_needs_no_wake_and_asks_for_the_next_turn)
{
    fake_settle(&fake);
    task_init(&a.task, post_to_self);
    reactor_defer(fake.reactor, &a.task);
    unsigned before = fake.wakes;
    cr_assert_eq(reactor_turn(fake.reactor), fake.mono_ns);
    cr_assert_eq(fake.wakes, before);
    reactor_turn(fake.reactor);
    cr_assert_str_eq(trace, "ab");
}

Test(reactor, timers_fire_by_time_then_by_order_of_starting)
{
    timer_start_at(&a.timer, 1300);
    timer_start_at(&b.timer, 1200);
    timer_start_at(&c.timer, 1200);
    timer_start_at(&d.timer, 1100);
    cr_assert_eq(fake_settle(&fake), 1100u);
    fake_pass(&fake, 1000);
    cr_assert_str_eq(trace, "dbca");
}

Test(reactor, a_started_timer_moves_and_a_stopped_one_is_silent)
{
    timer_start_at(&a.timer, 1100);
    timer_start_at(&b.timer, 1200);
    timer_start_at(&a.timer, 1300);
    timer_stop(&b.timer);
    timer_stop(&b.timer);
    cr_assert_eq(fake_settle(&fake), 1300u);
    cr_assert_not(timer_is_running(&b.timer));
    timer_start_at(&a.timer, REACTOR_NEVER);
    cr_assert_not(timer_is_running(&a.timer));
    cr_assert_eq(fake_pass(&fake, 1000), REACTOR_NEVER);
    cr_assert_str_empty(trace);
}

static uint64_t last_fired;
static unsigned fired;

static void fire_in_order(struct timer *timer)
{
    cr_assert_leq(last_fired, timer->at_ns);
    last_fired = timer->at_ns;
    fired++;
}

Test(reactor, thousands_of_timers_fire_in_order)
{
    enum { COUNT = 5000 };
    struct timer *timers = mem_alloc(COUNT * sizeof *timers);
    struct prng prng = prng_seeded(3);
    for (unsigned i = 0; i < COUNT; i++) {
        timer_init(&timers[i], fake.reactor, fire_in_order);
        timer_start_at(&timers[i], 1001 + prng_below(&prng, 1000));
    }
    unsigned running = COUNT;
    for (unsigned i = 0; i < COUNT; i += 3) {
        if (i % 2)
            timer_start_at(&timers[i], 1001 + prng_below(&prng, 1000));
        else
            timer_stop(&timers[i]), running--;
    }
    for (unsigned step = 0; step < 11; step++)
        fake_pass(&fake, 100);
    cr_assert_eq(fired, running);
    mem_free(timers);
}

Test(reactor, a_posted_task_runs_once_and_a_cancelled_one_never)
{
    reactor_defer(fake.reactor, &a.task);
    reactor_defer(fake.reactor, &a.task);
    reactor_defer(fake.reactor, &b.task);
    task_cancel(&b.task);
    fake_settle(&fake);
    cr_assert_str_eq(trace, "a");
}

static unsigned long_runs;

static void run_again(struct task *task)
{
    if (++long_runs < 5000) reactor_defer(fake.reactor, task);
}

Test(reactor, a_turn_is_bounded_and_says_that_work_remains)
{
    task_init(&a.task, run_again);
    reactor_defer(fake.reactor, &a.task);
    reactor_defer_last(fake.reactor, &b.task);
    cr_assert_eq(reactor_turn(fake.reactor), fake.mono_ns);
    cr_assert_lt(long_runs, 5000u);
    cr_assert_str_eq(trace, "b", "last tasks run in every turn");
    fake_settle(&fake);
    cr_assert_eq(long_runs, 5000u);
}

static void last_defers(struct task *task)
{
    run_task(task);
    reactor_defer(fake.reactor, &b.task);
    reactor_defer_last(fake.reactor, &c.task);
}

Test(reactor, what_a_last_task_defers_runs_in_the_next_turn)
{
    task_init(&a.task, last_defers);
    reactor_defer_last(fake.reactor, &a.task);
    cr_assert_eq(reactor_turn(fake.reactor), fake.mono_ns);
    cr_assert_str_eq(trace, "a");
    cr_assert_eq(reactor_turn(fake.reactor), REACTOR_NEVER);
    cr_assert_str_eq(trace, "abc");
}

static void disk_done(struct disk_request *request)
{
    note(request->status == STATUS_OK ? 'k' : 'e');
}

Test(reactor, disk_requests_are_counted_and_complete_in_a_later_turn)
{
    struct disk_request request = {.op = DISK_SPACE, .done = disk_done};
    fake.hold = true;
    disk_submit(fake.reactor, &request);
    reactor_turn(fake.reactor);
    cr_assert_eq(reactor_disk_inflight(fake.reactor), 1u);
    cr_assert_str_empty(trace);
    fake.hold = false;
    reactor_turn(fake.reactor);
    cr_assert_eq(reactor_disk_inflight(fake.reactor), 0u);
    cr_assert_str_eq(trace, "k");
}
