/* The counters of an endpoint, as metrics shows them. */
#include "common/rpc/obs/rpc_metrics.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/common/rpc/pair.h"

Test(rpc_metrics, shows_what_was_counted_once)
{
    struct pair pair;
    struct metrics *metrics = metrics_create(METRICS_SERIES_DEFAULT);
    struct rpc_metrics shown;
    pair_init(&pair);
    rpc_metrics_init(&shown, metrics);
    pair_connect(&pair, NULL, 0);
    rpc_metrics_show(&shown, pair.dialer);
    rpc_metrics_show(&shown, pair.dialer);
    struct metrics_counter *sent = shown.series[0], *bytes = shown.series[4];
    cr_assert_eq(atomic_load(&sent->value), rpc_counters(pair.dialer)->frames_sent);
    cr_assert_gt(atomic_load(&sent->value), 0);
    cr_assert_eq(atomic_load(&bytes->value), rpc_counters(pair.dialer)->bytes_sent);
    pair_fini(&pair);
    metrics_destroy(metrics);
}

Test(rpc_metrics, endpoints_of_one_process_are_summed)
{
    struct pair pair;
    struct metrics *metrics = metrics_create(METRICS_SERIES_DEFAULT);
    struct rpc_metrics one, other;
    pair_init(&pair);
    rpc_metrics_init(&one, metrics);
    rpc_metrics_init(&other, metrics);
    pair_connect(&pair, NULL, 0);
    rpc_metrics_show(&one, pair.dialer);
    rpc_metrics_show(&other, pair.listener);
    struct buffer text = {0};
    metrics_render(metrics, &text);
    char line[100];
    int size = snprintf(line, sizeof line, "trillium_rpc_frames_total{direction=\"sent\"} %llu\n",
        (unsigned long long)rpc_counters(pair.dialer)->frames_sent +
            (unsigned long long)rpc_counters(pair.listener)->frames_sent);
    cr_assert_not_null(memmem(text.data, text.size, line, (size_t)size));
    buffer_free(&text);
    pair_fini(&pair);
    metrics_destroy(metrics);
}
