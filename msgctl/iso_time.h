/* iso_time: milliseconds since 1970 as ISO 8601 texts, "2015-01-01T00:45:21.670Z". Pure; UTC; no leap seconds. */
#ifndef TRILLIUM_MSGCTL_ISO_TIME_H
#define TRILLIUM_MSGCTL_ISO_TIME_H

#include <stdbool.h>

#include "common/base/bytes.h"

enum { ISO_TIME_BYTES = 25 };

/* Always with three digits of a second and "Z". False, and out untouched, outside the years 0 to 9999. */
bool iso_time_print(int64_t unix_ms, char out[ISO_TIME_BYTES]);
/* Also other fractions (cut to milliseconds), none, offsets "+01:00", a blank for the T. */
bool iso_time_parse(struct bytes text, int64_t *unix_ms);

#endif
