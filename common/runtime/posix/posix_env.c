#include "common/runtime/posix/posix_env.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "common/base/check.h"

uint64_t posix_mono_ns(struct env *env)
{
    (void)env;
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int64_t posix_wall_us(struct env *env)
{
    (void)env;
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void posix_entropy(struct env *env, void *out, size_t size)
{
    (void)env;
    for (size_t done = 0; done < size;) {
        ssize_t got = getrandom((char *)out + done, size - done, 0);
        CHECK(got > 0 || errno == EINTR);
        if (got > 0) done += (size_t)got;
    }
}
