#include "common/cluster/shared_view.h"

#include "common/base/mem.h"

enum status shared_view_decode(struct bytes bytes, struct shared_view **out)
{
    struct shared_view *shared = mem_zalloc(sizeof *shared);
    enum status status = view_decode(bytes, &shared->arena, &shared->view);
    if (status != STATUS_OK) {
        arena_free(&shared->arena);
        mem_free(shared);
        return status;
    }
    atomic_init(&shared->holders, 1);
    *out = shared;
    return STATUS_OK;
}

struct shared_view *shared_view_hold(struct shared_view *view)
{
    atomic_fetch_add_explicit(&view->holders, 1, memory_order_relaxed);
    return view;
}

void shared_view_release(struct shared_view *view)
{
    if (!view || atomic_fetch_sub_explicit(&view->holders, 1, memory_order_acq_rel) != 1) return;
    arena_free(&view->arena);
    mem_free(view);
}
