/*
 * histogram: how often which value occurred, in log-linear buckets: 32 to each power of two, so that a quantile is
 * within 1.6 % of a recorded value. Values are plain numbers (by convention microseconds or bytes), exact below 64;
 * those from HISTOGRAM_VALUE_MAX on count as that. Fixed size, allocates nothing.
 *
 * Threads: one thread records; any thread may read or merge from it meanwhile and sees each bucket whole, though not
 * all buckets of one instant.
 */
#ifndef TRILLIUM_COMMON_OBS_HISTOGRAM_H
#define TRILLIUM_COMMON_OBS_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << 36) - 1)

enum {
    HISTOGRAM_SUB_BITS = 5,
    HISTOGRAM_BUCKETS = (36 - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS,
};

/* Zero-initialised is empty. */
struct histogram {
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum, max;
};

void histogram_record(struct histogram *histogram, uint64_t value);
/* As count records of the same value. */
void histogram_record_many(struct histogram *histogram, uint64_t value, uint64_t count);
/* Adds from's counts to into; the caller owns into. */
void histogram_merge(struct histogram *into, const struct histogram *from);
/* How many values were recorded. */
uint64_t histogram_count(const struct histogram *histogram);
/* How many of them are below bound, which is a power of two from 64 on (then the answer is exact). */
uint64_t histogram_count_below(const struct histogram *histogram, uint64_t bound);
/* The value that the share quantile (0..1) of all values does not exceed; 0 when empty. Never above the largest one. */
uint64_t histogram_quantile(const struct histogram *histogram, double quantile);

#endif
