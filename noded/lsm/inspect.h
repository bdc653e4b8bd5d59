/*
 * inspect: reads a whole SSTable or manifest offline, checks everything that can be checked in it, and tells what is in
 * it line by line. For tools and tests; pure, no disk door. Files are given as bytes (mapped or read).
 */
#ifndef TRILLIUM_NODED_LSM_INSPECT_H
#define TRILLIUM_NODED_LSM_INSPECT_H

#include <stdbool.h>

#include "common/base/bytes.h"
#include "common/base/status.h"
#include "common/base/uuid.h"

struct inspect {
    const struct uuid *cluster;                    /* NULL: any */
    bool rows;                                     /* a line for each row too */
    void (*line)(void *context, const char *text); /* without newline; NULL: only check */
    void *context;
    char why[160]; /* after a refusal: what is wrong */
};

/* CORRUPT, or CONFLICT for another kind, cluster or newer version. */
enum status inspect_sstable(struct inspect *inspect, struct bytes file) MUST_CHECK;
enum status inspect_manifest(struct inspect *inspect, struct bytes file) MUST_CHECK;

#endif
