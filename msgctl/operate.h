/* operate: the commands that have nodes do something: flush, compact. */
#ifndef TRILLIUM_MSGCTL_OPERATE_H
#define TRILLIUM_MSGCTL_OPERATE_H

#include "msgctl/cli.h"

extern const struct cli_option operate_options[];
enum exit_code operate_flush(struct cli *cli);
enum exit_code operate_compact(struct cli *cli);
enum exit_code operate_compact_status(struct cli *cli);

#endif
