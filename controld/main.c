/* controld: the program. The daemon is the library behind controld.h; here are its store and its host. */
#include <stdio.h>

#include "common/base/mem.h"
#include "common/cluster/address.h"
#include "common/daemon/daemon.h"
#include "common/rpc/nng/link_nng.h"
#include "controld/controld.h"
#include "controld/settings.h"
#include "controld/store/rocks/meta_rocks.h"

enum { PATH_BYTES = 4200 };
/* RocksDB as Debian builds it aborts when it opens its files on a full disk. */
#define SPACE_BYTES_MIN (32ull << 20)

/* What the program holds for the library. */
struct holder {
    struct controld *controld;
    struct meta_store *store;
};

/* Disposable contents: what cannot be opened is begun anew. */
static enum status open_store(
    const struct controld_settings *settings, struct log *log, struct meta_store **out, char why[ENV_WHY_BYTES])
{
    char path[PATH_BYTES], error[META_ROCKS_ERROR_BYTES] = "";
    snprintf(path, sizeof path, "%s/meta", settings->common.storage_directory);
    enum status status = meta_rocks_open(path, out, error);
    if (status == STATUS_CORRUPT) {
        LOG(log, WARN, "meta.damaged", "path=meta why=\"%s\"", error);
        status = meta_rocks_remove(path);
        if (status == STATUS_OK) status = meta_rocks_open(path, out, error);
    }
    if (status != STATUS_OK)
        snprintf(why, ENV_WHY_BYTES, "%.250s: %.150s%s", path, error[0] ? error : status_text(status),
            status == STATUS_NO_SPACE ? "" : "; it may be removed, it is rebuilt");
    return status;
}

/* Another controller's log must not vote under a new number. The library judges this too; here nothing is written yet,
   not even RocksDB's files. */
static enum status judge(const void *settings, const struct identity *identity, char why[ENV_WHY_BYTES])
{
    const struct controld_settings *own = settings;
    if (identity->mark == 0 || identity->mark == own->raft_id) return STATUS_OK;
    snprintf(why, ENV_WHY_BYTES, "data directory %.200s: it belongs to controller %lld, not to %lld; check raft.id",
        own->common.storage_directory, (long long)identity->mark, (long long)own->raft_id);
    return STATUS_CONFLICT;
}

static enum status create(struct daemon *daemon, void **instance, char why[ENV_WHY_BYTES])
{
    const struct controld_settings *settings = daemon_settings(daemon);
    struct holder *holder = mem_zalloc(sizeof *holder);
    struct host host = daemon_host(daemon);
    enum status status = open_store(settings, daemon_env(daemon)->log, &holder->store, why);
    if (status == STATUS_OK) {
        status = controld_create(&host, settings, holder->store, &holder->controld, why);
    }
    if (status != STATUS_OK) {
        meta_store_destroy(holder->store);
        mem_free(holder);
        return status;
    }
    *instance = holder;
    return STATUS_OK;
}

static void stop(struct daemon *daemon, void *instance)
{
    (void)daemon;
    struct holder *holder = instance;
    controld_stop(holder->controld);
}

static void destroy(void *instance)
{
    struct holder *holder = instance;
    meta_store_destroy(holder->store);
}

static const struct daemon_program program = {
    .table = &controld_table,
    .settings_bytes = sizeof(struct controld_settings),
    .http_port = PORT_CONTROLLER + PORT_HTTP,
    .space_bytes_min = SPACE_BYTES_MIN,
    .reactor_label = "controld",
    .net_create = link_nng_create,
    .judge = judge,
    .create = create,
    .stop = stop,
    .destroy = destroy,
};

int main(int argc, char **argv)
{
    return daemon_main(&program, argc, argv);
}
