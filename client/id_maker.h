/*
 * id_maker: makes message ids: under a leased maker number on the routers' clock, or from ids that a router reserved.
 *
 * A lease is usable until 5 s after the instance *sent* the request that was last answered, by its own monotonic clock.
 * Ids of one maker rise strictly; 64 fit into a millisecond, then it waits for the next. Pure.
 */
#ifndef TRILLIUM_CLIENT_ID_MAKER_H
#define TRILLIUM_CLIENT_ID_MAKER_H

#include <stdbool.h>
#include <stdint.h>

enum { ID_RESERVED_MAX = 256, ID_RESERVED_KEEP_MS = 2000 };

struct id_maker {
    bool leased;
    uint16_t maker;
    uint64_t lease_until_ns;
    int64_t floor_ms;
    int64_t last_ms;
    unsigned sequence;                  /* next in last_ms */
    uint64_t reserved[ID_RESERVED_MAX]; /* ascending */
    unsigned reserved_at, reserved_count;
    uint64_t reserved_until_ns;
};

void id_maker_lease(struct id_maker *ids, uint16_t maker, uint64_t until_ns, int64_t floor_ms);
void id_maker_reserve(struct id_maker *ids, const uint64_t *reserved, unsigned count, uint64_t now_ns);
/* True when ids can be made without asking a router first. */
bool id_maker_is_ready(const struct id_maker *ids, uint64_t now_ns);
/* wall_ms: the routers' clock. False: none now; *wait_ms > 0 tells that waiting helps, 0 that a router must be asked.
 */
bool id_maker_next(struct id_maker *ids, uint64_t now_ns, int64_t wall_ms, uint64_t *id, unsigned *wait_ms);

#endif
