#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "noded/lsm/compaction.h"

#define OUTPUT_BYTES_MAX ((uint64_t)48 << 30)
#define SMALL_BYTES ((uint64_t)256 << 10) /* smaller ones count as this large */

struct ranked {
    uint64_t bytes;
    uint32_t index;
};

static int compare(const void *a, const void *b)
{
    const struct ranked *left = a, *right = b;
    if (left->bytes != right->bytes) return left->bytes < right->bytes ? -1 : 1;
    return left->index < right->index ? -1 : left->index > right->index;
}

/* How many from ranked[0] on may be merged: of like size unless any is true. */
static uint32_t run_of(const struct ranked *ranked, uint32_t count, bool any)
{
    uint64_t smallest = ranked[0].bytes > SMALL_BYTES ? ranked[0].bytes : SMALL_BYTES, total = 0;
    uint32_t run = 0;
    while (run < count && run < COMPACTION_FILES_MAX) {
        total += ranked[run].bytes;
        if (total > OUTPUT_BYTES_MAX || (!any && ranked[run].bytes > smallest * COMPACTION_FACTOR)) break;
        run++;
    }
    return run;
}

static uint32_t choose_among(const struct ranked *ranked, uint32_t count, bool *chosen)
{
    uint32_t first = 0, run = 0;
    for (; first < count; first++) {
        run = run_of(ranked + first, count - first, false);
        if (run >= COMPACTION_FILES_MIN) break;
        run = 0;
    }
    if (run == 0 && count > TREE_FILES_HIGH) {
        first = 0;
        run = run_of(ranked, count, true);
        if (run < 2) run = 0;
    }
    for (uint32_t i = 0; i < run; i++)
        chosen[ranked[first + i].index] = true;
    return run;
}

uint32_t compaction_choose(const struct compaction_file *files, uint32_t count, bool *chosen)
{
    struct ranked *ranked = mem_alloc((count + 1) * sizeof *ranked);
    uint32_t run = 0;
    memset(chosen, 0, count);
    for (unsigned verified = 0; verified < 2 && run == 0; verified++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < count; i++)
            if (files[i].verified == (verified == 1) && !files[i].excluded)
                ranked[n++] = (struct ranked){files[i].bytes, i};
        qsort(ranked, n, sizeof *ranked, compare);
        run = choose_among(ranked, n, chosen);
    }
    mem_free(ranked);
    CHECK(run == 0 || (run >= 2 && run <= COMPACTION_FILES_MAX));
    return run;
}
