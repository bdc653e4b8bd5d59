/* settings: controld's configuration keys (docs/operating/configuration.md). Filled by command_read, released by
 * config_free. */
#ifndef TRILLIUM_CONTROLD_SETTINGS_H
#define TRILLIUM_CONTROLD_SETTINGS_H

#include "common/config/settings.h"

struct controld_settings {
    struct settings common;
    int64_t raft_id;
    struct config_list raft_members;
    int64_t snapshot_entries;
    int64_t append_bytes; /* 0: the core's default */
    int64_t bootstrap_nodes;
};

extern const struct config_table controld_table;

#endif
