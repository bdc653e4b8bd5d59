/*
 * clock_shift: loaded before a daemon (LD_PRELOAD), it moves the wall clock that the daemon sees by CLOCK_SHIFT_MS
 * milliseconds. The monotonic clock stays.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *out);

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static int (*real)(clockid_t, struct timespec *);
    static long shift_ms;
    if (!real) {
        const char *text = getenv("CLOCK_SHIFT_MS");
        shift_ms = text ? strtol(text, NULL, 10) : 0;
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    }
    int result = real(clock, out);
    if (result != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return result;
    long ns = out->tv_nsec + shift_ms % 1000 * 1000000;
    out->tv_sec += shift_ms / 1000 + (ns >= 1000000000) - (ns < 0);
    out->tv_nsec = ns < 0 ? ns + 1000000000 : ns % 1000000000;
    return 0;
}
