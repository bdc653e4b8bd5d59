/* Built without _FORTIFY_SOURCE: its longjmp aborts when the target lies on another stack. */
#include "tests/sim/escape.h"

#include <pthread.h>

#include "common/base/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

bool escape_run(
    struct escape *escape, void (*function)(struct env *env, void *argument), struct env *env, void *argument)
{
    if (escape->stack == NULL) {
        pthread_attr_t attributes;
        void *stack;
        CHECK(pthread_getattr_np(pthread_self(), &attributes) == 0);
        CHECK(pthread_attr_getstack(&attributes, &stack, &escape->stack_bytes) == 0);
        pthread_attr_destroy(&attributes);
        escape->stack = stack;
    }
    if (_setjmp(escape->at) == 0) {
        function(env, argument);
        return false;
    }
#if defined(__SANITIZE_ADDRESS__)
    /* The frames that were left are below this one, and still poisoned when a fiber was left. */
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
    const char *here = __builtin_frame_address(0), *low = escape->stack;
    size_t below = (size_t)(here - low) > 1 << 20 ? 1 << 20 : (size_t)(here - low);
    __asan_unpoison_memory_region(here - below, below - 512);
#endif
    return true;
}

void escape_leave(struct escape *escape)
{
#if defined(__SANITIZE_ADDRESS__)
    /* From a fiber the sanitizer must hear that the stack changes; a NULL save drops the fiber's fake stack. */
    __sanitizer_start_switch_fiber(NULL, escape->stack, escape->stack_bytes);
#endif
    _longjmp(escape->at, 1);
}
