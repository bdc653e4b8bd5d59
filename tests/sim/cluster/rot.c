#include "tests/sim/cluster/rot.h"

#include <stdio.h>
#include <string.h>

#include "common/wal/wal_format.h"
#include "noded/lsm/manifest.h"

enum { TRIES = 64, BITS_MAX = 6 };

struct rot {
    struct sim_disk *disk;
    struct prng prng;
    uint32_t files;
    char path[256]; /* the one that was drawn */
};

static void draw_file(void *context, const char *path, uint64_t size)
{
    struct rot *rot = context;
    const char *name = strrchr(path, '/');
    uint64_t number;
    bool log = strncmp(path, "log/", 4) == 0, manifest = name && manifest_name_parse(name + 1, &number);
    if (size == 0 || (!log && !manifest) || prng_below(&rot->prng, ++rot->files) != 0) return;
    snprintf(rot->path, sizeof rot->path, "%s", path);
}

/* Most of a log's segment may be zeros that nobody looks at: a byte that is none, if a few tries find one. */
static uint64_t draw_place(struct rot *rot)
{
    struct buffer contents = {0};
    uint64_t place = 0;
    if (!sim_disk_contents(rot->disk, rot->path, &contents)) return 0;
    for (int i = 0; i < TRIES; i++) {
        place = prng_below(&rot->prng, contents.size);
        if (contents.data[place]) break;
    }
    buffer_free(&contents);
    return place;
}

/* ---- what a log can notice ---- */

/* A log as its groups tell of it. */
struct log_look {
    const struct sim_disk *disk;
    uint8_t log;
    uint64_t synced; /* the highest that a whole group names as synced */
    const char *path;
    uint64_t place; /* in path */
    bool in_group;  /* a whole group lies there */
    uint64_t last;  /* its last record; 0: it has none */
};

static void look_at_groups(struct log_look *look, struct bytes file, uint32_t segment, bool here)
{
    struct wal_segment_header header;
    if (file.size < WAL_BLOCK_BYTES) return;
    struct bytes block = bytes_of(file.data, WAL_BLOCK_BYTES);
    if (wal_segment_decode(block, NULL, &header, NULL, 0) != STATUS_OK) return;
    for (uint64_t at = WAL_BLOCK_BYTES; at + WAL_BLOCK_BYTES <= file.size; at += WAL_BLOCK_BYTES) {
        struct wal_group where = {.log = look->log, .segment = segment, .block = (uint32_t)(at / WAL_BLOCK_BYTES)};
        struct wal_group group;
        if (!wal_group_decode(header.seed, file.data + at, &where, &group)) continue;
        uint64_t bytes = WAL_GROUP_HEADER_BYTES + (uint64_t)group.length;
        if (at + bytes > file.size) continue;
        if (!wal_group_is_whole(header.seed, &group, bytes_of(file.data + at, bytes))) continue;
        if (group.synced > look->synced) look->synced = group.synced;
        if (!here || look->place < at || look->place >= at + wal_group_bytes(&group)) continue;
        look->in_group = true;
        look->last = group.count ? group.first + group.count - 1 : 0;
    }
}

static void look_at_file(void *context, const char *path, uint64_t size)
{
    struct log_look *look = context;
    uint8_t log;
    uint32_t segment;
    bool unfinished;
    (void)size;
    if (strncmp(path, "log/", 4) != 0 || !wal_name_parse(path + 4, &log, &segment, &unfinished)) return;
    struct buffer contents = {0};
    if (log == look->log && sim_disk_contents(look->disk, path, &contents))
        look_at_groups(look, buffer_bytes(&contents), segment, strcmp(path, look->path) == 0);
    buffer_free(&contents);
}

static struct log_look look_at_log(const struct rot *rot, uint8_t log, uint64_t place)
{
    struct log_look look = {.disk = rot->disk, .log = log, .path = rot->path, .place = place};
    sim_disk_walk(rot->disk, look_at_file, &look);
    return look;
}

/* The newest group of a log that nobody named as synced yet cannot be told from the torn tail of a crash (docs/formats/
   log.md): damage there would be a loss that only peers can notice. What is damaged stays proven by what is not. */
static bool can_be_noticed(const struct rot *rot, uint64_t place, uint8_t mask)
{
    uint8_t log;
    uint32_t segment;
    bool unfinished;
    if (strncmp(rot->path, "log/", 4) != 0 || !wal_name_parse(rot->path + 4, &log, &segment, &unfinished)) return true;
    struct log_look before = look_at_log(rot, log, place);
    if (!sim_disk_damage(rot->disk, rot->path, place, mask)) return false;
    struct log_look after = look_at_log(rot, log, place);
    sim_disk_damage(rot->disk, rot->path, place, mask);
    return after.synced == before.synced && (!before.in_group || before.last <= after.synced);
}

void rot_files(struct watch *watch, const struct daemon *node, uint32_t index, uint64_t seed)
{
    struct sim_disk *disk = node->disk;
    struct world *world = process_world(node->process);
    struct rot rot = {.disk = disk, .prng = prng_seeded(seed)};
    uint64_t bits = prng_between(&rot.prng, 1, BITS_MAX);
    for (uint64_t i = 0; i < bits; i++) {
        rot.files = 0;
        sim_disk_walk(disk, draw_file, &rot);
        if (rot.files == 0) return;
        uint64_t place = draw_place(&rot);
        uint8_t mask = (uint8_t)(1u << prng_below(&rot.prng, 8));
        if (!can_be_noticed(&rot, place, mask) || !sim_disk_damage(disk, rot.path, place, mask)) continue;
        watch_file_rots(watch, index, rot.path);
        world_trace_text(world, "rot", rot.path, strlen(rot.path));
        world_trace(world, "rot", "at", place, mask);
    }
}
