/* transfer: msgctl import and msgctl export. */
#ifndef TRILLIUM_MSGCTL_TRANSFER_H
#define TRILLIUM_MSGCTL_TRANSFER_H

#include "msgctl/cli.h"

extern const struct cli_option import_options[], export_options[];
enum exit_code import_run(struct cli *cli);
enum exit_code export_run(struct cli *cli);

#endif
