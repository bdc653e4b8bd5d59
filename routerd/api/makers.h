/*
 * makers: the maker numbers of one worker: one half leased to client instances, the other for Reserve.
 *
 * A lease lasts 5 s from when the instance sent the request that was last answered, on the instance's own clock; the
 * number is leased again only 10 s after that answer, and only for ids above the highest that the instance can have
 * made. Nothing is leased in the first 10 s after the start, since the leases of before are not remembered; Reserve
 * serves meanwhile. The high-water mark that the router keeps on disk lies far ahead of every id it can be blamed for,
 * too far to start above it (such ids would be TOO_NEW). So each start reserves under the next number of its half,
 * which comes round again only after so many starts that the mark of then has passed.
 * A clock that was set back while the router was down is seen by the mark: it was written MARK_AHEAD_MS ahead of a
 * clock that has not been reached again. Ids then go on from where they were, until the clock has caught up; when it is
 * too far behind for that, none are given (docs/decisions/0053). Pure but for the clocks it is given.
 */
#ifndef TRILLIUM_ROUTERD_API_MAKERS_H
#define TRILLIUM_ROUTERD_API_MAKERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/status.h"
#include "common/base/uuid.h"

enum {
    MAKERS_BLOCK = 256,        /* numbers that controld gives at a time */
    MAKERS_MAX = MAKERS_BLOCK, /* of one worker */
    LEASE_MS = 5000,
    LEASE_REUSE_MS = 10000,
    RESERVE_MAX = 1024,
    MARK_AHEAD_MS = 30000, /* how far the mark on disk is kept ahead of the clock */
    MARK_EVERY_MS = 10000, /* how often it is written */
    /* Ids given before lie below the mark by at least this: they follow the clock, by 5 s at most ahead of it. */
    MARK_SLACK_MS = MARK_AHEAD_MS - MARK_EVERY_MS - LEASE_MS,
    CLOCK_BEHIND_MS_MAX = 10 * 60 * 1000, /* a clock that is further behind gives no ids */
};
_Static_assert((int)MARK_AHEAD_MS > (int)MARK_EVERY_MS + (int)LEASE_REUSE_MS, "the mark covers leases until it moves");

enum makers_clock {
    MAKERS_CLOCK_RIGHT,
    MAKERS_CLOCK_BEHIND, /* ids run ahead of the clock, from where they were */
    MAKERS_CLOCK_WRONG,  /* so far behind that no ids are given */
};

struct maker_lease {
    struct uuid instance;
    uint64_t free_at_ns;   /* monotonic: may be leased again */
    int64_t floor_unix_ms; /* ids above it only */
    bool leased;
};

struct makers {
    uint16_t numbers[MAKERS_MAX];
    struct maker_lease leases[MAKERS_MAX];
    unsigned count;
    unsigned next;                      /* where the search for a free one begins */
    unsigned reserve_count, reserve_at; /* the first numbers are for Reserve; the one of this start */
    uint64_t may_lease_at_ns;
    int64_t last_ms;             /* of the last reserved id */
    uint8_t sequence;            /* next in that millisecond */
    int64_t floor_unix_ms;       /* the mark of the run before */
    bool set_back;               /* the clock was found behind that run, and has not passed its mark yet */
    _Atomic int64_t *ceiling_ms; /* ids up to this time are covered by the mark on disk */
};

/* ceiling_ms is shared by the workers and moved by the router. */
void makers_init(struct makers *makers, uint64_t now_ns, int64_t floor_unix_ms, _Atomic int64_t *ceiling_ms);
/* Adds numbers. Of the first ones half is kept for Reserve; boot, the count of starts, says which of them serves. */
void makers_add(struct makers *makers, const uint16_t *numbers, unsigned count, uint64_t boot);

struct maker_request {
    struct uuid instance;
    uint16_t held;   /* the number to renew; 0: none */
    uint64_t now_ns; /* monotonic */
    int64_t wall_ms;
};
/* Leases or renews; out->floor_unix_ms tells above which time ids may be made (a renewal: INT64_MIN). UNAVAILABLE: none
   is free now, or it is too early: use Reserve. A renewal of a number that is not held any more gives another one. */
enum status makers_lease(struct makers *makers, const struct maker_request *request, struct maker_lease *out,
    uint16_t *out_number) MUST_CHECK;
/* The instance said goodbye: its number is free once its last ids lie in the past. */
void makers_return(struct makers *makers, const struct uuid *instance, uint64_t now_ns, int64_t wall_ms);
/* count ascending ids, 0 < count <= RESERVE_MAX. UNAVAILABLE: no number yet, the mark on disk is behind, or the clock
   is WRONG. */
enum status makers_reserve(struct makers *makers, unsigned count, int64_t wall_ms, uint64_t *out) MUST_CHECK;

/* How the clock stands to the ids given before; *behind_ms (may be NULL): by how much it is behind, 0 when RIGHT. */
enum makers_clock makers_clock(const struct makers *makers, int64_t wall_ms, int64_t *behind_ms);
/* What is now for the ids of this router's clients: ids above it lie in the future. The clock; while that is BEHIND,
   the mark of the run before, since no router can have given an id above its own. */
int64_t makers_now_ms(struct makers *makers, int64_t wall_ms);
/* The mark to be written now: ahead of the clock and of every id given; never below the one on disk. */
int64_t makers_mark_ms(int64_t mark_ms, int64_t wall_ms, int64_t given_ms);

#endif
