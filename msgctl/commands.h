/* commands: the tables of msgctl's commands, one per noun. Each ends with an entry without a name. */
#ifndef TRILLIUM_MSGCTL_COMMANDS_H
#define TRILLIUM_MSGCTL_COMMANDS_H

#include "msgctl/cli.h"

extern const struct command message_commands[], channel_commands[], transfer_commands[], cluster_commands[],
    file_commands[], demo_commands[];

#define COMMANDS_END                                                                                                   \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }

#endif
