#include "routerd/settings.h"

static const struct config_field fields[] = {
    SETTINGS_FIELDS(routerd_settings, common),
    {"router.controllers", CONFIG_LIST, offsetof(struct routerd_settings, controllers), NULL, 1, 7, NULL,
        "addresses of the controllers; a port other than 7100 is added as :PORT"},
    {"router.workers", CONFIG_INT, offsetof(struct routerd_settings, workers), "1", 1, 32, NULL,
        "how many threads serve"},
};

const struct config_table routerd_table = {"routerd", fields, sizeof fields / sizeof fields[0]};
