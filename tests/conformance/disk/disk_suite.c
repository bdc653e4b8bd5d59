#include "tests/conformance/disk/disk_suite.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/runtime/disk.h"
#include "common/runtime/env.h"
#include "common/runtime/fiber.h"
#include "common/runtime/reactor.h"

enum { MANY = 2000, BLOCK = DISK_BLOCK_BYTES };

struct run {
    struct reactor *reactor;
    const char *place, *name;
    bool ended, failed;
    void (*body)(struct run *run);
};

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("disk(%s): %s: line %d: expected %s\n", run->place, run->name, __LINE__, #condition);               \
            run->failed = true;                                                                                        \
        }                                                                                                              \
    } while (0)
#define EXPECT_OK(call) EXPECT((call) == STATUS_OK)

static struct disk_file create(struct run *run, const char *path)
{
    struct disk_file file = {-1};
    EXPECT_OK(disk_open(run->reactor, path, DISK_CREATE, &file));
    return file;
}

static void write_text(struct run *run, const char *path, const char *text)
{
    struct disk_file file = create(run, path);
    EXPECT_OK(disk_write(run->reactor, file, text, (uint32_t)strlen(text), 0));
    disk_close(run->reactor, &file);
}

static bool holds_text(struct run *run, const char *path, const char *text)
{
    struct arena arena = {0};
    struct bytes data;
    bool same =
        disk_read_file(run->reactor, path, &arena, 1 << 20, &data) == STATUS_OK && bytes_equal(data, bytes_text(text));
    arena_free(&arena);
    return same;
}

static void what_was_written_is_read(struct run *run)
{
    char data[6] = {0};
    struct disk_file file = create(run, "a");
    EXPECT_OK(disk_write(run->reactor, file, "hello", 5, 0));
    EXPECT_OK(disk_write(run->reactor, file, "p", 1, 3));
    EXPECT_OK(disk_sync(run->reactor, file));
    EXPECT_OK(disk_read(run->reactor, file, data, 5, 0));
    EXPECT(strcmp(data, "helpo") == 0);
    disk_close(run->reactor, &file);
    EXPECT(file.handle == -1);
    disk_close(run->reactor, &file);
    EXPECT(holds_text(run, "a", "helpo"));
}

static void a_gap_reads_as_zeros(struct run *run)
{
    char data[100], zeros[100] = {0};
    uint64_t size;
    struct disk_file file = create(run, "a");
    EXPECT_OK(disk_write(run->reactor, file, "x", 1, 9999));
    EXPECT_OK(disk_size(run->reactor, file, &size));
    EXPECT(size == 10000);
    EXPECT_OK(disk_read(run->reactor, file, data, sizeof data, 5000));
    EXPECT(memcmp(data, zeros, sizeof data) == 0);
    disk_close(run->reactor, &file);
}

static void reading_past_the_end_is_corrupt(struct run *run)
{
    char data[10];
    struct disk_file file = create(run, "a");
    EXPECT_OK(disk_write(run->reactor, file, "12345", 5, 0));
    EXPECT(disk_read(run->reactor, file, data, 6, 0) == STATUS_CORRUPT);
    EXPECT(disk_read(run->reactor, file, data, 1, 5) == STATUS_CORRUPT);
    EXPECT(disk_read(run->reactor, file, data, 1, 5000) == STATUS_CORRUPT);
    EXPECT_OK(disk_read(run->reactor, file, data, 2, 3));
    disk_close(run->reactor, &file);
}

static void opening_says_what_is_wrong(struct run *run)
{
    struct disk_file file = {-1};
    EXPECT(disk_open(run->reactor, "none", 0, &file) == STATUS_NOT_FOUND);
    EXPECT(disk_open(run->reactor, "none/a", DISK_CREATE, &file) == STATUS_NOT_FOUND);
    EXPECT(file.handle == -1);
    write_text(run, "a", "a");
    EXPECT(disk_open(run->reactor, "a", DISK_CREATE | DISK_EXCLUSIVE, &file) == STATUS_CONFLICT);
    EXPECT_OK(disk_open(run->reactor, "a", DISK_READ_ONLY, &file));
    EXPECT(disk_write(run->reactor, file, "b", 1, 0) == STATUS_IO);
    disk_close(run->reactor, &file);
    EXPECT_OK(disk_open(run->reactor, "b", DISK_CREATE | DISK_EXCLUSIVE, &file));
    disk_close(run->reactor, &file);
    EXPECT(holds_text(run, "a", "a"));
}

static void opening_again_keeps_the_contents(struct run *run)
{
    write_text(run, "a", "kept");
    struct disk_file file = create(run, "a");
    disk_close(run->reactor, &file);
    EXPECT(holds_text(run, "a", "kept"));
}

static void direct_files_take_whole_blocks(struct run *run)
{
    struct disk_file file;
    uint64_t size;
    unsigned char *block = mem_alloc_aligned(BLOCK, 4 * BLOCK), *back = mem_alloc_aligned(BLOCK, 4 * BLOCK);
    for (unsigned i = 0; i < 4 * BLOCK; i++)
        block[i] = (unsigned char)(i * 31 + i / 256);
    EXPECT_OK(disk_open(run->reactor, "a", DISK_CREATE | DISK_DIRECT, &file));
    EXPECT_OK(disk_preallocate(run->reactor, file, 8 * BLOCK));
    EXPECT_OK(disk_write(run->reactor, file, block, 4 * BLOCK, BLOCK));
    EXPECT_OK(disk_read(run->reactor, file, back, 4 * BLOCK, BLOCK));
    EXPECT(memcmp(block, back, 4 * BLOCK) == 0);
    EXPECT_OK(disk_size(run->reactor, file, &size));
    EXPECT(size == 8 * BLOCK);
    EXPECT(disk_read(run->reactor, file, back, 2 * BLOCK, 7 * BLOCK) == STATUS_CORRUPT);
    disk_close(run->reactor, &file);
    mem_free(block);
    mem_free(back);
}

static void a_direct_read_ends_with_the_file(struct run *run)
{
    struct disk_file file;
    unsigned char *back = mem_alloc_aligned(BLOCK, 2 * BLOCK);
    write_text(run, "a", "short");
    EXPECT_OK(disk_open(run->reactor, "a", DISK_READ_ONLY | DISK_DIRECT, &file));
    EXPECT(disk_read(run->reactor, file, back, 2 * BLOCK, 0) == STATUS_CORRUPT);
    EXPECT(memcmp(back, "short", 5) == 0);
    disk_close(run->reactor, &file);
    mem_free(back);
}

static void truncating_shortens_and_lengthens(struct run *run)
{
    char data[4];
    struct disk_file file = create(run, "a");
    EXPECT_OK(disk_write(run->reactor, file, "abcdef", 6, 0));
    EXPECT_OK(disk_truncate(run->reactor, file, 2));
    EXPECT_OK(disk_truncate(run->reactor, file, 4));
    EXPECT_OK(disk_read(run->reactor, file, data, 4, 0));
    EXPECT(memcmp(data, "ab\0\0", 4) == 0);
    disk_close(run->reactor, &file);
}

static void preallocating_never_shortens(struct run *run)
{
    uint64_t size;
    struct disk_file file = create(run, "a");
    EXPECT_OK(disk_write(run->reactor, file, "abcdef", 6, 0));
    EXPECT_OK(disk_preallocate(run->reactor, file, 3));
    EXPECT_OK(disk_size(run->reactor, file, &size));
    EXPECT(size == 6);
    EXPECT_OK(disk_preallocate(run->reactor, file, 10000));
    EXPECT_OK(disk_size(run->reactor, file, &size));
    EXPECT(size == 10000);
    disk_close(run->reactor, &file);
}

static void names_are_made_and_removed(struct run *run)
{
    EXPECT_OK(disk_mkdir(run->reactor, "d"));
    EXPECT_OK(disk_mkdir(run->reactor, "d"));
    write_text(run, "d/a", "1");
    EXPECT(disk_rmdir(run->reactor, "d") == STATUS_CONFLICT);
    EXPECT_OK(disk_unlink(run->reactor, "d/a"));
    EXPECT(disk_unlink(run->reactor, "d/a") == STATUS_NOT_FOUND);
    EXPECT_OK(disk_sync_dir(run->reactor, "d"));
    EXPECT_OK(disk_rmdir(run->reactor, "d"));
    EXPECT(disk_rmdir(run->reactor, "d") == STATUS_NOT_FOUND);
    EXPECT(disk_sync_dir(run->reactor, "d") == STATUS_NOT_FOUND);
    EXPECT_OK(disk_sync_dir(run->reactor, ""));
}

static void a_rename_replaces(struct run *run)
{
    write_text(run, "a", "new");
    write_text(run, "b", "old and longer");
    EXPECT_OK(disk_rename(run->reactor, "a", "b"));
    EXPECT(holds_text(run, "b", "new"));
    EXPECT(disk_rename(run->reactor, "a", "b") == STATUS_NOT_FOUND);
    EXPECT(disk_rename(run->reactor, "b", "none/b") == STATUS_NOT_FOUND);
    EXPECT(holds_text(run, "b", "new"));
}

static void a_link_is_a_second_name(struct run *run)
{
    write_text(run, "a", "same");
    EXPECT_OK(disk_link(run->reactor, "a", "b"));
    EXPECT(disk_link(run->reactor, "a", "b") == STATUS_CONFLICT);
    EXPECT(disk_link(run->reactor, "none", "c") == STATUS_NOT_FOUND);
    EXPECT_OK(disk_unlink(run->reactor, "a"));
    EXPECT(holds_text(run, "b", "same"));
}

static void an_open_file_outlives_its_name(struct run *run)
{
    char data[4];
    struct disk_file file = create(run, "a");
    EXPECT_OK(disk_write(run->reactor, file, "left", 4, 0));
    EXPECT_OK(disk_unlink(run->reactor, "a"));
    EXPECT_OK(disk_read(run->reactor, file, data, 4, 0));
    EXPECT(memcmp(data, "left", 4) == 0);
    disk_close(run->reactor, &file);
}

static void a_list_is_sorted_and_whole(struct run *run)
{
    struct disk_names names;
    EXPECT(disk_list(run->reactor, "d", &names) == STATUS_NOT_FOUND);
    EXPECT_OK(disk_mkdir(run->reactor, "d"));
    EXPECT_OK(disk_list(run->reactor, "d", &names));
    EXPECT(names.count == 0);
    disk_names_free(&names);
    char path[32];
    for (unsigned i = 0; i < 100; i++) {
        snprintf(path, sizeof path, "d/%03u", (i * 37) % 100);
        write_text(run, path, "");
    }
    EXPECT_OK(disk_mkdir(run->reactor, "d/050d"));
    EXPECT_OK(disk_list(run->reactor, "d", &names));
    EXPECT(names.count == 101);
    for (uint32_t i = 1; i < names.count; i++)
        EXPECT(strcmp(names.names[i - 1], names.names[i]) < 0);
    disk_names_free(&names);
}

static void space_is_told(struct run *run)
{
    uint64_t free_bytes = 0, total_bytes = 0;
    EXPECT_OK(disk_space(run->reactor, &free_bytes, &total_bytes));
    EXPECT(total_bytes > 0 && free_bytes <= total_bytes);
}

static void a_lock_excludes_until_it_is_closed(struct run *run)
{
    struct disk_file first = create(run, "l"), second = create(run, "l");
    EXPECT_OK(disk_lock(run->reactor, first));
    EXPECT(disk_lock(run->reactor, second) == STATUS_CONFLICT);
    disk_close(run->reactor, &first);
    EXPECT_OK(disk_lock(run->reactor, second));
    disk_close(run->reactor, &second);
}

static void a_small_file_is_replaced_whole(struct run *run)
{
    struct arena arena = {0};
    struct bytes data;
    EXPECT_OK(disk_mkdir(run->reactor, "d"));
    write_text(run, "d/f.new", "left behind by a crash, and longer");
    EXPECT_OK(disk_replace_file(run->reactor, "d/f", "one", 3));
    EXPECT(holds_text(run, "d/f", "one"));
    EXPECT_OK(disk_replace_file(run->reactor, "d/f", "", 0));
    EXPECT(holds_text(run, "d/f", ""));
    EXPECT_OK(disk_replace_file(run->reactor, "top", "seven", 5));
    EXPECT(disk_read_file(run->reactor, "top", &arena, 4, &data) == STATUS_TOO_BIG);
    EXPECT(disk_read_file(run->reactor, "none", &arena, 4, &data) == STATUS_NOT_FOUND);
    arena_free(&arena);
}

/* Many requests at once: more than a ring has entries. */
struct burst {
    struct disk_request request;
    unsigned *left;
    uint64_t value;
    struct fiber *waiter;
};

static void burst_done(struct disk_request *request)
{
    struct burst *burst = CONTAINER_OF(request, struct burst, request);
    if (--*burst->left == 0) fiber_wake(burst->waiter);
}

static void submit_burst(struct run *run, struct burst *bursts, enum disk_op op, struct disk_file file)
{
    unsigned left = MANY;
    for (unsigned i = 0; i < MANY; i++) {
        struct burst *burst = &bursts[i];
        burst->left = &left;
        burst->waiter = fiber_current(run->reactor);
        if (op == DISK_WRITE)
            burst->value = i * UINT64_C(0x9e3779b97f4a7c15);
        else
            burst->value = 0;
        burst->request = (struct disk_request){.op = op,
            .file = file,
            .data = &burst->value,
            .size = sizeof burst->value,
            .offset = i * sizeof burst->value,
            .done = burst_done};
        disk_submit(run->reactor, &burst->request);
    }
    while (left)
        fiber_suspend(run->reactor);
}

static void thousands_of_requests_at_once_all_complete(struct run *run)
{
    struct burst *bursts = mem_zalloc(MANY * sizeof *bursts);
    struct disk_file file = create(run, "a");
    submit_burst(run, bursts, DISK_WRITE, file);
    for (unsigned i = 0; i < MANY; i++)
        EXPECT(bursts[i].request.status == STATUS_OK && bursts[i].request.result == sizeof(uint64_t));
    submit_burst(run, bursts, DISK_READ, file);
    for (unsigned i = 0; i < MANY; i++)
        EXPECT(bursts[i].value == i * UINT64_C(0x9e3779b97f4a7c15));
    EXPECT(reactor_disk_inflight(run->reactor) == 0);
    disk_close(run->reactor, &file);
    mem_free(bursts);
}

static void a_durable_write_and_a_large_one(struct run *run)
{
    enum { LARGE = 3 << 20 };
    unsigned left = 1;
    char *large = mem_alloc(LARGE), *back = mem_alloc(LARGE);
    for (unsigned i = 0; i < LARGE; i++)
        large[i] = (char)(i ^ (i >> 11));
    struct disk_file file = create(run, "a");
    struct burst burst = {.left = &left, .waiter = fiber_current(run->reactor)};
    burst.request = (struct disk_request){.op = DISK_WRITE,
        .flags = DISK_DSYNC,
        .file = file,
        .data = large,
        .size = LARGE,
        .offset = 1,
        .done = burst_done};
    disk_submit(run->reactor, &burst.request);
    while (left)
        fiber_suspend(run->reactor);
    EXPECT(burst.request.status == STATUS_OK && burst.request.result == LARGE);
    EXPECT_OK(disk_read(run->reactor, file, back, LARGE, 1));
    EXPECT(memcmp(large, back, LARGE) == 0);
    disk_close(run->reactor, &file);
    mem_free(large);
    mem_free(back);
}

static void sleeping_takes_its_time(struct run *run)
{
    uint64_t at = reactor_now_ns(run->reactor) + 3000000;
    fiber_sleep_until(run->reactor, at);
    EXPECT(reactor_now_ns(run->reactor) >= at);
}

#define CASE(name)                                                                                                     \
    {                                                                                                                  \
#name, name                                                                                                    \
    }
static const struct {
    const char *name;
    void (*body)(struct run *run);
} cases[] = {
    CASE(what_was_written_is_read),
    CASE(a_gap_reads_as_zeros),
    CASE(reading_past_the_end_is_corrupt),
    CASE(opening_says_what_is_wrong),
    CASE(opening_again_keeps_the_contents),
    CASE(direct_files_take_whole_blocks),
    CASE(a_direct_read_ends_with_the_file),
    CASE(truncating_shortens_and_lengthens),
    CASE(preallocating_never_shortens),
    CASE(names_are_made_and_removed),
    CASE(a_rename_replaces),
    CASE(a_link_is_a_second_name),
    CASE(an_open_file_outlives_its_name),
    CASE(a_list_is_sorted_and_whole),
    CASE(space_is_told),
    CASE(a_lock_excludes_until_it_is_closed),
    CASE(a_small_file_is_replaced_whole),
    CASE(thousands_of_requests_at_once_all_complete),
    CASE(a_durable_write_and_a_large_one),
    CASE(sleeping_takes_its_time),
};

static void run_main(void *argument)
{
    struct run *run = argument;
    run->body(run);
    run->ended = true;
    /* Or the step that we are in would wait for what never comes. */
    reactor_wake(run->reactor);
}

static bool run_case(const struct disk_place *place, const char *name, void (*body)(struct run *run))
{
    struct env *env = place->open(place->context);
    struct run run = {.place = place->name, .name = name, .body = body};
    run.reactor = reactor_create(env, "disk-suite", 0);
    run.failed = strcmp(reactor_backend_name(run.reactor), place->name) != 0;
    if (run.failed) printf("disk(%s): the backend is %s\n", place->name, reactor_backend_name(run.reactor));
    fiber_start(run.reactor, name, run_main, &run);
    while (!run.ended)
        place->step(place->context, run.reactor);
    reactor_destroy(run.reactor);
    place->close(place->context, env);
    return !run.failed;
}

unsigned disk_suite_run(const struct disk_place *place)
{
    unsigned passed = 0, count = sizeof cases / sizeof cases[0];
    for (unsigned i = 0; i < count; i++)
        if (run_case(place, cases[i].name, cases[i].body)) passed++;
    printf("disk(%s): %u passed, %u failed\n", place->name, passed, count - passed);
    return count - passed;
}
