/* settings: routerd's configuration keys (docs/operating/configuration.md). Filled by command_read, released by
 * config_free. */
#ifndef TRILLIUM_ROUTERD_SETTINGS_H
#define TRILLIUM_ROUTERD_SETTINGS_H

#include "common/config/settings.h"

struct routerd_settings {
    struct settings common;
    struct config_list controllers;
    int64_t workers;
};

extern const struct config_table routerd_table;

#endif
