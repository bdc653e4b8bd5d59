/*
 * status: what every fallible function returns and what the wire carries.
 *
 * Statuses are listed once, in status.def. A function that returns a status leaves its out-parameters untouched unless
 * the class is DONE. All functions here are pure and thread-safe.
 */
#ifndef TRILLIUM_COMMON_BASE_STATUS_H
#define TRILLIUM_COMMON_BASE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#define STATUS(number, name, class, text) STATUS_##name = number,
enum status {
#include "common/base/status.def"
};
#undef STATUS

enum status_class {
    STATUS_CLASS_DONE,
    STATUS_CLASS_REFUSED,
    STATUS_CLASS_FINAL,
    STATUS_CLASS_RETRY,
    STATUS_CLASS_UNKNOWN,
    STATUS_CLASS_LOCAL,
};

#define MUST_CHECK __attribute__((warn_unused_result))

/* The upper-case name ("TOO_BIG"); "?" for a number that is not in the list. */
const char *status_name(enum status status);

/* The sentence fragment for people. */
const char *status_text(enum status status);

/* The class; UNKNOWN for a number that is not in the list, since a peer may be newer. */
enum status_class status_class(enum status status);

/* "DONE", "REFUSED", ... */
const char *status_class_name(enum status_class class);

/* True when number (from a wire) is in the list. */
bool status_known(uint16_t number);

static inline bool status_is_done(enum status status)
{
    return status_class(status) == STATUS_CLASS_DONE;
}

#endif
