/*
 * map: a hash table from u64 keys to pointers, open addressing, grows by doubling. Iteration order depends only on the
 * sequence of operations, never on addresses, so that simulations repeat. Zero-initialised is empty.
 */
#ifndef TRILLIUM_COMMON_BASE_MAP_H
#define TRILLIUM_COMMON_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
    uint64_t key;
    void *value; /* NULL: free */
};

struct map {
    struct map_slot *slots;
    size_t count, capacity; /* capacity is 0 or a power of two */
};

/* NULL when absent. */
void *map_get(const struct map *map, uint64_t key);
/* value is not NULL; replaces and returns the old value or NULL. */
void *map_put(struct map *map, uint64_t key, void *value);
/* Returns the removed value or NULL. */
void *map_remove(struct map *map, uint64_t key);
/* for (size_t i = 0; (value = map_next(map, &i, &key));) — the map must not change meanwhile. key may be NULL. */
void *map_next(const struct map *map, size_t *position, uint64_t *key);
void map_free(struct map *map);

#endif
