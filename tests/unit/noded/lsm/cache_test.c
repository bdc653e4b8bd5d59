#include "noded/lsm/cache.h"

#include <criterion/criterion.h>

#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/base/prng.h"
#include "noded/lsm/filter.h"

static struct block *make_block(uint32_t bytes)
{
    struct block *block = mem_zalloc(sizeof *block);
    block->bytes = bytes;
    list_init(&block->link);
    return block;
}

static void read_block(struct cache *cache, uint64_t file, uint32_t number)
{
    struct block *block = cache_get(cache, file, number);
    if (!block) block = cache_put(cache, make_block(4096), file, number);
    cr_assert(block->file_id == file && block->number == number && block->refs > 0);
    cache_release(cache, block);
}

Test(cache, stays_within_its_budget_and_a_scan_does_not_empty_it)
{
    struct cache *cache = cache_create(1 << 20);
    for (unsigned round = 0; round < 40; round++) {
        for (uint32_t hot = 0; hot < 64; hot++)
            read_block(cache, 1, hot);
        for (uint32_t cold = 0; cold < 40; cold++) /* so that hot ones leave the first queue and come back */
            read_block(cache, 2, round * 40 + cold);
    }
    for (uint32_t i = 0; i < 10000; i++)
        read_block(cache, 3, i);
    cr_assert_leq(cache_stats(cache).bytes, 1 << 20);
    unsigned kept = 0;
    for (uint32_t hot = 0; hot < 64; hot++)
        kept += cache_has(cache, 1, hot);
    cr_assert_geq(kept, 60, "a scan of 40 MB left %u of 64 hot blocks", kept);
    cache_destroy(cache);
}

Test(cache, a_referenced_block_is_never_dropped)
{
    struct cache *cache = cache_create(64 << 10);
    struct block *held = cache_put(cache, make_block(4096), 1, 1);
    for (uint32_t i = 0; i < 1000; i++)
        read_block(cache, 2, i);
    cr_assert_eq(cache_get(cache, 1, 1), held);
    struct block *again = cache_put(cache, make_block(4096), 1, 1);
    cr_assert_eq(again, held);
    for (unsigned i = 0; i < 3; i++)
        cache_release(cache, held);
    cache_destroy(cache);
}

Test(filter, never_denies_a_key_and_seldom_claims_a_foreign_one)
{
    for (uint64_t count = 1; count < 20000; count = count * 3 + 1) {
        uint64_t size = filter_bytes(count), wrong = 0;
        uint8_t *filter = mem_zalloc(size);
        for (uint64_t i = 0; i < count; i++)
            filter_add(filter, size, hash64(&i, sizeof i, 0));
        for (uint64_t i = 0; i < count; i++)
            cr_assert(filter_may_have(bytes_of(filter, size), hash64(&i, sizeof i, 0)));
        for (uint64_t i = 1000000; i < 1010000; i++)
            wrong += filter_may_have(bytes_of(filter, size), hash64(&i, sizeof i, 0));
        cr_assert_lt(wrong, 300, "%llu of 10000 at %llu keys", (unsigned long long)wrong, (unsigned long long)count);
        mem_free(filter);
    }
}
