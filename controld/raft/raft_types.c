#include "controld/raft/raft_types.h"

#include "common/base/check.h"
#include "common/base/mem.h"

struct raft_entry *raft_entry_create(uint64_t term, uint64_t index, enum raft_entry_kind kind, struct bytes data)
{
    CHECK(data.size <= RAFT_ENTRY_BYTES_MAX);
    struct raft_entry *entry = mem_alloc(sizeof *entry + data.size);
    *entry = (struct raft_entry){.term = term, .index = index, .kind = kind, .refs = 1};
    entry->data_size = (uint32_t)data.size;
    if (data.size) memcpy(entry->data, data.data, data.size);
    return entry;
}

struct raft_entry *raft_entry_ref(struct raft_entry *entry)
{
    CHECK(entry->refs > 0 && entry->refs < UINT32_MAX);
    entry->refs++;
    return entry;
}

void raft_entry_unref(struct raft_entry *entry)
{
    if (!entry) return;
    CHECK(entry->refs > 0);
    if (--entry->refs == 0) mem_free(entry);
}

bool raft_entry_kind_known(uint32_t kind)
{
    return kind >= RAFT_ENTRY_NORMAL && kind <= RAFT_ENTRY_CONFIG_FINAL;
}
