/*
 * link_metrics: what a daemon's own listeners (common/rpc/sp) met, as metrics: brought up to date once a second.
 * Threads: the reactor's.
 */
#ifndef TRILLIUM_COMMON_DAEMON_LINK_METRICS_H
#define TRILLIUM_COMMON_DAEMON_LINK_METRICS_H

struct metrics;
struct net;
struct reactor;

/* The reactor has not turned yet. It goes on as long as the reactor does; the memory is left to the end of the process.
 */
void link_metrics_start(struct reactor *reactor, struct metrics *metrics, struct net *listen_net);

#endif
