#include "common/obs/metrics.h"

#include <criterion/criterion.h>
#include <string.h>

#include "common/base/mem.h"

/* What a scrape shows, 0-terminated. */
static char *rendered(struct metrics *metrics)
{
    struct buffer out = {0};
    metrics_render(metrics, &out);
    buffer_append(&out, "", 1);
    return (char *)out.data;
}

Test(metrics, instances_of_one_series_are_added_up)
{
    struct metrics *metrics = metrics_create(10);
    struct metrics_counter *one = metrics_counter(metrics, "trillium_calls_total", "op=\"read\"", "Calls.");
    struct metrics_counter *two = metrics_counter(metrics, "trillium_calls_total", "op=\"read\"", "Calls.");
    cr_assert_neq(one, two);
    metrics_count(one, 3);
    metrics_count(two, 4);
    struct metrics_gauge *gauge = metrics_gauge(metrics, "trillium_bytes", "", "Bytes.");
    metrics_set(gauge, 5);
    metrics_add(gauge, -7);
    char *text = rendered(metrics);
    cr_assert_str_eq(text, "# HELP trillium_bytes Bytes.\n"
                           "# TYPE trillium_bytes gauge\n"
                           "trillium_bytes -2\n"
                           "# HELP trillium_calls_total Calls.\n"
                           "# TYPE trillium_calls_total counter\n"
                           "trillium_calls_total{op=\"read\"} 7\n"
                           "# HELP trillium_metrics_dropped_series Series that the budget has no room for.\n"
                           "# TYPE trillium_metrics_dropped_series gauge\n"
                           "trillium_metrics_dropped_series 0\n");
    mem_free(text);
    metrics_destroy(metrics);
}

Test(metrics, a_name_has_one_header_whatever_the_order_of_creation)
{
    struct metrics *metrics = metrics_create(10);
    metrics_counter(metrics, "trillium_b_total", "s=\"1\"", "B.");
    metrics_counter(metrics, "trillium_a_total", "", "A.");
    metrics_counter(metrics, "trillium_b_total", "s=\"0\"", "B.");
    char *text = rendered(metrics);
    const char *header = strstr(text, "# TYPE trillium_b_total");
    cr_assert_not_null(header);
    cr_assert_null(strstr(header + 1, "# TYPE trillium_b_total"));
    cr_assert_lt(strstr(text, "s=\"0\""), strstr(text, "s=\"1\""));
    cr_assert_lt(strstr(text, "trillium_a_total"), header);
    mem_free(text);
    metrics_destroy(metrics);
}

Test(metrics, a_series_beyond_the_budget_records_unseen_and_is_counted)
{
    struct metrics *metrics = metrics_create(METRICS_HISTOGRAM_SERIES);
    histogram_record(metrics_latency(metrics, "trillium_x_seconds", "", "X."), 1);
    metrics_count(metrics_counter(metrics, "trillium_y_total", "", "Y."), 1);
    metrics_set(metrics_gauge(metrics, "trillium_z", "", "Z."), 1);
    histogram_record(metrics_latency(metrics, "trillium_w_seconds", "", "W."), 1);
    /* A further instance of a series that is shown costs nothing. */
    histogram_record(metrics_latency(metrics, "trillium_x_seconds", "", "X."), 1);
    char *text = rendered(metrics);
    cr_assert_not_null(strstr(text, "trillium_x_seconds_count 2\n"));
    cr_assert_null(strstr(text, "trillium_y_total"));
    cr_assert_null(strstr(text, "trillium_z"));
    cr_assert_null(strstr(text, "trillium_w_seconds"));
    cr_assert_not_null(strstr(text, "trillium_metrics_dropped_series 3\n"));
    mem_free(text);
    metrics_destroy(metrics);
}

Test(metrics, a_latency_is_shown_in_seconds_with_cumulative_buckets)
{
    struct metrics *metrics = metrics_create(100);
    struct histogram *latency = metrics_latency(metrics, "trillium_call_seconds", "op=\"put\"", "Time of calls.");
    histogram_record(latency, 50);
    histogram_record(latency, 100);
    histogram_record(latency, 2500000);
    char *text = rendered(metrics);
    cr_assert_not_null(strstr(text, "# TYPE trillium_call_seconds histogram\n"));
    cr_assert_not_null(strstr(text, "trillium_call_seconds_bucket{op=\"put\",le=\"0.000064\"} 1\n"));
    cr_assert_not_null(strstr(text, "trillium_call_seconds_bucket{op=\"put\",le=\"0.000128\"} 2\n"));
    cr_assert_not_null(strstr(text, "trillium_call_seconds_bucket{op=\"put\",le=\"2.097152\"} 2\n"));
    cr_assert_not_null(strstr(text, "trillium_call_seconds_bucket{op=\"put\",le=\"4.194304\"} 3\n"));
    cr_assert_not_null(strstr(text, "trillium_call_seconds_bucket{op=\"put\",le=\"+Inf\"} 3\n"));
    cr_assert_not_null(strstr(text, "trillium_call_seconds_sum{op=\"put\"} 2.500150\n"));
    cr_assert_not_null(strstr(text, "trillium_call_seconds_count{op=\"put\"} 3\n"));
    size_t lines = 0;
    for (const char *at = text; (at = strstr(at, "trillium_call_seconds_")) != NULL; at++)
        lines++;
    cr_assert_eq(lines, METRICS_HISTOGRAM_SERIES);
    mem_free(text);
    metrics_destroy(metrics);
}

Test(metrics, a_latency_can_be_read_over_all_labels)
{
    struct metrics *metrics = metrics_create(100);
    histogram_record(metrics_latency(metrics, "trillium_call_seconds", "s=\"0\"", "T."), 10);
    histogram_record(metrics_latency(metrics, "trillium_call_seconds", "s=\"1\"", "T."), 30);
    struct histogram *sum = mem_zalloc(sizeof *sum);
    metrics_latency_read(metrics, "trillium_call_seconds", NULL, sum);
    cr_assert_eq(histogram_count(sum), 2);
    metrics_latency_read(metrics, "trillium_call_seconds", "s=\"1\"", sum);
    cr_assert_eq(histogram_count(sum), 1);
    cr_assert_eq(histogram_quantile(sum, 0.5), 30);
    metrics_latency_read(metrics, "trillium_other_seconds", NULL, sum);
    cr_assert_eq(histogram_count(sum), 0);
    mem_free(sum);
    metrics_destroy(metrics);
}

Test(metrics, recording_allocates_nothing)
{
    struct metrics *metrics = metrics_create(100);
    struct metrics_counter *counter = metrics_counter(metrics, "trillium_a_total", "", "A.");
    struct histogram *latency = metrics_latency(metrics, "trillium_a_seconds", "", "A.");
    uint64_t before = mem_allocations();
    for (uint64_t i = 0; i < 1000; i++) {
        metrics_count(counter, 1);
        histogram_record(latency, i * 1000);
    }
    cr_assert_eq(mem_allocations(), before);
    metrics_destroy(metrics);
}
