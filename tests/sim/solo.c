#include "tests/sim/solo.h"

#include "common/base/check.h"
#include "common/runtime/fiber.h"
#include "tests/sim/sim_mem.h"

struct solo {
    struct world *world;
    struct sim_disk *disk;
    struct process *process;
    struct reactor *reactor;
    void (*main)(struct reactor *reactor, void *argument);
    void *argument;
    bool returned;
};

struct solo *solo_create(uint64_t seed, struct sim_disk *disk)
{
    struct solo *solo = sim_alloc(sizeof *solo);
    solo->world = world_create(seed);
    solo->disk = disk ? disk : sim_disk_create(seed);
    solo->process = process_create(solo->world, "solo", solo->disk);
    return solo;
}

void solo_destroy(struct solo *solo)
{
    process_destroy(solo->process);
    sim_disk_destroy(solo->disk);
    world_destroy(solo->world);
    mem_free(solo);
}

static void fiber_main(void *argument)
{
    struct solo *solo = argument;
    solo->main(solo->reactor, solo->argument);
    solo->returned = true;
}

static void boot(struct env *env, void *context)
{
    struct solo *solo = context;
    solo->reactor = reactor_create(env, "solo", 0);
    fiber_start(solo->reactor, "solo", fiber_main, solo);
}

static uint64_t operations_done(const struct solo *solo)
{
    return sim_disk_counts(solo->disk)->operations;
}

enum solo_end solo_run(
    struct solo *solo, void (*main)(struct reactor *reactor, void *argument), void *argument, uint64_t disk_operations)
{
    uint64_t start = operations_done(solo);
    solo->main = main;
    solo->argument = argument;
    solo->returned = false;
    process_start(solo->process, boot, solo);
    enum solo_end end = SOLO_STUCK;
    for (;;) {
        if (!process_is_running(solo->process))
            end = SOLO_DIED;
        else if (solo->returned)
            end = SOLO_RETURNED;
        else if (operations_done(solo) - start >= disk_operations)
            end = SOLO_CUT;
        else if (world_step(solo->world) && !world_failure(solo->world))
            continue;
        break;
    }
    process_kill(solo->process);
    return end;
}

enum status solo_death(const struct solo *solo)
{
    return process_death(solo->process);
}

struct sim_disk *solo_disk(const struct solo *solo)
{
    return solo->disk;
}

struct world *solo_world(const struct solo *solo)
{
    return solo->world;
}
