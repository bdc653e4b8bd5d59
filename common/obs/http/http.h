/*
 * http: the small server of /metrics, /livez and /readyz, on a thread of its own (libmicrohttpd's). Not in simulations.
 *
 * /livez: 200 unless the daemon has failed. /readyz: 200 when it is ready, else 503. Both with one line "state:
 * reason". /metrics: the registry's text and the process's own memory, CPU time and open files. GET and HEAD only,
 * small limits.
 */
#ifndef TRILLIUM_COMMON_OBS_HTTP_HTTP_H
#define TRILLIUM_COMMON_OBS_HTTP_HTTP_H

#include <stdint.h>

#include "common/base/status.h"
#include "common/obs/health.h"
#include "common/obs/metrics.h"

enum { HTTP_CONNECTIONS_MAX = 64, HTTP_IDLE_S = 4 };

struct http;

struct http_options {
    const char *address; /* IPv4 or IPv6 address */
    uint16_t port;       /* 0: any free one */
    struct metrics *metrics;
    struct health *health;
};

/*
 * Starts the thread. Options' metrics and health must outlive http_stop. On failure BAD_REQUEST (address) or IO, with a
 * sentence in why[200] ("127.0.0.1:7199: Address already in use").
 */
MUST_CHECK enum status http_start(const struct http_options *options, struct http **out, char why[200]);
uint16_t http_port(const struct http *http);
/* Ends the thread and open connections; returns when it has. NULL is harmless. */
void http_stop(struct http *http);

#endif
