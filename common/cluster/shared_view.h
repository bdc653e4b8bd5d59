/*
 * shared_view: a published view and how long it lives. Immutable; the count of holders may be changed from any thread.
 */
#ifndef TRILLIUM_COMMON_CLUSTER_SHARED_VIEW_H
#define TRILLIUM_COMMON_CLUSTER_SHARED_VIEW_H

#include <stdatomic.h>

#include "common/model/view.h"

struct shared_view {
    struct view view;
    struct arena arena;
    atomic_uint holders;
};

/* Decodes; the caller is its one holder. BAD_REQUEST as view_decode. */
enum status shared_view_decode(struct bytes bytes, struct shared_view **out) MUST_CHECK;
struct shared_view *shared_view_hold(struct shared_view *view);
/* NULL is allowed. */
void shared_view_release(struct shared_view *view);

#endif
