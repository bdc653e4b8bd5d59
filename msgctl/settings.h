/*
 * settings: which cluster msgctl talks to. From flags, else the environment (TRILLIUM_ROUTERS,
 * TRILLIUM_CONTROLLERS), else a file: --config, else TRILLIUM_CONFIG, else run/msgctl.yaml here or above the program.
 */
#ifndef TRILLIUM_MSGCTL_SETTINGS_H
#define TRILLIUM_MSGCTL_SETTINGS_H

#include "common/base/uuid.h"
#include "common/config/config.h"

struct settings_msgctl {
    struct uuid cluster; /* zero: any */
    struct config_list routers, controllers;
    char *file; /* where they came from; NULL: no file */
};

extern const struct config_table msgctl_table;

struct settings_flags {
    const char *config, *routers, *controllers; /* NULL: not given */
};

/* False after saying what is wrong on standard error. A file that is not there is no error unless it was named. */
bool settings_msgctl_load(const struct settings_flags *flags, struct settings_msgctl *out);
void settings_msgctl_free(struct settings_msgctl *settings);
/* "a,b,c"; freed by mem_free. */
char *settings_join(const struct config_list *list);

#endif
