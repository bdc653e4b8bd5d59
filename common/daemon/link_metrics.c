#include "common/daemon/link_metrics.h"

#include <stddef.h>

#include "common/base/list.h"
#include "common/base/mem.h"
#include "common/obs/metrics.h"
#include "common/rpc/sp/link_sp.h"
#include "common/runtime/reactor.h"

enum { EVERY_MS = 1000, NS_PER_MS = 1000000 };

static const struct {
    size_t at; /* in struct link_sp_counters */
    const char *name, *labels, *help;
} SERIES[] = {
    {offsetof(struct link_sp_counters, accepted), "trillium_link_connections_total", "", "Connections to listeners."},
    {offsetof(struct link_sp_counters, pipes_added), "trillium_link_pipes_total", "",
        "Connections that greeted and were taken."},
    {offsetof(struct link_sp_counters, pipes_full), "trillium_link_refused_total", "why=\"full\"",
        "Connections that were not taken."},
    {offsetof(struct link_sp_counters, greetings_late), "trillium_link_refused_total", "why=\"late\"",
        "Connections that were not taken."},
    {offsetof(struct link_sp_counters, greetings_displaced), "trillium_link_refused_total", "why=\"displaced\"",
        "Connections that were not taken."},
    {offsetof(struct link_sp_counters, pipes_broken), "trillium_link_ended_total", "why=\"broken\"",
        "Pipes and connections that listeners ended."},
    {offsetof(struct link_sp_counters, pipes_slow), "trillium_link_ended_total", "why=\"slow\"",
        "Pipes and connections that listeners ended."},
    {offsetof(struct link_sp_counters, pipes_shed), "trillium_link_ended_total", "why=\"shed\"",
        "Pipes and connections that listeners ended."},
    {offsetof(struct link_sp_counters, accepts_held), "trillium_link_rests_total", "",
        "Times that no descriptor was left for a connection."},
};
enum { SERIES_COUNT = sizeof SERIES / sizeof *SERIES };

struct link_metrics {
    struct net *net;
    struct timer timer;
    struct metrics_counter *series[SERIES_COUNT];
    uint64_t shown[SERIES_COUNT];
};

static void on_timer(struct timer *timer)
{
    struct link_metrics *metrics = CONTAINER_OF(timer, struct link_metrics, timer);
    struct link_sp_counters counters = link_sp_counters(metrics->net);
    for (int i = 0; i < SERIES_COUNT; i++) {
        uint64_t value = *(const uint64_t *)(const void *)((const char *)&counters + SERIES[i].at);
        metrics_count(metrics->series[i], value - metrics->shown[i]);
        metrics->shown[i] = value;
    }
    timer_start_in(timer, (uint64_t)EVERY_MS * NS_PER_MS);
}

void link_metrics_start(struct reactor *reactor, struct metrics *metrics, struct net *listen_net)
{
    struct link_metrics *link = mem_zalloc(sizeof *link);
    link->net = listen_net;
    for (int i = 0; i < SERIES_COUNT; i++)
        link->series[i] = metrics_counter(metrics, SERIES[i].name, SERIES[i].labels, SERIES[i].help);
    timer_init(&link->timer, reactor, on_timer);
    timer_start_in(&link->timer, (uint64_t)EVERY_MS * NS_PER_MS);
}
