#include "noded/lsm/span_index.h"

#include "common/base/hash.h"
#include "common/base/mem.h"

struct span_entry {
    struct span_entry *next;
    struct span_set set;
    size_t key_size;
    uint8_t key[];
};

static struct span_entry *find(const struct span_index *index, uint64_t hash, struct bytes key)
{
    struct span_entry *entry = map_get(&index->entries, hash);
    while (entry && !bytes_equal(bytes_of(entry->key, entry->key_size), key))
        entry = entry->next;
    return entry;
}

struct span_set *span_index_find(const struct span_index *index, struct bytes key)
{
    if (index->count == 0) return NULL;
    struct span_entry *entry = find(index, hash64(key.data, key.size, 0), key);
    return entry ? &entry->set : NULL;
}

struct span_set *span_index_touch(struct span_index *index, struct bytes key)
{
    uint64_t hash = hash64(key.data, key.size, 0);
    struct span_entry *entry = find(index, hash, key);
    if (entry) return &entry->set;
    entry = mem_zalloc(sizeof *entry + key.size);
    entry->key_size = key.size;
    memcpy(entry->key, key.data, key.size);
    entry->next = map_put(&index->entries, hash, entry);
    index->count++;
    return &entry->set;
}

void span_index_clear(struct span_index *index)
{
    size_t position = 0;
    struct span_entry *entry;
    while ((entry = map_next(&index->entries, &position, NULL)))
        for (; entry; entry = entry->next)
            span_set_free(&entry->set);
}

void span_index_fini(struct span_index *index)
{
    size_t position = 0;
    struct span_entry *entry;
    while ((entry = map_next(&index->entries, &position, NULL)))
        for (struct span_entry *next; entry; entry = next) {
            next = entry->next;
            span_set_free(&entry->set);
            mem_free(entry);
        }
    map_free(&index->entries);
    *index = (struct span_index){0};
}
