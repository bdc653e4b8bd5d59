#include "common/model/span.h"

#include <criterion/criterion.h>

#include "common/base/prng.h"

/* What a set says of the ids 0..15, and of the last one of all. */
enum { POINTS = 17 };
struct naive {
    bool covered[POINTS], open[POINTS];
    int64_t stamp[POINTS];
};

static uint64_t point(unsigned i)
{
    return i == POINTS - 1 ? UINT64_MAX : i;
}

static void naive_add(struct naive *naive, struct span span)
{
    for (unsigned i = 0; i < POINTS; i++) {
        if (point(i) < span.lo || point(i) > span.hi) continue;
        naive->open[i] = naive->covered[i] ? naive->open[i] && span.open : span.open;
        if (!naive->covered[i] || span.stamp > naive->stamp[i]) naive->stamp[i] = span.stamp;
        naive->covered[i] = true;
    }
}

static void expect_same(const struct span_set *set, const struct naive *naive)
{
    for (unsigned i = 0; i < POINTS; i++) {
        const struct span *span = span_set_find(set, point(i));
        cr_assert_eq(span != NULL, naive->covered[i]);
        cr_assert_eq(span_set_covers(set, point(i)), naive->covered[i]);
        if (!span) continue;
        cr_assert_eq(span->stamp, naive->stamp[i]);
        cr_assert_eq(span->open, naive->open[i]);
    }
    for (size_t i = 1; i < set->count; i++) {
        const struct span *before = &set->spans[i - 1], *after = &set->spans[i];
        cr_assert_lt(before->hi, after->lo);
        cr_assert(before->hi + 1 < after->lo || before->stamp != after->stamp || before->open != after->open);
    }
}

static struct span random_span(struct prng *prng)
{
    uint64_t a = point((unsigned)prng_below(prng, POINTS)), b = point((unsigned)prng_below(prng, POINTS));
    return (struct span){
        .lo = a < b ? a : b, .hi = a < b ? b : a, .stamp = (int64_t)prng_below(prng, 3), .open = prng_below(prng, 2)};
}

static void expect_comes_back(const struct span_set *set)
{
    struct buffer out = {0};
    struct span_set again = {0};
    span_set_encode(set, &out);
    struct reader reader = reader_of(buffer_bytes(&out));
    cr_assert_eq(span_set_decode(&reader, &again), STATUS_OK);
    cr_assert(reader_done(&reader) && span_set_equal(set, &again));
    span_set_free(&again);
    buffer_free(&out);
}

Test(span, a_set_says_of_each_id_what_its_spans_say)
{
    struct prng prng = prng_seeded(8);
    for (int round = 0; round < 2000; round++) {
        struct span_set set = {0};
        struct naive naive = {0};
        for (int i = 0; i < 6; i++) {
            struct span span = random_span(&prng);
            span_set_add(&set, span);
            naive_add(&naive, span);
            expect_same(&set, &naive);
        }
        expect_comes_back(&set);
        span_set_free(&set);
    }
}

Test(span, closing_closes_what_lies_inside)
{
    struct prng prng = prng_seeded(9);
    for (int round = 0; round < 2000; round++) {
        struct span_set set = {0};
        struct naive naive = {0};
        for (int i = 0; i < 4; i++) {
            struct span span = random_span(&prng);
            span_set_add(&set, span);
            naive_add(&naive, span);
        }
        struct span close = random_span(&prng);
        span_set_close(&set, close.lo, close.hi);
        for (unsigned i = 0; i < POINTS; i++)
            if (point(i) >= close.lo && point(i) <= close.hi) naive.open[i] = false;
        expect_same(&set, &naive);
        struct span_set part = {0};
        span_set_clip(&set, close.lo, close.hi, &part);
        for (unsigned i = 0; i < POINTS; i++)
            if (point(i) < close.lo || point(i) > close.hi) naive.covered[i] = false;
        expect_same(&part, &naive);
        span_set_free(&part);
        span_set_free(&set);
    }
}

Test(span, merging_sets_is_commutative_associative_and_idempotent)
{
    struct prng prng = prng_seeded(10);
    for (int round = 0; round < 2000; round++) {
        struct span_set sets[3] = {{0}}, left = {0}, right = {0};
        for (int k = 0; k < 3; k++)
            for (uint64_t i = prng_below(&prng, 4); i > 0; i--)
                span_set_add(&sets[k], random_span(&prng));
        for (int k = 0; k < 3; k++) {
            span_set_merge(&left, &sets[k]);
            span_set_merge(&right, &sets[2 - k]);
        }
        cr_assert(span_set_equal(&left, &right));
        span_set_merge(&left, &right);
        span_set_merge(&left, &sets[1]);
        cr_assert(span_set_equal(&left, &right));
        for (int k = 0; k < 3; k++)
            span_set_free(&sets[k]);
        span_set_free(&left);
        span_set_free(&right);
    }
}

Test(span, equal_neighbours_become_one)
{
    struct span_set set = {0};
    span_set_add(&set, (struct span){.lo = 5, .hi = 9, .stamp = 1});
    span_set_add(&set, (struct span){.lo = 0, .hi = 4, .stamp = 1});
    span_set_add(&set, (struct span){.lo = 10, .hi = UINT64_MAX, .stamp = 1});
    cr_assert_eq(set.count, 1);
    cr_assert(set.spans[0].lo == 0 && set.spans[0].hi == UINT64_MAX);
    expect_comes_back(&set);
    span_set_free(&set);
}

Test(span, golden_bytes)
{
    static const uint8_t expected[] = {2, 5, 4, 2, 0, 1, 0, 4, 1};
    struct span_set set = {0};
    struct buffer out = {0};
    span_set_add(&set, (struct span){.lo = 11, .hi = 11, .stamp = 2, .open = true});
    span_set_add(&set, (struct span){.lo = 5, .hi = 9, .stamp = 1});
    span_set_encode(&set, &out);
    cr_assert(bytes_equal(buffer_bytes(&out), bytes_of(expected, sizeof expected)));
    buffer_free(&out);
    span_set_free(&set);
}

Test(span, what_is_not_in_normal_form_is_refused)
{
    static const struct {
        uint8_t size, bytes[32];
    } bad[] = {
        {0, {0}}, {1, {1}}, {5, {1, 0, 0, 0, 2}}, {9, {2, 0, 0, 0, 0, 0, 0, 0, 0}},     /* neighbours that are equal */
        {4, {0x81, 0x80, 0x01, 0}},                                                     /* more than there are bytes */
        {23, {1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 0}}, /* past the last id */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct span_set set = {0};
        struct reader reader = reader_of(bytes_of(bad[i].bytes, bad[i].size));
        cr_assert_eq(span_set_decode(&reader, &set), STATUS_BAD_REQUEST, "case %zu", i);
        cr_assert_eq(set.count, 0);
    }
}
