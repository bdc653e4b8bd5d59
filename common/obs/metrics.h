/*
 * metrics: counters, gauges and latency histograms of one daemon instance, shown as Prometheus text.
 *
 * A series is (name, labels). Each reactor asks for its own instance of a series once, at start-up, and records into it
 * without locks; asking again with the same name and labels gives a further instance, and a scrape shows their sum.
 * The number of series has a budget: a series beyond it gets an instance that records but is not shown, and
 * trillium_metrics_dropped_series counts those asks, so that a caller needs no error path.
 *
 * Threads: creating series and rendering take a lock; an instance has one recording thread.
 */
#ifndef TRILLIUM_COMMON_OBS_METRICS_H
#define TRILLIUM_COMMON_OBS_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/bytes.h"
#include "common/obs/histogram.h"

enum {
    METRICS_SERIES_DEFAULT = 2000,
    /* A histogram is shown as this many series: le = 64 us * 2^n (18 of them), +Inf, sum, count. */
    METRICS_HISTOGRAM_BOUNDS = 18,
    METRICS_HISTOGRAM_SERIES = METRICS_HISTOGRAM_BOUNDS + 3,
};

struct metrics;

struct metrics_counter {
    _Atomic uint64_t value;
};

struct metrics_gauge {
    _Atomic int64_t value;
};

struct metrics *metrics_create(size_t series_max);
/* Frees all instances; nothing may record any more. */
void metrics_destroy(struct metrics *metrics);

/*
 * name: [a-z_]+, starting with "trillium_"; a counter's ends with _total, a time histogram's with _seconds.
 * labels: "shard=\"0\",op=\"read\"" or "" (the caller escapes; no values from outside). help: one line.
 * One name is always of one kind. Instances live until metrics_destroy.
 */
struct metrics_counter *metrics_counter(
    struct metrics *metrics, const char *name, const char *labels, const char *help);
struct metrics_gauge *metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help);
/* Record microseconds; shown in seconds. */
struct histogram *metrics_latency(struct metrics *metrics, const char *name, const char *labels, const char *help);

static inline void metrics_count(struct metrics_counter *counter, uint64_t more)
{
    uint64_t value = atomic_load_explicit(&counter->value, memory_order_relaxed);
    atomic_store_explicit(&counter->value, value + more, memory_order_relaxed);
}

static inline void metrics_set(struct metrics_gauge *gauge, int64_t value)
{
    atomic_store_explicit(&gauge->value, value, memory_order_relaxed);
}

static inline void metrics_add(struct metrics_gauge *gauge, int64_t more)
{
    int64_t value = atomic_load_explicit(&gauge->value, memory_order_relaxed);
    atomic_store_explicit(&gauge->value, value + more, memory_order_relaxed);
}

/* Appends the Prometheus text (version 0.0.4) of all series, sorted by name. */
void metrics_render(struct metrics *metrics, struct buffer *out);

/* Adds all instances of a latency series up into *out; zero when there is no such series. labels NULL: of any labels.
 */
void metrics_latency_read(struct metrics *metrics, const char *name, const char *labels, struct histogram *out);

#endif
