#include "routerd/api/makers.h"

#include "common/base/check.h"
#include "common/base/limits.h"
#include "common/model/snowflake.h"

void makers_init(struct makers *makers, uint64_t now_ns, int64_t floor_unix_ms, _Atomic int64_t *ceiling_ms)
{
    *makers = (struct makers){.floor_unix_ms = floor_unix_ms, .ceiling_ms = ceiling_ms};
    makers->may_lease_at_ns = now_ns + (uint64_t)LEASE_REUSE_MS * 1000000;
    makers->sequence = SNOWFLAKE_SEQUENCES;
}

void makers_add(struct makers *makers, const uint16_t *numbers, unsigned count, uint64_t boot)
{
    if (makers->count == 0) {
        makers->reserve_count = (count + 1) / 2;
        makers->reserve_at = (unsigned)(boot % makers->reserve_count);
    }
    for (unsigned i = 0; i < count && makers->count < MAKERS_MAX; i++) {
        makers->numbers[makers->count] = numbers[i];
        makers->leases[makers->count] = (struct maker_lease){.floor_unix_ms = makers->floor_unix_ms};
        makers->count++;
    }
}

static unsigned position_of(const struct makers *makers, uint16_t number)
{
    for (unsigned i = makers->reserve_count; i < makers->count; i++)
        if (makers->numbers[i] == number) return i;
    return 0;
}

/* The instance may use the number until now + LEASE_MS by its clock, which started before now. */
static void extend(struct maker_lease *lease, uint64_t now_ns, int64_t wall_ms)
{
    int64_t highest = wall_ms + LEASE_REUSE_MS;
    lease->free_at_ns = now_ns + (uint64_t)LEASE_REUSE_MS * 1000000;
    if (highest > lease->floor_unix_ms) lease->floor_unix_ms = highest;
    lease->leased = true;
}

static bool ceiling_covers(const struct makers *makers, int64_t unix_ms)
{
    return atomic_load_explicit(makers->ceiling_ms, memory_order_acquire) >= unix_ms;
}

enum status makers_lease(
    struct makers *makers, const struct maker_request *request, struct maker_lease *out, uint16_t *out_number)
{
    if (!ceiling_covers(makers, request->wall_ms + LEASE_REUSE_MS)) return STATUS_UNAVAILABLE;
    struct maker_lease *own = &makers->leases[position_of(makers, request->held)];
    if (own != &makers->leases[0] && own->leased && uuid_equal(&own->instance, &request->instance)) {
        extend(own, request->now_ns, request->wall_ms);
        *out = *own;
        *out_number = request->held;
        out->floor_unix_ms = INT64_MIN; /* its own ids are no danger to it */
        return STATUS_OK;
    }
    if (makers->count <= makers->reserve_count || request->now_ns < makers->may_lease_at_ns) return STATUS_UNAVAILABLE;
    unsigned first = makers->reserve_count, leasable = makers->count - first;
    for (unsigned tried = 0; tried < leasable; tried++) {
        unsigned at = first + (makers->next + tried) % leasable;
        struct maker_lease *lease = &makers->leases[at];
        /* Waiting for a floor that lies ahead would stall the instance: such a number rests. */
        if ((lease->leased && request->now_ns < lease->free_at_ns) || lease->floor_unix_ms > request->wall_ms) continue;
        makers->next = at;
        lease->instance = request->instance;
        *out = *lease;
        *out_number = makers->numbers[at];
        extend(lease, request->now_ns, request->wall_ms);
        return STATUS_OK;
    }
    return STATUS_UNAVAILABLE;
}

void makers_return(struct makers *makers, const struct uuid *instance, uint64_t now_ns, int64_t wall_ms)
{
    for (unsigned i = makers->reserve_count; i < makers->count; i++) {
        struct maker_lease *lease = &makers->leases[i];
        if (!lease->leased || !uuid_equal(&lease->instance, instance)) continue;
        lease->leased = false;
        lease->free_at_ns = now_ns;
        lease->floor_unix_ms = wall_ms + 1000; /* what it made, it made on this clock, some frames ago */
    }
}

/* ---- the clock ---- */

/* By how much the clock is behind the moment at which the run before wrote its mark. */
static int64_t behind_mark(const struct makers *makers, int64_t wall_ms)
{
    return makers->count ? makers->floor_unix_ms - MARK_AHEAD_MS - wall_ms : 0;
}

enum makers_clock makers_clock(const struct makers *makers, int64_t wall_ms, int64_t *behind_ms)
{
    int64_t behind = behind_mark(makers, wall_ms);
    if (makers->last_ms - wall_ms > behind) behind = makers->last_ms - wall_ms;
    bool is_behind = behind > SKEW_AHEAD_MS_MAX;
    if (behind_ms) *behind_ms = is_behind ? behind : 0;
    return !is_behind ? MAKERS_CLOCK_RIGHT : behind > CLOCK_BEHIND_MS_MAX ? MAKERS_CLOCK_WRONG : MAKERS_CLOCK_BEHIND;
}

int64_t makers_now_ms(struct makers *makers, int64_t wall_ms)
{
    if (makers->count == 0 || makers_clock(makers, wall_ms, NULL) == MAKERS_CLOCK_WRONG) return wall_ms;
    if (behind_mark(makers, wall_ms) > 0) makers->set_back = true;
    if (wall_ms >= makers->floor_unix_ms) makers->set_back = false;
    int64_t now = wall_ms > makers->last_ms ? wall_ms : makers->last_ms;
    return makers->set_back && makers->floor_unix_ms > now ? makers->floor_unix_ms : now;
}

int64_t makers_mark_ms(int64_t mark_ms, int64_t wall_ms, int64_t given_ms)
{
    if (given_ms + MARK_EVERY_MS > mark_ms) mark_ms = given_ms + MARK_AHEAD_MS;
    return wall_ms + MARK_AHEAD_MS > mark_ms ? wall_ms + MARK_AHEAD_MS : mark_ms;
}

/* The first id of this run is not below what the run before gave. One whose clock is a little behind begins where the
   mark was written: the other routers, perhaps not set back at all, take its ids soon. One that is behind by more than
   the age of a mark can know that the others are too, and spares the ids of the mark's last period as well. */
static int64_t start_ms(const struct makers *makers, int64_t wall_ms)
{
    int64_t behind = behind_mark(makers, wall_ms);
    if (behind <= 0) return wall_ms;
    return makers->floor_unix_ms - (behind > MARK_EVERY_MS ? MARK_SLACK_MS : MARK_AHEAD_MS);
}

enum status makers_reserve(struct makers *makers, unsigned count, int64_t wall_ms, uint64_t *out)
{
    CHECK(count > 0 && count <= RESERVE_MAX);
    if (makers->count == 0 || makers_clock(makers, wall_ms, NULL) == MAKERS_CLOCK_WRONG) return STATUS_UNAVAILABLE;
    int64_t ms = makers->last_ms, start = start_ms(makers, wall_ms);
    unsigned sequence = makers->sequence;
    if (start > ms) {
        ms = start;
        sequence = 0;
    }
    for (unsigned i = 0; i < count; i++) {
        if (sequence >= SNOWFLAKE_SEQUENCES) {
            ms++;
            sequence = 0;
        }
        out[i] = snowflake_make(ms, makers->numbers[makers->reserve_at], (uint8_t)sequence++);
    }
    if (!ceiling_covers(makers, ms)) return STATUS_UNAVAILABLE;
    makers->last_ms = ms;
    makers->sequence = (uint8_t)sequence;
    return STATUS_OK;
}
