/* With fortification a longjmp to another stack aborts ("longjmp causes uninitialized stack frame"), so not here. */
#undef _FORTIFY_SOURCE

#include "common/runtime/context.h"

#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include "common/base/check.h"
#include "common/runtime/escape.h"

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#endif

#ifdef WITH_ASAN
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

/* How deep the calls below escape_run may go. */
enum { ABANDONED_BYTES = 1 << 20 };

static void leaving(void **fake_stack, const struct context *to)
{
    __sanitizer_start_switch_fiber(fake_stack, to->bottom, to->bottom_size);
}

static void arrived(struct context *here)
{
    struct context *from = here->entered_from;
    __sanitizer_finish_switch_fiber(here->fake_stack, &from->bottom, &from->bottom_size);
}

/* Where the stack of an escape_run lies: the thread's own, since fibers do not call it. */
static void escape_bounds(struct escape *escape)
{
    pthread_attr_t attributes;
    void *bottom;
    CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0);
    CHECK(pthread_attr_getstack(&attributes, &bottom, &escape->size) == 0);
    escape->bottom = bottom;
    pthread_attr_destroy(&attributes);
}

static void escape_leaving(struct escape *escape)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0), bottom = (uintptr_t)escape->bottom;
    escape->switched = here < bottom || here >= bottom + escape->size;
    /* NULL: the stack left behind is never entered again. */
    if (escape->switched) __sanitizer_start_switch_fiber(NULL, escape->bottom, escape->size);
}

static void escape_arrived(struct escape *escape)
{
    if (escape->switched) __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
    /* The frames that were jumped over left their red zones below us. */
    uintptr_t here = (uintptr_t)__builtin_frame_address(0), low = (uintptr_t)escape->bottom;
    if (here - low > ABANDONED_BYTES) low = here - ABANDONED_BYTES;
    __asan_unpoison_memory_region((void *)low, here - low);
}
#else
static void leaving(void **fake_stack, const struct context *to)
{
    (void)fake_stack;
    (void)to;
}

static void arrived(struct context *here)
{
    (void)here;
}

static void escape_bounds(struct escape *escape)
{
    (void)escape;
}

static void escape_leaving(struct escape *escape)
{
    (void)escape;
}

static void escape_arrived(struct escape *escape)
{
    (void)escape;
}
#endif

void context_init(struct context *context)
{
    memset(context, 0, sizeof *context);
}

void context_make(struct context *context, void *stack, size_t size, void (*entry)(void *argument), void *argument)
{
    memset(context, 0, sizeof *context);
    context->fresh = true;
    context->stack = stack;
    context->size = size;
    context->entry = entry;
    context->argument = argument;
    context->bottom = stack;
    context->bottom_size = size;
}

/* makecontext passes ints only. */
static void first_entry(unsigned high, unsigned low)
{
    struct context *here = (struct context *)(((uintptr_t)high << 32) | low);
    arrived(here);
    here->entry(here->argument);
    CHECK(!"entry of a context returned");
}

/* Its frame is never returned from, so it must not leave red zones on the stack that goes on without it. */
__attribute__((noinline, no_sanitize_address)) static void enter_fresh(struct context *to)
{
    ucontext_t start;
    to->fresh = false;
    CHECK(getcontext(&start) == 0);
    start.uc_stack.ss_sp = to->stack;
    start.uc_stack.ss_size = to->size;
    start.uc_link = NULL;
    makecontext(&start, (void (*)(void))first_entry, 2, (unsigned)((uintptr_t)to >> 32), (unsigned)(uintptr_t)to);
    setcontext(&start);
    CHECK(!"setcontext returned");
}

void context_switch(struct context *from, struct context *to)
{
    to->entered_from = from;
    leaving(&from->fake_stack, to);
    if (_setjmp(from->registers) == 0) {
        if (to->fresh) enter_fresh(to);
        _longjmp(to->registers, 1);
    }
    arrived(from);
}

bool escape_run(struct escape *escape, void (*body)(void *argument), void *argument)
{
    escape_bounds(escape);
    return escape_run_again(escape, body, argument);
}

bool escape_run_again(struct escape *escape, void (*body)(void *argument), void *argument)
{
    escape->running = true;
    escape->switched = false;
    if (_setjmp(escape->registers) == 0) {
        body(argument);
        escape->running = false;
        return true;
    }
    escape_arrived(escape);
    escape->running = false;
    return false;
}

void escape_jump(struct escape *escape)
{
    CHECK(escape->running);
    escape_leaving(escape);
    _longjmp(escape->registers, 1);
}
