/* import_report: what an import says at its end, for people and for programs. One thread. */
#ifndef TRILLIUM_MSGCTL_IMPORT_REPORT_H
#define TRILLIUM_MSGCTL_IMPORT_REPORT_H

#include "msgctl/checkpoint.h"
#include "msgctl/cli.h"

struct import_report {
    struct checkpoint_counts counts, before; /* in all; of them by earlier runs */
    uint64_t ms;
    bool is_complete, is_plan;
    int64_t completed_ms; /* an earlier run was complete then, and this one sent nothing; else 0 */
};

void import_report_print(const struct cli *cli, const struct import_report *report);
/* What the sentence for people says, without line end. Pure. */
void import_report_text(const struct import_report *report, struct buffer *out);

#endif
