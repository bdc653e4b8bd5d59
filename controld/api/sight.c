#include "controld/api/sight.h"

#include "controld/api/controld_internal.h"

bool controld_load(const struct controld *controld, struct controld_load *out)
{
    if (!controld->started || controld->stopping || !controld->rpc) return false;
    *out = (struct controld_load){.proposals = controld->proposals.count, .parked = controld->views.parked_count};
    rpc_sight(controld->rpc, &out->rpc);
    return true;
}
