/*
 * ids: the names of the things that all daemons speak of. Each is a struct of its own, so that the compiler refuses a
 * mix-up; message and channel ids are plain uint64_t, since they are numbers to order and to count with.
 */
#ifndef TRILLIUM_COMMON_MODEL_IDS_H
#define TRILLIUM_COMMON_MODEL_IDS_H

#include <stdint.h>

#include "common/base/uuid.h"

struct table_id {
    uint32_t value;
};
struct range_id {
    uint64_t value;
};
struct node_id {
    uint32_t value;
};
struct router_id {
    uint32_t value;
};
struct controller_id {
    uint32_t value;
};

#endif
