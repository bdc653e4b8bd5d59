#include "controld/settings.h"

static const struct config_field fields[] = {
    SETTINGS_FIELDS(controld_settings, common),
    {"raft.id", CONFIG_INT, offsetof(struct controld_settings, raft_id), NULL, 1, 1000, NULL,
        "this controller's number among raft.members"},
    {"raft.members", CONFIG_LIST, offsetof(struct controld_settings, raft_members), NULL, 1, 7, NULL,
        "all controllers, each as id=address"},
    {"raft.snapshot_entries", CONFIG_INT, offsetof(struct controld_settings, snapshot_entries), "4096", 16, 1000000,
        NULL, "after this many changes a snapshot takes the place of the log before it"},
    {"raft.append_bytes", CONFIG_SIZE, offsetof(struct controld_settings, append_bytes), "256KiB", 1, 16 << 20, NULL,
        "changes that one message takes to another controller, a single larger one excepted"},
    {"bootstrap.nodes", CONFIG_INT, offsetof(struct controld_settings, bootstrap_nodes), "3", 1, 1024, NULL,
        "a new cluster makes its first ranges when this many nodes have registered"},
};

const struct config_table controld_table = {"controld", fields, sizeof fields / sizeof fields[0]};
