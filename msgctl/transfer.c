/* The table of the commands that move many messages. */
#include "msgctl/transfer.h"

#include "msgctl/commands.h"

const struct command transfer_commands[] = {
    {.name = "import",
        .arguments = "FILE|-",
        .summary = "Stores the messages of an NDJSON file (plain, .gz, .zst) or of standard input",
        .help =
            "Goes on where an earlier import of the same file into the same cluster ended (not from standard input).\n"
            "One that was complete is not sent again, unless --again asks for it.\n"
            "Ctrl-C waits for what is under way, then ends; once more ends at once. Broken lines are counted and\n"
            "named, and make the exit status 1.",
        .arguments_min = 1,
        .arguments_max = 1,
        .options = import_options,
        .run = import_run},
    {.name = "export",
        .arguments = "[CHANNEL]",
        .summary = "Prints all messages, or a channel's, as NDJSON",
        .help = "Channels come in token order, the messages of a channel oldest first.",
        .arguments_max = 1,
        .options = export_options,
        .run = export_run},
    COMMANDS_END,
};
