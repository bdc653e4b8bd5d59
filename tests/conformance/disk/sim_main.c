/* The disk suite on the simulated disk. */
#include "common/base/check.h"
#include "tests/conformance/disk/disk_suite.h"
#include "tests/sim/process.h"
#include "tests/sim/world.h"

struct sim_place {
    struct world *world;
    struct sim_disk *disk;
    struct process *process;
};

static void boot(struct env *env, void *context)
{
    (void)env;
    (void)context;
}

static struct env *place_open(void *context)
{
    struct sim_place *place = context;
    place->world = world_create(1);
    place->disk = sim_disk_create(1);
    place->process = process_create(place->world, "disk", place->disk);
    process_start(place->process, boot, NULL);
    return process_env(place->process);
}

static void place_close(void *context, struct env *env)
{
    struct sim_place *place = context;
    (void)env;
    CHECK(world_failure(place->world) == NULL);
    process_destroy(place->process);
    sim_disk_destroy(place->disk);
    world_destroy(place->world);
}

static void place_step(void *context, struct reactor *reactor)
{
    struct sim_place *place = context;
    (void)reactor;
    CHECK(world_step(place->world));
}

int main(void)
{
    struct sim_place sim;
    struct disk_place place = {"sim", &sim, place_open, place_close, place_step};
    return disk_suite_run(&place) ? 1 : 0;
}
