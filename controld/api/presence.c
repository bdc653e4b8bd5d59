#include "controld/api/presence.h"

#include "common/base/mem.h"

struct presence_entry {
    struct list link;
    enum rpc_role role;
    uint8_t instance[RPC_UUID_BYTES];
    uint64_t daemon_id, boot;
    unsigned pipes;
};

void presence_init(struct presence *presence)
{
    list_init(&presence->seen);
}

void presence_fini(struct presence *presence)
{
    for (struct list *link; (link = list_pop_front(&presence->seen));)
        mem_free(CONTAINER_OF(link, struct presence_entry, link));
}

static bool is_counted(const struct rpc_info *info)
{
    return info->role == RPC_ROLE_NODE || info->role == RPC_ROLE_ROUTER;
}

/* A process may say hello again with a number that it did not have before. */
static struct presence_entry *entry_of(struct presence *presence, const struct rpc_info *info)
{
    LIST_FOR_EACH (link, &presence->seen) {
        struct presence_entry *entry = CONTAINER_OF(link, struct presence_entry, link);
        if (entry->role == info->role && entry->daemon_id == info->daemon_id && entry->boot == info->boot &&
            memcmp(entry->instance, info->instance, sizeof entry->instance) == 0)
            return entry;
    }
    return NULL;
}

void presence_came(struct presence *presence, const struct rpc_info *info)
{
    if (!is_counted(info)) return;
    struct presence_entry *entry = entry_of(presence, info);
    if (!entry) {
        entry = mem_zalloc(sizeof *entry);
        entry->role = info->role;
        entry->daemon_id = info->daemon_id;
        entry->boot = info->boot;
        memcpy(entry->instance, info->instance, sizeof entry->instance);
        list_push_back(&presence->seen, &entry->link);
    }
    entry->pipes++;
}

void presence_gone(struct presence *presence, const struct rpc_info *info)
{
    struct presence_entry *entry = is_counted(info) ? entry_of(presence, info) : NULL;
    if (!entry || --entry->pipes > 0) return;
    list_remove(&entry->link);
    mem_free(entry);
}

bool presence_is_up_beside(
    const struct presence *presence, const struct catalog_daemon *daemon, const struct uuid *instance)
{
    enum rpc_role role = daemon->is.role == DAEMON_NODE ? RPC_ROLE_NODE : RPC_ROLE_ROUTER;
    LIST_FOR_EACH (link, &presence->seen) {
        const struct presence_entry *entry = CONTAINER_OF(link, struct presence_entry, link);
        if (entry->role != role) continue;
        if (instance && memcmp(entry->instance, instance->bytes, sizeof entry->instance) == 0) continue;
        if (memcmp(entry->instance, daemon->is.instance.bytes, sizeof entry->instance) == 0) return true;
        if (entry->daemon_id == daemon->id && entry->boot == daemon->is.boot) return true;
    }
    return false;
}

bool presence_is_up(const struct presence *presence, const struct catalog_daemon *daemon)
{
    return presence_is_up_beside(presence, daemon, NULL);
}
