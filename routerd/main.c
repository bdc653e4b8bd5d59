/* routerd: what clients talk to. Everything it does is in its library. */
#include "common/daemon/daemon.h"

#include <stdio.h>

#include "common/cluster/address.h"
#include "common/rpc/nng/link_nng.h"
#include "routerd/routerd.h"

static unsigned workers(const void *settings)
{
    return (unsigned)((const struct routerd_settings *)settings)->workers;
}

static enum status create(struct daemon *daemon, void **instance, char why[ENV_WHY_BYTES])
{
    struct host host = daemon_host(daemon);
    struct routerd *routerd;
    enum status status = routerd_create(&host, daemon_settings(daemon), &routerd, why);
    if (status == STATUS_OK) *instance = routerd;
    return status;
}

static void stop(struct daemon *daemon, void *instance)
{
    (void)daemon;
    routerd_stop(instance);
}

static const struct daemon_program program = {
    .table = &routerd_table,
    .settings_bytes = sizeof(struct routerd_settings),
    .http_port = PORT_ROUTER + PORT_HTTP,
    .reactor_label = "worker",
    .reactors_count = workers,
    .net_create = link_nng_create,
    .create = create,
    .stop = stop,
};

int main(int argc, char **argv)
{
    return daemon_main(&program, argc, argv);
}
