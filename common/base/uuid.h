/* uuid: 16 opaque bytes that name a cluster, a node's disk or an instance. Pure and thread-safe. */
#ifndef TRILLIUM_COMMON_BASE_UUID_H
#define TRILLIUM_COMMON_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct uuid {
    uint8_t bytes[16];
};

static inline bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

static inline bool uuid_is_zero(const struct uuid *uuid)
{
    static const struct uuid zero;
    return uuid_equal(uuid, &zero);
}

enum { UUID_TEXT_BYTES = 37 };

/* "00112233-4455-6677-8899-aabbccddeeff" and a terminating zero. */
void uuid_text(const struct uuid *uuid, char out[UUID_TEXT_BYTES]);
/* Accepts that form only, in either case; false otherwise. */
bool uuid_parse(const char *text, struct uuid *out);

#endif
