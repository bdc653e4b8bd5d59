#include "tests/unit/common/wal/driver.h"

#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/runtime/fiber.h"
#include "common/runtime/reactor.h"

#define FAIL(driver, ...)                                                                                              \
    do {                                                                                                               \
        if (!(driver)->failure[0]) snprintf((driver)->failure, sizeof(driver)->failure, __VA_ARGS__);                  \
    } while (0)

static unsigned long long number(uint64_t value)
{
    return value;
}

static enum status judge_record(void *context, const struct wal_record *record)
{
    struct driver *driver = context;
    uint64_t hash = hash64(record->payload.data, record->payload.size, record->kind);
    if (driver->replayed && record->sequence != driver->replayed + 1)
        FAIL(driver, "record %llu comes after %llu", number(record->sequence), number(driver->replayed));
    if (record->sequence > driver->last)
        FAIL(driver, "record %llu was never appended", number(record->sequence));
    else if (driver->hashes[record->sequence] != hash)
        FAIL(driver, "record %llu is not what was appended", number(record->sequence));
    if (!driver->first_replayed) driver->first_replayed = record->sequence;
    driver->replayed = record->sequence;
    return STATUS_OK;
}

struct driver *driver_create(uint64_t seed)
{
    struct driver *driver = mem_zalloc(sizeof *driver);
    driver->prng = prng_split(seed, "driver");
    driver->steps = 60;
    driver->config = (struct wal_config){.dir = "log",
        .log = 3,
        .cluster = {{1, 2, 3}},
        .segment_bytes = 64 << 10,
        .group_bytes = 16 << 10,
        .buffers = 6,
        .commits_in_flight = (uint32_t)prng_between(&driver->prng, 1, 4),
        .spares = 2};
    return driver;
}

void driver_destroy(struct driver *driver)
{
    mem_free(driver);
}

struct driver *driver_copy(const struct driver *driver)
{
    struct driver *copy = mem_alloc(sizeof *copy);
    *copy = *driver;
    return copy;
}

static void judge_recovery(struct driver *driver)
{
    uint64_t last = driver->recovery.last_sequence;
    if (last < driver->acked)
        FAIL(driver, "acknowledged records are missing: %llu of %llu", number(last), number(driver->acked));
    if (last > driver->last) FAIL(driver, "recovered %llu, appended %llu", number(last), number(driver->last));
    if (last > driver->released && driver->replayed != last)
        FAIL(driver, "recovered %llu, handed out %llu", number(last), number(driver->replayed));
    if (last > driver->released && driver->first_replayed > driver->released + 1)
        FAIL(driver, "the first record is %llu, released is %llu", number(driver->first_replayed),
            number(driver->released));
}

struct appended {
    struct wal_waiter waiter;
    struct driver *driver;
};

static void on_done(struct wal_waiter *waiter)
{
    struct appended *appended = CONTAINER_OF(waiter, struct appended, waiter);
    struct driver *driver = appended->driver;
    if (waiter->sequence != driver->acked + 1)
        FAIL(driver, "told of %llu after %llu", number(waiter->sequence), number(driver->acked));
    driver->acked = waiter->sequence;
    mem_free(appended);
}

static size_t random_size(struct prng *prng)
{
    switch (prng_below(prng, 20)) {
    case 0:
        return 0;
    case 1:
        return prng_below(prng, 15 << 10);
    case 2:
    case 3:
        return prng_below(prng, 4000);
    default:
        return prng_below(prng, 300);
    }
}

static bool append_one(struct driver *driver, uint8_t *payload)
{
    if (driver->last == DRIVER_RECORDS_MAX) return false;
    size_t size = random_size(&driver->prng);
    prng_fill(&driver->prng, payload, size);
    uint8_t kind = (uint8_t)prng_next(&driver->prng);
    size_t cut = prng_below(&driver->prng, size + 1);
    struct bytes parts[] = {bytes_of(payload, cut), bytes_of(payload + cut, size - cut)};
    struct appended *appended = mem_alloc(sizeof *appended);
    *appended = (struct appended){.waiter = {.done = on_done}, .driver = driver};
    /* The record is in the model before it can be told. */
    driver->hashes[driver->last + 1] = hash64(payload, size, kind);
    driver->last++;
    enum status status = wal_append(driver->wal, kind, parts, 2, &appended->waiter);
    if (status != STATUS_OK) {
        driver->last--;
        mem_free(appended);
        return false;
    }
    if (appended->waiter.sequence != driver->last) FAIL(driver, "a sequence is skipped");
    return true;
}

static void step(struct reactor *reactor, struct driver *driver, uint8_t *payload)
{
    uint64_t now = reactor_now_ns(reactor);
    switch (prng_below(&driver->prng, 20)) {
    case 0:
        fiber_sleep_until(reactor, now + 30000000);
        break;
    case 1:
        if (driver->acked > driver->released)
            driver->released += prng_below(&driver->prng, driver->acked - driver->released + 1);
        wal_release(driver->wal, driver->released);
        break;
    case 2:
    case 3:
        wal_sync(driver->wal);
        if (driver->acked != driver->last) FAIL(driver, "synced and not told");
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        fiber_sleep_until(reactor, now + prng_below(&driver->prng, 2000000));
        break;
    default:
        for (uint64_t i = prng_between(&driver->prng, 1, 12); i > 0; i--)
            if (!append_one(driver, payload)) fiber_sleep_until(reactor, reactor_now_ns(reactor) + 100000);
    }
}

void driver_main(struct reactor *reactor, void *argument)
{
    struct driver *driver = argument;
    driver->done = false;
    driver->replayed = driver->first_replayed = 0;
    driver->config.replay.record = judge_record;
    driver->config.replay.context = driver;
    driver->opened = wal_open(reactor, &driver->config, &driver->recovery, &driver->wal);
    if (driver->opened != STATUS_OK) return;
    if (!driver->config.replay.accept_damage) judge_recovery(driver);
    if (driver->failure[0]) return;
    /* What is not there now was never acknowledged and must never come back. */
    driver->last = driver->acked = wal_last_sequence(driver->wal);
    if (driver->judge_only) return;
    uint8_t *payload = mem_alloc(16 << 10);
    for (unsigned i = 0; i < driver->steps; i++)
        step(reactor, driver, payload);
    mem_free(payload);
    wal_sync(driver->wal);
    if (driver->rest_at_end) fiber_sleep_until(reactor, reactor_now_ns(reactor) + 200000000);
    driver->counters = *wal_counters(driver->wal);
    if (!driver->rest_at_end) wal_close(driver->wal);
    driver->done = true;
}

/* ---- crashes ---- */

static void *crash_create(uint64_t seed, bool faulty)
{
    (void)faulty; /* a log does not survive a refusal: the process ends */
    return driver_create(seed);
}

static void *crash_copy(const void *driver)
{
    struct driver *copy = driver_copy(driver);
    copy->judge_only = true;
    return copy;
}

static void crash_destroy(void *driver)
{
    driver_destroy(driver);
}

static const char *crash_failure(void *context, bool judged)
{
    struct driver *driver = context;
    if (judged && driver->opened != STATUS_OK)
        FAIL(driver, "open: %s %.150s", status_name(driver->opened), driver->recovery.why);
    return driver->failure[0] ? driver->failure : NULL;
}

const struct crash_subject driver_crashes = {
    crash_create, crash_copy, crash_destroy, driver_main, crash_failure, NULL, 400};
