/*
 * bit_flips: every bit of a small data directory flipped, one at a time, at rest: what the daemon then serves is right,
 * or refused, never something else; and it never crashes.
 *
 *   faults_bit_flips [--every N] [--only node|controller|router] [--at PATH BIT] [--plant NAME]
 *
 * N is 64 at first; 1 is all of them. Of each block of 4 KiB those bits are flipped that lie before its last byte that
 * is not zero, and of the 64 bytes after it. The last line is "N passed, N failed", over the files.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/prng.h"
#include "noded/api/space_keeper.h"
#include "tests/faults/images.h"

enum { FILES_MAX = 128, WRONGS_SHOWN = 5, BLOCK_BYTES = 4096, BLOCKS_MAX = 1024, MARGIN_BYTES = 64 };

struct file {
    char path[80];
    uint32_t blocks;
    uint16_t used[BLOCKS_MAX]; /* bytes of each block that count */
    uint64_t flips, counts[IMAGE_WRONG + 1];
};

struct sweep {
    const struct image *image;
    struct file files[FILES_MAX];
    uint32_t files_count;
};

/* For a CHECK that fires in the daemon. */
static char last_words[300];

static void on_abort(int signal)
{
    (void)signal;
    if (write(STDOUT_FILENO, last_words, strlen(last_words)) < 0) _exit(1);
    _exit(1);
}

static void note_file(void *context, const char *path, uint64_t size)
{
    struct sweep *sweep = context;
    struct buffer bytes = {0};
    if (strcmp(path, SPACE_RESERVE_PATH) == 0) return; /* nobody reads what is in it */
    CHECK(sweep->files_count < FILES_MAX && strlen(path) < sizeof sweep->files[0].path);
    CHECK(sim_disk_contents(sweep->image->disk, path, &bytes));
    struct file *file = &sweep->files[sweep->files_count++];
    *file = (struct file){.blocks = (uint32_t)((size + BLOCK_BYTES - 1) / BLOCK_BYTES)};
    CHECK(file->blocks <= BLOCKS_MAX);
    strcpy(file->path, path);
    for (uint32_t i = 0; i < file->blocks; i++) {
        size_t start = (size_t)i * BLOCK_BYTES, end = start + BLOCK_BYTES < size ? start + BLOCK_BYTES : size;
        size_t used = end;
        while (used > start && bytes.data[used - 1] == 0)
            used--;
        used = used == start ? 0 : used - start + MARGIN_BYTES;
        file->used[i] = (uint16_t)(used < end - start ? used : end - start);
    }
    buffer_free(&bytes);
}

static void flip(const struct image *image, struct file *file, uint64_t bit)
{
    char why[200] = "";
    struct sim_disk *disk = sim_disk_clone(image->disk, 1);
    CHECK(sim_disk_damage(disk, file->path, bit / 8, (uint8_t)(1u << bit % 8)));
    snprintf(last_words, sizeof last_words, "%s bit %" PRIu64 ": a CHECK fired\n0 passed, 1 failed\n", file->path, bit);
    enum image_verdict verdict = image_judge(image, disk, why);
    file->flips++;
    file->counts[verdict]++;
    if (verdict == IMAGE_WRONG && file->counts[verdict] <= WRONGS_SHOWN)
        printf("%s bit %" PRIu64 " (byte %" PRIu64 "): %s\n", file->path, bit, bit / 8, why);
}

/* One bit of each stretch of every, drawn, so that all positions in bytes and fields have their turn. */
static void sweep_file(struct sweep *sweep, struct file *file, uint64_t every)
{
    struct prng prng = prng_seeded(every);
    uint64_t before = 0, next = prng_below(&prng, every); /* counted over the bits that count */
    for (uint32_t i = 0; i < file->blocks; i++) {
        uint64_t bits = (uint64_t)file->used[i] * 8;
        for (; next < before + bits; next = next - next % every + every + prng_below(&prng, every))
            flip(sweep->image, file, (uint64_t)i * BLOCK_BYTES * 8 + next - before);
        before += bits;
    }
    printf("%-46s %6" PRIu64 " flips: %6" PRIu64 " harmless, %6" PRIu64 " noticed, %" PRIu64 " wrong\n", file->path,
        file->flips, file->counts[IMAGE_HARMLESS], file->counts[IMAGE_NOTICED], file->counts[IMAGE_WRONG]);
    fflush(stdout);
}

struct arguments {
    uint64_t every, bit;
    const char *only, *path, *plant;
};

static bool parse(int count, char **words, struct arguments *out)
{
    *out = (struct arguments){.every = 64, .only = ""};
    for (int i = 1; i < count; i++) {
        int left = count - i - 1;
        if (strcmp(words[i], "--every") == 0 && left >= 1)
            out->every = strtoull(words[++i], NULL, 10);
        else if (strcmp(words[i], "--only") == 0 && left >= 1)
            out->only = words[++i];
        else if (strcmp(words[i], "--plant") == 0 && left >= 1)
            out->plant = words[++i];
        else if (strcmp(words[i], "--at") == 0 && left >= 2) {
            out->path = words[++i];
            out->bit = strtoull(words[++i], NULL, 10);
        } else
            return false;
    }
    return out->every > 0;
}

static void run(
    void (*make)(struct image *image), const struct arguments *arguments, uint32_t *passed, uint32_t *failed)
{
    struct image image;
    make(&image);
    static struct sweep sweep;
    sweep = (struct sweep){.image = &image};
    sim_disk_walk(image.disk, note_file, &sweep);
    if (arguments->path) {
        struct file file = {.blocks = 0};
        snprintf(file.path, sizeof file.path, "%s", arguments->path);
        flip(&image, &file, arguments->bit);
        printf("%s\n", file.counts[IMAGE_WRONG] ? "wrong" : file.counts[IMAGE_NOTICED] ? "noticed" : "harmless");
        *(file.counts[IMAGE_WRONG] ? failed : passed) += 1;
    } else {
        for (uint32_t i = 0; i < sweep.files_count; i++)
            sweep_file(&sweep, &sweep.files[i], arguments->every);
    }
    for (uint32_t i = 0; i < sweep.files_count && !arguments->path; i++)
        *(sweep.files[i].counts[IMAGE_WRONG] ? failed : passed) += 1;
    image_free(&image);
}

int main(int count, char **words)
{
    struct arguments arguments;
    uint32_t passed = 0, failed = 0;
    if (!parse(count, words, &arguments)) {
        fprintf(
            stderr, "usage: %s [--every N] [--only node|controller|router] [--at PATH BIT] [--plant NAME]\n", words[0]);
        return 2;
    }
    signal(SIGABRT, on_abort);
    if (arguments.plant) plant_set(arguments.plant);
    static const struct {
        const char *name;
        void (*make)(struct image *image);
    } images[] = {{"node", image_of_node}, {"controller", image_of_controller}, {"router", image_of_router}};
    for (int i = 0; i < 3; i++)
        if (!arguments.only[0] || strcmp(arguments.only, images[i].name) == 0)
            run(images[i].make, &arguments, &passed, &failed);
    if (arguments.plant) {
        bool found = failed > 0;
        printf("the planted bug %s is %sfound\n", arguments.plant, found ? "" : "not ");
        passed = found;
        failed = !found;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
