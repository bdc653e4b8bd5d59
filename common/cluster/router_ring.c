#include "common/cluster/router_ring.h"

const struct view_router *router_ring_owner(const struct view *view, int64_t token, uint16_t *worker)
{
    const struct view_router *owner = NULL;
    uint64_t best = 0;
    for (unsigned i = 0; i < view->routers_count; i++)
        for (uint16_t w = 0; w < view->routers[i].workers; w++) {
            uint64_t weight = router_ring_weight(view->routers[i].id.value, w, token);
            if (owner && weight <= best) continue;
            owner = &view->routers[i];
            best = weight;
            if (worker) *worker = w;
        }
    return owner;
}
