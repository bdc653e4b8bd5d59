/*
 * check: our bugs crash, always, also in production.
 *
 * CHECK(condition) ends the process when the condition is false. Never CHECK anything that came from a disk, a socket,
 * a file or a clock: that is bad input or broken hardware and returns a status.
 * PLANT(name) marks a planted bug that the tests switch on to prove that they find it; it is constant false in release.
 */
#ifndef TRILLIUM_COMMON_BASE_CHECK_H
#define TRILLIUM_COMMON_BASE_CHECK_H

#include <stdbool.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (__builtin_expect(!(condition), 0)) check_failed(__FILE__, __LINE__, #condition);                           \
    } while (0)

__attribute__((noreturn, cold)) void check_failed(const char *file, int line, const char *condition);

#ifdef TRILLIUM_PLANT
#define PLANT(name) plant_is_on(#name)
#else
#define PLANT(name) false
#endif

/* Switches one planted bug on (NULL: all off). For tests only, before any thread starts. */
void plant_set(const char *name);
bool plant_is_on(const char *name);

#endif
