#include "common/obs/histogram.h"

#include "common/base/check.h"

#define SUB (UINT64_C(1) << HISTOGRAM_SUB_BITS)

_Static_assert(HISTOGRAM_BUCKETS == 1024, "bucket_of covers values up to HISTOGRAM_VALUE_MAX");

/*
 * Below 2 * SUB a bucket is one value. Above, a value with its top bit at position p falls into one of the SUB equal
 * parts of [2^p, 2^(p+1)).
 */
static unsigned bucket_of(uint64_t value)
{
    if (value < SUB) return (unsigned)value;
    unsigned top = 63u - (unsigned)__builtin_clzll(value);
    unsigned shift = top - HISTOGRAM_SUB_BITS;
    return ((shift + 1) << HISTOGRAM_SUB_BITS) + (unsigned)((value >> shift) - SUB);
}

static uint64_t bucket_low(unsigned bucket)
{
    unsigned octave = bucket >> HISTOGRAM_SUB_BITS;
    uint64_t part = bucket & (SUB - 1);
    return octave == 0 ? part : (SUB + part) << (octave - 1);
}

static uint64_t bucket_middle(unsigned bucket)
{
    unsigned octave = bucket >> HISTOGRAM_SUB_BITS;
    uint64_t width = octave == 0 ? 1 : UINT64_C(1) << (octave - 1);
    return bucket_low(bucket) + (width - 1) / 2;
}

static uint64_t load(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

/* One writer: no need for an atomic addition. */
static void add(_Atomic uint64_t *value, uint64_t more)
{
    atomic_store_explicit(value, load(value) + more, memory_order_relaxed);
}

void histogram_record_many(struct histogram *histogram, uint64_t value, uint64_t count)
{
    if (count == 0) return;
    if (value > HISTOGRAM_VALUE_MAX) value = HISTOGRAM_VALUE_MAX;
    add(&histogram->buckets[bucket_of(value)], count);
    add(&histogram->sum, value * count);
    if (value > load(&histogram->max)) atomic_store_explicit(&histogram->max, value, memory_order_relaxed);
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    histogram_record_many(histogram, value, 1);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    CHECK(into != from);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t count = load(&from->buckets[i]);
        if (count != 0) add(&into->buckets[i], count);
    }
    add(&into->sum, load(&from->sum));
    if (load(&from->max) > load(&into->max)) atomic_store_explicit(&into->max, load(&from->max), memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += load(&histogram->buckets[i]);
    return count;
}

uint64_t histogram_count_below(const struct histogram *histogram, uint64_t bound)
{
    CHECK(bound >= 2 * SUB && (bound & (bound - 1)) == 0);
    if (bound > HISTOGRAM_VALUE_MAX) return histogram_count(histogram);
    uint64_t count = 0;
    for (unsigned i = 0, end = bucket_of(bound); i < end; i++)
        count += load(&histogram->buckets[i]);
    return count;
}

uint64_t histogram_quantile(const struct histogram *histogram, double quantile)
{
    CHECK(quantile >= 0 && quantile <= 1);
    uint64_t count = histogram_count(histogram), max = load(&histogram->max);
    if (count == 0) return 0;
    double exact = quantile * (double)count;
    uint64_t rank = (uint64_t)exact;
    if ((double)rank < exact || rank == 0) rank++;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += load(&histogram->buckets[i]);
        if (seen >= rank) return bucket_middle(i) < max ? bucket_middle(i) : max;
    }
    return max;
}
