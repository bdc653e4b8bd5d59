#include "common/base/map.h"

#include "common/base/check.h"
#include "common/base/hash.h"
#include "common/base/mem.h"

static size_t slot_of(const struct map *map, uint64_t key)
{
    return (size_t)hash_u64(key) & (map->capacity - 1);
}

/* The slot that holds key, or the free one where it would go. */
static struct map_slot *find(const struct map *map, uint64_t key)
{
    size_t at = slot_of(map, key);
    while (map->slots[at].value && map->slots[at].key != key)
        at = (at + 1) & (map->capacity - 1);
    return &map->slots[at];
}

static void grow(struct map *map)
{
    struct map old = *map;
    map->capacity = old.capacity ? old.capacity * 2 : 16;
    map->slots = mem_zalloc(map->capacity * sizeof *map->slots);
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].value) *find(map, old.slots[i].key) = old.slots[i];
    mem_free(old.slots);
}

void *map_get(const struct map *map, uint64_t key)
{
    return map->capacity ? find(map, key)->value : NULL;
}

void *map_put(struct map *map, uint64_t key, void *value)
{
    CHECK(value != NULL);
    if (map->count * 4 >= map->capacity * 3) grow(map);
    struct map_slot *slot = find(map, key);
    void *old = slot->value;
    if (!old) map->count++;
    slot->key = key;
    slot->value = value;
    return old;
}

void *map_remove(struct map *map, uint64_t key)
{
    if (map->capacity == 0) return NULL;
    struct map_slot *slot = find(map, key);
    void *old = slot->value;
    if (!old) return NULL;
    map->count--;
    /* Close the gap: move back every later entry of the run that may live in the hole. */
    size_t mask = map->capacity - 1, hole = (size_t)(slot - map->slots), at = hole;
    map->slots[hole].value = NULL;
    for (;;) {
        at = (at + 1) & mask;
        if (!map->slots[at].value) return old;
        size_t home = slot_of(map, map->slots[at].key);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            map->slots[at].value = NULL;
            hole = at;
        }
    }
}

void *map_next(const struct map *map, size_t *position, uint64_t *key)
{
    while (*position < map->capacity) {
        const struct map_slot *slot = &map->slots[(*position)++];
        if (!slot->value) continue;
        if (key) *key = slot->key;
        return slot->value;
    }
    return NULL;
}

void map_free(struct map *map)
{
    mem_free(map->slots);
    *map = (struct map){0};
}
