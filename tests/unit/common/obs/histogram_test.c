#include "common/obs/histogram.h"

#include <criterion/criterion.h>
#include <string.h>

#include "common/base/mem.h"

static struct histogram *histogram_create(void)
{
    return mem_zalloc(sizeof(struct histogram));
}

Test(histogram, an_empty_one_has_quantile_zero)
{
    struct histogram *histogram = histogram_create();
    cr_assert_eq(histogram_count(histogram), 0);
    cr_assert_eq(histogram_quantile(histogram, 0.99), 0);
    mem_free(histogram);
}

Test(histogram, small_values_are_exact)
{
    struct histogram *histogram = histogram_create();
    for (uint64_t value = 0; value < 64; value++)
        histogram_record(histogram, value);
    for (uint64_t rank = 1; rank <= 64; rank++)
        cr_assert_eq(histogram_quantile(histogram, (double)rank / 64), rank - 1);
    mem_free(histogram);
}

Test(histogram, every_value_comes_back_within_1_6_percent)
{
    struct histogram *histogram = histogram_create();
    for (uint64_t value = 1; value < HISTOGRAM_VALUE_MAX; value += 1 + value / 7) {
        memset((void *)histogram, 0, sizeof *histogram);
        histogram_record(histogram, value);
        histogram_record(histogram, HISTOGRAM_VALUE_MAX); /* else the maximum would make the answer exact */
        double got = (double)histogram_quantile(histogram, 0.5), error = (got - (double)value) / (double)value;
        cr_assert(error <= 0.016 && error >= -0.016, "%f for %f", got, (double)value);
    }
    mem_free(histogram);
}

Test(histogram, a_quantile_never_exceeds_the_largest_value)
{
    struct histogram *histogram = histogram_create();
    histogram_record(histogram, 1000001);
    cr_assert_leq(histogram_quantile(histogram, 1), 1000001);
    histogram_record(histogram, UINT64_MAX);
    cr_assert_leq(histogram_quantile(histogram, 1), HISTOGRAM_VALUE_MAX);
    mem_free(histogram);
}

Test(histogram, merging_equals_recording_into_one)
{
    struct histogram *one = histogram_create(), *two = histogram_create(), *both = histogram_create();
    uint64_t value = 12345;
    for (int i = 0; i < 1000; i++) {
        value = value * 2862933555777941757ull + 3037000493ull;
        histogram_record(i % 3 ? one : two, value >> 40);
        histogram_record(both, value >> 40);
    }
    histogram_merge(one, two);
    cr_assert_eq(memcmp((void *)one, (void *)both, sizeof *one), 0);
    mem_free(one), mem_free(two), mem_free(both);
}

Test(histogram, counts_below_a_power_of_two_are_exact)
{
    struct histogram *histogram = histogram_create();
    histogram_record_many(histogram, 63, 2);
    histogram_record_many(histogram, 64, 3);
    histogram_record_many(histogram, 1023, 4);
    histogram_record_many(histogram, 1024, 5);
    cr_assert_eq(histogram_count_below(histogram, 64), 2);
    cr_assert_eq(histogram_count_below(histogram, 1024), 9);
    cr_assert_eq(histogram_count_below(histogram, 2048), 14);
    cr_assert_eq(histogram_count_below(histogram, UINT64_C(1) << 40), 14);
    mem_free(histogram);
}
