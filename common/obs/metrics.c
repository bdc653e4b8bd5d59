#include "common/obs/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/list.h"
#include "common/base/mem.h"

enum kind { COUNTER, GAUGE, LATENCY };

static const char *const kind_names[] = {"counter", "gauge", "histogram"};

/* A cache line each, so that instances of different threads do not share one. */
struct instance {
    struct instance *next;
    union {
        struct metrics_counter counter;
        struct metrics_gauge gauge;
        struct histogram *histogram;
    };
} __attribute__((aligned(64)));

struct series {
    struct list link; /* of metrics.series, ordered by name, then labels */
    enum kind kind;
    char *name, *labels, *help;
    struct instance *instances;
};

struct metrics {
    pthread_mutex_t lock;
    struct list series;
    size_t budget; /* lines that a scrape may still gain */
    uint64_t dropped;
    /* Shared by all series beyond the budget: nobody reads them, so lost counts do not matter. */
    struct metrics_counter spare_counter;
    struct metrics_gauge spare_gauge;
    struct histogram spare_histogram;
};

struct metrics *metrics_create(size_t series_max)
{
    struct metrics *metrics = mem_zalloc(sizeof *metrics);
    CHECK(pthread_mutex_init(&metrics->lock, NULL) == 0);
    list_init(&metrics->series);
    metrics->budget = series_max;
    return metrics;
}

static void series_free(struct series *series)
{
    for (struct instance *instance = series->instances, *next; instance != NULL; instance = next) {
        next = instance->next;
        if (series->kind == LATENCY) mem_free(instance->histogram);
        mem_free(instance);
    }
    mem_free(series->name);
    mem_free(series->labels);
    mem_free(series->help);
    mem_free(series);
}

void metrics_destroy(struct metrics *metrics)
{
    if (metrics == NULL) return;
    LIST_FOR_EACH (item, &metrics->series)
        series_free(CONTAINER_OF(item, struct series, link));
    pthread_mutex_destroy(&metrics->lock);
    mem_free(metrics);
}

static bool name_is_valid(const char *name)
{
    return strncmp(name, "trillium_", 9) == 0 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

/* The series, created when the budget allows; NULL otherwise. Called with the lock held. */
static struct series *series_of(
    struct metrics *metrics, enum kind kind, const char *name, const char *labels, const char *help)
{
    struct list *at = &metrics->series; /* the new one goes behind this */
    LIST_FOR_EACH (item, &metrics->series) {
        struct series *series = CONTAINER_OF(item, struct series, link);
        int order = strcmp(series->name, name);
        CHECK(order != 0 || series->kind == kind);
        if (order == 0) order = strcmp(series->labels, labels);
        if (order == 0) return series;
        if (order > 0) break;
        at = item;
    }
    size_t cost = kind == LATENCY ? METRICS_HISTOGRAM_SERIES : 1;
    if (cost > metrics->budget) {
        metrics->dropped++;
        return NULL;
    }
    metrics->budget -= cost;
    struct series *series = mem_zalloc(sizeof *series);
    series->kind = kind;
    series->name = mem_strdup(name);
    series->labels = mem_strdup(labels);
    series->help = mem_strdup(help);
    list_add_after(at, &series->link);
    return series;
}

/* A new instance of the series; NULL beyond the budget. */
static struct instance *instance_create(
    struct metrics *metrics, enum kind kind, const char *name, const char *labels, const char *help)
{
    CHECK(name_is_valid(name));
    struct instance *instance = NULL;
    pthread_mutex_lock(&metrics->lock);
    struct series *series = series_of(metrics, kind, name, labels, help);
    if (series != NULL) {
        instance = memset(mem_alloc_aligned(64, sizeof *instance), 0, sizeof *instance);
        if (kind == LATENCY) instance->histogram = mem_zalloc(sizeof *instance->histogram);
        instance->next = series->instances;
        series->instances = instance;
    }
    pthread_mutex_unlock(&metrics->lock);
    return instance;
}

struct metrics_counter *metrics_counter(struct metrics *metrics, const char *name, const char *labels, const char *help)
{
    struct instance *instance = instance_create(metrics, COUNTER, name, labels, help);
    return instance ? &instance->counter : &metrics->spare_counter;
}

struct metrics_gauge *metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help)
{
    struct instance *instance = instance_create(metrics, GAUGE, name, labels, help);
    return instance ? &instance->gauge : &metrics->spare_gauge;
}

struct histogram *metrics_latency(struct metrics *metrics, const char *name, const char *labels, const char *help)
{
    struct instance *instance = instance_create(metrics, LATENCY, name, labels, help);
    return instance ? instance->histogram : &metrics->spare_histogram;
}

static void histogram_render(const struct series *series, const struct histogram *sum, struct buffer *out)
{
    const char *comma = series->labels[0] ? "," : "";
    for (unsigned i = 0; i < METRICS_HISTOGRAM_BOUNDS; i++) {
        uint64_t bound = UINT64_C(64) << i;
        buffer_printf(out, "%s_bucket{%s%sle=\"%" PRIu64 ".%06" PRIu64 "\"} %" PRIu64 "\n", series->name,
            series->labels, comma, bound / 1000000, bound % 1000000, histogram_count_below(sum, bound));
    }
    uint64_t count = histogram_count(sum), total = atomic_load_explicit(&sum->sum, memory_order_relaxed);
    const char *open = series->labels[0] ? "{" : "", *close = series->labels[0] ? "}" : "";
    buffer_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", series->name, series->labels, comma, count);
    buffer_printf(out, "%s_sum%s%s%s %" PRIu64 ".%06" PRIu64 "\n", series->name, open, series->labels, close,
        total / 1000000, total % 1000000);
    buffer_printf(out, "%s_count%s%s%s %" PRIu64 "\n", series->name, open, series->labels, close, count);
}

static void series_merge(const struct series *series, struct histogram *sum)
{
    for (const struct instance *instance = series->instances; instance != NULL; instance = instance->next)
        histogram_merge(sum, instance->histogram);
}

static void series_render(const struct series *series, struct buffer *out)
{
    if (series->kind == LATENCY) {
        struct histogram *sum = mem_zalloc(sizeof *sum);
        series_merge(series, sum);
        histogram_render(series, sum, out);
        mem_free(sum);
        return;
    }
    const char *open = series->labels[0] ? "{" : "", *close = series->labels[0] ? "}" : "";
    buffer_printf(out, "%s%s%s%s ", series->name, open, series->labels, close);
    uint64_t counted = 0;
    int64_t level = 0;
    for (const struct instance *instance = series->instances; instance != NULL; instance = instance->next) {
        if (series->kind == COUNTER)
            counted += atomic_load_explicit(&instance->counter.value, memory_order_relaxed);
        else
            level += atomic_load_explicit(&instance->gauge.value, memory_order_relaxed);
    }
    if (series->kind == COUNTER)
        buffer_printf(out, "%" PRIu64 "\n", counted);
    else
        buffer_printf(out, "%" PRId64 "\n", level);
}

void metrics_render(struct metrics *metrics, struct buffer *out)
{
    pthread_mutex_lock(&metrics->lock);
    const char *name = "";
    LIST_FOR_EACH (item, &metrics->series) {
        const struct series *series = CONTAINER_OF(item, struct series, link);
        if (strcmp(series->name, name) != 0) {
            name = series->name;
            buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, series->help, name, kind_names[series->kind]);
        }
        series_render(series, out);
    }
    buffer_printf(out,
        "# HELP trillium_metrics_dropped_series Series that the budget has no room for.\n"
        "# TYPE trillium_metrics_dropped_series gauge\n"
        "trillium_metrics_dropped_series %" PRIu64 "\n",
        metrics->dropped);
    pthread_mutex_unlock(&metrics->lock);
}

void metrics_latency_read(struct metrics *metrics, const char *name, const char *labels, struct histogram *out)
{
    memset((void *)out, 0, sizeof *out);
    pthread_mutex_lock(&metrics->lock);
    LIST_FOR_EACH (item, &metrics->series) {
        const struct series *series = CONTAINER_OF(item, struct series, link);
        if (series->kind != LATENCY || strcmp(series->name, name) != 0) continue;
        if (labels == NULL || strcmp(series->labels, labels) == 0) series_merge(series, out);
    }
    pthread_mutex_unlock(&metrics->lock);
}
