#include "msgctl/commands.h"
const struct command file_commands[] = {COMMANDS_END};
