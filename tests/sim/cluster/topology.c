/* topology: what a simulated cluster consists of: daemons, their addresses and settings, users, weather. */
#include "tests/sim/cluster/cluster_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "tests/sim/client_raw.h"
#include "tests/sim/client_session.h"

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
    const struct plan_hosts *hosts = &cluster->scenario->hosts;
    char members[LISTS_BYTES] = "", controllers[LISTS_BYTES] = "";
    for (uint32_t i = 1; i <= hosts->controllers; i++) {
        size_t at = strlen(members), also = strlen(controllers);
        snprintf(members + at, sizeof members - at, "%s%u=127.0.1.%u", i > 1 ? "," : "", i, i);
        snprintf(controllers + also, sizeof controllers - also, "%s127.0.1.%u", i > 1 ? "," : "", i);
    }
    /* In some runs a Raft message takes one entry, so that what a leader has to bring travels in pieces. */
    cluster->single_entries = world_seed_for(cluster->world, "single entries") % 3 == 0;
    for (uint32_t i = 1; i <= hosts->controllers; i++) {
        make_daemon(cluster, &KIND_CONTROLD, "controller", 1, i);
        struct daemon *daemon = &cluster->daemons[cluster->daemons_count - 1];
        daemon_override(daemon, "raft.id=%u", i);
        daemon_override(daemon, "raft.members=%s", members);
        daemon_override(daemon, "bootstrap.nodes=%u", hosts->nodes);
        daemon_override(daemon, "raft.snapshot_entries=%u", cluster->scenario->snapshot_entries);
        daemon_override(daemon, "raft.append_bytes=%u", cluster->scenario->append_bytes);
        if (cluster->single_entries) daemon_override(daemon, "raft.append_bytes=1");
    }
    for (uint32_t i = 1; i <= hosts->nodes; i++) {
        make_daemon(cluster, &KIND_NODED, "node", 2, i);
        struct daemon *daemon = &cluster->daemons[cluster->daemons_count - 1];
        daemon->reactors_count = cluster->scenario->shards[i - 1];
        daemon_override(daemon, "node.controllers=%s", controllers);
        daemon_override(daemon, "node.zone=zone%u", i);
        daemon_override(daemon, "node.shards=%u", daemon->reactors_count);
        daemon_override(daemon, "memory.max=%uMiB", cluster->scenario->node_memory_mib);
    }
    for (uint32_t i = 1; i <= hosts->routers; i++) {
        make_daemon(cluster, &KIND_ROUTERD, "router", 3, i);
        struct daemon *daemon = &cluster->daemons[cluster->daemons_count - 1];
        daemon->reactors_count = cluster->scenario->workers[i - 1];
        daemon_override(daemon, "router.controllers=%s", controllers);
        daemon_override(daemon, "router.workers=%u", daemon->reactors_count);
        snprintf(cluster->router_addresses[i - 1], sizeof cluster->router_addresses[0], "127.0.3.%u", i);
        cluster->routers[i - 1] = cluster->router_addresses[i - 1];
    }
}

void cluster_make_clients(struct cluster *cluster)
{
    const struct plan_hosts *hosts = &cluster->scenario->hosts;
    cluster->workload = workload_create(cluster->world, &cluster->scenario->workload);
    for (uint32_t i = 0; i < hosts->clients; i++) {
        snprintf(cluster->client_names[i], sizeof cluster->client_names[i], "client%u", i);
        cluster->clients[i] = process_create(cluster->world, cluster->client_names[i], NULL);
        sim_net_attach(cluster->net, cluster->clients[i]);
        const struct sim_client_ops *ops = i < cluster->scenario->workload.sessions ? &CLIENT_SESSION : &CLIENT_RAW;
        workload_add_user(cluster->workload, cluster->clients[i], ops, cluster->routers, hosts->routers);
    }
}

void cluster_set_weather(struct cluster *cluster)
{
    const struct scenario *scenario = cluster->scenario;
    struct sim_net_faults *net = sim_net_faults(cluster->net);
    net->delay_ns = scenario->net_delay_ns;
    net->jitter_ns = scenario->net_jitter_ns;
    uint32_t keep = scenario->disk_keep_ppm;
    for (uint32_t i = 0; i < cluster->daemons_count; i++) {
        struct sim_disk_faults *disk = sim_disk_faults(cluster->daemons[i].disk);
        disk->crash_keep_ppm = keep;
        disk->crash_tear_ppm = keep ? (1000000 - keep) / 3 : 0;
        disk->crash_garble_ppm = keep ? (1000000 - keep) / 10 : 0;
        disk->crash_zero_ppm = keep ? (1000000 - keep) / 10 : 0;
        process_clock_offset(cluster->daemons[i].process, scenario->clock_offset_us[i]);
    }
}
