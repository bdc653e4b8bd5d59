#include "noded/lsm/cache.h"

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/mem.h"

enum {
    QUEUE_FIRST = 1,          /* seen once lately: in order of arrival */
    QUEUE_MAIN = 2,           /* asked for again: least recently used goes */
    FIRST_SHARE = 4,          /* the first queue may have a quarter */
    BLOCK_BYTES_GUESS = 4096, /* for sizing the tables */
    SLOTS_MIN = 64,
};

struct cache {
    uint64_t bytes_max, bytes, first_bytes;
    struct list first, main; /* newest at the front */
    struct block **slots;
    uint64_t *ghosts; /* keys that left the first queue, by hash; an older one is overwritten */
    uint64_t mask;
    struct cache_stats stats;
};

static uint64_t key_of(uint64_t file_id, uint32_t number)
{
    return hash_u64(file_id * 0x9e3779b97f4a7c15ull + number);
}

struct cache *cache_create(uint64_t bytes_max)
{
    struct cache *cache = mem_zalloc(sizeof *cache);
    uint64_t slots = SLOTS_MIN;
    while (slots < bytes_max / BLOCK_BYTES_GUESS)
        slots *= 2;
    cache->bytes_max = bytes_max;
    cache->mask = slots - 1;
    cache->slots = mem_zalloc(slots * sizeof(struct block *));
    cache->ghosts = mem_zalloc(slots * sizeof *cache->ghosts);
    list_init(&cache->first);
    list_init(&cache->main);
    return cache;
}

static struct block **slot_of(const struct cache *cache, uint64_t file_id, uint32_t number)
{
    struct block **slot = &cache->slots[key_of(file_id, number) & cache->mask];
    while (*slot && ((*slot)->file_id != file_id || (*slot)->number != number))
        slot = &(*slot)->next_in_slot;
    return slot;
}

static void drop(struct cache *cache, struct block *block)
{
    struct block **slot = slot_of(cache, block->file_id, block->number);
    CHECK(*slot == block && block->refs == 0);
    *slot = block->next_in_slot;
    cache->bytes -= block->bytes;
    if (block->queue == QUEUE_FIRST) {
        uint64_t key = key_of(block->file_id, block->number);
        cache->first_bytes -= block->bytes;
        cache->ghosts[key & cache->mask] = key;
    }
    list_remove(&block->link);
    mem_free(block);
}

void cache_destroy(struct cache *cache)
{
    if (!cache) return;
    LIST_FOR_EACH (link, &cache->first)
        drop(cache, CONTAINER_OF(link, struct block, link));
    LIST_FOR_EACH (link, &cache->main)
        drop(cache, CONTAINER_OF(link, struct block, link));
    CHECK(cache->bytes == 0);
    mem_free(cache->slots);
    mem_free(cache->ghosts);
    mem_free(cache);
}

/* Drops the oldest unreferenced block of the queue; false when there is none. */
static bool evict_from(struct cache *cache, struct list *queue)
{
    for (struct list *link = queue->previous; link != queue; link = link->previous) {
        struct block *block = CONTAINER_OF(link, struct block, link);
        if (block->refs > 0) continue;
        drop(cache, block);
        return true;
    }
    return false;
}

static void make_room(struct cache *cache)
{
    while (cache->bytes > cache->bytes_max) {
        bool first_is_large = cache->first_bytes > cache->bytes_max / FIRST_SHARE;
        struct list *victim = first_is_large ? &cache->first : &cache->main;
        struct list *other = first_is_large ? &cache->main : &cache->first;
        if (!evict_from(cache, victim) && !evict_from(cache, other)) return; /* all in use: above budget for a while */
    }
}

struct block *cache_get(struct cache *cache, uint64_t file_id, uint32_t number)
{
    struct block *block = *slot_of(cache, file_id, number);
    if (!block) {
        cache->stats.misses++;
        return NULL;
    }
    cache->stats.hits++;
    block->refs++;
    if (block->queue == QUEUE_MAIN && cache->main.next != &block->link) {
        list_remove(&block->link);
        list_push_front(&cache->main, &block->link);
    }
    return block;
}

bool cache_has(const struct cache *cache, uint64_t file_id, uint32_t number)
{
    return *slot_of(cache, file_id, number) != NULL;
}

struct block *cache_put(struct cache *cache, struct block *block, uint64_t file_id, uint32_t number)
{
    struct block **slot = slot_of(cache, file_id, number);
    if (*slot) {
        mem_free(block);
        (*slot)->refs++;
        return *slot;
    }
    uint64_t key = key_of(file_id, number);
    uint64_t *ghost = &cache->ghosts[key & cache->mask];
    block->file_id = file_id;
    block->number = number;
    block->refs = 1;
    block->next_in_slot = NULL;
    block->queue = *ghost == key ? QUEUE_MAIN : QUEUE_FIRST;
    if (*ghost == key) *ghost = 0;
    *slot = block;
    list_push_front(block->queue == QUEUE_MAIN ? &cache->main : &cache->first, &block->link);
    cache->bytes += block->bytes;
    if (block->queue == QUEUE_FIRST) cache->first_bytes += block->bytes;
    make_room(cache);
    return block;
}

void cache_release(struct cache *cache, struct block *block)
{
    CHECK(block->refs > 0);
    block->refs--;
    if (block->refs == 0 && cache->bytes > cache->bytes_max) make_room(cache);
}

struct cache_stats cache_stats(const struct cache *cache)
{
    struct cache_stats stats = cache->stats;
    stats.bytes = cache->bytes;
    return stats;
}
