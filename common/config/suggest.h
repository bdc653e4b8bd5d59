/* suggest: the known key that a mistyped one was probably meant to be. Pure. */
#ifndef TRILLIUM_COMMON_CONFIG_SUGGEST_H
#define TRILLIUM_COMMON_CONFIG_SUGGEST_H

#include "common/config/config.h"

/* The nearest path by edit distance, or one that ends in the same word; NULL when none is near. */
const char *suggest_path(const struct config_table *table, const char *path);

#endif
