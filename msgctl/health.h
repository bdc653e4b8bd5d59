/* health: what is wrong with a cluster, in sentences, worst first. Pure. */
#ifndef TRILLIUM_MSGCTL_HEALTH_H
#define TRILLIUM_MSGCTL_HEALTH_H

#include "msgctl/cluster.h"

enum health_severity { HEALTH_DOWN, HEALTH_DEGRADED, HEALTH_NOTE };
enum { HEALTH_FINDINGS_MAX = 64, HEALTH_TEXT_BYTES = 240 };

struct health_finding {
    enum health_severity severity;
    char text[HEALTH_TEXT_BYTES];
};

struct health_report {
    unsigned count;
    unsigned dropped; /* beyond the most */
    struct health_finding findings[HEALTH_FINDINGS_MAX];
};

void health_judge(const struct cluster *cluster, struct health_report *out);
const char *health_severity_name(enum health_severity severity);

#endif
