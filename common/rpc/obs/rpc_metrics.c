#include "common/rpc/obs/rpc_metrics.h"

#include <stddef.h>

#include "common/base/mem.h"

#define SENT "direction=\"sent\""
#define RECEIVED "direction=\"received\""

static const struct {
    size_t at; /* in struct rpc_counters */
    const char *name, *labels, *help;
} SERIES[] = {
    {offsetof(struct rpc_counters, frames_sent), "trillium_rpc_frames_total", SENT, "Frames with entries."},
    {offsetof(struct rpc_counters, frames_received), "trillium_rpc_frames_total", RECEIVED, "Frames with entries."},
    {offsetof(struct rpc_counters, empties_sent), "trillium_rpc_empties_total", SENT, "Frames without entries."},
    {offsetof(struct rpc_counters, empties_received), "trillium_rpc_empties_total", RECEIVED,
        "Frames without entries."},
    {offsetof(struct rpc_counters, bytes_sent), "trillium_rpc_bytes_total", SENT, "Bytes of frames."},
    {offsetof(struct rpc_counters, bytes_received), "trillium_rpc_bytes_total", RECEIVED, "Bytes of frames."},
    {offsetof(struct rpc_counters, calls_started), "trillium_rpc_calls_total", "", "Calls to others."},
    {offsetof(struct rpc_counters, calls_lost), "trillium_rpc_calls_lost_total", "",
        "Calls whose pipe ended before their answer."},
    {offsetof(struct rpc_counters, calls_timed_out), "trillium_rpc_calls_late_total", "",
        "Calls without an answer in time."},
    {offsetof(struct rpc_counters, requests_taken), "trillium_rpc_requests_total", "", "Calls of others."},
    {offsetof(struct rpc_counters, window_stalls), "trillium_rpc_window_stalls_total", "",
        "Times that a frame waited for the window."},
    {offsetof(struct rpc_counters, grant_stalls), "trillium_rpc_grant_stalls_total", "",
        "Times that a call waited for a grant."},
};
_Static_assert(sizeof SERIES / sizeof *SERIES == RPC_METRICS_SERIES, "every series has its place");

void rpc_metrics_init(struct rpc_metrics *out, struct metrics *metrics)
{
    *out = (struct rpc_metrics){0};
    for (unsigned i = 0; i < RPC_METRICS_SERIES; i++)
        out->series[i] = metrics_counter(metrics, SERIES[i].name, SERIES[i].labels, SERIES[i].help);
    out->allocations = metrics_counter(
        metrics, "trillium_allocations_total", "", "Allocations by the threads that serve calls, nng's not counted.");
}

void rpc_metrics_show(struct rpc_metrics *shown, const struct rpc *rpc)
{
    const char *counters = (const char *)rpc_counters(rpc);
    for (unsigned i = 0; i < RPC_METRICS_SERIES; i++) {
        uint64_t value = *(const uint64_t *)(const void *)(counters + SERIES[i].at);
        metrics_count(shown->series[i], value - shown->shown[i]);
        shown->shown[i] = value;
    }
    uint64_t allocations = mem_allocations();
    metrics_count(shown->allocations, allocations - shown->allocations_shown);
    shown->allocations_shown = allocations;
}
