#include "noded/api/space_keeper.h"

#include <inttypes.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/obs/health.h"
#include "noded/api/node.h"

enum {
    LOOK_MS = 1000,
    LOOK_CLOSELY_MS = 200, /* when less is free than four times the reserve, or a level is reached */
    HOLD_AGAIN_MS = 10000,
    SLACK_BYTES = 256 << 10, /* what the reserve's file leaves when it takes the last that there is */
};
#define MS UINT64_C(1000000)

/* ---- telling ---- */

struct space_mail {
    struct mail mail;
    struct seat *seat;
    enum space_level level;
};

static void take_level(struct mail *mail)
{
    struct space_mail *space = CONTAINER_OF(mail, struct space_mail, mail);
    shard_use_space(space->seat->shard, space->level);
    space_calls_answer(&space->seat->face.space_calls);
    mem_free(space);
}

static void tell_shards(struct space_keeper *keeper)
{
    struct noded *noded = keeper->noded;
    for (unsigned i = 0; i < noded->shards; i++) {
        struct space_mail *mail = mem_alloc(sizeof *mail);
        *mail = (struct space_mail){.mail.deliver = take_level, .seat = &noded->seats[i], .level = keeper->level};
        reactor_post(noded->seats[i].reactor, &mail->mail);
    }
}

void space_keeper_say_ready(struct space_keeper *keeper)
{
    enum space_level level = (enum space_level)atomic_load(&keeper->shown);
    if (level == SPACE_LEVEL_OPEN)
        health_set(keeper->noded->host.health, HEALTH_READY, "serving");
    else
        health_set(keeper->noded->host.health, HEALTH_READY, "serving; its disk is full and it %s; make room there",
            space_level_text(level));
}

static void show(struct space_keeper *keeper)
{
    metrics_set(keeper->metrics.free, (int64_t)keeper->space.free_bytes);
    metrics_set(keeper->metrics.total, (int64_t)keeper->space.total_bytes);
    metrics_set(keeper->metrics.reserve, (int64_t)keeper->space.reserve_bytes);
    metrics_set(keeper->metrics.held, (int64_t)keeper->space.held_bytes);
    metrics_set(keeper->metrics.level, keeper->level);
}

/* One line for each change, an error from the level on at which clients are refused. */
static void log_change(const struct space_keeper *keeper, enum space_level before)
{
    bool refuses = !space_level_allows(keeper->level, SPACE_USE_WRITE);
    struct log *log = keeper->noded->host.env->log;
    const struct space *space = &keeper->space;
    if (refuses)
        LOG(log, ERROR, "disk.level",
            "before=%s now=%s used_percent=%u free_bytes=%" PRIu64 " why=\"it %s; make room\"",
            space_level_name(before), space_level_name(keeper->level), space_used_percent(space), space->free_bytes,
            space_level_text(keeper->level));
    else
        LOG(log, WARN, "disk.level", "before=%s now=%s used_percent=%u free_bytes=%" PRIu64 " why=\"it %s\"",
            space_level_name(before), space_level_name(keeper->level), space_used_percent(space), space->free_bytes,
            space_level_text(keeper->level));
}

static void look(struct space_keeper *keeper)
{
    uint64_t free_bytes, total_bytes;
    /* Who cannot ask goes on with what was known. */
    if (disk_space(keeper->reactor, &free_bytes, &total_bytes) != STATUS_OK || total_bytes == 0) return;
    keeper->space.free_bytes = free_bytes;
    keeper->space.total_bytes = total_bytes;
    enum space_level before = keeper->level;
    keeper->level = space_level_judge(before, &keeper->space);
    show(keeper);
    if (keeper->level == before) return;
    log_change(keeper, before);
    atomic_store(&keeper->shown, keeper->level);
    tell_shards(keeper);
    struct noded *noded = keeper->noded;
    if (health_get(noded->host.health, NULL) == HEALTH_READY && !atomic_load(&noded->stop_asked))
        space_keeper_say_ready(keeper);
}

/* ---- the reserve ---- */

static void give(struct space_keeper *keeper)
{
    if (keeper->space.held_bytes == 0) return;
    enum status status = disk_truncate(keeper->reactor, keeper->file, 0);
    if (status == STATUS_OK) keeper->space.held_bytes = 0;
    if (keeper->lacked_ns || status != STATUS_OK)
        LOG(keeper->noded->host.env->log, WARN, "disk.reserve", "what=given status=%s free_bytes=%" PRIu64,
            status_name(status), keeper->space.free_bytes);
}

/* As much of the reserve as there is. */
static void hold(struct space_keeper *keeper)
{
    struct space *space = &keeper->space;
    uint64_t want = space->held_bytes + (space->free_bytes > SLACK_BYTES ? space->free_bytes - SLACK_BYTES : 0);
    if (want > space->reserve_bytes) want = space->reserve_bytes;
    if (want < space->held_bytes + SLACK_BYTES && want < space->reserve_bytes) return;
    enum status status = disk_preallocate(keeper->reactor, keeper->file, want);
    if (status == STATUS_OK)
        space->held_bytes = want;
    else if (disk_truncate(keeper->reactor, keeper->file, space->held_bytes) != STATUS_OK)
        keeper->lacked_ns = reactor_now_ns(keeper->reactor); /* tried again later */
    LOG(keeper->noded->host.env->log, INFO, "disk.reserve", "what=held status=%s bytes=%" PRIu64 " of=%" PRIu64,
        status_name(status), space->held_bytes, space->reserve_bytes);
}

static void keep_reserve(struct space_keeper *keeper)
{
    uint64_t now = reactor_now_ns(keeper->reactor);
    if (atomic_exchange(&keeper->lacking, false)) {
        keeper->lacked_ns = now;
        give(keeper);
    } else if (keeper->space.held_bytes < keeper->space.reserve_bytes && keeper->file.handle >= 0 &&
               (keeper->lacked_ns == 0 || now - keeper->lacked_ns > HOLD_AGAIN_MS * MS)) {
        keeper->lacked_ns = 0;
        hold(keeper);
        if (keeper->space.held_bytes < keeper->space.reserve_bytes) keeper->lacked_ns = now;
    }
}

/* ---- beginning and end ---- */

static void make_metrics(struct space_keeper *keeper, struct metrics *m)
{
    keeper->metrics.free = metrics_gauge(m, "trillium_node_disk_free_bytes", "", "Free bytes of the node's disk.");
    keeper->metrics.total = metrics_gauge(m, "trillium_node_disk_total_bytes", "", "Size of the node's disk.");
    keeper->metrics.reserve =
        metrics_gauge(m, "trillium_node_disk_reserve_bytes", "", "Bytes kept for log, flush, compaction and deletes.");
    keeper->metrics.held =
        metrics_gauge(m, "trillium_node_disk_reserve_held_bytes", "", "Bytes of the reserve that nobody uses.");
    keeper->metrics.level = metrics_gauge(m, "trillium_node_disk_level", "",
        "What a full disk refuses: 1 new ranges, 2 imports too, 3 creates and edits too, 4 all but deletes.");
}

static void open_reserve(struct space_keeper *keeper)
{
    uint64_t held = 0;
    enum status status = disk_open(keeper->reactor, SPACE_RESERVE_PATH, DISK_CREATE, &keeper->file);
    if (status == STATUS_OK) status = disk_size(keeper->reactor, keeper->file, &held);
    if (status != STATUS_OK)
        LOG(keeper->noded->host.env->log, WARN, "disk.reserve", "what=unopened status=%s", status_name(status));
    keeper->space.held_bytes = held;
}

void space_keeper_open(struct space_keeper *keeper, struct noded *noded)
{
    *keeper = (struct space_keeper){.noded = noded, .reactor = noded->host.reactors[0], .file = {-1}};
    gate_init(&keeper->wake);
    make_metrics(keeper, noded->host.metrics);
    uint64_t free_bytes, total_bytes = 0;
    if (disk_space(keeper->reactor, &free_bytes, &total_bytes) != STATUS_OK) total_bytes = 0;
    for (unsigned i = 0; i < noded->shards; i++) {
        struct shard *shard = noded->seats[i].shard;
        shard->options.disk_bytes = total_bytes;
        keeper->space.reserve_bytes += shard_reserve_bytes(shard);
    }
    open_reserve(keeper);
    look(keeper);
    /* Whatever was restored or copied there may have no bytes behind it, so it is always made anew. */
    bool is_tight = keeper->space.free_bytes < keeper->space.reserve_bytes;
    if (is_tight) keeper->lacked_ns = reactor_now_ns(keeper->reactor);
    give(keeper);
    /* They read it after the barrier. */
    for (unsigned i = 0; i < noded->shards; i++)
        noded->seats[i].shard->space = keeper->level;
}

static void keep(void *argument)
{
    struct space_keeper *keeper = argument;
    while (!keeper->stopping) {
        look(keeper);
        keep_reserve(keeper);
        bool closely = keeper->level != SPACE_LEVEL_OPEN || keeper->space.free_bytes / 4 < keeper->space.reserve_bytes;
        uint64_t pause = closely ? LOOK_CLOSELY_MS : LOOK_MS;
        gate_wait(keeper->reactor, &keeper->wake, reactor_now_ns(keeper->reactor) + pause * MS);
    }
    keeper->running = false;
    gate_open(&keeper->wake);
}

void space_keeper_start(struct space_keeper *keeper)
{
    keeper->running = true;
    fiber_start(keeper->reactor, "space", keep, keeper);
}

void space_keeper_stop(struct space_keeper *keeper)
{
    keeper->stopping = true;
    while (keeper->running) {
        gate_open(&keeper->wake);
        gate_wait(keeper->reactor, &keeper->wake, reactor_now_ns(keeper->reactor) + MS);
    }
    disk_close(keeper->reactor, &keeper->file);
}
