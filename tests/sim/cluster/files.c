#include "tests/sim/cluster/files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/map.h"
#include "noded/lsm/manifest.h"
#include "noded/api/sight.h"
#include "tests/sim/sim_mem.h"

enum { PATH_BYTES = 128 };

/* What the synced manifest of a range says; kept until there is another one. */
struct range_files {
    uint64_t number; /* 0: no manifest */
    bool rotten;     /* it is none any more, and another one of its number may follow */
    uint32_t count;
    struct range_file {
        uint64_t id, bytes;
    } * files;
};

struct files {
    struct world *world;
    struct daemon *node;
    struct map ranges; /* struct range_files */
    struct map rotten; /* manifests that were damaged at rest */
};

struct files *files_create(struct world *world, struct daemon *node)
{
    struct files *files = sim_alloc(sizeof *files);
    files->world = world;
    files->node = node;
    return files;
}

static void forget(struct files *files)
{
    size_t position = 0;
    for (struct range_files *range; (range = map_next(&files->ranges, &position, NULL));) {
        mem_free(range->files);
        mem_free(range);
    }
    map_free(&files->ranges);
}

void files_destroy(struct files *files)
{
    forget(files);
    map_free(&files->rotten);
    mem_free(files);
}

static struct sim_disk_image synced(const struct files *files)
{
    return (struct sim_disk_image){files->node->disk, true};
}

/* ---- manifests ---- */

/* What lies in a range's directory. */
struct listing {
    uint64_t manifest; /* the highest; 0: none */
    bool has_tables;
    struct map sizes; /* of tables, by id: size + 1 as a pointer */
};

static bool table_id(const char *name, uint64_t *id)
{
    char *end;
    *id = strtoull(name, &end, 16);
    return end == name + 16 && strcmp(end, ".sst") == 0;
}

static void list_name(void *context, const char *name, uint64_t size)
{
    struct listing *listing = context;
    uint64_t number;
    if (manifest_name_parse(name, &number) && number > listing->manifest) listing->manifest = number;
    if (!table_id(name, &number)) return;
    listing->has_tables = true;
    map_put(&listing->sizes, number, (void *)(uintptr_t)(size + 1));
}

static void directory_of(uint64_t range, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "ranges/%016" PRIx64, range);
}

static uint64_t manifest_key(uint64_t range, uint64_t number)
{
    return range << 32 | number;
}

static void read_manifest(struct files *files, uint64_t id, struct range_files *range, uint64_t number)
{
    char path[PATH_BYTES], directory[PATH_BYTES / 2], why[MANIFEST_WHY_BYTES];
    struct buffer bytes = {0};
    struct arena arena = {0};
    struct manifest manifest;
    snprintf(directory, sizeof directory, "ranges/%016" PRIx64, id);
    snprintf(path, sizeof path, "%s/MANIFEST-%" PRIu64, directory, number);
    mem_free(range->files);
    *range = (struct range_files){.number = number};
    bool read = sim_disk_durable_contents(files->node->disk, path, &bytes);
    if (!read || manifest_decode(buffer_bytes(&bytes), NULL, &arena, &manifest, why) != STATUS_OK) {
        range->rotten = map_get(&files->rotten, manifest_key(id, number));
        if (!read || !range->rotten)
            world_fail(files->world, "I13", "%s: the synced %s is no manifest: %s", files->node->name, path,
                read ? why : "gone");
    } else {
        range->files = mem_alloc((manifest.files_count + 1) * sizeof *range->files);
        for (uint32_t i = 0; i < manifest.files_count; i++)
            range->files[range->count++] = (struct range_file){manifest.files[i].file_id, manifest.files[i].file_bytes};
    }
    arena_free(&arena);
    buffer_free(&bytes);
}

/* As the synced manifest has it; listing may be NULL. */
static const struct range_files *range_of(struct files *files, uint64_t id, const struct listing *listing)
{
    struct listing own = {0};
    char directory[PATH_BYTES];
    directory_of(id, directory);
    if (!listing) sim_disk_peek_names(synced(files), directory, list_name, &own);
    uint64_t number = (listing ? listing : &own)->manifest;
    map_free(&own.sizes);
    struct range_files *range = map_get(&files->ranges, id);
    if (!range) {
        range = sim_alloc(sizeof *range);
        map_put(&files->ranges, id, range);
    }
    if (range->number == number && !range->rotten) return range;
    if (number) {
        read_manifest(files, id, range, number);
    } else {
        mem_free(range->files);
        *range = (struct range_files){0};
    }
    return range;
}

static bool names(const struct range_files *range, uint64_t file)
{
    for (uint32_t i = 0; i < range->count; i++)
        if (range->files[i].id == file) return true;
    return false;
}

void files_rot(struct files *files, const char *path)
{
    char *end;
    if (strncmp(path, "ranges/", 7) != 0) return;
    uint64_t id = strtoull(path + 7, &end, 16), number;
    if (*end == '/' && manifest_name_parse(end + 1, &number)) map_put(&files->rotten, manifest_key(id, number), files);
}

/* ---- judging ---- */

void files_unlinking(struct files *files, const char *path)
{
    char *end;
    if (strncmp(path, "ranges/", 7) != 0) return;
    uint64_t id = strtoull(path + 7, &end, 16), file, number;
    if (*end != '/') return;
    const struct range_files *range = range_of(files, id, NULL);
    if ((table_id(end + 1, &file) && names(range, file)) ||
        (manifest_name_parse(end + 1, &number) && number >= range->number))
        world_fail(files->world, "I13", "%s removes %s, which the synced MANIFEST-%" PRIu64 " needs", files->node->name,
            path, range->number);
}

static void judge_range(void *context, const char *name, uint64_t size)
{
    (void)size;
    struct files *files = context;
    char *end;
    uint64_t id = strtoull(name, &end, 16);
    if (end != name + 16 || *end) return;
    struct listing listing = {0};
    char directory[PATH_BYTES];
    directory_of(id, directory);
    sim_disk_peek_names(synced(files), directory, list_name, &listing);
    const struct range_files *range = range_of(files, id, &listing);
    if (listing.has_tables && range->number == 0)
        world_fail(files->world, "I13", "%s: %s has files and no synced manifest", files->node->name, directory);
    for (uint32_t i = 0; i < range->count; i++) {
        const struct range_file *file = &range->files[i];
        uint64_t found = (uint64_t)(uintptr_t)map_get(&listing.sizes, file->id);
        if (found != file->bytes + 1)
            world_fail(files->world, "I13",
                "%s: MANIFEST-%" PRIu64 " of range %016" PRIx64 " names file %016" PRIx64 " of %" PRIu64
                " bytes, which is %s",
                files->node->name, range->number, id, file->id, file->bytes, found ? "synced in part" : "not synced");
    }
    map_free(&listing.sizes);
}

void files_judge(struct files *files)
{
    sim_disk_peek_names(synced(files), "ranges", judge_range, files);
}

/* One look at a running node. */
struct live_look {
    struct files *files;
    uint64_t range; /* of the last file */
    const struct range_files *named;
};

static void judge_live(void *context, uint64_t range, uint64_t file, bool changing)
{
    struct live_look *look = context;
    struct files *files = look->files;
    if (changing) return;
    if (!look->named || look->range != range) look->named = range_of(files, range, NULL);
    look->range = range;
    if (!names(look->named, file))
        world_fail(files->world, "I13",
            "%s reads file %016" PRIx64 " of range %016" PRIx64 ", which the synced MANIFEST-%" PRIu64 " does not name",
            files->node->name, file, range, look->named->number);
}

void files_judge_live(struct files *files)
{
    struct live_look look = {.files = files};
    const struct noded *noded = daemon_instance(files->node);
    if (noded) noded_visit_files(noded, judge_live, &look);
}

/* A manifest that was lost may be followed by another one of its number. */
void files_reboot(struct files *files)
{
    forget(files);
    files_judge(files);
}
