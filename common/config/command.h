/*
 * command: the command line that every daemon shares.
 *
 *   noded --config FILE [--set section.key=value]... | --help | --version | --help-config
 *
 * Prints what the help flags ask for and all configuration errors; the daemon's main only looks at the verdict.
 */
#ifndef TRILLIUM_COMMON_CONFIG_COMMAND_H
#define TRILLIUM_COMMON_CONFIG_COMMAND_H

#include "common/config/config.h"

enum command_verdict {
    COMMAND_RUN,   /* settings are filled: start */
    COMMAND_DONE,  /* a help text was printed: exit 0 */
    COMMAND_USAGE, /* the command line or the configuration is wrong, said on standard error: exit 2 */
};

/* Reads argv into settings (see config_load for ownership) and says how to go on. */
MUST_CHECK enum command_verdict command_read(const struct config_table *table, int argc, char **argv, void *settings);

#endif
