#include "noded/settings.h"

static const struct config_field fields[] = {
    SETTINGS_FIELDS(noded_settings, common),
    {"node.controllers", CONFIG_LIST, offsetof(struct noded_settings, controllers), NULL, 1, 7, NULL,
        "addresses of the controllers; a port other than 7100 is added as :PORT"},
    {"node.zone", CONFIG_STRING, offsetof(struct noded_settings, zone), "default", 1, 64, NULL,
        "what fails together; replicas of a range go to different zones where they can"},
    {"node.shards", CONFIG_INT, offsetof(struct noded_settings, shards), "2", 1, 32, NULL,
        "how many threads serve; may change between starts"},
    {"node.backend", CONFIG_CHOICE, offsetof(struct noded_settings, backend), "auto", 0, 0, "auto|uring|uv",
        "how files are read and written; auto takes io_uring where the system allows it"},
    {"node.rebuild_rate", CONFIG_SIZE, offsetof(struct noded_settings, rebuild_rate), "64MiB", 64 << 10,
        INT64_C(1) << 40, NULL, "bytes a second that are fetched at most to rebuild replicas which lost something"},
    {"node.pin", CONFIG_BOOL, offsetof(struct noded_settings, pin), "no", 0, 0, NULL,
        "each shard keeps to a processor of its own; for machines that run nothing else"},
};

const struct config_table noded_table = {"noded", fields, sizeof fields / sizeof fields[0]};
