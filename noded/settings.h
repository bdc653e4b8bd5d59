/* settings: noded's configuration keys (docs/operating/configuration.md). Filled by command_read, released by
 * config_free. */
#ifndef TRILLIUM_NODED_SETTINGS_H
#define TRILLIUM_NODED_SETTINGS_H

#include "common/config/settings.h"

struct noded_settings {
    struct settings common;
    struct config_list controllers;
    char *zone;
    char *backend;
    int64_t shards;
    int64_t rebuild_rate;
    bool pin;
};

extern const struct config_table noded_table;

#endif
