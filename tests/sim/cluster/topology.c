/* topology: what a simulated cluster consists of: how many daemons, their addresses and settings, users, weather. */
#include "tests/sim/cluster/cluster_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/sim/client_raw.h"

enum { LISTS_BYTES = 200 };

static void make_daemon(
    struct cluster *cluster, const struct daemon_kind *kind, const char *name, uint32_t network, uint32_t number)
{
    struct daemon *daemon = &cluster->daemons[cluster->daemons_count];
    daemon->kind = kind;
    daemon->reactors_count = 1;
    snprintf(daemon->name, sizeof daemon->name, "%s%u", name, number);
    snprintf(daemon->address, sizeof daemon->address, "127.0.%u.%u", network, number);
    daemon->disk = sim_disk_create(world_seed_for(cluster->world, daemon->name));
    daemon->process = process_create(cluster->world, daemon->name, daemon->disk);
    daemon->host = sim_net_attach(cluster->net, daemon->process);
    CHECK(daemon->host == cluster->daemons_count);
    cluster->daemons_count++;
    daemon_override(
        daemon, "cluster.uuid=5eed0000-0000-4000-8000-%012" PRIx64, world_seed(cluster->world) & 0xffffffffffff);
    daemon_override(daemon, "listen.address=%s", daemon->address);
    daemon_override(daemon, "storage.directory=data");
}

void cluster_make_daemons(struct cluster *cluster)
{
    struct prng *prng = world_prng(cluster->world, WORLD_TOPOLOGY);
    struct plan_hosts *hosts = &cluster->hosts;
    hosts->controllers = prng_chance(prng, 200000) ? 1 : 3;
    hosts->nodes = (uint32_t)prng_between(prng, 3, 5);
    hosts->routers = (uint32_t)prng_between(prng, 1, 3);
    hosts->bad_node = (uint32_t)prng_below(prng, hosts->nodes);
    char members[LISTS_BYTES] = "", controllers[LISTS_BYTES] = "";
    for (uint32_t i = 1; i <= hosts->controllers; i++) {
        size_t at = strlen(members), also = strlen(controllers);
        snprintf(members + at, sizeof members - at, "%s%u=127.0.1.%u", i > 1 ? "," : "", i, i);
        snprintf(controllers + also, sizeof controllers - also, "%s127.0.1.%u", i > 1 ? "," : "", i);
    }
    for (uint32_t i = 1; i <= hosts->controllers; i++) {
        make_daemon(cluster, &KIND_CONTROLD, "controller", 1, i);
        struct daemon *daemon = &cluster->daemons[cluster->daemons_count - 1];
        daemon_override(daemon, "raft.id=%u", i);
        daemon_override(daemon, "raft.members=%s", members);
        daemon_override(daemon, "bootstrap.nodes=%u", hosts->nodes);
        daemon_override(daemon, "raft.snapshot_entries=16");
    }
    for (uint32_t i = 1; i <= hosts->nodes; i++) {
        make_daemon(cluster, &KIND_NODED, "node", 2, i);
        struct daemon *daemon = &cluster->daemons[cluster->daemons_count - 1];
        daemon->reactors_count = (unsigned)prng_between(prng, 1, 3);
        daemon_override(daemon, "node.controllers=%s", controllers);
        daemon_override(daemon, "node.zone=zone%u", i);
        daemon_override(daemon, "node.shards=%u", daemon->reactors_count);
        daemon_override(daemon, "memory.max=16MiB");
    }
    for (uint32_t i = 1; i <= hosts->routers; i++) {
        make_daemon(cluster, &KIND_ROUTERD, "router", 3, i);
        struct daemon *daemon = &cluster->daemons[cluster->daemons_count - 1];
        daemon->reactors_count = (unsigned)prng_between(prng, 1, 2);
        daemon_override(daemon, "router.controllers=%s", controllers);
        daemon_override(daemon, "router.workers=%u", daemon->reactors_count);
        snprintf(cluster->router_addresses[i - 1], sizeof cluster->router_addresses[0], "127.0.3.%u", i);
        cluster->routers[i - 1] = cluster->router_addresses[i - 1];
    }
}

void cluster_make_clients(struct cluster *cluster)
{
    struct workload_options options;
    workload_draw(cluster->world, &options);
    cluster->hosts.clients = options.users;
    cluster->workload = workload_create(cluster->world, &options);
    for (uint32_t i = 0; i < options.users; i++) {
        snprintf(cluster->client_names[i], sizeof cluster->client_names[i], "client%u", i);
        cluster->clients[i] = process_create(cluster->world, cluster->client_names[i], NULL);
        sim_net_attach(cluster->net, cluster->clients[i]);
        workload_add_user(
            cluster->workload, cluster->clients[i], &CLIENT_RAW, cluster->routers, cluster->hosts.routers);
    }
}

void cluster_draw_weather(struct cluster *cluster)
{
    struct prng *prng = world_prng(cluster->world, WORLD_TOPOLOGY);
    struct sim_net_faults *net = sim_net_faults(cluster->net);
    net->delay_ns = (50ull << prng_below(prng, 8)) * WORLD_US;
    net->jitter_ns = net->delay_ns * prng_between(prng, 1, 4) / 2;
    static const uint32_t keeps[3] = {0, 500000, 900000};
    uint32_t keep = keeps[prng_below(prng, 3)];
    for (uint32_t i = 0; i < cluster->daemons_count; i++) {
        struct sim_disk_faults *disk = sim_disk_faults(cluster->daemons[i].disk);
        disk->crash_keep_ppm = keep;
        disk->crash_tear_ppm = keep ? (1000000 - keep) / 3 : 0;
        disk->crash_garble_ppm = keep ? (1000000 - keep) / 10 : 0;
        disk->crash_zero_ppm = keep ? (1000000 - keep) / 10 : 0;
    }
}
