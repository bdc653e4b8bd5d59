/*
 * ids: the names of the things that all daemons speak of. Each is a struct of its own, so that the compiler refuses a
 * mix-up; message and channel ids are plain uint64_t, since they are numbers to order and to count with.
 */
#ifndef TRILLIUM_COMMON_MODEL_IDS_H
#define TRILLIUM_COMMON_MODEL_IDS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct table_id {
    uint32_t value;
};
struct range_id {
    uint64_t value;
};
struct node_id {
    uint32_t value;
};
struct router_id {
    uint32_t value;
};
struct controller_id {
    uint32_t value;
};

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
