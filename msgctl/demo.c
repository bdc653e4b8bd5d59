#include "msgctl/commands.h"
const struct command demo_commands[] = {COMMANDS_END};
