/* noded: keeps the messages. Everything it does is in its library. */
#include <string.h>

#include "common/cluster/address.h"
#include "common/daemon/daemon.h"
#include "common/rpc/nng/link_nng.h"
#include "noded/noded.h"
#include "noded/settings.h"

static unsigned shards(const void *settings)
{
    return (unsigned)((const struct noded_settings *)settings)->shards;
}

static enum env_backend backend(const void *settings)
{
    const char *name = ((const struct noded_settings *)settings)->backend;
    if (strcmp(name, "uring") == 0) return ENV_BACKEND_URING;
    return strcmp(name, "uv") == 0 ? ENV_BACKEND_UV : ENV_BACKEND_AUTO;
}

static bool is_pinned(const void *settings)
{
    return ((const struct noded_settings *)settings)->pin;
}

static enum status create(struct daemon *daemon, void **instance, char why[ENV_WHY_BYTES])
{
    struct host host = daemon_host(daemon);
    struct noded *noded;
    enum status status = noded_create(&host, daemon_settings(daemon), &noded, why);
    if (status == STATUS_OK) *instance = noded;
    return status;
}

static void stop(struct daemon *daemon, void *instance)
{
    (void)daemon;
    noded_stop(instance);
}

static const struct daemon_program program = {
    .table = &noded_table,
    .settings_bytes = sizeof(struct noded_settings),
    .http_port = PORT_NODE + PORT_HTTP,
    .reactor_label = "shard",
    .reactors_count = shards,
    .backend = backend,
    .is_pinned = is_pinned,
    .net_create = link_nng_create,
    .create = create,
    .stop = stop,
};

int main(int argc, char **argv)
{
    return daemon_main(&program, argc, argv);
}
